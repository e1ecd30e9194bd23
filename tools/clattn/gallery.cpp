#include "gallery.hpp"

#include <fmt/format.h>

#include <clattn/problem.hpp>
#include <iterator>

#include "block_picture.hpp"
#include "canvas.hpp"
#include "neighborhood_picture.hpp"

namespace clattn::tool {
namespace {

constexpr int kColumns = 5;
constexpr int kSide = 288;  // pixels of a picture
constexpr int kMargin = 28;
constexpr int kGap = 8;  // between the heads of one picture
constexpr int kScale = 2;

struct Example {
  const char* name;
  std::int64_t length;  // queries and keys
  std::int64_t block;
  std::int64_t heads;  // 1, or 4 in two rows
  const char* mask;
};

constexpr Example kExamples[] = {
    {"causal", 576, 16, 1, R"({"causal": {}})"},
    {"sliding window", 576, 16, 1, R"({"window": {"left": 120, "right": 0}})"},
    {"dilated window", 48, 1, 1, R"({"dilated": {"window": 6, "dilation": 3, "causal": false}})"},
    {"prefix-LM", 576, 16, 1, R"({"prefix_lm": {"prefix": 200}})"},
    {"documents", 576, 16, 1, R"({"document": {"lengths": [120, 200, 64, 192], "causal": true}})"},
    {"window and global tokens", 576, 16, 1,
     R"({"any_of": [{"window": {"left": 40, "right": 40}}, {"global": {"tokens": [0, 216, 400]}}]})"},
    {"BigBird", 576, 16, 1,
     R"({"big_bird": {"length": 576, "block": 16, "window": 3, "global": 2, "random": 3, "seed": 3}})"},
    {"StreamingLLM", 576, 16, 1, R"({"streaming_llm": {"sinks": 4, "window": 120}})"},
    {"DuoAttention, 4 heads", 448, 16, 4,
     R"({"duo_attention": {"retrieval_heads": [true, false, false, true], "sinks": 4, "window": 80}})"},
    {"MSWA, 4 heads", 448, 16, 4, R"({"mswa": {"windows": [32, 64, 128, 256]}})"},
    {"PowerAttention", 576, 16, 1,
     R"({"power_attention": {"length": 576, "block": 16, "sink_blocks": 1, "window_blocks": 2}})"},
    {"Radial, 16 frames", 288, 1, 1, R"({"radial": {"frames": 16, "frame_tokens": 18}})"},
    {"BlockBERT, 4 heads", 448, 16, 4,
     R"({"block_bert": {"length": 448, "blocks": 7, "shifts": [0, 1, 2, 4]}})"},
    {"your OpenCL C", 512, 16, 1, R"({"opencl": {"expression": "(query / 16 & key / 16) == 0"}})"},
    {"your blocks", 384, 32, 1,
     R"({"blocks": {"q_block": 32, "k_block": 32, "mask": [[[
        "100000000000", "110000000000", "011000000000", "101100000000", "100110000000",
        "010011000000", "100001100000", "100100110000", "010000011000", "100010001100",
        "100000100110", "101000000011"]]]}})"},
};

void draw_example(Canvas& canvas, int x, int y, const Example& example) {
  canvas.text(x, y, kScale, example.name, kInk);
  y += line_height(kScale);
  const Problem problem = problem_from_json(
      fmt::format(R"({{"q_len": {0}, "kv_len": {0}, "head_dim": 8, "heads": {1}, "mask": {2}}})",
                  example.length, example.heads, example.mask));
  validate(problem);
  const int side = example.heads == 1 ? kSide : (kSide - kGap) / 2;
  for (int head = 0; head < example.heads; ++head) {
    draw_picture(canvas, x + head % 2 * (side + kGap), y + head / 2 * (side + kGap), side,
                 make_block_map(*problem.mask, {0, head}, problem.extent(),
                                {example.block, example.block}, side));
  }
}

// One tile of a neighborhood.
struct GridExample {
  const char* name;
  Neighborhood neighborhood;
  GridTile tile;
};

std::string caption(const GridExample& example) {
  const TileStatistics all =
      simulate_tiles(example.neighborhood, example.tile.shape, example.tile.shape);
  return fmt::format("{}: {:.1f}x of {:.1f}x", example.name, all.tile_bound, all.flop_bound);
}

}  // namespace

void draw_gallery(const std::string& path) {
  const int rows = (static_cast<int>(std::size(kExamples)) + kColumns - 1) / kColumns;
  const int column_width = kSide + kMargin;
  const int row_height = line_height(kScale) + kSide + kMargin;
  Canvas canvas(kMargin + kColumns * column_width,
                kMargin + rows * row_height + line_height(kScale), kPaper);
  for (int i = 0; i < static_cast<int>(std::size(kExamples)); ++i) {
    draw_example(canvas, kMargin + i % kColumns * column_width, kMargin + i / kColumns * row_height,
                 kExamples[i]);
  }
  draw_legend(canvas, kMargin, kMargin + rows * row_height, kScale);
  canvas.save_png(path);
}

// Planes side by side, and the slices of a video below.
void draw_grid_gallery(const std::string& path) {
  const GridExample planes[] = {
      {"stride 1", {{48, 48}, {24, 24}, {}, {}, {}}, {{8, 8}, {2, 3}}},
      {"stride 8", {{48, 48}, {24, 24}, {8, 8}, {}, {}}, {{8, 8}, {2, 3}}},
      {"at a border", {{32, 32}, {13, 13}, {}, {}, {}}, {{8, 8}, {0, 3}}},
      {"dilation 2", {{32, 32}, {9, 9}, {}, {2, 2}, {}}, {{4, 4}, {1, 2}}},
      {"causal rows", {{32, 32}, {13, 13}, {}, {}, {true, false}}, {{8, 8}, {2, 1}}}};
  const GridExample video = {
      "frames of a video, stride 1", {{12, 16, 16}, {6, 7, 7}, {}, {}, {}}, {{2, 4, 4}, {3, 2, 1}}};
  const WindowMap frames = make_window_map(video.neighborhood, video.tile, kSide);
  constexpr int kWidth = kMargin + static_cast<int>(std::size(planes)) * (kSide + kMargin);
  const int frame_column = (kWidth - kMargin) / static_cast<int>(frames.slices);
  const int frame_side = frame_column - kMargin;
  const int second_row = kMargin + line_height(kScale) + kSide + kMargin;
  const int legend = second_row + line_height(kScale) + frame_side + kMargin;
  Canvas canvas(kWidth, legend + kWindowLegendLines * line_height(kScale) + kMargin, kPaper);
  int x = kMargin;
  for (const GridExample& example : planes) {
    canvas.text(x, kMargin, kScale, caption(example), kInk);
    draw_picture(canvas, x, kMargin + line_height(kScale), kSide,
                 make_window_map(example.neighborhood, example.tile, kSide), 0);
    x += kSide + kMargin;
  }
  canvas.text(kMargin, second_row, kScale, caption(video), kInk);
  for (int i = 0; i < frames.slices; ++i) {
    draw_picture(canvas, kMargin + i * frame_column, second_row + line_height(kScale), frame_side,
                 frames, i);
  }
  draw_window_legend(canvas, kMargin, legend, kScale);
  canvas.save_png(path);
}

}  // namespace clattn::tool
