#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <clattn/error.hpp>
#include <clattn/expression.hpp>
#include <limits>

#include "host/invalid.hpp"
#include "kernels_cl/common/arguments.h"

namespace clattn {

std::size_t size_of(ElementType type) {
  switch (type) {
    case ElementType::u8:
      return 1;
    case ElementType::f16:
    case ElementType::bf16:
      return 2;
    case ElementType::i32:
    case ElementType::f32:
      return 4;
  }
  return 0;
}

std::string ExpressionWriter::integer(std::int64_t value) {
  if (value < std::numeric_limits<std::int32_t>::min() ||
      value > std::numeric_limits<std::int32_t>::max()) {
    throw Error(ErrorCategory::unsupported,
                fmt::format("mask parameter {} does not fit 32 bits", value));
  }
  const auto number = static_cast<std::int32_t>(value);
  if (values_.size() < CLATTN_HOOK_VALUES) {
    values_.push_back(number);
    return fmt::format("HOOK_VALUE({})", values_.size() - 1);
  }
  tables_.push_back(number);
  return fmt::format("hooks->tables[{}]", tables_.size() - 1);
}

std::string ExpressionWriter::real(float value) {
  return "as_float(" + integer(std::bit_cast<std::int32_t>(value)) + ")";
}

std::string ExpressionWriter::table(std::span<const std::int32_t> values) {
  // Where the slots are used up, the begin itself stands in front of the table.
  const std::size_t begin_size = values_.size() < CLATTN_HOOK_VALUES ? 0 : 1;
  const std::string begin = integer(static_cast<std::int64_t>(tables_.size() + begin_size));
  tables_.insert(tables_.end(), values.begin(), values.end());
  return "(hooks->tables + " + begin + ")";
}

std::string ExpressionWriter::buffer(const std::shared_ptr<const Buffer>& buffer) {
  const auto name = [](std::size_t index) { return fmt::format("hooks->buffer{}", index); };
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    const Buffer& other = *buffers_[i];
    if (buffers_[i] == buffer) return name(i);
    if (other.name != buffer->name || !other.bound_at_launch() || !buffer->bound_at_launch()) {
      continue;
    }
    if (other.type == buffer->type && other.count == buffer->count) return name(i);
    invalid("two buffers named \"{}\" that are bound at launch differ in type or count",
            buffer->name);
  }
  if (buffers_.size() == CLATTN_HOOK_BUFFERS) {
    throw Error(ErrorCategory::unsupported,
                fmt::format("the masks and score modifiers name more than {} buffers",
                            CLATTN_HOOK_BUFFERS));
  }
  buffers_.push_back(buffer);
  return name(buffers_.size() - 1);
}

std::string ExpressionWriter::function(const std::string& result, const std::string& body) {
  auto found = std::find(functions_.begin(), functions_.end(), std::pair(result, body));
  if (found == functions_.end()) found = functions_.insert(found, {result, body});
  return fmt::format("hook_function{}", found - functions_.begin());
}

}  // namespace clattn
