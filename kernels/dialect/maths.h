/* Elementary functions of the dialect: the same bits on every backend. SPDX-License-Identifier: Apache-2.0
 *
 * Each is right over the whole range: denormals, zeros of both signs, infinities, NaN. The contracts bound the errors; docs/maths.md
 * has the largest that were found. Polynomials are minimax for single-precision coefficients: tools/maths/polynomials.sollya and
 * quotient.py make them. */
#ifndef FOGHORN_KERNELS_DIALECT_MATHS_H_
#define FOGHORN_KERNELS_DIALECT_MATHS_H_

/* ---- shared parts ---- */
#define FH_SIGN_BIT ((int)0x80000000)
#define FH_MAGIC 12582912.0f /* 1.5 * 2^23: adding it rounds to a whole number and leaves that in the low bits */

/* |y| with the sign of x. */
FH_INLINE fh_vf fh_with_sign(fh_vf y, fh_vf x) { return fh_as_f(fh_or_i(fh_as_i(y), fh_and_i(fh_as_i(x), fh_splat_i(FH_SIGN_BIT)))); }

#ifndef FH_HAS_SCALE
/* p 2^n, rounded once, for a whole n, |n| <= 250, and 2^-20 < |p| < 2^20, or any p for n = 0: the exponent in two halves, so that only the
 * second product can leave the normal range. Adding 1.5 * 2^23 leaves n in the low bits. */
FH_INLINE fh_vf fh_scale(fh_vf p, fh_vf n) {
  const fh_vi whole = fh_sub_i(fh_as_i(fh_add(n, fh_splat(FH_MAGIC))), fh_splat_i(0x4b400000));
  const fh_vi low = fh_sar_i(whole, 1), rest = fh_sub_i(whole, low);
  p = fh_mul(p, fh_as_f(fh_shl_i(fh_add_i(low, fh_splat_i(127)), 23)));
  return fh_mul(p, fh_as_f(fh_shl_i(fh_add_i(rest, fh_splat_i(127)), 23)));
}
#endif

/* ---- exp ----
 * exp(x) = 2^n exp(r), n = round(x / ln 2), r = x - n ln 2 by two fused steps, exp(r) a polynomial of degree 6 for |r| <= ln 2 / 2,
 * relative error 2^-28. */
FH_INLINE fh_vf fh_exp_rounded(fh_vf x) { return fh_fma(x, fh_splat(0x1.715476p+0f), fh_splat(FH_EXP_MAGIC)); }
FH_INLINE fh_vf fh_exp_rest(fh_vf x, fh_vf n) { return fh_fma(n, fh_splat(0x1.05c610p-29f), fh_fma(n, fh_splat(-0x1.62e430p-1f), x)); }
FH_INLINE fh_vf fh_exp_polynomial(fh_vf r) {
  fh_vf p = fh_fma(fh_splat(0x1.6a5c5ep-10f), r, fh_splat(0x1.123ae4p-7f));
  p = fh_fma(p, r, fh_splat(0x1.5558a4p-5f));
  p = fh_fma(p, r, fh_splat(0x1.55549p-3f));
  p = fh_fma(p, r, fh_splat(0x1.fffffcp-2f));
  p = fh_fma(p, r, fh_splat(1.0f));
  return fh_fma(p, r, fh_splat(1.0f));
}

FH_INLINE fh_vf fh_exp(fh_vf x) {
  const fh_vf c = fh_max(fh_splat(-104.0f), fh_min(fh_splat(89.0f), x));
  const fh_vf n = fh_sub(fh_exp_rounded(c), fh_splat(FH_EXP_MAGIC));
  return fh_scale(fh_exp_polynomial(fh_exp_rest(c, n)), n);
}

