// An NVIDIA GPU as its PTX promises it, and not more: work-groups whose work-items are fibers, each
// of which may fall behind the others of its warp wherever an instruction does not join them. What
// is asynchronous (copies, products) happens at a random time between its start and what waits for
// it, and until then its target holds NaN. Which work-item runs next is random, too, so that a
// missing wait, a wrong parity or an early arrival shows as a wrong result, a deadlock, or at once
// as an access that PTX does not order. All of it depends on the seed alone.
//
// What is not modelled: distributed local memory, weak ordering of ordinary accesses, and that a
// fence of one work-item also orders what a barrier ordered before it for others (each has to fence
// its own accesses).
//
// Members are defined in machine.cpp (the scheduler), warps.cpp, barriers.cpp, copies.cpp and
// products.cpp.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tests/emulation/fiber.hpp"
#include "tests/emulation/guarded_memory.hpp"
#include "tests/emulation/instructions.hpp"
#include "tests/emulation/random.hpp"

namespace clattn::emulation {

inline constexpr int kWarp = 32;
inline constexpr int kWarpgroup = 128;
// Local memory begins behind what the system keeps for itself.
inline constexpr std::uint32_t kLocalBase = 1024;
inline constexpr int kChunk = 16;  // bytes, the unit in which accesses are tracked

// A tensor map, whose true format is the hardware's own.
struct TensorMap {
  std::uint64_t address = 0;
  std::uint64_t strides[4] = {};  // bytes
  std::uint32_t dims[5] = {};
  std::uint16_t box[5] = {};
  std::uint8_t element_strides[5] = {};
  std::uint8_t element, rank, interleave, swizzle, fill;
};
inline constexpr int kMapBytes = 128;
static_assert(sizeof(TensorMap) <= kMapBytes);

// What a launch runs in each work-item, and the sizes.
struct Launch {
  std::function<void()> kernel;
  std::int64_t groups[2] = {1, 1};
  std::int64_t work_group_size = 1;
  std::int64_t local_memory_bytes = 0;  // at most so many
  std::int64_t resident = 1;            // work-groups that run at once
};

class Machine final : public Instructions {
 public:
  Machine(std::uint64_t seed, std::vector<std::span<const std::byte>> readable);
  ~Machine();

  // Until all work-groups are done. An error that leaves nothing to go on with ends the process.
  void run(const Launch& launch);
  // Calls a kernel that has no barriers, once for each global id.
  void run_independent(const std::function<void()>& kernel, const std::size_t global[3]);

  int errors() const { return errors_; }
  void print_seed() const;  // of a failure
  // Where the work-item is that ran last.
  std::string position() const;

  std::size_t local_id(unsigned dimension) override;
  std::size_t group_id(unsigned dimension) override;
  std::size_t group_count(unsigned dimension) override;
  std::size_t global_id(unsigned dimension) override;
  void* local_memory(Position where, std::size_t bytes) override;
  std::uint32_t local_address(Position where, const void* pointer) override;
  void work_group_barrier(Position where) override;
  std::uint32_t count(Position where, void* counter, std::uint32_t last) override;
  float exp2(float x) override;
  std::uint32_t pack(float first, float second, bool bf16) override;
  void set_registers(Position where, int count) override;
  float shuffle(Position where, float value, std::uint32_t mask) override;
  int any(Position where, int condition) override;
  std::uint32_t uniform(Position where, std::uint32_t value) override;
  void warp_barrier(Position where) override;
  void store(Position where, std::uint32_t target, const std::uint32_t* words, int count) override;
  void load(Position where, std::uint32_t source, std::uint32_t* words, int count) override;
  void load_matrices(Position where, std::uint32_t* registers, int count, bool transposed,
                     std::uint32_t address) override;
  void copy(Position where, std::uint32_t target, const void* source, int size, int bytes) override;
  void commit_copies(Position where) override;
  void wait_copies(Position where, int pending) override;
  void wait_all_copies(Position where) override;
  void copies_arrive(Position where, std::uint32_t barrier) override;
  void start_barrier(Position where, std::uint32_t barrier, int arrivals) override;
  void wait_barrier(Position where, std::uint32_t barrier, std::uint32_t parity) override;
  void arrive(Position where, std::uint32_t barrier) override;
  void expect(Position where, std::uint32_t barrier, int bytes) override;
  void sync_named(Position where, int name, int count) override;
  int any_of_named(Position where, int name, int count, int condition) override;
  void fence_proxy(Position where) override;
  void set_map_field(Position where, std::uint32_t map, const char* field, int index,
                     std::uint64_t value) override;
  void release_map(Position where, void* target, std::uint32_t map) override;
  void acquire_map(Position where, const void* map) override;
  void copy_box(Position where, std::uint32_t target, const void* map, std::array<int, 5> begin,
                std::uint32_t barrier) override;
  void fence_products(Position where) override;
  void multiply(Position where, const Product& product) override;
  void commit_products(Position where) override;
  void wait_products(Position where, int pending) override;
  void multiply_add(Position where, float* sums, const std::uint32_t* left,
                    const std::uint32_t* right, int depth, bool bf16) override;

