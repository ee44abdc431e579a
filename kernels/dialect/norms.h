/* Rows scaled by what their sum gives, in the dialect: what layer_norm, rms_norm, l2_normalize and softmax are made of.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_DIALECT_NORMS_H_
#define FOGHORN_KERNELS_DIALECT_NORMS_H_

/* ---- factors, lane by lane ---- */
FH_INLINE fh_vf fh_mean_of_sum(fh_vf sum, long d) { return fh_div(sum, fh_splat((float)d)); }
FH_INLINE fh_vf fh_reciprocal(fh_vf v) { return fh_div(fh_splat(1.0f), v); }
FH_INLINE fh_vf fh_by_mean_square(fh_vf squares, long d, float eps) {
  return fh_reciprocal(fh_sqrt(fh_add(fh_mean_of_sum(squares, d), fh_splat(eps))));
}
/* In this order a NaN norm stays. */
FH_INLINE fh_vf fh_by_length(fh_vf squares, float eps) { return fh_reciprocal(fh_max(fh_splat(eps), fh_sqrt(squares))); }

/* ---- results ----
 * What is done beside the product: bits of `form`. */
enum { FH_NORM_CENTRED = 1, FH_NORM_GAMMA = 2, FH_NORM_BETA = 4, FH_LAYER_NORM = 7, FH_RMS_NORM = 2, FH_JUST_SCALED = 0 };

FH_INLINE fh_vf fh_normalised(int form, fh_vf v, fh_vf mean, fh_vf by, fh_vf gamma, fh_vf beta) {
  const fh_vf scaled = fh_mul(form & FH_NORM_CENTRED ? fh_sub(v, mean) : v, by);
  const fh_vf weighted = form & FH_NORM_GAMMA ? fh_mul(scaled, gamma) : scaled;
  return form & FH_NORM_BETA ? fh_add(weighted, beta) : weighted;
}

/* ---- softmax ---- */

/* The largest of each lane's elements. A NaN does not enter; it makes the sum NaN, and so the row. */
FH_INLINE fh_vf fh_largest_lanes(fh_f32_in x, long xs, long d) {
  const fh_vf low = fh_splat(-FH_INFINITY);
  fh_vf m0 = low, m1 = low, m2 = low, m3 = low;
  long i = 0;
  for (; i + 64 <= d; i += 64) {
    m0 = fh_max(fh_load(x, i, xs), m0);
    m1 = fh_max(fh_load(x, i + 16, xs), m1);
    m2 = fh_max(fh_load(x, i + 32, xs), m2);
    m3 = fh_max(fh_load(x, i + 48, xs), m3);
  }
  for (; i + 16 <= d; i += 16) m0 = fh_max(fh_load(x, i, xs), m0);
  if (i < d) m1 = fh_max(fh_load_part(x, i, d, xs, -FH_INFINITY), m1);
  return fh_max4(m0, m1, m2, m3);
}

/* y = exp(x - max), and the sum of each lane. */
FH_INLINE fh_vf fh_exp_lanes(fh_f32_in x, long xs, fh_f32_out y, long ys, long d, float max) {
  const fh_vf m = fh_splat(max);
  fh_vf s0 = fh_splat(0.0f), s1 = s0;
  long i = 0;
  for (; i + 32 <= d; i += 32) {
    const fh_vf e0 = fh_exp_negative(fh_sub(fh_load(x, i, xs), m));
    const fh_vf e1 = fh_exp_negative(fh_sub(fh_load(x, i + 16, xs), m));
    fh_store(y, i, ys, e0);
    fh_store(y, i + 16, ys, e1);
    s0 = fh_add(s0, e0);
    s1 = fh_add(s1, e1);
  }
  if (i + 16 <= d) {
    const fh_vf e = fh_exp_negative(fh_sub(fh_load(x, i, xs), m));
    fh_store(y, i, ys, e);
    s0 = fh_add(s0, e);
    i += 16;
  }
  if (i < d) {
    const fh_vf e = fh_exp_negative(fh_sub(fh_load_part(x, i, d, xs, max), m));
    fh_store_part(y, i, d, ys, e);
    s1 = fh_add(s1, fh_select(fh_lane_below(d - i), e, fh_splat(0.0f)));
  }
  return fh_add(s0, s1);
}

#endif /* FOGHORN_KERNELS_DIALECT_NORMS_H_ */
