// What the store commands of `clattn tune` do to a store: tell what it holds and thin it out. An
// entry is stale where it was measured with another driver or another kernel source than the
// device's now; of devices that are not present nothing is known. Pure.
#pragma once

#include <chrono>
#include <clattn/device.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/tuning/store.hpp"

namespace clattn::tool {

// "fresh", "stale: driver", "stale: kernel", or "no device" where none of those present is the
// entry's.
std::string freshness(const TuningEntry& entry, const std::vector<DeviceFacts>& present);

// Device by device; the footer counts.
std::string store_table(const TuningStore& store, const std::vector<DeviceFacts>& present);
nlohmann::ordered_json store_json(const TuningStore& store,
                                  const std::vector<DeviceFacts>& present);

// The entries that meet all the conditions given. They are dropped, or with `trials` lose their
// correct trials; failures stay, so that they are not tried again.
struct PruneOptions {
  bool trials = false;
  bool stale = false;
  std::optional<double> older_than_days;
  std::string device;  // a part of "vendor / device", without regard to case
};

// Returns how many entries were dropped, or how many trials.
std::size_t prune(TuningStore& store, const PruneOptions& options,
                  const std::vector<DeviceFacts>& present,
                  std::chrono::system_clock::time_point now);

}  // namespace clattn::tool
