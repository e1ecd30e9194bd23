// What the masks that are made of other masks share.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <clattn/mask.hpp>
#include <string>
#include <vector>

#include "host/invalid.hpp"

namespace clattn {

inline void check_part(const char* name, const Mask& part) {
  if (!part) invalid("a mask in {} is null; dense_mask() is the mask that hides nothing", name);
}

inline void check_parts(const char* name, const std::vector<Mask>& parts) {
  for (const Mask& part : parts) check_part(name, part);
}

// The smallest range that holds both.
inline Range hull(const Range& a, const Range& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

// {"name":[M,...]}
inline std::string parts_to_json(const char* name, const std::vector<Mask>& parts) {
  std::string list;
  for (const Mask& part : parts) list += (list.empty() ? "" : ",") + part->to_json();
  return fmt::format("{{\"{}\":[{}]}}", name, list);
}

}  // namespace clattn
