// The kernel files as they were at build time.
#pragma once

#include <string_view>
#include <vector>

namespace clattn {

struct EmbeddedSource {
  std::string_view name;  // path below kernels_cl
  std::string_view text;
};

const std::vector<EmbeddedSource>& embedded_sources();

}  // namespace clattn
