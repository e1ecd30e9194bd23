// Tensors on the host, as raw storage in a problem's data type and strides. In front of and behind
// a tensor may lie a guard, and padded strides leave gaps: around inputs both are NaN, so that a
// kernel that reads there poisons its result; around outputs both are canaries, whose damage shows
// that a kernel wrote there. Dense values are doubles in the order [batch, heads, length, dim].
#pragma once

#include <clattn/problem.hpp>
#include <clattn/reference.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace clattn {

struct HostTensor {
  DataType type = DataType::f32;
  TensorShape shape;
  std::int64_t guard = 0;  // elements in front of element [0, 0, 0, 0], and behind the last
  std::vector<std::byte> storage;

  std::byte* first() { return storage.data() + static_cast<std::size_t>(guard) * size_of(type); }
  // From element [0, 0, 0, 0] to the last.
  std::span<const std::byte> elements() const;
};

// A tensor whose every byte is NaN in every data type.
HostTensor nan_tensor(DataType type, const TensorShape& shape, std::int64_t guard = 0);
std::vector<double> dense_values(const HostTensor& tensor);
// Values are rounded to the data type.
void set_dense_values(HostTensor& tensor, std::span<const double> values);

struct HostInputs {
  HostTensor query;
  HostTensor key;
  HostTensor value;
  HostTensors view() const { return {query.elements(), key.elements(), value.elements()}; }
};

// Normal values with standard deviation `spread`, the same for the same seed and problem.
HostInputs random_inputs(const Problem& problem, std::uint64_t seed, double spread = 1,
                         std::int64_t guard = 0);

// What a kernel writes. Elements are NaN at first, all else is canaries.
struct HostResult {
  HostTensor output;
  std::optional<HostTensor> lse;  // if the problem asks for it
};

HostResult poisoned_result(const Problem& problem, std::int64_t guard = 0);
// Says where canaries were overwritten; empty if they are all intact.
std::string damage(const HostResult& result);

}  // namespace clattn
