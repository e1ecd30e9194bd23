// The JSON form of a problem.
#include <clattn/problem.hpp>

#include "host/json/forms.hpp"
#include "host/json/members.hpp"

namespace clattn {
namespace {

constexpr Names<DataType> kDataTypes = {
    {"f32", DataType::f32}, {"f16", DataType::f16}, {"bf16", DataType::bf16}};
constexpr Names<Layout> kLayouts = {{"bhld", Layout::bhld}, {"blhd", Layout::blhd}};

constexpr std::pair<const char*, std::int64_t BlockShape::*> kBlockShape[] = {
    {"q_block", &BlockShape::query_block},
    {"k_block", &BlockShape::key_block},
    {"batch", &BlockShape::batch},
    {"heads", &BlockShape::heads},
    {"capacity", &BlockShape::capacity}};

constexpr std::pair<const char*, std::optional<Strides> Problem::*> kStrides[] = {
    {"q_strides", &Problem::query_strides},
    {"k_strides", &Problem::key_strides},
    {"v_strides", &Problem::value_strides},
    {"o_strides", &Problem::output_strides}};

BlockShape block_shape(const json& value) {
  const Members members(value, {"q_block", "k_block", "batch", "heads", "capacity"});
  BlockShape shape;
  for (const auto& [key, member] : kBlockShape) members.read(key, shape.*member);
  return shape;
}

constexpr std::pair<const char*, std::vector<std::int64_t> TokenOrder::*> kTokenOrder[] = {
    {"grid", &TokenOrder::grid}, {"tile", &TokenOrder::tile}, {"dilation", &TokenOrder::dilation}};

TokenOrder token_order(const json& value) {
  const Members members(value, {"grid", "tile", "dilation"});
  TokenOrder order;
  for (const auto& [key, member] : kTokenOrder) members.read(key, order.*member);
  return order;
}

Strides strides(const json& value) {
  const Members members(value, {"batch", "head", "token"});
  Strides result;
  members.read("batch", result.batch);
  members.read("head", result.head);
  members.read("token", result.token);
  return result;
}

void read_problem(const json& object, const std::string& folder, Problem& problem) {
  const Members members(
      object, {"scale", "dtype", "mask", "blocks", "token_order", "score", "lse", "layout", "batch",
               "heads", "kv_heads", "q_len", "kv_len", "head_dim", "value_dim", "q_strides",
               "k_strides", "v_strides", "o_strides"});
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
  JsonContext context{folder, {}};
  if (members.find("q_len") && members.find("kv_len")) context.extent = problem.extent();
  const auto read = [&](const char* key, const auto& part) {
    if (const json* value = members.find(key)) at_place(key, [&] { part(*value); });
  };
  read("mask", [&](const json& value) { problem.mask = mask_from_json(value, context); });
  read("blocks", [&](const json& value) { problem.blocks = block_shape(value); });
  read("token_order", [&](const json& value) { problem.token_order = token_order(value); });
  read("score", [&](const json& value) {
    for_each_element(value, [&](const json& score) { add_score(score, context, problem); });
  });
  for (const auto& [key, member] : kStrides) {
    read(key, [&, &member = member](const json& value) { problem.*member = strides(value); });
  }
}

}  // namespace

Problem problem_from_json(std::string_view text, const std::string& folder) {
  const json object = parse_json(text);
  Problem problem;
  at_place("problem", [&] { read_problem(object, folder, problem); });
  return problem;
}

Mask mask_from_json(std::string_view text, const std::string& folder,
                    const std::optional<Extent>& extent) {
  const json object = parse_json(text);
  return at_place("mask", [&] { return mask_from_json(object, {folder, extent}); });
}

Score score_from_json(std::string_view text, const std::string& folder) {
  const json object = parse_json(text);
  return at_place("score", [&] {
    Problem problem;
    add_score(object, {folder, {}}, problem);
    if (problem.scores.empty()) invalid("sink logits are no modifier");
    return problem.scores.front();
  });
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
  if (problem.blocks) {
    for (const auto& [key, member] : kBlockShape) object["blocks"][key] = (*problem.blocks).*member;
  }
  if (problem.token_order) {
    for (const auto& [key, member] : kTokenOrder) {
      const std::vector<std::int64_t>& sizes = (*problem.token_order).*member;
      if (!sizes.empty()) object["token_order"][key] = sizes;
    }
  }
  for (const Score& score : problem.scores)
    object["score"].push_back(json::parse(score->to_json()));
  if (!problem.sink_logits.empty()) {
    object["score"].push_back({{"sink_logits", problem.sink_logits}});
  }
  if (problem.scale) object["scale"] = *problem.scale;
  for (const auto& [key, member] : kStrides) {
    if (const auto& strides = problem.*member) {
      object[key] = {{"batch", strides->batch}, {"head", strides->head}, {"token", strides->token}};
    }
  }
  return object.dump();
}

}  // namespace clattn
