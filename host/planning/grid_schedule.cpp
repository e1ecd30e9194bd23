// Schedules whose rows are boxes of a grid. A gathered row names its tokens by lists of offsets
// from the first token of its box: lists that say the same are kept once, so that there are as many
// as kinds of tiles (inside, along each border), not as there are tiles. Keys that all queries of a
// row see come in whole steps without a mask; all others of the box stand in front of them. Where
// there are tiles of keys, the tables hold every token once, in the order of the tiles, and a row
// walks the tiles of keys that its box touches.
#include <algorithm>
#include <array>
#include <map>

#include "host/masks/grid_fields.hpp"
#include "host/planning/tilings.hpp"

namespace clattn {
namespace {

constexpr std::size_t kMaxRank = 3;
using Coordinates = std::array<std::int64_t, kMaxRank>;

clattn_int32 narrow(std::int64_t value) { return static_cast<clattn_int32>(value); }

// Calls body(coordinates) for every point from `begin` to `end`, row-major over `rank` dimensions.
template <typename Body>
void for_each_point(std::size_t rank, const Coordinates& begin, const Coordinates& end,
                    const Body& body) {
  for (std::size_t d = 0; d < rank; ++d) {
    if (begin[d] >= end[d]) return;
  }
  Coordinates point = begin;
  for (;;) {
    body(point);
    std::size_t d = rank;
    while (d > 0 && ++point[d - 1] == end[d - 1]) {
      point[d - 1] = begin[d - 1];
      --d;
    }
    if (d == 0) return;
  }
}

class GridScheduler {
 public:
  GridScheduler(const Problem& problem, const GridProblem& grid, const Tiling& tiling,
                const Tile& tile, ScheduleMaker& maker)
      : problem_(problem),
        tiling_(tiling),
        tile_(tile),
        maker_(maker),
        grid_(grid.slices.front().neighborhood->grid),
        rank_(grid_.size()),
        fields_(grid_) {
    std::int64_t plane = 1;
    for (std::size_t d = rank_; d-- > 0; plane *= grid_[d]) planes_[d] = plane;
    tokens_ = plane;
  }

  // The rows of a slice.
  virtual void add_slice(std::int64_t index, const NeighborhoodHint& hint) = 0;
  virtual ~GridScheduler() = default;

  std::vector<clattn_query_entry> query_entries;
  std::vector<clattn_key_entry> key_entries;

 protected:
  struct Group {
    Coordinates at = {};
    Coordinates length = {};
    std::array<NeighborhoodAxis, kMaxRank> axes;
  };
  using Box = std::array<AxisTile, kMaxRank>;

  template <typename Body>
  void for_each_group(const Neighborhood& neighborhood, const Body& body) const {
    Coordinates end = {};
    std::copy(neighborhood.dilation.begin(), neighborhood.dilation.end(), end.begin());
    for_each_point(rank_, {}, end, [&](const Coordinates& at) {
      Group group;
      group.at = at;
      for (std::size_t d = 0; d < rank_; ++d) {
        group.axes[d] = neighborhood_axis(neighborhood, d, at[d]);
        group.length[d] = group.axes[d].length;
      }
      body(group);
    });
  }

  // Every tile of queries of a group, row-major.
  template <typename Body>
  void for_each_tile(const Group& group, const Body& body) const {
    Coordinates tiles = {};
    for (std::size_t d = 0; d < rank_; ++d) {
      tiles[d] = (group.length[d] + tiling_.query_tile[d] - 1) / tiling_.query_tile[d];
    }
    for_each_point(rank_, {}, tiles, [&](const Coordinates& at) {
      std::array<Range, kMaxRank> queries;
      for (std::size_t d = 0; d < rank_; ++d) {
        const std::int64_t begin = at[d] * tiling_.query_tile[d];
        queries[d] = {begin, std::min(begin + tiling_.query_tile[d], group.length[d])};
      }
      body(queries);
    });
  }

  clattn_span span(const NeighborhoodHint& hint, std::int64_t begin, std::int64_t end, bool masked,
                   std::int64_t token) const {
    clattn_span span = {narrow(begin), narrow(end), CLATTN_MASK_NONE, 0, 0, narrow(token)};
    if (!hint.exact || (masked && !fields_.fit())) {
      span.mask = CLATTN_MASK_EXPRESSION;
    } else if (masked) {
      span.mask = CLATTN_MASK_BOX;
      span.first = fields_.guard();
    }
    return span;
  }

