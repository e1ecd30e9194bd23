// Some query rows of a problem as a problem of their own, for a check that costs less than the
// whole: the same keys and values, the chosen queries, and a mask that asks the original one about
// the original positions. For the CPU reference only.
#pragma once

#include <clattn/problem.hpp>
#include <cstdint>
#include <vector>

#include "tensors.hpp"

namespace clattn::tool {

// The first and last rows, those around the edges of the query tiles at both ends, and one in the
// middle: up to eleven, rising.
std::vector<std::int64_t> sampled_rows(std::int64_t query_len, std::int64_t query_tile);

// The problem of these rows. Its queries are sample_tensor's, its keys and values the original
// ones.
Problem sample_problem(const Problem& problem, const std::vector<std::int64_t>& rows);

// These rows of a query, output or LSE tensor, contiguous.
HostTensor sample_tensor(const HostTensor& tensor, const std::vector<std::int64_t>& rows);

}  // namespace clattn::tool
