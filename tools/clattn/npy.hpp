// NumPy's .npy files, strictly: versions 1.0 to 3.0, C order, little-endian, exactly as many bytes
// as the shape needs; everything else is an error that names the file and the value. Element types
// are f32 ('<f4'), f16 ('<f2') and bf16, which NumPy does not know: ml_dtypes saves it as '<V2',
// and so do we; NumPy turns that into '|V2' when it reads and saves it again. The one reader that
// Debian packages, xtensor's (0.24), has no f16 and reads a truncated file as if it ended in zeros.
#pragma once

#include <clattn/problem.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "output_file.hpp"

namespace clattn::tool {

enum class NpyType {
  f32,
  f16,
  bf16,
  u16,  // '<u2': the bits of bf16, where the problem says that they are
};

struct NpyArray {
  std::string path;
  NpyType type = NpyType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> data;
};

// Throws Error (invalid_argument).
NpyArray read_npy(const std::string& path);

// Writes and commits.
void write_npy(OutputFile& file, DataType type, std::span<const std::int64_t> shape,
               std::span<const std::byte> data);

}  // namespace clattn::tool
