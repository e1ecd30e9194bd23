// Runs attention on a target and holds it to the CPU reference. A family that does not take f32
// gets such problems in f16. Tensors lie inside larger buffers: inputs are surrounded by NaN, also
// in the gaps of their strides, so that a read beside an element shows in the result; outputs are
// poisoned with NaN, and every byte that is no output element must stay as it was.
#pragma once

#include <clattn/engine.hpp>
#include <clattn/reference.hpp>
#include <cmath>
#include <functional>
#include <optional>
#include <span>

#include "host/planning/plan_state.hpp"
#include "tests/support.hpp"

namespace clattn {

struct EngineAccess {
  // An engine that believes other facts of its device.
  static Engine with_facts(Engine engine, const std::function<void(DeviceFacts&)>& change) {
    Device device = engine.device();
    change(device.facts);
    EngineOptions options;
    options.cache_dir = "";
    engine.state_ =
        std::make_shared<Engine::State>(Context::retain(engine.context()), device, options);
    return engine;
  }
};

namespace test {

inline constexpr std::byte kPoison{0xff};  // NaN in every storage type

// A tensor of a problem on the host: poison, `offset` elements in, the elements, and poison again.
struct HostTensor {
  HostTensor(const Problem& problem, Role role, std::int64_t offset)
      : type(problem.data_type), shape(tensor_shape(problem, role)), offset(offset) {
    bytes.assign((offset + shape.span() + 64) * size_of(type), kPoison);
  }
  std::int64_t index(std::int64_t b, std::int64_t h, std::int64_t t, std::int64_t d) const {
    return offset + b * shape.strides.batch + h * shape.strides.head + t * shape.strides.token + d;
  }
  // Calls `body(index)` for every element, in dense order.
  template <typename Body>
  void for_each(Body&& body) const {
    for (std::int64_t b = 0; b < shape.batch; ++b) {
      for (std::int64_t h = 0; h < shape.heads; ++h) {
        for (std::int64_t t = 0; t < shape.length; ++t) {
          for (std::int64_t d = 0; d < shape.dim; ++d) body(index(b, h, t, d));
        }
      }
    }
  }
  void fill(Random& random, double width) {
    std::normal_distribution<double> normal(0.0, width);
    for_each([&](std::int64_t i) { store_element(type, normal(random), bytes.data(), i); });
  }
  std::span<const std::byte> elements() const {
    return std::span(bytes).subspan(offset * size_of(type), shape.span() * size_of(type));
  }

  DataType type;
  TensorShape shape;
  std::int64_t offset;
  std::vector<std::byte> bytes;
};

struct Case {
  Problem problem;
  double width = 1.0;       // of the inputs' distribution
  std::int64_t offset = 0;  // of every tensor
  // Changes the inputs before the run.
  std::function<void(HostTensor& query, HostTensor& key, HostTensor& value)> edit = nullptr;
  // What a launch brings beside the tensors, and the problem without it, for the reference.
  std::function<void(Tensors& tensors)> bind = nullptr;
  std::optional<Problem> expected = std::nullopt;
  // Changes what the reference says.
  std::function<void(ReferenceResult& result)> edit_expected = nullptr;
};

struct Result {
  std::vector<std::byte> output;  // the whole buffer
  std::vector<float> lse;
  PlanReport report;
};

class AttentionRunner {
 public:
  AttentionRunner(const Engine& engine, std::string family)
      : engine_(engine), family_(std::move(family)), queue_(make_queue(engine)) {}

  PlanReport report(const Problem& problem) const {
    return engine_.plan(taken(problem), {family_}).report();
  }

  // A problem as the family takes it.
  Problem taken(Problem problem) const {
    if (problem.data_type != DataType::f32) return problem;
    if (!engine_.supports(problem, {family_}).supported) problem.data_type = DataType::f16;
    return problem;
  }

  const std::string& family() const { return family_; }

  // Runs a case and holds it to the reference.
  Result check(const Case& test_case, Random& random) const {
    return check(test_case, random, engine_.plan(taken(test_case.problem), {family_}));
  }

