#include "host/trial/row_sample.hpp"

#include <cstring>
#include <set>

namespace clattn {

std::vector<std::int64_t> sampled_rows(std::int64_t query_len, std::int64_t query_tile) {
  const std::int64_t last_tile = (query_len - 1) / query_tile * query_tile;
  std::set<std::int64_t> rows;
  for (const std::int64_t row :
       {std::int64_t{0}, std::int64_t{1}, query_tile - 1, query_tile, query_tile + 1, query_len / 2,
        last_tile - 1, last_tile, last_tile + 1, query_len - 2, query_len - 1}) {
    if (row >= 0 && row < query_len) rows.insert(row);
  }
  return {rows.begin(), rows.end()};
}

HostTensor sample_tensor(const HostTensor& tensor, const std::vector<std::int64_t>& rows) {
  TensorShape shape = tensor.shape;
  shape.length = static_cast<std::int64_t>(rows.size());
  shape.strides = contiguous_strides(Layout::bhld, shape.heads, shape.length, shape.dim);
  HostTensor sample = nan_tensor(tensor.type, shape);
  const std::size_t size = size_of(tensor.type);
  const std::byte* const from = tensor.elements().data();
  std::byte* to = sample.first();
  for (std::int64_t batch = 0; batch < shape.batch; ++batch) {
    for (std::int64_t head = 0; head < shape.heads; ++head) {
      for (const std::int64_t row : rows) {
        const std::int64_t offset = batch * tensor.shape.strides.batch +
                                    head * tensor.shape.strides.head +
                                    row * tensor.shape.strides.token;
        std::memcpy(to, from + static_cast<std::size_t>(offset) * size,
                    static_cast<std::size_t>(shape.dim) * size);
        to += static_cast<std::size_t>(shape.dim) * size;
      }
    }
  }
  return sample;
}

}  // namespace clattn
