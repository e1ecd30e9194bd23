// Score modifiers.
#include <clattn/score.hpp>

#include "host/c_api/convert.hpp"

using namespace clattn::c_api;
using clattn::invalid;

clattn_status clattn_score_create_softcap(float cap, clattn_score** score) {
  return create(score, "score", [&] { return clattn::softcap_score(cap); });
}

clattn_status clattn_score_create_alibi(const float* slopes, size_t count, int64_t batch,
                                        clattn_score** score) {
  return create(score, "score",
                [&] { return clattn::alibi_score(copy_array(slopes, count, "slopes"), batch); });
}

clattn_status clattn_alibi_get_slopes(int64_t heads, float* slopes) {
  return guarded([&] {
    require(slopes, "slopes");
    const std::vector<float> result = clattn::alibi_slopes(heads);
    std::copy(result.begin(), result.end(), slopes);
  });
}

clattn_status clattn_score_create_bias(const clattn_buffer* buffer, clattn_sizes sizes,
                                       clattn_score** score) {
  return create(score, "score", [&] {
    require(buffer, "buffer");
    return clattn::bias_score(read_buffer(*buffer),
                              {sizes.batch, sizes.heads, sizes.query_len, sizes.key_len});
  });
}

clattn_status clattn_score_create_relative_position(const float* table, size_t count, int64_t reach,
                                                    clattn_score** score) {
  return create(score, "score", [&] {
    return clattn::relative_position_score(copy_array(table, count, "table"), reach);
  });
}

clattn_status clattn_score_create_grid_position(const float* table, size_t count,
                                                const int64_t* grid, const int64_t* reach,
                                                size_t rank, clattn_score** score) {
  return create(score, "score", [&] {
    return clattn::grid_position_score(copy_array(table, count, "table"),
                                       copy_array(grid, rank, "grid"),
                                       copy_array(reach, rank, "reach"));
  });
}

clattn_status clattn_score_create_expression(const clattn_expression* expression,
                                             clattn_apply_callback apply, void* user,
                                             clattn_score** score) {
  return create(score, "score", [&] {
    std::function<double(double, const clattn::Point&, const clattn::Extent&)> function;
    if (apply) {
      function = [=](double value, const clattn::Point& point, const clattn::Extent& extent) {
        return apply(value, write_point(point), write_extent(extent), user);
      };
    }
    return clattn::expression_score(read_expression(expression), std::move(function));
  });
}

clattn_status clattn_score_create_from_json(const char* text, const char* folder,
                                            clattn_score** score) {
  return create(score, "score", [&] {
    require(text, "text");
    return clattn::score_from_json(text, read_folder(folder));
  });
}

clattn_status clattn_score_to_json(const clattn_score* score, char** text) {
  return guarded([&] {
    require(score, "score");
    require(text, "text");
    *text = duplicate(score->object->to_json());
  });
}

clattn_status clattn_score_retain(clattn_score* score) { return retain(score, "score"); }

void clattn_score_release(clattn_score* score) { release(score); }

clattn_status clattn_score_validate(const clattn_score* score, clattn_sizes sizes) {
  return guarded([&] {
    require(score, "score");
    lay(*score->object, sizes);
  });
}

clattn_status clattn_score_apply(const clattn_score* score, clattn_sizes sizes, clattn_point point,
                                 double value, double* result) {
  return guarded([&] {
    require(score, "score");
    require(result, "result");
    const clattn::Extent extent = lay(*score->object, sizes);
    *result = score->object->apply(value, read_point(point, sizes), extent);
  });
}

clattn_status clattn_score_get_hooks(const clattn_score* score, clattn_hooks* hooks) {
  return guarded([&] {
    require(score, "score");
    require_struct(hooks, "hooks", "clattn_hooks");
    clattn::ExpressionWriter writer;
    std::string expression = score->object->expression(writer);
    write_hooks(std::move(writer), std::move(expression), *hooks);
  });
}
