// What expressions of score modifiers call. Free of branches and of exponentials, so that compilers
// can turn a loop over pairs into vectors.

// cap * tanh(score / cap), where `inverse` is 1 / cap: within 1e-6 of it relatively, also for small
// scores; never beyond cap, and NaN for NaN. tanh(x) is x P(x^2) / Q(x^2), the best approximation
// of these degrees on [0, 9] (2e-8), where tanh comes to 1; all coefficients are positive, so that
// no digits are lost to cancellation. The usual form with 2^x would need another one beside it for
// small x.
static inline float softcap(float score, float cap, float inverse) {
  const float x = score * inverse;
  const float u = fmin(x * x, 81.0f);
  const float p =
      (((1.33546401e-08f * u + 2.06090663e-05f) * u + 0.00349558704f) * u + 0.133810252f) * u +
      1.0f;
  const float q =
      (((7.77654918e-07f * u + 0.000328563299f) * u + 0.0258769784f) * u + 0.467143416f) * u + 1.0f;
  // A division costs GPUs more than all of this. Native reciprocals have 12 bits at least, which
  // Newton's step doubles; NVIDIA's have them all.
  float inverse_q = native_recip(q);
#ifndef __NV_CL_C_VERSION
  inverse_q *= 2.0f - q * inverse_q;
#endif
  const float ratio = x * p * inverse_q;
  return cap * (fabs(ratio) > 1.0f ? copysign(1.0f, ratio) : ratio);
}

// The bias of a pair by its distance in each of the `rank` dimensions of a grid
// (host/scores/grid_position.cpp), 0 for tokens beyond it. `grid` holds its tokens, then for each
// dimension the divisor length (mask_quotient) and the reach; `biases` the bits of floats [heads,
// 2 * reach + 1, ...]. Distances are clamped, so that any tokens read inside. Without the pragma,
// PoCL keeps the loop, and the loops over pairs around it scalar, which takes three times as long.
static inline float grid_position_bias(__global const int *grid, __global const int *biases,
                                       int rank, int head, int query, int key) {
  const int inside = max(query, key) < grid[0];
  int index = 0;
  int entries = 1;  // of one head, in the dimensions so far
#pragma unroll
  for (int dimension = rank - 1; dimension >= 0; --dimension) {
    __global const int *length = grid + 1 + 4 * dimension;
    const int reach = length[3];
    // The first dimension is what is left.
    const int next_query = dimension > 0 ? mask_quotient(length, query) : 0;
    const int next_key = dimension > 0 ? mask_quotient(length, key) : 0;
    const int distance = key - query - (next_key - next_query) * length[0];
    index += (clamp(distance, -reach, reach) + reach) * entries;
    entries *= 2 * reach + 1;
    query = next_query;
    key = next_key;
  }
  return inside ? as_float(biases[head * entries + index]) : 0.0f;
}
