// The scheduler: which work-item runs next, what it waits for, and what is printed where nothing
// can go on.
#include "tests/emulation/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <clattn/reference.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace clattn::emulation {
namespace {

constexpr int kMostErrors = 8;  // printed
// Steps without progress: until what is frozen or under way must go on, and until that is an error.
constexpr std::int64_t kPatience = 20000, kHang = 50000000;

Machine* running;  // whose work-item starts

std::string text_of(Position where) { return fmt::format("{}:{}", where.file, where.line); }

}  // namespace

Machine::Machine(std::uint64_t seed, std::vector<std::span<const std::byte>> readable)
    : readable_(std::move(readable)),
      seed_(seed),
      random_(seed),
      warps_finish_together_(random_.chance(50)) {}
Machine::~Machine() = default;

// --- Errors.

// The same error at the same place is printed once.
void Machine::fail(const std::string& what, Position where) {
  ++errors_;
  if (!reported_.insert(what + text_of(where)).second || reported_.size() > kMostErrors) return;
  fmt::print("  error: {}\n", what);
  if (where.line > 0) fmt::print("    at {}\n", text_of(where));
  if (group_) fmt::print("    in work-group {}, work-item {}\n", group_->id[0], item_);
}

void Machine::stop(const std::string& what, Position where) {
  reported_.clear();
  fail(what, where);
  print_state();
  print_seed();
  std::fflush(stdout);
  std::_Exit(1);  // other work-items are in the middle of what they do
}

void Machine::print_seed() const { fmt::print("  failed with CLATTN_TEST_SEED={}\n", seed_); }

std::string Machine::position() const {
  return group_ ? text_of(group_->items[item_].where) : "no work-item";
}

std::string Machine::describe(const Item& item) const {
  const Wait& wait = item.wait;
  const auto text = [&](const std::string& what) {
    return fmt::format("{} at {}", what, text_of(item.where));
  };
  switch (wait.kind) {
    case Waiting::nothing:
      return text("runs");
    case Waiting::warp:
      return text("waits for its warp");
    case Waiting::barrier:
      return text(
          fmt::format("waits for parity {} of mbarrier {}", wait.count, wait.which - kLocalBase));
    case Waiting::named:
      return text(fmt::format("waits for named barrier {}", wait.which));
    case Waiting::products:
      return text("waits for products");
    case Waiting::delay:
      return text("is held up");
    case Waiting::end:
      break;
  }
  return "is done";
}

void Machine::print_state() const {
  for (const auto& group : groups_) {
    if (group->live == 0) continue;
    fmt::print("  work-group {}:\n", group->id[0]);
    for (const auto& [address, barrier] : group->barriers) {
      fmt::print("    mbarrier {}: phase {}, {} of {} arrivals and {} bytes to come\n",
                 address - kLocalBase, barrier.phase, barrier.pending, barrier.arrivals,
                 barrier.bytes);
    }
    for (std::size_t warp = 0; warp < group->warps.size(); ++warp) {
      std::map<std::string, int> places;
      for (int lane = 0; lane < kWarp; ++lane) {
        ++places[describe(group->items[warp * kWarp + lane])];
      }
      for (const auto& [place, count] : places) {
        fmt::print("    warp {}, {} work-items: {}\n", warp, count, place);
      }
    }
  }
}

// --- Waits.

bool Machine::is_ready(Group& group, int index) const {
  const Wait& wait = group.items[index].wait;
  switch (wait.kind) {
    case Waiting::nothing:
      return true;
    case Waiting::warp:
      return group.warps[index / kWarp].joins != wait.count;
    case Waiting::barrier: {
      const Barrier& barrier = group.barriers.at(static_cast<std::uint32_t>(wait.which));
      return (barrier.phase & 1) != wait.count;
    }
    case Waiting::named:
      return group.named[wait.which].phase != wait.count;
    case Waiting::products: {
      const int first = index / kWarpgroup * (kWarpgroup / kWarp);
      for (int warp = first; warp < first + kWarpgroup / kWarp; ++warp) {
        if (group.warps[warp].committed < wait.count) return false;
      }
      return true;
    }
    case Waiting::delay:
      return time_ >= wait.which;
    case Waiting::end:
      break;
  }
  return false;
}

