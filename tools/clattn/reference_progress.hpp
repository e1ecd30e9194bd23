// The CPU reference at work for the tool: a line on the terminal, and an end to it on Ctrl-C.
#pragma once

#include <clattn/reference.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "interrupt.hpp"
#include "progress.hpp"

namespace clattn::tool {

// Gives what `evaluate` gives, called with a progress callback. Nothing is shown where `label` is
// empty. Throws Interrupted.
template <typename Evaluate>
auto with_reference_progress(const std::string& label, const Evaluate& evaluate) {
  std::optional<Progress> line;
  std::int64_t last = 0;
  auto result = evaluate([&](std::int64_t done, std::int64_t total) {
    if (!label.empty()) {
      if (!line || done < std::exchange(last, done)) line.emplace(label, total);
      line->update(done);
    }
    return !interrupted();
  });
  throw_if_interrupted();
  return result;
}

}  // namespace clattn::tool
