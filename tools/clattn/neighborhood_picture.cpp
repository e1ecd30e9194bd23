#include "neighborhood_picture.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "block_picture.hpp"
#include "fail.hpp"

namespace clattn::tool {
namespace {

constexpr std::size_t kDimensions = 3;
constexpr std::array<Color, kTokenKinds> kTones = {
    {kInk, kFull, kPartial, {201, 208, 217}, kEmpty}};
constexpr std::array<const char*, kTokenKinds> kGlyphs = {"Q", "█", "▒", "░", "·"};
constexpr std::array<const char*, kTokenKinds> kNames = {
    "queries", "seen by all of them", "seen by some", "hidden in a visited tile", "not visited"};
constexpr int kLeastHeight = 24;  // pixels of a single row

constexpr std::int64_t divide_up(std::int64_t length, std::int64_t size) {
  return length / size + (length % size != 0);
}

// One dimension of the tile's dilation group, in coordinates of the group.
struct Axis {
  std::int64_t tokens = 1;  // of the grid
  std::int64_t dilation = 1;
  Range queries = {0, 1};
  Range seen_by_all = {0, 1};
  Range seen_by_some = {0, 1};
  Range visited = {0, 1};
};
using Axes = std::array<Axis, kDimensions>;

std::int64_t group_length(const Neighborhood& neighborhood, std::size_t dimension) {
  return neighborhood_axis(neighborhood, dimension, 0).length;
}

Axis make_axis(const Neighborhood& neighborhood, std::size_t dimension, std::int64_t tile,
               std::int64_t index) {
  const NeighborhoodAxis axis = neighborhood_axis(neighborhood, dimension, 0);
  if (tile < 1 || tile > axis.length) {
    fail("the tile is {} in dimension {}, not within 1 to {}", tile, dimension, axis.length);
  }
  const std::int64_t tiles = divide_up(axis.length, tile);
  if (index < 0 || index >= tiles) {
    fail("the tile's index is {} in dimension {}, not within 0 to {}", index, dimension, tiles - 1);
  }
  Axis result;
  result.tokens = neighborhood.grid[dimension];
  result.dilation = neighborhood.dilation[dimension];
  result.queries = {index * tile, std::min((index + 1) * tile, axis.length)};
  const Range first = axis.keys_of(result.queries.begin);
  const Range last = axis.keys_of(result.queries.end - 1);
  result.seen_by_all = {last.begin, first.end};
  result.seen_by_some = {first.begin, last.end};
  result.visited = {first.begin / tile * tile,
                    std::min(divide_up(last.end, tile) * tile, axis.length)};
  return result;
}

// The last dimensions are the grid's.
Axes make_axes(const Neighborhood& neighborhood, const GridTile& tile) {
  const std::size_t rank = neighborhood.rank();
  for (const auto& [name, numbers] :
       {std::pair("tile", &tile.shape), std::pair("tile's index", &tile.index)}) {
    if (numbers->size() != rank) {
      fail("the {} has {} dimensions, but the grid has {}", name, numbers->size(), rank);
    }
  }
  Axes axes;
  for (std::size_t i = 0; i < rank; ++i) {
    axes[kDimensions - rank + i] = make_axis(neighborhood, i, tile.shape[i], tile.index[i]);
  }
  return axes;
}

Range touched(const Axis& axis) {
  const std::int64_t first = std::min(axis.queries.begin, axis.visited.begin);
  const std::int64_t last = std::max(axis.queries.end, axis.visited.end) - 1;
  return {first * axis.dilation, last * axis.dilation + 1};
}

// A token is of the first kind that it is of in every dimension.
TokenKind kind_of(const Axes& axes, const std::array<std::int64_t, kDimensions>& token) {
  const auto within = [&](Range Axis::*range) {
    for (std::size_t i = 0; i < kDimensions; ++i) {
      const std::int64_t coordinate = token[i] / axes[i].dilation;
      if (token[i] % axes[i].dilation != 0 || coordinate < (axes[i].*range).begin ||
          coordinate >= (axes[i].*range).end) {
        return false;
      }
    }
    return true;
  };
  if (within(&Axis::queries)) return TokenKind::query;
  if (within(&Axis::seen_by_all)) return TokenKind::seen_by_all;
  if (within(&Axis::seen_by_some)) return TokenKind::seen_by_some;
  return within(&Axis::visited) ? TokenKind::hidden : TokenKind::not_visited;
}

std::int64_t tokens_of(const std::array<std::int64_t, kTokenKinds>& cell) {
  std::int64_t sum = 0;
  for (const std::int64_t tokens : cell) sum += tokens;
  return sum;
}

Color tone(const std::array<std::int64_t, kTokenKinds>& cell) {
  const auto mix = [&](std::uint8_t Color::*channel) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < kTokenKinds; ++i) sum += cell[i] * kTones[i].*channel;
    return static_cast<std::uint8_t>((sum + tokens_of(cell) / 2) / tokens_of(cell));
  };
  return {mix(&Color::red), mix(&Color::green), mix(&Color::blue)};
}