  const Problem& problem_;
  const Tiling& tiling_;
  const Tile& tile_;
  ScheduleMaker& maker_;
  const std::vector<std::int64_t>& grid_;
  const std::size_t rank_;
  const GridFields fields_;
  Coordinates planes_ = {};  // tokens from one coordinate to the next
  std::int64_t tokens_ = 0;  // of the grid
};

// Numbers what differs, from 0 on.
template <typename Key>
class Numbers {
 public:
  // The number of a key, and whether it is new.
  std::pair<std::int64_t, bool> of(const Key& key) {
    const auto [place, is_new] = numbers_.try_emplace(key, std::ssize(numbers_));
    return {place->second, is_new};
  }

 private:
  std::map<Key, std::int64_t> numbers_;
};

class GatheredScheduler final : public GridScheduler {
 public:
  using GridScheduler::GridScheduler;

  void add_slice(std::int64_t index, const NeighborhoodHint& hint) override {
    const Neighborhood& neighborhood = *hint.neighborhood;
    dilation_ = neighborhood.dilation;
    const std::int64_t extra = problem_.key_len - tokens_;
    std::vector<clattn_span> spans;
    for_each_group(neighborhood, [&](const Group& group) {
      for_each_tile(group, [&](const std::array<Range, kMaxRank>& queries) {
        Box box;
        std::int64_t query_token = 0, key_token = 0;
        for (std::size_t d = 0; d < rank_; ++d) {
          box[d] = axis_tile(group.axes[d], queries[d], 1);
          query_token += (queries[d].begin * dilation_[d] + group.at[d]) * planes_[d];
          key_token += (box[d].any.begin * dilation_[d] + group.at[d]) * planes_[d];
        }
        const Range list = query_list(group, box);
        const KeyList keys = key_list(box, hint.exact);
        spans.clear();
        const std::int64_t middle = keys.begin + keys.masked;
        if (keys.masked > 0) spans.push_back(span(hint, keys.begin, middle, true, key_token));
        if (keys.end > middle) spans.push_back(span(hint, middle, keys.end, false, key_token));
        if (extra > 0) {
          const std::int64_t begin = extra_list(extra);
          spans.push_back(span(hint, begin, begin + extra, false, tokens_));
        }
        maker_.add_row(index, {narrow(list.begin), narrow(list.end), narrow(query_token), 0},
                       spans);
      });
    });
  }

 private:
  struct KeyList {
    std::int64_t begin, end;
    std::int64_t masked;  // of them, the first
  };

  // Offsets of the queries of a box from its first one, and their boxes from its first key.
  Range query_list(const Group& group, const Box& box) {
    std::array<std::int64_t, kMaxRank> kinds = {};
    for (std::size_t d = 0; d < rank_; ++d) {
      std::vector<std::int64_t> kind = {static_cast<std::int64_t>(d), dilation_[d]};
      for (std::int64_t x = box[d].queries.begin; x < box[d].queries.end; ++x) {
        const Range keys = group.axes[d].keys_of(x);
        kind.insert(kind.end(), {keys.begin - box[d].any.begin, keys.end - box[d].any.begin});
      }
      kinds[d] = axis_kinds_.of(kind).first;
    }
    const auto [number, is_new] = query_kinds_.of(kinds);
    if (is_new) {
      const std::int64_t begin = std::ssize(query_entries);
      Coordinates size = {};
      for (std::size_t d = 0; d < rank_; ++d) size[d] = box[d].queries.size();
      for_each_point(rank_, {}, size, [&](const Coordinates& at) {
        std::int64_t token = 0, low = 0, high = fields_.guard();
        for (std::size_t d = 0; d < rank_; ++d) {
          const Range keys = group.axes[d].keys_of(box[d].queries.begin + at[d]);
          token += at[d] * dilation_[d] * planes_[d];
          low += fields_.packed(d, keys.begin - box[d].any.begin);
          high += fields_.packed(d, keys.end - 1 - box[d].any.begin);
        }
        query_entries.push_back({narrow(token), narrow(low), narrow(high)});
      });
      query_lists_.push_back({begin, std::ssize(query_entries)});
    }
    return query_lists_[static_cast<std::size_t>(number)];
  }

