// Writes NumPy's .npy files, as host/npy.hpp reads them: version 1.0, the data behind the header
// aligned to 64 bytes as NumPy does it, bf16 as '<V2'.
#pragma once

#include <clattn/problem.hpp>
#include <cstddef>
#include <cstdint>
#include <span>

#include "output_file.hpp"

namespace clattn::tool {

// Writes and commits.
void write_npy(OutputFile& file, DataType type, std::span<const std::int64_t> shape,
               std::span<const std::byte> data);

}  // namespace clattn::tool
