// The README's picture of the masks: one example of every pattern, as its JSON says.
#pragma once

#include <string>

namespace clattn::tool {

// Throws Error (invalid_argument) if the file can't be written.
void draw_gallery(const std::string& path);

}  // namespace clattn::tool
