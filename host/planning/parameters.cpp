#include "host/planning/parameters.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <ranges>

#include "host/invalid.hpp"

namespace clattn {

KernelConfig config_of(const Defines& defines) {
  KernelConfig config;
  for (auto [name, value] : defines) {
    std::ranges::transform(name, name.begin(), [](char letter) {
      return 'A' <= letter && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
    });
    config[name] = value;
  }
  return config;
}

KernelConfig parse_config(std::string_view text) {
  KernelConfig config;
  if (text.empty()) return config;
  for (const auto range : text | std::views::split(',')) {
    const std::string_view piece(range.begin(), range.end());
    const std::size_t equals = piece.find('=');
    std::int64_t value = 0;
    const char* const end = piece.data() + piece.size();
    if (equals == 0 || equals == std::string_view::npos ||
        std::from_chars(piece.data() + equals + 1, end, value) !=
            std::from_chars_result{end, std::errc()}) {
      invalid("\"{}\" is no value of a parameter, such as query_tile=64", piece);
    }
    const std::string name(piece.substr(0, equals));
    if (!config.emplace(name, value).second) invalid("parameter {} is given twice", name);
  }
  return config;
}

std::string to_string(const KernelConfig& config) {
  std::vector<std::string> pieces;
  for (const auto& [name, value] : config) pieces.push_back(fmt::format("{}={}", name, value));
  return fmt::format("{}", fmt::join(pieces, ","));
}

void check_names(const KernelConfig& config, const std::vector<Parameter>& parameters,
                 const std::string& family) {
  const std::string known =
      fmt::format("{}", fmt::join(parameters | std::views::transform(&Parameter::name), ", "));
  for (const auto& [name, value] : config) {
    if (std::ranges::find(parameters, name, &Parameter::name) != parameters.end()) continue;
    invalid("{} is no parameter of family \"{}\"; they are {}", name, family, known);
  }
  for (const Parameter& parameter : parameters) {
    if (config.contains(parameter.name)) continue;
    invalid("the configuration has no {}; the parameters of family \"{}\" are {}", parameter.name,
            family, known);
  }
}

std::optional<Violation> device_violation(std::int64_t work_items, std::int64_t local_memory,
                                          const DeviceFacts& facts) {
  const std::int64_t most = std::min(facts.max_work_group_size, facts.max_work_item_size);
  if (work_items > most) {
    return Violation{"work-group", fmt::format("work-group of {} work-items, the device has {}",
                                               work_items, most)};
  }
  if (local_memory > facts.local_memory_bytes) {
    return Violation{"local memory", fmt::format("{} bytes of local memory, the device has {}",
                                                 local_memory, facts.local_memory_bytes)};
  }
  return std::nullopt;
}

std::optional<Violation> range_violation(const KernelConfig& config, std::int64_t most) {
  for (const auto& [name, value] : config) {
    if (value >= 1 && value <= most) continue;
    return Violation{"range", fmt::format("{} is {}, but must be 1 to {}", name, value, most)};
  }
  return std::nullopt;
}

}  // namespace clattn
