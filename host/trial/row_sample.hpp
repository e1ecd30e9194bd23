// Some query rows of a problem, for a check that costs less than the whole.
#pragma once

#include <cstdint>
#include <vector>

#include "host/trial/tensors.hpp"

namespace clattn {

// The first and last rows, those around the edges of the query tiles at both ends, and one in the
// middle: up to eleven, rising.
std::vector<std::int64_t> sampled_rows(std::int64_t query_len, std::int64_t query_tile);

// These rows of an output or LSE tensor, contiguous.
HostTensor sample_tensor(const HostTensor& tensor, const std::vector<std::int64_t>& rows);

}  // namespace clattn
