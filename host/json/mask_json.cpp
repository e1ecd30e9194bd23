// The JSON form of masks: one parser a kind, and patterns beside them. Masks that were named by a
// pattern, or whose values lie in files, give back the JSON that they came from, which is shorter
// than what they are made of.
#include <algorithm>
#include <clattn/blocks.hpp>
#include <clattn/neighborhood.hpp>
#include <clattn/patterns.hpp>
#include <cstring>

#include "host/json/arrays.hpp"
#include "host/json/forms.hpp"

namespace clattn {
namespace {

using Integers = std::vector<std::int64_t>;

class GivenMask final : public MaskNode {
 public:
  GivenMask(Mask mask, std::string text) : mask_(std::move(mask)), text_(std::move(text)) {}

  bool allows(const Point& point, const Extent& extent) const override {
    return mask_->allows(point, extent);
  }
  std::string expression(ExpressionWriter& writer) const override {
    return mask_->expression(writer);
  }
  Coverage classify(const Slice& slice, const Range& queries, const Range& keys,
                    const Extent& extent) const override {
    return mask_->classify(slice, queries, keys, extent);
  }
  std::optional<Band> band(const Slice& slice, const Range& queries, const Range& keys,
                           const Extent& extent) const override {
    return mask_->band(slice, queries, keys, extent);
  }
  Range reach(const Slice& slice, const Range& queries, const Extent& extent) const override {
    return mask_->reach(slice, queries, extent);
  }
  NeighborhoodHint neighborhood(const Slice& slice) const override {
    return mask_->neighborhood(slice);
  }
  Variation variation() const override { return mask_->variation(); }
  std::vector<std::int64_t> seams(const Slice& slice, const Extent& extent) const override {
    return mask_->seams(slice, extent);
  }
  void validate(const Extent& extent, std::int64_t batch, std::int64_t heads) const override {
    mask_->validate(extent, batch, heads);
  }
  std::string to_json() const override { return text_; }