  // Offsets of the keys of a box from its first one: those that need the mask, then, in whole
  // steps, those that do not.
  KeyList key_list(const Box& box, bool exact) {
    std::array<std::int64_t, 4 * kMaxRank + 1> kind = {exact};
    Coordinates size = {}, all_begin = {}, all_end = {};
    std::int64_t keys = 1, free_keys = exact ? 1 : 0;
    for (std::size_t d = 0; d < rank_; ++d) {
      size[d] = box[d].any.size();
      all_begin[d] = box[d].all.begin - box[d].any.begin;
      all_end[d] = box[d].all.end - box[d].any.begin;
      keys *= size[d];
      free_keys *= all_end[d] - all_begin[d];
      const std::int64_t of_axis[] = {size[d], all_begin[d], all_end[d], dilation_[d]};
      std::ranges::copy(of_axis, kind.begin() + 1 + 4 * static_cast<std::ptrdiff_t>(d));
    }
    if (free_keys < keys) free_keys -= free_keys % tile_.keys;
    const auto [number, is_new] = key_kinds_.of(kind);
    if (is_new) {
      const std::int64_t begin = std::ssize(key_entries);
      std::vector<clattn_key_entry> unmasked;
      for_each_point(rank_, {}, size, [&](const Coordinates& at) {
        std::int64_t token = 0, coordinates = 0;
        bool all = true;
        for (std::size_t d = 0; d < rank_; ++d) {
          token += at[d] * dilation_[d] * planes_[d];
          coordinates += fields_.packed(d, at[d]);
          all = all && at[d] >= all_begin[d] && at[d] < all_end[d];
        }
        const clattn_key_entry entry = {narrow(token), narrow(coordinates)};
        const bool is_free = all && std::ssize(unmasked) < free_keys;
        (is_free ? unmasked : key_entries).push_back(entry);
      });
      key_entries.insert(key_entries.end(), unmasked.begin(), unmasked.end());
      key_lists_.push_back({begin, std::ssize(key_entries), keys - free_keys});
    }
    return key_lists_[static_cast<std::size_t>(number)];
  }

  // Extra keys stand behind the grid's, as they come.
  std::int64_t extra_list(std::int64_t extra) {
    if (extra_begin_ < 0) {
      extra_begin_ = std::ssize(key_entries);
      for (std::int64_t i = 0; i < extra; ++i) key_entries.push_back({narrow(i), 0});
    }
    return extra_begin_;
  }

  std::vector<std::int64_t> dilation_;
  Numbers<std::vector<std::int64_t>> axis_kinds_;
  Numbers<std::array<std::int64_t, kMaxRank>> query_kinds_;
  Numbers<std::array<std::int64_t, 4 * kMaxRank + 1>> key_kinds_;
  std::vector<Range> query_lists_;
  std::vector<KeyList> key_lists_;
  std::int64_t extra_begin_ = -1;
};

class OrderedScheduler final : public GridScheduler {
 public:
  OrderedScheduler(const Problem& problem, const GridProblem& grid, const Tiling& tiling,
                   const Tile& tile, ScheduleMaker& maker)
      : GridScheduler(problem, grid, tiling, tile, maker),
        query_tokens_(tokens_in_order(query_order(grid, tiling))) {
    const Neighborhood& neighborhood = *grid.slices.front().neighborhood;
    for (std::int32_t token : tokens_in_order(key_order(grid, tiling))) {
      std::int64_t coordinates = 0;
      for (std::size_t d = 0; d < rank_; ++d) {
        coordinates += fields_.packed(d, coordinate(token, d) / neighborhood.dilation[d]);
      }
      key_entries.push_back({token, narrow(coordinates)});
    }
    for (std::int64_t token = tokens_; token < problem_.key_len; ++token) {
      key_entries.push_back({narrow(token), 0});
    }
  }

  void add_slice(std::int64_t index, const NeighborhoodHint& hint) override {
    const std::int64_t entries = entries_of(*hint.neighborhood);
    std::int64_t position = 0;     // of the next tile of queries
    std::int64_t group_begin = 0;  // position of the group's first token
    for_each_group(*hint.neighborhood, [&](const Group& group) {
      for_each_tile(group, [&](const std::array<Range, kMaxRank>& queries) {
        std::int64_t count = 1;
        for (std::size_t d = 0; d < rank_; ++d) count *= queries[d].size();
        const std::int64_t rows = (count + tile_.queries - 1) / tile_.queries;
        const std::int64_t share = (count + rows - 1) / rows;
        const std::int64_t size = (share + tile_.granule - 1) / tile_.granule * tile_.granule;
        for (std::int64_t begin = 0; begin < count; begin += size) {
          const std::int64_t end = std::min(begin + size, count);
          const std::vector<clattn_span> spans =
              spans_of(hint, group, group_begin, piece(queries, begin, end));
          maker_.add_row(index,
                         {narrow(entries + position + begin), narrow(entries + position + end), 0,
                          narrow(-entries)},
                         spans);
        }
        position += count;
      });
      group_begin = position;
    });
  }

 private:
  std::int64_t coordinate(std::int64_t token, std::size_t dimension) const {
    return token / planes_[dimension] % grid_[dimension];
  }

