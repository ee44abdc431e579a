/* All pairs of rows of two matrices: squared distances or inner products, tile by tile. SPDX-License-Identifier: Apache-2.0
 *
 * A tile is up to `rows` rows of x against `cols` rows of y. Lanes are rows of y, so no reduction across lanes is needed; x is
 * broadcast. Where there are few rows of x, y is read in place instead and lanes are elements of a row.
 *
 * Squared distances are sums of squared differences, not norms minus inner products: nothing cancels, so the error is
 * relative, (d + 2) 2^-24, whatever the data. Processors whose additions have ports of their own do it at the rate of the product.
 */
#ifndef FOGHORN_KERNELS_TILE_PAIRS_H_
#define FOGHORN_KERNELS_TILE_PAIRS_H_

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tile/matrix.h"
#include "kernels/unaligned.h"

enum {
  FH_PAIRS_ROWS_MAX = 14,
  FH_PAIRS_COLS_MAX = 32,
};

/* One instruction set's tiles for one metric. */
typedef struct fh_pairs {
  int rows, cols; /* of a tile */
  /* dst[step * width + lane] = src[lane, step], zero for the lanes from `lanes` to `width`. */
  void (*pack)(float *dst, int width, const fh_f32_any *src, int64_t lane_stride, int64_t step_stride, int lanes, int64_t steps);
  /* out[r * out_row + c] for all c < cols and r < rows; x packed with width `rows`, y with width `cols`. */
  void (*tile)(const float *x, int rows, const float *y, int64_t d, float *out, int64_t out_row);
  /* The same for rows of x and y whose elements lie side by side; y_rows <= cols of them are there, out_row is cols. With more than one
   * row of x it fetches what lies `cols` rows ahead. */
  void (*in_place)(const float *x, int64_t x_row, int rows, const fh_f32_any *y, int64_t y_row, int y_rows, int64_t d, float *out);
  /* bits[r]: the columns below count where out[r * cols + c] + offsets[c] < limits[r] (offsets NULL: none); the result is 0 when there
   * is no such column. */
  uint32_t (*below)(const float *out, int rows, int count, const float *offsets, const float *limits, uint32_t *bits);
  /* A tile, whose rows are `cols` long, to rows of out whose first `count` elements it has; with scales 1 - value * (row * column). */
  void (*put)(const float *tile, int rows, int count, const float *row_scales, const float *col_scales, fh_f32_any *out, int64_t out_row);
  /* half[c] = sum of the squares of packed row c of y, halved; returns the largest that is a number. */
  float (*half_squares)(const float *y, int64_t d, float *half);
  /* The squared distance of two rows whose elements lie side by side, whatever the metric of the tiles; the square of one. */
  float (*squared)(const fh_f32_any *x, const fh_f32_any *y, int64_t d);
  float (*square)(const fh_f32_any *x, int64_t d);
} fh_pairs;

extern const fh_pairs fh_pairs_squared_avx2, fh_pairs_squared_avx512, fh_pairs_squared_neon;
extern const fh_pairs fh_pairs_dot_avx2, fh_pairs_dot_avx512, fh_pairs_dot_neon;

/* One instruction set's tiles. */
typedef struct fh_pairs_set {
  const fh_pairs *squared, *dot;
} fh_pairs_set;

/* The tuned entry run_ISA of a contract and the scratch that it wants, scratch_ISA, for each instruction set of this architecture:
 * fh_KERNEL_run and fh_KERNEL_scratch, which its team file has once, with the set's tiles. */
#define FH_PAIRS_TUNED_ISA(kernel, isa)                                                                              \
  static const fh_pairs_set tiles_##isa = {&fh_pairs_squared_##isa, &fh_pairs_dot_##isa};                            \
  static void run_##isa(const fh_slot *slots, const fh_team *team) { fh_##kernel##_run(&tiles_##isa, slots, team); } \
  static size_t scratch_##isa(const fh_bound *bound, int team_size) { return fh_##kernel##_scratch(&tiles_##isa, bound, team_size); }
#if defined(__x86_64__)
#define FH_PAIRS_TUNED(kernel) FH_PAIRS_TUNED_ISA(kernel, avx512) FH_PAIRS_TUNED_ISA(kernel, avx2)
#elif defined(__aarch64__)
#define FH_PAIRS_TUNED(kernel) FH_PAIRS_TUNED_ISA(kernel, neon)
#else
#define FH_PAIRS_TUNED(kernel)
#endif

/* Up to so many rows of x it is faster to read y in place: packing a row of y costs about d / 4 cycles, the reductions
 * that it saves about 2 cycles per pair. */
static inline int64_t fh_pairs_few(int64_t d) { return d / 8 < 1 ? 1 : d / 8 > 12 ? 12 : d / 8; }

#endif /* FOGHORN_KERNELS_TILE_PAIRS_H_ */
