/* The logarithm of a mel energy, for lanes and for the number of a thread. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_DIALECT_MEL_H_
#define FOGHORN_KERNELS_DIALECT_MEL_H_

/* log(x) for a normal x > 0: x = 2^e m, sqrt(1/2) <= m < sqrt(2), log(1 + f) = f + f^2 q(f), q a minimax polynomial of degree 8, relative
 * error 2^-27. Infinity and NaN are their own logarithms. */
FH_INLINE fh_vf log_mel_log(fh_vf x) {
  const fh_vi e = fh_sar_i(fh_sub_i(fh_as_i(x), fh_splat_i(0x3f3504f3)), 23);
  const fh_vf f = fh_sub(fh_as_f(fh_sub_i(fh_as_i(x), fh_shl_i(e, 23))), fh_splat(1.0f)), n = fh_to_f(e);
  fh_vf q = fh_add(fh_mul(fh_splat(-0x1.38472ap-4f), f), fh_splat(0x1.0860cep-3f));
  q = fh_add(fh_mul(q, f), fh_splat(-0x1.0f3fa6p-3f));
  q = fh_add(fh_mul(q, f), fh_splat(0x1.226dfcp-3f));
  q = fh_add(fh_mul(q, f), fh_splat(-0x1.5425c4p-3f));
  q = fh_add(fh_mul(q, f), fh_splat(0x1.99a41ap-3f));
  q = fh_add(fh_mul(q, f), fh_splat(-0x1.000432p-2f));
  q = fh_add(fh_mul(q, f), fh_splat(0x1.55555p-2f));
  q = fh_add(fh_mul(q, f), fh_splat(-0x1.fffff8p-2f));
  const fh_vf rest = fh_add(fh_mul(fh_mul(f, f), q), fh_mul(n, fh_splat(-0x1.05c610p-29f)));
  return fh_select(fh_lt(x, fh_splat(FH_INFINITY)), fh_add(fh_mul(n, fh_splat(0x1.62e430p-1f)), fh_add(f, rest)), x);
}

#endif /* FOGHORN_KERNELS_DIALECT_MEL_H_ */
