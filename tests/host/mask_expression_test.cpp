// The OpenCL view of random masks, evaluated on every device as the hooks of a program, against
// `allows`. Masks are drawn from a few templates, whose numbers vary: these must reach the kernel
// as arguments, so that there are no more programs than templates, or hardly.
#include <fmt/format.h>

#include <clattn/mask.hpp>
#include <clattn/neighborhood.hpp>
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

// Many neighborhoods of one rank that write the same call as one mask: batch b has cases[b].
class Cases final : public MaskNode {
 public:
  explicit Cases(std::vector<Mask> cases) : cases_(std::move(cases)) {}

  // The call that each of them writes, with the tables one behind another.
  std::string expression(ExpressionWriter& writer) const override {
    std::vector<std::int32_t> tables, begins;
    std::string text;
    for (const Mask& mask : cases_) {
      ExpressionWriter alone;
      text = mask->expression(alone);
      begins.push_back(static_cast<std::int32_t>(tables.size()));
      tables.insert(tables.end(), alone.tables().begin(), alone.tables().end());
    }
    const std::string table = "hooks->tables + HOOK_VALUE(0)";
    text.replace(text.find(table), table.size(),
                 fmt::format("{} + {}[batch]", writer.table(tables), writer.table(begins)));
    return text;
  }
  bool allows(const Point& point, const Extent& extent) const override {
    return cases_[static_cast<std::size_t>(point.batch)]->allows(point, extent);
  }
  Coverage classify(const Slice&, const Range&, const Range&, const Extent&) const override {
    return Coverage::some;
  }
  Range reach(const Slice&, const Range&, const Extent& extent) const override {
    return {0, extent.key_len};
  }
  std::string to_json() const override { return "cases"; }

 private:
  std::vector<Mask> cases_;
};

// Gathers neighborhoods of one rank with points of theirs, and asks a device about many at once.
class CaseEvaluator {
 public:
  explicit CaseEvaluator(const Device& device) : evaluator_(device) {}

  void add(const Neighborhood& of,
           const std::vector<std::pair<std::int64_t, std::int64_t>>& pairs) {
    for (const auto& [query, key] : pairs) {
      points_.push_back({{static_cast<cl_int>(cases_.size()), 0, static_cast<cl_int>(query),
                          static_cast<cl_int>(key)}});
    }
    cases_.push_back(of);
    if (points_.size() >= kMany) flush();
  }

  double visible_share() const { return double(visible_) / double(all_); }

  void flush() {
    if (points_.empty()) return;
    std::vector<Mask> masks;
    for (const Neighborhood& of : cases_) masks.push_back(neighborhood_mask(of));
    Problem problem;
    problem.mask = std::make_shared<Cases>(masks);
    const std::size_t count = points_.size();
    points_.resize((count + kMany - 1) / kMany * kMany);  // some implementations compile for a size
    const auto visible =
        evaluator_.evaluate(problem, points_, std::vector<float>(points_.size())).visible;
    for (std::size_t i = 0; i < count; ++i) {
      const auto& [index, head, query, key] = points_[i].s;
      const Mask& mask = masks[static_cast<std::size_t>(index)];
      ASSERT_EQ(visible[i] != 0, mask->allows({0, 0, query, key}, {}))
          << mask->to_json() << ": " << query << ", " << key;
      visible_ += visible[i] != 0;
    }
    all_ += count;
    points_.clear();
    cases_.clear();
  }

 private:
  static constexpr std::size_t kMany = 1 << 16;

  test::HookEvaluator evaluator_;
  std::size_t all_ = 0, visible_ = 0;  // points so far
  std::vector<Neighborhood> cases_;
  std::vector<cl_int4> points_;
};

using Pairs = std::vector<std::pair<std::int64_t, std::int64_t>>;

// Queries with keys in sight of them, or a little out of it, and anywhere.
Pairs random_pairs(Random& random, const Neighborhood& of, int count) {
  Pairs pairs;
  const std::int64_t key_len = of.tokens() + of.extra_keys;
  while (count-- > 0) {
    const std::int64_t query = uniform(random, 0, of.tokens() - 1);
    std::int64_t key = uniform(random, 0, key_len - 1);
    if (count % 8 != 0) {
      std::int64_t stride = 1;
      std::int64_t rest = query;
      key = 0;
      for (std::size_t d = of.rank(); d-- > 0; stride *= of.grid[d], rest /= of.grid[d]) {
        const std::int64_t apart = uniform(random, -of.window[d], of.window[d]) * of.dilation[d];
        key += std::clamp<std::int64_t>(rest % of.grid[d] + apart, 0, of.grid[d] - 1) * stride;
      }
    }
    pairs.emplace_back(query, key);
  }
  return pairs;
}

// All pairs of all lines up to a length, then random grids, small ones and ones near the limit.
TEST(MaskExpression, NeighborhoodsEqualAllowsOnEveryDevice) {
  CLATTN_SKIP_WITHOUT_DEVICE();
  Random random = test::make_random();
  for (const Device& device : test::devices()) {
    SCOPED_TRACE(device.facts.name);
    CaseEvaluator evaluator(device);
    for (std::int64_t length = 2; length <= 24; ++length) {
      Pairs pairs;
      for (std::int64_t i = 0; i < length * length; ++i) pairs.emplace_back(i / length, i % length);
      for (std::int64_t window = 2; window <= length; ++window) {
        for (std::int64_t stride = 1; stride <= window; ++stride) {
          for (std::int64_t dilation = 1; window * dilation <= length; ++dilation) {
            for (bool causal : {false, true}) {
              ASSERT_NO_FATAL_FAILURE(
                  evaluator.add({{length}, {window}, {stride}, {dilation}, {causal}}, pairs));
            }
          }
        }
      }
    }
    ASSERT_NO_FATAL_FAILURE(evaluator.flush());
    for (std::size_t rank = 1; rank <= 3; ++rank) {
      for (int repeat = 0; repeat < 2000; ++repeat) {
        std::vector<std::int64_t> grid;
        // Boxes of few tokens are tabled, those of many computed: never in one mask.
        std::int64_t room = repeat < 1000 ? 1 << 11 : Problem::kMaxLength;
        if (repeat == 1000) {
          ASSERT_NO_FATAL_FAILURE(evaluator.flush());
        }
        for (std::size_t d = rank; d-- > 0;) {
          const std::int64_t longest =
              d == 0 ? room : room >> uniform(random, 1, 10 + 5 * (rank == 2));
          grid.push_back(
              uniform(random, 2, std::max<std::int64_t>(std::min(longest, room >> d), 2)));
          room /= grid.back();
        }
        Neighborhood of = test::random_neighborhood(random, grid);
        if (repeat >= 1000 && of.tokens() <= 1 << 20) continue;
        of.extra_keys =
            repeat % 3 ? 0 : std::min<std::int64_t>(7, Problem::kMaxLength - of.tokens());
        ASSERT_NO_FATAL_FAILURE(evaluator.add(of, random_pairs(random, of, 100)));
      }
      ASSERT_NO_FATAL_FAILURE(evaluator.flush());
    }
    EXPECT_GT(evaluator.visible_share(), 0.2);
    EXPECT_LT(evaluator.visible_share(), 0.8);
  }
}

}  // namespace
}  // namespace clattn
