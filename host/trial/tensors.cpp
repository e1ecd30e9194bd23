#include "host/trial/tensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace clattn {
namespace {

constexpr auto kNan = std::byte{0xff};     // 0xffff and 0xffffffff are NaN in f16, bf16 and f32
constexpr auto kCanary = std::byte{0xa5};  // a tiny negative number in all of them

HostTensor filled(DataType type, const TensorShape& shape, std::int64_t guard, std::byte fill) {
  const auto elements = static_cast<std::size_t>(shape.span() + 2 * guard);
  return {type, shape, guard, std::vector<std::byte>(elements * size_of(type), fill)};
}

// Calls `visit` with the offset of each row of dim elements, in the order of dense values.
template <typename Visit>
void for_each_row(const TensorShape& shape, const Visit& visit) {
  for (std::int64_t batch = 0; batch < shape.batch; ++batch) {
    for (std::int64_t head = 0; head < shape.heads; ++head) {
      for (std::int64_t token = 0; token < shape.length; ++token) {
        visit(batch * shape.strides.batch + head * shape.strides.head +
              token * shape.strides.token);
      }
    }
  }
}

void fill_elements(HostTensor& tensor, std::byte fill) {
  const std::size_t size = size_of(tensor.type);
  std::byte* const first = tensor.first();
  for_each_row(tensor.shape, [&](std::int64_t offset) {
    std::memset(first + static_cast<std::size_t>(offset) * size, std::to_integer<int>(fill),
                static_cast<std::size_t>(tensor.shape.dim) * size);
  });
}

HostTensor random_tensor(const Problem& problem, Role role, std::mt19937_64& generator,
                         double spread, std::int64_t guard) {
  HostTensor tensor = nan_tensor(problem.data_type, tensor_shape(problem, role), guard);
  std::normal_distribution<float> normal(0.0f, static_cast<float>(spread));
  std::byte* const first = tensor.first();
  for_each_row(tensor.shape, [&](std::int64_t offset) {
    for (std::int64_t d = 0; d < tensor.shape.dim; ++d) {
      store_element(tensor.type, normal(generator), first, offset + d);
    }
  });
  return tensor;
}

HostTensor poisoned(DataType type, const TensorShape& shape, std::int64_t guard) {
  HostTensor tensor = filled(type, shape, guard, kCanary);
  fill_elements(tensor, kNan);
  return tensor;
}

std::string damage(HostTensor tensor, const char* name) {
  fill_elements(tensor, kCanary);
  const auto hit = std::ranges::find_if(tensor.storage, [](std::byte b) { return b != kCanary; });
  if (hit == tensor.storage.end()) return {};
  const auto element =
      (hit - tensor.storage.begin()) / static_cast<std::ptrdiff_t>(size_of(tensor.type)) -
      tensor.guard;
  return fmt::format("the kernel wrote outside {}, at element offset {} of a span of {}", name,
                     element, tensor.shape.span());
}

}  // namespace

std::span<const std::byte> HostTensor::elements() const {
  const std::size_t skip = static_cast<std::size_t>(guard) * size_of(type);
  return std::span(storage).subspan(skip, storage.size() - 2 * skip);
}

HostTensor nan_tensor(DataType type, const TensorShape& shape, std::int64_t guard) {
  return filled(type, shape, guard, kNan);
}

std::vector<double> dense_values(const HostTensor& tensor) {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(tensor.shape.elements()));
  const std::byte* const first = tensor.elements().data();
  for_each_row(tensor.shape, [&](std::int64_t offset) {
    for (std::int64_t d = 0; d < tensor.shape.dim; ++d) {
      values.push_back(load_element(tensor.type, first, offset + d));
    }
  });
  return values;
}

void set_dense_values(HostTensor& tensor, std::span<const double> values) {
  std::size_t next = 0;
  std::byte* const first = tensor.first();
  for_each_row(tensor.shape, [&](std::int64_t offset) {
    for (std::int64_t d = 0; d < tensor.shape.dim; ++d) {
      store_element(tensor.type, values[next++], first, offset + d);
    }
  });
}

HostInputs random_inputs(const Problem& problem, std::uint64_t seed, double spread,
                         std::int64_t guard) {
  std::mt19937_64 generator(seed);
  HostInputs inputs;
  inputs.query = random_tensor(problem, Role::query, generator, spread, guard);
  inputs.key = random_tensor(problem, Role::key, generator, spread, guard);
  inputs.value = random_tensor(problem, Role::value, generator, spread, guard);
  return inputs;
}

HostResult poisoned_result(const Problem& problem, std::int64_t guard) {
  HostResult result;
  result.output = poisoned(problem.data_type, tensor_shape(problem, Role::output), guard);
  if (problem.lse) {
    const TensorShape shape{problem.batch, problem.heads, problem.query_len, 1,
                            contiguous_strides(Layout::bhld, problem.heads, problem.query_len, 1)};
    result.lse = poisoned(DataType::f32, shape, guard);
  }
  return result;
}

std::string damage(const HostResult& result) {
  std::string found = damage(result.output, "the output");
  if (found.empty() && result.lse) found = damage(*result.lse, "the LSE");
  return found;
}

}  // namespace clattn
