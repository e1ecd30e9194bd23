// The built-in grids of 'clattn check --suite'. 'full' takes every value of every axis (lengths
// around tile edges, dimensions, masks, data types, head groups, layouts and strides, scales, score
// modifiers, block lists) and crosses bands with data types; the other axes are walked in parallel
// with different periods, because each pair of dimensions, data type and mask is one kernel to
// build. A family other than the device's first takes the thin part of it, which is still every
// data type and kind of mask. 'reduced' is for simulators such as Oclgrind: few keys, few heads,
// few kernels.
#pragma once

#include <clattn/engine.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace clattn::tool {

struct CheckCase {
  Problem problem;         // with `blocks`, its lists are made on the device from its mask
  double spread = 1;       // standard deviation of the inputs
  std::int64_t guard = 0;  // elements around every tensor; where odd, bases are not aligned
  bool thin = false;       // belongs to the thin part
  PlanOptions plan = {};   // but for the family
};

// "full" or "reduced"; throws Error (invalid_argument) for another name.
std::vector<CheckCase> check_suite(const std::string& name);

// The problem's description, with " x8" behind it for inputs of that standard deviation.
std::string describe(const CheckCase& check);

}  // namespace clattn::tool
