// Problems: plain structs, of which each call makes a C++ one.
#include <optional>

#include "host/c_api/convert.hpp"

namespace clattn::c_api {
namespace {

static_assert(same(DataType::f32, CLATTN_DATA_TYPE_F32) &&
              same(DataType::f16, CLATTN_DATA_TYPE_F16) &&
              same(DataType::bf16, CLATTN_DATA_TYPE_BF16));
static_assert(same(Layout::bhld, CLATTN_LAYOUT_BHLD) && same(Layout::blhd, CLATTN_LAYOUT_BLHD));
static_assert(same(Role::query, CLATTN_ROLE_QUERY) && same(Role::key, CLATTN_ROLE_KEY) &&
              same(Role::value, CLATTN_ROLE_VALUE) && same(Role::output, CLATTN_ROLE_OUTPUT));

// What a problem's `owned` points to.
struct ProblemParts {
  ProblemParts() = default;
  // Delegates, so that the destructor runs where an allocation fails halfway.
  explicit ProblemParts(const Problem& problem) : ProblemParts() {
    sink_logits = problem.sink_logits;
    mask = new clattn_mask(problem.mask);
    scores.reserve(problem.scores.size());
    for (const Score& score : problem.scores) scores.push_back(new clattn_score(score));
  }
  ~ProblemParts() {
    release(mask);
    for (clattn_score* score : scores) release(score);
  }
  ProblemParts(const ProblemParts&) = delete;
  ProblemParts& operator=(const ProblemParts&) = delete;

  clattn_mask* mask = nullptr;
  std::vector<clattn_score*> scores;
  std::vector<float> sink_logits;
};

std::optional<Strides> read_strides(const clattn_problem& problem, clattn_role role) {
  if (!problem.has_strides[role]) return std::nullopt;
  const clattn_strides& strides = problem.strides[role];
  return Strides{strides.batch, strides.head, strides.token};
}

clattn_strides to_strides(const Strides& strides) {
  return {strides.batch, strides.head, strides.token};
}

clattn_problem default_problem() {
  clattn_problem problem{};
  problem.struct_size = sizeof problem;
  problem.batch = problem.heads = problem.kv_heads = 1;
  return problem;
}

}  // namespace

DataType read_data_type(std::int32_t type) { return to_enum(type, DataType::bf16, "data type"); }

Problem read_problem(const clattn_problem* source) {
  require_struct(source, "problem", "clattn_problem");
  Problem problem;
  problem.data_type = read_data_type(source->data_type);
  problem.batch = source->batch;
  problem.heads = source->heads;
  problem.kv_heads = source->kv_heads;
  problem.query_len = source->query_len;
  problem.key_len = source->key_len;
  problem.head_dim = source->head_dim;
  problem.value_dim = source->value_dim;
  if (source->has_scale) problem.scale = source->scale;
  problem.mask = read_optional_mask(source->mask);
  if (source->has_blocks) problem.blocks = read_block_shape(source->blocks);
  if (source->has_token_order) problem.token_order = read_token_order(source->token_order);
  for (const clattn_score* score : read_array(source->scores, source->score_count, "scores")) {
    if (!score) invalid("scores[{}] is null", problem.scores.size());
    problem.scores.push_back(score->object);
  }
  problem.sink_logits = copy_array(source->sink_logits, source->sink_logit_count, "sink_logits");
  problem.lse = source->lse;
  problem.layout = to_enum(source->layout, Layout::blhd, "layout");
  problem.query_strides = read_strides(*source, CLATTN_ROLE_QUERY);
  problem.key_strides = read_strides(*source, CLATTN_ROLE_KEY);
  problem.value_strides = read_strides(*source, CLATTN_ROLE_VALUE);
  problem.output_strides = read_strides(*source, CLATTN_ROLE_OUTPUT);
  return problem;
}

Problem read_valid_problem(const clattn_problem* source) {
  Problem problem = read_problem(source);
  validate(problem);
  return problem;
}

void write_problem(const Problem& source, clattn_problem& target) {
  clattn_problem problem = default_problem();
  problem.batch = source.batch;
  problem.heads = source.heads;
  problem.kv_heads = source.kv_heads;
  problem.query_len = source.query_len;
  problem.key_len = source.key_len;
  problem.head_dim = source.head_dim;
  problem.value_dim = source.value_dim;
  problem.data_type = static_cast<std::int32_t>(source.data_type);
  problem.layout = static_cast<std::int32_t>(source.layout);
  problem.lse = source.lse;
  problem.has_scale = source.scale.has_value();
  problem.scale = source.scale.value_or(0.0f);
  const std::optional<Strides>* const strides[CLATTN_ROLE_COUNT] = {
      &source.query_strides, &source.key_strides, &source.value_strides, &source.output_strides};
  for (int role = 0; role < CLATTN_ROLE_COUNT; ++role) {
    problem.has_strides[role] = strides[role]->has_value();
    if (*strides[role]) problem.strides[role] = to_strides(**strides[role]);
  }
  if (source.blocks) {
    problem.has_blocks = 1;
    problem.blocks = write_block_shape(*source.blocks);
  }
  if (source.token_order) {
    problem.has_token_order = 1;
    problem.token_order = write_token_order(*source.token_order);
  }
  auto* parts = new ProblemParts(source);
  problem.mask = parts->mask;
  problem.scores = parts->scores.data();
  problem.score_count = parts->scores.size();
  problem.sink_logits = parts->sink_logits.data();
  problem.sink_logit_count = parts->sink_logits.size();
  problem.owned = parts;
  target = problem;
}

}  // namespace clattn::c_api

