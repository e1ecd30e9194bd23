// clattn show: the mask of a problem as a picture, in the terminal or as PNG: its blocks or, of a
// neighborhood, its grid. Needs no device.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <memory>

#include "block_picture.hpp"
#include "command.hpp"
#include "fail.hpp"
#include "gallery.hpp"
#include "problem_input.hpp"
#include "show_grid.hpp"

namespace clattn::tool {
namespace {

constexpr int kMargin = 16;  // pixels around pictures
constexpr int kScale = 2;    // of the font
constexpr int kMostPixels = 16384;

struct Options {
  ProblemOptions problem;
  BlockSize block;
  Slice slice;
  bool all_heads = false;
  GridOptions grid;
  std::string png, gallery;
  int width = 800;
};

std::int64_t terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

struct Head {
  std::int64_t head;
  BlockMap map;
};

std::vector<Head> heads_of(const Options& options, const Problem& problem,
                           std::int64_t most_cells) {
  const Slice& slice = options.slice;
  const std::int64_t first = options.all_heads ? 0 : slice.head;
  const std::int64_t last = options.all_heads ? problem.heads - 1 : slice.head;
  std::vector<Head> heads;
  for (std::int64_t head = first; head <= last; ++head) {
    heads.push_back({head, make_block_map(*problem.mask, {slice.batch, head}, problem.extent(),
                                          options.block, most_cells)});
  }
  return heads;
}

// What holds of all heads.
std::string title(const Options& options, const Problem& problem) {
  return fmt::format("{}: {} queries, {} keys, blocks of {} x {}", describe(*problem.mask),
                     problem.query_len, problem.key_len, options.block.queries, options.block.keys);
}

std::string caption(const Head& head, const Problem& problem) {
  return fmt::format("{}{}", problem.heads > 1 ? fmt::format("head {}: ", head.head) : "",
                     statistics(head.map));
}

void print_text(const Options& options, const Problem& problem) {
  const std::vector<Head> heads =
      heads_of(options, problem, std::max<std::int64_t>(terminal_width() / 2, 1));
  fmt::print("{}\n", title(options, problem));
  for (const Head& head : heads) {
    fmt::print("{}{}\n", text_picture(head.map), caption(head, problem));
  }
  fmt::print("{}\n", text_legend(heads.front().map));
}

// The heads in a grid, each with its density, and below what holds of all.
void draw_png(const Options& options, const Problem& problem) {
  const int pictures = options.all_heads ? static_cast<int>(problem.heads) : 1;
  const int columns = static_cast<int>(std::ceil(std::sqrt(pictures)));
  const int rows = (pictures + columns - 1) / columns;
  const int side = (options.width - kMargin) / columns - kMargin;
  if (side < 1) fail("--width {} has no room for {} pictures a row", options.width, columns);
  const std::vector<Head> heads = heads_of(options, problem, side);

  std::string text = title(options, problem);
  fmt::print("{}\n", text);
  for (const Head& head : heads) fmt::print("{}\n", caption(head, problem));
  if (pictures == 1) text += "; " + caption(heads.front(), problem);
  const auto lines = wrapped(text, options.width - 2 * kMargin, kScale);

  const int label_height = pictures > 1 ? line_height(kScale) : 0;
  const int row_height = picture_size(side, heads.front().map).second + label_height + kMargin;
  const int text_height = (static_cast<int>(lines.size()) + 1) * line_height(kScale);
  Canvas canvas(options.width, kMargin + rows * row_height + text_height + kMargin, kPaper);
  for (int i = 0; i < pictures; ++i) {
    const int x = kMargin + i % columns * (side + kMargin);
    const int y = kMargin + i / columns * row_height;
    const Head& head = heads[static_cast<std::size_t>(i)];
    draw_picture(canvas, x, y + label_height, side, head.map);
    if (pictures > 1) {
      canvas.text(x, y, kScale, fmt::format("head {}: {:.3g}%", head.head, density(head.map)),
                  kInk);
    }
  }
  const int y = canvas.text_lines(kMargin, kMargin + rows * row_height, kScale, lines, kInk);
  draw_legend(canvas, kMargin, y, kScale);
  canvas.save_png(options.png);
}

int show(const Options& options) {
  if (!options.gallery.empty()) {
    options.grid.wanted ? draw_grid_gallery(options.gallery) : draw_gallery(options.gallery);
    return kSuccess;
  }
  const Problem problem = problem_of_mask(options.problem);
  const auto check = [](const char* flag, std::int64_t value, std::int64_t end) {
    if (value < 0 || value >= end) fail("{} {} is not within 0 to {}", flag, value, end - 1);
  };
  check("--head", options.slice.head, problem.heads);
  check("--batch-index", options.slice.batch, problem.batch);
  if (problem.query_len == 0 || problem.key_len == 0) {
    fail("there is nothing to show of {} queries and {} keys", problem.query_len, problem.key_len);
  }
  if (options.grid.wanted) {
    const Neighborhood* const neighborhood = problem.mask->neighborhood(options.slice).neighborhood;
    if (!neighborhood) fail("--grid needs a mask within a neighborhood");
    GridOptions grid = options.grid;
    grid.png = options.png;
    grid.width = options.png.empty() ? static_cast<int>(terminal_width()) : options.width;
    show_grid(*neighborhood, grid);
  } else if (options.png.empty()) {
    print_text(options, problem);
  } else {
    draw_png(options, problem);
  }
  return kSuccess;
}

}  // namespace

Command add_show(CLI::App& parent) {
  CLI::App* const app =
      parent.add_subcommand("show", "The mask of a problem as a picture of its blocks");
  app->footer(
      "Blocks of which every pair of query and key is visible are full, those of which some are\n"
      "partial. Example: clattn show --q-len 4096 --kv-len 4096 --png mask.png --problem\n"
      "'{\"mask\": {\"streaming_llm\": {\"sinks\": 4, \"window\": 1024}}}'\n"
      "With --grid: clattn show --q-len 1024 --kv-len 1024 --grid --tile 8,8 --problem\n"
      "'{\"mask\": {\"neighborhood\": {\"grid\": [32, 32], \"window\": [13, 13]}}}'");
  const auto options = std::make_shared<Options>();
  add_problem_option(*app, options->problem);
  add_size_options(*app, options->problem);
  const CLI::Range positive(1, std::numeric_limits<int>::max());
  app->add_option_function<std::int64_t>(
         "--block",
         [options = options.get()](const std::int64_t& size) {
           options->block = {size, size};
         },
         "queries and keys of a block (default: 128)")
      ->check(positive);
  app->add_option("--q-block", options->block.queries, "queries of a block")->check(positive);
  app->add_option("--k-block", options->block.keys, "keys of a block")->check(positive);
  auto* head = app->add_option("--head", options->slice.head, "head (default: 0)");
  app->add_option("--batch-index", options->slice.batch, "batch (default: 0)");
  auto* all = app->add_flag("--all-heads", options->all_heads, "every head")->excludes(head);
  auto* grid = app->add_flag("--grid", options->grid.wanted,
                             "a neighborhood's grid: what one tile of queries sees of it")
                   ->excludes(all);
  app->add_option("--tile", options->grid.tile, "that tile, such as 8,8 (default: of 64 tokens)")
      ->delimiter(',')
      ->needs(grid);
  app->add_option("--at", options->grid.index,
                  "its index in tiles, such as 3,4 (default: the middle one)")
      ->delimiter(',')
      ->needs(grid);
  app->add_option("--png", options->png, "draw into this file instead of the terminal");
  app->add_option("--width", options->width, "pixels of the picture's width")
      ->capture_default_str()
      ->check(CLI::Range(64, kMostPixels));
  app->add_option("--gallery", options->gallery,
                  "draw examples of every pattern into this file, or of neighborhoods with --grid");
  return {app, [options] { return show(*options); }};
}

}  // namespace clattn::tool
