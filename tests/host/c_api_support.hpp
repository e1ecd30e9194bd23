// What the tests of the C API share: expectations on statuses, and structs ready to be passed.
#pragma once

#include <clattn/clattn.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace clattn::test {

// The status of a call that must fail, held with the part of the message that must be there.
inline void expect_failure(clattn_status status, clattn_status expected, const std::string& part) {
  EXPECT_EQ(status, expected) << clattn_status_name(status) << ": " << clattn_last_error();
  EXPECT_NE(std::string(clattn_last_error()).find(part), std::string::npos)
      << "'" << clattn_last_error() << "' does not say '" << part << "'";
}

inline void expect_invalid(clattn_status status, const std::string& part) {
  expect_failure(status, CLATTN_STATUS_INVALID_ARGUMENT, part);
}

inline void expect_success(clattn_status status) {
  EXPECT_EQ(status, CLATTN_STATUS_SUCCESS) << clattn_last_error();
}

inline std::string take(char* text) {
  const std::string copy = text ? text : "(null)";
  clattn_string_free(text);
  return copy;
}

template <typename Struct>
Struct sized() {
  Struct value{};
  value.struct_size = sizeof value;
  return value;
}

struct Release {
  void operator()(clattn_mask* mask) const { clattn_mask_release(mask); }
  void operator()(clattn_score* score) const { clattn_score_release(score); }
  void operator()(clattn_token_permutation* permutation) const {
    clattn_token_permutation_release(permutation);
  }
  void operator()(clattn_plan* plan) const { clattn_plan_release(plan); }
  void operator()(clattn_block_builder* builder) const { clattn_block_builder_release(builder); }
};
using MaskHandle = std::unique_ptr<clattn_mask, Release>;
using ScoreHandle = std::unique_ptr<clattn_score, Release>;
using PlanHandle = std::unique_ptr<clattn_plan, Release>;
using PermutationHandle = std::unique_ptr<clattn_token_permutation, Release>;
using BuilderHandle = std::unique_ptr<clattn_block_builder, Release>;

template <typename... Parameters, typename... Arguments>
MaskHandle make_mask(clattn_status (*create)(Parameters...), const Arguments&... arguments) {
  clattn_mask* mask = nullptr;
  expect_success(create(arguments..., &mask));
  return MaskHandle(mask);
}

template <typename... Parameters, typename... Arguments>
ScoreHandle make_score(clattn_status (*create)(Parameters...), const Arguments&... arguments) {
  clattn_score* score = nullptr;
  expect_success(create(arguments..., &score));
  return ScoreHandle(score);
}

inline clattn_expression make_expression(const char* text) {
  clattn_expression expression;
  expect_success(clattn_expression_init(&expression, sizeof expression));
  expression.text = text;
  return expression;
}

inline bool allows(const MaskHandle& mask, clattn_sizes sizes, clattn_point point) {
  int32_t result = -1;
  expect_success(clattn_mask_allows(mask.get(), sizes, point, &result));
  return result != 0;
}

inline int64_t count_pairs(const MaskHandle& mask, clattn_sizes sizes) {
  int32_t found = 0;
  int64_t pairs = -1;
  expect_success(
      clattn_mask_count_visible_pairs(mask.get(), sizes, {0, 0}, INT64_MAX, &found, &pairs));
  EXPECT_TRUE(found);
  return pairs;
}

}  // namespace clattn::test
