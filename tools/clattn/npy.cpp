#include "npy.hpp"

#include <fmt/ranges.h>

#include <array>
#include <string>
#include <string_view>

namespace clattn::tool {
namespace {

constexpr std::string_view kStart{"\x93NUMPY\x01\x00", 8};  // magic and version
constexpr std::size_t kAlignment = 64;                      // of the data behind the header

}  // namespace

void write_npy(OutputFile& file, DataType type, std::span<const std::int64_t> shape,
               std::span<const std::byte> data) {
  constexpr std::array<const char*, 3> kDescr = {"<f4", "<f2", "<V2"};
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({},), }}",
                                   kDescr[static_cast<std::size_t>(type)], fmt::join(shape, ", "));
  const std::size_t before = kStart.size() + 2;
  const std::size_t end = (before + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  header.resize(end - before - 1, ' ');
  header += '\n';
  const std::string start = fmt::format("{}{}{}", kStart, static_cast<char>(header.size() & 0xff),
                                        static_cast<char>(header.size() >> 8));
  file.write(std::as_bytes(std::span(start)));
  file.write(std::as_bytes(std::span(header)));
  file.write(data);
  file.commit();
}

}  // namespace clattn::tool