void Machine::wait(Waiting kind, std::uint64_t which, std::uint64_t count, Position where) {
  Item& self = item();
  self.wait = {kind, which, count};
  self.where = where;
  self.fiber.suspend();
  self.wait = {};
}

// Now and then a work-item falls behind, sometimes far.
void Machine::maybe_delay(Position where, int percent) {
  item().where = where;
  if (!random_.chance(percent)) return;
  const std::uint64_t longest = random_.chance(3) ? 8000 : 400;
  wait(Waiting::delay, time_ + random_.below(longest), 0, where);
}

// --- Work-groups.

void Machine::start_group(std::int64_t index) {
  auto group = std::make_unique<Group>();
  group->id[0] = index % launch_->groups[0];
  group->id[1] = index / launch_->groups[0];
  const auto size = static_cast<std::size_t>(launch_->work_group_size);
  group->items = std::vector<Item>(size);
  group->warps = std::vector<Warp>(size / kWarp);
  group->registers.assign(group->warps.size(), 0);
  group->memory = GuardedMemory(static_cast<std::size_t>(launch_->local_memory_bytes), kLocalBase);
  group->chunks.resize(group->memory.bytes().size() / kChunk + 1);
  group->live = static_cast<int>(size);
  for (Item& item : group->items) item.fiber.start(run_item);
  groups_.push_back(std::move(group));
}

void Machine::run_item() {
  Machine& machine = *running;
  try {
    machine.launch_->kernel();
  } catch (const std::exception& error) {
    machine.stop(error.what(), machine.item().where);
  }
  machine.end_item();
}

void Machine::end_item() {
  Item& self = item();
  if (item_ % kWarp == 0 && !warp().pending.empty()) {
    fail("products are under way at the end", self.where);
  }
  bool copies = !self.copies.empty();
  for (const auto& committed : self.committed) copies |= !committed.empty();
  if (copies) fail("copies are under way at the end", self.where);
  --group_->live;
  wait(Waiting::end, 0, 0, self.where);
}

// Which warps stand still changes from time to time: some at random, and at times all those of one
// role, so that others run as far ahead as they can.
void Machine::freeze_warps() {
  constexpr int kLanding[] = {1, 2, 6, 30, 80}, kFrozen[] = {0, 0, 20, 50, 80};
  landing_percent_ = kLanding[random_.below(std::size(kLanding))];
  const int frozen = kFrozen[random_.below(std::size(kFrozen))];
  for (const auto& group : groups_) {
    for (Warp& warp : group->warps) warp.is_frozen = random_.chance(frozen);
  }
  if (!random_.chance(20)) return;
  constexpr int kWarps = kWarpgroup / kWarp;
  const std::uint64_t roles = (launch_->work_group_size + kWarpgroup - 1) / kWarpgroup;
  const std::uint64_t role = random_.below(roles);
  for (const auto& group : groups_) {
    for (std::size_t warp = 0; warp < group->warps.size(); ++warp) {
      if (warp / kWarps == role) group->warps[warp].is_frozen = true;
    }
  }
}

// Runs each work-item of a random warp that can, or lets copies land. Whether anything happened.
bool Machine::step() {
  if (time_++ % 128 == 0) freeze_warps();
  bool happened = false;
  if (!flights_.empty() && random_.chance(landing_percent_)) {
    for (int i = flights_.size() > 16 ? 16 : 1; i > 0; --i) land(random_.below(flights_.size()));
    happened = true;
  }
  Group& group = *groups_[random_.below(groups_.size())];
  const auto index = static_cast<int>(random_.below(group.warps.size()));
  if (group.warps[index].is_frozen && idle_ < kPatience / 10) return happened;
  group_ = &group;
  const auto first = static_cast<int>(random_.below(kWarp));
  for (int i = 0; i < kWarp; ++i) {
    item_ = index * kWarp + (i + first) % kWarp;
    if (!is_ready(group, item_)) continue;
    running = this;
    group.items[item_].fiber.resume();
    happened = true;
  }
  group_ = nullptr;
  return happened;
}

