/* What the texts of the selective scan share: the step of a sample, and the decay of a state in it. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_DIALECT_SCAN_H_
#define FOGHORN_KERNELS_DIALECT_SCAN_H_

/* log(1 + e^x) = max(x, 0) + log1p(e^-|x|); log1p(z) = z log(w) / (w - 1), w = 1 + z rounded, in which the error of w cancels (Kahan). */
FH_INLINE fh_vf scan_softplus(fh_vf x) {
  const fh_vf one = fh_splat(1.0f), z = fh_exp_negative(fh_neg(fh_abs(x))), w = fh_add(one, z);
  const fh_vf log1p = fh_select(fh_eq(w, one), z, fh_div(fh_mul(z, fh_log_of_normal(w, fh_splat(0.0f))), fh_sub(w, one)));
  return fh_add(fh_max(fh_splat(0.0f), x), log1p);
}

/* As fh_exp_negative, which is right up to 88.37, too; above that it is infinite. */
FH_INLINE fh_vf scan_exp(fh_vf x) { return fh_exp_negative(fh_min(fh_splat(89.0f), x)); }

#endif /* FOGHORN_KERNELS_DIALECT_SCAN_H_ */
