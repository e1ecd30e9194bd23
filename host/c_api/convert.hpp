// The conversions between the structs of the C API and the C++ ones that several of its files need:
// read_... from C, write_... to C. A write_... makes all that can fail before it touches the
// caller's struct.
#pragma once

#include <clattn/clattn.h>

#include <clattn/blocks.hpp>
#include <clattn/engine.hpp>
#include <clattn/expression.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/c_api/shared.hpp"

namespace clattn::c_api {

// ---- Devices (device.cpp)

void write_device(const Device& source, clattn_device& target);
DeviceFacts read_facts(const clattn_device& source);

// ---- Expressions (expression.cpp)

std::shared_ptr<const Buffer> read_buffer(const clattn_buffer& source);
Expression read_expression(const clattn_expression* source);
// `expression` is what `writer` collected the rest for.
void write_hooks(ExpressionWriter writer, std::string expression, clattn_hooks& target);

// ---- Masks (convert.cpp)

Extent read_extent(const clattn_extent& extent);
inline clattn_extent write_extent(const Extent& extent) {
  return {extent.query_len, extent.key_len};
}
inline clattn_point write_point(const Point& point) {
  return {point.batch, point.head, point.query, point.key};
}
inline std::string read_folder(const char* folder) { return folder ? folder : ""; }
// Null is the dense mask.
inline Mask read_optional_mask(const clattn_mask* mask) {
  return mask ? mask->object : dense_mask();
}

// Lays a mask or a modifier over sizes: throws where `node` can't be.
template <typename Node>
Extent lay(const Node& node, const clattn_sizes& sizes) {
  const Extent extent = read_extent({sizes.query_len, sizes.key_len});
  for (const auto& [name, count] :
       {std::pair("batch", sizes.batch), std::pair("heads", sizes.heads)}) {
    if (count < 0) invalid("{} is {}, but must be 0 or more", name, count);
  }
  node.validate(extent, sizes.batch, sizes.heads);
  return extent;
}
Slice read_slice(const clattn_slice& slice, const clattn_sizes& sizes);
Point read_point(const clattn_point& point, const clattn_sizes& sizes);

// ---- Block lists (blocks.cpp; the shape: convert.cpp)

BlockShape read_block_shape(const clattn_block_shape& shape);
clattn_block_shape write_block_shape(const BlockShape& shape);
BlockLists read_lists(const clattn_block_lists* source);

// ---- Token orders (permutation.cpp)

TokenOrder read_token_order(const clattn_token_order& source);
clattn_token_order write_token_order(const TokenOrder& source);

// ---- Problems (problem.cpp)

DataType read_data_type(std::int32_t type);
Problem read_problem(const clattn_problem* source);
Problem read_valid_problem(const clattn_problem* source);
void write_problem(const Problem& source, clattn_problem& target);

// ---- Launches (convert.cpp)

std::span<const cl_event> read_wait_list(cl_uint num_wait, const cl_event* wait_list);
BlockListBuffers read_list_buffers(const clattn_block_list_buffers& source);
std::vector<NamedMemory> read_named_memory(const clattn_named_memory* buffers, std::size_t count);

}  // namespace clattn::c_api
