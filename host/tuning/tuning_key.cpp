// What a tuned configuration is filed under: see TuningKey.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <clattn/error.hpp>
#include <clattn/neighborhood.hpp>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <utility>

#include "host/tuning/store.hpp"
#include "runtime/cache.hpp"
#include "runtime/embedded_sources.hpp"

namespace clattn {
namespace {

// To be raised where the planner begins to make something else of the same parameters.
constexpr int kPlannerVersion = 1;

constexpr std::size_t kMostText = 512;  // bytes of a mask or modifier that are written as text

std::string hash_of(std::string_view text) { return fmt::format("{:016x}", cache_key(text).low); }

// Of the common kernel files and those in the family's folder: what its name begins with.
std::string source_hash(const std::string& family) {
  static const auto hashes = [] {
    std::map<std::string, std::string, std::less<>> texts;  // by folder
    for (const EmbeddedSource& source : embedded_sources()) {
      std::string& text = texts[std::string(source.name.substr(0, source.name.find('/')))];
      text += fmt::format("{} {} {}", source.name, source.text.size(), source.text);
    }
    std::map<std::string, std::string, std::less<>> result;
    for (const auto& [folder, text] : texts) {
      result[folder] = hash_of(fmt::format("{} {}{}", kPlannerVersion, texts["common"], text));
    }
    return result;
  }();
  const auto found = hashes.find(family.substr(0, family.find('_')));
  return found == hashes.end() ? "" : found->second;
}

std::int64_t bucket(std::int64_t size) {
  return std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(size, 0))) - 1;
}

// Of one slice.
double visible_share(const MaskNode& mask, const Slice& slice, const Extent& extent) {
  const double pairs = double(extent.query_len) * double(extent.key_len);
  if (mask.neighborhood(slice).exact) {  // a closed form
    constexpr std::int64_t kBudget = 0;
    const auto counted = count_visible_pairs(mask, slice, extent, kBudget);
    return counted ? double(*counted) / pairs : 1;
  }
  constexpr std::int64_t kRows = 32;
  const std::int64_t rows = std::min(kRows, extent.query_len);
  double visible = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t query = (2 * i + 1) * extent.query_len / (2 * rows);
    const Range row{query, query + 1};
    const Range keys = mask.reach(slice, row, extent);
    std::int64_t budget = 64;  // halvings; a row in more pieces counts with all of its reach
    visible += double(count_visible_pairs(mask, slice, row, keys, extent, budget)
                          .value_or(std::max<std::int64_t>(keys.size(), 0)));
  }
  return visible / double(rows) / double(extent.key_len);
}

// Of all pairs, estimated; 1 where block lists come at launch.
double visible_share(const Problem& problem) {
  const Extent extent = problem.extent();
  const Variation variation = problem.mask->variation();
  const std::int64_t batches = variation.batch ? problem.batch : 1;
  const std::int64_t heads = variation.head ? problem.heads : 1;
  const std::int64_t slices = batches * heads;
  if (problem.blocks || slices == 0 || extent.query_len == 0 || extent.key_len == 0) return 1;
  constexpr std::int64_t kSlices = 8;
  const std::int64_t count = std::min(kSlices, slices);
  double sum = 0;
  try {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t slice = (2 * i + 1) * slices / (2 * count);
      sum += visible_share(*problem.mask, {slice / heads, slice % heads}, extent);
    }
  } catch (const Error&) {  // what it shows is bound at launch
    return 1;
  }
  return sum / double(count);
}

// Keys in order: masks may give back what users wrote.
using SortedJson = nlohmann::json;

// Seeds draw other patterns of the same kind.
void clear_seeds(SortedJson& value) {
  if (!value.is_structured()) return;
  for (const auto& [name, part] : value.items()) {
    if (name == "seed" && part.is_number_integer()) {
      part = 0;
    } else {
      clear_seeds(part);
    }
  }
}

SortedJson hashed(std::string_view text) { return {{"hash", hash_of(text)}}; }

