// Where a subcommand's problem comes from: the JSON of --problem, flags for sizes, which override
// it, and tensors in .npy files, which must agree with whatever sizes were given.
#pragma once

#include <CLI/CLI.hpp>
#include <clattn/problem.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "host/npy.hpp"
#include "host/trial/tensors.hpp"

namespace clattn::tool {

struct ProblemOptions {
  std::string problem = "{}";                 // a file, or the JSON object itself
  std::map<std::string, std::int64_t> sizes;  // key of the JSON form: value of its flag
  std::string data_type;
  std::string query, key, value;  // .npy files; all or none
  std::uint64_t seed = 1;
};

void add_problem_option(CLI::App& app, ProblemOptions& options);
void add_size_options(CLI::App& app, ProblemOptions& options);
void add_seed_option(CLI::App& app, ProblemOptions& options);
void add_tensor_options(CLI::App& app, ProblemOptions& options, bool required);

// The problem of --problem and flags, with all its sizes. Throws Error (invalid_argument).
Problem problem_without_tensors(const ProblemOptions& options);

// The same where only the mask matters: head_dim may be absent.
Problem problem_of_mask(const ProblemOptions& options);

struct ProblemWithInputs {
  Problem problem;
  HostInputs inputs;
};

// The problem of the tensors --q, --k and --v, which are converted to the data type that the
// problem names; where it names none, theirs is the problem's. Throws Error (invalid_argument).
ProblemWithInputs problem_with_tensors(const ProblemOptions& options);

// A tensor of `role` from a file: of the problem's shape in the problem's layout, and converted to
// `type` or, where that is absent, in the file's own type.
HostTensor tensor_from_npy(NpyArray array, const Problem& problem, Role role,
                           std::optional<DataType> type);

// Sizes of a tensor in the order of the problem's layout, as .npy files hold them.
std::vector<std::int64_t> npy_shape(const Problem& problem, Role role);

// "causal:align:top_left f16 B2 H4/2 Q33 K65 D64/32 blhd scale=-0.5": H is heads / kv_heads, D is
// head_dim / value_dim. Strides that are given stand as "q=batch/head/token"; blocks bound at
// launch, score modifiers and sink logits stand behind. A mask or modifier of many values is cut.
std::string describe(const Problem& problem);
std::string describe(const MaskNode& mask);

}  // namespace clattn::tool
