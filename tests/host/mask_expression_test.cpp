// The OpenCL view of random masks, evaluated on every device as the hooks of a program, against
// `allows`. Masks are drawn from a few templates, whose numbers vary: these must reach the kernel
// as arguments, so that there are no more programs than templates, or hardly.
#include <clattn/mask.hpp>
#include <clattn/problem.hpp>

#include "tests/host/hooks_support.hpp"

namespace clattn {
namespace {

using test::Random;
using test::uniform;

constexpr std::size_t kPoints = 3000;  // of each launch: some implementations compile for a size

// Anywhere, near the diagonal, and near the seams.
std::vector<cl_int4> random_points(Random& random, const Problem& problem) {
  std::vector<cl_int4> points;
  const auto below = [&](std::int64_t end) { return uniform(random, 0, end - 1); };
  const auto near = [&](std::int64_t token, std::int64_t length) {
    return std::clamp<std::int64_t>(token + below(7) - 3, 0, length - 1);
  };
  const std::vector<std::int64_t> seams = problem.mask->seams({0, 0}, problem.extent());
  while (points.size() < kPoints) {
    const std::int64_t batch = below(problem.batch), head = below(problem.heads);
    std::int64_t query = below(problem.query_len), key = below(problem.key_len);
    if (points.size() % 3 == 0 && !seams.empty()) {
      query = near(seams[static_cast<std::size_t>(below(std::ssize(seams)))], problem.query_len);
    }
    if (points.size() % 2 == 0) {
      key = near(query + problem.key_len - problem.query_len, problem.key_len);
    }
    points.push_back({{static_cast<cl_int>(batch), static_cast<cl_int>(head),
                       static_cast<cl_int>(query), static_cast<cl_int>(key)}});
  }
  return points;
}

TEST(MaskExpression, EqualsAllowsOnEveryDevice) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  constexpr std::size_t kTemplates = 64;
  constexpr int kRepeats = 16;
  Random random = test::make_random();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.facts.name);
    test::HookEvaluator evaluator(device);
    std::int64_t visible_points = 0;
    for (std::size_t i = 0; i < kTemplates; ++i) {
      const std::uint64_t shape_seed = random();
      for (int repeat = 0; repeat < kRepeats; ++repeat) {
        const auto length = [&] {
          return repeat % 4 == 0 ? uniform(random, (1 << 30) - 3, 1 << 30) : uniform(random, 1, 40);
        };
        Problem problem;
        problem.batch = 2;
        problem.heads = 3;
        problem.query_len = length();
        problem.key_len = length();
        Random shape(shape_seed);
        problem.mask = test::MaskMaker(shape, random, problem.batch, problem.heads)
                           .any(problem.extent(), static_cast<int>(i % 4));
        SCOPED_TRACE(problem.mask->to_json() + " over " + std::to_string(problem.query_len) +
                     " x " + std::to_string(problem.key_len));
        problem.mask->validate(problem.extent(), problem.batch, problem.heads);
        const std::vector<cl_int4> points = random_points(random, problem);
        const std::vector<cl_int> visible =
            evaluator.evaluate(problem, points, std::vector<float>(points.size())).visible;
        for (std::size_t j = 0; j < points.size(); ++j) {
          const auto& [batch, head, query, key] = points[j].s;
          ASSERT_EQ(visible[j] != 0,
                    problem.mask->allows({batch, head, query, key}, problem.extent()))
              << batch << ", " << head << ", " << query << ", " << key;
          visible_points += visible[j] != 0;
        }
      }
    }
    EXPECT_GT(visible_points, std::int64_t{kTemplates * kRepeats * kPoints / 4});
    EXPECT_LE(evaluator.programs(), kTemplates) << "numbers belong into the arguments";
  }
}

}  // namespace
}  // namespace clattn