  // Where the entries of a neighborhood's queries begin, in the order of the positions.
  std::int64_t entries_of(const Neighborhood& neighborhood) {
    for (const auto& [known, begin] : known_) {
      if (*known == neighborhood) return begin;
    }
    const std::int64_t begin = std::ssize(query_entries);
    known_.emplace_back(&neighborhood, begin);
    std::array<std::vector<Range>, kMaxRank> windows;  // of the coordinates of the grid
    for (std::size_t d = 0; d < rank_; ++d) {
      const std::int64_t dilation = neighborhood.dilation[d];
      for (std::int64_t i = 0; i < grid_[d]; ++i) {
        windows[d].push_back(
            neighborhood_axis(neighborhood, d, i % dilation).keys_of(i / dilation));
      }
    }
    for (std::int32_t token : query_tokens_) {
      std::int64_t low = 0, high = fields_.guard();
      for (std::size_t d = 0; d < rank_; ++d) {
        const Range& keys = windows[d][static_cast<std::size_t>(coordinate(token, d))];
        low += fields_.packed(d, keys.begin);
        high += fields_.packed(d, keys.end - 1);
      }
      query_entries.push_back({token, narrow(low), narrow(high)});
    }
    return begin;
  }

  // The smallest box of a tile that holds its queries [begin, end), row-major.
  std::array<Range, kMaxRank> piece(std::array<Range, kMaxRank> queries, std::int64_t begin,
                                    std::int64_t end) const {
    std::int64_t size = 1;
    for (std::size_t d = 0; d < rank_; ++d) size *= queries[d].size();
    for (std::size_t d = 0; d < rank_; ++d) {
      size /= queries[d].size();
      const std::int64_t first = begin / size, last = (end - 1) / size;
      queries[d] = {queries[d].begin + first, queries[d].begin + last + 1};
      if (first < last) break;  // all of the dimensions behind
      begin -= first * size;
      end -= first * size;
    }
    return queries;
  }

  std::vector<clattn_span> spans_of(const NeighborhoodHint& hint, const Group& group,
                                    std::int64_t group_begin,
                                    const std::array<Range, kMaxRank>& queries) const {
    Box box;
    Coordinates begin = {}, end = {};  // tiles of keys
    for (std::size_t d = 0; d < rank_; ++d) {
      const std::int64_t key_tile = tiling_.key_tile[d];
      box[d] = axis_tile(group.axes[d], queries[d], key_tile);
      begin[d] = box[d].any.begin / key_tile;
      end[d] = (box[d].any.end + key_tile - 1) / key_tile;
    }
    std::vector<clattn_span> spans;
    for_each_point(rank_, begin, end, [&](const Coordinates& at) {
      // Before a tile stand the tiles before it in each dimension, each whole in the dimensions
      // behind and as long as it in those in front.
      std::int64_t position = group_begin, count = 1;
      bool all = true;
      for (std::size_t d = 0; d < rank_; ++d) {
        const std::int64_t first = at[d] * tiling_.key_tile[d];
        const std::int64_t last = std::min(first + tiling_.key_tile[d], group.length[d]);
        std::int64_t before = first * count;
        for (std::size_t behind = d + 1; behind < rank_; ++behind) before *= group.length[behind];
        position += before;
        count *= last - first;
        all = all && first >= box[d].all.begin && last <= box[d].all.end;
      }
      append(spans, span(hint, position, position + count, !all, 0));
    });
    if (problem_.key_len > tokens_) {
      append(spans, span(hint, tokens_, problem_.key_len, false, 0));
    }
    return spans;
  }

  static void append(std::vector<clattn_span>& spans, const clattn_span& span) {
    if (!spans.empty() && spans.back().key_end == span.key_begin &&
        spans.back().mask == span.mask) {
      spans.back().key_end = span.key_end;
    } else {
      spans.push_back(span);
    }
  }

  std::vector<std::int32_t> query_tokens_;
  std::vector<std::pair<const Neighborhood*, std::int64_t>> known_;
};

}  // namespace

Schedule make_grid_schedule(const Problem& problem, const GridProblem& grid, const Tiling& tiling,
                            const Tile& tile, std::int64_t workers, Dealing dealing) {
  ScheduleMaker maker(problem.mask->variation(), problem.extent(), problem.batch, problem.heads,
                      tile);
  std::unique_ptr<GridScheduler> scheduler;
  if (tiling.key_tile.empty()) {
    scheduler = std::make_unique<GatheredScheduler>(problem, grid, tiling, tile, maker);
  } else {
    scheduler = std::make_unique<OrderedScheduler>(problem, grid, tiling, tile, maker);
  }
  for (std::int64_t index = 0; index < maker.slices(); ++index) {
    scheduler->add_slice(index, grid.slices[static_cast<std::size_t>(index)]);
  }
  Schedule schedule = std::move(maker).finish(workers, dealing);
  schedule.query_entries = std::move(scheduler->query_entries);
  schedule.key_entries = std::move(scheduler->key_entries);
  return schedule;
}

}  // namespace clattn
