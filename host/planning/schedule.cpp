#include "host/planning/schedule.hpp"

#include <algorithm>
#include <queue>

namespace clattn {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t steps_of(const clattn_span& span, std::int64_t key_tile) {
  return ceil_div(span.key_end - span.key_begin, key_tile);
}

// Collects the spans of one row. Halves a range of tiles, counted from the first key that the row
// reaches, until it is wholly visible, wholly hidden, or one tile that needs the mask; neighbours
// of one kind are joined again.
class RowBuilder {
 public:
  RowBuilder(const MaskNode& mask, const Slice& slice, const Extent& extent, const Range& queries,
             std::int64_t key_tile, std::vector<clattn_span>& spans)
      : mask_(mask),
        slice_(slice),
        extent_(extent),
        queries_(queries),
        reach_(mask.reach(slice, queries, extent)),
        key_tile_(key_tile),
        spans_(spans) {
    visit({0, ceil_div(reach_.size(), key_tile)});
  }

 private:
  void visit(const Range& tiles) {
    if (tiles.empty()) return;
    const Range keys{reach_.begin + tiles.begin * key_tile_,
                     std::min(reach_.begin + tiles.end * key_tile_, reach_.end)};
    const Coverage coverage = mask_.classify(slice_, queries_, keys, extent_);
    if (coverage == Coverage::none) return;
    if (coverage == Coverage::all || tiles.size() == 1) {
      append(span_of(keys, coverage));
      return;
    }
    const std::int64_t middle = tiles.begin + tiles.size() / 2;
    visit({tiles.begin, middle});
    visit({middle, tiles.end});
  }

  clattn_span span_of(const Range& keys, Coverage coverage) const {
    clattn_span span = {};
    span.key_begin = static_cast<clattn_int32>(keys.begin);
    span.key_end = static_cast<clattn_int32>(keys.end);
    span.mask = CLATTN_MASK_NONE;
    if (coverage == Coverage::all) return span;
    span.mask = CLATTN_MASK_EXPRESSION;
    if (const auto band = mask_.band(slice_, queries_, keys, extent_)) {
      span.mask = CLATTN_MASK_BAND;
      // No pair is further from the diagonal than the lengths.
      span.first = static_cast<clattn_int32>(std::max(band->first, -extent_.query_len));
      span.last = static_cast<clattn_int32>(std::min(band->last, extent_.key_len));
    }
    return span;
  }

  void append(const clattn_span& span) {
    if (!spans_.empty()) {
      clattn_span& previous = spans_.back();
      if (previous.key_end == span.key_begin && previous.mask == span.mask &&
          previous.first == span.first && previous.last == span.last) {
        previous.key_end = span.key_end;
        return;
      }
    }
    spans_.push_back(span);
  }

