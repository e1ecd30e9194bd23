// What expressions of score modifiers call. Free of branches and of exponentials, so that compilers
// can turn a loop over pairs into vectors.

// cap * tanh(score / cap), where `inverse` is 1 / cap: within 1e-6 of it relatively, also for small
// scores; exactly cap or -cap from |score| = 9 cap on, where tanh rounds to 1, and NaN for NaN.
// tanh(x) is x P(x^2) / Q(x^2), the best approximation of these degrees on [0, 9] (2e-8); all
// coefficients are positive, so that no digits are lost to cancellation. The usual form with 2^x
// would need another one beside it for small x.
static inline float softcap(float score, float cap, float inverse) {
  const float x = score * inverse;
  const float u = x * x;
  const float p =
      (((1.33546401e-08f * u + 2.06090663e-05f) * u + 0.00349558704f) * u + 0.133810252f) * u +
      1.0f;
  const float q =
      (((7.77654918e-07f * u + 0.000328563299f) * u + 0.0258769784f) * u + 0.467143416f) * u + 1.0f;
  const float ratio = x * p / q;
  const int saturated = (fabs(x) > 9.0f) | (fabs(ratio) > 1.0f);
  return saturated ? copysign(cap, score) : cap * ratio;
}
