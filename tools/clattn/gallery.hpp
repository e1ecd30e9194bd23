// The README's pictures of the masks: one example of every pattern, as its JSON says, and
// neighborhoods on their grids.
#pragma once

#include <string>

namespace clattn::tool {

// Both throw Error (invalid_argument) if the file can't be written.
void draw_gallery(const std::string& path);
void draw_grid_gallery(const std::string& path);

}  // namespace clattn::tool
