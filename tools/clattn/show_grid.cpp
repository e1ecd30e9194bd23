#include "show_grid.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "block_picture.hpp"
#include "neighborhood_picture.hpp"
#include "problem_input.hpp"

namespace clattn::tool {
namespace {

constexpr int kMargin = 16;  // pixels around pictures
constexpr int kScale = 2;    // of the font

GridTile tile_of(const Neighborhood& neighborhood, const GridOptions& options) {
  GridTile tile =
      options.tile.empty() ? middle_tile(neighborhood) : middle_tile(neighborhood, options.tile);
  if (!options.index.empty()) tile.index = options.index;
  return tile;
}

std::string title(const Neighborhood& neighborhood) {
  return describe(*neighborhood_mask(neighborhood));
}

void print_text(const Neighborhood& neighborhood, const GridTile& tile, int width) {
  const WindowMap map = make_window_map(neighborhood, tile, std::max(width / 2, 1));
  fmt::print("{}\n{}{}\n{}\n", title(neighborhood), text_picture(map, width),
             statistics(map, neighborhood, tile), text_legend(map));
}

// The slices in rows that make about a square, and the words below.
void draw_png(const Neighborhood& neighborhood, const GridTile& tile, const GridOptions& options) {
  const int room = options.width - kMargin;
  const auto slices = static_cast<int>(slices_of(neighborhood, tile).size());
  const int columns = static_cast<int>(std::ceil(std::sqrt(slices)));
  const int rows = (slices + columns - 1) / columns;
  const int side = std::max(room / columns - kMargin, 1);
  const WindowMap map = make_window_map(neighborhood, tile, side);
  const std::string words = statistics(map, neighborhood, tile);
  fmt::print("{}\n{}\n", title(neighborhood), words);

  const auto lines =
      wrapped(title(neighborhood) + "; " + words, options.width - 2 * kMargin, kScale);
  const int label_height = slices > 1 ? line_height(kScale) : 0;
  const int row_height = picture_size(side, map).second + label_height + kMargin;
  const int text_height =
      (static_cast<int>(lines.size()) + kWindowLegendLines) * line_height(kScale);
  Canvas canvas(options.width, kMargin + rows * row_height + text_height + kMargin, kPaper);
  for (int slice = 0; slice < slices; ++slice) {
    const int x = kMargin + slice % columns * (side + kMargin);
    const int y = kMargin + slice / columns * row_height;
    if (slices > 1) {
      canvas.text(x, y, kScale, fmt::format("slice {}", map.first_slice + slice), kInk);
    }
    draw_picture(canvas, x, y + label_height, side, map, slice);
  }
  const int y = canvas.text_lines(kMargin, kMargin + rows * row_height, kScale, lines, kInk);
  draw_window_legend(canvas, kMargin, y, kScale);
  canvas.save_png(options.png);
}

}  // namespace

void show_grid(const Neighborhood& neighborhood, const GridOptions& options) {
  const GridTile tile = tile_of(neighborhood, options);
  if (options.png.empty()) {
    print_text(neighborhood, tile, options.width);
  } else {
    draw_png(neighborhood, tile, options);
  }
}

}  // namespace clattn::tool
