// What a problem may say, and how each thing that it may not is refused: with the value and the
// limit.
#include <clattn/problem.hpp>
#include <cmath>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::expect_error;

Problem good() {
  Problem problem;
  problem.batch = 2;
  problem.heads = 4;
  problem.kv_heads = 2;
  problem.query_len = 10;
  problem.key_len = 20;
  problem.head_dim = 16;
  problem.value_dim = 24;
  return problem;
}

template <typename Change>
void expect_refused(const std::vector<std::string>& parts, Change&& change) {
  Problem problem = good();
  change(problem);
  expect_error(ErrorCategory::invalid_argument, parts, [&] { validate(problem); });
}

template <typename Change>
void expect_accepted(Change&& change) {
  Problem problem = good();
  change(problem);
  EXPECT_NO_THROW(validate(problem));
}

TEST(Validate, Dimensions) {
  expect_refused({"head_dim is 0", "at least 8"}, [](Problem& p) { p.head_dim = 0; });
  expect_refused({"head_dim is -8", "at least 8"}, [](Problem& p) { p.head_dim = -8; });
  expect_refused({"head_dim is 12", "multiple of 8"}, [](Problem& p) { p.head_dim = 12; });
  expect_refused({"head_dim 264 exceeds the largest supported, 256"},
                 [](Problem& p) { p.head_dim = 264; });
  expect_refused({"value_dim is 0"}, [](Problem& p) { p.value_dim = 0; });
  expect_refused({"value_dim is 12"}, [](Problem& p) { p.value_dim = 12; });
  expect_refused({"value_dim 264", "256"}, [](Problem& p) { p.value_dim = 264; });
  for (std::int64_t dim = 8; dim <= 256; dim += 8) {
    expect_accepted([&](Problem& p) { p.head_dim = dim; });
    expect_accepted([&](Problem& p) { p.value_dim = dim; });
  }
}

TEST(Validate, Counts) {
  expect_refused({"kv_heads 3", "heads 4"}, [](Problem& p) { p.kv_heads = 3; });
  expect_refused({"kv_heads 8", "heads 4"}, [](Problem& p) { p.kv_heads = 8; });
  expect_refused({"kv_heads is 0", "at least 1"}, [](Problem& p) { p.kv_heads = 0; });
  expect_refused({"heads is 0", "at least 1"}, [](Problem& p) { p.heads = p.kv_heads = 0; });
  expect_refused({"heads is -4"}, [](Problem& p) { p.heads = -4; });
  expect_refused({"batch is -1", "at least 0"}, [](Problem& p) { p.batch = -1; });
  expect_refused({"q_len is -1"}, [](Problem& p) { p.query_len = -1; });
  expect_refused({"kv_len is -5"}, [](Problem& p) { p.key_len = -5; });
  expect_refused({"q_len 1073741825", "1073741824"},
                 [](Problem& p) { p.query_len = (1 << 30) + 1; });
  expect_refused({"kv_len", "1073741824"},
                 [](Problem& p) { p.key_len = std::numeric_limits<std::int64_t>::max(); });
  expect_refused({"batch * heads"}, [](Problem& p) {
    p.batch = p.heads = 1 << 20;
    p.kv_heads = 1;
  });
  expect_accepted([](Problem& p) { p.batch = 0; });
  expect_accepted([](Problem& p) { p.query_len = 0; });
  expect_accepted([](Problem& p) { p.key_len = 0; });
  expect_accepted([](Problem& p) { p.kv_heads = 1; });
}

TEST(Validate, Scale) {
  const float infinity = std::numeric_limits<float>::infinity();
  expect_refused({"scale is nan", "finite"}, [](Problem& p) { p.scale = std::nanf(""); });
  expect_refused({"scale is inf", "finite"}, [&](Problem& p) { p.scale = infinity; });
  expect_refused({"scale is -inf", "finite"}, [&](Problem& p) { p.scale = -infinity; });
  expect_accepted([](Problem& p) { p.scale = 0.0f; });
  expect_accepted([](Problem& p) { p.scale = -2.5f; });
  EXPECT_FLOAT_EQ(good().effective_scale(), 0.25f);
}

