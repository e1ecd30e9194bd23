#include "host/tuning/store_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

#include "host/invalid.hpp"
#include "runtime/embedded_sources.hpp"

namespace clattn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "clattn/tuning.json";

[[noreturn]] void fail(const char* what, const fs::path& path) {
  invalid("cannot {} {}: {}", what, path.string(), std::strerror(errno));
}

class File {
 public:
  File(const fs::path& path, int flags, const char* what)
      : path_(path), descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (descriptor_ < 0) fail(what, path);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(descriptor_); }

  void lock() {
    while (::flock(descriptor_, LOCK_EX) != 0) {
      if (errno != EINTR) fail("lock", path_);
    }
  }
  // All of it, and onto the disk.
  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::write(descriptor_, text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail("write", path_);
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    if (::fsync(descriptor_) != 0) fail("write", path_);
  }
  void set_mode(mode_t mode) {
    if (::fchmod(descriptor_, mode) != 0) fail("set the mode of", path_);
  }

 private:
  fs::path path_;
  int descriptor_;
};

// The mode 0700 is the XDG base directory specification's.
void make_folders(const fs::path& folder) {
  std::error_code ignored;
  if (folder.empty() || fs::is_directory(folder, ignored)) return;
  make_folders(folder.parent_path());
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) fail("make the folder", folder);
}

// Replaces a file as a whole; what was there before stays where that fails. Called under a lock, so
// that the temporary name is nobody else's, and may be left over from a process that was killed.
void replace_file(const fs::path& path, std::string_view text, std::optional<mode_t> mode) {
  const fs::path temporary = path.string() + ".new";
  try {
    File file(temporary, O_WRONLY | O_CREAT | O_TRUNC, "write");
    if (mode) file.set_mode(*mode);
    file.write(text);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail("write", path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  // The new name, too; some file systems can't, and then there is nothing more to do.
  const int folder = ::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  ::fsync(folder);
  ::close(folder);
}

// The XDG base directory specification has relative paths ignored.
bool is_usable(const char* path) { return path && fs::path(path).is_absolute(); }

}  // namespace

fs::path user_store_path() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); is_usable(data))
    return fs::path(data) / kName;
  if (const char* home = std::getenv("HOME"); home && *home) {
    return fs::path(home) / ".local/share" / kName;
  }
  return {};
}

std::vector<fs::path> system_store_paths() {
  const char* folders = std::getenv("XDG_DATA_DIRS");
  std::istringstream list(folders && *folders ? folders : "/usr/local/share:/usr/share");
  std::vector<fs::path> paths;
  for (std::string folder; std::getline(list, folder, ':');) {
    if (is_usable(folder.c_str())) paths.push_back(fs::path(folder) / kName);
  }
  return paths;
}

const TuningStore& shipped_store() {
  static const TuningStore store = TuningStore::from_json(embedded_stores().front().text);
  return store;
}

TuningStore read_store(const fs::path& path, Trials trials) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("read", path);
  std::ostringstream text;
  if (!(text << file.rdbuf())) invalid("cannot read {}, or it is empty", path.string());
  try {
    return TuningStore::from_json(std::move(text).str(), trials);
  } catch (const Error& error) {
    invalid("{}: {}", path.string(), error.what());
  }
}

void update_store(const fs::path& path, const std::function<void(TuningStore& store)>& change) {
  // Behind links, which would otherwise be replaced themselves; and with a folder.
  std::error_code error;
  const fs::path target = fs::weakly_canonical(path, error);
  if (error) invalid("cannot write {}: {}", path.string(), error.message());
  make_folders(target.parent_path());
  File lock(target.string() + ".lock", O_RDWR | O_CREAT, "lock");
  lock.lock();
  TuningStore store;
  std::optional<mode_t> mode;
  struct stat status = {};
  if (::stat(target.c_str(), &status) == 0) {
    // Renaming would not ask.
    if (!(status.st_mode & 0222) || ::access(target.c_str(), W_OK) != 0) {
      invalid("cannot write {}: it is read-only", target.string());
    }
    store = read_store(target);
    mode = status.st_mode & 07777;
  } else if (errno != ENOENT) {
    fail("read", target);
  }
  change(store);
  replace_file(target, store.to_json(), mode);
}

std::vector<TuningLayer> default_layers(const LogCallback& log, Trials trials) {
  std::vector<TuningLayer> layers;
  const auto add = [&](const char* name, const fs::path& path) {
    std::error_code ignored;
    if (path.empty() || !fs::exists(path, ignored)) return;
    try {
      layers.push_back({name, read_store(path, trials)});
    } catch (const Error& error) {
      if (log) log(LogLevel::warning, fmt::format("a tuning store is left out: {}", error.what()));
    }
  };
  add("user", user_store_path());
  for (const fs::path& path : system_store_paths()) add("system", path);
  layers.push_back({"shipped", shipped_store()});
  return layers;
}

}  // namespace clattn
