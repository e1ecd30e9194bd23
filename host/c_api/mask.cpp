// The constructors of masks.
#include <clattn/neighborhood.hpp>
#include <optional>

#include "host/c_api/convert.hpp"

namespace clattn::c_api {
namespace {

static_assert(same(CausalAlign::bottom_right, CLATTN_CAUSAL_ALIGN_BOTTOM_RIGHT) &&
              same(CausalAlign::top_left, CLATTN_CAUSAL_ALIGN_TOP_LEFT));

std::optional<std::int64_t> read_end(std::int64_t end) {
  return end == CLATTN_WINDOW_UNBOUNDED ? std::nullopt : std::optional(end);
}

std::vector<Mask> read_masks(clattn_mask* const* masks, std::size_t count) {
  std::vector<Mask> result;
  for (const clattn_mask* mask : read_array(masks, count, "masks")) {
    if (!mask) invalid("masks[{}] is null", result.size());
    result.push_back(mask->object);
  }
  return result;
}

Neighborhood read_neighborhood(const clattn_neighborhood* source) {
  require(source, "neighborhood");
  constexpr std::int64_t kMaxRank = sizeof source->grid / sizeof source->grid[0];
  if (source->rank < 1 || source->rank > kMaxRank) {
    invalid("the neighborhood's rank is {}, but must be 1 to {}", source->rank, kMaxRank);
  }
  Neighborhood result;
  result.extra_keys = source->extra_keys;
  for (std::int64_t d = 0; d < source->rank; ++d) {
    const auto or_one = [&](const std::int64_t* values) { return values[d] ? values[d] : 1; };
    result.grid.push_back(source->grid[d]);
    result.window.push_back(source->window[d]);
    result.stride.push_back(or_one(source->stride));
    result.dilation.push_back(or_one(source->dilation));
    result.causal.push_back(source->causal[d] != 0);
  }
  return result;
}

}  // namespace
}  // namespace clattn::c_api

using namespace clattn::c_api;

clattn_status clattn_mask_create_dense(clattn_mask** mask) {
  return create(mask, "mask", [] { return clattn::dense_mask(); });
}

clattn_status clattn_mask_create_causal(int32_t align, clattn_mask** mask) {
  return create(mask, "mask", [&] {
    return clattn::causal_mask(to_enum(align, clattn::CausalAlign::top_left, "causal align"));
  });
}

clattn_status clattn_mask_create_window(int64_t left, int64_t right, clattn_mask** mask) {
  return create(mask, "mask", [&] { return clattn::window_mask(read_end(left), read_end(right)); });
}

clattn_status clattn_mask_create_dilated_window(int64_t left, int64_t right, int64_t dilation,
                                                clattn_mask** mask) {
  return create(mask, "mask", [&] {
    return clattn::dilated_window_mask(read_end(left), read_end(right), dilation);
  });
}

clattn_status clattn_mask_create_prefix(int64_t length, clattn_mask** mask) {
  return create(mask, "mask", [&] { return clattn::prefix_mask(length); });
}

clattn_status clattn_mask_create_sink(int64_t tokens, clattn_mask** mask) {
  return create(mask, "mask", [&] { return clattn::sink_mask(tokens); });
}

clattn_status clattn_mask_create_global(const int64_t* tokens, size_t count, clattn_mask** mask) {
  return create(mask, "mask",
                [&] { return clattn::global_mask(copy_array(tokens, count, "tokens")); });
}

clattn_status clattn_mask_create_random_blocks(int64_t query_block, int64_t key_block,
                                               int64_t count, uint32_t seed, clattn_mask** mask) {
  return create(mask, "mask",
                [&] { return clattn::random_blocks_mask(query_block, key_block, count, seed); });
}

clattn_status clattn_mask_create_neighborhood(const clattn_neighborhood* neighborhood,
                                              clattn_mask** mask) {
  return create(mask, "mask",
                [&] { return clattn::neighborhood_mask(read_neighborhood(neighborhood)); });
}

clattn_status clattn_mask_create_documents(const int64_t* query_lengths, const int64_t* key_lengths,
                                           size_t count, const clattn_mask* inside,
                                           clattn_mask** mask) {
  return create(mask, "mask", [&] {
    clattn::DocumentLengths lengths;
    lengths.queries = copy_array(query_lengths, count, "query_lengths");
    lengths.keys = key_lengths ? copy_array(key_lengths, count, "key_lengths") : lengths.queries;
    return clattn::documents_mask(std::move(lengths), read_optional_mask(inside));
  });
}

clattn_status clattn_mask_create_per_head(clattn_mask* const* masks, size_t count,
                                          clattn_mask** mask) {
  return create(mask, "mask", [&] { return clattn::per_head_mask(read_masks(masks, count)); });
}

clattn_status clattn_mask_create_all_of(clattn_mask* const* masks, size_t count,
                                        clattn_mask** mask) {
  return create(mask, "mask", [&] { return clattn::all_of_mask(read_masks(masks, count)); });
}

clattn_status clattn_mask_create_any_of(clattn_mask* const* masks, size_t count,
                                        clattn_mask** mask) {
  return create(mask, "mask", [&] { return clattn::any_of_mask(read_masks(masks, count)); });
}

clattn_status clattn_mask_create_not(const clattn_mask* inner, clattn_mask** mask) {
  return create(mask, "mask", [&] {
    require(inner, "inner");
    return clattn::not_mask(inner->object);
  });
}

clattn_status clattn_mask_create_expression(const clattn_expression* expression,
                                            clattn_allows_callback allows, void* user,
                                            clattn_mask** mask) {
  return create(mask, "mask", [&] {
    std::function<bool(const clattn::Point&, const clattn::Extent&)> function;
    if (allows) {
      function = [=](const clattn::Point& point, const clattn::Extent& extent) {
        return allows(write_point(point), write_extent(extent), user) != 0;
      };
    }
    return clattn::expression_mask(read_expression(expression), std::move(function));
  });
}

clattn_status clattn_mask_create_blocks(clattn_block_shape shape, int64_t query_blocks,
                                        int64_t key_blocks, const uint8_t* kept, size_t count,
                                        clattn_mask** mask) {
  return create(mask, "mask", [&] {
    return clattn::blocks_mask(read_block_shape(shape), query_blocks, key_blocks,
                               copy_array(kept, count, "kept"));
  });
}

clattn_status clattn_mask_create_block_lists(const clattn_block_lists* lists, clattn_extent extent,
                                             const clattn_mask* inside, clattn_mask** mask) {
  return create(mask, "mask", [&] {
    return clattn::block_lists_mask(read_lists(lists), read_extent(extent),
                                    read_optional_mask(inside));
  });
}

clattn_status clattn_mask_create_from_json(const char* text, const char* folder,
                                           const clattn_extent* extent, clattn_mask** mask) {
  return create(mask, "mask", [&] {
    require(text, "text");
    return clattn::mask_from_json(text, read_folder(folder),
                                  extent ? std::optional(read_extent(*extent)) : std::nullopt);
  });
}

clattn_status clattn_mask_retain(clattn_mask* mask) { return retain(mask, "mask"); }

void clattn_mask_release(clattn_mask* mask) { release(mask); }
