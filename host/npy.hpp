// Reads NumPy's .npy files, strictly: versions 1.0 to 3.0, C order, little-endian, exactly as many
// bytes as the shape needs; everything else is an error that names the file and the value. bf16,
// which NumPy does not know, is '<V2', as ml_dtypes saves it; NumPy turns that into '|V2' when it
// reads and saves it again. The one reader that Debian packages, xtensor's (0.24), has no f16 and
// reads a truncated file as if it ended in zeros.
#pragma once

#include <clattn/export.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace clattn {

enum class NpyType {
  f32,
  f16,
  bf16,
  u16,  // '<u2': the bits of bf16, where the problem says that they are
  u8,   // '|u1', and '|b1' as 0 and 1
  i32,  // '<i4', and '<i8' where every value fits
};

struct NpyArray {
  std::string path;
  NpyType type = NpyType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> data;
};

// Throws Error (invalid_argument). Exported for the tool; no header of it is installed.
CLATTN_API NpyArray read_npy(const std::string& path);

}  // namespace clattn
