// The problems that the emulation runs, for each family: every way to walk, to copy and to mask
// that its kernel tells apart, at lengths of a few tiles. The planner chooses most
// configurations; the facts of the device make it take other ones than an H200's.
#pragma once

#include <clattn/engine.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/planning/family.hpp"

namespace clattn::emulation {

struct Case {
  std::string name;
  std::string problem;  // members of its JSON object, without type and LSE
  DataType type = DataType::bf16;
  // Of the device. Rows are split, and come late, by the number of compute units; how many
  // work-items fit says how large a tile of queries may be, and local memory the other sizes.
  std::int64_t compute_units = 3;
  std::int64_t work_items = 1024;
  std::int64_t local_memory = 227 << 10;
  TokenAccess tokens = TokenAccess::automatic;
  std::int64_t offset = 0;   // of the tensors, in elements
  KernelConfig config = {};  // instead of the planner's choice
  // Lists of the problem's mask, which come at launch.
  std::optional<BlockShape> blocks = std::nullopt;
  std::int64_t list_parts = 1;
  bool key_lengths = false;  // some blocks of keys are shorter, or empty
  bool row_order = false;    // rows of blocks start in the order of the last one first
  bool broken = false;       // a count and an index are none
};

std::vector<Case> cases_of(const std::string& family);

}  // namespace clattn::emulation
