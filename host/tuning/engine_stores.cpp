#include "host/tuning/engine_stores.hpp"

#include <algorithm>
#include <iterator>

#include "host/tuning/store_file.hpp"

namespace clattn {

EngineStores::EngineStores(const EngineOptions& options)
    : has_defaults_(options.default_tuning), log_(options.log) {
  layers_.push_back(
      {"engine", options.tuning ? TuningStore::from_json(*options.tuning) : TuningStore()});
}

TuningLookup EngineStores::lookup() {
  const std::lock_guard lock(mutex_);
  if (has_defaults_ && !read_) {
    std::ranges::move(default_layers(log_, Trials::leave_out), std::back_inserter(layers_));
    read_ = true;
  }
  const bool empty = std::ranges::all_of(
      layers_, [](const TuningLayer& layer) { return layer.store.entries().empty(); });
  if (empty) return {};
  return [this](const TuningKey& key) {
    const std::lock_guard lock(mutex_);
    return find(layers_, key);
  };
}

void EngineStores::add(TuningEntry entry) {
  const std::lock_guard lock(mutex_);
  layers_.front().store.add(std::move(entry));
}

std::string EngineStores::to_json() const {
  const std::lock_guard lock(mutex_);
  return layers_.front().store.to_json();
}

}  // namespace clattn
