// Block lists on the host, and builders of lists on a device.
#include "host/masks/blocks.hpp"

#include "host/c_api/convert.hpp"

namespace clattn::c_api {
namespace {

using SelectionKind = BlockSelection::Kind;

static_assert(same(SelectionKind::nonzero, CLATTN_SELECTION_KIND_NONZERO) &&
              same(SelectionKind::threshold, CLATTN_SELECTION_KIND_THRESHOLD) &&
              same(SelectionKind::top_k, CLATTN_SELECTION_KIND_TOP_K) &&
              same(SelectionKind::top_p, CLATTN_SELECTION_KIND_TOP_P));

clattn_int32_array write_array(const std::vector<std::int32_t>& values) {
  return {values.data(), values.size()};
}

clattn_block_lists default_lists() {
  clattn_block_lists lists{};
  lists.struct_size = sizeof lists;
  lists.shape = write_block_shape({});
  return lists;
}

clattn_block_list_buffers write_list_buffers(const BlockListBuffers& source) {
  return {source.partial_count, source.partial_index, source.full_count,
          source.full_index,    source.key_lengths,   source.row_order};
}

// The lists that make() gives, into a struct of the caller's.
template <typename Make>
void give_lists(clattn_block_lists* target, const char* name, Make&& make) {
  require_struct(target, name, "clattn_block_lists");
  auto parts = std::make_unique<BlockLists>(make());  // what `owned` of lists points to
  clattn_block_lists lists = default_lists();
  lists.shape = write_block_shape(parts->shape);
  lists.partial_count = write_array(parts->partial_count);
  lists.partial_index = write_array(parts->partial_index);
  lists.full_count = write_array(parts->full_count);
  lists.full_index = write_array(parts->full_index);
  lists.key_lengths = write_array(parts->key_lengths);
  lists.owned = parts.release();
  *target = lists;
}

BlockSelection read_selection(const clattn_block_selection* source) {
  require_struct(source, "selection", "clattn_block_selection");
  return {to_enum(source->kind, SelectionKind::top_p, "selection kind"),
          source->buffer,
          source->threshold,
          source->count,
          source->share,
          source->keep_crossing != 0};
}

}  // namespace

BlockLists read_lists(const clattn_block_lists* source) {
  require_struct(source, "lists", "clattn_block_lists");
  const auto read = [](const clattn_int32_array& array, const char* name) {
    return copy_array(array.values, array.count, name);
  };
  return {read_block_shape(source->shape),
          read(source->partial_count, "partial_count"),
          read(source->partial_index, "partial_index"),
          read(source->full_count, "full_count"),
          read(source->full_index, "full_index"),
          read(source->key_lengths, "key_lengths")};
}

}  // namespace clattn::c_api

using namespace clattn::c_api;
using clattn::invalid;

// ---- Lists

clattn_status clattn_block_lists_init(clattn_block_lists* lists, size_t struct_size) {
  return init(lists, struct_size, "lists", "clattn_block_lists", default_lists());
}

void clattn_block_lists_release_parts(clattn_block_lists* lists) {
  if (!lists || !lists->owned) return;
  delete static_cast<clattn::BlockLists*>(lists->owned);
  const clattn_block_shape shape = lists->shape;
  *lists = default_lists();
  lists->shape = shape;
}

clattn_status clattn_block_shape_get_counts(clattn_block_shape shape, clattn_extent extent,
                                            int64_t* query_blocks, int64_t* key_blocks,
                                            int64_t* capacity) {
  return guarded([&] {
    const clattn::BlockShape blocks = read_block_shape(shape);
    const clattn::Extent lengths = read_extent(extent);
    clattn::check_at_least("query_block", blocks.query_block, 1);
    clattn::check_at_least("key_block", blocks.key_block, 1);
    clattn::check_at_least("capacity", blocks.capacity, 0);
    if (query_blocks) *query_blocks = blocks.query_blocks(lengths);
    if (key_blocks) *key_blocks = blocks.key_blocks(lengths);
    if (capacity) *capacity = blocks.row_capacity(lengths);
  });
}

