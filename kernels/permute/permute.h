/* Operands of permute as its entries get them. SPDX-License-Identifier: Apache-2.0
 *
 * The order is the order of parameters in permute.k. Strides count elements and may be zero (of x) or negative. */
#ifndef FOGHORN_KERNELS_PERMUTE_PERMUTE_H_
#define FOGHORN_KERNELS_PERMUTE_PERMUTE_H_

#include "kernels/contract.h"

enum {
  FH_PERMUTE_X,
  FH_PERMUTE_Y,
  FH_PERMUTE_NA, /* extents: of the outer dimensions a and b, of i and of j */
  FH_PERMUTE_NB,
  FH_PERMUTE_NI,
  FH_PERMUTE_NJ,
  FH_PERMUTE_TI,
  FH_PERMUTE_TJ,
  FH_PERMUTE_STREAM,
  FH_PERMUTE_X_STRIDES, /* four each: of a, b, i, j */
  FH_PERMUTE_Y_STRIDES = FH_PERMUTE_X_STRIDES + 4,
  FH_PERMUTE_SLOTS = FH_PERMUTE_Y_STRIDES + 4,
};

/* The tuned entries (permute_simd.h) with them. */
void fh_permute_avx2(const fh_slot *slots, const fh_team *team);
void fh_permute_avx512(const fh_slot *slots, const fh_team *team);
void fh_permute_neon(const fh_slot *slots, const fh_team *team);

#endif /* FOGHORN_KERNELS_PERMUTE_PERMUTE_H_ */
