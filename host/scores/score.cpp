#include <clattn/score.hpp>

namespace clattn {

void ScoreNode::validate(const Extent&, std::int64_t, std::int64_t) const {}

}  // namespace clattn
