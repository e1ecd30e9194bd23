// Tensors on devices into an order of tiles and out of it, against moves element by element on the
// host. Tensors lie inside larger buffers whose bytes beside the elements must stay as they were.
// Elements are random bits, for they are moved, not computed with.
#include <clattn/permutation.hpp>
#include <cstring>
#include <functional>

#include "tests/host/attention_runner.hpp"

namespace clattn {
namespace {

using namespace test;
using enum PermutationDirection;

constexpr ErrorCategory kInvalid = ErrorCategory::invalid_argument;

struct PermutationCase {
  TokenOrder order;
  PermutationDirection direction = into_order;
  DataType type = DataType::f32;
  TensorShape source, target;
  std::int64_t source_offset = 0, target_offset = 0;
};

// Calls body(batch, head, token, element) for each element of a tensor.
template <typename Body>
void for_each_element(const TensorShape& shape, Body&& body) {
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      for (std::int64_t t = 0; t < shape.length; ++t) {
        for (std::int64_t d = 0; d < shape.dim; ++d) body(b, h, t, d);
      }
    }
  }
}

std::int64_t index_of(const TensorShape& shape, std::int64_t b, std::int64_t h, std::int64_t t,
                      std::int64_t d) {
  return b * shape.strides.batch + h * shape.strides.head + t * shape.strides.token + d;
}

TensorShape contiguous(Layout layout, std::int64_t batch, std::int64_t heads, std::int64_t length,
                       std::int64_t dim) {
  return {batch, heads, length, dim, contiguous_strides(layout, heads, length, dim)};
}

std::vector<std::byte> random_bytes(Random& random, std::int64_t count) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t bits = random();
    std::memcpy(bytes.data() + i, &bits, std::min(sizeof bits, bytes.size() - i));
  }
  return bytes;
}

void wait_for(const Event& event) {
  const cl_event raw = event.get();
  ASSERT_EQ(clWaitForEvents(1, &raw), CL_SUCCESS);
}

void check_permutation(const Engine& engine, Random& random, const PermutationCase& test_case) {
  const auto& [order, direction, type, source, target, source_offset, target_offset] = test_case;
  const auto size = static_cast<std::int64_t>(size_of(type));
  SCOPED_TRACE("dim " + std::to_string(source.dim) + ", " + to_string(type) + ", offsets " +
               std::to_string(source_offset) + " and " + std::to_string(target_offset));
  const auto from = random_bytes(random, (source_offset + source.span() + 33) * size);
  const auto before = random_bytes(random, (target_offset + target.span() + 33) * size);
  std::vector<std::byte> expected = before;
  const std::vector<std::int32_t> tokens = tokens_in_order(order);
  for_each_element(source, [&, &source = source, &target = target, direction = direction,
                            source_offset = source_offset,
                            target_offset = target_offset](std::int64_t b, std::int64_t h,
                                                           std::int64_t position, std::int64_t d) {
    const std::int64_t token =
        position < std::ssize(tokens) ? tokens[static_cast<std::size_t>(position)] : position;
    const bool into = direction == into_order;
    const std::int64_t read = source_offset + index_of(source, b, h, into ? token : position, d);
    const std::int64_t written = target_offset + index_of(target, b, h, into ? position : token, d);
    std::memcpy(expected.data() + written * size, from.data() + read * size,
                static_cast<std::size_t>(size));
  });

  const Queue queue = make_queue(engine);
  const TokenPermutation permutation(engine, order, direction, type, source, target);
  const Memory from_buffer = make_buffer(engine.context(), from.size(), from.data());
  const Memory to_buffer = make_buffer(engine.context(), before.size(), before.data());
  wait_for(permutation.enqueue(queue.get(), {from_buffer.get(), source_offset},
                               {to_buffer.get(), target_offset}));
  EXPECT_TRUE(read_buffer<std::byte>(queue.get(), to_buffer.get(), before.size()) == expected);
  EXPECT_TRUE(read_buffer<std::byte>(queue.get(), from_buffer.get(), from.size()) == from);
}

TEST(TokenPermutation, EqualsThatOfTheHost) {
  on_every_engine([](const Engine& engine, Random& random) {
    for (const PermutationDirection direction : {into_order, out_of_order}) {
      for (const auto& [type, dim] :
           {std::pair(DataType::f32, 32), std::pair(DataType::f16, 24),
            std::pair(DataType::bf16, 8), std::pair(DataType::f32, 1), std::pair(DataType::f16, 1),
            std::pair(DataType::f32, 6), std::pair(DataType::f16, 5),
            std::pair(DataType::f32, 2056)}) {
        for (const Layout layout : {Layout::bhld, Layout::blhd}) {
          const TensorShape shape = contiguous(layout, 2, 3, 7 * 9 + 4, dim);
          check_permutation(engine, random,
                            {{{7, 9}, {4, 2}, {}}, direction, type, shape, shape, 0, 0});
        }
      }
    }
  });
}

