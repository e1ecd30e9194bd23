// clattn show --grid: one tile of a neighborhood and what it sees, on the grid.
#pragma once

#include <clattn/neighborhood.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace clattn::tool {

struct GridOptions {
  bool wanted = false;
  std::vector<std::int64_t> tile;   // empty: 64 tokens
  std::vector<std::int64_t> index;  // of the tile; empty: the middle one
  std::string png;                  // empty: the terminal
  int width = 800;                  // characters or pixels
};

// Throws Error (invalid_argument) for a tile that is not within the grid.
void show_grid(const Neighborhood& neighborhood, const GridOptions& options);

}  // namespace clattn::tool
