// Naive attention, one query row at a time: all scores of the row, mask and score modifiers pair by
// pair, softmax, weighted sum. Threads share out the (batch, head) pairs and blocks of rows. Rows
// of tensors are positions; masks and modifiers ask for the tokens that stand there, which differ
// where tensors lie in an order of tiles.

#include <Eigen/Core>
#include <atomic>
#include <clattn/reference.hpp>
#include <cmath>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>

#include "host/invalid.hpp"

namespace clattn {
namespace {

template <typename Scalar>
using RowMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Rows 0 to count - 1 stand at the positions position_of(row).
template <typename Scalar, typename PositionOf>
RowMatrix<Scalar> load_head(const Problem& problem, Role role, std::span<const std::byte> data,
                            std::int64_t batch, std::int64_t head, std::int64_t count,
                            const PositionOf& position_of) {
  const TensorShape shape = tensor_shape(problem, role);
  RowMatrix<Scalar> matrix(count, shape.dim);
  for (std::int64_t row = 0; row < count; ++row) {
    const std::int64_t begin = batch * shape.strides.batch + head * shape.strides.head +
                               position_of(row) * shape.strides.token;
    for (std::int64_t d = 0; d < shape.dim; ++d) {
      matrix(row, d) = static_cast<Scalar>(load_element(problem.data_type, data.data(), begin + d));
    }
  }
  return matrix;
}

double rounded(DataType type, double value) {
  std::byte element[sizeof(double)];
  store_element(type, value, element, 0);
  return load_element(type, element, 0);
}

// Queries of one (batch, head), and the first of their rows in the result. `tokens` stand at the
// first positions, and each other one holds the token of its number. With Scalar = float this
// is the plain low-precision evaluation: probabilities and output are rounded to the storage type.
template <typename Scalar>
void attend_rows(const Problem& problem, const HostTensors& tensors, std::int64_t batch,
                 std::int64_t head, std::span<const std::int32_t> tokens,
                 std::span<const std::int64_t> queries, std::int64_t first_row,
                 ReferenceResult& result) {
  constexpr bool exact = std::is_same_v<Scalar, double>;
  constexpr Scalar kInfinity = std::numeric_limits<Scalar>::infinity();
  const std::int64_t kv_head = head / (problem.heads / problem.kv_heads);
  const auto query = load_head<Scalar>(problem, Role::query, tensors.query, batch, head,
                                       std::ssize(queries), [&](auto row) { return queries[row]; });
  const auto key = load_head<Scalar>(problem, Role::key, tensors.key, batch, kv_head,
                                     problem.key_len, std::identity());
  const auto value = load_head<Scalar>(problem, Role::value, tensors.value, batch, kv_head,
                                       problem.key_len, std::identity());
  const auto scale = static_cast<Scalar>(problem.effective_scale());

  const auto token_at = [&](std::int64_t position) {
    return position < std::ssize(tokens) ? tokens[position] : position;
  };

  for (std::size_t q = 0; q < queries.size(); ++q) {
    Eigen::Matrix<Scalar, Eigen::Dynamic, 1> scores = scale * (key * query.row(q).transpose());
    // A hidden key takes no part at all, whatever its score or value: not even a NaN of it.
    std::vector<std::int64_t> visible;
    const bool sink = !problem.sink_logits.empty();
    const Scalar sink_logit = sink ? problem.sink_logits[head] : -kInfinity;
    Scalar maximum = sink_logit;
    for (std::int64_t j = 0; j < problem.key_len; ++j) {
      const Point point{batch, head, token_at(queries[q]), token_at(j)};
      if (!problem.mask->allows(point, problem.extent())) continue;
      visible.push_back(j);
      for (const Score& modifier : problem.scores) {
        scores[j] = static_cast<Scalar>(modifier->apply(scores[j], point, problem.extent()));
      }
      if (!(scores[j] <= maximum)) maximum = scores[j];
    }
    if (maximum == -kInfinity) maximum = 0;
    Scalar sum = sink ? std::exp(sink_logit - maximum) : 0;
    for (std::int64_t j : visible) {
      scores[j] = std::exp(scores[j] - maximum);
      sum += scores[j];
    }
    Eigen::Matrix<Scalar, Eigen::Dynamic, 1> output =
        Eigen::Matrix<Scalar, Eigen::Dynamic, 1>::Zero(problem.value_dim);
    for (std::int64_t j : visible) {
      if (sum == 0) break;
      Scalar weight = scores[j] / sum;
      if (!exact) weight = static_cast<Scalar>(rounded(problem.data_type, weight));
      output += weight * value.row(j).transpose();
    }
    const std::int64_t row = first_row + static_cast<std::int64_t>(q);
    for (std::int64_t d = 0; d < problem.value_dim; ++d) {
      result.output[row * problem.value_dim + d] =
          exact ? output[d] : rounded(problem.data_type, output[d]);
    }
    result.lse[row] = sum == 0 ? -kInfinity : maximum + std::log(sum);
  }
}

}  // namespace

ReferenceResult reference_attention(const Problem& problem, const HostTensors& tensors,
                                    ReferencePrecision precision, const ReferenceProgress& progress,
                                    std::span<const std::int64_t> queries) {
  validate(problem);
  if (problem.blocks) {
    invalid(
        "the block lists of this problem come at launch: the reference needs them as a mask "
        "(block_lists_mask)");
  }
  const std::pair<Role, std::span<const std::byte>> inputs[] = {
      {Role::query, tensors.query}, {Role::key, tensors.key}, {Role::value, tensors.value}};
  for (const auto& [role, data] : inputs) {
    const auto needed =
        static_cast<std::size_t>(tensor_shape(problem, role).span()) * size_of(problem.data_type);
    if (data.size() < needed) {
      invalid("the {} tensor has {} bytes, but its strides need {}", to_string(role), data.size(),
              needed);
    }
  }

  for (std::int64_t query : queries) {
    if (query < 0 || query >= problem.query_len) {
      invalid("query {} is not below q_len {}", query, problem.query_len);
    }
  }
  std::vector<std::int64_t> all;
  if (queries.empty()) {
    all.resize(static_cast<std::size_t>(problem.query_len));
    std::iota(all.begin(), all.end(), std::int64_t{0});
    queries = all;
  }
  const auto count = static_cast<std::int64_t>(queries.size());
  std::vector<std::int32_t> tokens;
  if (problem.token_order) tokens = tokens_in_order(*problem.token_order);

  ReferenceResult result;
  const std::int64_t heads = problem.batch * problem.heads;
  const std::int64_t total = heads * count;
  result.output.resize(static_cast<std::size_t>(total * problem.value_dim));
  result.lse.resize(static_cast<std::size_t>(total));

  constexpr std::int64_t kRows = 256;  // a block of rows converts its head's keys anew
  const std::int64_t blocks = (count + kRows - 1) / kRows;
  std::atomic<std::int64_t> next = 0;
  std::atomic<bool> stopped = false;
  std::int64_t done = 0;
  std::mutex mutex;
  std::exception_ptr failure;  // of any thread: an exception must not leave a thread
  const auto attend_blocks = [&] {
    for (std::int64_t task; !stopped && (task = next++) < heads * blocks;) {
      const std::int64_t head = task / blocks;
      const std::int64_t begin = task % blocks * kRows;
      const auto rows = queries.subspan(begin, std::min(kRows, count - begin));
      const auto attend =
          precision == ReferencePrecision::exact ? attend_rows<double> : attend_rows<float>;
      attend(problem, tensors, head / problem.heads, head % problem.heads, tokens, rows,
             head * count + begin, result);
      if (!progress) continue;
      const std::lock_guard lock(mutex);
      done += static_cast<std::int64_t>(rows.size());
      if (!progress(done, total)) stopped = true;
    }
  };
  const auto work = [&] {
    try {
      attend_blocks();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      stopped = true;
    }
  };
  std::vector<std::jthread> threads;
  const auto workers = std::min<std::int64_t>(std::thread::hardware_concurrency(), heads * blocks);
  for (std::int64_t i = 1; i < workers; ++i) threads.emplace_back(work);
  work();
  threads.clear();
  if (failure) std::rethrow_exception(failure);
  return result;
}

}  // namespace clattn
