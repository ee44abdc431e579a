/* How blocks of threads find the nearest of many centroids with tensor cores (block/nearest_mma.h): grids, shared memory and scratch of
 * kmeans_assign and kmeans_step. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_NEAREST_BLOCKS_H_
#define FOGHORN_KERNELS_NEAREST_BLOCKS_H_

#include "kernels/arithmetic.h"
#include "kernels/tile/assign.h"

/* As in the text. */
enum {
  FH_SKETCH_THREADS = 256,
  FH_SKETCH_TILE = 128,
  FH_SKETCH_PANEL_BYTES = 8192,
  FH_SKETCH_TERMS = 1024, /* bytes of a tile */
  FH_SKETCH_STAGES = 4,
  FH_SKETCH_MOST = 1024,    /* numbers of a row */
  FH_SKETCH_ROWS = 128,     /* of a block */
  FH_SKETCH_WIDE_ROWS = 64, /* where rows are wide */
  FH_SKETCH_LONGEST = 512,  /* numbers of a row, by 128 rows */
  FH_SKETCH_CENTROIDS = 1 << 15,
};

static inline int64_t fh_sketch_panels(const fh_bound *bound) { return fh_divide_up(bound->stages[0].operands[FH_ASSIGN_D].i, 32); }
static inline int64_t fh_sketch_tiles(const fh_bound *bound) {
  return fh_divide_up(bound->stages[0].operands[FH_ASSIGN_K].i, FH_SKETCH_TILE);
}

/* The centre, and the sketches and terms of all centroids. */
static inline size_t fh_sketch_scratch(const fh_bound *bound, int multiprocessors) {
  (void)multiprocessors;
  return 4 * FH_SKETCH_MOST + (size_t)(fh_sketch_tiles(bound) * (fh_sketch_panels(bound) * FH_SKETCH_PANEL_BYTES + FH_SKETCH_TERMS));
}

/* A warp for each centroid, as far as blocks are at work at a time: each finds the centre anew, from up to 64 rows. */
static inline void fh_sketch_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  enum { EACH = 4 }; /* half of the threads that a multiprocessor has room for: rows come from the second cache, if not from memory */
  const int64_t blocks = fh_sketch_tiles(bound) * FH_SKETCH_TILE * 32 / FH_SKETCH_THREADS;
  const int64_t most = multiprocessors > 0 ? EACH * (int64_t)multiprocessors : blocks;
  *out = (fh_block_shape){.grid = {(uint32_t)fh_least(blocks, most), 1, 1}, .threads = FH_SKETCH_THREADS};
}

static inline void fh_nearest_rows_shape(const fh_bound *bound, int64_t rows, int multiprocessors, fh_block_shape *out) {
  const int64_t blocks = fh_divide_up(bound->stages[0].operands[FH_ASSIGN_N].i, rows);
  const int64_t most = 64 * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  const int64_t bytes = fh_sketch_panels(bound) * rows * 64 + FH_SKETCH_STAGES * FH_SKETCH_PANEL_BYTES + 12 * rows + 16;
  *out = (fh_block_shape){
      .grid = {(uint32_t)fh_most(1, fh_least(blocks, most)), 1, 1}, .threads = FH_SKETCH_THREADS, .shared_bytes = (uint32_t)bytes};
}
static inline void fh_nearest_mma_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_nearest_rows_shape(bound, FH_SKETCH_ROWS, multiprocessors, out);
}
static inline void fh_nearest_wide_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_nearest_rows_shape(bound, FH_SKETCH_WIDE_ROWS, multiprocessors, out);
}

/* Centroids that lie so close in few dimensions that many are candidates: by experiment a row in a hundred, and soon most, is then compared
 * with all. */
static inline bool fh_sketch_crowded(int64_t d, int64_t k) { return d < 8 && k > INT64_C(16) << 2 * d; }

static inline const char *fh_sketch_unfit(const fh_bound *bound, int64_t most) {
  const int64_t d = bound->stages[0].operands[FH_ASSIGN_D].i, k = bound->stages[0].operands[FH_ASSIGN_K].i;
  if (k < FH_NEAREST_MANY) return FH_NEAREST_TOO_FEW;
  if (k > FH_SKETCH_CENTROIDS) return "more than 32768 centroids: their numbers would take too many bits of an estimate";
  if (d < 1) return "rows have no numbers";
  if (d > most) return "rows are too wide for shared memory";
  return fh_sketch_crowded(d, k) ? "so many centroids in so few dimensions lie too close to each other for estimates" : NULL;
}
static inline const char *fh_nearest_mma_unfit(const fh_bound *bound) { return fh_sketch_unfit(bound, FH_SKETCH_LONGEST); }
static inline const char *fh_nearest_wide_unfit(const fh_bound *bound) { return fh_sketch_unfit(bound, FH_SKETCH_MOST); }

/* The variants of both kernels: sketches of centroids first, then those of `launches`. They have the bits of the text. Tensor cores do more
 * than the arithmetic of floats alone, of which an efficiency is a part: these are guesses, nothing has been measured. */
#define FH_NEAREST_SKETCHED(name, kernel, unfit, efficiency, launches) \
  {name,                                                               \
   kernel "_sketch",                                                   \
   kernel "_sm80",                                                     \
   80,                                                                 \
   false,                                                              \
   FH_EXACT,                                                           \
   fh_sketch_shape,                                                    \
   unfit,                                                              \
   efficiency,                                                         \
   .rest = launches,                                                   \
   .rest_count = FH_LENGTH(launches),                                  \
   .scratch_bytes = fh_sketch_scratch}

#endif /* FOGHORN_KERNELS_NEAREST_BLOCKS_H_ */
