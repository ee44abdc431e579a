/* Operands of topk as its entries get them. SPDX-License-Identifier: Apache-2.0
 *
 * The order is the order of parameters of topk_scan in topk.k. Strides count elements and may be zero (inputs) or negative.
 */
#ifndef FOGHORN_KERNELS_TOPK_TOPK_H_
#define FOGHORN_KERNELS_TOPK_TOPK_H_

#include "kernels/contract.h"
#include "kernels/tile/pairs.h"

enum {
  FH_TOPK_Q,
  FH_TOPK_X,
  FH_TOPK_VALUES,
  FH_TOPK_INDEXES,
  FH_TOPK_LIST,   /* what the scan writes: one list per query and chunk; without chunks VALUES */
  FH_TOPK_PLACES, /* and INDEXES */
  FH_TOPK_M,
  FH_TOPK_N,
  FH_TOPK_D,
  FH_TOPK_K,
  FH_TOPK_SIGN,
  FH_TOPK_CHUNKS,
  FH_TOPK_CHUNK_ROWS,
  FH_TOPK_Q_STRIDES,                                    /* row, column */
  FH_TOPK_X_STRIDES = FH_TOPK_Q_STRIDES + 2,            /* row, column */
  FH_TOPK_VALUES_STRIDES = FH_TOPK_X_STRIDES + 2,       /* row, column */
  FH_TOPK_INDEXES_STRIDES = FH_TOPK_VALUES_STRIDES + 2, /* row, column */
  FH_TOPK_LIST_STRIDES = FH_TOPK_INDEXES_STRIDES + 2,   /* list, place */
  FH_TOPK_PLACES_STRIDES = FH_TOPK_LIST_STRIDES + 2,    /* list, place */
  FH_TOPK_SLOTS = FH_TOPK_PLACES_STRIDES + 2,
};

/* The tuned entry (topk_team.c) with them, and the scratch it wants. */
void fh_topk_run(const fh_pairs_set *tiles, const fh_slot *slots, const fh_team *team);
size_t fh_topk_scratch(const fh_pairs_set *tiles, const fh_bound *bound, int team_size);

#endif /* FOGHORN_KERNELS_TOPK_TOPK_H_ */
