// Merges the parts of split rows by their LSE. Each part has left outputs that are divided by its
// own sum, f32 [parts][QUERY_TILE][VALUE_DIM], and its LSE in base 2, [parts][QUERY_TILE]. With the
// largest LSE m, a part weighs 2^(lse - m); a part that saw no key weighs 0. A sink logit takes
// part here, once, and not in the parts.
//
// Launch: global size {VALUE_DIM / 8, QUERY_TILE, merges * repeats}; a work-item merges eight
// elements of one query.

__kernel void merge_parts(const clattn_arguments arguments, __global const clattn_merge *merges,
                          int merge_count, __global const float *part_outputs,
                          __global const float *part_lse, __global storage_t *output,
                          __global float *lse,
                          __global const clattn_query_entry *query_entries HOOK_PARAMETERS) {
  const clattn_merge merge = merges[(int)get_global_id(2) % merge_count];
  const int repeat = (int)get_global_id(2) / merge_count;
  const int row = (int)get_global_id(1);
  const int entry = merge.queries.begin + row / PACK;
  if (entry >= merge.queries.end) return;
  const int query = query_row(query_entries, &merge.queries, entry);
  walk_t walk;
  walk_slice(&arguments, merge.slice, repeat, &walk);
  const int head = packed_head(walk.head, row);
  const hooks_t hooks = HOOKS(arguments);

  const int first = merge.part_begin + repeat * arguments.parts;
  const int count = merge.part_end - merge.part_begin;
  float m = -INFINITY;
  for (int part = first; part < first + count; ++part) {
    m = fmax(m, part_lse[(long)part * QUERY_TILE + row]);
  }
  const float shift = SOFTMAX_SHIFT(m);
  float sum = 0.0f;
  float8 outputs = (float8)(0.0f);
  for (int part = first; part < first + count; ++part) {
    const float weight = exp2(part_lse[(long)part * QUERY_TILE + row] - shift);
    const long at = ((long)part * QUERY_TILE + row) * VALUE_DIM + 8 * (int)get_global_id(0);
    sum += weight;
    outputs += weight * vload8(0, part_outputs + at);
  }
  const softmax_end end = softmax_finish(m, sum, sink_logit(&hooks, head));
  output += arguments.output.offset + walk.batch * arguments.output.batch +
            head * arguments.output.head + query * arguments.output.token;
  outputs *= end.factor;
  STORE8(outputs, output, 8 * (int)get_global_id(0));
  if (lse && get_global_id(0) == 0) {
    lse[arguments.lse_offset + (walk.batch * (long)arguments.heads + head) * arguments.query_len +
        query] = softmax_lse(&end) * LN_2;
  }
}
