#include "host/c_api/convert.hpp"

namespace clattn::c_api {

Extent read_extent(const clattn_extent& extent) {
  for (const auto& [name, length] :
       {std::pair("query_len", extent.query_len), std::pair("key_len", extent.key_len)}) {
    if (length < 0 || length > Problem::kMaxLength) {
      invalid("{} is {}, but must be from 0 to {}", name, length, Problem::kMaxLength);
    }
  }
  return {extent.query_len, extent.key_len};
}

Slice read_slice(const clattn_slice& slice, const clattn_sizes& sizes) {
  if (slice.batch < 0 || slice.batch >= sizes.batch || slice.head < 0 ||
      slice.head >= sizes.heads) {
    invalid("batch {}, head {} is no slice of batch {} and heads {}", slice.batch, slice.head,
            sizes.batch, sizes.heads);
  }
  return {slice.batch, slice.head};
}

Point read_point(const clattn_point& point, const clattn_sizes& sizes) {
  read_slice({point.batch, point.head}, sizes);
  if (point.query < 0 || point.query >= sizes.query_len || point.key < 0 ||
      point.key >= sizes.key_len) {
    invalid("query {}, key {} is no point of query_len {} and key_len {}", point.query, point.key,
            sizes.query_len, sizes.key_len);
  }
  return {point.batch, point.head, point.query, point.key};
}

BlockShape read_block_shape(const clattn_block_shape& shape) {
  return {shape.query_block, shape.key_block, shape.batch, shape.heads, shape.capacity};
}

clattn_block_shape write_block_shape(const BlockShape& shape) {
  return {shape.query_block, shape.key_block, shape.batch, shape.heads, shape.capacity};
}

std::span<const cl_event> read_wait_list(cl_uint num_wait, const cl_event* wait_list) {
  if (num_wait) require(wait_list, "wait_list");
  for (cl_uint i = 0; i < num_wait; ++i) {
    if (!wait_list[i]) invalid("wait_list[{}] is null", i);
  }
  return {wait_list, num_wait};
}

BlockListBuffers read_list_buffers(const clattn_block_list_buffers& source) {
  return {source.partial_count, source.partial_index, source.full_count,
          source.full_index,    source.key_lengths,   source.row_order};
}

std::vector<NamedMemory> read_named_memory(const clattn_named_memory* buffers, std::size_t count) {
  std::vector<NamedMemory> result;
  for (const clattn_named_memory& buffer : read_array(buffers, count, "buffers")) {
    if (!buffer.name) invalid("the name of buffers[{}] is null", result.size());
    result.push_back({buffer.name, buffer.buffer});
  }
  return result;
}

}  // namespace clattn::c_api
