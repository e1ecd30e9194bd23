// all_of, any_of and not: every view of a combination follows by logic from the same view of its
// parts.
#include <algorithm>
#include <clattn/mask.hpp>
#include <iterator>

#include "host/masks/parts.hpp"

namespace clattn {
namespace {

Range intersection(const Range& a, const Range& b) {
  const std::int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

// all_of and any_of are each other's mirror image: `decisive` is the coverage by one part that
// settles a rectangle, none for all_of and all for any_of; without a part it is the other one.
class Combination final : public MaskNode {
 public:
  Combination(bool all, std::vector<Mask> parts)
      : all_(all),
        decisive_(all ? Coverage::none : Coverage::all),
        neutral_(all ? Coverage::all : Coverage::none),
        parts_(std::move(parts)) {}

  bool allows(const Point& point, const Extent& extent) const override {
    const auto allowed = [&](const Mask& part) { return part->allows(point, extent); };
    return all_ ? std::all_of(parts_.begin(), parts_.end(), allowed)
                : std::any_of(parts_.begin(), parts_.end(), allowed);
  }

  std::string expression(ExpressionWriter& writer) const override {
    std::string text;
    for (const Mask& part : parts_) {
      if (!text.empty()) text += all_ ? " && " : " || ";
      text += "(" + part->expression(writer) + ")";
    }
    return !text.empty() ? text : all_ ? "1" : "0";
  }

  Coverage classify(const Slice& slice, const Range& queries, const Range& keys,
                    const Extent& extent) const override {
    Coverage result = neutral_;
    for (const Mask& part : parts_) {
      const Coverage coverage = part->classify(slice, queries, keys, extent);
      if (coverage == decisive_) return decisive_;
      if (coverage != neutral_) result = Coverage::some;
    }
    return result;
  }

  // Parts that decide nothing here are left out; bands intersect to bands, but seldom join to one.
  std::optional<Band> band(const Slice& slice, const Range& queries, const Range& keys,
                           const Extent& extent) const override {
    std::optional<Band> result;
    for (const Mask& part : parts_) {
      if (part->classify(slice, queries, keys, extent) == neutral_) continue;
      const std::optional<Band> band = part->band(slice, queries, keys, extent);
      if (!band || (result && !all_ && *result != *band)) return std::nullopt;
      result = result
                   ? Band{std::max(result->first, band->first), std::min(result->last, band->last)}
                   : band;
    }
    return result;
  }

  Range reach(const Slice& slice, const Range& queries, const Extent& extent) const override {
    Range result = all_ ? Range{0, extent.key_len} : Range{};
    for (const Mask& part : parts_) {
      const Range range = part->reach(slice, queries, extent);
      result = all_ ? intersection(result, range) : hull(result, range);
    }
    return result;
  }

  // That of the first part that has one; what any of several parts shows need not lie in it.
  NeighborhoodHint neighborhood(const Slice& slice) const override {
    if (!all_ && parts_.size() > 1) return {};
    for (const Mask& part : parts_) {
      const NeighborhoodHint hint = part->neighborhood(slice);
      if (hint.neighborhood) return {hint.neighborhood, hint.exact && parts_.size() == 1};
    }
    return {};
  }

  Variation variation() const override {
    Variation result;
    for (const Mask& part : parts_) {
      const auto [batch, head] = part->variation();
      result = {result.batch || batch, result.head || head};
    }
    return result;
  }

  std::vector<std::int64_t> seams(const Slice& slice, const Extent& extent) const override {
    std::vector<std::int64_t> result;
    for (const Mask& part : parts_) {
      std::vector<std::int64_t> merged;
      std::ranges::set_union(result, part->seams(slice, extent), std::back_inserter(merged));
      result = std::move(merged);
    }
    return result;
  }

  void validate(const Extent& extent, std::int64_t batch, std::int64_t heads) const override {
    for (const Mask& part : parts_) part->validate(extent, batch, heads);
  }

  std::string to_json() const override { return parts_to_json(all_ ? "all_of" : "any_of", parts_); }

 private:
  bool all_;
  Coverage decisive_;
  Coverage neutral_;
  std::vector<Mask> parts_;
};

class Not final : public MaskNode {
 public:
  explicit Not(Mask part) : part_(std::move(part)) {}

  bool allows(const Point& point, const Extent& extent) const override {
    return !part_->allows(point, extent);
  }

  std::string expression(ExpressionWriter& writer) const override {
    return "!(" + part_->expression(writer) + ")";
  }

  Coverage classify(const Slice& slice, const Range& queries, const Range& keys,
                    const Extent& extent) const override {
    if (queries.empty() || keys.empty()) return Coverage::none;
    switch (part_->classify(slice, queries, keys, extent)) {
      case Coverage::none:
        return Coverage::all;
      case Coverage::all:
        return Coverage::none;
      case Coverage::some:
        break;
    }
    return Coverage::some;
  }

  // What the part covers wholly at either end of the keys is cut off. How much that is, is searched
  // by halving: what is 'all' for some keys is so for fewer of them.
  Range reach(const Slice& slice, const Range& queries, const Extent& extent) const override {
    if (queries.empty()) return {};
    // The largest number of keys, up to `most`, whose range is covered.
    const auto covered = [&](std::int64_t most, const auto& range_of) {
      std::int64_t low = 0, high = most;
      while (low < high) {
        const std::int64_t middle = high - (high - low) / 2;
        if (part_->classify(slice, queries, range_of(middle), extent) == Coverage::all) {
          low = middle;
        } else {
          high = middle - 1;
        }
      }
      return low;
    };
    const std::int64_t begin = covered(extent.key_len, [](std::int64_t count) {
      return Range{0, count};
    });
    const std::int64_t end =
        extent.key_len - covered(extent.key_len - begin, [&](std::int64_t count) {
          return Range{extent.key_len - count, extent.key_len};
        });
    return {begin, end};
  }

  Variation variation() const override { return part_->variation(); }

  std::vector<std::int64_t> seams(const Slice& slice, const Extent& extent) const override {
    return part_->seams(slice, extent);
  }

  void validate(const Extent& extent, std::int64_t batch, std::int64_t heads) const override {
    part_->validate(extent, batch, heads);
  }

  std::string to_json() const override { return "{\"not\":" + part_->to_json() + "}"; }

 private:
  Mask part_;
};

}  // namespace

Mask all_of_mask(std::vector<Mask> masks) {
  check_parts("all_of", masks);
  return std::make_shared<Combination>(true, std::move(masks));
}

Mask any_of_mask(std::vector<Mask> masks) {
  check_parts("any_of", masks);
  return std::make_shared<Combination>(false, std::move(masks));
}

Mask not_mask(Mask mask) {
  check_part("not", mask);
  return std::make_shared<Not>(std::move(mask));
}

}  // namespace clattn
