// Questions and answers of a search as JSON: what goes between `clattn tune` and the processes that
// measure for it, and into its journal.
#pragma once

#include <nlohmann/json.hpp>

#include "host/tuning/search.hpp"

namespace clattn::tool {

nlohmann::ordered_json to_json(const Question& question);
nlohmann::ordered_json to_json(const Answer& answer);

// Throw nlohmann::json::exception, or Error for an unknown outcome, where the form is another.
Question question_from_json(const nlohmann::ordered_json& json);
Answer answer_from_json(const nlohmann::ordered_json& json);

}  // namespace clattn::tool
