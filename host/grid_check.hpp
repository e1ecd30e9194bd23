// How whatever lies over a grid of tokens is refused: by its owner's name, the dimension, the value
// and the limit.
#pragma once

#include <clattn/problem.hpp>
#include <vector>

#include "host/invalid.hpp"

namespace clattn {

class GridCheck {
 public:
  // `owner` as it begins a sentence: "the neighborhood". Throws Error (invalid_argument), as all
  // functions do.
  GridCheck(const char* owner, const std::vector<std::int64_t>& grid) : owner_(owner), grid_(grid) {
    constexpr std::size_t kMaxRank = 3;
    if (grid.empty() || grid.size() > kMaxRank) {
      invalid("{}'s grid has {} dimensions, but must have 1 to {}", owner, grid.size(), kMaxRank);
    }
    std::int64_t room = Problem::kMaxLength;  // for tokens
    for (std::size_t d = 0; d < grid.size(); ++d) {
      within("grid", d, grid[d], 1, Problem::kMaxLength);
      room /= grid[d];
    }
    if (room < 1) {
      invalid("{}'s grid has more tokens than the largest supported length, {}", owner,
              Problem::kMaxLength);
    }
  }

  // One value a dimension.
  template <typename Value>
  void size(const char* name, const std::vector<Value>& values) const {
    if (values.size() == grid_.size()) return;
    invalid("{}'s {} has {} dimensions, but its grid has {}", owner_, name, values.size(),
            grid_.size());
  }
  // The same, where none stand for `standard` everywhere.
  template <typename Value>
  void fill(const char* name, std::vector<Value>& values, Value standard) const {
    if (values.empty()) values.assign(grid_.size(), standard);
    size(name, values);
  }

  void within(const char* name, std::size_t dimension, std::int64_t value, std::int64_t low,
              std::int64_t high) const {
    if (value < low) {
      invalid("{}'s {} of dimension {} is {}, but must be at least {}", owner_, name, dimension,
              value, low);
    }
    if (value > high) {
      invalid("{}'s {} of dimension {} is {}, but must be at most {}", owner_, name, dimension,
              value, high);
    }
  }

 private:
  const char* owner_;
  const std::vector<std::int64_t>& grid_;
};

}  // namespace clattn