 private:
  Mask mask_;
  std::string text_;
};

Mask causal(const json& value, const JsonContext&) {
  CausalAlign align = CausalAlign::bottom_right;
  Members(value, {"align"})
      .read("align", align,
            {{"bottom_right", CausalAlign::bottom_right}, {"top_left", CausalAlign::top_left}});
  return causal_mask(align);
}

struct Window {
  std::optional<std::int64_t> left, right;
  explicit Window(const Members& members) {
    members.read("left", left);
    members.read("right", right);
  }
};

Mask window(const json& value, const JsonContext&) {
  const Window window(Members(value, {"left", "right"}));
  return window_mask(window.left, window.right);
}

Mask dilated_window(const json& value, const JsonContext&) {
  const Members members(value, {"left", "right", "dilation"});
  const Window window(members);
  return dilated_window_mask(window.left, window.right, members.integer("dilation"));
}

Mask prefix(const json& value, const JsonContext&) {
  return prefix_mask(Members(value, {"length"}).integer("length"));
}

Mask sink(const json& value, const JsonContext&) {
  return sink_mask(Members(value, {"tokens"}).integer("tokens"));
}

Mask global(const json& value, const JsonContext&) {
  return global_mask(Members(value, {"tokens"}).get<Integers>("tokens"));
}

// The lengths at `lengths`, or from the offsets at `offsets`; nothing where neither is there.
std::optional<Integers> document_lengths(const Members& members, const char* lengths,
                                         const char* offsets) {
  if (members.find(lengths) && members.find(offsets)) {
    invalid("has both \"{}\" and \"{}\"", lengths, offsets);
  }
  if (members.find(lengths)) return members.get<Integers>(lengths);
  if (members.find(offsets)) return lengths_from_offsets(members.get<Integers>(offsets));
  return std::nullopt;
}

// The mask at "mask", else a dense one.
Mask inner_mask(const Members& members, const JsonContext& context) {
  const json* mask = members.find("mask");
  if (!mask) return dense_mask();
  return at_place("mask", [&] { return mask_from_json(*mask, context); });
}

Mask documents(const json& value, const JsonContext& context) {
  const Members members(value, {"lengths", "offsets", "key_lengths", "key_offsets", "mask"});
  const auto queries = document_lengths(members, "lengths", "offsets");
  if (!queries) invalid("needs \"lengths\" or \"offsets\"");
  const auto keys = document_lengths(members, "key_lengths", "key_offsets");
  return documents_mask({*queries, keys.value_or(*queries)}, inner_mask(members, context));
}

Mask neighborhood(const json& value, const JsonContext&) {
  const Members members(value, {"grid", "window", "stride", "dilation", "causal", "extra_keys"});
  Neighborhood result;
  result.grid = members.get<Integers>("grid");
  result.window = members.get<Integers>("window");
  members.read("stride", result.stride);
  members.read("dilation", result.dilation);
  members.read("causal", result.causal);
  members.read("extra_keys", result.extra_keys);
  return neighborhood_mask(std::move(result));
}

Mask random_blocks(const json& value, const JsonContext&) {
  const Members members(value, {"q_block", "k_block", "count", "seed"});
  return random_blocks_mask(members.integer("q_block"), members.integer("k_block"),
                            members.integer("count"), members.get<std::uint32_t>("seed"));
}

std::vector<Mask> masks(const json& value, const JsonContext& context) {
  std::vector<Mask> result;
  for_each_element(value,
                   [&](const json& mask) { result.push_back(mask_from_json(mask, context)); });
  return result;
}

Mask per_head(const json& value, const JsonContext& context) {
  return per_head_mask(masks(value, context));
}

Mask all_of(const json& value, const JsonContext& context) {
  return all_of_mask(masks(value, context));
}

Mask any_of(const json& value, const JsonContext& context) {
  return any_of_mask(masks(value, context));
}

Mask negation(const json& value, const JsonContext& context) {
  return not_mask(mask_from_json(value, context));
}

// [batch][heads][query_blocks] of strings of '0' and '1', a character a key block.
NestedArray<std::uint8_t> kept_blocks(const json& value) {
  const NestedArray<std::string> rows = nested_array<std::string>(value, 3);
  NestedArray<std::uint8_t> kept{rows.shape, {}};
  kept.shape.push_back(rows.values.empty() ? 0 : std::ssize(rows.values.front()));
  for (const std::string& row : rows.values) {
    if (std::ssize(row) != kept.shape.back() || row.find_first_not_of("01") != std::string::npos) {
      invalid("row \"{}\" must be {} characters '0' and '1'", row, kept.shape.back());
    }
    for (char c : row) kept.values.push_back(c == '1');
  }
  return kept;
}

NestedArray<std::uint8_t> kept_blocks_from_file(const json& path, const JsonContext& context) {
  const NpyArray array = array_from_file(path, context, 4);
  if (array.type != NpyType::u8) invalid("{}: elements must be bool or u8", array.path);
  NestedArray<std::uint8_t> kept{array.shape, {}};
  for (std::byte value : array.data) kept.values.push_back(std::to_integer<std::uint8_t>(value));
  return kept;
}

BlockShape block_shape(const Members& members) {
  BlockShape shape;
  shape.query_block = members.integer("q_block");
  shape.key_block = members.integer("k_block");
  return shape;
}

Mask blocks(const json& value, const JsonContext& context) {
  const Members members(value, {"q_block", "k_block", "mask"});
  BlockShape shape = block_shape(members);
  NestedArray<std::uint8_t> kept;
  at_place("mask", [&] {
    const json& mask = members.at("mask");
    kept = mask.is_string() ? kept_blocks_from_file(mask, context) : kept_blocks(mask);
  });
  shape.batch = kept.shape[0];
  shape.heads = kept.shape[1];
  return blocks_mask(shape, kept.shape[2], kept.shape[3], std::move(kept.values));
}

Mask block_lists(const json& value, const JsonContext& context) {
  const Members members(value, {"q_block", "k_block", "partial_count", "partial_index",
                                "full_count", "full_index", "key_lengths", "mask"});
  // Block counts may be fewer than the lists have room for: only the lengths say how many.
  if (!context.extent) invalid("needs the problem's \"q_len\" and \"kv_len\"");
  BlockLists lists;
  lists.shape = block_shape(members);
  const auto read = [&](const char* key, std::size_t rank, std::vector<std::int32_t>& values) {
    Integers shape;
    at_place(key, [&] {
      NestedArray<std::int32_t> array = index_array(members.at(key), rank, context);
      shape = array.shape;
      values = std::move(array.values);
    });
    return shape;
  };
  const Integers counts = read("partial_count", 3, lists.partial_count);
  lists.shape.batch = counts[0];
  lists.shape.heads = counts[1];
  lists.shape.capacity = read("partial_index", 4, lists.partial_index)[3];
  if (members.find("full_count") || members.find("full_index")) {
    read("full_count", 3, lists.full_count);
    read("full_index", 4, lists.full_index);
  }
  if (members.find("key_lengths")) read("key_lengths", 3, lists.key_lengths);
  return block_lists_mask(std::move(lists), *context.extent, inner_mask(members, context));
}

Mask opencl(const json& value, const JsonContext& context) {
  return expression_mask(expression_from_json(value, context));
}

Mask streaming_llm(const json& value, const JsonContext&) {
  const Members members(value, {"sinks", "window"});
  return patterns::streaming_llm(members.integer("sinks"), members.integer("window"));
}

Mask duo_attention(const json& value, const JsonContext&) {
  const Members members(value, {"retrieval_heads", "sinks", "window"});
  return patterns::duo_attention(members.get<std::vector<bool>>("retrieval_heads"),
                                 members.integer("sinks"), members.integer("window"));
}

Mask big_bird(const json& value, const JsonContext&) {
  const Members members(value, {"length", "block", "window", "global", "random", "seed"});
  return patterns::big_bird(members.integer("length"), members.integer("block"),
                            members.integer("window"), members.integer("global"),
                            members.integer("random"), members.get<std::uint32_t>("seed"));
}

Mask block_bert(const json& value, const JsonContext&) {
  const Members members(value, {"length", "blocks", "shifts"});
  return patterns::block_bert(members.integer("length"), members.integer("blocks"),
                              members.get<Integers>("shifts"));
}

Mask power_attention(const json& value, const JsonContext&) {
  const Members members(value, {"length", "block", "sink_blocks", "window_blocks"});
  return patterns::power_attention(members.integer("length"), members.integer("block"),
                                   members.integer("sink_blocks"),
                                   members.integer("window_blocks"));
}

Mask mswa(const json& value, const JsonContext&) {
  return patterns::mswa(Members(value, {"windows"}).get<Integers>("windows"));
}

Mask dilated(const json& value, const JsonContext&) {
  const Members members(value, {"window", "dilation", "causal"});
  return patterns::dilated_window(members.integer("window"), members.integer("dilation"),
                                  members.get<bool>("causal"));
}

Mask radial(const json& value, const JsonContext&) {
  const Members members(value, {"frames", "frame_tokens"});
  return patterns::radial(members.integer("frames"), members.integer("frame_tokens"));
}

Mask prefix_lm(const json& value, const JsonContext&) {
  return patterns::prefix_lm(Members(value, {"prefix"}).integer("prefix"));
}

Mask document(const json& value, const JsonContext&) {
  const Members members(value, {"lengths", "causal"});
  return patterns::document(members.get<Integers>("lengths"), members.get<bool>("causal"));
}

struct Kind {
  const char* name;
  Mask (*read)(const json& value, const JsonContext& context);
  bool given;  // the mask gives its JSON back as it came
};

constexpr Kind kKinds[] = {
    {"causal", causal, false},
    {"window", window, false},
    {"dilated_window", dilated_window, false},
    {"prefix", prefix, false},
    {"sink", sink, false},
    {"global", global, false},
    {"documents", documents, false},
    {"neighborhood", neighborhood, false},
    {"random_blocks", random_blocks, false},
    {"per_head", per_head, false},
    {"all_of", all_of, false},
    {"any_of", any_of, false},
    {"not", negation, false},
    {"blocks", blocks, true},
    {"block_lists", block_lists, true},
    {"opencl", opencl, true},
    {"streaming_llm", streaming_llm, true},
    {"duo_attention", duo_attention, true},
    {"big_bird", big_bird, true},
    {"block_bert", block_bert, true},
    {"power_attention", power_attention, true},
    {"mswa", mswa, true},
    {"dilated", dilated, true},
    {"radial", radial, true},
    {"prefix_lm", prefix_lm, true},
    {"document", document, true},
};

}  // namespace

Mask mask_from_json(const json& object, const JsonContext& context) {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.push_back(kind.name);
  const Members members(object, names);
  if (object.empty()) return dense_mask();
  if (object.size() > 1) wrong_type(object, "one mask");
  const auto kind = std::ranges::find_if(
      kKinds, [&](const Kind& candidate) { return members.find(candidate.name) != nullptr; });
  Mask mask = at_place(kind->name, [&] { return kind->read(members.at(kind->name), context); });
  return kind->given ? std::make_shared<GivenMask>(std::move(mask), object.dump()) : mask;
}

}  // namespace clattn
