// Keys of tuning stores: buckets at their edges, the mask's kind and density, and a problem that
// says all that matters for speed, can be read back where it is short, and is short always.
#include <clattn/patterns.hpp>
#include <cmath>
#include <set>

#include "host/tuning/store.hpp"
#include "tests/support.hpp"

namespace clattn {
namespace {

DeviceFacts made_up_facts() {
  DeviceFacts facts;
  facts.name = "made-up";
  facts.vendor = "nobody";
  facts.driver_version = "1.2.3";
  return facts;
}

Problem make_problem(std::int64_t query_len = 1000, std::int64_t key_len = 1000) {
  Problem problem;
  problem.data_type = DataType::bf16;
  problem.batch = 2;
  problem.heads = 12;
  problem.kv_heads = 4;
  problem.query_len = query_len;
  problem.key_len = key_len;
  problem.head_dim = 64;
  problem.value_dim = 72;
  return problem;
}

TuningKey key_of(const Problem& problem, const std::string& family = "cpu") {
  return tuning_key(problem, made_up_facts(), family);
}

TEST(TuningKey, HasTheProblemsAndDevicesFields) {
  const TuningKey key = key_of(make_problem());
  EXPECT_EQ(key.family, "cpu");
  EXPECT_EQ(key.vendor, "nobody");
  EXPECT_EQ(key.device, "made-up");
  EXPECT_EQ(key.driver, "1.2.3");
  EXPECT_EQ(key.data_type, "bf16");
  EXPECT_EQ(key.head_dim, 64);
  EXPECT_EQ(key.value_dim, 72);
  EXPECT_EQ(key.mask, "dense");
  EXPECT_EQ(key.group, 3);
  EXPECT_EQ(key.heads_bucket, 4);
  EXPECT_EQ(key.density_bucket, 0);
}

TEST(TuningKey, BucketsBeginAtPowersOfTwo) {
  const auto buckets = [](std::int64_t query_len, std::int64_t key_len) {
    const TuningKey key = key_of(make_problem(query_len, key_len));
    return std::pair(key.query_bucket, key.key_bucket);
  };
  EXPECT_EQ(buckets(0, 1), std::pair(std::int64_t{-1}, std::int64_t{0}));
  EXPECT_EQ(buckets(2, 3), std::pair(std::int64_t{1}, std::int64_t{1}));
  EXPECT_EQ(buckets(1023, 1024), std::pair(std::int64_t{9}, std::int64_t{10}));
  EXPECT_EQ(buckets(Problem::kMaxLength, Problem::kMaxLength - 1),
            std::pair(std::int64_t{30}, std::int64_t{29}));
  Problem none = make_problem();
  none.batch = 0;
  EXPECT_EQ(key_of(none).heads_bucket, -1);
}

TEST(TuningKey, SourcesDifferByFolderOfKernels) {
  std::set<std::string> sources;
  for (const char* family : {"cpu", "portable", "nvidia_mma"}) {
    const std::string source = key_of(make_problem(), family).source;
    EXPECT_EQ(source.size(), 16u);
    EXPECT_EQ(source, key_of(make_problem(10, 20), family).source);
    sources.insert(source);
  }
  EXPECT_EQ(sources.size(), 3u);
}

TEST(TuningKey, KnowsTheKindOfMask) {
  Problem problem = make_problem(64, 64);
  const auto kind = [&](Mask mask) {
    problem.mask = std::move(mask);
    return key_of(problem).mask;
  };
  EXPECT_EQ(kind(dense_mask()), "dense");
  EXPECT_EQ(kind(causal_mask()), "causal");
  EXPECT_EQ(kind(window_mask(3, 0)), "window");
  EXPECT_EQ(kind(all_of_mask({causal_mask(), window_mask(3, 3)})), "all_of");
  EXPECT_EQ(kind(not_mask(causal_mask())), "not");
  EXPECT_EQ(kind(mask_from_json(R"({"prefix_lm": {"prefix": 5}})")), "prefix_lm");
  EXPECT_EQ(kind(expression_mask({"query == key", {}, {}})), "opencl");
  std::vector<std::int64_t> lengths(64, 1);
  EXPECT_EQ(kind(documents_mask({lengths, lengths})), "documents");
  problem.blocks = BlockShape{32, 32, 1, 1, 2};
  EXPECT_EQ(kind(dense_mask()), "listed");
}

TEST(TuningKey, DensityIsTheShareOfVisiblePairs) {
  const auto density = [](const Problem& problem) { return key_of(problem).density_bucket; };
  const auto of = [&](const Mask& mask, std::int64_t query_len, std::int64_t key_len) {
    Problem problem = make_problem(query_len, key_len);
    problem.mask = mask;
    return density(problem);
  };
  EXPECT_EQ(of(causal_mask(), 1, 1), 0);
  EXPECT_EQ(of(causal_mask(), 1000, 1000), -1);
  EXPECT_EQ(of(causal_mask(), 1 << 20, 1 << 20), -1);
  EXPECT_EQ(of(causal_mask(), 10, 1000), -1);                // but for the last few, all
  EXPECT_EQ(of(window_mask(62, 0), 1 << 16, 1 << 16), -11);  // 63 keys of 65536
  EXPECT_EQ(of(window_mask(64, 0), 1 << 16, 1 << 16), -10);
  EXPECT_EQ(of(sink_mask(1), 1, 1024), -10);
  EXPECT_EQ(of(not_mask(dense_mask()), 100, 100), -64);
  EXPECT_EQ(of(dense_mask(), 0, 100), 0);
  EXPECT_EQ(of(dense_mask(), 100, 0), 0);
  // A neighborhood in pieces too many to walk: 27 of 32768.
  EXPECT_EQ(of(neighborhood_mask({{32, 32, 32}, {3, 3, 3}}), 1 << 15, 1 << 15), -11);
  // Half of the heads see all, the other half next to nothing.
  std::vector<Mask> heads(12, dense_mask());
  for (std::size_t i = 0; i < heads.size(); i += 2) heads[i] = window_mask(0, 0);
  EXPECT_EQ(of(per_head_mask(heads), 4096, 4096), -1);
}

// Short problems have every row in the sample, so that the estimate is the exact share.
TEST(TuningKey, DensityIsExactWhereAllRowsAreLookedAt) {
  test::Random random = test::make_random();
  for (int i = 0; i < 200; ++i) {
    Problem problem = make_problem(test::uniform(random, 1, 32), test::uniform(random, 1, 32));
    problem.batch = 1;
    problem.heads = problem.kv_heads = 2;
    problem.mask = test::MaskMaker(random, random, 1, 2).any(problem.extent(), 2);
    double visible = 0;
    for (std::int64_t head = 0; head < 2; ++head) {
      for (std::int64_t query = 0; query < problem.query_len; ++query) {
        for (std::int64_t key = 0; key < problem.key_len; ++key) {
          visible += problem.mask->allows({0, head, query, key}, problem.extent());
        }
      }
    }
    const double share = visible / double(2 * problem.query_len * problem.key_len);
    const TuningKey key = key_of(problem);
    // A sum of shares may round to the other side of a power of two.
    const auto bucket = [](double value) { return value > 0 ? std::ilogb(value) : -64; };
    EXPECT_GE(key.density_bucket, bucket(share * (1 - 1e-12))) << problem_to_json(problem);
    EXPECT_LE(key.density_bucket, bucket(share * (1 + 1e-12))) << problem_to_json(problem);
    EXPECT_LT(key.problem.size(), 1500u);
  }
}

TEST(TuningKey, TheProblemCanBeReadBack) {
  Problem problem = make_problem();
  problem.mask = all_of_mask({causal_mask(), random_blocks_mask(64, 64, 3, 12345)});
  problem.scores = {softcap_score(30)};
  problem.sink_logits.assign(12, 1.5f);
  problem.scale = 0.5f;
  problem.lse = true;
  problem.layout = Layout::blhd;
  problem.query_strides = Strides{1 << 20, 1 << 10, 64};
  const TuningKey key = key_of(problem);
  const Problem again = problem_from_json(key.problem);
  EXPECT_EQ(key_of(again), key);
  EXPECT_FALSE(again.scale);
  EXPECT_EQ(again.sink_logits, std::vector<float>(12, 0.0f));
  EXPECT_EQ(again.query_strides, problem.query_strides);
  EXPECT_NE(key.problem.find(R"("seed":0)"), std::string::npos) << key.problem;
}

TEST(TuningKey, WhatDoesNotMatterForSpeedIsLeftOut) {
  Problem problem = make_problem();
  problem.mask = random_blocks_mask(64, 64, 3, 1);
  problem.sink_logits.assign(12, 1.5f);
  const TuningKey key = key_of(problem);
  Problem other = problem;
  other.mask = random_blocks_mask(64, 64, 3, 2);
  other.scale = 0.25f;
  other.sink_logits.assign(12, -2.0f);
  EXPECT_EQ(key_of(other), key);
  other.mask = random_blocks_mask(64, 64, 4, 1);
  EXPECT_NE(key_of(other).problem, key.problem);
  for (const auto& change : std::vector<std::function<void(Problem&)>>{
           [](Problem& p) { p.lse = true; }, [](Problem& p) { p.layout = Layout::blhd; },
           [](Problem& p) { p.scores = {softcap_score(3)}; },
           [](Problem& p) { p.sink_logits.clear(); }, [](Problem& p) { p.query_len = 999; }}) {
    other = problem;
    change(other);
    EXPECT_NE(key_of(other).problem, key.problem) << key_of(other).problem;
  }
}

TEST(TuningKey, KeysOfObjectsCountInAnyOrder) {
  Problem problem = make_problem(), other = problem;
  problem.mask = mask_from_json(R"({"streaming_llm": {"sinks": 4, "window": 100}})");
  other.mask = mask_from_json(R"({"streaming_llm": {"window": 100, "sinks": 4}})");
  EXPECT_EQ(key_of(problem), key_of(other));
}

// As an application's log is tuned by the tool: what was planned must be found under what was
// tuned.
TEST(TuningKey, IsThatOfTheSameProblemFromItsJson) {
  test::Random random = test::make_random();
  for (int i = 0; i < 300; ++i) {
    Problem problem = make_problem(test::uniform(random, 1, 300), test::uniform(random, 1, 300));
    problem.heads = problem.kv_heads = 2;
    problem.mask = test::MaskMaker(random, random, 2, 2).any(problem.extent(), 2);
    if (i % 3 == 0) problem.scores = {alibi_score({0.1f, 1e-5f}), softcap_score(1.0f / 3)};
    const std::string text = problem_to_json(problem);
    EXPECT_EQ(key_of(problem_from_json(text)), key_of(problem)) << text;
  }
}

TEST(TuningKey, LongPartsAreHashed) {
  Problem problem = make_problem();
  const auto documents = [](std::int64_t first) {
    std::vector<std::int64_t> lengths(500, 2);
    lengths[0] = first;
    lengths[1] = 4 - first;
    return documents_mask({lengths, lengths});
  };
  problem.mask = documents(1);
  const TuningKey key = key_of(problem);
  EXPECT_LT(key.problem.size(), 400u);
  EXPECT_EQ(key.mask, "documents");
  problem.mask = documents(2);
  EXPECT_NE(key_of(problem).problem, key.problem);
  problem.mask = documents(1);
  EXPECT_EQ(key_of(problem), key);
  test::expect_error(ErrorCategory::invalid_argument, {"hash"},
                     [&] { problem_from_json(key.problem); });

  // So are large tables.
  const auto blocks = [](std::size_t hidden) {
    std::vector<std::uint8_t> kept(512 * 512, 1);
    kept[hidden] = 0;
    return blocks_mask(BlockShape{2, 2}, 512, 512, std::move(kept));
  };
  Problem sparse = make_problem(1024, 1024);
  sparse.mask = blocks(7);
  const TuningKey sparse_key = key_of(sparse);
  EXPECT_EQ(sparse_key.mask, "blocks");
  EXPECT_LT(sparse_key.problem.size(), 400u);
  sparse.mask = blocks(8);
  EXPECT_NE(key_of(sparse).problem, sparse_key.problem);
  sparse.mask = blocks(7);
  EXPECT_EQ(key_of(sparse), sparse_key);

  // The values of a large bias are none of it, its shape is.
  const auto bias = [](std::int64_t heads, float value) {
    const std::vector<float> values(static_cast<std::size_t>(heads * 100 * 100), value);
    const auto bytes = std::as_bytes(std::span(values));
    return bias_score(
        std::make_shared<const Buffer>(
            Buffer{"bias", ElementType::f32, std::ssize(values), {bytes.begin(), bytes.end()}}),
        {1, heads, 100, 100});
  };
  Problem biased = make_problem(100, 100);
  biased.scores = {bias(1, 1)};
  const TuningKey biased_key = key_of(biased);
  EXPECT_LT(biased_key.problem.size(), 400u);
  biased.scores = {bias(1, 2)};
  EXPECT_EQ(key_of(biased), biased_key);
  biased.scores = {bias(12, 1)};
  EXPECT_NE(key_of(biased).problem, biased_key.problem);
}

TEST(TuningKey, WhatIsBoundAtLaunchCountsAsVisible) {
  const auto kept = std::make_shared<const Buffer>(Buffer{"kept", ElementType::u8, 100, {}});
  Problem problem = make_problem(100, 100);
  problem.mask = expression_mask({"kept[key] != 0", {kept}, {}});
  EXPECT_EQ(key_of(problem).density_bucket, 0);
}

}  // namespace
}  // namespace clattn
