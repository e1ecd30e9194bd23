// Arrays in the JSON form: nested arrays, paths of .npy files, and the buffers of expressions.
#pragma once

#include <algorithm>
#include <clattn/expression.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "host/json/forms.hpp"
#include "host/json/members.hpp"
#include "host/npy.hpp"

namespace clattn {

template <typename Element>
struct NestedArray {
  std::vector<std::int64_t> shape;
  std::vector<Element> values;  // in C order
};

template <typename Element>
void append_nested(const json& value, std::size_t level, NestedArray<Element>& array) {
  if (level == array.shape.size()) {
    read_value(value, array.values.emplace_back());
    return;
  }
  if (!value.is_array()) wrong_type(value, "an array");
  const auto size = static_cast<std::int64_t>(value.size());
  if (array.shape[level] < 0) array.shape[level] = size;
  if (array.shape[level] != size) {
    invalid("has {} entries, but the arrays before it have {}", size, array.shape[level]);
  }
  for_each_element(value, [&](const json& part) { append_nested(part, level + 1, array); });
}

// Arrays in arrays, `rank` deep, all of one level of one size.
template <typename Element>
NestedArray<Element> nested_array(const json& value, std::size_t rank) {
  NestedArray<Element> array{std::vector<std::int64_t>(rank, -1), {}};
  append_nested(value, 0, array);
  for (std::int64_t& size : array.shape) size = std::max<std::int64_t>(size, 0);
  return array;
}

// The file that `path` names, which must have `rank` dimensions where that is given.
NpyArray array_from_file(const json& path, const JsonContext& context,
                         std::optional<std::size_t> rank = {});

// Nested arrays of numbers, or the path of a file of i32.
NestedArray<std::int32_t> index_array(const json& value, std::size_t rank,
                                      const JsonContext& context);

// The numbers at "values", as elements of `type`; none where the key is absent.
std::vector<std::byte> stored_values(const Members& members, ElementType type);

// {"expression": "...", "buffers": {"name": V, ...}, "scalars": {"name": 3, "other": 0.5}}
Expression expression_from_json(const json& object, const JsonContext& context);

}  // namespace clattn
