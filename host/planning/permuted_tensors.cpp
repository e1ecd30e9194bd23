#include "host/planning/permuted_tensors.hpp"

namespace clattn {

PermutedTensors::PermutedTensors(Engine::State& engine, const Problem& problem,
                                 const GridProblem& grid, const Tiling& tiling,
                                 DeviceMemory& memory)
    : inner_(problem) {
  const auto contiguous = [&](Role role) {
    TensorShape shape = tensor_shape(problem, role);
    shape.strides = contiguous_strides(Layout::bhld, shape.heads, shape.length, shape.dim);
    return shape;
  };
  const auto add = [&](std::vector<Way>& ways, TensorView Tensors::*view, std::size_t element_size,
                       const TensorShape& source, const TensorShape& target) {
    ways.push_back({view,
                    memory.allocate(source.elements() * static_cast<std::int64_t>(element_size)),
                    std::make_unique<PermuteKernel>(engine, places_.back().get(),
                                                    grid.slices.front().neighborhood->tokens(),
                                                    element_size, source, target)});
  };
  const auto set_places = [&](const TokenOrder& order, PermutationDirection direction) {
    places_.push_back(memory.upload(token_places(order, direction)));
  };
  const auto add_input = [&](TensorView Tensors::*view, Role role,
                             std::optional<Strides> Problem::*strides) {
    const TensorShape copy = contiguous(role);
    add(inputs_, view, size_of(problem.data_type), tensor_shape(problem, role), copy);
    inner_.*strides = copy.strides;
  };
  if (const TokenOrder order = query_order(grid, tiling); !is_identity(order)) {
    set_places(order, PermutationDirection::into_order);
    add_input(&Tensors::query, Role::query, &Problem::query_strides);
    set_places(order, PermutationDirection::out_of_order);
    const TensorShape output = contiguous(Role::output);
    add(results_, &Tensors::output, size_of(problem.data_type), output,
        tensor_shape(problem, Role::output));
    inner_.output_strides = output.strides;
    if (problem.lse) {
      const TensorShape lse = {
          problem.batch, problem.heads, problem.query_len, 1,
          contiguous_strides(Layout::bhld, problem.heads, problem.query_len, 1)};
      add(results_, &Tensors::lse, sizeof(float), lse, lse);
    }
  }
  if (const TokenOrder order = key_order(grid, tiling); !is_identity(order)) {
    set_places(order, PermutationDirection::into_order);
    add_input(&Tensors::key, Role::key, &Problem::key_strides);
    add_input(&Tensors::value, Role::value, &Problem::value_strides);
  }
}

Tensors PermutedTensors::inner(const Tensors& tensors) const {
  Tensors result = tensors;
  for (const auto* ways : {&inputs_, &results_}) {
    for (const Way& way : *ways) result.*way.view = {way.copy.get(), 0};
  }
  return result;
}

std::vector<Event> PermutedTensors::permute_inputs(cl_command_queue queue, const Tensors& tensors,
                                                   std::span<const cl_event> wait_list) const {
  std::vector<Event> done;
  for (const Way& way : inputs_) {
    done.push_back(way.kernel->enqueue(queue, tensors.*way.view, {way.copy.get(), 0}, wait_list));
  }
  return done;
}

Event PermutedTensors::permute_results(cl_command_queue queue, const Tensors& tensors,
                                       Event done) const {
  // One behind another, so that the last event stands for all.
  for (const Way& way : results_) {
    const cl_event wait = done.get();
    done = way.kernel->enqueue(queue, {way.copy.get(), 0}, tensors.*way.view, {&wait, 1});
  }
  return done;
}

}  // namespace clattn