TEST(TokenPermutation, TakesGridsOfAllRanksWithDilation) {
  on_every_engine([](const Engine& engine, Random& random) {
    for (const PermutationDirection direction : {into_order, out_of_order}) {
      for (const TokenOrder& order :
           {TokenOrder{{301}, {16}, {3}}, TokenOrder{{31, 17}, {8, 4}, {2, 3}},
            TokenOrder{{5, 13, 11}, {2, 4, 4}, {1, 2, 3}}, TokenOrder{{1}, {1}, {}}}) {
        const TensorShape shape = contiguous(Layout::bhld, 1, 2, order.tokens() + 1, 16);
        check_permutation(engine, random, {order, direction, DataType::f32, shape, shape, 0, 0});
      }
    }
  });
}

// Programs depend on sizes alone, so that many strides and offsets cost no compilation.
TEST(TokenPermutation, TakesAnyStridesAndOffsets) {
  on_every_engine([](const Engine& engine, Random& random) {
    for (int round = 0; round < 24; ++round) {
      PermutationCase test_case;
      test_case.order = {{6, 10}, {4, 4}, {1, 2}};
      test_case.direction = round % 2 ? into_order : out_of_order;
      test_case.type = round % 4 < 2 ? DataType::f32 : DataType::bf16;
      // Multiples of 16 bytes or not, each on its own.
      const auto spread = [&](Layout layout) {
        TensorShape shape = contiguous(layout, 2, 3, 64, 16);
        const auto more = [&] { return uniform(random, 0, 1) * uniform(random, 1, 9); };
        if (layout == Layout::bhld) {
          shape.strides.token += more();
          shape.strides.head = 64 * shape.strides.token + more();
          shape.strides.batch = 3 * shape.strides.head + more();
        } else {
          shape.strides.head += more();
          shape.strides.token = 3 * shape.strides.head + more();
          shape.strides.batch = 64 * shape.strides.token + more();
        }
        return shape;
      };
      const auto layout = [&] { return uniform(random, 0, 1) ? Layout::bhld : Layout::blhd; };
      test_case.source = spread(layout());
      test_case.target = spread(layout());
      test_case.source_offset = uniform(random, 0, 1) * uniform(random, 1, 9);
      test_case.target_offset = uniform(random, 0, 1) * uniform(random, 1, 9);
      check_permutation(engine, random, test_case);
    }
  });
}

TEST(TokenPermutation, ReadsBroadcastSources) {
  on_every_engine([](const Engine& engine, Random& random) {
    const TensorShape target = contiguous(Layout::bhld, 2, 3, 60, 16);
    for (int dimension = 0; dimension < 3; ++dimension) {
      TensorShape source = target;
      (dimension == 0   ? source.strides.batch
       : dimension == 1 ? source.strides.head
                        : source.strides.token) = 0;
      check_permutation(engine, random,
                        {{{6, 10}, {4, 4}, {}}, into_order, DataType::f32, source, target, 0, 0});
    }
  });
}

// CPUs then store past their caches, where addresses allow it.
TEST(TokenPermutation, TakesTargetsLargerThanCaches) {
  on_every_engine([](const Engine& engine, Random& random) {
    const TokenOrder order{{64, 128}, {8, 16}, {}};
    for (const std::int64_t offset : {0, 3}) {
      const TensorShape shape = contiguous(Layout::bhld, 1, 8, order.tokens(), 128);
      check_permutation(engine, random,
                        {order, into_order, DataType::f16, shape, shape, offset, offset});
    }
  });
}

TEST(TokenPermutation, TakesManySlicesAndNone) {
  on_every_engine([](const Engine& engine, Random& random) {
    const auto check = [&](std::int64_t batch, std::int64_t heads) {
      const TensorShape shape = contiguous(Layout::bhld, batch, heads, 4, 8);
      check_permutation(engine, random,
                        {{{2, 2}, {2, 1}, {}}, into_order, DataType::f16, shape, shape, 0, 0});
    };
    check(19, 2003);  // more than are launched beside one another
    check(0, 3);
    check(3, 0);
    // Nothing to move needs no buffers; the event still waits.
    const TensorShape empty = contiguous(Layout::bhld, 0, 3, 4, 8);
    const TokenPermutation permutation(engine, {{4}, {2}, {}}, into_order, DataType::f32, empty,
                                       empty);
    const Queue queue = make_queue(engine);
    cl_int status = CL_SUCCESS;
    const auto gate = Event::adopt(clCreateUserEvent(engine.context(), &status));
    ASSERT_EQ(status, CL_SUCCESS);
    const cl_event wait = gate.get();
    const Event done = permutation.enqueue(queue.get(), {}, {}, {&wait, 1});
    EXPECT_EQ(clSetUserEventStatus(gate.get(), CL_COMPLETE), CL_SUCCESS);
    wait_for(done);
  });
}

