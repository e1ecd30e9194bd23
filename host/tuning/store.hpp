// Tuning stores: what was found to be fastest, for which problem, on which device. A store is a
// JSON text (README, "Tuning", has its form) with a version. Of the entries of one problem, device
// and family only the newest is kept, whatever driver and kernels it was measured with, so that
// tuning again replaces what is stale. Plans ask stores in layers, and for a problem that was never
// tuned the nearest one that was. Exported for the tool, as are the headers of files and logs
// beside this one; none of them is installed.
#pragma once

#include <clattn/device.hpp>
#include <clattn/tuning.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace clattn {

// What a configuration depends on. Buckets are floor(log2), of no length: -1. All but `source` and
// `driver` say which entries are of one problem: those two say whether an entry is stale.
struct TuningKey {
  std::string family;
  std::string source;  // hash of the kernel files as built in, and of the planner's version
  std::string vendor;
  std::string device;
  std::string driver;
  std::string data_type;
  std::int64_t head_dim = 0;
  std::int64_t value_dim = 0;
  // Its kind: the key of its JSON form, or "dense"; "blocks" where it has many blocks somewhere,
  // "listed" where block lists come at launch.
  std::string mask;
  std::int64_t group = 1;         // heads to kv_heads
  std::int64_t heads_bucket = 0;  // of batch * heads
  std::int64_t query_bucket = 0;  // of query_len
  std::int64_t key_bucket = 0;    // of key_len
  // Of the share of pairs that are visible, estimated from a sample of rows: 0, -1, -2, ..., and
  // -64 where none is seen; 0 where that is known at launch only.
  std::int64_t density_bucket = 0;
  // The whole problem as problem_from_json takes it, keys sorted, without the scale and with zeros
  // for sink logits and seeds, none of which matters for speed. A mask or modifier whose text or
  // tables have more than 512 bytes is a hash, {"hash": "..."}, of which a modifier's tables are no
  // part; such a problem can't be read back.
  std::string problem;

  friend auto operator<=>(const TuningKey&, const TuningKey&) = default;
};

struct TuningEntry {
  TuningKey key;
  KernelConfig config;
  KernelConfig heuristic;
  double seconds = 0;  // medians, see TuneResult
  double heuristic_seconds = 0;
  double spread = 0;
  std::string timestamp;      // ISO 8601, UTC
  std::string version;        // clattn's
  std::string strategy;       // how it was searched
  std::vector<Trial> trials;  // in the order in which they were begun; may have been pruned

  friend bool operator==(const TuningEntry&, const TuningEntry&);
};

// The key of a valid problem; takes some tenths of a millisecond at most for usual masks. Pure.
TuningKey tuning_key(const Problem& problem, const DeviceFacts& facts, const std::string& family);

// How near an entry is to what was asked for.
enum class HitLevel {
  exact,   // the same problem, device
  bucket,  // the same device, and all fields but the problem
  device,  // the same device, data type and dimensions, and nearer than 8 powers of two
  vendor,  // another device of the vendor, and all fields but the problem
};

const char* to_string(HitLevel level);

struct TuningHit {
  TuningEntry entry;
  HitLevel level = HitLevel::exact;
  bool stale = false;  // it was measured with another driver, or another kernel source
  std::string layer;   // the name of the store
};

enum class Trials { read, leave_out };

class TuningStore {
 public:
  // Throws Error (invalid_argument) that says where the text is no store, or that it is from a
  // newer version; nothing is taken of it then. Plans have no use for trials, which are nearly all
  // of a text: left out, they need not even be correct.
  static TuningStore from_json(std::string_view text, Trials trials = Trials::read);
  std::string to_json() const;

  const std::vector<TuningEntry>& entries() const { return entries_; }  // by key
  // Adds an entry, or replaces that of the same problem, device and family if that is not newer.
  // Throws Error (invalid_argument) for one that no store can hold: without a configuration, or
  // with times that are negative or not finite.
  void add(TuningEntry entry);
  void merge(const TuningStore& other);
  // Takes out entries for which `unwanted` holds, and returns how many there were.
  template <typename Predicate>
  std::size_t erase_if(const Predicate& unwanted) {
    return std::erase_if(entries_, unwanted);
  }

  // The nearest entry for a key: the nearest level; within it, by powers of two between the
  // problems' sizes, where another kind of mask counts as 4 and another group as 1; of equally near
  // ones, fresh before stale and newer before older.
  std::optional<TuningHit> find(const TuningKey& key) const;

 private:
  std::vector<TuningEntry> entries_;
};

// The layers that an engine asks: the nearest level wins, of equal ones the first layer's.
struct TuningLayer {
  std::string name;  // "engine", "user", "system", "shipped"
  TuningStore store;
};
std::optional<TuningHit> find(const std::vector<TuningLayer>& layers, const TuningKey& key);

// How the planner asks.
using TuningLookup = std::function<std::optional<TuningHit>(const TuningKey& key)>;

}  // namespace clattn
