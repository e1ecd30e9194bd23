// Online softmax in base 2 (Milakov and Gimelshein, arXiv 1805.02867; FlashAttention, 2205.14135).
// A row's state is its running maximum m and its running sum l = sum of 2^(score - m), where scores
// are already multiplied by scale * log2(e). A row that has seen no key has m = -inf and l = 0.
// The compiler must not assume finite mathematics: -inf is a value here.

// What to subtract from the scores of a row whose maximum is m. A row without any visible key would
// otherwise compute -inf - -inf = NaN; with 0 every one of its weights becomes 2^-inf = 0.
#define SOFTMAX_SHIFT(m) ((m) == -INFINITY ? 0.0f : (m))

// The factor that ends a row's accumulation; a row that saw no key gives zeros, a NaN stays one.
#define SOFTMAX_INVERSE(l) ((l) == 0.0f ? 0.0f : 1.0f / (l))

// Natural logarithm of the sum of exponentials; -inf for a row that saw no key.
static inline float softmax_lse(float m, float l) {
  return l == 0.0f ? -INFINITY : (m + log2(l)) * 0.69314718055994531f;
}
