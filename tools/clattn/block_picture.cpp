#include "block_picture.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace clattn::tool {
namespace {

// What part of a cell's blocks is in the count.
double share(std::int64_t count, const BlockCounts& cell) {
  return static_cast<double>(count) / static_cast<double>(cell.all);
}

Color tone(const BlockCounts& cell) {
  const double full = share(cell.full, cell), partial = share(cell.partial, cell);
  const auto mix = [&](std::uint8_t Color::*channel) {
    return static_cast<std::uint8_t>(full * kFull.*channel + partial * kPartial.*channel +
                                     (1 - full - partial) * kEmpty.*channel + 0.5);
  };
  return {mix(&Color::red), mix(&Color::green), mix(&Color::blue)};
}

// A block that is partial counts half.
const char* glyph(const BlockCounts& cell) {
  if (cell.full == cell.all) return "█";
  if (cell.full + cell.partial == 0) return "·";
  const double weight = share(cell.full, cell) + share(cell.partial, cell) / 2;
  return weight < 1.0 / 3 ? "░" : weight < 2.0 / 3 ? "▒" : "▓";
}

int cell_size(int side, const BlockMap& map) {
  return std::max(1, side / static_cast<int>(std::max(map.rows, map.columns)));
}

}  // namespace

std::string text_picture(const BlockMap& map) {
  std::string text;
  for (std::int64_t row = 0; row < map.rows; ++row) {
    for (std::int64_t column = 0; column < map.columns; ++column) {
      const char* const character = glyph(map.cell(row, column));
      text += character;
      text += character;
    }
    text += '\n';
  }
  return text;
}

std::string text_legend(const BlockMap& map) {
  if (map.blocks_per_cell == 1) return "█ full, ▒ partial, · empty";
  return fmt::format("each cell is {0} x {0} blocks: █ all full, ▓▒░ some, · all empty",
                     map.blocks_per_cell);
}

void draw_picture(Canvas& canvas, int x, int y, int side, const BlockMap& map) {
  const int size = cell_size(side, map);
  const int filled = size < kLinesFrom ? size : size - 1;
  for (int row = 0; row < map.rows; ++row) {
    for (int column = 0; column < map.columns; ++column) {
      canvas.fill(x + column * size, y + row * size, filled, filled, tone(map.cell(row, column)));
    }
  }
}

std::pair<int, int> picture_size(int side, const BlockMap& map) {
  const int size = cell_size(side, map);
  return {static_cast<int>(map.columns) * size, static_cast<int>(map.rows) * size};
}

void draw_legend(Canvas& canvas, int x, int y, int scale) {
  const int square = 8 * scale, gap = 6 * scale;
  for (const auto& [name, color] :
       {std::pair("full", kFull), std::pair("partial", kPartial), std::pair("empty", kEmpty)}) {
    canvas.fill(x, y, square, square, color);
    canvas.text(x + square + gap, y, scale, name, kInk);
    x += square + text_width(name, scale) + 4 * gap;
  }
}

double density(const BlockMap& map) {
  return 100 * static_cast<double>(map.visible_pairs) / static_cast<double>(map.pairs);
}

std::string statistics(const BlockMap& map) {
  const auto& [full, partial, all] = map.total;
  return fmt::format(
      "density {:.4g}% ({} of {} pairs); of {} blocks {} are full, {} partial, {} empty{}",
      density(map), map.visible_pairs, map.pairs, all, full, partial, all - full - partial,
      map.exact ? "" : " (in part by samples)");
}

}  // namespace clattn::tool
