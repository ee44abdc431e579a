/* The tiles of pairs.h for one instruction set and one metric. SPDX-License-Identifier: Apache-2.0
 *
 * Include after one simd_<isa>.h and pack.h, with FH_PAIRS (the name of the table), FH_PAIRS_SQUARED (1: squared distances, 0: inner
 * products), FH_PAIRS_ROWS (of a tile) and FH_PAIRS_SUMS (accumulators in place: 8 or 16) defined.
 */
#ifndef FOGHORN_KERNELS_TILE_PAIRS_SIMD_H_
#define FOGHORN_KERNELS_TILE_PAIRS_SIMD_H_

#include "kernels/tile/pairs.h"
#include "kernels/tile/squares.h"

enum { COLS = 2 * FH_LANES, SUMS = FH_PAIRS_SUMS };
_Static_assert(FH_PAIRS_ROWS <= (int)FH_PAIRS_ROWS_MAX && (int)COLS <= (int)FH_PAIRS_COLS_MAX && SUMS % (int)FH_LANES == 0,
               "the limits of pairs.h");

static inline fh_vf add_pair(fh_vf x, fh_vf y, fh_vf sum) {
#if FH_PAIRS_SQUARED
  fh_vf difference = fh_v_sub(x, y);
  return fh_v_fma(difference, difference, sum);
#else
  return fh_v_fma(x, y, sum);
#endif
}

/* The same with one number for all lanes of x. */
static inline fh_vf add_pair_by(float x, fh_vf y, fh_vf sum) {
#if FH_PAIRS_SQUARED
  return add_pair(fh_v_set1(x), y, sum);
#else
  return fh_v_fma_by(x, y, sum);
#endif
}

/* ---- packed ---------------------------------------------------------------------------------------------- */

#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13)