// The first key of an object's text.
std::string kind_of(const std::string& text) {
  const std::size_t begin = text.find('"') + 1;
  return begin == 0 ? "dense" : text.substr(begin, text.find('"', begin) - begin);
}

// A mask or modifier as a part of a key.
SortedJson short_form(const std::string& text) {
  if (text.size() > kMostText) return hashed(text);
  SortedJson json = SortedJson::parse(text, nullptr, false);
  if (json.is_discarded()) return hashed(text);  // of a class of the application's own
  clear_seeds(json);
  return json;
}

template <typename Element>
std::string_view bytes_of(const std::vector<Element>& elements) {
  return {reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(Element)};
}

// What the expression of a mask or modifier says beside its text.
struct Read {
  std::string text;
  std::vector<std::string_view> memory;  // of values, tables and buffers, owned by the writer
  std::size_t bytes = 0;
};

Read read_of(const std::string& expression, const ExpressionWriter& writer) {
  Read read{expression, {bytes_of(writer.values()), bytes_of(writer.tables())}, 0};
  for (const auto& [result, body] : writer.functions()) read.text += result + body;
  for (const auto& buffer : writer.buffers()) read.memory.push_back(bytes_of(buffer->values));
  for (std::string_view part : read.memory) read.bytes += part.size();
  return read;
}

// The mask's kind, and its form. Blocks and buffers whose text would take longer to write than
// planning takes are told by what their expression reads instead.
std::pair<std::string, SortedJson> mask_form(const MaskNode& mask) {
  if (!mask.neighborhood({}).exact) {  // which has a short text, but long tables
    ExpressionWriter writer;
    Read read = read_of(mask.expression(writer), writer);
    const bool blocks = read.text.find("mask_block_bit") != std::string::npos;
    if (read.bytes > kMostText && (blocks || !writer.buffers().empty())) {
      for (std::string_view part : read.memory) read.text += " " + hash_of(part);
      return {blocks ? "blocks" : "opencl", hashed(read.text)};
    }
  }
  const std::string text = mask.to_json();
  return {kind_of(text), short_form(text)};
}

// The elements of a modifier's tables don't matter for speed, their number does.
SortedJson score_form(const ScoreNode& score) {
  ExpressionWriter writer;
  Read read = read_of(score.expression(writer), writer);
  if (read.bytes <= kMostText) return short_form(score.to_json());
  for (std::string_view part : read.memory) read.text += fmt::format(" {}", part.size());
  return hashed(read.text);
}

}  // namespace

TuningKey tuning_key(const Problem& problem, const DeviceFacts& facts, const std::string& family) {
  TuningKey key;
  key.family = family;
  key.source = source_hash(family);
  key.vendor = facts.vendor;
  key.device = facts.name;
  key.driver = facts.driver_version;
  key.data_type = to_string(problem.data_type);
  key.head_dim = problem.head_dim;
  key.value_dim = problem.value_dim;
  key.group = problem.heads / std::max<std::int64_t>(problem.kv_heads, 1);
  key.heads_bucket = bucket(problem.batch * problem.heads);
  key.query_bucket = bucket(problem.query_len);
  key.key_bucket = bucket(problem.key_len);
  const double share = visible_share(problem);
  key.density_bucket = share > 0 ? std::ilogb(share) : -64;

  Problem bare = problem;
  bare.scale.reset();
  bare.mask = dense_mask();
  bare.scores.clear();
  std::ranges::fill(bare.sink_logits, 0.0f);
  SortedJson form = SortedJson::parse(problem_to_json(bare));
  std::tie(key.mask, form["mask"]) = mask_form(*problem.mask);
  if (problem.blocks) key.mask = "listed";
  SortedJson scores = SortedJson::array();  // in front of sink logits, as problem_to_json has them
  for (const Score& score : problem.scores) scores.push_back(score_form(*score));
  for (SortedJson& sinks : form["score"]) scores.push_back(std::move(sinks));
  if (scores.empty()) {
    form.erase("score");
  } else {
    form["score"] = std::move(scores);
  }
  key.problem = form.dump(-1, ' ', false, SortedJson::error_handler_t::replace);
  return key;
}

}  // namespace clattn
