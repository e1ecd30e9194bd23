// The log of planned problems: what is written is read back with counts, lines of several processes
// don't mix, and what can't be written or planned again is said once and stops nothing.
#include "host/tuning/problem_log.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <clattn/expression.hpp>

#include "tests/support.hpp"

namespace clattn {
namespace {

namespace fs = std::filesystem;
using test::expect_error;

Problem make_problem(std::int64_t length = 100) {
  Problem problem;
  problem.query_len = problem.key_len = length;
  problem.head_dim = problem.value_dim = 64;
  problem.mask = causal_mask();
  problem.scale = 0.5f;
  return problem;
}

PlanReport make_report(const std::string& family = "cpu") {
  PlanReport report;
  report.family = family;
  report.config = "w16";
  report.config_source = "heuristic";
  return report;
}

TEST(ProblemLog, IsReadBackWithCountsInOrderOfAppearance) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "log";
  ProblemLog log(path, {});
  for (std::int64_t length : {300, 100, 300, 200, 300, 100}) {
    log.add(make_problem(length), "device", make_report());
  }
  ProblemLog(path, {}).add(make_problem(300), "other", make_report("portable"));
  const std::vector<LoggedProblem> problems = read_problem_log(path);
  ASSERT_EQ(problems.size(), 4u);
  const std::pair<std::int64_t, std::int64_t> expected[] = {{300, 3}, {100, 2}, {200, 1}, {300, 1}};
  for (std::size_t i = 0; i < problems.size(); ++i) {
    EXPECT_EQ(problems[i].problem, problem_to_json(make_problem(expected[i].first)));
    EXPECT_EQ(problems[i].count, expected[i].second);
    EXPECT_EQ(problems[i].family, i < 3 ? "cpu" : "portable");
    EXPECT_EQ(problems[i].device, i < 3 ? "device" : "other");
  }
  const std::string text = test::read_file(path);
  EXPECT_EQ(text.substr(0, text.find('\n')),
            R"({"problem":)" + problem_to_json(make_problem(300)) +
                R"(,"device":"device","family":"cpu","config":"w16","source":"heuristic"})");
}

TEST(ProblemLog, LinesOfProcessesDoNotMix) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "log";
  std::vector<pid_t> children;
  for (int i = 0; i < 2; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ProblemLog log(path, {});
      for (int j = 0; j < 200; ++j) log.add(make_problem(100 + i), "device", make_report());
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const std::vector<LoggedProblem> problems = read_problem_log(path);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].count, 200);
  EXPECT_EQ(problems[1].count, 200);
}

TEST(ProblemLog, AnEmptyPathTurnsItOff) {
  test::LogRecorder recorder;
  ProblemLog("", recorder.callback()).add(make_problem(), "device", make_report());
  EXPECT_TRUE(recorder.warnings().empty());
  const test::ScopedEnvironment path("CLATTN_TUNE_LOG", "some/file");
  EXPECT_EQ(ProblemLog::path_of_environment(), "some/file");
}

TEST(ProblemLog, WhatCannotBeWrittenIsSaidOnce) {
  const test::TemporaryFolder folder;
  test::LogRecorder recorder;
  ProblemLog log(folder.path() / "missing/log", recorder.callback());
  for (int i = 0; i < 3; ++i) log.add(make_problem(), "device", make_report());
  ASSERT_EQ(recorder.warnings().size(), 1u);
  EXPECT_NE(recorder.warnings()[0].find("missing/log: No such file"), std::string::npos);
}

// A mask of an application's own class.
class OwnMask final : public MaskNode {
 public:
  bool allows(const Point&, const Extent&) const override { return true; }
  std::string expression(ExpressionWriter&) const override { return "1"; }
  Coverage classify(const Slice&, const Range&, const Range&, const Extent&) const override {
    return Coverage::all;
  }
  Range reach(const Slice&, const Range&, const Extent& extent) const override {
    return {0, extent.key_len};
  }
  std::string to_json() const override { return R"({"of_my_own": {}})"; }
};

TEST(ProblemLog, ProblemsThatCannotBePlannedAgainAreLeftOut) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "log";
  test::LogRecorder recorder;
  ProblemLog log(path, recorder.callback());
  Problem own = make_problem();
  own.mask = std::make_shared<OwnMask>();
  log.add(own, "device", make_report());
  log.add(own, "device", make_report());
  EXPECT_FALSE(fs::exists(path));
  ASSERT_EQ(recorder.warnings().size(), 1u);
  EXPECT_NE(recorder.warnings()[0].find("of_my_own"), std::string::npos) << recorder.warnings()[0];
  // Buffers that are bound at launch are part of the JSON.
  Problem bound = make_problem();
  const auto buffer = std::make_shared<const Buffer>(Buffer{"ids", ElementType::i32, 100, {}});
  bound.mask = expression_mask({"ids[query] == ids[key]", {buffer}, {}});
  log.add(bound, "device", make_report());
  ASSERT_EQ(read_problem_log(path).size(), 1u);
  EXPECT_NO_THROW(problem_from_json(read_problem_log(path)[0].problem));
}

TEST(ProblemLog, ATruncatedLastLineIsSkippedAndOthersAreErrors) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "log";
  ProblemLog log(path, {});
  log.add(make_problem(), "device", make_report());
  log.add(make_problem(), "device", make_report());
  const std::string text = test::read_file(path);
  for (std::size_t cut : {std::size_t{1}, std::size_t{40}}) {
    test::write_file(path, text.substr(0, text.size() - cut));
    ASSERT_EQ(read_problem_log(path).size(), 1u);
    EXPECT_EQ(read_problem_log(path)[0].count, 1);
  }
  test::write_file(path, "");
  EXPECT_TRUE(read_problem_log(path).empty());
  const auto refused = [&](const std::string& line, const std::vector<std::string>& parts) {
    test::write_file(path, text + line + "\n" + text);
    expect_error(ErrorCategory::invalid_argument, parts, [&] { read_problem_log(path); });
  };
  refused("{", {path.string(), "line 3", "not JSON"});
  refused("", {"line 3", "not JSON"});
  refused("[]", {"line 3", "must be an object"});
  refused(R"({"problem": "text", "family": "cpu", "device": "d"})",
          {"line 3 problem: must be an object"});
  refused(R"({"problem": {}, "device": "d"})", {"line 3 family: is missing"});
  refused(R"({"problem": {}, "family": "cpu", "device": "d", "count": 1})",
          {"line 3", "unknown key \"count\""});
  expect_error(ErrorCategory::invalid_argument, {"cannot read", "missing"},
               [&] { read_problem_log(folder.path() / "missing"); });
  expect_error(ErrorCategory::invalid_argument, {"cannot read"},
               [&] { read_problem_log(folder.path()); });
}

}  // namespace
}  // namespace clattn
