/* Operands of matmul as its entries get them. SPDX-License-Identifier: Apache-2.0
 *
 * The order is the order of parameters in matmul.k. Strides count elements and may be zero or negative.
 * Dialect items: batch * m * ceil(n / 16); item = (batch * m + row) * ceil(n / 16) + block of 16 columns.
 *
 * The order of accumulation, for every variant, shape, layout and number of threads: k is cut into blocks of FH_MATMUL_STEPS
 * (the last may be shorter). A block's sum is one chain of fused multiply-adds in order of l, s = fma(a[i,l], b[l,j], s) from s = +0.
 * An element of C is the first block's sum, to which the others are added in order of their blocks, each rounded once. So the
 * result is exact, element by element: it depends on its row of A, its column of B and k, and on nothing else.
 */
#ifndef FOGHORN_KERNELS_MATMUL_MATMUL_H_
#define FOGHORN_KERNELS_MATMUL_MATMUL_H_

#include "kernels/contract.h"

enum { FH_MATMUL_STEPS = 256 };

enum {
  FH_MATMUL_A,
  FH_MATMUL_B,
  FH_MATMUL_C,
  FH_MATMUL_BATCH,
  FH_MATMUL_M,
  FH_MATMUL_N,
  FH_MATMUL_K,
  FH_MATMUL_A_STRIDES, /* three each: batch, row, column */
  FH_MATMUL_B_STRIDES = FH_MATMUL_A_STRIDES + 3,
  FH_MATMUL_C_STRIDES = FH_MATMUL_B_STRIDES + 3,
  FH_MATMUL_SLOTS = FH_MATMUL_C_STRIDES + 3,
};

/* The tuned entries (matmul_tile.h) and the scratch they want. */
void fh_matmul_avx2(const fh_slot *slots, const fh_team *team);
void fh_matmul_avx512(const fh_slot *slots, const fh_team *team);
size_t fh_matmul_scratch_avx2(const fh_bound *bound, int team_size);
size_t fh_matmul_scratch_avx512(const fh_bound *bound, int team_size);

#endif /* FOGHORN_KERNELS_MATMUL_MATMUL_H_ */
