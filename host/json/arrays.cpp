#include "host/json/arrays.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <clattn/reference.hpp>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>

namespace clattn {
namespace {

template <typename Element>
std::vector<std::byte> bytes_of(const json& array) {
  std::vector<Element> values;
  read_value(array, values);
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

ElementType element_type(const NpyArray& array) {
  switch (array.type) {
    case NpyType::f32:
      return ElementType::f32;
    case NpyType::u8:
      return ElementType::u8;
    case NpyType::i32:
      return ElementType::i32;
    default:
      invalid("{}: an expression reads bool, u8, i32 and f32, not 16-bit elements", array.path);
  }
}

Buffer buffer_from_json(const std::string& name, const json& value, const JsonContext& context) {
  if (value.is_string()) {
    NpyArray array = array_from_file(value, context);
    const ElementType type = element_type(array);
    return {name, type, static_cast<std::int64_t>(array.data.size() / size_of(type)),
            std::move(array.data)};
  }
  if (value.is_object()) {
    const Members members(value, {"type", "count", "values"});
    const auto type = members.get<ElementType>(
        "type", {{"u8", ElementType::u8}, {"i32", ElementType::i32}, {"f32", ElementType::f32}});
    Buffer buffer{name, type, 0, stored_values(members, type)};
    buffer.count =
        members.find("values") ? std::ssize(*members.find("values")) : members.integer("count");
    return buffer;
  }
  if (!value.is_array()) wrong_type(value, "an array of numbers, a path, or an object");
  const bool whole = std::ranges::all_of(value, &json::is_number_integer);
  return {name, whole ? ElementType::i32 : ElementType::f32, std::ssize(value),
          whole ? bytes_of<std::int32_t>(value) : bytes_of<float>(value)};
}

// Written without point and exponent: an int.
Scalar scalar_from_json(const std::string& name, const json& value) {
  Scalar scalar{name, 0.0f};
  if (value.is_number_integer()) scalar.value = 0;
  std::visit([&](auto& number) { read_value(value, number); }, scalar.value);
  return scalar;
}

// Calls `visit` with each name and value of the object at `key`, if there is one.
template <typename Visit>
void for_each_named(const Members& members, const char* key, const Visit& visit) {
  const json* object = members.find(key);
  if (!object) return;
  at_place(key, [&] {
    if (!object->is_object()) wrong_type(*object, "an object");
    for (const auto& [name, value] : object->items()) {
      at_place(name, [&, &name = name, &value = value] { visit(name, value); });
    }
  });
}

}  // namespace

NpyArray array_from_file(const json& path, const JsonContext& context,
                         std::optional<std::size_t> rank) {
  std::string name;
  read_value(path, name);
  NpyArray array = read_npy((std::filesystem::path(context.folder) / name).string());
  if (rank && array.shape.size() != *rank) {
    invalid("{}: shape ({}) has {} dimensions, not {}", array.path, fmt::join(array.shape, ", "),
            array.shape.size(), *rank);
  }
  return array;
}

NestedArray<std::int32_t> index_array(const json& value, std::size_t rank,
                                      const JsonContext& context) {
  if (!value.is_string()) return nested_array<std::int32_t>(value, rank);
  const NpyArray array = array_from_file(value, context, rank);
  if (array.type != NpyType::i32) invalid("{}: elements must be '<i4' or '<i8'", array.path);
  std::vector<std::int32_t> values(array.data.size() / sizeof(std::int32_t));
  if (!values.empty()) std::memcpy(values.data(), array.data.data(), array.data.size());
  return {array.shape, std::move(values)};
}

std::vector<std::byte> stored_values(const Members& members, ElementType type) {
  const json* values = members.find("values");
  if (!values) return {};
  return at_place("values", [&] {
    switch (type) {
      case ElementType::u8:
        return bytes_of<std::uint8_t>(*values);
      case ElementType::i32:
        return bytes_of<std::int32_t>(*values);
      case ElementType::f32:
        return bytes_of<float>(*values);
      case ElementType::f16:
      case ElementType::bf16:
        break;
    }
    std::vector<float> wide;
    read_value(*values, wide);
    std::vector<std::byte> result(wide.size() * size_of(type));
    const DataType narrow = type == ElementType::f16 ? DataType::f16 : DataType::bf16;
    for (std::size_t i = 0; i < wide.size(); ++i) {
      store_element(narrow, wide[i], result.data(), static_cast<std::int64_t>(i));
    }
    return result;
  });
}

Expression expression_from_json(const json& object, const JsonContext& context) {
  const Members members(object, {"expression", "buffers", "scalars"});
  Expression expression{members.get<std::string>("expression"), {}, {}};
  for_each_named(members, "buffers", [&](const std::string& name, const json& value) {
    expression.buffers.push_back(
        std::make_shared<const Buffer>(buffer_from_json(name, value, context)));
  });
  for_each_named(members, "scalars", [&](const std::string& name, const json& value) {
    expression.scalars.push_back(scalar_from_json(name, value));
  });
  return expression;
}

}  // namespace clattn
