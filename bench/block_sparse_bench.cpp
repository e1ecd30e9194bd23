// What sparse patterns are held to on a CPU device, each line a ratio taken in this one run: random
// blocks against dense attention, a user's expression against the built-in mask, packed documents
// against batches, skewed rows against even ones, and building lists against the attention behind
// them. Runs that are compared alternate, and the median of their ratios counts.
#include <clattn/block_builder.hpp>
#include <functional>
#include <numeric>
#include <random>

#include "bench_case.hpp"

namespace clattn::tool {
namespace {

constexpr std::int64_t kBlock = 128;
constexpr std::int64_t kLength = 8192;
constexpr std::int64_t kBlocks = kLength / kBlock;
constexpr std::int64_t kHeads = 4;

// 128-blocks of kLength tokens: counts[i] random ones in row i.
Mask random_blocks(const std::vector<std::int64_t>& counts) {
  std::mt19937_64 random(kSeed);
  std::vector<std::uint8_t> kept(static_cast<std::size_t>(kBlocks * kBlocks));
  std::vector<std::int64_t> order(static_cast<std::size_t>(kBlocks));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t row = 0; row < counts.size(); ++row) {
    std::shuffle(order.begin(), order.end(), random);
    for (std::int64_t i = 0; i < counts[row]; ++i) {
      kept[row * static_cast<std::size_t>(kBlocks) + static_cast<std::size_t>(order[i])] = 1;
    }
  }
  return blocks_mask({kBlock, kBlock}, kBlocks, kBlocks, kept);
}

void bench_density(const Launcher& launcher) {
  const Case dense(launcher, square_problem(kHeads, kLength, dense_mask()));
  for (const double density : {0.5, 0.25, 0.1, 0.05}) {
    // Whole blocks: rows differ by one where the density asks for a fraction.
    std::vector<std::int64_t> counts;
    for (std::int64_t row = 0; row < kBlocks; ++row) {
      const auto upto = [&](std::int64_t rows) {
        return static_cast<std::int64_t>(density * double(kBlocks * rows) + 0.5);
      };
      counts.push_back(upto(row + 1) - upto(row));
    }
    const Case sparse(launcher, square_problem(kHeads, kLength, random_blocks(counts)));
    const double exact = sparse.report().visible_pairs / dense.report().visible_pairs;
    print_line(fmt::format("128-blocks, {:.1f}% kept, to dense", 100 * exact), ratio(sparse, dense),
               Sense::at_most, 1.15 * exact + 0.03, "x",
               fmt::format("S{} D64 H{} f32, {}", kLength, kHeads, sparse.report().config));
  }
}

void bench_expression(const Launcher& launcher) {
  const Mask user = expression_mask({"key <= query + key_len - query_len", {}, {}});
  const Problem causal = square_problem(kHeads, kLength, causal_mask());
  Problem listed = square_problem(kHeads, kLength, user);
  listed.blocks = BlockShape{kBlock, kBlock};
  BlockBuilder builder(launcher.engine(), listed);
  builder.build(launcher.queue());
  const Case built_in(launcher, causal);
  const Case user_listed(launcher, listed, causal, builder.lists());
  const Case user_computed(launcher, square_problem(kHeads, kLength, user));
  print_line("user's causal expression, listed, to built-in", ratio(user_listed, built_in),
             Sense::at_most, 1.1, "x",
             fmt::format("computed schedule: {:.3g}x", ratio(user_computed, built_in)));
}

void bench_documents(const Launcher& launcher) {
  constexpr std::int64_t kDocuments = 16, kDocument = 512;
  const std::vector<std::int64_t> lengths(kDocuments, kDocument);
  for (const bool causal : {false, true}) {
    const Mask inside = causal ? causal_mask() : dense_mask();
    const Case packed(launcher, square_problem(kHeads, kDocuments * kDocument,
                                               documents_mask({lengths, lengths}, inside)));
    Problem batches = square_problem(kHeads, kDocument, inside);
    batches.batch = kDocuments;
    print_line(fmt::format("16 packed documents of 512{}, to 16 batches", causal ? ", causal" : ""),
               ratio(packed, Case(launcher, batches)), Sense::at_most, 1.15, "x", "");
  }
}

void bench_balance(const Launcher& launcher) {
  for (const std::int64_t heads : {std::int64_t{1}, kHeads}) {
    // 2% of 64 blocks is one; then the same number of blocks, evenly.
    std::vector<std::int64_t> skewed(kBlocks, 1), even(kBlocks, 2);
    skewed[kBlocks / 2] = kBlocks;
    even[kBlocks / 2] = 1;
    const Case uneven(launcher, square_problem(heads, kLength, random_blocks(skewed)));
    const Case balanced(launcher, square_problem(heads, kLength, random_blocks(even)));
    print_line(fmt::format("one full row of blocks, others 2%, H{}, to even", heads),
               ratio(uneven, balanced), Sense::at_most, 1.3, "x",
               fmt::format("expected balance {:.0f}%, {} parts", 100 * uneven.report().balance,
                           uneven.report().parts));
  }
}

// Lists for a tenth of the pairs, causal in five documents: by an expression over document numbers
// that the host knows and bounds first, so that the device asks few blocks (a builder's
// construction counts, too); and by the same with numbers that are bound at launch, so that each
// build evaluates all 4.3e9 pairs.
void bench_builder(const Launcher& launcher) {
  constexpr std::int64_t kLong = 65536, kLongHeads = 8, kDocuments = 5;
  std::vector<std::int64_t> lengths(kDocuments, kLong / kDocuments);
  lengths.back() += kLong % kDocuments;
  std::vector<std::int32_t> ids;
  for (std::size_t d = 0; d < lengths.size(); ++d) {
    ids.insert(ids.end(), static_cast<std::size_t>(lengths[d]), static_cast<std::int32_t>(d));
  }
  const auto bytes = std::as_bytes(std::span(ids));
  const auto problem_of = [&](const std::vector<std::byte>& values) {
    const Buffer buffer{"ids", ElementType::i32, kLong, values};
    Problem problem = square_problem(
        kLongHeads, kLong,
        expression_mask(
            {"ids[query] == ids[key] && key <= query", {std::make_shared<Buffer>(buffer)}, {}}));
    problem.blocks = BlockShape{kBlock, kBlock};
    return problem;
  };
  const Problem known = problem_of({bytes.begin(), bytes.end()}), bound = problem_of({});
  cl_int code = CL_SUCCESS;
  const auto memory = Memory::adopt(clCreateBuffer(launcher.engine().context(),
                                                   CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR,
                                                   bytes.size(), ids.data(), &code));
  check_opencl(code, "clCreateBuffer");
  const NamedMemory named[] = {{"ids", memory.get()}};
  const auto seconds_of = [&](const std::function<void()>& build) {
    const auto start = Clock::now();
    build();
    check_opencl(clFinish(launcher.queue()), "clFinish");
    return seconds_since(start);
  };
  BlockBuilder builder(launcher.engine(), known);  // compiles
  BlockBuilder evaluator(launcher.engine(), bound);
  builder.build(launcher.queue());
  const Case attention(
      launcher, known,
      square_problem(kLongHeads, kLong, documents_mask({lengths, lengths}, causal_mask())),
      builder.lists());
  std::vector<double> known_times, bound_times, attention_times;
  for (int round = 0; round < 5; ++round) {
    known_times.push_back(
        seconds_of([&] { BlockBuilder(launcher.engine(), known).build(launcher.queue()); }));
    bound_times.push_back(seconds_of([&] { evaluator.build(launcher.queue(), {}, named); }));
    attention_times.push_back(attention.seconds());
  }
  for (const auto& [what, times] :
       {std::pair("values known", &known_times), std::pair("bound at launch", &bound_times)}) {
    print_line(fmt::format("lists of S65536, {}, to attention", what),
               100 * median(*times) / median(attention_times), Sense::at_most, 5, "%",
               fmt::format("{:.3g} ms to {:.3g} s, H{} at 10%", 1e3 * median(*times),
                           median(attention_times), kLongHeads));
  }
}

int bench(const std::string& device) {
  const Launcher launcher(device);
  const DeviceFacts& facts = launcher.engine().device().facts;
  fmt::print("{}, {}, driver {}, {} compute units\n", facts.platform, facts.name,
             facts.driver_version, facts.compute_units);
  bench_density(launcher);
  bench_expression(launcher);
  bench_documents(launcher);
  bench_balance(launcher);
  bench_builder(launcher);
  return 0;
}

}  // namespace
}  // namespace clattn::tool

int main(int argc, char** argv) {
  return clattn::tool::bench_main(argc, argv, clattn::tool::bench);
}
