// The stores that the plans of one engine ask: its own, which the application handed in or which
// tuning in this process fills, and behind it the user's, the system's and the shipped one. Those
// are read once, before the first plan. Thread-safe.
#pragma once

#include <clattn/engine.hpp>
#include <clattn/log.hpp>
#include <mutex>
#include <string>
#include <vector>

#include "host/tuning/store.hpp"

namespace clattn {

class EngineStores {
 public:
  // Throws Error (invalid_argument) where options.tuning is no store.
  explicit EngineStores(const EngineOptions& options);

  // Empty where no store has an entry: then no key needs to be made. Must not outlive this.
  TuningLookup lookup();
  void add(TuningEntry entry);  // to the engine's own
  std::string to_json() const;  // the engine's own

 private:
  const bool has_defaults_;
  const LogCallback log_;
  mutable std::mutex mutex_;
  std::vector<TuningLayer> layers_;  // the engine's own first
  bool read_ = false;                // the others are there
};

}  // namespace clattn
