/* How products of f32 are launched as blocks of threads (kernels/block/simt_tiles.h and simt_stages.h), and which of them pay: shared by
 * matmul and matmul_fused, whose operands begin alike. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_MATMUL_BLOCKS_H_
#define FOGHORN_KERNELS_MATMUL_BLOCKS_H_

#include "kernels/arithmetic.h"
#include "kernels/matmul.h"

enum {
  FH_MATMUL_GRID_DEPTH = 65535,
  FH_MATMUL_LARGE_SIDE = 128,
  FH_MATMUL_LARGE_THREADS = 256,
  FH_MATMUL_STAGES_BYTES = 2 * 2 * 32 * (FH_MATMUL_LARGE_SIDE + 4) * 4, /* two panels of 32 steps of each operand, by a pitch of 132 */
  FH_MATMUL_SMALL_SIDE = 64,
  FH_MATMUL_SMALL_THREADS = 64,
  FH_MATMUL_FEW_TILES = 8,
};

static inline int64_t fh_matmul_operand(const fh_bound *bound, int which) { return bound->stages[0].operands[which].i; }

/* Tiles in the first dimension, products in the third, which the blocks stride over. */
static inline fh_block_shape fh_matmul_shape(const fh_bound *bound, int64_t side, uint32_t threads) {
  const int64_t tiles =
      fh_divide_up(fh_matmul_operand(bound, FH_MATMUL_M), side) * fh_divide_up(fh_matmul_operand(bound, FH_MATMUL_N), side);
  const int64_t batch = fh_matmul_operand(bound, FH_MATMUL_BATCH);
  return (fh_block_shape){.grid = {(uint32_t)tiles, 1, (uint32_t)(batch < FH_MATMUL_GRID_DEPTH ? batch : FH_MATMUL_GRID_DEPTH)},
                          .threads = threads};
}

static inline void fh_matmul_large_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = fh_matmul_shape(bound, FH_MATMUL_LARGE_SIDE, FH_MATMUL_LARGE_THREADS);
}

static inline void fh_matmul_stages_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_matmul_large_shape(bound, multiprocessors, out);
  out->shared_bytes = FH_MATMUL_STAGES_BYTES;
}

static inline void fh_matmul_small_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = fh_matmul_shape(bound, FH_MATMUL_SMALL_SIDE, FH_MATMUL_SMALL_THREADS);
}

static inline bool fh_matmul_is_thin(const fh_bound *bound, int64_t least) {
  return fh_matmul_operand(bound, FH_MATMUL_M) < least || fh_matmul_operand(bound, FH_MATMUL_N) < least;
}

static inline const char *fh_matmul_tiles_unfit(const fh_bound *bound) {
  return fh_matmul_is_thin(bound, 16) ? "fewer than 16 rows or columns: most of a tile of 128 x 128 would be empty" : NULL;
}

static inline const char *fh_matmul_stages_unfit(const fh_bound *bound) {
  if (fh_matmul_is_thin(bound, FH_MATMUL_SMALL_SIDE + 1)) return "at most 64 rows or columns: half of a tile of 128 x 128 would be empty";
  const fh_block_shape shape = fh_matmul_shape(bound, FH_MATMUL_LARGE_SIDE, FH_MATMUL_LARGE_THREADS);
  if ((int64_t)shape.grid[0] * shape.grid[2] < FH_MATMUL_FEW_TILES)
    return "fewer than 8 tiles of 128 x 128: too few for the multiprocessors of a GPU";
  return NULL;
}

static inline const char *fh_matmul_small_unfit(const fh_bound *bound) {
  return fh_matmul_is_thin(bound, 8) ? "fewer than 8 rows or columns: most of a tile of 64 x 64 would be empty" : NULL;
}

#endif /* FOGHORN_KERNELS_MATMUL_BLOCKS_H_ */
