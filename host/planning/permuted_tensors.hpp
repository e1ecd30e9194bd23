// Takes a plan's tensors into the order of tiles, into copies that the plan holds, and its results
// back. Tensors whose order is the one they lie in are left where they are.
#pragma once

#include <clattn/engine.hpp>
#include <memory>
#include <span>
#include <vector>

#include "host/planning/launch.hpp"
#include "host/planning/permute.hpp"
#include "host/planning/tilings.hpp"

namespace clattn {

class PermutedTensors {
 public:
  // For a tiling that is permuted. Throws Error.
  PermutedTensors(Engine::State& engine, const Problem& problem, const GridProblem& grid,
                  const Tiling& tiling, DeviceMemory& memory);

  // Shapes and strides of the attention between.
  const Problem& problem() const { return inner_; }
  // What it reads and writes.
  Tensors inner(const Tensors& tensors) const;
  // Only launch. Return what the next command is to wait for.
  std::vector<Event> permute_inputs(cl_command_queue queue, const Tensors& tensors,
                                    std::span<const cl_event> wait_list) const;
  Event permute_results(cl_command_queue queue, const Tensors& tensors, Event done) const;

 private:
  struct Way {
    TensorView Tensors::*view;
    Memory copy;
    std::unique_ptr<PermuteKernel> kernel;
  };
  Problem inner_;
  std::vector<Memory> places_;
  std::vector<Way> inputs_, results_;
};

}  // namespace clattn
