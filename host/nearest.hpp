// The word that somebody who misspelt one probably meant.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace clattn {

// The one of `known`, which must not be empty, at the smallest edit distance from `word`.
const std::string& nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace clattn