 private:
  // --- What a work-item waits for, and its copies.
  enum class Waiting { nothing, warp, barrier, named, products, delay, end };
  struct Wait {
    Waiting kind = Waiting::nothing;
    std::uint64_t which = 0;  // barrier or name; of a delay, the time when it ends
    std::uint64_t count = 0;  // parity; else how often it had happened before
  };
  struct Copy {
    std::uint32_t target;
    const void* source;
    int size, bytes;
  };
  struct IssuedProduct : Product {
    std::uint32_t left_values[4] = {};  // as they were
    Position where;
  };
  struct Item {
    Fiber fiber;
    Wait wait;
    Position where;
    std::vector<Copy> copies;                 // not committed
    std::deque<std::vector<Copy>> committed;  // groups, the oldest first
    std::vector<IssuedProduct> products;      // not committed
    bool products_fenced = false;
    std::vector<std::uint32_t> touched;  // chunks, since its last fence
    std::set<const void*> acquired;      // tensor maps, since they were released
  };

  // --- Warps.
  static constexpr int kExchanged = 8;  // words of a work-item
  using Words = std::uint32_t[kWarp][kExchanged];
  // Products that a warp committed together, as far as they are done. Sums are kept here meanwhile.
  struct Sums {
    float values[16][256];
  };
  struct ProductGroup {
    std::vector<IssuedProduct> products[kWarp];
    std::size_t done = 0;
    std::map<float*, std::unique_ptr<Sums>> sums;  // by the first work-item's array
  };
  struct Warp {
    int arrived = 0;
    std::uint64_t joins = 0;
    const char* operation = "";
    Words words[2];  // of this join and of the one before, which some may still read
    std::deque<ProductGroup> pending;
    std::uint64_t committed = 0;
    bool is_frozen = false;  // not to be run for now
  };

  // --- Barriers.
  struct Barrier {
    int arrivals = 0, pending = 0;
    std::int64_t bytes = 0;
    std::uint64_t phase = 0;
    int unfenced_by = -1;  // the work-item that started it
  };
  struct Named {
    int count = 0;
    std::uint64_t phase = 0;
    std::set<int> by;     // work-items
    int any[2] = {0, 0};  // of this phase and of the one before, which some may still read
  };

  // --- Work-groups. Of each chunk of local memory: the work-item, counted from 1, that wrote or
  // read it and has not fenced that, or whose copy is under way; and bulk copies under way.
  struct Chunk {
    int writer = 0, reader = 0, copier = 0, bulk = 0;
  };
  struct Group {
    std::int64_t id[2] = {0, 0};
    std::vector<Item> items;
    std::vector<Warp> warps;
    std::vector<int> registers;  // of a work-item of each warp
    std::map<std::uint32_t, Barrier> barriers;
    Named named[16];
    GuardedMemory memory;
    std::size_t memory_asked = 0;
    std::vector<Chunk> chunks;
    int live = 0;
  };