  const MaskNode& mask_;
  const Slice& slice_;
  const Extent& extent_;
  const Range queries_;
  const Range reach_;
  const std::int64_t key_tile_;
  std::vector<clattn_span>& spans_;
};

// A split row costs a store, a load and an addition of its outputs more for each part: about a
// step.
std::int64_t parts_of(std::int64_t weight, std::int64_t limit) {
  return std::max<std::int64_t>(ceil_div(weight, limit), 1);
}
std::int64_t weight_of_part(std::int64_t weight, std::int64_t parts) {
  return parts == 1 ? weight : ceil_div(weight, parts) + 1;
}

// The time until the last of `workers` is done, when each takes the next of the given weights, the
// heaviest first, as soon as it is idle (Graham's list scheduling). `limit` splits heavier ones.
std::int64_t makespan(const std::vector<std::int64_t>& weights, std::int64_t repeats,
                      std::int64_t workers, std::int64_t limit) {
  std::vector<std::int64_t> tasks;
  for (std::int64_t weight : weights) {
    const std::int64_t parts = parts_of(weight, limit);
    tasks.insert(tasks.end(), static_cast<std::size_t>(parts * repeats),
                 weight_of_part(weight, parts));
  }
  std::sort(tasks.begin(), tasks.end(), std::greater());
  std::priority_queue<std::int64_t, std::vector<std::int64_t>, std::greater<>> ends;
  std::int64_t last = 0;
  for (std::int64_t task : tasks) {
    std::int64_t begin = 0;
    if (static_cast<std::int64_t>(ends.size()) == workers) {
      begin = ends.top();
      ends.pop();
    }
    ends.push(begin + task);
    last = std::max(last, begin + task);
  }
  return last;
}

// The largest weight that a row may keep without being split, and the balance that follows.
struct Balance {
  std::int64_t limit;
  double share;
};

Balance choose_limit(const std::vector<std::int64_t>& weights, std::int64_t repeats,
                     std::int64_t workers) {
  constexpr std::int64_t kFewestSteps = 4;      // a part of fewer is mostly overhead
  constexpr std::int64_t kManyTasks = 1 << 15;  // even one by one, these keep every device busy
  std::int64_t total = 0, heaviest = 1;
  for (std::int64_t weight : weights) {
    total += weight;
    heaviest = std::max(heaviest, weight);
  }
  const double ideal = std::max(1.0, double(total) * double(repeats) / double(workers));
  // List scheduling ends at most one heaviest task after the ideal.
  if (double(heaviest) < 0.02 * ideal ||
      static_cast<std::int64_t>(weights.size()) * repeats > kManyTasks) {
    return {heaviest, ideal / (ideal + double(heaviest))};
  }
  std::int64_t best_limit = heaviest;
  std::int64_t best = std::max<std::int64_t>(makespan(weights, repeats, workers, heaviest), 1);
  for (const double share : {1.0, 0.5, 0.25}) {
    const auto limit = std::max<std::int64_t>(kFewestSteps, std::int64_t(ideal * share));
    if (limit >= heaviest) continue;
    const std::int64_t time = makespan(weights, repeats, workers, limit);
    if (double(time) < 0.95 * double(best)) {  // a merge must be worth its launch
      best = time;
      best_limit = limit;
    }
  }
  return {best_limit, std::min(1.0, ideal / double(best))};
}

// So many rows of each repeat, the lightest ones, are split into as many parts each and start last.
struct Tail {
  std::int64_t rows;
  std::int64_t parts;
  double share;
};

Tail choose_tail(std::vector<std::int64_t> weights, std::int64_t repeats, std::int64_t workers,
                 const Balance& balance) {
  constexpr double kBalanced = 0.985;
  constexpr std::int64_t kManyRows = 64;  // of a worker: what is left over hardly counts
  constexpr std::int64_t kMostParts = 3;  // of a worker, for each is stored and loaded
  constexpr double kFewestSteps = 12;     // that must be saved to be worth the merge's launch
  const auto rows = static_cast<std::int64_t>(weights.size());
  const Tail whole = {0, 1, balance.share};
  if (rows * repeats < workers || rows * repeats > kManyRows * workers ||
      balance.share > kBalanced) {
    return whole;
  }
  std::sort(weights.begin(), weights.end(), std::greater());
  if (weights.front() > balance.limit) return whole;  // rows are split as it is
  std::int64_t total = 0;
  for (std::int64_t weight : weights) total += weight;
  const double ideal = double(total) * double(repeats) / double(workers);
  const std::int64_t left_over = ceil_div(rows * repeats % workers, repeats);
  Tail best = whole;
  for (const std::int64_t parts : {2, 3, 4, 6}) {
    for (std::int64_t late = left_over; late <= left_over + 2; ++late) {
      if (late == 0 || late > rows || late * parts * repeats > kMostParts * workers) continue;
      std::vector<std::int64_t> tasks(weights.begin(), weights.end() - late);
      for (std::int64_t row = rows - late; row < rows; ++row) {
        tasks.insert(tasks.end(), static_cast<std::size_t>(parts),
                     weight_of_part(weights[static_cast<std::size_t>(row)], parts));
      }
      const double share = ideal / double(makespan(tasks, repeats, workers, weights.front()));
      if (ideal / best.share - ideal / share > kFewestSteps) best = {late, parts, share};
    }
  }
  return best;
}

// Cuts the spans of `row` into parts of nearly as many steps each.
void split(const clattn_row& row, std::int64_t steps, std::int64_t parts, std::int64_t key_tile,
           const std::vector<clattn_span>& from, Schedule& schedule) {
  schedule.merges.push_back({row.slice, row.queries, static_cast<clattn_int32>(schedule.parts),
                             static_cast<clattn_int32>(schedule.parts + parts)});
  clattn_int32 span = row.span_begin;
  std::int64_t taken = 0;  // steps of the span
  for (std::int64_t part = 0; part < parts; ++part) {
    std::int64_t left = steps * (part + 1) / parts - steps * part / parts;
    clattn_row piece = row;
    piece.part = static_cast<clattn_int32>(schedule.parts++);
    piece.span_begin = static_cast<clattn_int32>(schedule.spans.size());
    while (left > 0) {
      const clattn_span& whole = from[span];
      clattn_span cut = whole;
      const std::int64_t take = std::min(left, steps_of(whole, key_tile) - taken);
      const auto key = [&](std::int64_t step) {
        return static_cast<clattn_int32>(
            std::min<std::int64_t>(whole.key_begin + step * key_tile, whole.key_end));
      };
      cut.key_begin = key(taken);
      cut.key_end = key(taken + take);
      schedule.spans.push_back(cut);
      left -= take;
      taken += take;
      if (taken == steps_of(whole, key_tile)) {
        ++span;
        taken = 0;
      }
    }
    piece.span_end = static_cast<clattn_int32>(schedule.spans.size());
    schedule.rows.push_back(piece);
  }
}

// A row and its steps, and one more for its begin and end.
using WeighedRow = std::pair<std::int64_t, clattn_row>;

std::vector<WeighedRow> heaviest_first(const Schedule& schedule, std::int64_t key_tile) {
  std::vector<WeighedRow> rows;
  for (const clattn_row& row : schedule.rows) {
    std::int64_t steps = 1;
    for (clattn_int32 s = row.span_begin; s < row.span_end; ++s) {
      steps += steps_of(schedule.spans[s], key_tile);
    }
    rows.emplace_back(steps, row);
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  return rows;
}

void split_tail(const std::vector<WeighedRow>& order, const Tail& tail, std::int64_t key_tile,
                Schedule& schedule) {
  const std::vector<clattn_span> spans = schedule.spans;
  schedule.rows.resize(order.size() - static_cast<std::size_t>(tail.rows));
  const std::size_t others = schedule.rows.size();
  for (std::size_t i = others; i < order.size(); ++i) {
    const auto& [weight, row] = order[i];
    const std::int64_t steps = weight - 1;
    if (steps < tail.parts) {
      schedule.rows.push_back(row);
    } else {
      split(row, steps, tail.parts, key_tile, spans, schedule);
    }
  }
  schedule.late_rows = static_cast<std::int64_t>(schedule.rows.size() - others);
}

// Fills bins with the heaviest rows first, each into the lightest bin: as many as stay even, for
// many small ones balance best where a worker is slower than another.
void fill_bins(const std::vector<WeighedRow>& rows, std::int64_t workers, Schedule& schedule) {
  constexpr std::int64_t kMostBins = 16;  // a worker
  constexpr double kUneven = 1.04;
  std::vector<std::vector<clattn_row>> bins;
  for (std::int64_t count = kMostBins * workers; count >= workers; count /= 2) {
    bins.assign(static_cast<std::size_t>(count), {});
    std::priority_queue<std::pair<std::int64_t, std::size_t>,
                        std::vector<std::pair<std::int64_t, std::size_t>>, std::greater<>>
        lightest;
    for (std::size_t bin = 0; bin < bins.size(); ++bin) lightest.emplace(0, bin);
    std::int64_t total = 0, heaviest = 0;
    for (const auto& [steps, row] : rows) {
      auto [load, bin] = lightest.top();
      lightest.pop();
      bins[bin].push_back(row);
      lightest.emplace(load + steps, bin);
      total += steps;
      heaviest = std::max(heaviest, load + steps);
    }
    if (double(heaviest) * double(count) <= kUneven * double(total)) break;
  }
  std::erase_if(bins, [](const auto& bin) { return bin.empty(); });
  schedule.rows.clear();
  schedule.bins = {0};
  for (const std::vector<clattn_row>& bin : bins) {
    schedule.rows.insert(schedule.rows.end(), bin.begin(), bin.end());
    schedule.bins.push_back(static_cast<clattn_int32>(schedule.rows.size()));
  }
}

}  // namespace

std::vector<std::int64_t> row_cuts(const std::vector<std::int64_t>& seams, std::int64_t query_len,
                                   const Tile& tile) {
  std::vector<std::int64_t> cuts = {0};
  // Divides [cuts.back(), end) evenly, in multiples of the granule.
  const auto divide = [&](std::int64_t end) {
    const std::int64_t begin = cuts.back();
    const std::int64_t pieces = ceil_div(end - begin, tile.queries);
    const std::int64_t size =
        pieces ? ceil_div(ceil_div(end - begin, pieces), tile.granule) * tile.granule : 0;
    for (std::int64_t cut = begin + size; cut < end; cut += size) cuts.push_back(cut);
    if (end > begin) cuts.push_back(end);
  };
  for (std::int64_t seam : seams) {
    seam = std::min(seam, query_len);
    // Seams that are nearer would make tiny rows.
    if (2 * (seam - cuts.back()) >= tile.queries) divide(seam);
  }
  divide(query_len);
  return cuts;
}

ScheduleMaker::ScheduleMaker(const Variation& variation, const Extent& extent, std::int64_t batch,
                             std::int64_t heads, const Tile& tile)
    : tile_(tile), key_len_(extent.key_len) {
  schedule_.batch = variation.batch ? batch : 1;
  schedule_.heads = variation.head ? heads : 1;
  schedule_.repeats = slices() ? batch * heads / slices() : 0;
}

void ScheduleMaker::add_row(std::int64_t index, const clattn_queries& queries,
                            const std::vector<clattn_span>& spans) {
  clattn_row row = {static_cast<clattn_int32>(index), queries, 0, 0, -1};
  row.span_begin = static_cast<clattn_int32>(spans_.size());
  std::int64_t visited = 0;
  for (const clattn_span& span : spans) {
    const std::int64_t steps = steps_of(span, tile_.keys);
    visited += steps;
    if (span.mask) schedule_.tiles_masked += double(steps);
    schedule_.pairs_visited +=
        double(queries.end - queries.begin) * double(span.key_end - span.key_begin);
  }
  schedule_.tiles_total += double(ceil_div(key_len_, tile_.keys));
  schedule_.tiles_visited += double(visited);
  spans_.insert(spans_.end(), spans.begin(), spans.end());
  row.span_end = static_cast<clattn_int32>(spans_.size());
  rows_.push_back(row);
  weights_.push_back(visited);
}

Schedule ScheduleMaker::finish(std::int64_t workers, Dealing dealing) && {
  Schedule& schedule = schedule_;
  for (double* sum : {&schedule.tiles_total, &schedule.tiles_visited, &schedule.tiles_masked,
                      &schedule.pairs_visited}) {
    *sum *= double(schedule.repeats);
  }
  const Balance balance = choose_limit(weights_, schedule.repeats, workers);
  Tail tail = {0, 1, balance.share};
  if (dealing == Dealing::taken) tail = choose_tail(weights_, schedule.repeats, workers, balance);
  schedule.balance = tail.share;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    clattn_row row = rows_[i];
    const std::int64_t parts = parts_of(weights_[i], balance.limit);
    if (parts > 1) {
      split(row, weights_[i], parts, tile_.keys, spans_, schedule);
      continue;
    }
    row.span_begin = static_cast<clattn_int32>(schedule.spans.size());
    schedule.spans.insert(schedule.spans.end(), spans_.begin() + rows_[i].span_begin,
                          spans_.begin() + rows_[i].span_end);
    row.span_end = static_cast<clattn_int32>(schedule.spans.size());
    schedule.rows.push_back(row);
  }
  const std::vector<WeighedRow> order = heaviest_first(schedule, tile_.keys);
  std::transform(order.begin(), order.end(), schedule.rows.begin(),
                 [](const WeighedRow& weighed) { return weighed.second; });
  if (dealing == Dealing::binned) fill_bins(order, workers, schedule);
  if (tail.rows > 0) split_tail(order, tail, tile_.keys, schedule);
  return std::move(schedule_);
}

Schedule make_schedule(const MaskNode& mask, const Extent& extent, std::int64_t batch,
                       std::int64_t heads, const Tile& tile, std::int64_t workers,
                       Dealing dealing) {
  ScheduleMaker maker(mask.variation(), extent, batch, heads, tile);
  std::vector<clattn_span> spans;
  for (std::int64_t index = 0; index < maker.slices(); ++index) {
    const Slice slice = maker.slice(index);
    const std::vector<std::int64_t> cuts =
        row_cuts(mask.seams(slice, extent), extent.query_len, tile);
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
      spans.clear();
      RowBuilder(mask, slice, extent, {cuts[i], cuts[i + 1]}, tile.keys, spans);
      const clattn_queries queries = {static_cast<clattn_int32>(cuts[i]),
                                      static_cast<clattn_int32>(cuts[i + 1]), 0, 0};
      maker.add_row(index, queries, spans);
    }
  }
  return std::move(maker).finish(workers, dealing);
}

}  // namespace clattn