using namespace clattn::c_api;
using clattn::invalid;

const char* clattn_data_type_name(int32_t type) {
  if (type < CLATTN_DATA_TYPE_F32 || type > CLATTN_DATA_TYPE_BF16) return "unknown data type";
  return clattn::to_string(static_cast<clattn::DataType>(type));
}

clattn_status clattn_data_type_get_size(int32_t type, size_t* bytes) {
  return guarded([&] {
    require(bytes, "bytes");
    *bytes = clattn::size_of(read_data_type(type));
  });
}

const char* clattn_role_name(int32_t role) {
  if (role < CLATTN_ROLE_QUERY || role > CLATTN_ROLE_OUTPUT) return "unknown role";
  return clattn::to_string(static_cast<clattn::Role>(role));
}

clattn_status clattn_problem_init(clattn_problem* problem, size_t struct_size) {
  return init(problem, struct_size, "problem", "clattn_problem", default_problem());
}

clattn_status clattn_problem_from_json(const char* text, const char* folder,
                                       clattn_problem* problem) {
  return guarded([&] {
    require(text, "text");
    require_struct(problem, "problem", "clattn_problem");
    write_problem(clattn::problem_from_json(text, read_folder(folder)), *problem);
  });
}

void clattn_problem_release_parts(clattn_problem* problem) {
  if (!problem || !problem->owned) return;
  delete static_cast<ProblemParts*>(problem->owned);
  problem->mask = nullptr;
  problem->scores = nullptr;
  problem->score_count = 0;
  problem->sink_logits = nullptr;
  problem->sink_logit_count = 0;
  problem->owned = nullptr;
}

clattn_status clattn_problem_to_json(const clattn_problem* problem, char** text) {
  return guarded([&] {
    require(text, "text");
    *text = duplicate(clattn::problem_to_json(read_problem(problem)));
  });
}

clattn_status clattn_problem_validate(const clattn_problem* problem) {
  return guarded([&] { read_valid_problem(problem); });
}

clattn_status clattn_problem_get_scale(const clattn_problem* problem, float* scale) {
  return guarded([&] {
    require(scale, "scale");
    *scale = read_valid_problem(problem).effective_scale();
  });
}

clattn_status clattn_problem_get_tensor_shape(const clattn_problem* problem, int32_t role,
                                              clattn_tensor_shape* shape) {
  return guarded([&] {
    require(shape, "shape");
    const clattn::Problem source = read_valid_problem(problem);
    const clattn::TensorShape result =
        clattn::tensor_shape(source, to_enum(role, clattn::Role::output, "role"));
    *shape = {
        result.batch,      result.heads, result.length, result.dim, to_strides(result.strides),
        result.elements(), result.span()};
  });
}

clattn_status clattn_strides_make_contiguous(int32_t layout, int64_t heads, int64_t length,
                                             int64_t dim, clattn_strides* strides) {
  return guarded([&] {
    require(strides, "strides");
    const clattn::Layout order = to_enum(layout, clattn::Layout::blhd, "layout");
    const double elements =
        static_cast<double>(heads) * static_cast<double>(length) * static_cast<double>(dim);
    if (heads < 0 || length < 0 || dim < 0 || elements > 0x1p62) {
      invalid("heads {}, length {}, dim {} are negative or more than 2^62 elements", heads, length,
              dim);
    }
    *strides = to_strides(clattn::contiguous_strides(order, heads, length, dim));
  });
}
