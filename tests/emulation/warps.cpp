// What the 32 work-items of a warp say to each other. An instruction that joins them waits until
// all have come to it; between such instructions they drift apart.
#include <fmt/format.h>

#include <bit>

#include "tests/emulation/machine.hpp"

namespace clattn::emulation {

const Machine::Words& Machine::join(const char* operation, std::span<const std::uint32_t> words,
                                    Position where) {
  return join(operation, words, where, [] {});
}

float Machine::shuffle(Position where, float value, std::uint32_t mask) {
  const auto word = std::bit_cast<std::uint32_t>(value);
  const Words& words = join("shuffle", {&word, 1}, where);
  return std::bit_cast<float>(words[(item_ % kWarp) ^ mask][0]);
}

int Machine::any(Position where, int condition) {
  const auto word = static_cast<std::uint32_t>(condition);
  const Words& words = join("vote", {&word, 1}, where);
  for (const auto& lane : words) {
    if (lane[0] != 0) return 1;
  }
  return 0;
}

// The kernels take it for a value that is the same for all, or 0.
std::uint32_t Machine::uniform(Position where, std::uint32_t value) {
  const Words& words = join("reduction", {&value, 1}, where);
  std::uint32_t result = 0;
  for (const auto& lane : words) result |= lane[0];
  if (value != 0 && value != result) fail("a uniform value differs within a warp", where);
  return result;
}

void Machine::warp_barrier(Position where) {
  join("barrier of a warp", {}, where);
  maybe_delay(where);
}

}  // namespace clattn::emulation
