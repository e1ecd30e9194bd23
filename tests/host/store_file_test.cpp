// Tuning stores in files: nothing is lost when several processes write, what can't be read is never
// overwritten, and what can't be written stays as it was.
#include "host/tuning/store_file.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/host/tuning_support.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::make_entry;
using test::make_key;

void add_problem(const fs::path& path, const std::string& problem) {
  update_store(path, [&](TuningStore& store) { store.add(make_entry(make_key(problem))); });
}

mode_t mode_of(const fs::path& path) {
  struct stat status = {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

// Runs `body` in a child process, and returns its exit status: what `body` returns.
template <typename Body>
pid_t start_child(Body&& body) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  int status = 99;
  try {
    status = body();
  } catch (...) {
  }
  ::_exit(status);
}

int status_of(pid_t child) {
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StoreFile, IsMadeWithItsFoldersAndReadBack) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "data/clattn/tuning.json";
  expect_error(ErrorCategory::invalid_argument, {"cannot read", path.string(), "No such file"},
               [&] { read_store(path); });
  add_problem(path, "a");
  add_problem(path, "b");
  EXPECT_EQ(mode_of(folder.path() / "data"), 0700u);
  EXPECT_EQ(mode_of(folder.path() / "data/clattn"), 0700u);
  const TuningStore store = read_store(path);
  ASSERT_EQ(store.entries().size(), 2u);
  EXPECT_EQ(store.entries()[1], make_entry(make_key("b")));
  EXPECT_EQ(test::read_file(path), store.to_json());
  for (const auto& file : fs::directory_iterator(path.parent_path())) {
    EXPECT_TRUE(file.path() == path || file.path() == path.string() + ".lock") << file.path();
  }
}

TEST(StoreFile, KeepsItsModeAndLinks) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "real.json";
  add_problem(path, "a");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  const fs::path link = folder.path() / "link.json";
  fs::create_symlink("real.json", link);
  add_problem(link, "b");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(mode_of(path), 0640u);
  EXPECT_EQ(read_store(path).entries().size(), 2u);
}

TEST(StoreFile, ProcessesThatWriteAtOnceLoseNothing) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "tuning.json";
  constexpr int kUpdates = 50;
  std::vector<pid_t> children;
  for (const char* name : {"first", "second"}) {
    children.push_back(start_child([&] {
      for (int i = 0; i < kUpdates; ++i) add_problem(path, name + std::to_string(i));
      return 0;
    }));
  }
  // A reader sees whole stores only, and never fewer entries than before.
  std::size_t seen = 0;
  for (int i = 0; i < 200; ++i) {
    if (!fs::exists(path)) continue;
    const std::size_t count = read_store(path).entries().size();
    EXPECT_GE(count, seen);
    seen = count;
  }
  for (pid_t child : children) EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(read_store(path).entries().size(), 2u * kUpdates);
}

TEST(StoreFile, AProcessThatIsKilledLeavesTheStoreAndTheLock) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "tuning.json";
  add_problem(path, "a");
  const std::string before = test::read_file(path);
  const pid_t child = start_child([&] {
    update_store(path, [](TuningStore&) { ::raise(SIGKILL); });
    return 0;
  });
  EXPECT_EQ(status_of(child), -1);
  EXPECT_EQ(test::read_file(path), before);
  test::write_file(path.string() + ".new",
                   "left over, and longer than what comes next" + std::string(100000, ' '));
  add_problem(path, "b");
  EXPECT_EQ(read_store(path).entries().size(), 2u);
}

TEST(StoreFile, WhatCannotBeReadIsNeverOverwritten) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "tuning.json";
  add_problem(path, "a");
  const std::string whole = test::read_file(path);
  const std::string newer = R"({"format": "clattn tuning store", "version": 2, "entries": []})";
  for (const auto& [text, part] : {std::pair(whole.substr(0, whole.size() - 20), "is not JSON"),
                                   {whole.substr(0, 1), "is not JSON"},
                                   {std::string(), "cannot read"},
                                   {newer, "version 2, newer than 1"},
                                   {std::string("[1, 2]"), "must be an object"}}) {
    test::write_file(path, text);
    expect_error(ErrorCategory::invalid_argument, {path.string(), part}, [&] { read_store(path); });
    expect_error(ErrorCategory::invalid_argument, {path.string(), part},
                 [&] { add_problem(path, "b"); });
    EXPECT_EQ(test::read_file(path), text);
  }
}

