#include "npy.hpp"

#include <fmt/ranges.h>

#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

#include "fail.hpp"

namespace clattn::tool {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 65536;  // bytes; numpy itself refuses more than 10000
constexpr std::int64_t kMaxElements = std::int64_t{1} << 48;
constexpr std::size_t kAlignment = 64;  // of the data behind the header, as numpy writes it

// The header is one Python dictionary literal with the keys descr, fortran_order and shape.
class Header {
 public:
  Header(const std::string& path, std::string_view text) : path_(path), rest_(text) {
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !descr) {
        if (peek() == '[') fail("{}: structured arrays are not tensors", path_);
        descr = quoted();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = boolean();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        fail("{}: unexpected key '{}' in the .npy header", path_, key);
      }
      if (!accept(',') && peek() != '}') bad();
    }
    if (peek() != '\0') bad();
    if (!descr) fail("{}: the .npy header has no 'descr'", path_);
    if (!fortran_order) fail("{}: the .npy header has no 'fortran_order'", path_);
    if (!shape) fail("{}: the .npy header has no 'shape'", path_);
  }

  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::int64_t>> shape;

 private:
  [[noreturn]] void bad() const {
    fail("{}: malformed .npy header at '{:.20}'", path_, rest_.empty() ? "its end" : rest_);
  }
  char peek() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n"), rest_.size()));
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool accept(char wanted) {
    if (peek() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) bad();
  }
  std::string quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') bad();
    const std::size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) bad();
    const std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  bool boolean() {
    peek();
    for (const std::string_view word : {"True", "False"}) {
      if (rest_.starts_with(word)) {
        rest_.remove_prefix(word.size());
        return word == "True";
      }
    }
    bad();
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      peek();
      std::int64_t size = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (error == std::errc::result_out_of_range || size < 0 || size > kMaxElements) {
        fail("{}: size {:.20} in the shape is not within 0 to {}", path_, rest_, kMaxElements);
      }
      if (error != std::errc()) bad();
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      sizes.push_back(size);
      if (!accept(',') && peek() != ')') bad();
    }
    return sizes;
  }

  const std::string& path_;
  std::string_view rest_;
};

NpyType type_of(const std::string& path, const std::string& descr) {
  if (descr == "<f4") return NpyType::f32;
  if (descr == "<f2") return NpyType::f16;
  if (descr == "<V2" || descr == "|V2") return NpyType::bf16;
  if (descr == "<u2") return NpyType::u16;
  if (descr.starts_with('>')) fail("{}: big-endian elements ('{}') are not read", path, descr);
  if (descr.find('O') != std::string::npos) fail("{}: holds Python objects ('{}')", path, descr);
  fail(
      "{}: element type '{}' is none of '<f4' (f32), '<f2' (f16), '<V2' (bf16) and '<u2' (bits of "
      "bf16)",
      path, descr);
}

std::size_t bytes_of(NpyType type) { return type == NpyType::f32 ? 4 : 2; }

std::size_t little_endian(std::string_view bytes) {
  std::size_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

std::string read_exactly(std::ifstream& file, const std::string& path, std::size_t count) {
  std::string bytes(count, '\0');
  if (!file.read(bytes.data(), static_cast<std::streamsize>(count))) {
    fail("{}: ends within its .npy header", path);
  }
  return bytes;
}

}  // namespace

NpyArray read_npy(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    fail("cannot read '{}': it is not a regular file", path);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot read '{}': {}", path, std::strerror(errno));

  std::string start(kMagic.size() + 2, '\0');
  if (!file.read(start.data(), static_cast<std::streamsize>(start.size())) ||
      !start.starts_with(kMagic)) {
    fail("{}: is not an .npy file (its first bytes are not \\x93NUMPY)", path);
  }
  const int major = static_cast<unsigned char>(start[kMagic.size()]);
  const int minor = static_cast<unsigned char>(start[kMagic.size() + 1]);
  if (major < 1 || major > 3 || minor != 0) {
    fail("{}: .npy version {}.{} is none of 1.0, 2.0 and 3.0", path, major, minor);
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  const std::size_t header_length = little_endian(read_exactly(file, path, length_bytes));
  if (header_length > kMaxHeader) {
    fail("{}: a header of {} bytes exceeds the largest accepted, {}", path, header_length,
         kMaxHeader);
  }
  const std::string text = read_exactly(file, path, header_length);
  const Header header(path, text);

  NpyArray array{path, type_of(path, *header.descr), *header.shape, {}};
  if (*header.fortran_order) fail("{}: is in Fortran order; only C order is read", path);
  std::int64_t elements = 1;
  for (const std::int64_t size : array.shape) {
    if (size != 0 && elements > kMaxElements / size) {
      fail("{}: shape ({}) has more than {} elements", path, fmt::join(array.shape, ", "),
           kMaxElements);
    }
    elements *= size;
  }
  const std::uintmax_t expected = static_cast<std::uintmax_t>(elements) * bytes_of(array.type);
  const std::uintmax_t present =
      std::filesystem::file_size(path) - (start.size() + length_bytes + header_length);
  if (present != expected) {
    fail("{}: {}: shape ({}) of '{}' needs {} bytes behind the header, the file has {}", path,
         present < expected ? "is truncated" : "has trailing bytes", fmt::join(array.shape, ", "),
         *header.descr, expected, present);
  }
  array.data.resize(expected);
  if (!file.read(reinterpret_cast<char*>(array.data.data()),
                 static_cast<std::streamsize>(expected))) {
    fail("cannot read '{}': {}", path, std::strerror(errno));
  }
  return array;
}

void write_npy(OutputFile& file, DataType type, std::span<const std::int64_t> shape,
               std::span<const std::byte> data) {
  constexpr std::array<const char*, 3> kDescr = {"<f4", "<f2", "<V2"};
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({},), }}",
                                   kDescr[static_cast<std::size_t>(type)], fmt::join(shape, ", "));
  const std::size_t before = kMagic.size() + 4;
  const std::size_t end = (before + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  header.resize(end - before - 1, ' ');
  header += '\n';
  const std::string start =
      fmt::format("{}\x01{}{}{}", kMagic, '\0', static_cast<char>(header.size() & 0xff),
                  static_cast<char>(header.size() >> 8));
  file.write(std::as_bytes(std::span(start)));
  file.write(std::as_bytes(std::span(header)));
  file.write(data);
  file.commit();
}

}  // namespace clattn::tool