TEST(TokenPermutation, ComesBackToWhereItWas) {
  on_every_engine([](const Engine& engine, Random& random) {
    const TokenOrder order{{9, 8, 7}, {4, 4, 4}, {2, 1, 3}};
    const TensorShape shape = contiguous(Layout::blhd, 1, 2, order.tokens() + 5, 8);
    const auto bytes = random_bytes(random, shape.span() * 2);
    const Memory start = make_buffer(engine.context(), bytes.size(), bytes.data());
    const Memory ordered = make_buffer(engine.context(), bytes.size());
    const Memory end = make_buffer(engine.context(), bytes.size());
    const Queue queue = make_queue(engine, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    const TokenPermutation into(engine, order, into_order, DataType::bf16, shape, shape);
    const TokenPermutation out(engine, order, out_of_order, DataType::bf16, shape, shape);
    const Event first = into.enqueue(queue.get(), {start.get()}, {ordered.get()});
    const cl_event wait = first.get();
    wait_for(out.enqueue(queue.get(), {ordered.get()}, {end.get()}, {&wait, 1}));
    EXPECT_TRUE(read_buffer<std::byte>(queue.get(), end.get(), bytes.size()) == bytes);
  });
}

TEST(TokenPermutation, RefusesShapesThatDontFit) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const Engine engine = make_engine(0);
  const TokenOrder order{{4, 6}, {2, 2}, {}};
  const TensorShape good = contiguous(Layout::bhld, 2, 3, 24, 8);
  const auto expect_refused = [&](std::initializer_list<std::string> parts,
                                  const std::function<void(TensorShape&, TensorShape&)>& change,
                                  const TokenOrder& of = TokenOrder{{4, 6}, {2, 2}, {}}) {
    TensorShape source = good, target = good;
    change(source, target);
    expect_error(kInvalid, parts,
                 [&] { TokenPermutation(engine, of, into_order, DataType::f32, source, target); });
  };
  expect_refused({"source length is 23", "at least 24"},
                 [](auto& source, auto&) { source.length = 23; });
  expect_refused({"source dim is 0", "at least 1"}, [](auto& source, auto&) { source.dim = 0; });
  expect_refused({"source dim is 8, but target dim is 16"},
                 [](auto&, auto& target) { target.dim = 16; });
  expect_refused({"source heads is 3, but target heads is 2"},
                 [](auto&, auto& target) { target.heads = 2; });
  expect_refused({"source batch is 2, but target batch is 1"},
                 [](auto&, auto& target) { target.batch = 1; });
  expect_refused({"target strides overlap", "token stride is 4", "at least 8"},
                 [](auto&, auto& target) { target.strides.token = 4; });
  expect_refused({"target strides overlap", "head stride is 0"},
                 [](auto&, auto& target) { target.strides.head = 0; });
  expect_refused({"source token stride is -8"},
                 [](auto& source, auto&) { source.strides.token = -8; });
  expect_refused({"tile of dimension 1 is 0"}, [](auto&, auto&) {}, {{4, 6}, {2, 0}, {}});
  expect_error(kInvalid, {"direction 7"}, [&] {
    TokenPermutation(engine, order, static_cast<PermutationDirection>(7), DataType::f32, good,
                     good);
  });
  expect_error(kInvalid, {"data type 9"}, [&] {
    TokenPermutation(engine, order, into_order, static_cast<DataType>(9), good, good);
  });
}

TEST(TokenPermutation, RefusesQueuesAndBuffersThatDontFit) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  const Engine engine = make_engine(0), other = make_engine(0);
  const TensorShape shape = contiguous(Layout::bhld, 2, 3, 24, 8);
  const TokenPermutation permutation(engine, {{4, 6}, {2, 2}, {}}, into_order, DataType::f32, shape,
                                     shape);
  const Queue queue = make_queue(engine), foreign_queue = make_queue(other);
  const auto bytes = static_cast<std::size_t>(shape.span()) * 4;
  const Memory a = make_buffer(engine.context(), bytes), b = make_buffer(engine.context(), bytes);
  const Memory foreign = make_buffer(other.context(), bytes);
  const auto expect_refused = [&](std::initializer_list<std::string> parts, cl_command_queue on,
                                  const TensorView& source, const TensorView& target) {
    expect_error(kInvalid, parts, [&] { permutation.enqueue(on, source, target); });
  };
  expect_refused({"queue is null"}, nullptr, {a.get()}, {b.get()});
  expect_refused({"queue", "another OpenCL context"}, foreign_queue.get(), {a.get()}, {b.get()});
  expect_refused({"source buffer is null"}, queue.get(), {}, {b.get()});
  expect_refused({"target buffer", "another OpenCL context"}, queue.get(), {a.get()},
                 {foreign.get()});
  expect_refused({"source buffer has 4608 bytes", "need 4612"}, queue.get(), {a.get(), 1},
                 {b.get()});
  expect_refused({"target offset is -1"}, queue.get(), {a.get()}, {b.get(), -1});
}

}  // namespace
}  // namespace clattn
