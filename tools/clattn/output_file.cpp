#include "output_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fail.hpp"
#include "interrupt.hpp"

namespace clattn::tool {

OutputFile::OutputFile(const std::string& path) : path_(path) {
  std::error_code none;
  if (std::filesystem::is_directory(path_, none)) fail("cannot write '{}': it is a folder", path);
  if (std::filesystem::exists(path_, none)) {
    // A symbolic link stays; its target is replaced.
    if (const auto target = std::filesystem::canonical(path_, none); !none) path_ = target;
  }
  const bool direct =
      std::filesystem::exists(path_, none) && !std::filesystem::is_regular_file(path_, none);
  if (!direct) temporary_ = path_.string() + fmt::format(".tmp.{}", getpid());
  file_ = std::fopen(direct ? path_.c_str() : temporary_.c_str(), direct ? "wb" : "wbx");
  if (!file_) {
    temporary_.clear();
    fail("cannot write '{}': {}", path, std::strerror(errno));
  }
}

OutputFile::~OutputFile() {
  if (file_) std::fclose(file_);
  if (!temporary_.empty()) {
    std::error_code none;
    std::filesystem::remove(temporary_, none);
  }
}

void OutputFile::write(std::span<const std::byte> bytes) {
  constexpr std::size_t kChunk = std::size_t{16} << 20;
  while (!bytes.empty()) {
    throw_if_interrupted();
    const auto chunk = bytes.first(std::min(kChunk, bytes.size()));
    if (std::fwrite(chunk.data(), 1, chunk.size(), file_) != chunk.size()) {
      fail("cannot write '{}': {}", path_.string(), std::strerror(errno));
    }
    bytes = bytes.subspan(chunk.size());
  }
}

void OutputFile::commit() {
  throw_if_interrupted();
  if (std::fclose(std::exchange(file_, nullptr)) != 0) {
    fail("cannot write '{}': {}", path_.string(), std::strerror(errno));
  }
  if (temporary_.empty()) return;
  std::error_code error;
  std::filesystem::rename(temporary_, path_, error);
  if (error) fail("cannot write '{}': {}", path_.string(), error.message());
  temporary_.clear();
}

}  // namespace clattn::tool