/* 2^f for |f| <= 1/2, relative error 2^-28, and 2^e for e and the result well inside the normal range: not for a NaN. */
FH_INLINE fh_vf fh_exp2_polynomial(fh_vf f) {
  fh_vf p = fh_fma(fh_splat(0x1.3fad5ep-13f), f, fh_splat(0x1.5f0ca8p-10f));
  p = fh_fma(p, f, fh_splat(0x1.3b3096p-7f));
  p = fh_fma(p, f, fh_splat(0x1.c6af74p-5f));
  p = fh_fma(p, f, fh_splat(0x1.ebfbd8p-3f));
  p = fh_fma(p, f, fh_splat(0x1.62e43p-1f));
  return fh_fma(p, f, fh_splat(1.0f));
}
FH_INLINE fh_vf fh_raise(fh_vf p, fh_vf t) { return fh_as_f(fh_add_i(fh_as_i(p), fh_shl_i(fh_as_i(t), 23))); }

/* ---- log ----
 * x = 2^e m, sqrt(1/2) <= m < sqrt(2); log x = e ln 2 + log m, log(1 + f) = f + f^2 q(f), q of degree 8, relative error 2^-27. Denormals
 * are scaled by 2^23 first, which the last operand takes back. */
FH_INLINE fh_vf fh_log_of_normal(fh_vf x, fh_vf scaled_by) {
  const fh_vi e = fh_sar_i(fh_sub_i(fh_as_i(x), fh_splat_i(0x3f3504f3)), 23);
  const fh_vf f = fh_sub(fh_as_f(fh_sub_i(fh_as_i(x), fh_shl_i(e, 23))), fh_splat(1.0f));
  const fh_vf n = fh_sub(fh_to_f(e), scaled_by);
  fh_vf q = fh_fma(fh_splat(-0x1.38472ap-4f), f, fh_splat(0x1.0860cep-3f));
  q = fh_fma(q, f, fh_splat(-0x1.0f3fa6p-3f));
  q = fh_fma(q, f, fh_splat(0x1.226dfcp-3f));
  q = fh_fma(q, f, fh_splat(-0x1.5425c4p-3f));
  q = fh_fma(q, f, fh_splat(0x1.99a41ap-3f));
  q = fh_fma(q, f, fh_splat(-0x1.000432p-2f));
  q = fh_fma(q, f, fh_splat(0x1.55555p-2f));
  q = fh_fma(q, f, fh_splat(-0x1.fffff8p-2f));
  const fh_vf rest = fh_fma(fh_mul(f, f), q, fh_mul(n, fh_splat(-0x1.05c610p-29f)));
  return fh_fma(n, fh_splat(0x1.62e430p-1f), fh_add(f, rest));
}

FH_OUTLINE fh_vf fh_log_of_any(fh_vf x) {
  const fh_vm small = fh_lt(x, fh_splat(0x1p-126f));
  fh_vf y = fh_log_of_normal(fh_select(small, fh_mul(x, fh_splat(0x1p23f)), x), fh_select(small, fh_splat(23.0f), fh_splat(0.0f)));
  y = fh_select(fh_lt(x, fh_splat(FH_INFINITY)), y, x); /* inf and NaN are their own logarithms */
  y = fh_select(fh_eq(x, fh_splat(0.0f)), fh_splat(-FH_INFINITY), y);
  return fh_select(fh_lt(x, fh_splat(0.0f)), fh_splat(FH_NAN), y);
}

FH_INLINE fh_vf fh_log(fh_vf x) {
  const fh_vm normal = fh_and_m(fh_ge(x, fh_splat(0x1p-126f)), fh_lt(x, fh_splat(FH_INFINITY)));
  if (fh_any(fh_not_m(normal))) return fh_log_of_any(x);
  return fh_log_of_normal(x, fh_splat(0.0f));
}

/* ---- tanh ----
 * |x| < 0.55: x + x^3 p(x^2), p of degree 4, relative error 2^-29; else 1 - 2 / (exp(2 |x|) + 1), which is 1 from 10 on. */
