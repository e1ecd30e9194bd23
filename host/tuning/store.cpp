#include "host/tuning/store.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <tuple>

#include "host/invalid.hpp"

namespace clattn {
namespace {

// How much another kind of mask, or another group, counts beside a power of two of a size; and from
// where on a problem is too far away to say anything.
constexpr std::int64_t kMaskDistance = 4;
constexpr std::int64_t kGroupDistance = 1;
constexpr std::int64_t kFarthest = 8;

// What entries must differ in to stand beside each other.
auto identity(const TuningKey& key) {
  return std::tie(key.family, key.vendor, key.device, key.data_type, key.head_dim, key.value_dim,
                  key.mask, key.group, key.heads_bucket, key.query_bucket, key.key_bucket,
                  key.density_bucket, key.problem);
}

bool same_kernel(const TuningKey& a, const TuningKey& b) {
  return std::tie(a.family, a.data_type, a.head_dim, a.value_dim) ==
         std::tie(b.family, b.data_type, b.head_dim, b.value_dim);
}

// 0: the same buckets.
std::int64_t distance(const TuningKey& a, const TuningKey& b) {
  std::int64_t sum =
      (a.mask != b.mask ? kMaskDistance : 0) + (a.group != b.group ? kGroupDistance : 0);
  for (std::int64_t TuningKey::*bucket : {&TuningKey::heads_bucket, &TuningKey::query_bucket,
                                          &TuningKey::key_bucket, &TuningKey::density_bucket}) {
    sum += std::abs(a.*bucket - b.*bucket);
  }
  return sum;
}

std::optional<HitLevel> level_of(const TuningKey& entry, const TuningKey& wanted,
                                 std::int64_t apart) {
  if (entry.vendor != wanted.vendor || !same_kernel(entry, wanted)) return std::nullopt;
  if (entry.device != wanted.device) {
    return apart == 0 ? std::optional(HitLevel::vendor) : std::nullopt;
  }
  if (apart >= kFarthest) return std::nullopt;
  if (apart > 0) return HitLevel::device;
  return entry.problem == wanted.problem ? HitLevel::exact : HitLevel::bucket;
}

bool is_time(double seconds) { return std::isfinite(seconds) && seconds >= 0; }

void check_time(const char* name, double seconds) {
  if (!is_time(seconds)) invalid("{} is {}, but must be finite and not negative", name, seconds);
}

void check(const TuningEntry& entry) {
  if (entry.config.empty()) invalid("the configuration is empty");
  check_time("seconds", entry.seconds);
  check_time("heuristic_seconds", entry.heuristic_seconds);
  check_time("spread", entry.spread);
  for (const Trial& trial : entry.trials) {
    if (trial.config.empty()) invalid("the configuration of a trial is empty");
    check_time("build_seconds of a trial", trial.build_seconds);
    check_time("check_seconds of a trial", trial.check_seconds);
    for (double seconds : trial.seconds) check_time("seconds of a trial", seconds);
  }
}

bool same_trial(const Trial& a, const Trial& b) {
  return std::tie(a.config, a.outcome, a.message, a.seconds, a.build_seconds, a.check_seconds,
                  a.timestamp) == std::tie(b.config, b.outcome, b.message, b.seconds,
                                           b.build_seconds, b.check_seconds, b.timestamp);
}

}  // namespace

const char* to_string(HitLevel level) {
  switch (level) {
    case HitLevel::exact:
      return "exact";
    case HitLevel::bucket:
      return "bucket";
    case HitLevel::device:
      return "device";
    case HitLevel::vendor:
      return "vendor";
  }
  return "unknown";
}

bool operator==(const TuningEntry& a, const TuningEntry& b) {
  return a.key == b.key &&
         std::tie(a.config, a.heuristic, a.seconds, a.heuristic_seconds, a.spread, a.timestamp,
                  a.version, a.strategy) == std::tie(b.config, b.heuristic, b.seconds,
                                                     b.heuristic_seconds, b.spread, b.timestamp,
                                                     b.version, b.strategy) &&
         std::ranges::equal(a.trials, b.trials, same_trial);
}

void TuningStore::add(TuningEntry entry) {
  check(entry);
  const auto place =
      std::ranges::lower_bound(entries_, identity(entry.key), {},
                               [](const TuningEntry& other) { return identity(other.key); });
  if (place == entries_.end() || identity(place->key) != identity(entry.key)) {
    entries_.insert(place, std::move(entry));
  } else if (place->timestamp <= entry.timestamp) {
    *place = std::move(entry);
  }
}

void TuningStore::merge(const TuningStore& other) {
  for (const TuningEntry& entry : other.entries_) add(entry);
}

std::optional<TuningHit> TuningStore::find(const TuningKey& key) const {
  struct Candidate {
    HitLevel level;
    std::int64_t apart;
    bool stale;
    const TuningEntry* entry;
  };
  const auto nearer = [](const Candidate& a, const Candidate& b) {
    return std::tie(a.level, a.apart, a.stale, b.entry->timestamp) <
           std::tie(b.level, b.apart, b.stale, a.entry->timestamp);
  };
  std::optional<Candidate> best;
  for (const TuningEntry& entry : entries_) {
    const std::int64_t apart = distance(entry.key, key);
    const auto level = level_of(entry.key, key, apart);
    if (!level) continue;
    // Drivers of different devices say nothing of each other.
    const bool stale = entry.key.source != key.source ||
                       (entry.key.driver != key.driver && *level != HitLevel::vendor);
    const Candidate candidate{*level, apart, stale, &entry};
    if (!best || nearer(candidate, *best)) best = candidate;
  }
  if (!best) return std::nullopt;
  return TuningHit{*best->entry, best->level, best->stale, ""};
}

std::optional<TuningHit> find(const std::vector<TuningLayer>& layers, const TuningKey& key) {
  std::optional<TuningHit> best;
  for (const TuningLayer& layer : layers) {
    std::optional<TuningHit> hit = layer.store.find(key);
    if (!hit || (best && best->level <= hit->level)) continue;
    hit->layer = layer.name;
    best = std::move(hit);
  }
  return best;
}

}  // namespace clattn
