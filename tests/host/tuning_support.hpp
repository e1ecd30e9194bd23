// Entries of tuning stores for tests.
#pragma once

#include "host/tuning/store.hpp"

namespace clattn::test {

inline TuningKey make_key(const std::string& problem = R"({"q_len":1000})") {
  TuningKey key;
  key.family = "cpu";
  key.source = "0123456789abcdef";
  key.vendor = "vendor";
  key.device = "device";
  key.driver = "1.0";
  key.data_type = "f16";
  key.head_dim = 64;
  key.value_dim = 128;
  key.mask = "causal";
  key.group = 4;
  key.heads_bucket = 3;
  key.query_bucket = 9;
  key.key_bucket = 9;
  key.density_bucket = -1;
  key.problem = problem;
  return key;
}

inline TuningEntry make_entry(const TuningKey& key = make_key(),
                              const std::string& timestamp = "2026-11-22T10:00:00Z") {
  TuningEntry entry;
  entry.key = key;
  entry.config = {{"key_tile", 64}, {"query_panels", 2}};
  entry.heuristic = {{"key_tile", 32}, {"query_panels", 4}};
  entry.seconds = 0.1;
  entry.heuristic_seconds = 0.112;
  entry.spread = 1e-5;
  entry.timestamp = timestamp;
  entry.version = "0.1.0";
  entry.strategy = "guided";
  return entry;
}

}  // namespace clattn::test