  // A bulk copy, or a work-item's copies with the arrival that follows them.
  struct Flight {
    Group* group;
    std::uint32_t barrier;
    TensorMap map;
    std::uint32_t target = 0;
    std::array<int, 5> begin = {};
    int bytes = 0;
    bool has_landed = false;
    int item = -1;
    std::vector<Copy> copies;
  };

  // machine.cpp
  void fail(const std::string& what, Position where = {});
  [[noreturn]] void stop(const std::string& what, Position where = {});
  void print_state() const;
  std::string describe(const Item& item) const;
  Item& item() { return group_->items[item_]; }
  Warp& warp() { return group_->warps[item_ / kWarp]; }
  bool is_ready(Group& group, int index) const;
  void wait(Waiting kind, std::uint64_t which, std::uint64_t count, Position where);
  void maybe_delay(Position where, int percent = 2);
  void start_group(std::int64_t index);
  static void run_item();
  void end_item();
  bool step();
  void freeze_warps();

  // warps.cpp
  template <typename Action>
  const Words& join(const char* operation, std::span<const std::uint32_t> words, Position where,
                    Action&& last);
  const Words& join(const char* operation, std::span<const std::uint32_t> words, Position where);

  // barriers.cpp
  Barrier& barrier_at(std::uint32_t address, Position where);
  void count_arrival(Group& group, std::uint32_t address, Position where);
  void complete_phase(Group& group, std::uint32_t address, Barrier& barrier);

  // copies.cpp
  std::byte* at(std::uint32_t address, int size, Position where);
  std::byte* at(Group& group, std::uint32_t address) {
    return group.memory.bytes().data() + (address - kLocalBase);
  }
  Chunk& chunk_at(Group& group, std::uint32_t address) {
    return group.chunks[(address - kLocalBase) / kChunk];
  }
  void wrote(Group& group, int item, std::uint32_t address, int size);
  void use_asynchronously(std::uint32_t address, const char* what, Position where);
  void finish_copy(Group& group, int item, const Copy& copy);
  void land_box(Flight& flight);
  void land(std::size_t index);

  // products.cpp
  void run_product(ProductGroup& products, std::size_t index);
  void finish_products(Position where);

  std::vector<std::span<const std::byte>> readable_;  // what copies may read
  const std::uint64_t seed_;
  Random random_;
  bool warps_finish_together_;  // products of a warpgroup, in this run
  int errors_ = 0;
  std::set<std::string> reported_;

  const Launch* launch_ = nullptr;
  std::vector<std::unique_ptr<Group>> groups_;
  std::int64_t started_ = 0;
  std::vector<Flight> flights_;
  std::set<const void*> released_;  // tensor maps in global memory
  std::uint64_t time_ = 0;
  std::int64_t idle_ = 0;  // steps since anything happened
  int landing_percent_ = 10;
  Group* group_ = nullptr;  // of the work-item that runs
  int item_ = 0;
  std::size_t global_id_[3] = {0, 0, 0};
};

// Joins the warp: words of all work-items are exchanged, and the last one to come does `last`.
template <typename Action>
const Machine::Words& Machine::join(const char* operation, std::span<const std::uint32_t> words,
                                    Position where, Action&& last) {
  Warp& joined = warp();
  const std::uint64_t joins = joined.joins;
  if (joined.arrived == 0) {
    joined.operation = operation;
  } else if (std::strcmp(joined.operation, operation) != 0) {
    stop(std::string("a warp diverges: ") + joined.operation + " and " + operation, where);
  }
  std::ranges::copy(words, joined.words[joins & 1][item_ % kWarp]);
  if (++joined.arrived == kWarp) {
    last();
    joined.arrived = 0;
    ++joined.joins;
  } else {
    wait(Waiting::warp, 0, joins, where);
  }
  return joined.words[joins & 1];
}

}  // namespace clattn::emulation