void Machine::run(const Launch& launch) {
  launch_ = &launch;
  started_ = 0;
  const std::int64_t count = launch.groups[0] * launch.groups[1];
  for (;;) {
    std::erase_if(groups_, [](const auto& group) { return group->live == 0; });
    while (started_ < count && static_cast<std::int64_t>(groups_.size()) < launch.resident) {
      start_group(started_++);
    }
    if (groups_.empty()) break;
    // Steps until a work-group ends.
    while (std::ranges::all_of(groups_, [](const auto& group) { return group->live > 0; })) {
      if (step()) {
        idle_ = 0;
      } else if (++idle_ > kPatience) {
        bool can_go_on = !flights_.empty();
        for (const auto& group : groups_) {
          for (int i = 0; i < launch.work_group_size; ++i) {
            can_go_on |= group->items[i].wait.kind == Waiting::delay || is_ready(*group, i);
          }
        }
        if (!can_go_on) stop("deadlock");
        if (idle_ > kHang) stop("nothing goes on");
      }
    }
    for (const Flight& flight : flights_) {
      if (flight.group->live == 0) stop("a copy is under way at the end");
    }
  }
  launch_ = nullptr;
}

void Machine::run_independent(const std::function<void()>& kernel, const std::size_t global[3]) {
  auto group = std::make_unique<Group>();
  group->items = std::vector<Item>(1);
  group_ = group.get();
  item_ = 0;
  for (global_id_[2] = 0; global_id_[2] < global[2]; ++global_id_[2]) {
    for (global_id_[1] = 0; global_id_[1] < global[1]; ++global_id_[1]) {
      for (global_id_[0] = 0; global_id_[0] < global[0]; ++global_id_[0]) kernel();
    }
  }
  group_ = nullptr;
}

// --- OpenCL C.

std::size_t Machine::local_id(unsigned dimension) { return dimension == 0 ? item_ : 0; }
std::size_t Machine::group_id(unsigned dimension) {
  return dimension < 2 ? group_->id[dimension] : 0;
}
std::size_t Machine::group_count(unsigned dimension) {
  return dimension < 2 ? launch_->groups[dimension] : 1;
}
std::size_t Machine::global_id(unsigned dimension) { return global_id_[dimension]; }

void* Machine::local_memory(Position where, std::size_t bytes) {
  const std::span<std::byte> memory = group_->memory.bytes();
  if (bytes > memory.size()) {
    stop(fmt::format("the kernel takes {} bytes of local memory, the planner counts {}", bytes,
                     memory.size()),
         where);
  }
  group_->memory_asked = bytes;
  return memory.data();
}

std::uint32_t Machine::local_address(Position where, const void* pointer) {
  const auto* byte = static_cast<const std::byte*>(pointer);
  const std::span<std::byte> memory = group_->memory.bytes();
  const auto offset = byte - memory.data();
  if (offset < 0 || static_cast<std::size_t>(offset) >= memory.size()) {
    stop("an address of local memory that is none", where);
  }
  return kLocalBase + static_cast<std::uint32_t>(offset);
}

std::uint32_t Machine::count(Position where, void* counter, std::uint32_t last) {
  maybe_delay(where);
  auto* value = static_cast<std::uint32_t*>(counter);
  const std::uint32_t before = *value;
  *value = before >= last ? 0 : before + 1;
  return before;
}

float Machine::exp2(float x) {
  const float result = std::exp2(x);
  return result < 0x1p-126f ? 0.0f : result;
}

std::uint32_t Machine::pack(float first, float second, bool bf16) {
  const DataType type = bf16 ? DataType::bf16 : DataType::f16;
  std::uint32_t result;
  store_element(type, first, reinterpret_cast<std::byte*>(&result), 0);
  store_element(type, second, reinterpret_cast<std::byte*>(&result), 1);
  return result;
}

void Machine::set_registers(Position where, int count) {
  group_->registers[item_ / kWarp] = count;
  int sum = 0;
  for (int registers : group_->registers) sum += registers;
  constexpr int kRegisters = 65536 / kWarp;  // of a work-group, in a lane of each of its warps
  if (count % 8 != 0 || count < 24 || count > 256 || sum > kRegisters) {
    fail(fmt::format("{} registers a work-item, {} in a lane of all warps; there are {}", count,
                     sum, kRegisters),
         where);
  }
}

}  // namespace clattn::emulation