/* rows is a constant at every call, so the sums stay in registers. */
static inline __attribute__((always_inline)) void pairs_of(const int rows, const float *x, const float *y, int64_t d, float *out,
                                                           int64_t out_row) {
#define START(r) fh_vf sum##r##_0 = fh_v_zero(), sum##r##_1 = fh_v_zero();
  EACH_ROW(START)
#undef START
  for (int64_t i = d; i > 0; i--, x += rows, y += COLS) {
    fh_vf y0 = fh_v_load(y), y1 = fh_v_load(y + FH_LANES);
#define STEP(r)                                     \
  if (r < rows) {                                   \
    sum##r##_0 = add_pair_by(x[r], y0, sum##r##_0); \
    sum##r##_1 = add_pair_by(x[r], y1, sum##r##_1); \
  }
    EACH_ROW(STEP)
#undef STEP
  }
#define STORE(r)                                          \
  if (r < rows) {                                         \
    fh_v_store(out + r * out_row, sum##r##_0);            \
    fh_v_store(out + r * out_row + FH_LANES, sum##r##_1); \
  }
  EACH_ROW(STORE)
#undef STORE
}

#define TILE(rows) \
  static void tile_##rows(const float *x, const float *y, int64_t d, float *out, int64_t out_row) { pairs_of(rows, x, y, d, out, out_row); }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
#if FH_PAIRS_ROWS > 5
TILE(6)
#endif
#if FH_PAIRS_ROWS > 6
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
#endif
#if FH_PAIRS_ROWS > 12
TILE(13)
TILE(14)
#endif

static void (*const tiles[FH_PAIRS_ROWS])(const float *, const float *, int64_t, float *, int64_t) = {
    tile_1,  tile_2,  tile_3, tile_4,  tile_5,
#if FH_PAIRS_ROWS > 5
    tile_6,
#endif
#if FH_PAIRS_ROWS > 6
    tile_7,  tile_8,  tile_9, tile_10, tile_11, tile_12,
#endif
#if FH_PAIRS_ROWS > 12
    tile_13, tile_14,
#endif
};

static void tile(const float *x, int rows, const float *y, int64_t d, float *out, int64_t out_row) {
  tiles[rows - 1](x, y, d, out, out_row);
}

/* ---- in place -------------------------------------------------------------------------------------------- */

/* What lies ahead is asked for in the order of its addresses where rows follow each other closely, as memory likes it, else
 * row by row. Long rows that are far ahead go to L2: in L1 they would push out x and themselves be gone before their turn (Zen 4, 8 rows of
 * x, products from DRAM: d = 784 took half the time, d = 192 three quarters; up to 128 L1 was as good or better). */
typedef struct fetches {
  int64_t ahead, row; /* 0: nothing is asked for; from row to row */
  bool close, far;
} fetches;
enum { FAR_FLOATS = 6 << 10 }; /* 24 KiB */

static inline __attribute__((always_inline)) void fetch(const fetches *next, const fh_f32_any *at) {
  if (next->far)
    __builtin_prefetch(at, 0, 2);
  else
    __builtin_prefetch(at, 0, 3);
}

/* `rows` of x against SUMS / rows of y; rows is a constant at every call. sums[r * (SUMS / rows) + c]. */
static inline __attribute__((always_inline)) void pairs_in_place(const int rows, const float *x, int64_t x_row,
                                                                 const fh_f32_any *const y[SUMS], int64_t d, const fetches *next,
                                                                 float sums[SUMS]) {
  const int cols = SUMS / rows;
  fh_vf sum[SUMS];
#pragma GCC unroll 16
  for (int s = 0; s < SUMS; s++) sum[s] = fh_v_zero();
  int64_t i = 0;
  for (; i + FH_LANES <= d; i += FH_LANES) {
#pragma GCC unroll 16
    for (int c = 0; c < cols; c++) {
      fh_vf each = fh_v_load(y[c] + i);
      if (next->ahead && i % 16 == 0) fetch(next, y[0] + next->ahead + i * (next->close ? cols : 1) + c * next->row);
#pragma GCC unroll 16
      for (int r = 0; r < rows; r++) sum[r * cols + c] = add_pair(fh_v_load(x + r * x_row + i), each, sum[r * cols + c]);
    }
  }
  if (i < d) {
    const fh_vm mask = fh_vm_first((int)(d - i));
#pragma GCC unroll 16
    for (int c = 0; c < cols; c++) {
      fh_vf each = fh_v_load_masked(y[c] + i, mask);
#pragma GCC unroll 16
      for (int r = 0; r < rows; r++) sum[r * cols + c] = add_pair(fh_v_load_masked(x + r * x_row + i, mask), each, sum[r * cols + c]);
    }
  }
#pragma GCC unroll 2
  for (int s = 0; s < SUMS; s += FH_LANES) fh_v_store(sums + s, fh_v_sum_each(sum + s));
}

static inline __attribute__((always_inline)) void rows_in_place(const int rows, const float *x, int64_t x_row, const fh_f32_any *y,
                                                                int64_t y_row, int y_rows, int64_t d, const fetches *next, float *out) {
  const int cols = SUMS / rows;
  for (int first = 0; first < COLS; first += cols) { /* past the end the last row again */
    const fh_f32_any *each[SUMS];
    float sums[SUMS];
    for (int c = 0; c < cols; c++) each[c] = y + fh_tile_min(first + c, y_rows - 1) * y_row;
    pairs_in_place(rows, x, x_row, each, d, next, sums);
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < cols; c++) out[r * COLS + first + c] = sums[r * cols + c];
  }
}

/* One row against one; the lanes of the result add up to theirs. */
static inline fh_vf row_in_place(const float *x, const fh_f32_any *y, int64_t d) {
  enum { CHAINS = 4, STEP = CHAINS * FH_LANES };
  fh_vf sum[CHAINS] = {fh_v_zero(), fh_v_zero(), fh_v_zero(), fh_v_zero()};
  int64_t i = 0;
  for (; i + STEP <= d; i += STEP) {
#pragma GCC unroll 4
    for (int s = 0; s < CHAINS; s++) sum[s] = add_pair(fh_v_load(x + i + s * FH_LANES), fh_v_load(y + i + s * FH_LANES), sum[s]);
  }
  for (; i < d; i += FH_LANES) {
    const fh_vm mask = fh_vm_first(fh_tile_min(d - i, FH_LANES));
    sum[0] = add_pair(fh_v_load_masked(x + i, mask), fh_v_load_masked(y + i, mask), sum[0]);
  }
  return fh_v_add(fh_v_add(sum[0], sum[1]), fh_v_add(sum[2], sum[3]));
}

/* A single row of x: memory is what bounds it, and gives most where rows of y are read one after the other from end to end. Asking ahead
 * adds nothing to what the processor does by itself then. */
static void one_in_place(const float *x, const fh_f32_any *y, int64_t y_row, int y_rows, int64_t d, float *out) {
  for (int first = 0; first < COLS; first += SUMS) { /* past the end the last row again */
    fh_vf sum[SUMS];
    for (int c = 0; c < SUMS; c++) sum[c] = row_in_place(x, y + fh_tile_min(first + c, y_rows - 1) * y_row, d);
    for (int s = 0; s < SUMS; s += FH_LANES) fh_v_store(out + first + s, fh_v_sum_each(sum + s));
  }
}

static void in_place(const float *x, int64_t x_row, int rows, const fh_f32_any *y, int64_t y_row, int y_rows, int64_t d, float *out) {
  const bool close = y_row >= d && y_row < d + 16;
  fetches next = {COLS * y_row, close ? 16 : y_row, close, COLS * d >= FAR_FLOATS}; /* once, with the first rows of x */
  while (rows > 0) {
    int part = rows >= 8 ? 8 : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
    if (part == 8)
      rows_in_place(8, x, x_row, y, y_row, y_rows, d, &next, out);
    else if (part == 4)
      rows_in_place(4, x, x_row, y, y_row, y_rows, d, &next, out);
    else if (part == 2)
      rows_in_place(2, x, x_row, y, y_row, y_rows, d, &next, out);
    else
      one_in_place(x, y, y_row, y_rows, d, out);
    next.ahead = 0;
    x += part * x_row;
    out += part * COLS;
    rows -= part;
  }
}

/* ---- results --------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) fh_vf cosine_of(fh_vf product, float row_scale, const float *col_scales) {
  return fh_v_sub(fh_v_set1(1), fh_v_mul(product, fh_v_mul(fh_v_set1(row_scale), fh_v_load(col_scales))));
}

static void put(const float *tile, int rows, int count, const float *row_scales, const float *col_scales, fh_f32_any *out,
                int64_t out_row) {
  for (int r = 0; r < rows; r++, tile += COLS, out += out_row) {
    fh_vf low = fh_v_load(tile), high = fh_v_load(tile + FH_LANES);
    if (row_scales) {
      low = cosine_of(low, row_scales[r], col_scales);
      high = cosine_of(high, row_scales[r], col_scales + FH_LANES);
    }
    fh_v_store_first(out, low, fh_tile_min(count, FH_LANES));
    if (count > FH_LANES) fh_v_store_first(out + FH_LANES, high, count - FH_LANES);
  }
}

/* ---- selection ------------------------------------------------------------------------------------------- */

static uint32_t below(const float *out, int rows, int count, const float *offsets, const float *limits, uint32_t *bits) {
  const uint32_t there = count >= 32 ? UINT32_MAX : (UINT32_C(1) << count) - 1;
  const fh_vf low_offset = offsets ? fh_v_load(offsets) : fh_v_zero(), high_offset = offsets ? fh_v_load(offsets + FH_LANES) : fh_v_zero();
  uint32_t any = 0;
  for (int r = 0; r < rows; r++, out += COLS) {
    fh_vf limit = fh_v_set1(limits[r]), low = fh_v_add(fh_v_load(out), low_offset), high = fh_v_add(fh_v_load(out + FH_LANES), high_offset);
    bits[r] = (fh_vm_bits(fh_v_less(low, limit)) | fh_vm_bits(fh_v_less(high, limit)) << FH_LANES) & there;
    any |= bits[r];
  }
  return any;
}

static float half_squares(const float *y, int64_t d, float *half) {
  fh_vf low = fh_v_zero(), high = fh_v_zero();
  for (int64_t i = 0; i < d; i++, y += COLS) {
    fh_vf y0 = fh_v_load(y), y1 = fh_v_load(y + FH_LANES);
    low = fh_v_fma(y0, y0, low);
    high = fh_v_fma(y1, y1, high);
  }
  fh_v_store(half, fh_v_mul(low, fh_v_set1(0.5f)));
  fh_v_store(half + FH_LANES, fh_v_mul(high, fh_v_set1(0.5f)));
  float largest = 0;
  for (int c = 0; c < COLS; c++)
    if (half[c] > largest) largest = half[c];
  return largest;
}

static float squared(const fh_f32_any *x, const fh_f32_any *y, int64_t d) { return fh_sum_lanes(fh_squares_of(x, y, d)); }

static float square(const fh_f32_any *x, int64_t d) { return fh_sum_lanes(fh_square_of(x, d)); }

static void pack(float *dst, int width, const fh_f32_any *src, int64_t lane_stride, int64_t step_stride, int lanes, int64_t steps) {
  fh_pack(dst, width, src, lane_stride, step_stride, lanes, steps);
}

const fh_pairs FH_PAIRS = {.rows = FH_PAIRS_ROWS,
                           .cols = COLS,
                           .pack = pack,
                           .tile = tile,
                           .in_place = in_place,
                           .below = below,
                           .put = put,
                           .half_squares = half_squares,
                           .squared = squared,
                           .square = square};

#endif /* FOGHORN_KERNELS_TILE_PAIRS_SIMD_H_ */
