#include "runtime/quirks.hpp"

namespace clattn {
namespace {

const Quirk kQuirks[] = {
    {"nvidia-static-local-memory",
     "reports 48 KiB of local memory, yet on compute capability 9.0 static __local arrays of 227 "
     "KiB build and run: the real size is used, and kernels take local memory only as static "
     "arrays",
     [](const DeviceFacts& facts) { return facts.compute_capability == 90; },
     [](DeviceFacts& facts) { facts.local_memory_bytes = 227 * 1024; }},
    {"cpu-local-memory-is-cache",
     "a CPU has no local memory; what it reports is the size of some cache, up to the last level. "
     "More than 256 KiB would not stay near a core, so tiles are planned for at most that",
     [](const DeviceFacts& facts) {
       return facts.kind == DeviceKind::cpu && facts.local_memory_bytes > 256 * 1024;
     },
     [](DeviceFacts& facts) { facts.local_memory_bytes = 256 * 1024; }},
};

}  // namespace

std::span<const Quirk> quirks() { return kQuirks; }

void apply_quirks(DeviceFacts& facts) {
  for (const Quirk& quirk : kQuirks) {
    if (!quirk.applies(facts)) continue;
    quirk.apply(facts);
    facts.quirks.push_back(quirk.id);
  }
}

}  // namespace clattn
