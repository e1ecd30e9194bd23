#include "tune_json.hpp"

#include <string>

#include "fail.hpp"

namespace clattn::tool {
namespace {

TrialOutcome outcome_from(const std::string& name) {
  for (const TrialOutcome outcome :
       {TrialOutcome::correct, TrialOutcome::compile, TrialOutcome::runtime,
        TrialOutcome::correctness, TrialOutcome::constraints, TrialOutcome::timeout}) {
    if (name == to_string(outcome)) return outcome;
  }
  fail("the outcome '{}' of a trial is unknown", name);
}

}  // namespace

nlohmann::ordered_json to_json(const Question& question) {
  return {
      {"config", question.config}, {"against", question.against}, {"repeats", question.repeats}};
}

Question question_from_json(const nlohmann::ordered_json& json) {
  return {json.at("config").get<KernelConfig>(), json.at("against").get<KernelConfig>(),
          json.at("repeats").get<std::int64_t>()};
}

nlohmann::ordered_json to_json(const Answer& answer) {
  return {{"outcome", to_string(answer.outcome)},
          {"message", answer.message},
          {"seconds", answer.seconds},
          {"against_seconds", answer.against_seconds},
          {"build_seconds", answer.build_seconds},
          {"check_seconds", answer.check_seconds},
          {"elapsed", answer.elapsed},
          {"timestamp", answer.timestamp}};
}

Answer answer_from_json(const nlohmann::ordered_json& json) {
  Answer answer;
  answer.outcome = outcome_from(json.at("outcome").get<std::string>());
  json.at("message").get_to(answer.message);
  json.at("seconds").get_to(answer.seconds);
  json.at("against_seconds").get_to(answer.against_seconds);
  json.at("build_seconds").get_to(answer.build_seconds);
  json.at("check_seconds").get_to(answer.check_seconds);
  json.at("elapsed").get_to(answer.elapsed);
  json.at("timestamp").get_to(answer.timestamp);
  return answer;
}

}  // namespace clattn::tool