FH_INLINE fh_vf fh_tanh(fh_vf x) {
  const fh_vf a = fh_abs(x), s = fh_mul(a, a);
  fh_vf p = fh_fma(fh_splat(-0x1.958c74p-8f), s, fh_splat(0x1.584238p-6f));
  p = fh_fma(p, s, fh_splat(-0x1.b90a76p-5f));
  p = fh_fma(p, s, fh_splat(0x1.110c7p-3f));
  p = fh_fma(p, s, fh_splat(-0x1.555548p-2f));
  const fh_vf near = fh_fma(fh_mul(a, s), p, a);
  const fh_vf b = fh_min(fh_splat(10.0f), a), twice = fh_splat(0x1.715476p+1f), magic = fh_splat(FH_MAGIC);
  const fh_vf t = fh_fma(b, twice, magic), f = fh_fma(b, twice, fh_sub(magic, t));
  const fh_vf e = fh_raise(fh_exp2_polynomial(f), t);
  const fh_vf far = fh_sub(fh_splat(1.0f), fh_div(fh_splat(2.0f), fh_add(e, fh_splat(1.0f))));
  return fh_with_sign(fh_select(fh_ge(a, fh_splat(0.55f)), far, near), x); /* near for a NaN, too */
}

/* ---- sigmoid, silu, gelu by tanh ----
 * All from z = exp(-|w|) <= 1: sigmoid(w) = 1 / (1 + z), or z / (1 + z) for w < 0, which keeps the relative error of the tail. */
FH_INLINE fh_vf fh_sigmoid(fh_vf x) {
  const fh_vf one = fh_splat(1.0f), z = fh_exp(fh_neg(fh_abs(x)));
  return fh_div(fh_select(fh_lt(x, fh_splat(0.0f)), z, one), fh_add(one, z));
}

/* x sigmoid(w) from p 2^n = exp(-|w|), w of the sign of x. The power of two comes last, so that a small result rounds once. */
FH_INLINE fh_vf fh_times_sigmoid(fh_vf x, fh_vf p, fh_vf n) {
  const fh_vm negative = fh_lt(x, fh_splat(0.0f));
  const fh_vf from = fh_max(fh_splat(-200.0f), x); /* -inf times 0 would not be 0 */
  const fh_vf q = fh_div(fh_select(negative, fh_mul(from, p), from), fh_add(fh_splat(1.0f), fh_scale(p, n)));
  return fh_scale(q, fh_select(negative, n, fh_splat(0.0f)));
}

FH_INLINE fh_vf fh_silu(fh_vf x) {
  const fh_vf c = fh_max(fh_splat(-150.0f), fh_neg(fh_abs(x)));
  const fh_vf n = fh_sub(fh_exp_rounded(c), fh_splat(FH_EXP_MAGIC));
  return fh_times_sigmoid(x, fh_exp_polynomial(fh_exp_rest(c, n)), n);
}

/* gelu by tanh is x sigmoid(w), w = x (c + d x^2) ln 2, c = sqrt(8 / pi) / ln 2, d = 0.044715 c. An error of w is one of the result |w|
 * times as large, so w has two parts: c's first has 20 bits, and its difference to the sum is exact. Past |x| = 12 nothing changes. */
FH_INLINE fh_vf fh_gelu_tanh(fh_vf x) {
  const fh_vf a = fh_min(fh_splat(12.0f), fh_abs(x)), c = fh_splat(0x1.26aecp+1f), d = fh_splat(0x1.a5a7dp-4f);
  const fh_vf s = fh_mul(a, a), s_rest = fh_fma(a, a, fh_neg(s));
  const fh_vf t = fh_fma(d, s, c), t_error = fh_fma(d, s, fh_sub(c, t));
  const fh_vf t_rest = fh_fma(d, s_rest, fh_fma(fh_splat(-0x1.151aaep-29f), s, fh_add(t_error, fh_splat(0x1.0de73ap-22f))));
  const fh_vf w = fh_mul(a, t), w_rest = fh_fma(a, t_rest, fh_fma(a, t, fh_neg(w)));
  const fh_vf n = fh_sub(fh_splat(FH_MAGIC), fh_add(w, fh_splat(FH_MAGIC))); /* -round(w) */
  const fh_vf f = fh_neg(fh_add(fh_add(w, n), w_rest));
  return fh_times_sigmoid(x, fh_exp2_polynomial(f), n);
}

