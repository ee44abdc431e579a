/* Operands of kmeans_assign and of kmeans_step's first stage as their entries get them. SPDX-License-Identifier: Apache-2.0
 *
 * The order is the order of parameters in the .k texts. Strides count elements and may be zero (inputs) or
 * negative. Dialect items: n, one row of x each.
 */
#ifndef FOGHORN_KERNELS_TILE_ASSIGN_H_
#define FOGHORN_KERNELS_TILE_ASSIGN_H_

#include "kernels/contract.h"
#include "kernels/tables.h"

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
  /* kmeans_step goes on */
  FH_STEP_SUMS = FH_ASSIGN_SLOTS,
  FH_STEP_COUNTS,
  FH_STEP_PARTIAL, /* chunks x k x padded: sums of each chunk of rows */
  FH_STEP_TALLY,   /* chunks x k */
  FH_STEP_PADDED,
  FH_STEP_CHUNKS,
  FH_STEP_CHUNK_ROWS,
  FH_STEP_SUMS_STRIDES,                             /* row, column */
  FH_STEP_COUNTS_STRIDE = FH_STEP_SUMS_STRIDES + 2, /* one */
  FH_STEP_SLOTS,
};

/* Block texts (block/nearest.h): rows of a tile and of a block for few centroids, and from how many centroids on tiles are for. */
enum { FH_NEAREST_TILE = 128, FH_NEAREST_FEW_ROWS = 32, FH_NEAREST_MANY = 32 };
#define FH_NEAREST_TOO_FEW "fewer than 32 centroids leave most of a tile empty"
#define FH_NEAREST_TOO_MANY "32 centroids and more are compared by tiles"

/* The tuned entries (assign_simd.h) and the scratch that both of a type want. */
#define FH_ASSIGN_ENTRIES(isa)                                          \
  FH_TUNED_ENTRY(kmeans_assign, isa)                                    \
  FH_TUNED_ENTRY(kmeans_assign_f64, isa)                                \
  void fh_kmeans_step_##isa(const fh_slot *slots, const fh_team *team); \
  void fh_kmeans_step_f64_##isa(const fh_slot *slots, const fh_team *team);
FH_ASSIGN_ENTRIES(avx2)
FH_ASSIGN_ENTRIES(avx512)
FH_ASSIGN_ENTRIES(neon)
#undef FH_ASSIGN_ENTRIES

/* The entry of an instruction set and its scratch for a contract's elements, as an fh_tuned has them. */
#ifdef FH_OF_DOUBLES
#define FH_ASSIGN_TUNED(kernel, isa) fh_##kernel##_f64_##isa, fh_kmeans_assign_f64_scratch_##isa
#else
#define FH_ASSIGN_TUNED(kernel, isa) fh_##kernel##_##isa, fh_kmeans_assign_scratch_##isa
#endif

#endif /* FOGHORN_KERNELS_TILE_ASSIGN_H_ */