TEST(Validate, DataTypeAndMask) {
  expect_refused({"data type 7", "f16"},
                 [](Problem& p) { p.data_type = static_cast<DataType>(7); });
  expect_refused({"mask is null"}, [](Problem& p) { p.mask = nullptr; });
}

TEST(Validate, InputStrides) {
  expect_refused({"key token stride is -24"}, [](Problem& p) { p.key_strides = {960, 480, -24}; });
  expect_refused({"query batch stride is -1"}, [](Problem& p) { p.query_strides = {-1, 16, 64}; });
  expect_refused({"value"}, [](Problem& p) {
    p.value_strides = {0, std::numeric_limits<std::int64_t>::max(), 24};
  });
  expect_accepted([](Problem& p) { p.key_strides = {0, 0, 0}; });    // broadcast
  expect_accepted([](Problem& p) { p.value_strides = {1, 1, 1}; });  // inputs may overlap
}

TEST(Validate, OutputStridesMayNotOverlap) {
  expect_refused({"output", "token stride is 23", "at least 24"}, [](Problem& p) {
    p.output_strides = {960, 240, 23};
  });
  expect_refused({"output", "token stride is 0"}, [](Problem& p) {
    p.output_strides = {960, 240, 0};
  });
  expect_refused({"output", "head stride is 239", "240"}, [](Problem& p) {
    p.output_strides = {960, 239, 24};
  });
  expect_refused({"output", "batch stride is 959", "960"}, [](Problem& p) {
    p.output_strides = {959, 240, 24};
  });
  expect_refused({"output"}, [](Problem& p) { p.output_strides = {24, 24, 240}; });
  expect_accepted([](Problem& p) { p.output_strides = {960, 24, 96}; });  // blhd
  expect_accepted([](Problem& p) { p.output_strides = {24, 480, 48}; });  // batch innermost
  expect_accepted([](Problem& p) { p.output_strides = {1000, 250, 25}; });
  expect_accepted([](Problem& p) {  // a dimension of one element needs no stride
    p.batch = 1;
    p.output_strides = {0, 240, 24};
  });
  expect_accepted([](Problem& p) {  // nothing to overlap
    p.query_len = 0;
    p.output_strides = {0, 0, 0};
  });
}

// Sizes whose products leave 64 bits must be refused and not wrap into a small, 'fitting' tensor.
TEST(Validate, SizesBeyond64BitsAreRefused) {
  constexpr std::int64_t kFar = std::int64_t{1} << 40;
  expect_refused({"output"}, [](Problem& p) {  // 2^40 * 2^24 wraps to 0
    p.query_len = (1 << 24) + 1;
    p.query_strides = {0, 0, 0};
    p.output_strides = {kFar, kFar, kFar};
  });
  expect_refused({"key"}, [](Problem& p) {
    p.key_len = (1 << 24) + 1;
    p.key_strides = {0, 0, kFar};
  });
  expect_refused({"key"}, [](Problem& p) {  // 2^68 elements in one row's memory
    p.batch = 1 << 10;
    p.heads = p.kv_heads = 1 << 20;
    p.query_len = 1;
    p.key_len = 1 << 30;
    p.head_dim = p.value_dim = 256;
    p.key_strides = p.value_strides = {0, 0, 0};
  });
}

// Kernels address inside a tile with 32 bits.
TEST(Validate, TokenStridesBeyondATileAreRefused) {
  expect_refused({"query token stride"}, [](Problem& p) {
    p.query_strides = {0, 0, std::int64_t{1} << 31};
  });
  expect_refused({"output token stride"}, [](Problem& p) {
    p.output_strides = {24, 48, std::int64_t{1} << 32};
  });
}