/* ---- gelu ----
 * x Phi(x), Phi(-a) = exp(-a^2 / 2) R(a), R the scaled complementary error function, erfcx(a / sqrt 2) / 2, as a minimax quotient of
 * polynomials of degrees 4 and 5 with positive coefficients, relative error 2^-26.6 up to 14.6. R(0) is 1/2 exactly. a^2 has two parts for
 * the same reason as above; -r is twice the usual rest, which the coefficients of the polynomial for exp make good. */
FH_INLINE fh_vf fh_gelu(fh_vf x) {
  const fh_vf one = fh_splat(1.0f), zero = fh_splat(0.0f), magic = fh_splat(FH_MAGIC), a = fh_min(fh_splat(15.0f), fh_abs(x));
  const fh_vf s = fh_mul(a, a), s_rest = fh_fma(a, a, fh_neg(s));
  const fh_vf n = fh_sub(fh_fma(s, fh_splat(-0x1.715476p-1f), magic), magic);
  const fh_vf r = fh_add(fh_fma(n, fh_splat(-0x1.05c610p-28f), fh_fma(n, fh_splat(0x1.62e430p+0f), s)), s_rest);
  fh_vf e = fh_fma(fh_splat(0x1.6a5c5ep-16f), r, fh_splat(-0x1.123ae4p-12f));
  e = fh_fma(e, r, fh_splat(0x1.5558a4p-9f));
  e = fh_fma(e, r, fh_splat(-0x1.55549p-6f));
  e = fh_fma(e, r, fh_splat(0x1.fffffcp-4f));
  e = fh_fma(e, r, fh_splat(-0.5f));
  e = fh_fma(e, r, one);
  fh_vf p = fh_fma(fh_splat(0x1.0e426p-8f), a, fh_splat(0x1.4d4808p-5f));
  p = fh_fma(p, a, fh_splat(0x1.779288p-3f));
  p = fh_fma(p, a, fh_splat(0x1.c10548p-2f));
  p = fh_fma(p, a, fh_splat(0.5f));
  fh_vf q = fh_fma(fh_splat(0x1.52b744p-7f), a, fh_splat(0x1.a1bb82p-4f));
  q = fh_fma(q, a, fh_splat(0x1.e12492p-2f));
  q = fh_fma(q, a, fh_splat(0x1.33fffcp+0f));
  q = fh_fma(q, a, fh_splat(0x1.acc4d4p+0f));
  q = fh_fma(q, a, one);
  const fh_vm right = fh_ge(x, zero);
  const fh_vf tail = fh_div(fh_mul(e, p), q); /* Phi(-a) = tail 2^n */
  const fh_vf y = fh_scale(fh_select(right, tail, fh_mul(fh_neg(a), tail)), n);
  return fh_select(right, fh_mul(x, fh_sub(one, y)), y);
}

/* ---- erf ----
 * |x| < 0.85: x + x p(x^2), p of degree 5, relative error 2^-27; else 1 - 2^g(|x|), g of degree 7 the minimax polynomial of
 * log2(erfc) for the error of erf, 2^-27. It is 1 from 4 on. */
