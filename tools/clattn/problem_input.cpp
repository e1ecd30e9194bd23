#include "problem_input.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "fail.hpp"
#include "host/json/members.hpp"

namespace clattn::tool {
namespace {

// Keys of the problem's JSON form and what the flags of the same names say of them.
constexpr std::array<std::pair<const char*, const char*>, 7> kSizes = {{
    {"batch", "batches (default: 1)"},
    {"heads", "query heads (default: 1)"},
    {"kv_heads", "key and value heads (default: heads)"},
    {"q_len", "queries"},
    {"kv_len", "keys"},
    {"head_dim", "elements of a query or key"},
    {"value_dim", "elements of a value (default: head_dim)"},
}};

std::string flag_of(std::string key) {
  std::ranges::replace(key, '_', '-');
  return "--" + key;
}

struct ProblemText {
  std::string text;
  std::string folder;  // of the paths in it
};

ProblemText problem_text(const std::string& problem) {
  const std::size_t first = problem.find_first_not_of(" \t\n");
  if (first != std::string::npos && problem[first] == '{') return {problem, ""};
  std::ifstream file(problem, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) fail("cannot read '{}': {}", problem, std::strerror(errno));
  return {text, std::filesystem::path(problem).parent_path().string()};
}

// The JSON form of a problem as it fills up from JSON, flags and tensors. Remembers where each
// value came from, so that a contradiction names both sources.
class Draft {
 public:
  explicit Draft(const ProblemOptions& options) {
    const auto [text, folder] = problem_text(options.problem);
    folder_ = folder;
    json_ = parse_json(text);
    // Masks and modifiers may need sizes that come later, and read files.
    json others = json_;
    if (others.is_object()) {
      others.erase("mask");
      others.erase("score");
    }
    layout_ = problem_from_json(others.dump()).layout;
    for (const auto& [key, value] : json_.items()) sources_[key] = "the problem";
    for (const auto& [key, size] : options.sizes) {
      json_[key] = size;
      sources_[key] = flag_of(key);
    }
    if (!options.data_type.empty()) json_["dtype"] = options.data_type;
  }

  bool has(const char* key) const { return json_.contains(key); }
  void set(const char* key, const json& value) { json_[key] = value; }

  void claim(const char* key, std::int64_t size, const std::string& path) {
    if (has(key) && json_[key] != size) {
      fail("{} is {} in {} but {} in {}", key, json_[key].dump(), sources_[key], size, path);
    }
    json_[key] = size;
    sources_.try_emplace(key, path);
  }

  // Sizes of one input file.
  void claim_shape(const NpyArray& array, const char* heads, const char* length, const char* dim) {
    if (array.shape.size() != 4) {
      fail("{}: shape ({}) has {} dimensions, not 4: {}", array.path, fmt::join(array.shape, ", "),
           array.shape.size(),
           layout_ == Layout::bhld ? "[batch, heads, length, dim]" : "[batch, length, heads, dim]");
    }
    const bool blhd = layout_ == Layout::blhd;
    claim("batch", array.shape[0], array.path);
    claim(heads, array.shape[blhd ? 2 : 1], array.path);
    claim(length, array.shape[blhd ? 1 : 2], array.path);
    claim(dim, array.shape[3], array.path);
  }

  void need(std::initializer_list<const char*> keys) const {
    for (const char* key : keys) {
      if (!has(key)) fail("{} is missing: give it in the problem or as {}", key, flag_of(key));
    }
  }

  // .npy files are contiguous.
  void refuse_strides() const {
    for (const char* key : {"q_strides", "k_strides", "v_strides", "o_strides"}) {
      if (has(key)) fail("{} cannot be given together with tensors: .npy files have none", key);
    }
  }

  Problem problem() const {
    Problem problem = problem_from_json(json_.dump(), folder_);
    validate(problem);
    return problem;
  }

