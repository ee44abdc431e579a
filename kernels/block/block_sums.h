/* Sums of blocks of k, which one launch leaves in scratch and the next adds. SPDX-License-Identifier: Apache-2.0
 *
 * Each is a chain of its own. They lie as [product][block of k][row][line]: lines are those that the launch before had neighbouring threads
 * on. */
#ifndef FOGHORN_KERNELS_BLOCK_BLOCK_SUMS_H_
#define FOGHORN_KERNELS_BLOCK_BLOCK_SUMS_H_

#define FH_SUMS_STEPS 256 /* of k in a block: FH_MATMUL_STEPS of kernels/matmul.h */
#define FH_SUMS_THREADS 256

FH_INLINE long fh_sums_blocks(long k) { return k > FH_SUMS_STEPS ? (k + FH_SUMS_STEPS - 1) / FH_SUMS_STEPS : 1; }

/* Of one product, in order: a thread has an element, neighbours neighbouring lines. All blocks of the first two dimensions share them. */
FH_INLINE void fh_sums_add(fh_f32_in sums, fh_f32_out c, long blocks, long rows, long lines, long c_row, long c_line) {
  const long count = rows * lines, first = fh_block(1) * fh_blocks(0) + fh_block(0), all = fh_blocks(0) * fh_blocks(1);
  for (long e = first * FH_SUMS_THREADS + fh_thread(); e < count; e += all * FH_SUMS_THREADS) {
    float total = sums[e];
    for (long i = 1; i < blocks; i++) total = fh_add_u(total, sums[i * count + e]);
    c[e / lines * c_row + e % lines * c_line] = total;
  }
}
/* The same of whole numbers, modulo 2^32. */
FH_INLINE void fh_sums_add_i(fh_i32_in sums, fh_i32_out c, long blocks, long rows, long lines, long c_row, long c_line) {
  const long count = rows * lines, first = fh_block(1) * fh_blocks(0) + fh_block(0), all = fh_blocks(0) * fh_blocks(1);
  for (long e = first * FH_SUMS_THREADS + fh_thread(); e < count; e += all * FH_SUMS_THREADS) {
    uint total = (uint)sums[e];
    for (long i = 1; i < blocks; i++) total += (uint)sums[i * count + e];
    c[e / lines * c_row + e % lines * c_line] = (int)total;
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_BLOCK_SUMS_H_ */