FH_INLINE fh_vf fh_erf(fh_vf x) {
  const fh_vf a = fh_abs(x), s = fh_mul(a, a), b = fh_min(fh_splat(4.0f), a);
  fh_vf p = fh_fma(fh_splat(-0x1.4c57ap-11f), s, fh_splat(0x1.4b57d8p-8f));
  p = fh_fma(p, s, fh_splat(-0x1.b730dep-6f));
  p = fh_fma(p, s, fh_splat(0x1.ce2512p-4f));
  p = fh_fma(p, s, fh_splat(-0x1.812724p-2f));
  p = fh_fma(p, s, fh_splat(0x1.06eba8p-3f));
  fh_vf g = fh_fma(fh_splat(-0x1.e4846p-16f), b, fh_splat(0x1.3f548p-11f));
  g = fh_fma(g, b, fh_splat(-0x1.84d37p-8f));
  g = fh_fma(g, b, fh_splat(0x1.271506p-5f));
  g = fh_fma(g, b, fh_splat(-0x1.3f3f86p-3f));
  g = fh_fma(g, b, fh_splat(-0x1.d3fabcp-1f));
  g = fh_fma(g, b, fh_splat(-0x1.a12082p0f));
  g = fh_fma(g, b, fh_splat(0x1.d373e8p-13f));
  const fh_vf magic = fh_splat(FH_MAGIC), t = fh_add(g, magic);
  const fh_vf far = fh_sub(fh_splat(1.0f), fh_raise(fh_exp2_polynomial(fh_sub(g, fh_sub(t, magic))), t));
  return fh_with_sign(fh_select(fh_ge(a, fh_splat(0.85f)), far, fh_fma(a, p, a)), x); /* near for a NaN, too */
}

/* ---- sin, cos ----
 * |x| = n pi / 2 + r, |r| <= pi / 4: below 2^17 by Cody and Waite with pi / 2 in three floats (72 bits); above by Payne and Hanek
 * (Radian reduction for trigonometric functions, 1983) with whole numbers, lane by lane. r has two parts, so that its own rounding does not
 * count. sin r to degree 7, relative error 2^-27; cos r to degree 8, 2^-32. */
#define FH_TRIG_FAST 0x1p17f

/* |x| 2 / pi modulo 4 for FH_TRIG_FAST <= x: the 96 bits of 2 / pi that count are those whose product with the last bit of x is below 4.
 * The quarter turns are rounded off; what is left, 64 bits of a fraction in [-1/2, 1/2), is multiplied by pi / 2. */
FH_INLINE void fh_reduce_large(float x, float *r, float *r_rest, int *quarters) {
  const unsigned int two_over_pi[8] = {0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};
  const unsigned int bits = (unsigned int)fh_as_i_u(fh_max_u(FH_TRIG_FAST, x));
  const unsigned long m = (bits & 0x7fffffu) | 0x800000u;
  const unsigned int start = (bits >> 23) - 120u, word = start >> 5, shift = start & 31u; /* x = m 2^(start - 30) */
  unsigned long w[3];
  for (unsigned int k = 0; k < 3u; k++) {
    const unsigned long pair = ((unsigned long)two_over_pi[word + k] << 32) | two_over_pi[word + k + 1u];
    w[k] = (pair << shift >> 32) & 0xffffffffu;
  }
  const unsigned long low = m * w[2], middle = m * w[1] + (low >> 32), high = m * w[0] + (middle >> 32);
  const unsigned long turns = (high << 32) | (middle & 0xffffffffu); /* modulo 4, the point behind two bits */
  *quarters = (int)((turns >> 62) + ((turns >> 61) & 1u)) & 3;
  const long fraction = (long)((turns << 2) | ((low >> 30) & 3u)) >> 1; /* times 2^63 */
  const float f = (float)fraction, f_rest = (float)(fraction - (long)f);
  const float product = f * 0x1.921fb6p-63f;
  *r = product;
  *r_rest = fh_fma_u(f, 0x1.921fb6p-63f, -product) + fh_fma_u(f, -0x1.777a5cp-88f, f_rest * 0x1.921fb6p-63f);
}
FH_DEFINE_LANEWISE(fh_reduce_lanes, fh_reduce_large)

