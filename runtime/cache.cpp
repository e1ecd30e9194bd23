#include "runtime/cache.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>

namespace clattn {
namespace {

static_assert(std::endian::native == std::endian::little, "the cache format is little-endian");

constexpr std::array<char, 8> kMagic = {'C', 'L', 'A', 'T', 'T', 'N', 'P', 'C'};
constexpr std::uint32_t kFormatVersion = 1;

struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kFormatVersion;
  std::uint32_t zero = 0;
  CacheKey key;
  std::uint64_t length = 0;
  std::uint64_t hash = 0;
};
static_assert(sizeof(Header) == 48);

}  // namespace

CacheKey cache_key(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {hash.low64, hash.high64};
}

DiskCache::DiskCache(std::filesystem::path folder, LogCallback log)
    : folder_(std::move(folder)), log_(std::move(log)) {
  // "folder/" would be made by way of its parent's making, with another mode.
  if (!folder_.has_filename()) folder_ = folder_.parent_path();
}

std::filesystem::path DiskCache::path_of(const CacheKey& key) const {
  return folder_ / fmt::format("{:016x}{:016x}.clprogram", key.high, key.low);
}

std::optional<std::string> DiskCache::load(const CacheKey& key) const {
  if (folder_.empty()) return std::nullopt;
  std::ifstream file(path_of(key), std::ios::binary);
  Header header;
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header)) return std::nullopt;
  if (header.magic != kMagic || header.version != kFormatVersion || header.zero != 0 ||
      header.key != key) {
    return std::nullopt;
  }
  // The length is not trusted before the file is seen to hold it.
  std::ostringstream rest;
  rest << file.rdbuf();  // which does not throw where reading fails
  std::string payload = std::move(rest).str();
  if (payload.size() != header.length) return std::nullopt;
  if (XXH3_64bits(payload.data(), payload.size()) != header.hash) return std::nullopt;
  return payload;
}

void DiskCache::store(const CacheKey& key, std::string_view payload) {
  if (folder_.empty() || payload.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder_.parent_path(), error);
  ::mkdir(folder_.c_str(), 0700);  // an existing folder keeps its mode

  Header header;
  header.key = key;
  header.length = payload.size();
  header.hash = XXH3_64bits(payload.data(), payload.size());
  std::string temporary = (folder_ / "new-XXXXXX").string();
  const int descriptor = ::mkstemp(temporary.data());
  bool written = descriptor >= 0;
  for (std::string_view part :
       {std::string_view(reinterpret_cast<const char*>(&header), sizeof header), payload}) {
    while (written && !part.empty()) {
      const ssize_t count = ::write(descriptor, part.data(), part.size());
      written = count > 0;
      if (written) part.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  int reason = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (written) {
    written = ::rename(temporary.c_str(), path_of(key).c_str()) == 0;
    reason = errno;
  }
  if (written) return;
  if (descriptor >= 0) ::unlink(temporary.c_str());
  if (log_ && !warned_.exchange(true)) {
    log_(LogLevel::warning, fmt::format("compiled programs are not kept: cannot write in {}: {}",
                                        folder_.string(), std::strerror(reason)));
  }
}

std::filesystem::path DiskCache::default_folder() {
  // The XDG base directory specification has relative paths ignored.
  if (const char* cache = std::getenv("XDG_CACHE_HOME");
      cache && std::filesystem::path(cache).is_absolute()) {
    return std::filesystem::path(cache) / "clattn";
  }
  if (const char* home = std::getenv("HOME"); home && *home) {
    return std::filesystem::path(home) / ".cache" / "clattn";
  }
  return {};
}

}  // namespace clattn
