// The disk cache of compiled programs. One file a program, named by its key in hexadecimal:
//
//   offset  size  content (little-endian)
//        0     8  magic "CLATTNPC"
//        8     4  format version
//       12     4  0
//       16    16  the key again, so that a renamed or foreign file is noticed
//       32     8  payload length in bytes
//       40     8  XXH3-64 of the payload
//       48     -  payload: what CL_PROGRAM_BINARIES gave
//
// Anything wrong reads as "not there". Files are written under a temporary name and renamed, so
// that other processes see a whole file or none. The folder is made with mode 0700.
#pragma once

#include <array>
#include <atomic>
#include <clattn/log.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace clattn {

struct CacheKey {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend auto operator<=>(const CacheKey&, const CacheKey&) = default;
};

// XXH3-128 of the text.
CacheKey cache_key(std::string_view text);

class DiskCache {
 public:
  // An empty folder turns the cache off. `log` hears once of a folder that can't be written.
  DiskCache(std::filesystem::path folder, LogCallback log);

  bool enabled() const { return !folder_.empty(); }
  std::optional<std::string> load(const CacheKey& key) const;
  void store(const CacheKey& key, std::string_view payload);

  // $XDG_CACHE_HOME/clattn, else $HOME/.cache/clattn, else empty.
  static std::filesystem::path default_folder();

 private:
  std::filesystem::path path_of(const CacheKey& key) const;

  std::filesystem::path folder_;
  LogCallback log_;
  std::atomic<bool> warned_ = false;
};

}  // namespace clattn