  // The same by a plan of the case's problem, as it is taken.
  Result check(const Case& test_case, Random& random, const Plan& plan) const {
    const Problem problem = taken(test_case.problem);
    SCOPED_TRACE(problem_to_json(problem));
    HostTensor query(problem, Role::query, test_case.offset);
    HostTensor key(problem, Role::key, test_case.offset);
    HostTensor value(problem, Role::value, test_case.offset);
    for (HostTensor* tensor : {&query, &key, &value}) tensor->fill(random, test_case.width);
    if (test_case.edit) test_case.edit(query, key, value);
    HostTensor output(problem, Role::output, test_case.offset);
    const std::size_t rows = problem.batch * problem.heads * problem.query_len;
    std::vector<float> lse(test_case.offset + rows + 16, std::nanf(""));

    Result result;
    result.report = plan.report();
    EXPECT_EQ(result.report.family, family_);
    const auto upload = [&](const auto& host) {
      return make_buffer(engine_.context(), host.size() * sizeof(host[0]), host.data());
    };
    const Memory buffers[] = {upload(query.bytes), upload(key.bytes), upload(value.bytes),
                              upload(output.bytes), upload(lse)};
    Tensors tensors;
    TensorView* views[] = {&tensors.query, &tensors.key, &tensors.value, &tensors.output,
                           &tensors.lse};
    for (int i = 0; i < 5; ++i) *views[i] = {buffers[i].get(), test_case.offset};
    if (test_case.bind) test_case.bind(tensors);
    const Event done = plan.enqueue(queue_.get(), tensors);
    const cl_event wait = done.get();
    EXPECT_EQ(clWaitForEvents(1, &wait), CL_SUCCESS);
    result.output =
        read_buffer<std::byte>(queue_.get(), tensors.output.buffer, output.bytes.size());
    result.lse = read_buffer<float>(queue_.get(), tensors.lse.buffer, lse.size());

    // Inputs and everything beside the output's elements are as they were.
    EXPECT_TRUE(read_buffer<std::byte>(queue_.get(), tensors.query.buffer, query.bytes.size()) ==
                query.bytes);
    EXPECT_TRUE(read_buffer<std::byte>(queue_.get(), tensors.key.buffer, key.bytes.size()) ==
                key.bytes);
    std::vector<double> actual;
    std::vector<std::byte> beside = result.output;
    output.for_each([&](std::int64_t i) {
      actual.push_back(load_element(problem.data_type, result.output.data(), i));
      std::fill_n(beside.begin() + i * size_of(problem.data_type), size_of(problem.data_type),
                  kPoison);
    });
    EXPECT_TRUE(beside == output.bytes) << "something beside the output was written";

    const HostTensors host = {query.elements(), key.elements(), value.elements()};
    const Problem expected = test_case.expected ? taken(*test_case.expected) : problem;
    auto exact = reference_attention(expected, host);
    auto plain = reference_attention(expected, host, ReferencePrecision::storage);
    if (test_case.edit_expected) {
      test_case.edit_expected(exact);
      test_case.edit_expected(plain);
    }
    double largest = 1.0;
    for (double element : exact.output) {
      if (std::isfinite(element)) largest = std::max(largest, std::abs(element));
    }
    expect_pass("output", compare(actual, exact.output, plain.output, 1e-5 * largest));
    const auto first = result.lse.begin() + test_case.offset;
    std::vector<float> beside_lse = result.lse;
    if (problem.lse) {
      expect_pass("LSE", compare(std::vector<double>(first, first + rows), exact.lse, plain.lse,
                                 2e-5 * test_case.width * test_case.width));
      std::fill_n(beside_lse.begin() + test_case.offset, rows, lse[0]);
    }
    EXPECT_EQ(std::memcmp(beside_lse.data(), lse.data(), lse.size() * sizeof(float)), 0)
        << "something beside the LSE was written";
    return result;
  }

 private:
  static void expect_pass(const char* name, const Comparison& comparison) {
    EXPECT_TRUE(comparison.pass) << name << " is off by " << comparison.max_error << ", limit "
                                 << comparison.limit << ", at " << comparison.worst << ": "
                                 << comparison.worst_actual << " instead of "
                                 << comparison.worst_expected << "; " << comparison.non_finite
                                 << " not finite";
  }

  Engine engine_;
  std::string family_;
  Queue queue_;
};

// The dimensions that most cases share: unequal, and no multiple of 16.
inline Problem make_problem(std::int64_t query_len, std::int64_t key_len,
                            const Mask& mask = dense_mask()) {
  Problem problem;
  problem.query_len = query_len;
  problem.key_len = key_len;
  problem.head_dim = 24;
  problem.value_dim = 8;
  problem.mask = mask;
  problem.lse = true;
  return problem;
}

template <typename Body>
void on_every_target(Body&& body) {
  Random random = make_random();
  for (const Target& target : targets()) {
    SCOPED_TRACE(target.label);
    body(AttentionRunner(make_engine(target.device_index), target.family), random);
  }
}

// An engine of each device, and one that takes it for a GPU: then many work-items share a row.
template <typename Body>
void on_every_engine(Body&& body) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = make_random();
  for (std::size_t i = 0; i < devices().size(); ++i) {
    const Engine engine = make_engine(i);
    SCOPED_TRACE(engine.device().facts.name);
    body(engine, random);
    if (engine.device().facts.kind == DeviceKind::gpu) continue;
    SCOPED_TRACE("as a GPU");
    body(EngineAccess::with_facts(engine, [](DeviceFacts& facts) { facts.kind = DeviceKind::gpu; }),
         random);
  }
}

}  // namespace test
}  // namespace clattn