 private:
  json json_;
  std::string folder_;
  std::map<std::string, std::string> sources_;
  Layout layout_ = Layout::bhld;
};

DataType data_type_of(const NpyArray& array) {
  switch (array.type) {
    case NpyType::f32:
      return DataType::f32;
    case NpyType::f16:
      return DataType::f16;
    case NpyType::bf16:
    case NpyType::u16:
      return DataType::bf16;
    default:
      fail("{}: holds whole numbers, but a tensor is f32, f16 or bf16", array.path);
  }
}

// JSON without its punctuation, in one line of bearable length.
std::string bare(std::string text) {
  constexpr std::size_t kMost = 100;
  std::erase_if(text, [](char c) { return c == '{' || c == '}' || c == '"'; });
  return text.size() > kMost ? text.substr(0, kMost) + "..." : text;
}

}  // namespace

void add_problem_option(CLI::App& app, ProblemOptions& options) {
  app.add_option("--problem", options.problem, "problem: a JSON file, or the JSON object itself");
}

void add_size_options(CLI::App& app, ProblemOptions& options) {
  for (const auto& [key, help] : kSizes) {
    app.add_option_function<std::int64_t>(
           flag_of(key),
           [&options, key = std::string(key)](const std::int64_t& size) {
             options.sizes[key] = size;
           },
           help)
        ->group("Sizes, overriding those of the problem");
  }
  app.add_option("--dtype", options.data_type, "f32, f16 or bf16 (default: f32)")
      ->group("Sizes, overriding those of the problem");
}

void add_seed_option(CLI::App& app, ProblemOptions& options) {
  app.add_option("--seed", options.seed, "seed of random tensors")->capture_default_str();
}

void add_tensor_options(CLI::App& app, ProblemOptions& options, bool required) {
  auto* query = app.add_option("--q", options.query, "queries, .npy");
  auto* key = app.add_option("--k", options.key, "keys, .npy");
  auto* value = app.add_option("--v", options.value, "values, .npy");
  for (auto* option : {query, key, value}) {
    option->required(required);
    for (auto* other : {query, key, value}) {
      if (other != option) option->needs(other);
    }
  }
}

Problem problem_without_tensors(const ProblemOptions& options) {
  const Draft draft(options);
  draft.need({"q_len", "kv_len", "head_dim"});
  return draft.problem();
}

Problem problem_of_mask(const ProblemOptions& options) {
  Draft draft(options);
  draft.need({"q_len", "kv_len"});
  if (!draft.has("head_dim")) draft.set("head_dim", 8);
  return draft.problem();
}

ProblemWithInputs problem_with_tensors(const ProblemOptions& options) {
  Draft draft(options);
  draft.refuse_strides();
  NpyArray query = read_npy(options.query);
  NpyArray key = read_npy(options.key);
  NpyArray value = read_npy(options.value);
  draft.claim_shape(query, "heads", "q_len", "head_dim");
  draft.claim_shape(key, "kv_heads", "kv_len", "head_dim");
  draft.claim_shape(value, "kv_heads", "kv_len", "value_dim");
  if (!draft.has("dtype")) {
    for (const NpyArray* other : {&key, &value}) {
      if (other->type != query.type) {
        fail("{} and {} differ in element type; let \"dtype\" of the problem say which is meant",
             query.path, other->path);
      }
    }
    if (query.type == NpyType::u16) {
      fail("{}: '<u2' is read as bf16 only if the problem's \"dtype\" is \"bf16\"", query.path);
    }
    draft.set("dtype", to_string(data_type_of(query)));
  }
  ProblemWithInputs result;
  result.problem = draft.problem();
  const auto tensor = [&](NpyArray& array, Role role) {
    return tensor_from_npy(std::move(array), result.problem, role, result.problem.data_type);
  };
  result.inputs.query = tensor(query, Role::query);
  result.inputs.key = tensor(key, Role::key);
  result.inputs.value = tensor(value, Role::value);
  return result;
}

HostTensor tensor_from_npy(NpyArray array, const Problem& problem, Role role,
                           std::optional<DataType> type) {
  const std::vector<std::int64_t> expected = npy_shape(problem, role);
  if (array.shape != expected) {
    fail("{}: shape ({}) is not the problem's ({})", array.path, fmt::join(array.shape, ", "),
         fmt::join(expected, ", "));
  }
  if (array.type == NpyType::u16 && problem.data_type != DataType::bf16) {
    fail("{}: '<u2' holds the bits of bf16, but \"dtype\" is \"{}\"", array.path,
         to_string(problem.data_type));
  }
  const TensorShape shape = tensor_shape(problem, role);
  HostTensor tensor{data_type_of(array), shape, 0, std::move(array.data)};
  if (!type || tensor.type == *type) return tensor;
  HostTensor converted = nan_tensor(*type, shape);
  for (std::int64_t i = 0; i < shape.elements(); ++i) {
    store_element(*type, load_element(tensor.type, tensor.first(), i), converted.first(), i);
  }
  return converted;
}

std::vector<std::int64_t> npy_shape(const Problem& problem, Role role) {
  const TensorShape shape = tensor_shape(problem, role);
  if (problem.layout == Layout::blhd) return {shape.batch, shape.length, shape.heads, shape.dim};
  return {shape.batch, shape.heads, shape.length, shape.dim};
}

std::string describe(const MaskNode& mask) {
  const std::string text = bare(mask.to_json());
  return text.empty() ? "dense" : text;
}

std::string describe(const Problem& problem) {
  std::string text = describe(*problem.mask);
  text += fmt::format(" {} B{} H{}/{} Q{} K{} D{}/{}", to_string(problem.data_type), problem.batch,
                      problem.heads, problem.kv_heads, problem.query_len, problem.key_len,
                      problem.head_dim, problem.value_dim);
  if (problem.layout == Layout::blhd) text += " blhd";
  const std::pair<const char*, std::optional<Strides>> strides[] = {{"q", problem.query_strides},
                                                                    {"k", problem.key_strides},
                                                                    {"v", problem.value_strides},
                                                                    {"o", problem.output_strides}};
  for (const auto& [name, given] : strides) {
    if (given) text += fmt::format(" {}={}/{}/{}", name, given->batch, given->head, given->token);
  }
  if (problem.scale) text += fmt::format(" scale={}", *problem.scale);
  if (problem.blocks) {
    text += fmt::format(" blocks={}x{}", problem.blocks->query_block, problem.blocks->key_block);
  }
  for (const Score& score : problem.scores) text += ' ' + bare(score->to_json());
  if (!problem.sink_logits.empty()) text += " sink_logits";
  return text;
}

}  // namespace clattn::tool
