// What masks tell: their views, the count of visible pairs, JSON and hooks.
#include <algorithm>

#include "host/c_api/convert.hpp"

namespace clattn::c_api {
namespace {

static_assert(same(Coverage::none, CLATTN_COVERAGE_NONE) &&
              same(Coverage::some, CLATTN_COVERAGE_SOME) &&
              same(Coverage::all, CLATTN_COVERAGE_ALL));

Range read_range(const clattn_range& range, std::int64_t length, const char* name) {
  if (range.begin < 0 || range.begin > range.end || range.end > length) {
    invalid("{} [{}, {}) are not a range within [0, {})", name, range.begin, range.end, length);
  }
  return {range.begin, range.end};
}

}  // namespace
}  // namespace clattn::c_api

using namespace clattn::c_api;

clattn_status clattn_mask_to_json(const clattn_mask* mask, char** text) {
  return guarded([&] {
    require(mask, "mask");
    require(text, "text");
    *text = duplicate(mask->object->to_json());
  });
}

clattn_status clattn_mask_validate(const clattn_mask* mask, clattn_sizes sizes) {
  return guarded([&] {
    require(mask, "mask");
    lay(*mask->object, sizes);
  });
}

clattn_status clattn_mask_allows(const clattn_mask* mask, clattn_sizes sizes, clattn_point point,
                                 int32_t* allows) {
  return guarded([&] {
    require(mask, "mask");
    require(allows, "allows");
    const clattn::Extent extent = lay(*mask->object, sizes);
    *allows = mask->object->allows(read_point(point, sizes), extent);
  });
}

clattn_status clattn_mask_classify(const clattn_mask* mask, clattn_sizes sizes, clattn_slice slice,
                                   clattn_range queries, clattn_range keys, int32_t* coverage) {
  return guarded([&] {
    require(mask, "mask");
    require(coverage, "coverage");
    const clattn::Extent extent = lay(*mask->object, sizes);
    const clattn::Range rows = read_range(queries, extent.query_len, "queries");
    const clattn::Range columns = read_range(keys, extent.key_len, "keys");
    *coverage = static_cast<std::int32_t>(
        mask->object->classify(read_slice(slice, sizes), rows, columns, extent));
  });
}

clattn_status clattn_mask_reach(const clattn_mask* mask, clattn_sizes sizes, clattn_slice slice,
                                clattn_range queries, clattn_range* keys) {
  return guarded([&] {
    require(mask, "mask");
    require(keys, "keys");
    const clattn::Extent extent = lay(*mask->object, sizes);
    const clattn::Range rows = read_range(queries, extent.query_len, "queries");
    const clattn::Range reach = mask->object->reach(read_slice(slice, sizes), rows, extent);
    *keys = {reach.begin, reach.end};
  });
}

clattn_status clattn_mask_get_variation(const clattn_mask* mask, int32_t* batch, int32_t* head) {
  return guarded([&] {
    require(mask, "mask");
    require(batch, "batch");
    require(head, "head");
    const clattn::Variation variation = mask->object->variation();
    *batch = variation.batch;
    *head = variation.head;
  });
}

clattn_status clattn_mask_get_seams(const clattn_mask* mask, clattn_sizes sizes, clattn_slice slice,
                                    int64_t* seams, size_t capacity, size_t* count) {
  return guarded([&] {
    require(mask, "mask");
    const auto room = read_array(seams, capacity, "seams");
    require(count, "count");
    const clattn::Extent extent = lay(*mask->object, sizes);
    const std::vector<std::int64_t> all = mask->object->seams(read_slice(slice, sizes), extent);
    std::copy_n(all.begin(), std::min(all.size(), room.size()), room.begin());
    *count = all.size();
  });
}

clattn_status clattn_mask_count_visible_pairs(const clattn_mask* mask, clattn_sizes sizes,
                                              clattn_slice slice, int64_t budget, int32_t* found,
                                              int64_t* pairs) {
  return guarded([&] {
    require(mask, "mask");
    require(found, "found");
    require(pairs, "pairs");
    const clattn::Extent extent = lay(*mask->object, sizes);
    const auto counted =
        clattn::count_visible_pairs(*mask->object, read_slice(slice, sizes), extent, budget);
    *found = counted.has_value();
    if (counted) *pairs = *counted;
  });
}

clattn_status clattn_mask_get_hooks(const clattn_mask* mask, clattn_hooks* hooks) {
  return guarded([&] {
    require(mask, "mask");
    require_struct(hooks, "hooks", "clattn_hooks");
    clattn::ExpressionWriter writer;
    std::string expression = mask->object->expression(writer);
    write_hooks(std::move(writer), std::move(expression), *hooks);
  });
}
