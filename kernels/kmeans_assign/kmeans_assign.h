/* Operands of kmeans_assign as its entries get them. SPDX-License-Identifier: Apache-2.0
 *
 * The order is the order of parameters in kmeans_assign.k. Strides count elements and may be zero (inputs) or
 * negative. Dialect items: n, one row of x each.
 */
#ifndef FOGHORN_KERNELS_KMEANS_ASSIGN_KMEANS_ASSIGN_H_
#define FOGHORN_KERNELS_KMEANS_ASSIGN_KMEANS_ASSIGN_H_

#include "kernels/contract.h"

enum {
  FH_ASSIGN_X,
  FH_ASSIGN_C,
  FH_ASSIGN_LABELS,
  FH_ASSIGN_DISTANCES,
  FH_ASSIGN_N,
  FH_ASSIGN_D,
  FH_ASSIGN_K,
  FH_ASSIGN_X_STRIDES,                               /* row, column */
  FH_ASSIGN_C_STRIDES = FH_ASSIGN_X_STRIDES + 2,     /* row, column */
  FH_ASSIGN_LABELS_STRIDE = FH_ASSIGN_C_STRIDES + 2, /* one */
  FH_ASSIGN_DISTANCES_STRIDE,                        /* one */
  FH_ASSIGN_SLOTS,
};

/* The tuned entries (kmeans_assign_tile.h) and the scratch they want. */
void fh_kmeans_assign_avx2(const fh_slot *slots, const fh_team *team);
void fh_kmeans_assign_avx512(const fh_slot *slots, const fh_team *team);
size_t fh_kmeans_assign_scratch_avx2(const fh_bound *bound, int team_size);
size_t fh_kmeans_assign_scratch_avx512(const fh_bound *bound, int team_size);

#endif /* FOGHORN_KERNELS_KMEANS_ASSIGN_KMEANS_ASSIGN_H_ */
