// Random numbers that are the same on every platform for a seed (xorshift64*, Vigna,
// arXiv 1402.6246), unlike the distributions of the standard library.
#pragma once

#include <cstdint>

namespace clattn::emulation {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(0x9e3779b97f4a7c15u * (seed + 1)) {
    for (int i = 0; i < 8; ++i) next();  // small seeds begin alike
  }

  std::uint64_t below(std::uint64_t bound) { return (next() >> 16) % bound; }
  bool chance(int percent) { return below(100) < static_cast<std::uint64_t>(percent); }
  // Within about 1e-3 of a normal distribution's: the sum of twelve uniform ones.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(next() >> 11) / 9007199254740992.0;
    return sum;
  }

 private:
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du;
  }

  std::uint64_t state_;
};

}  // namespace clattn::emulation