TEST(StoreFile, ReadOnlyAndUnreachableFilesAreRefused) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "tuning.json";
  add_problem(path, "a");
  const std::string before = test::read_file(path);
  ASSERT_EQ(::chmod(path.c_str(), 0444), 0);
  expect_error(ErrorCategory::invalid_argument, {path.string(), "read-only"},
               [&] { add_problem(path, "b"); });
  EXPECT_EQ(test::read_file(path), before);
  // A file in the place of the folder; a folder in the place of the file.
  expect_error(ErrorCategory::invalid_argument, {"tuning.json", "Not a directory"},
               [&] { add_problem(path / "tuning.json", "b"); });
  expect_error(ErrorCategory::invalid_argument, {folder.path().string()},
               [&] { add_problem(folder.path(), "b"); });
  expect_error(ErrorCategory::invalid_argument, {"cannot read", folder.path().string()},
               [&] { read_store(folder.path()); });
  expect_error(ErrorCategory::invalid_argument, {"/proc/clattn"},
               [&] { add_problem("/proc/clattn/tuning.json", "b"); });
  if (::geteuid() == 0) return;  // who may write everywhere
  const fs::path closed = folder.path() / "closed";
  fs::create_directory(closed);
  ASSERT_EQ(::chmod(closed.c_str(), 0500), 0);
  expect_error(ErrorCategory::invalid_argument, {closed.string(), "Permission denied"},
               [&] { add_problem(closed / "tuning.json", "b"); });
  ::chmod(closed.c_str(), 0700);
}

// A limit on the size of files stands for a full disk.
TEST(StoreFile, AFailedWriteLeavesTheStoreAsItWas) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "tuning.json";
  for (int i = 0; i < 10; ++i) add_problem(path, std::to_string(i));
  const std::string before = test::read_file(path);
  const pid_t child = start_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {before.size(), before.size()};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    try {
      add_problem(path, "one too many");
    } catch (const Error& error) {
      return std::string(error.what()).find("File too large") == std::string::npos ? 2 : 0;
    }
    return 3;
  });
  EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(test::read_file(path), before);
  EXPECT_FALSE(fs::exists(path.string() + ".new"));
}

TEST(StoreFile, AChangeThatThrowsLeavesTheStoreAsItWas) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "tuning.json";
  add_problem(path, "a");
  const std::string before = test::read_file(path);
  EXPECT_THROW(update_store(path,
                            [](TuningStore& store) {
                              store.erase_if([](const TuningEntry&) { return true; });
                              throw std::runtime_error("stop");
                            }),
               std::runtime_error);
  EXPECT_EQ(test::read_file(path), before);
  add_problem(path, "b");  // the lock is free again
}

TEST(DefaultStores, LieWhereTheBaseDirectoriesAre) {
  const test::ScopedEnvironment home("HOME", "/home/somebody");
  {
    const test::ScopedEnvironment data("XDG_DATA_HOME", "/data"), dirs("XDG_DATA_DIRS", "/a:b:/c/");
    EXPECT_EQ(user_store_path(), "/data/clattn/tuning.json");
    EXPECT_EQ(system_store_paths(),
              (std::vector<fs::path>{"/a/clattn/tuning.json", "/c/clattn/tuning.json"}));
  }
  const test::ScopedEnvironment data("XDG_DATA_HOME", "not/absolute"), dirs("XDG_DATA_DIRS", "");
  EXPECT_EQ(user_store_path(), "/home/somebody/.local/share/clattn/tuning.json");
  EXPECT_EQ(system_store_paths(), (std::vector<fs::path>{"/usr/local/share/clattn/tuning.json",
                                                         "/usr/share/clattn/tuning.json"}));
  const test::ScopedEnvironment none("HOME", "");
  EXPECT_EQ(user_store_path(), "");
}

TEST(DefaultStores, UserOverSystemOverShipped) {
  const test::TemporaryFolder folder;
  const test::ScopedEnvironment data("XDG_DATA_HOME", folder.path() / "user"),
      dirs("XDG_DATA_DIRS",
           (folder.path() / "one").string() + ":" + (folder.path() / "two").string());
  test::LogRecorder log;
  const auto names = [&] {
    std::vector<std::string> result;
    for (const TuningLayer& layer : default_layers(log.callback())) result.push_back(layer.name);
    return result;
  };
  EXPECT_EQ(names(), std::vector<std::string>{"shipped"});
  add_problem(user_store_path(), "a");
  add_problem(system_store_paths()[0], "b");
  add_problem(system_store_paths()[1], "c");
  EXPECT_EQ(names(), (std::vector<std::string>{"user", "system", "system", "shipped"}));
  EXPECT_EQ(default_layers({})[2].store.entries().front().key.problem, "c");
  EXPECT_TRUE(log.warnings().empty());
  test::write_file(user_store_path(), "{");
  EXPECT_EQ(names(), (std::vector<std::string>{"system", "system", "shipped"}));
  ASSERT_EQ(log.warnings().size(), 1u);
  EXPECT_NE(log.warnings()[0].find(user_store_path().string()), std::string::npos);
}

TEST(DefaultStores, TheShippedOneIsAStore) {
  EXPECT_EQ(TuningStore::from_json(shipped_store().to_json()).entries(), shipped_store().entries());
}

}  // namespace
}  // namespace clattn
