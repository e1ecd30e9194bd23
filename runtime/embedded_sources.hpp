// Files of this project as they were at build time.
#pragma once

#include <string_view>
#include <vector>

namespace clattn {

struct EmbeddedSource {
  std::string_view name;  // path below its folder
  std::string_view text;
};

const std::vector<EmbeddedSource>& embedded_sources();  // of kernels_cl
const std::vector<EmbeddedSource>& embedded_stores();   // of host/tuning

}  // namespace clattn
