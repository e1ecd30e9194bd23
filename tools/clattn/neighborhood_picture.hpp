// One tile of queries on the grid of a neighborhood, and what it sees: each token is one of the
// tile's queries, a key that all of them see, one that some of them see, one that is hidden in a
// visited tile of keys, or none of these. Grids are drawn as slices of rows of columns, those of
// less than three dimensions with one slice, or one slice of one row. Where there are more tokens
// than room, a cell is a square of several.
#pragma once

#include <array>
#include <clattn/neighborhood.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "canvas.hpp"

namespace clattn::tool {

// A tile of queries, in tiles of one dilation group: the first of each dimension. Tiles of keys are
// of the same shape.
struct GridTile {
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> index;
};

// 64 tokens, as far as the grid has them, in the middle of it.
GridTile middle_tile(const Neighborhood& neighborhood);
// The same of another shape.
GridTile middle_tile(const Neighborhood& neighborhood, std::vector<std::int64_t> shape);

enum class TokenKind { query, seen_by_all, seen_by_some, hidden, not_visited };
constexpr std::size_t kTokenKinds = 5;

struct WindowMap {
  std::int64_t first_slice = 0;
  std::int64_t slices = 0;
  std::int64_t rows = 0;             // of cells, in a slice
  std::int64_t columns = 0;          // of cells
  std::int64_t tokens_per_cell = 1;  // along rows and columns; those at the far ends may have fewer
  std::vector<std::array<std::int64_t, kTokenKinds>> cells;  // tokens, [slices, rows, columns]
  std::array<std::int64_t, kTokenKinds> total = {};          // tokens; queries also see each other

  const std::array<std::int64_t, kTokenKinds>& cell(std::int64_t slice, std::int64_t row,
                                                    std::int64_t column) const {
    return cells[static_cast<std::size_t>((slice * rows + row) * columns + column)];
  }
};

// The slices that hold something of the tile or of the tiles of keys that it visits. Like
// make_window_map it throws Error (invalid_argument) for a tile that is not of the grid's
// dimensions or not within it, with the value and the limit.
Range slices_of(const Neighborhood& neighborhood, const GridTile& tile);

// Of these slices, with at most `most_cells` cells along rows and columns.
WindowMap make_window_map(const Neighborhood& neighborhood, const GridTile& tile,
                          std::int64_t most_cells);

// Two characters a cell; as many slices side by side as `width` characters have room for.
std::string text_picture(const WindowMap& map, std::int64_t width);
std::string text_legend(const WindowMap& map);

// One slice in a square of `side` pixels, whose top left corner is given.
void draw_picture(Canvas& canvas, int x, int y, int side, const WindowMap& map, std::int64_t slice);
// The width and height in pixels that draw_picture takes of the square.
std::pair<int, int> picture_size(int side, const WindowMap& map);
// Lines of text height.
constexpr int kWindowLegendLines = 2;
void draw_window_legend(Canvas& canvas, int x, int y, int scale);

// "tile 3, 4 of 8x8 queries; keys: 36 seen by all, 364 by some, 176 hidden in visited tiles", and
// what all tiles of the grid come to.
std::string statistics(const WindowMap& map, const Neighborhood& neighborhood,
                       const GridTile& tile);

}  // namespace clattn::tool
