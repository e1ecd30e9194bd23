// Radial attention over the frames of a video: a mask of its own, for its bands are of the
// positions within frames, which no band of whole sequences is. Frame pairs are the rectangles that
// it is made of: the frame of a token is its index / frame_tokens, its position there the rest.
#include <fmt/format.h>

#include <bit>
#include <clattn/patterns.hpp>
#include <clattn/problem.hpp>

#include "host/masks/blocks.hpp"

namespace clattn {
namespace {

class Radial final : public MaskNode {
 public:
  Radial(std::int64_t frames, std::int64_t frame_tokens)
      : frames_(frames), frame_tokens_(frame_tokens) {}

  bool allows(const Point& point, const Extent&) const override {
    const std::int64_t apart = point.query % frame_tokens_ - point.key % frame_tokens_;
    return std::abs(apart) < width(point.query / frame_tokens_, point.key / frame_tokens_);
  }

  std::string expression(ExpressionWriter& writer) const override {
    return fmt::format("mask_radial({}, query, key)", writer.integer(frame_tokens_));
  }

  Coverage classify(const Slice&, const Range& queries, const Range& keys,
                    const Extent&) const override {
    if (queries.empty() || keys.empty()) return Coverage::none;
    const Range query_frames = blocks_of(queries, frame_tokens_);
    const Range key_frames = blocks_of(keys, frame_tokens_);
    bool visible = false;
    bool hidden = false;
    for (std::int64_t i = query_frames.begin; i < query_frames.end; ++i) {
      for (std::int64_t j = key_frames.begin; j < key_frames.end; ++j) {
        const auto [nearest, furthest] = distances(inside(queries, i), inside(keys, j));
        const std::int64_t pair_width = width(i, j);
        visible = visible || nearest < pair_width;
        hidden = hidden || furthest >= pair_width;
        if (visible && hidden) return Coverage::some;
      }
    }
    return visible ? Coverage::all : Coverage::none;
  }

  // The first frame is seen by all, and so is nearly everything up to the last frames.
  Range reach(const Slice&, const Range& queries, const Extent& extent) const override {
    return queries.empty() ? Range{} : Range{0, extent.key_len};
  }

  std::vector<std::int64_t> seams(const Slice&, const Extent& extent) const override {
    return block_seams(frame_tokens_, extent.query_len);
  }

  void validate(const Extent& extent, std::int64_t, std::int64_t) const override {
    for (const auto& [name, length] :
         {std::pair("query_len", extent.query_len), std::pair("key_len", extent.key_len)}) {
      if (length == frames_ * frame_tokens_) continue;
      invalid("{} is {}, but radial attention over {} frames of {} tokens needs {}", name, length,
              frames_, frame_tokens_, frames_ * frame_tokens_);
    }
  }

  std::string to_json() const override {
    return fmt::format(R"({{"radial":{{"frames":{},"frame_tokens":{}}}}})", frames_, frame_tokens_);
  }

 private:
  // Positions in the frames of a query and a key see each other iff they are less than this apart.
  std::int64_t width(std::int64_t query_frame, std::int64_t key_frame) const {
    if (key_frame == 0) return frame_tokens_;
    const auto distance = static_cast<std::uint64_t>(std::abs(query_frame - key_frame));
    const auto octave =
        static_cast<std::int64_t>(std::bit_floor(std::max<std::uint64_t>(distance, 1)));
    if (octave <= frame_tokens_) return frame_tokens_ / octave;
    const std::int64_t step = (octave - 1) / frame_tokens_ + 1;
    return static_cast<std::int64_t>(distance) % step == 0 ? 1 : 0;
  }

  // The part of `tokens` in a frame, as positions there.
  Range inside(const Range& tokens, std::int64_t frame) const {
    const std::int64_t begin = frame * frame_tokens_;
    return {std::max<std::int64_t>(tokens.begin - begin, 0),
            std::min(tokens.end - begin, frame_tokens_)};
  }

  // The least and the largest distance between members of two ranges.
  static std::pair<std::int64_t, std::int64_t> distances(const Range& a, const Range& b) {
    const std::int64_t after = a.begin - (b.end - 1);
    const std::int64_t before = b.begin - (a.end - 1);
    return {std::max<std::int64_t>({after, before, 0}), std::max(-after, -before)};
  }

  std::int64_t frames_;
  std::int64_t frame_tokens_;
};

}  // namespace

Mask patterns::radial(std::int64_t frames, std::int64_t frame_tokens) {
  check_at_least("frames of radial attention", frames, 1);
  check_at_least("frame_tokens of radial attention", frame_tokens, 1);
  if (frame_tokens > Problem::kMaxLength / frames) {
    invalid("radial attention over {} frames of {} tokens is longer than {}, the longest length",
            frames, frame_tokens, Problem::kMaxLength);
  }
  return std::make_shared<Radial>(frames, frame_tokens);
}

}  // namespace clattn