// Of the kind that most of its tokens are of.
const char* glyph(const std::array<std::int64_t, kTokenKinds>& cell) {
  return kGlyphs[static_cast<std::size_t>(std::ranges::max_element(cell) - cell.begin())];
}

int cell_size(int side, const WindowMap& map) {
  return std::max(1, side / static_cast<int>(std::max(map.rows, map.columns)));
}

}  // namespace

GridTile middle_tile(const Neighborhood& neighborhood) {
  constexpr std::array<std::int64_t, kDimensions> kExtents = {64, 8, 4};  // of each rank's tile
  const Neighborhood full = checked(neighborhood);
  std::vector<std::int64_t> shape;
  for (std::size_t i = 0; i < full.rank(); ++i) {
    shape.push_back(std::min(kExtents[full.rank() - 1], group_length(full, i)));
  }
  return middle_tile(full, std::move(shape));
}

GridTile middle_tile(const Neighborhood& neighborhood, std::vector<std::int64_t> shape) {
  const Neighborhood full = checked(neighborhood);
  GridTile tile{std::move(shape), {}};
  for (std::size_t i = 0; i < std::min(full.rank(), tile.shape.size()); ++i) {
    const std::int64_t extent = std::max<std::int64_t>(tile.shape[i], 1);
    tile.index.push_back(divide_up(group_length(full, i), extent) / 2);
  }
  return tile;
}

Range slices_of(const Neighborhood& neighborhood, const GridTile& tile) {
  return touched(make_axes(checked(neighborhood), tile)[0]);
}

WindowMap make_window_map(const Neighborhood& neighborhood, const GridTile& tile,
                          std::int64_t most_cells) {
  const Axes axes = make_axes(checked(neighborhood), tile);
  const Range slices = touched(axes[0]);
  WindowMap map;
  map.first_slice = slices.begin;
  map.slices = slices.size();
  map.tokens_per_cell =
      std::max(divide_up(axes[1].tokens, most_cells), divide_up(axes[2].tokens, most_cells));
  map.rows = divide_up(axes[1].tokens, map.tokens_per_cell);
  map.columns = divide_up(axes[2].tokens, map.tokens_per_cell);
  map.cells.resize(static_cast<std::size_t>(map.slices * map.rows * map.columns));
  for (std::int64_t slice = 0; slice < map.slices; ++slice) {
    for (std::int64_t row = 0; row < axes[1].tokens; ++row) {
      for (std::int64_t column = 0; column < axes[2].tokens; ++column) {
        const std::int64_t cell = (slice * map.rows + row / map.tokens_per_cell) * map.columns +
                                  column / map.tokens_per_cell;
        const auto kind =
            static_cast<std::size_t>(kind_of(axes, {map.first_slice + slice, row, column}));
        ++map.cells[static_cast<std::size_t>(cell)][kind];
        ++map.total[kind];
      }
    }
  }
  return map;
}

