// The JSON form of score modifiers and sink logits. Modifiers whose values may lie in files give
// back the JSON that they came from.
#include <algorithm>
#include <clattn/score.hpp>
#include <memory>

#include "host/json/arrays.hpp"
#include "host/json/forms.hpp"

namespace clattn {
namespace {

class GivenScore final : public ScoreNode {
 public:
  GivenScore(Score score, std::string text) : score_(std::move(score)), text_(std::move(text)) {}

  double apply(double score, const Point& point, const Extent& extent) const override {
    return score_->apply(score, point, extent);
  }
  std::string expression(ExpressionWriter& writer) const override {
    return score_->expression(writer);
  }
  void validate(const Extent& extent, std::int64_t batch, std::int64_t heads) const override {
    score_->validate(extent, batch, heads);
  }
  std::string to_json() const override { return text_; }

 private:
  Score score_;
  std::string text_;
};

Score softcap(const json& value, const JsonContext&) {
  float cap = 0;
  read_value(value, cap);
  return softcap_score(cap);
}

// [heads] or [batch][heads].
Score alibi(const json& value, const JsonContext&) {
  const Members members(value, {"slopes"});
  NestedArray<float> slopes;
  at_place("slopes", [&] {
    const json& given = members.at("slopes");
    const bool varies_with_batch = given.is_array() && !given.empty() && given[0].is_array();
    slopes = nested_array<float>(given, varies_with_batch ? 2 : 1);
  });
  return alibi_score(std::move(slopes.values), slopes.shape.size() == 2 ? slopes.shape[0] : 1);
}

ElementType bias_type(const NpyArray& array) {
  switch (array.type) {
    case NpyType::f32:
      return ElementType::f32;
    case NpyType::f16:
      return ElementType::f16;
    case NpyType::bf16:
      return ElementType::bf16;
    default:
      invalid("{}: elements must be '<f4' (f32), '<f2' (f16) or '<V2' (bf16)", array.path);
  }
}

Score bias(const json& value, const JsonContext& context) {
  Buffer buffer{"bias", ElementType::f32, 1, {}};
  BiasShape shape;
  if (value.is_string()) {
    NpyArray array = array_from_file(value, context, 4);
    shape = {array.shape[0], array.shape[1], array.shape[2], array.shape[3]};
    buffer.type = bias_type(array);
    buffer.values = std::move(array.data);
  } else {
    const Members members(value, {"name", "type", "batch", "heads", "q_len", "kv_len", "values"});
    buffer.name = members.get<std::string>("name");
    buffer.type = members.get<ElementType>(
        "type",
        {{"f32", ElementType::f32}, {"f16", ElementType::f16}, {"bf16", ElementType::bf16}});
    members.read("batch", shape.batch);
    members.read("heads", shape.heads);
    members.read("q_len", shape.query_len);
    shape.key_len = members.integer("kv_len");
    buffer.values = stored_values(members, buffer.type);
  }
  for (std::int64_t size : {shape.batch, shape.heads, shape.query_len, shape.key_len}) {
    if (size < 0 || __builtin_mul_overflow(buffer.count, size, &buffer.count)) {
      invalid("a bias of {} x {} x {} x {} elements can't be", shape.batch, shape.heads,
              shape.query_len, shape.key_len);
    }
  }
  return bias_score(std::make_shared<const Buffer>(std::move(buffer)), shape);
}

Score relative_position(const json& value, const JsonContext&) {
  const Members members(value, {"reach", "table"});
  const std::int64_t reach = members.integer("reach");
  NestedArray<float> table;
  at_place("table", [&] {
    table = nested_array<float>(members.at("table"), 2);
    if (table.shape[1] % 2 == 0 || table.shape[1] / 2 != reach) {
      invalid("has rows of {} entries, but a reach of {} needs 2 * reach + 1", table.shape[1],
              reach);
    }
  });
  return relative_position_score(std::move(table.values), reach);
}

Score grid_position(const json& value, const JsonContext&) {
  const Members members(value, {"grid", "reach", "table"});
  const auto grid = members.get<std::vector<std::int64_t>>("grid");
  const auto reach = members.get<std::vector<std::int64_t>>("reach");
  NestedArray<float> table;
  at_place("table", [&] {
    table = nested_array<float>(members.at("table"), reach.size() + 1);
    for (std::size_t d = 0; d < reach.size(); ++d) {
      const std::int64_t entries = table.shape[d + 1];
      if (entries % 2 == 0 || entries / 2 != reach[d]) {
        invalid("has {} entries in dimension {}, but a reach of {} needs 2 * reach + 1", entries, d,
                reach[d]);
      }
    }
  });
  return grid_position_score(std::move(table.values), grid, reach);
}

Score opencl(const json& value, const JsonContext& context) {
  return expression_score(expression_from_json(value, context));
}

struct Kind {
  const char* name;
  Score (*read)(const json& value, const JsonContext& context);
  bool given;  // the modifier gives its JSON back as it came
};

constexpr const char* kSinkLogits = "sink_logits";
constexpr Kind kKinds[] = {
    {"softcap", softcap, false},
    {"alibi", alibi, false},
    {"bias", bias, true},
    {"relative_position", relative_position, false},
    {"grid_position", grid_position, false},
    {"opencl", opencl, true},
};

}  // namespace

void add_score(const json& object, const JsonContext& context, Problem& problem) {
  std::vector<std::string> names = {kSinkLogits};
  for (const Kind& kind : kKinds) names.push_back(kind.name);
  const Members members(object, names);
  if (object.size() != 1) wrong_type(object, "one modifier");
  if (members.find(kSinkLogits)) {
    if (!problem.sink_logits.empty()) invalid("{} are there already", kSinkLogits);
    problem.sink_logits = members.get<std::vector<float>>(kSinkLogits);
    if (problem.sink_logits.empty()) wrong_type(object[kSinkLogits], "a number for each head");
    return;
  }
  const auto kind = std::ranges::find_if(
      kKinds, [&](const Kind& candidate) { return members.find(candidate.name) != nullptr; });
  Score score = at_place(kind->name, [&] { return kind->read(members.at(kind->name), context); });
  problem.scores.push_back(kind->given ? std::make_shared<GivenScore>(score, object.dump())
                                       : score);
}

}  // namespace clattn
