// A mask of its own for each head. Heads whose masks are equal, which what they write into a kernel
// says, form a group and share one branch of the expression.
#include <fmt/format.h>

#include <clattn/mask.hpp>
#include <map>
#include <tuple>

#include "host/invalid.hpp"
#include "host/masks/parts.hpp"

namespace clattn {
namespace {

// Everything that makes a mask on a device.
auto written(const MaskNode& mask) {
  ExpressionWriter writer;
  std::string text = mask.expression(writer);
  return std::tuple(std::move(text), writer.functions(), writer.values(), writer.tables(),
                    writer.buffers());
}

class PerHead final : public MaskNode {
 public:
  explicit PerHead(std::vector<Mask> masks) : masks_(std::move(masks)) {
    std::map<const MaskNode*, std::int32_t> known;  // saves writing one node many times
    std::map<decltype(written(*masks_.front())), std::int32_t> group_of_writing;
    for (const Mask& mask : masks_) {
      auto [found, is_new] = known.try_emplace(mask.get());
      if (is_new) {
        const auto [group, is_other] =
            group_of_writing.try_emplace(written(*mask), static_cast<std::int32_t>(groups_.size()));
        if (is_other) groups_.push_back(mask);
        found->second = group->second;
      }
      group_of_head_.push_back(found->second);
    }
  }

  bool allows(const Point& point, const Extent& extent) const override {
    return at(point.head).allows(point, extent);
  }

  std::string expression(ExpressionWriter& writer) const override {
    std::string text = groups_.back()->expression(writer);
    if (groups_.size() == 1) return text;
    text = "(" + text + ")";
    for (std::size_t i = groups_.size() - 1; i-- > 0;) {
      text = fmt::format("group == {} ? ({}) : {}", i, groups_[i]->expression(writer), text);
    }
    const std::string function =
        writer.function("int", fmt::format("  const int group = {}[head];\n  return ({}) != 0;",
                                           writer.table(group_of_head_), text));
    return function + "(hooks, batch, head, query, key, query_len, key_len)";
  }

  Coverage classify(const Slice& slice, const Range& queries, const Range& keys,
                    const Extent& extent) const override {
    return at(slice.head).classify(slice, queries, keys, extent);
  }

  std::optional<Band> band(const Slice& slice, const Range& queries, const Range& keys,
                           const Extent& extent) const override {
    return at(slice.head).band(slice, queries, keys, extent);
  }

  Range reach(const Slice& slice, const Range& queries, const Extent& extent) const override {
    return at(slice.head).reach(slice, queries, extent);
  }

  NeighborhoodHint neighborhood(const Slice& slice) const override {
    return at(slice.head).neighborhood(slice);
  }

  Variation variation() const override {
    Variation result{false, groups_.size() > 1};
    for (const Mask& mask : groups_) {
      const auto [batch, head] = mask->variation();
      result = {result.batch || batch, result.head || head};
    }
    return result;
  }

  std::vector<std::int64_t> seams(const Slice& slice, const Extent& extent) const override {
    return at(slice.head).seams(slice, extent);
  }

  void validate(const Extent& extent, std::int64_t batch, std::int64_t heads) const override {
    if (heads != static_cast<std::int64_t>(masks_.size())) {
      invalid("per_head has {} masks, but the problem has {} heads", masks_.size(), heads);
    }
    for (const Mask& mask : groups_) mask->validate(extent, batch, heads);
  }

  std::string to_json() const override { return parts_to_json("per_head", masks_); }

 private:
  const MaskNode& at(std::int64_t head) const { return *masks_[static_cast<std::size_t>(head)]; }

  std::vector<Mask> masks_;                  // [heads]
  std::vector<Mask> groups_;                 // the different ones
  std::vector<std::int32_t> group_of_head_;  // [heads]
};

}  // namespace

Mask per_head_mask(std::vector<Mask> masks) {
  if (masks.empty()) invalid("per_head has 0 masks, but needs at least 1");
  check_parts("per_head", masks);
  return std::make_shared<PerHead>(std::move(masks));
}

}  // namespace clattn