clattn_status clattn_block_lists_validate(const clattn_block_lists* lists, clattn_extent extent) {
  return guarded([&] { clattn::validate(read_lists(lists), read_extent(extent)); });
}

clattn_status clattn_block_lists_make(const clattn_mask* mask, clattn_block_shape shape,
                                      clattn_sizes sizes, clattn_block_lists* lists) {
  return guarded([&] {
    require(mask, "mask");
    give_lists(lists, "lists", [&] {
      const clattn::Extent extent = lay(*mask->object, sizes);
      for (const auto& [name, size, whole] : {std::tuple("batch", shape.batch, sizes.batch),
                                              std::tuple("heads", shape.heads, sizes.heads)}) {
        if (size == 1 || size == whole) continue;
        invalid("{} of the block shape is {}, but must be 1 or {}, the problem's", name, size,
                whole);
      }
      return clattn::make_block_lists(*mask->object, read_block_shape(shape), extent);
    });
  });
}

clattn_status clattn_block_lists_transpose(const clattn_block_lists* lists, clattn_extent extent,
                                           clattn_block_lists* transposed) {
  return guarded([&] {
    give_lists(transposed, "transposed",
               [&] { return clattn::transpose(read_lists(lists), read_extent(extent)); });
  });
}

// ---- Builders

clattn_status clattn_block_selection_init(clattn_block_selection* selection, size_t struct_size) {
  clattn_block_selection defaults{};
  defaults.keep_crossing = 1;
  return init(selection, struct_size, "selection", "clattn_block_selection", defaults);
}

clattn_status clattn_block_builder_create(const clattn_engine* engine,
                                          const clattn_problem* problem,
                                          clattn_block_builder** builder) {
  return create(builder, "builder", [&] {
    require(engine, "engine");
    return clattn::BlockBuilder(engine->object, read_problem(problem));
  });
}

clattn_status clattn_block_builder_retain(clattn_block_builder* builder) {
  return retain(builder, "builder");
}

void clattn_block_builder_release(clattn_block_builder* builder) { release(builder); }

clattn_status clattn_block_builder_build(clattn_block_builder* builder, cl_command_queue queue,
                                         const clattn_block_selection* selection,
                                         const clattn_named_memory* buffers, size_t buffer_count,
                                         cl_uint num_wait, const cl_event* wait_list,
                                         cl_event* event) {
  return guarded([&] {
    require(builder, "builder");
    require(queue, "queue");
    const auto events = read_wait_list(num_wait, wait_list);
    const std::vector<clattn::NamedMemory> named = read_named_memory(buffers, buffer_count);
    clattn::BlockBuilder& object = builder->object;
    clattn::Event last = selection ? object.build(queue, read_selection(selection), events, named)
                                   : object.build(queue, events, named);
    if (event) *event = last.release();
  });
}

clattn_status clattn_block_builder_get_lists(const clattn_block_builder* builder,
                                             clattn_block_list_buffers* lists) {
  return guarded([&] {
    require(builder, "builder");
    require(lists, "lists");
    *lists = write_list_buffers(builder->object.lists());
  });
}

clattn_status clattn_block_builder_get_transposed(const clattn_block_builder* builder,
                                                  clattn_block_list_buffers* lists) {
  return guarded([&] {
    require(builder, "builder");
    require(lists, "lists");
    *lists = write_list_buffers(builder->object.transposed());
  });
}

clattn_status clattn_block_builder_download(const clattn_block_builder* builder,
                                            cl_command_queue queue, clattn_block_lists* lists) {
  return guarded([&] {
    require(builder, "builder");
    require(queue, "queue");
    give_lists(lists, "lists", [&] { return builder->object.download(queue); });
  });
}

clattn_status clattn_block_list_buffers_check(cl_command_queue queue, const clattn_problem* problem,
                                              const clattn_block_list_buffers* lists) {
  return guarded([&] {
    require(queue, "queue");
    const clattn::Problem source = read_problem(problem);
    require(lists, "lists");
    clattn::check_block_lists(queue, source, read_list_buffers(*lists));
  });
}
