// The JSON form of a problem. Every object is read through `Members`, which refuses what nobody
// asked for, so that a misspelt key can't be lost.
#include <fmt/format.h>

#include <algorithm>
#include <clattn/problem.hpp>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "host/invalid.hpp"

namespace clattn {
namespace {

using nlohmann::json;

// Levenshtein's edit distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string nearest(std::string_view word, const std::vector<std::string>& legal) {
  return *std::min_element(legal.begin(), legal.end(), [&](const auto& a, const auto& b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
}

[[noreturn]] void unknown(std::string_view where, std::string_view what, std::string_view word,
                          const std::vector<std::string>& legal) {
  invalid("{}: unknown {} \"{}\"; the nearest legal one is \"{}\"", where, what, word,
          nearest(word, legal));
}

// The members of one JSON object. `where` names it in errors.
class Members {
 public:
  Members(const json& object, std::string where, std::vector<std::string> legal)
      : object_(object), where_(std::move(where)) {
    if (!object.is_object()) invalid("{} must be an object, but is {}", where_, object.dump());
    for (const auto& [key, value] : object.items()) {
      if (std::find(legal.begin(), legal.end(), key) == legal.end()) {
        unknown(where_, "key", key, legal);
      }
    }
  }

  const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }

  // Leaves `value` alone where the key is absent.
  void read(const char* key, std::int64_t& value) const {
    const json* member = find(key);
    if (!member) return;
    const bool fits = member->is_number_integer() &&
                      (!member->is_number_unsigned() ||
                       member->get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max());
    if (!fits) invalid("{}: \"{}\" must be a whole number, but is {}", where_, key, member->dump());
    value = member->get<std::int64_t>();
  }

  // Also takes null, as absent.
  void read(const char* key, std::optional<std::int64_t>& value) const {
    const json* member = find(key);
    if (!member || member->is_null()) return;
    std::int64_t number = 0;
    read(key, number);
    value = number;
  }

  void read(const char* key, bool& value) const {
    const json* member = find(key);
    if (!member) return;
    if (!member->is_boolean()) {
      invalid("{}: \"{}\" must be true or false, but is {}", where_, key, member->dump());
    }
    value = member->get<bool>();
  }

  void read(const char* key, std::optional<float>& value) const {
    const json* member = find(key);
    if (!member) return;
    if (!member->is_number()) {
      invalid("{}: \"{}\" must be a number, but is {}", where_, key, member->dump());
    }
    value = member->get<float>();
  }

  template <typename Enum>
  void read(const char* key, Enum& value,
            std::initializer_list<std::pair<const char*, Enum>> names) const {
    const json* member = find(key);
    if (!member) return;
    std::vector<std::string> legal;
    for (const auto& [name, enumerator] : names) {
      if (*member == name) {
        value = enumerator;
        return;
      }
      legal.push_back(name);
    }
    if (!member->is_string()) {
      invalid("{}: \"{}\" must be a string, but is {}", where_, key, member->dump());
    }
    unknown(where_, key, member->get<std::string>(), legal);
  }

 private:
  const json& object_;
  std::string where_;
};

Mask mask_from(const json& object) {
  const Members members(object, "mask", {"causal", "window"});
  if (object.size() > 1) {
    invalid("mask: one object holds one mask, but {} has {}", object.dump(), object.size());
  }
  if (const json* causal = members.find("causal")) {
    CausalAlign align = CausalAlign::bottom_right;
    Members(*causal, "mask causal", {"align"})
        .read("align", align,
              {{"bottom_right", CausalAlign::bottom_right}, {"top_left", CausalAlign::top_left}});
    return causal_mask(align);
  }
  if (const json* window = members.find("window")) {
    std::optional<std::int64_t> left, right;
    const Members ends(*window, "mask window", {"left", "right"});
    ends.read("left", left);
    ends.read("right", right);
    return window_mask(left, right);
  }
  return dense_mask();
}

constexpr std::initializer_list<std::pair<const char*, DataType>> kDataTypes = {
    {"f32", DataType::f32}, {"f16", DataType::f16}, {"bf16", DataType::bf16}};
constexpr std::initializer_list<std::pair<const char*, Layout>> kLayouts = {{"bhld", Layout::bhld},
                                                                            {"blhd", Layout::blhd}};

constexpr std::pair<const char*, std::optional<Strides> Problem::*> kStrides[] = {
    {"q_strides", &Problem::query_strides},
    {"k_strides", &Problem::key_strides},
    {"v_strides", &Problem::value_strides},
    {"o_strides", &Problem::output_strides}};

}  // namespace

Problem problem_from_json(std::string_view text) {
  json object;
  try {
    object = json::parse(text);
  } catch (const json::exception& error) {
    invalid("the problem is not JSON: {}", error.what());
  }
  const Members members(
      object, "problem",
      {"scale", "dtype", "mask", "lse", "layout", "batch", "heads", "kv_heads", "q_len", "kv_len",
       "head_dim", "value_dim", "q_strides", "k_strides", "v_strides", "o_strides"});
  Problem problem;
  members.read("scale", problem.scale);
  members.read("dtype", problem.data_type, kDataTypes);
  members.read("lse", problem.lse);
  members.read("layout", problem.layout, kLayouts);
  members.read("batch", problem.batch);
  members.read("heads", problem.heads);
  problem.kv_heads = problem.heads;
  members.read("kv_heads", problem.kv_heads);
  members.read("q_len", problem.query_len);
  members.read("kv_len", problem.key_len);
  members.read("head_dim", problem.head_dim);
  problem.value_dim = problem.head_dim;
  members.read("value_dim", problem.value_dim);
  if (const json* mask = members.find("mask")) problem.mask = mask_from(*mask);
  for (const auto& [key, member] : kStrides) {
    const json* strides = members.find(key);
    if (!strides) continue;
    const Members parts(*strides, key, {"batch", "head", "token"});
    Strides& given = (problem.*member).emplace();
    parts.read("batch", given.batch);
    parts.read("head", given.head);
    parts.read("token", given.token);
  }
  return problem;
}

std::string problem_to_json(const Problem& problem) {
  json object = {{"dtype", to_string(problem.data_type)},
                 {"mask", json::parse(problem.mask->to_json())},
                 {"lse", problem.lse},
                 {"layout", problem.layout == Layout::bhld ? "bhld" : "blhd"},
                 {"batch", problem.batch},
                 {"heads", problem.heads},
                 {"kv_heads", problem.kv_heads},
                 {"q_len", problem.query_len},
                 {"kv_len", problem.key_len},
                 {"head_dim", problem.head_dim},
                 {"value_dim", problem.value_dim}};
  if (problem.scale) object["scale"] = *problem.scale;
  for (const auto& [key, member] : kStrides) {
    if (const auto& strides = problem.*member) {
      object[key] = {{"batch", strides->batch}, {"head", strides->head}, {"token", strides->token}};
    }
  }
  return object.dump();
}

}  // namespace clattn
