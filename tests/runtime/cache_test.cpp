// The disk cache of programs: what is stored comes back, anything else reads as absent, and a
// folder that can't be written costs one warning.
#include "runtime/cache.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "tests/support.hpp"

namespace clattn {
namespace {

using test::LogRecorder;
using test::read_file;
using test::TemporaryFolder;
using test::write_file;
namespace fs = std::filesystem;

const CacheKey kKey = cache_key("a program");
const std::string kPayload = std::string("binary\0with zeros and ", 22) + std::string(300, '\xfe');

std::vector<fs::path> files_of(const fs::path& folder) {
  return {fs::directory_iterator(folder), {}};
}

// A cache of one stored program.
struct Stored {
  TemporaryFolder parent;
  fs::path folder = parent.path() / "cache";
  DiskCache cache{folder, {}};
  fs::path file;
  Stored() {
    cache.store(kKey, kPayload);
    file = files_of(folder).at(0);
  }
};

TEST(CacheKey, DependsOnEveryByte) {
  EXPECT_EQ(cache_key("abc"), cache_key("abc"));
  EXPECT_NE(cache_key("abc"), cache_key("abd"));
  EXPECT_NE(cache_key("abc"), cache_key(std::string("abc\0", 4)));
}

TEST(DiskCache, RoundTrip) {
  Stored stored;
  EXPECT_EQ(stored.cache.load(kKey), kPayload);
  EXPECT_EQ(DiskCache(stored.folder, {}).load(kKey), kPayload);  // another process
  EXPECT_EQ(stored.cache.load(cache_key("another")), std::nullopt);
  stored.cache.store(kKey, "newer");
  EXPECT_EQ(stored.cache.load(kKey), "newer");
  EXPECT_EQ(files_of(stored.folder).size(), 1u) << "a temporary file was left";
}

TEST(DiskCache, FileIsLaidOutAsTheHeaderSays) {
  const Stored stored;
  const std::string bytes = read_file(stored.file);
  ASSERT_EQ(bytes.size(), 48 + kPayload.size());
  EXPECT_EQ(bytes.substr(0, 8), "CLATTNPC");
  EXPECT_EQ(bytes.substr(8, 8), std::string("\1\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(std::memcmp(bytes.data() + 16, &kKey, 16), 0);
  EXPECT_EQ(bytes.substr(48), kPayload);
}

TEST(DiskCache, AnyFlippedByteReadsAsAbsent) {
  const Stored stored;
  const std::string good = read_file(stored.file);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int flip : {0x01, 0x80}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      write_file(stored.file, bad);
      EXPECT_EQ(stored.cache.load(kKey), std::nullopt) << "byte " << i << " flip " << flip;
    }
  }
  write_file(stored.file, good);
  EXPECT_EQ(stored.cache.load(kKey), kPayload);
}

TEST(DiskCache, AnyOtherLengthReadsAsAbsent) {
  const Stored stored;
  const std::string good = read_file(stored.file);
  for (std::size_t length = 0; length < good.size(); ++length) {
    write_file(stored.file, good.substr(0, length));
    EXPECT_EQ(stored.cache.load(kKey), std::nullopt) << length;
  }
  write_file(stored.file, good + '\0');
  EXPECT_EQ(stored.cache.load(kKey), std::nullopt);
}

TEST(DiskCache, ForeignFilesReadAsAbsent) {
  Stored stored;
  const CacheKey other = cache_key("another program");
  stored.cache.store(other, "other payload");
  for (const fs::path& path : files_of(stored.folder)) {
    if (path != stored.file) fs::rename(path, stored.file);
  }
  EXPECT_EQ(stored.cache.load(kKey), std::nullopt) << "the renamed file of another key was taken";

  fs::remove(stored.file);
  fs::create_directory(stored.file);
  EXPECT_EQ(stored.cache.load(kKey), std::nullopt) << "a folder was taken";
}

TEST(DiskCache, ANewerVersionReadsAsAbsentAndIsReplaced) {
  Stored stored;
  std::string newer = read_file(stored.file);
  newer[8] = 2;
  write_file(stored.file, newer);
  EXPECT_EQ(stored.cache.load(kKey), std::nullopt);
  stored.cache.store(kKey, kPayload);
  EXPECT_EQ(stored.cache.load(kKey), kPayload);
}

TEST(DiskCache, FolderIsPrivate) {
  const TemporaryFolder parent;
  for (const char* name : {"plain", "deep/er/folder", "trailing/"}) {
    const fs::path folder = parent.path() / name;
    DiskCache cache(folder, {});
    cache.store(kKey, kPayload);
    EXPECT_EQ(cache.load(kKey), kPayload);
    struct stat status = {};
    ASSERT_EQ(::stat(folder.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u) << folder;
  }
}

TEST(DiskCache, AnEmptyFolderNameTurnsItOff) {
  LogRecorder log;
  DiskCache cache("", log.callback());
  cache.store(kKey, kPayload);
  EXPECT_EQ(cache.load(kKey), std::nullopt);
  EXPECT_TRUE(log.warnings().empty());
}

// Tests may run as root, whom no mode stops: a path below a regular file can't be made by anybody.
TEST(DiskCache, AFolderThatCannotBeMadeWarnsOnce) {
  const TemporaryFolder parent;
  write_file(parent.path() / "file", "");
  LogRecorder log;
  DiskCache cache(parent.path() / "file" / "cache", log.callback());
  for (int i = 0; i < 3; ++i) cache.store(kKey, kPayload);
  EXPECT_EQ(cache.load(kKey), std::nullopt);
  ASSERT_EQ(log.warnings().size(), 1u);
  EXPECT_NE(log.warnings()[0].find((parent.path() / "file" / "cache").string()), std::string::npos);
  EXPECT_NE(log.warnings()[0].find("Not a directory"), std::string::npos) << log.warnings()[0];
}

TEST(DiskCache, AFolderThatCannotBeWrittenWarnsOnce) {
  LogRecorder log;
  DiskCache cache("/proc/self", log.callback());  // no file can be made there, even by root
  for (int i = 0; i < 3; ++i) cache.store(kKey, kPayload);
  EXPECT_EQ(cache.load(kKey), std::nullopt);
  EXPECT_EQ(log.warnings().size(), 1u);
}

// A limit on the size of files stands for a full disk: the header still fits, the payload doesn't.
TEST(DiskCacheDeathTest, AFullDiskWarnsOnceAndLeavesNothing) {
  const TemporaryFolder parent;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {100, 100};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    LogRecorder log;
    DiskCache cache(parent.path(), log.callback());
    cache.store(kKey, kPayload);
    cache.store(kKey, kPayload);
    const bool good = !cache.load(kKey) && log.warnings().size() == 1 &&
                      log.warnings()[0].find("File too large") != std::string::npos;
    std::_Exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(files_of(parent.path()).empty());
}

TEST(DiskCache, ManyWritersAndReadersSeeWholeFilesOnly) {
  const TemporaryFolder parent;
  const fs::path folder = parent.path() / "cache";
  constexpr int kWriters = 4;
  const auto payload_of = [](int writer) { return std::string(100000, char('a' + writer)); };
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back([&, writer] {
      DiskCache cache(folder, {});  // an instance each, as in processes of their own
      for (int i = 0; i < 25; ++i) {
        cache.store(kKey, payload_of(writer));
        const auto loaded = cache.load(kKey);
        if (!loaded || *loaded != payload_of(loaded->front() - 'a')) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(files_of(folder).size(), 1u) << "temporary files were left";
}

TEST(DiskCache, DefaultFolderFollowsTheEnvironment) {
  const test::ScopedEnvironment home("HOME", "/home/somebody");
  {
    const test::ScopedEnvironment cache("XDG_CACHE_HOME", "/var/caches");
    EXPECT_EQ(DiskCache::default_folder(), "/var/caches/clattn");
  }
  const test::ScopedEnvironment cache("XDG_CACHE_HOME", "");
  EXPECT_EQ(DiskCache::default_folder(), "/home/somebody/.cache/clattn");
  const test::ScopedEnvironment homeless("HOME", "");
  EXPECT_EQ(DiskCache::default_folder(), "");
}

}  // namespace
}  // namespace clattn
