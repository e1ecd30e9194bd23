#include "tune_journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "fail.hpp"
#include "runtime/cache.hpp"
#include "tune_json.hpp"

namespace clattn::tool {
namespace {

using Json = nlohmann::ordered_json;

std::string first_line(const std::string& search) {
  return Json{{"journal", "clattn tune"}, {"version", 1}, {"search", search}}.dump();
}

}  // namespace

JournaledExaminer::JournaledExaminer(Examiner& examiner, std::filesystem::path path,
                                     const std::string& search, bool resume)
    : examiner_(examiner), path_(std::move(path)) {
  std::error_code error;
  std::filesystem::create_directories(path_.parent_path(), error);
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0) fail("cannot write {}: {}", path_.string(), std::strerror(errno));
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    ::close(file_);
    fail("another process makes this very search (its journal is {}): wait, or take another --seed",
         path_.string());
  }
  try {
    if (resume) read(search);
    if (recorded_.empty()) {
      if (::ftruncate(file_, 0) != 0) fail("cannot write {}", path_.string());
      append(first_line(search));
    }
  } catch (...) {
    ::close(file_);
    throw;
  }
}

JournaledExaminer::~JournaledExaminer() { ::close(file_); }

void JournaledExaminer::read(const std::string& search) {
  std::ifstream file(path_, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::size_t begin = 0, number = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    if (++number == 1) {
      if (line != first_line(search)) return;
      continue;
    }
    try {
      const Json json = Json::parse(line);
      recorded_.push_back(
          {question_from_json(json.at("question")), answer_from_json(json.at("answer"))});
    } catch (const std::exception& error) {
      fail("line {} of the journal {} is damaged: {}; without --resume the search starts anew",
           number, path_.string(), error.what());
    }
  }
  // What is behind the last whole line was cut by the end of the process.
  if (!recorded_.empty() && ::ftruncate(file_, static_cast<off_t>(begin)) != 0) {
    fail("cannot write {}", path_.string());
  }
}

void JournaledExaminer::append(const std::string& line) {
  const std::string text = line + '\n';
  if (::lseek(file_, 0, SEEK_END) < 0 ||
      ::write(file_, text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fsync(file_) != 0) {
    fail("cannot write {}: {}", path_.string(), std::strerror(errno));
  }
}

void JournaledExaminer::announce(const std::vector<KernelConfig>& configs) {
  announced_ = configs;
  if (next_ == recorded_.size()) examiner_.announce(std::exchange(announced_, {}));
}

Answer JournaledExaminer::ask(const Question& question) {
  if (next_ < recorded_.size()) {
    const Line& line = recorded_[next_++];
    if (line.question == question) return line.answer;
    fail(
        "the journal {} is of a search that went another way, by another version perhaps; without "
        "--resume the search starts anew",
        path_.string());
  }
  if (!announced_.empty()) examiner_.announce(std::exchange(announced_, {}));
  const Answer answer = examiner_.ask(question);
  append(Json{{"question", to_json(question)}, {"answer", to_json(answer)}}.dump(
      -1, ' ', false, Json::error_handler_t::replace));
  return answer;
}

std::filesystem::path journal_path(const std::string& search) {
  const std::string name = fmt::format("{:016x}.jsonl", cache_key(search).low);
  std::filesystem::path folder;
  // The XDG base directory specification has relative paths ignored.
  if (const char* state = std::getenv("XDG_STATE_HOME");
      state && std::filesystem::path(state).is_absolute()) {
    folder = state;
  } else if (const char* home = std::getenv("HOME"); home && *home) {
    folder = std::filesystem::path(home) / ".local" / "state";
  } else {
    fail("neither XDG_STATE_HOME nor HOME says where to keep the journal of the search");
  }
  return folder / "clattn" / "tune" / name;
}

}  // namespace clattn::tool
