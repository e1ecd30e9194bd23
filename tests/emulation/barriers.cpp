// Barriers: mbarriers in local memory, which count arrivals and bytes and are waited for by the
// parity of their phase, and the sixteen named ones of a work-group.
#include <fmt/format.h>

#include "tests/emulation/machine.hpp"

namespace clattn::emulation {

// --- mbarriers.

Machine::Barrier& Machine::barrier_at(std::uint32_t address, Position where) {
  const auto found = group_->barriers.find(address);
  if (found == group_->barriers.end()) {
    stop(fmt::format("there is no mbarrier at {}", address - kLocalBase), where);
  }
  return found->second;
}

void Machine::start_barrier(Position where, std::uint32_t address, int arrivals) {
  at(address, 8, where);
  if (address % 8 != 0 || arrivals < 1) {
    stop(fmt::format("an mbarrier at {} of {} arrivals", address - kLocalBase, arrivals), where);
  }
  Barrier barrier;
  barrier.arrivals = barrier.pending = arrivals;
  barrier.unfenced_by = item_;
  if (!group_->barriers.emplace(address, barrier).second) {
    fail(fmt::format("mbarrier {} is started twice", address - kLocalBase), where);
  }
}

void Machine::complete_phase(Group& group, std::uint32_t address, Barrier& barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  // Whoever still has not seen the phase before would take the one after it for that.
  for (const Item& item : group.items) {
    const Wait& wait = item.wait;
    if (wait.kind == Waiting::barrier && wait.which == address &&
        (barrier.phase & 1) != wait.count) {
      fail(fmt::format("mbarrier {} completes a phase while one still waits for the phase before",
                       address - kLocalBase),
           item.where);
    }
  }
  ++barrier.phase;
  barrier.pending = barrier.arrivals;
}

void Machine::count_arrival(Group& group, std::uint32_t address, Position where) {
  Barrier& barrier = group.barriers.at(address);
  if (barrier.pending == 0) {
    fail(fmt::format("an arrival at mbarrier {} beyond its {}", address - kLocalBase,
                     barrier.arrivals),
         where);
    return;
  }
  --barrier.pending;
  complete_phase(group, address, barrier);
}

void Machine::wait_barrier(Position where, std::uint32_t address, std::uint32_t parity) {
  const Barrier& barrier = barrier_at(address, where);
  if (parity > 1) stop(fmt::format("parity {}", parity), where);
  // Also where the phase is complete one may come to know it late.
  if ((barrier.phase & 1) == parity || random_.chance(10)) {
    wait(Waiting::barrier, address, parity, where);
  }
  maybe_delay(where);
}

void Machine::arrive(Position where, std::uint32_t address) {
  maybe_delay(where);
  barrier_at(address, where);
  count_arrival(*group_, address, where);
}

void Machine::expect(Position where, std::uint32_t address, int bytes) {
  maybe_delay(where);
  barrier_at(address, where).bytes += bytes;
}

// --- Named barriers.

int Machine::any_of_named(Position where, int name, int count, int condition) {
  maybe_delay(where);
  if (name < 0 || name > 15 || count < kWarp || count % kWarp != 0) {
    stop(fmt::format("named barrier {} of {} work-items", name, count), where);
  }
  Named& barrier = group_->named[name];
  const std::uint64_t phase = barrier.phase;
  if (barrier.by.empty()) {
    barrier.count = count;
    barrier.any[phase & 1] = 0;
  } else if (barrier.count != count) {
    fail(fmt::format("named barrier {} is of {} work-items and of {}", name, barrier.count, count),
         where);
  }
  if (!barrier.by.insert(item_).second) {
    stop(fmt::format("a work-item comes to named barrier {} twice", name), where);
  }
  barrier.any[phase & 1] |= condition;
  if (static_cast<int>(barrier.by.size()) < barrier.count) {
    wait(Waiting::named, name, phase, where);
  } else {
    barrier.by.clear();
    ++barrier.phase;
  }
  const int any = barrier.any[phase & 1];
  maybe_delay(where);
  return any;
}

void Machine::sync_named(Position where, int name, int count) {
  any_of_named(where, name, count, 0);
}

void Machine::work_group_barrier(Position where) {
  sync_named(where, 0, static_cast<int>(launch_->work_group_size));
}

}  // namespace clattn::emulation
