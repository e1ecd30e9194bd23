// Online softmax in base 2 (Milakov and Gimelshein, arXiv 1805.02867; FlashAttention, 2205.14135).
// A row's state is its running maximum m and its running sum l = sum of 2^(score - m), where scores
// are already multiplied by log2(e). A row that has seen no key has m = -inf and l = 0.
// The compiler must not assume finite mathematics: -inf is a value here.

#define LOG2_E 1.44269504088896341f
#define LN_2 0.69314718055994531f

// What to subtract from the scores of a row whose maximum is m. A row without any visible key would
// otherwise compute -inf - -inf = NaN; with 0 every one of its weights becomes 2^-inf = 0.
#define SOFTMAX_SHIFT(m) ((m) == -INFINITY ? 0.0f : (m))

// How a row ends.
typedef struct softmax_end {
  float factor;  // of the accumulated outputs
  float shift;
  float sum;  // of 2^(score - shift)
} softmax_end;

// `sink` is one more score, in base 2, that has no value; -inf for none. A row without any term
// gives zeros and -inf; a NaN stays one.
static inline softmax_end softmax_finish(float m, float l, float sink) {
  softmax_end end;
#if SINK_LOGITS
  end.shift = SOFTMAX_SHIFT(sink > m ? sink : m);
  const float decay = exp2(m - end.shift);
  end.sum = l * decay + exp2(sink - end.shift);
#else
  end.shift = SOFTMAX_SHIFT(m);
  const float decay = 1.0f;
  end.sum = l;
#endif
  end.factor = end.sum == 0.0f ? 0.0f : decay / end.sum;
  return end;
}

// In base 2.
static inline float softmax_lse(const softmax_end *end) {
  return end->sum == 0.0f ? -INFINITY : end->shift + log2(end->sum);
}
