// clattn.h from C: this file is compiled as C99, includes nothing before the header and refers to
// every function, so that each is declared, has C linkage and is exported. The tests in C++ call
// clattn_c_program.
#include <clattn/clattn.h>

typedef void (*any_function)(void);

static const any_function functions[] = {
    (any_function)clattn_status_name,
    (any_function)clattn_last_error,
    (any_function)clattn_version,
    (any_function)clattn_version_string,
    (any_function)clattn_string_free,
    (any_function)clattn_device_kind_name,
    (any_function)clattn_device_get_count,
    (any_function)clattn_device_get,
    (any_function)clattn_device_select,
    (any_function)clattn_device_describe,
    (any_function)clattn_expression_init,
    (any_function)clattn_hooks_release_parts,
    (any_function)clattn_mask_create_dense,
    (any_function)clattn_mask_create_causal,
    (any_function)clattn_mask_create_window,
    (any_function)clattn_mask_create_dilated_window,
    (any_function)clattn_mask_create_prefix,
    (any_function)clattn_mask_create_sink,
    (any_function)clattn_mask_create_global,
    (any_function)clattn_mask_create_random_blocks,
    (any_function)clattn_mask_create_neighborhood,
    (any_function)clattn_mask_create_documents,
    (any_function)clattn_mask_create_per_head,
    (any_function)clattn_mask_create_all_of,
    (any_function)clattn_mask_create_any_of,
    (any_function)clattn_mask_create_not,
    (any_function)clattn_mask_create_expression,
    (any_function)clattn_mask_create_blocks,
    (any_function)clattn_mask_create_from_json,
    (any_function)clattn_mask_to_json,
    (any_function)clattn_mask_retain,
    (any_function)clattn_mask_release,
    (any_function)clattn_mask_validate,
    (any_function)clattn_mask_allows,
    (any_function)clattn_mask_classify,
    (any_function)clattn_mask_reach,
    (any_function)clattn_mask_get_variation,
    (any_function)clattn_mask_get_seams,
    (any_function)clattn_mask_count_visible_pairs,
    (any_function)clattn_mask_get_hooks,
    (any_function)clattn_block_lists_init,
    (any_function)clattn_block_lists_release_parts,
    (any_function)clattn_block_shape_get_counts,
    (any_function)clattn_block_lists_validate,
    (any_function)clattn_block_lists_make,
    (any_function)clattn_block_lists_transpose,
    (any_function)clattn_mask_create_block_lists,
    (any_function)clattn_score_create_softcap,
    (any_function)clattn_score_create_alibi,
    (any_function)clattn_alibi_get_slopes,
    (any_function)clattn_score_create_bias,
    (any_function)clattn_score_create_relative_position,
    (any_function)clattn_score_create_grid_position,
    (any_function)clattn_score_create_expression,
    (any_function)clattn_score_create_from_json,
    (any_function)clattn_score_to_json,
    (any_function)clattn_score_retain,
    (any_function)clattn_score_release,
    (any_function)clattn_score_validate,
    (any_function)clattn_score_apply,
    (any_function)clattn_score_get_hooks,
    (any_function)clattn_data_type_name,
    (any_function)clattn_data_type_get_size,
    (any_function)clattn_role_name,
    (any_function)clattn_problem_init,
    (any_function)clattn_problem_from_json,
    (any_function)clattn_problem_release_parts,
    (any_function)clattn_problem_to_json,
    (any_function)clattn_problem_validate,
    (any_function)clattn_problem_get_scale,
    (any_function)clattn_problem_get_tensor_shape,
    (any_function)clattn_strides_make_contiguous,
    (any_function)clattn_engine_options_init,
    (any_function)clattn_engine_create,
    (any_function)clattn_engine_create_from_context,
    (any_function)clattn_engine_retain,
    (any_function)clattn_engine_release,
    (any_function)clattn_engine_get_context,
    (any_function)clattn_engine_get_device,
    (any_function)clattn_engine_get_rates,
    (any_function)clattn_engine_write_trace,
    (any_function)clattn_plan_options_init,
    (any_function)clattn_plan_create,
    (any_function)clattn_plan_retain,
    (any_function)clattn_plan_release,
    (any_function)clattn_engine_supports,
    (any_function)clattn_tensors_init,
    (any_function)clattn_plan_enqueue,
    (any_function)clattn_plan_get_problem,
    (any_function)clattn_plan_get_report,
    (any_function)clattn_plan_explain,
    (any_function)clattn_family_get_count,
    (any_function)clattn_family_get_name,
    (any_function)clattn_family_get_rejection,
    (any_function)clattn_token_order_get_tokens,
    (any_function)clattn_token_permutation_create,
    (any_function)clattn_token_permutation_retain,
    (any_function)clattn_token_permutation_release,
    (any_function)clattn_token_permutation_enqueue,
    (any_function)clattn_block_selection_init,
    (any_function)clattn_block_builder_create,
    (any_function)clattn_block_builder_retain,
    (any_function)clattn_block_builder_release,
    (any_function)clattn_block_builder_build,
    (any_function)clattn_block_builder_get_lists,
    (any_function)clattn_block_builder_get_transposed,
    (any_function)clattn_block_builder_download,
    (any_function)clattn_block_list_buffers_check,
    (any_function)clattn_reference_init,
    (any_function)clattn_reference_compute,
    (any_function)clattn_reference_compare,
    (any_function)clattn_element_load,
    (any_function)clattn_element_store,
};

// Describes a problem as C does. Returns 0, or the number of the step that went wrong.
int clattn_c_program(void) {
  clattn_problem problem;
  clattn_tensor_shape shape;
  clattn_mask* mask = NULL;
  size_t i;
  for (i = 0; i < sizeof functions / sizeof functions[0]; ++i) {
    if (!functions[i]) return 1;
  }
  if (clattn_problem_init(&problem, sizeof problem) != CLATTN_STATUS_SUCCESS) return 2;
  if (clattn_mask_create_window(128, CLATTN_WINDOW_UNBOUNDED, &mask) != CLATTN_STATUS_SUCCESS) {
    return 3;
  }
  problem.data_type = CLATTN_DATA_TYPE_BF16;
  problem.heads = 4;
  problem.query_len = 10;
  problem.key_len = 20;
  problem.head_dim = 64;
  problem.value_dim = 32;
  problem.mask = mask;
  if (clattn_problem_get_tensor_shape(&problem, CLATTN_ROLE_OUTPUT, &shape) !=
      CLATTN_STATUS_SUCCESS) {
    return 4;
  }
  if (shape.elements != 4 * 10 * 32 || shape.strides.head != 10 * 32) return 5;
  problem.head_dim = 12;
  if (clattn_problem_validate(&problem) != CLATTN_STATUS_INVALID_ARGUMENT) return 6;
  if (clattn_last_error()[0] == '\0') return 7;
  clattn_mask_release(mask);
  return 0;
}
