// The search for the fastest configuration of a space. It asks an examiner, one question at a time,
// and depends on nothing but the space, the budget and the answers: given the same answers again,
// it takes the same way, which is how an interrupted search is taken up.
#pragma once

#include <clattn/tuning.hpp>
#include <vector>

#include "host/tuning/space.hpp"

namespace clattn {

// Build and check `config` unless that was done, and then time it `repeats` times, in turns with
// `against` if that is not empty. What is asked for in `against` was found correct before.
struct Question {
  KernelConfig config;
  KernelConfig against;
  std::int64_t repeats = 0;

  friend bool operator==(const Question&, const Question&) = default;
};

struct Answer {
  TrialOutcome outcome = TrialOutcome::correct;  // of `config`
  std::string message;                           // of a failure; then there are no times
  std::vector<double> seconds;                   // of `config`, one a repeat
  std::vector<double> against_seconds;           // of `against`, likewise
  double build_seconds = 0;                      // where it was built and checked for this answer
  double check_seconds = 0;
  double elapsed = 0;     // that the answer took, what counts against the budget
  std::string timestamp;  // when it was given, ISO 8601, UTC
};

class Examiner {
 public:
  virtual ~Examiner() = default;
  // What will be asked next, most likely, so that it can be built ahead.
  virtual void announce(const std::vector<KernelConfig>& configs) { (void)configs; }
  virtual Answer ask(const Question& question) = 0;
};

// Throws only what the examiner and the callback throw. Where the heuristic's own choice fails, the
// first that does not takes its place as the one to beat; where all fail, `best` is the
// heuristic's.
TuneResult search(const Space& space, const TuneBudget& budget, Examiner& examiner,
                  const TuneCallback& callback = {});

}  // namespace clattn
