// Which configurations a search tries next: each once, the heuristic's choice first. Pure; whatever
// is left to chance follows from the seed.
#pragma once

#include <clattn/tuning.hpp>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "host/tuning/space.hpp"
#include "host/tuning/surrogate.hpp"

namespace clattn {

class Proposals {
 public:
  // The space must outlive it.
  Proposals(const Space& space, SearchStrategy strategy, std::uint64_t seed);

  // The next ones, at most `limit`, in the order in which to try them; none: all were proposed. A
  // guided search learns from what was observed of all that were proposed before; an infinite time
  // is that of one that failed.
  std::vector<std::size_t> next(const std::vector<Observation>& observations, std::size_t limit);

 private:
  void propose_promising(std::vector<Observation> observations, std::size_t count,
                         std::vector<std::size_t>& batch);
  // The next legal configurations from the heuristic's on, in both directions of each parameter,
  // best predicted first.
  std::vector<std::size_t> neighbors() const;

  const Space& space_;
  const bool guided_;
  std::mt19937_64 random_;
  Surrogate surrogate_;
  std::vector<std::size_t> order_;  // that is known in advance
  std::vector<bool> proposed_;
};

}  // namespace clattn
