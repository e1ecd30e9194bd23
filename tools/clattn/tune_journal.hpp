// The journal of a search: every question and its answer, a line of JSON each, on disk as soon as
// it was given. A search that died is taken up by giving it the same answers again, up to where
// they end. The first line says what is searched; a last line that was cut is left out.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "host/tuning/search.hpp"

namespace clattn::tool {

class JournaledExaminer final : public Examiner {
 public:
  // Writes to a new journal, or with `resume` goes on with the one of the same `search`, if there
  // is one. Throws Error (invalid_argument) if it can't be written, is damaged, or another process
  // writes it.
  JournaledExaminer(Examiner& examiner, std::filesystem::path path, const std::string& search,
                    bool resume);
  ~JournaledExaminer() override;
  JournaledExaminer(const JournaledExaminer&) = delete;
  JournaledExaminer& operator=(const JournaledExaminer&) = delete;

  void announce(const std::vector<KernelConfig>& configs) override;
  // Throws Error (invalid_argument) if the search asks something else than the journal has.
  Answer ask(const Question& question) override;

  // Answers that the journal has and that were not asked for yet.
  std::size_t recorded() const { return recorded_.size() - next_; }

 private:
  struct Line {
    Question question;
    Answer answer;
  };
  void read(const std::string& search);
  void append(const std::string& line);

  Examiner& examiner_;
  std::filesystem::path path_;
  int file_ = -1;
  std::vector<Line> recorded_;
  std::size_t next_ = 0;
  std::vector<KernelConfig> announced_;  // while answers were still at hand
};

// The file of a search in $XDG_STATE_HOME/clattn/tune, else ~/.local/state/clattn/tune.
std::filesystem::path journal_path(const std::string& search);

}  // namespace clattn::tool
