/* Sixteen elements of a row of A B, in the order of accumulation that kernels/matmul.h states. SPDX-License-Identifier: Apache-2.0
 */
#ifndef FOGHORN_KERNELS_DIALECT_PRODUCT_H_
#define FOGHORN_KERNELS_DIALECT_PRODUCT_H_

#define FH_PRODUCT_STEPS 256 /* FH_FH_PRODUCT_STEPS of matmul.h */

/* One block of k, for 16 columns and for those below n. */
FH_INLINE fh_vf fh_product_block(fh_f32_in a, long as, fh_f32_in b, long bs1, long bs, long j, long steps) {
  fh_vf sum = fh_splat(0.0f);
  for (long l = 0; l < steps; l++) sum = fh_fma(fh_splat(fh_get(a, l * as)), fh_load(b + l * bs1, j, bs), sum);
  return sum;
}
FH_INLINE fh_vf fh_product_block_part(fh_f32_in a, long as, fh_f32_in b, long bs1, long bs, long j, long n, long steps) {
  fh_vf sum = fh_splat(0.0f);
  for (long l = 0; l < steps; l++) sum = fh_fma(fh_splat(fh_get(a, l * as)), fh_load_part(b + l * bs1, j, n, bs, 0.0f), sum);
  return sum;
}

FH_INLINE long fh_product_steps(long k, long l) { return k - l < FH_PRODUCT_STEPS ? k - l : FH_PRODUCT_STEPS; }

FH_INLINE fh_vf fh_product_full(fh_f32_in a, long as, fh_f32_in b, long bs1, long bs, long j, long k) {
  fh_vf sum = fh_product_block(a, as, b, bs1, bs, j, fh_product_steps(k, 0));
  for (long l = FH_PRODUCT_STEPS; l < k; l += FH_PRODUCT_STEPS)
    sum = fh_add(sum, fh_product_block(a + l * as, as, b + l * bs1, bs1, bs, j, fh_product_steps(k, l)));
  return sum;
}
FH_INLINE fh_vf fh_product_part(fh_f32_in a, long as, fh_f32_in b, long bs1, long bs, long j, long n, long k) {
  fh_vf sum = fh_product_block_part(a, as, b, bs1, bs, j, n, fh_product_steps(k, 0));
  for (long l = FH_PRODUCT_STEPS; l < k; l += FH_PRODUCT_STEPS)
    sum = fh_add(sum, fh_product_block_part(a + l * as, as, b + l * bs1, bs1, bs, j, n, fh_product_steps(k, l)));
  return sum;
}

/* Columns j to j + 15 of n; those past n are +0. */
FH_INLINE fh_vf fh_product(fh_f32_in a, long as, fh_f32_in b, long bs1, long bs, long j, long n, long k) {
  if (j + 16 > n) return fh_product_part(a, as, b, bs1, bs, j, n, k);
  if (bs == 1) return fh_product_full(a, as, b, bs1, 1, j, k);
  return fh_product_full(a, as, b, bs1, bs, j, k);
}

#endif /* FOGHORN_KERNELS_DIALECT_PRODUCT_H_ */