/* sin(r + rest) where the quarter is even and cos(r + rest) where it is odd; minus that in the second half of a turn. */
FH_INLINE fh_vf fh_trig_of(fh_vf r, fh_vf rest, fh_vi quarter) {
  const fh_vf s = fh_mul(r, r);
  fh_vf p = fh_fma(fh_splat(-0x1.992464p-13f), s, fh_splat(0x1.1106d6p-7f));
  p = fh_fma(p, s, fh_splat(-0x1.555544p-3f));
  const fh_vf sine = fh_add(r, fh_fma(fh_mul(r, s), p, rest));
  fh_vf q = fh_fma(fh_splat(0x1.99e334p-16f), s, fh_splat(-0x1.6c0c1ep-10f));
  q = fh_fma(q, s, fh_splat(0x1.55554ap-5f));
  q = fh_fma(q, s, fh_splat(-0.5f));
  const fh_vf cosine = fh_add(fh_splat(1.0f), fh_fma(q, s, fh_neg(fh_mul(r, rest))));
  const fh_vm even = fh_eq(fh_as_f(fh_and_i(fh_shl_i(quarter, 30), fh_splat_i(0x40000000))), fh_splat(0.0f));
  const fh_vf y = fh_select(even, sine, cosine);
  return fh_as_f(fh_add_i(fh_as_i(y), fh_and_i(fh_shl_i(quarter, 30), fh_splat_i(FH_SIGN_BIT)))); /* adding the top bit turns it */
}

/* a = |x|; `shift` quarters are added. */
FH_INLINE fh_vf fh_trig_small(fh_vf a, int shift) {
  const fh_vf magic = fh_splat(FH_MAGIC), t = fh_fma(a, fh_splat(0x1.45f306p-1f), magic), n = fh_sub(t, magic);
  const fh_vf first = fh_fma(n, fh_splat(-0x1.921fb6p+0f), a); /* exact */
  const fh_vf second = fh_mul(n, fh_splat(0x1.777a5cp-25f)), second_rest = fh_fma(n, fh_splat(0x1.777a5cp-25f), fh_neg(second));
  const fh_vf r = fh_add(first, second), virtual = fh_sub(r, first);
  const fh_vf lost = fh_add(fh_sub(first, fh_sub(r, virtual)), fh_sub(second, virtual)); /* Knuth's error of the sum */
  const fh_vf rest = fh_add(lost, fh_fma(n, fh_splat(0x1.ee59dap-50f), second_rest));
  return fh_trig_of(r, rest, fh_add_i(fh_as_i(t), fh_splat_i(shift)));
}
/* With a lane that is large or no number; the small ones are computed as always. */
FH_OUTLINE fh_vf fh_trig_any(fh_vf a, int shift) {
  fh_vf r, rest;
  fh_vi quarter;
  fh_reduce_lanes(a, &r, &rest, &quarter);
  r = fh_add(r, fh_sub(a, a)); /* NaN for an infinity or a NaN */
  return fh_select(fh_lt(a, fh_splat(FH_TRIG_FAST)), fh_trig_small(a, shift), fh_trig_of(r, rest, fh_add_i(quarter, fh_splat_i(shift))));
}
FH_INLINE fh_vf fh_trig(fh_vf a, int shift) {
  if (fh_any(fh_not_m(fh_lt(a, fh_splat(FH_TRIG_FAST))))) return fh_trig_any(a, shift);
  return fh_trig_small(a, shift);
}

FH_INLINE fh_vf fh_sin(fh_vf x) { return fh_as_f(fh_add_i(fh_as_i(fh_trig(fh_abs(x), 0)), fh_and_i(fh_as_i(x), fh_splat_i(FH_SIGN_BIT)))); }
FH_INLINE fh_vf fh_cos(fh_vf x) { return fh_trig(fh_abs(x), 1); }

#endif /* FOGHORN_KERNELS_DIALECT_MATHS_H_ */
