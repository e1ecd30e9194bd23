#include "host/npy.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string_view>

#include "host/invalid.hpp"

namespace clattn {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 65536;  // bytes; numpy itself refuses more than 10000
constexpr std::int64_t kMaxElements = std::int64_t{1} << 48;

// The header is one Python dictionary literal with the keys descr, fortran_order and shape.
class Header {
 public:
  Header(const std::string& path, std::string_view text) : path_(path), rest_(text) {
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !descr) {
        if (peek() == '[') invalid("{}: structured arrays are not tensors", path_);
        descr = quoted();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = boolean();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        invalid("{}: unexpected key '{}' in the .npy header", path_, key);
      }
      if (!accept(',') && peek() != '}') bad();
    }
    if (peek() != '\0') bad();
    if (!descr) invalid("{}: the .npy header has no 'descr'", path_);
    if (!fortran_order) invalid("{}: the .npy header has no 'fortran_order'", path_);
    if (!shape) invalid("{}: the .npy header has no 'shape'", path_);
  }

  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::int64_t>> shape;

 private:
  [[noreturn]] void bad() const {
    invalid("{}: malformed .npy header at '{:.20}'", path_, rest_.empty() ? "its end" : rest_);
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
        invalid("{}: size {:.20} in the shape is not within 0 to {}", path_, rest_, kMaxElements);
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

// An element type as the header names it.
struct Descr {
  const char* name;
  NpyType type;
  std::size_t bytes;  // of an element in the file
};

constexpr Descr kDescrs[] = {
    {"<f4", NpyType::f32, 4},  {"<f2", NpyType::f16, 2}, {"<V2", NpyType::bf16, 2},
    {"|V2", NpyType::bf16, 2}, {"<u2", NpyType::u16, 2}, {"|b1", NpyType::u8, 1},
    {"|u1", NpyType::u8, 1},   {"<i4", NpyType::i32, 4}, {"<i8", NpyType::i32, 8}};

const Descr& descr_of(const std::string& path, const std::string& name) {
  for (const Descr& descr : kDescrs) {
    if (name == descr.name) return descr;
  }
  if (name.starts_with('>')) invalid("{}: big-endian elements ('{}') are not read", path, name);
  if (name.find('O') != std::string::npos) invalid("{}: holds Python objects ('{}')", path, name);
  invalid(
      "{}: element type '{}' is none of '<f4' (f32), '<f2' (f16), '<V2' (bf16), '<u2' (bits of "
      "bf16), '|b1' (bool), '|u1' (u8), '<i4' (i32) and '<i8' (i64)",
      path, name);
}

// i64 to i32.
std::vector<std::byte> narrowed(const std::string& path, const std::vector<std::byte>& data) {
  using Limits = std::numeric_limits<std::int32_t>;
  const std::size_t count = data.size() / sizeof(std::int64_t);
  std::vector<std::byte> result(count * sizeof(std::int32_t));
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t value = 0;
    std::memcpy(&value, &data[i * sizeof value], sizeof value);
    if (value < Limits::min() || value > Limits::max()) {
      invalid("{}: element {} is {}, which is not within {} to {}", path, i, value, Limits::min(),
              Limits::max());
    }
    const auto narrow = static_cast<std::int32_t>(value);
    std::memcpy(&result[i * sizeof narrow], &narrow, sizeof narrow);
  }
  return result;
}

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
    invalid("{}: ends within its .npy header", path);
  }
  return bytes;
}

}  // namespace

NpyArray read_npy(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    invalid("cannot read '{}': it is not a regular file", path);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) invalid("cannot read '{}': {}", path, std::strerror(errno));

  std::string start(kMagic.size() + 2, '\0');
  if (!file.read(start.data(), static_cast<std::streamsize>(start.size())) ||
      !start.starts_with(kMagic)) {
    invalid("{}: is not an .npy file (its first bytes are not \\x93NUMPY)", path);
  }
  const int major = static_cast<unsigned char>(start[kMagic.size()]);
  const int minor = static_cast<unsigned char>(start[kMagic.size() + 1]);
  if (major < 1 || major > 3 || minor != 0) {
    invalid("{}: .npy version {}.{} is none of 1.0, 2.0 and 3.0", path, major, minor);
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  const std::size_t header_length = little_endian(read_exactly(file, path, length_bytes));
  if (header_length > kMaxHeader) {
    invalid("{}: a header of {} bytes exceeds the largest accepted, {}", path, header_length,
            kMaxHeader);
  }
  const std::string text = read_exactly(file, path, header_length);
  const Header header(path, text);

  const Descr& descr = descr_of(path, *header.descr);
  NpyArray array{path, descr.type, *header.shape, {}};
  if (*header.fortran_order) invalid("{}: is in Fortran order; only C order is read", path);
  std::int64_t elements = 1;
  for (const std::int64_t size : array.shape) {
    if (size != 0 && elements > kMaxElements / size) {
      invalid("{}: shape ({}) has more than {} elements", path, fmt::join(array.shape, ", "),
              kMaxElements);
    }
    elements *= size;
  }
  const std::uintmax_t expected = static_cast<std::uintmax_t>(elements) * descr.bytes;
  const std::uintmax_t present =
      std::filesystem::file_size(path) - (start.size() + length_bytes + header_length);
  if (present != expected) {
    invalid("{}: {}: shape ({}) of '{}' needs {} bytes behind the header, the file has {}", path,
            present < expected ? "is truncated" : "has trailing bytes",
            fmt::join(array.shape, ", "), descr.name, expected, present);
  }
  array.data.resize(expected);
  if (!file.read(reinterpret_cast<char*>(array.data.data()),
                 static_cast<std::streamsize>(expected))) {
    invalid("cannot read '{}': {}", path, std::strerror(errno));
  }
  if (descr.bytes == sizeof(std::int64_t)) array.data = narrowed(path, array.data);
  return array;
}

}  // namespace clattn