std::string text_picture(const WindowMap& map, std::int64_t width) {
  constexpr std::int64_t kGap = 2;
  const std::int64_t side_by_side =
      std::clamp<std::int64_t>((width + kGap) / (2 * map.columns + kGap), 1, map.slices);
  std::string text;
  for (std::int64_t first = 0; first < map.slices; first += side_by_side) {
    const std::int64_t end = std::min(first + side_by_side, map.slices);
    const auto add_line = [&](auto&& add_part) {
      for (std::int64_t slice = first; slice < end; ++slice) {
        add_part(slice);
        text += slice + 1 < end ? std::string(kGap, ' ') : "\n";
      }
    };
    if (map.slices > 1) {
      add_line([&](std::int64_t slice) {
        const std::string label = fmt::format("{}", map.first_slice + slice);
        text += slice + 1 < end ? fmt::format("{:<{}}", label, 2 * map.columns) : label;
      });
    }
    for (std::int64_t row = 0; row < map.rows; ++row) {
      add_line([&](std::int64_t slice) {
        for (std::int64_t column = 0; column < map.columns; ++column) {
          for (int i = 0; i < 2; ++i) text += glyph(map.cell(slice, row, column));
        }
      });
    }
  }
  return text;
}

std::string text_legend(const WindowMap& map) {
  std::string text;
  for (std::size_t i = 0; i < kTokenKinds; ++i) {
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", kGlyphs[i], kNames[i]);
  }
  if (map.tokens_per_cell > 1) {
    text += map.rows > 1
                ? fmt::format("; each cell is {0} x {0} tokens, mostly of its kind",
                              map.tokens_per_cell)
                : fmt::format("; each cell is {} tokens, mostly of its kind", map.tokens_per_cell);
  }
  return text;
}

void draw_picture(Canvas& canvas, int x, int y, int side, const WindowMap& map,
                  std::int64_t slice) {
  const int size = cell_size(side, map);
  const int gap = size < kLinesFrom ? 0 : 1;
  const int height = map.rows == 1 ? std::max(size, kLeastHeight) : size;
  for (int row = 0; row < map.rows; ++row) {
    for (int column = 0; column < map.columns; ++column) {
      canvas.fill(x + column * size, y + row * size, size - gap, height - gap,
                  tone(map.cell(slice, row, column)));
    }
  }
}

std::pair<int, int> picture_size(int side, const WindowMap& map) {
  const int size = cell_size(side, map);
  const int height = static_cast<int>(map.rows) * size;
  return {static_cast<int>(map.columns) * size,
          map.rows == 1 ? std::max(height, kLeastHeight) : height};
}

void draw_window_legend(Canvas& canvas, int x, int y, int scale) {
  constexpr std::size_t kPerLine = divide_up(kTokenKinds, kWindowLegendLines);
  const int square = 8 * scale, gap = 6 * scale;
  int left = x;
  for (std::size_t i = 0; i < kTokenKinds; ++i) {
    if (i % kPerLine == 0) left = x;
    const int top = y + static_cast<int>(i / kPerLine) * line_height(scale);
    canvas.fill(left, top, square, square, kTones[i]);
    canvas.text(left + square + gap, top, scale, kNames[i], kInk);
    left += square + text_width(kNames[i], scale) + 4 * gap;
  }
}

std::string statistics(const WindowMap& map, const Neighborhood& neighborhood,
                       const GridTile& tile) {
  const auto count = [&](TokenKind kind) { return map.total[static_cast<std::size_t>(kind)]; };
  const TileStatistics all = simulate_tiles(neighborhood, tile.shape, tile.shape);
  return fmt::format(
      "tile {} of {} queries; other keys: {} seen by all, {} by some, {} hidden in visited tiles. "
      "Of the whole grid: tile bound {:.2f}x, FLOP bound {:.2f}x, {:.1f}% of the visited tiles are "
      "masked",
      fmt::join(tile.index, ", "), fmt::join(tile.shape, "x"), count(TokenKind::seen_by_all),
      count(TokenKind::seen_by_some), count(TokenKind::hidden), all.tile_bound, all.flop_bound,
      100 * all.tiles_masked / all.tiles_visited);
}

}  // namespace clattn::tool
