// What a finished search has to tell: its leaders and failures, what each parameter is worth, and
// all of it as JSON. Times are medians of a trial's launches, the spread is their median absolute
// deviation; a gain is the heuristic's time to the configuration's. Pure.
#pragma once

#include <clattn/tuning.hpp>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "host/tuning/space.hpp"

namespace clattn::tool {

// How one value of a parameter did.
struct ValueLoss {
  std::int64_t value = 0;
  std::int64_t tried = 0;  // trials with it
  // By how much the best of those is slower than the best of all: 0.12 is 12%; absent: none was
  // correct.
  std::optional<double> loss;
};

struct Influence {
  std::string parameter;
  std::vector<ValueLoss> values;  // rising; the parameter's and those that were tried beyond them
  double most_lost = 0;           // the largest loss
};

// Of each parameter, the one with which most can be lost first.
std::vector<Influence> influences(const TuneResult& result,
                                  const std::vector<Parameter>& parameters);

// The correct trials, fastest first: at most `most`, and behind them the heuristic's if it is not
// among them. Below it, how many failed and how, and what the search came to.
std::string leaders_table(const TuneResult& result, const std::vector<Parameter>& parameters,
                          std::size_t most = 10);
std::string influence_table(const TuneResult& result, const std::vector<Parameter>& parameters);

nlohmann::ordered_json to_json(const TuneResult& result, const std::vector<Parameter>& parameters);

}  // namespace clattn::tool