// Ten queries and twenty keys, which are the grid's tokens and ten extra ones.
TEST(Validate, TokenOrdersNeedANeighborhoodOfTheirGrid) {
  const auto neighborhood = [](std::vector<std::int64_t> dilation) {
    return neighborhood_mask({{2, 5}, {2, 2}, {}, std::move(dilation), {}, 10});
  };
  const auto ordered = [&](TokenOrder order) {
    return [&neighborhood, order](Problem& p) {
      p.mask = neighborhood({});
      p.token_order = order;
    };
  };
  expect_accepted(ordered({{2, 5}, {2, 2}, {}}));
  expect_accepted(ordered({{2, 5}, {8, 1}, {1, 1}}));
  expect_refused({"tile of dimension 1 is 0"}, ordered({{2, 5}, {2, 0}, {}}));
  expect_refused({"grid 2x6 has 12 tokens", "q_len is 10"}, ordered({{2, 6}, {2, 2}, {}}));
  expect_refused({"grid 2x5 has 10 tokens", "kv_len is 9"}, [&](Problem& p) {
    p.key_len = 9;
    p.token_order = {{2, 5}, {2, 2}, {}};
  });
  expect_refused({"token order's grid is 5x2", "batch 0, head 0 is 2x5"},
                 ordered({{5, 2}, {2, 2}, {}}));
  expect_refused({"token order's grid is 10", "2x5"}, ordered({{10}, {2}, {}}));
  expect_refused({"token order's dilation is 1x2", "batch 0, head 0 is 1x1"},
                 ordered({{2, 5}, {2, 2}, {1, 2}}));
  expect_refused({"batch 0, head 0 lies within no neighborhood"}, [](Problem& p) {
    p.token_order = {{2, 5}, {2, 2}, {}};
  });
  expect_refused({"block lists", "token order"}, [&](Problem& p) {
    ordered({{2, 5}, {2, 2}, {}})(p);
    p.blocks = BlockShape{.query_block = 2, .key_block = 2};
  });
  // Heads may differ in all but grid and dilation.
  const auto heads = [&](Mask last) {
    return [&neighborhood, last](Problem& p) {
      const Mask wide = neighborhood_mask({{2, 5}, {2, 3}, {}, {}, {true, false}, 10});
      p.mask = per_head_mask({neighborhood({}), wide, wide, last});
      p.token_order = {{2, 5}, {2, 2}, {}};
    };
  };
  expect_accepted(heads(neighborhood({})));
  expect_refused({"dilation is 1x1", "head 3 is 1x2"}, heads(neighborhood({1, 2})));
  expect_refused({"batch 0, head 3 lies within no neighborhood"}, heads(causal_mask()));
}

TEST(TensorShape, FollowsLayoutAndStrides) {
  Problem problem = good();
  const TensorShape query = tensor_shape(problem, Role::query);
  EXPECT_EQ(query.strides, (Strides{640, 160, 16}));
  EXPECT_EQ(query.elements(), 2 * 4 * 10 * 16);
  EXPECT_EQ(query.span(), query.elements());
  const TensorShape value = tensor_shape(problem, Role::value);
  EXPECT_EQ(value.heads, 2);
  EXPECT_EQ(value.length, 20);
  EXPECT_EQ(value.dim, 24);
  problem.layout = Layout::blhd;
  EXPECT_EQ(tensor_shape(problem, Role::output).strides, (Strides{960, 24, 96}));
  EXPECT_EQ(tensor_shape(problem, Role::key).strides, (Strides{640, 16, 32}));
  EXPECT_EQ(tensor_shape(problem, Role::output).span(), 2 * 4 * 10 * 24);
  problem.key_strides = {0, 1000, 20};
  EXPECT_EQ(tensor_shape(problem, Role::key).span(), 1000 + 19 * 20 + 16);
  problem.key_len = 0;
  EXPECT_EQ(tensor_shape(problem, Role::key).span(), 0);
}

}  // namespace
}  // namespace clattn
