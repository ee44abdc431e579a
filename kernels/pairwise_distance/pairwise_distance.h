/* Operands of pairwise_distance as its entries get them. SPDX-License-Identifier: Apache-2.0
 *
 * The order is the order of parameters in pairwise_distance.k. Strides count elements and may be zero (inputs) or negative.
 */
#ifndef FOGHORN_KERNELS_PAIRWISE_DISTANCE_PAIRWISE_DISTANCE_H_
#define FOGHORN_KERNELS_PAIRWISE_DISTANCE_PAIRWISE_DISTANCE_H_

#include "kernels/contract.h"
#include "kernels/tile/pairs.h"

enum {
  FH_PAIRWISE_X,
  FH_PAIRWISE_Y,
  FH_PAIRWISE_OUT,
  FH_PAIRWISE_M,
  FH_PAIRWISE_N,
  FH_PAIRWISE_D,
  FH_PAIRWISE_METRIC,
  FH_PAIRWISE_BLOCKS,
  FH_PAIRWISE_X_STRIDES,                               /* row, column */
  FH_PAIRWISE_Y_STRIDES = FH_PAIRWISE_X_STRIDES + 2,   /* row, column */
  FH_PAIRWISE_OUT_STRIDES = FH_PAIRWISE_Y_STRIDES + 2, /* row, column */
  FH_PAIRWISE_SLOTS = FH_PAIRWISE_OUT_STRIDES + 2,
};

/* The tuned entry (pairwise_team.c) with the tiles of one instruction set, and the scratch it wants. */
void fh_pairwise_run(const fh_pairs_set *tiles, const fh_slot *slots, const fh_team *team);
size_t fh_pairwise_scratch(const fh_pairs_set *tiles, const fh_bound *bound, int team_size);

#endif /* FOGHORN_KERNELS_PAIRWISE_DISTANCE_PAIRWISE_DISTANCE_H_ */
