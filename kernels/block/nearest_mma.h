/* The nearest of many centroids by tensor cores, with the bits of the text: they find which centroids can be the nearest, and of these the
 * distances are computed as the text does. SPDX-License-Identifier: Apache-2.0
 *
 * Differences of distances do not change when one vector is taken from all rows and centroids. With x' = x - m and c' = c - m, m about the
 * mean of the centroids, D = |x'|^2 + |c'|^2 - 2 x'c', and what is lost to rounding is a part of |x'| |c'|, which m makes small. Rows and
 * centroids are brought to a length of 128 and rounded to f16 ("sketches"), and tensor cores sum their products in f32.
 *
 * How far off that is, as a part of |x'| |c'|, is FH_SKETCH_ERROR:
 *   2^-10 + 2^-14  both factors rounded to f16, 2^-11 each; numbers that f16 has no exponent for: 2^-14 each, of lengths of 128, even where
 *                  a device takes them for 0
 *   (d + 48) 2^-23 each product of 16 and their sum off by 2^-19 of the largest partial sum, which is at most the product of the lengths.
 *                  The ISA does not say how much it is. Devices were found to cut the addends of a group of products to a little more than
 *                  the 24 bits of the largest, and the group's sum to 24 (Fasi, Higham, Mikaitis, Pranesh: Numerical behavior of NVIDIA
 *                  tensor cores, 2021; Khattak, Mikaitis: Accurate models of NVIDIA tensor cores, 2025). Four groups of 4 with addends cut
 *                  at 2^-24 come to 14 of these 16 2^-23, larger groups to less. So that the bits depend on no such model, each launch
 *                  tries its device (fh_sketch_sums_well): where sums are off by more all rows are compared with all centroids
 *   the rest, to 2^-10 + 2^-13 + (d + 64) 2^-23, is for lengths and scales.
 * What is a part of (|x'| + |c'|)^2 is FH_SKETCH_SLACK, in units of 2^-23: |c'|^2 is summed with an error below (d + 8) / 2, and is taken
 * for d + 32 less than it is (FH_SKETCH_LESS); the text's own distances are off by (d / 16 + 8) / 2, twice; what m rounds changes a
 * distance by 1, and that of another that may win, whose (|x'| + |c'|)^2 is less than ten times this one's, by 10; as much for the rounding
 * of estimates. Together 2.1 d + 96 of 4 d + 128.
 *
 * So L(j) = |c'|^2 (1 - less) - 2 (x'c' + error |x'| |c'|) is no more than D(j) - |x'|^2, and the centroid m of the least L has a D of no
 * more than L(m) + |x'|^2 + 4 error |x'| |c'(m)| + a part of the slack. Whoever has the least distance by the text's arithmetic has an L
 * within 4 error |x'| |c'(m)| + slack (|x'| + |c'(m)|)^2 of L(m). These are the candidates. Each thread keeps the three least of the
 * centroids that it sees for a row, with their places in the low bits, at the cost of 3 ulps of these bits in the slack. Two are candidates
 * where they are within; where the third is, there may be a fourth, and the row is compared with all centroids, as "few" does (nearest.h).
 * So is a row with a NaN, an infinity or numbers of 2^37 and more, and where no centroid is without. A centroid so far away that 2^80 is
 * less than the square cannot be nearer than one that is within 2^38; a length below 2^-40 counts as that, which is more than all that
 * underflows.
 *
 * What limits it: 2 operations of tensor cores for each number of each pair, and to look at a pair 9 instructions, 6 of which run at half
 * rate: with 128 numbers a row both take about as long. For each 128 rows all sketches come from the second cache, 128 operations a byte.
 * x is read once from memory and twice more from caches. */
#ifndef FOGHORN_KERNELS_BLOCK_NEAREST_MMA_H_
#define FOGHORN_KERNELS_BLOCK_NEAREST_MMA_H_

#ifndef FOGHORN_KERNELS_BLOCK_MMA_PRODUCT_H_
#include "kernels/block/mma_product.h"
#endif
#ifndef FOGHORN_KERNELS_BLOCK_NARROW_H_
#include "kernels/block/narrow.h"
#endif
#ifndef FOGHORN_KERNELS_BLOCK_NEAREST_H_
#include "kernels/block/nearest.h"
#endif

#define FH_SKETCH_THREADS 256
#define FH_SKETCH_MOST 1024  /* numbers of a row */
#define FH_SKETCH_TILE 128   /* centroids */
#define FH_SKETCH_PANEL 32   /* numbers of each */
#define FH_SKETCH_BYTES 8192 /* of a tile's panel */
#define FH_SKETCH_STAGES 4   /* of panels in shared memory */
#define FH_SKETCH_SAMPLE 64  /* centroids whose mean is the centre */
#define FH_SKETCH_TOGETHER 4 /* rows that a warp sketches at a time */
#define FH_SKETCH_LENGTH 128.0f
#define FH_SKETCH_UNSCALE 0x1p-14f /* 1 / 128^2 */
#define FH_SKETCH_SHORT 0x1p-40f
#define FH_SKETCH_FAR 0x1p80f    /* squares beyond are not compared by sketches */
#define FH_SKETCH_NEAR 0x1p38f   /* |x'| + |c'(m)|, within which none of these is nearer */
#define FH_SKETCH_NEVER 0x1p120f /* L of a centroid that is none */
#define FH_SKETCH_LESS(d) (((d) + 32) * 0x1p-23f)
#define FH_SKETCH_ERROR(d) (0x1p-10f + 0x1p-13f + ((d) + 64) * 0x1p-23f)
#define FH_SKETCH_SLACK(d) ((4 * (d) + 128) * 0x1p-23f)
#define FH_SKETCH_SUM_ERROR 0x1p-19f /* of 16 products and their sum, as a part of the largest partial sum */

/* How sketches are made and judged: always the same but in tests, which show that the margin is needed and that it suffices. */
typedef struct fh_sketch_rule {
  uint keep;          /* bits of a pair of f16 */
  float error, slack; /* parts of |x'| |c'| and of (|x'| + |c'|)^2 */
  float sum_error;    /* with which a device's sums are good enough */
} fh_sketch_rule;

FH_INLINE fh_sketch_rule fh_sketch_rule_of(long d) {
  fh_sketch_rule out;
  out.keep = 0xffffffff;
  out.error = FH_SKETCH_ERROR((float)d);
  out.slack = FH_SKETCH_SLACK((float)d);
  out.sum_error = FH_SKETCH_SUM_ERROR;
  return out;
}

/* ---- scratch: the centre, tile by tile the panels of 128 centroids as they lie in shared memory, then the terms of all ---- */
FH_INLINE int fh_sketch_panels(long d) { return (int)((d + FH_SKETCH_PANEL - 1) / FH_SKETCH_PANEL); }
FH_INLINE int fh_sketch_tiles(long k) { return (int)((k + FH_SKETCH_TILE - 1) / FH_SKETCH_TILE); }
FH_INLINE long fh_sketch_tile_bytes(int panels) { return (long)panels * FH_SKETCH_BYTES; }
#define FH_SKETCH_CENTRE(scratch) ((fh_f32_out)(scratch))
#define FH_SKETCH_TILES(scratch) ((scratch) + 4 * FH_SKETCH_MOST)
#define FH_SKETCH_TERMS(scratch, tiles, panels) ((fh_f32_out)(FH_SKETCH_TILES(scratch) + (tiles) * fh_sketch_tile_bytes(panels)))

/* ---- sketches ---- */
FH_INLINE float fh_sketch_sum(float v) {
  FH_UNROLL for (int mask = 16; mask > 0; mask /= 2) v = fh_add_u(v, fh_shuffle_xor(v, mask));
  return v;
}

/* The length, or a NaN. */
FH_INLINE float fh_sketch_length(float square) { return square <= FH_SKETCH_SHORT * FH_SKETCH_SHORT ? FH_SKETCH_SHORT : fh_sqrt_u(square); }

FH_INLINE float fh_sketch_number(fh_f32_in x, long xs, int l, int d, float centre) { return l < d ? fh_add_u(x[l * xs], -centre) : 0.0f; }

FH_INLINE uint fh_sketch_word(float a, float b, float scale, uint keep) {
  return (fh_narrow_f16(fh_mul_u(a, scale)) | fh_narrow_f16(fh_mul_u(b, scale)) << 16) & keep;
}

/* Of numbers l and l + 1 of a line, in panels of `lines` lines. */
FH_INLINE int fh_sketch_place(int lines, int line, int l) {
  return l / FH_SKETCH_PANEL * lines * 64 + fh_mma_by_lines(line, l % FH_SKETCH_PANEL / 8) + l % 8 * 2;
}

/* ---- the device's sums ---- */
#define FH_SKETCH_NEARLY 0x1.ffcp0f /* all bits of an f16 */

FH_INLINE uint fh_sketch_pair(float a, float b) { return fh_sketch_word(a, b, 1.0f, 0xffffffff); }
FH_INLINE float fh_sketch_power(int exponent) { return fh_as_float((127 + exponent) << 23); }

/* Is the sum of 1 and others off by more? Both differences have no error of their own. */
FH_INLINE float fh_sketch_is_off(float sum, float others, float most) {
  const float off = fh_add_u(fh_add_u(sum, -1.0f), -others);
  return off <= most && off >= -most ? 0.0f : 1.0f;
}

/* 16 products beside a sum of 1, of 2^-17 less a little in the first column to 2^-24 in the last. */
FH_INLINE float fh_sketch_off_beside_sum(int line, int two, float most) {
  float sum[4], wrong = 0.0f;
  uint a[4], b[2];
  FH_UNROLL for (int i = 0; i < 4; i++) sum[i] = 1.0f, a[i] = fh_sketch_pair(0x1p-12f, 0x1p-12f);
  const float number = fh_mul_u(FH_SKETCH_NEARLY, fh_sketch_power(-6 - line));
  b[0] = b[1] = fh_sketch_pair(number, number);
  fh_mma_f16(sum, a, b);
  FH_UNROLL for (int i = 0; i < 4; i++) wrong =
      fh_add_u(wrong, fh_sketch_is_off(sum[i], fh_mul_u(FH_SKETCH_NEARLY, fh_sketch_power(-14 - two - i % 2)), most));
  return wrong;
}

/* 15 products of 2^-exponent times nearly 2 beside one of 1, whose place is the row's number. */
FH_INLINE float fh_sketch_off_beside_product(int line, int two, int exponent, float most) {
  const float big = 0x1p10f, small = fh_mul_u(FH_SKETCH_NEARLY, fh_sketch_power(10 - exponent));
  float sum[4], wrong = 0.0f;
  uint a[4], b[2];
  FH_UNROLL for (int i = 0; i < 4; i++) {
    const int row = line + i % 2 * 8, at = two + i / 2 * 8;
    sum[i] = 0.0f;
    a[i] = fh_sketch_pair(at == row ? big : small, at + 1 == row ? big : small);
  }
  b[0] = b[1] = fh_sketch_pair(0x1p-10f, 0x1p-10f);
  fh_mma_f16(sum, a, b);
  const float others = fh_mul_u(15.0f * FH_SKETCH_NEARLY, fh_sketch_power(-exponent));
  FH_UNROLL for (int i = 0; i < 4; i++) wrong = fh_add_u(wrong, fh_sketch_is_off(sum[i], others, most));
  return wrong;
}

/* Does the device sum as the margin has it? What is cut off is largest where addends are just below a power of two that the largest has no
 * bit for. By all threads of a warp, in the time of a few products. */
FH_INLINE bool fh_sketch_sums_well(float most) {
  const int line = fh_thread_here() % 32 / 4, two = fh_thread_here() % 4 * 2;
  float wrong = fh_sketch_off_beside_sum(line, two, most);
  FH_UNROLL for (int exponent = 18; exponent <= 24; exponent += 2) wrong =
      fh_add_u(wrong, fh_sketch_off_beside_product(line, two, exponent, most));
  return fh_sketch_sum(wrong) == 0.0f;
}

/* ---- centroids ---- */

/* The mean of some; any vector does that is the same for all, and finite. */
FH_INLINE void fh_sketch_centre(fh_local float *centre, fh_f32_in c, long cs1, long cs, int d, long k) {
  const int samples = (int)fh_least(k, FH_SKETCH_SAMPLE), whole = fh_sketch_panels(d) * FH_SKETCH_PANEL;
  for (int l = fh_thread(); l < whole; l += FH_SKETCH_THREADS) {
    float sum = 0.0f;
    FH_UNROLL_2 for (int i = 0; l < d && i < samples; i++) {
      const float number = c[i * k / samples * cs1 + l * cs];
      sum = fh_add_u(sum, number > -FH_SKETCH_NEAR && number < FH_SKETCH_NEAR ? number : 0.0f);
    }
    centre[l] = fh_div_u(sum, (float)samples);
  }
}

/* A warp has a centroid at a time. Those behind the last are never the nearest, nor are those that are not compared by sketches. */
FH_INLINE void fh_sketch_centroids(fh_local uchar *bytes, fh_f32_in c, fh_u8_out scratch, long cs1, long cs, long d, long k,
                                   fh_sketch_rule rule) {
  fh_local float *const centre = (fh_local float *)bytes;
  const int t = fh_thread(), lane = t % 32, panels = fh_sketch_panels(d), whole = panels * FH_SKETCH_PANEL;
  const bool sound = fh_sketch_sums_well(rule.sum_error);
  fh_sketch_centre(centre, c, cs1, cs, (int)d, k);
  fh_barrier();
  if (fh_block(0) == 0) {
    for (int l = t; l < whole; l += FH_SKETCH_THREADS) FH_SKETCH_CENTRE(scratch)[l] = centre[l];
  }
  const int tiles = fh_sketch_tiles(k);
  for (long j = fh_block(0) * (FH_SKETCH_THREADS / 32) + t / 32; j < tiles * FH_SKETCH_TILE; j += fh_blocks(0) * (FH_SKETCH_THREADS / 32)) {
    const fh_f32_in mine = c + (j < k ? j : 0) * cs1;
    float square = 0.0f;
    for (int l = lane; l < whole; l += 32) {
      const float number = fh_sketch_number(mine, cs, l, (int)d, centre[l]);
      square = fh_fma_u(number, number, square);
    }
    square = fh_sketch_sum(square);
    const bool is = sound && j < k && square <= FH_SKETCH_FAR;
    const float length = fh_sketch_length(square), scale = fh_div_u(FH_SKETCH_LENGTH, length);
    const fh_u8_out tile = FH_SKETCH_TILES(scratch) + j / FH_SKETCH_TILE * fh_sketch_tile_bytes(panels);
    const int line = (int)(j % FH_SKETCH_TILE);
    for (int l = 2 * lane; l < whole; l += 64) {
      const float a = fh_sketch_number(mine, cs, l, (int)d, centre[l]), b = fh_sketch_number(mine, cs, l + 1, (int)d, centre[l + 1]);
      *(fh_i32_out)(tile + fh_sketch_place(FH_SKETCH_TILE, line, l)) = is ? (int)fh_sketch_word(a, b, scale, rule.keep) : 0;
    }
    if (lane == 0) {
      const fh_f32_out terms = FH_SKETCH_TERMS(scratch, tiles, panels) + 2 * j;
      terms[0] = is ? fh_mul_u(square, 1.0f - FH_SKETCH_LESS((float)d)) : FH_SKETCH_NEVER;
      terms[1] = is ? fh_mul_u(length, FH_SKETCH_UNSCALE) : 0.0f;
    }
  }
}

/* ---- rows: `rows` of a block, 128 or 64 ---- */

/* Warps are of 32 rows by 64 or 32 centroids; four lanes and all warps beside each other share a row. */
#define FH_SKETCH_BESIDE(rows) (FH_SKETCH_THREADS / (rows))            /* warps beside each other */
#define FH_SKETCH_COLS(rows) (FH_SKETCH_TILE / FH_SKETCH_BESIDE(rows)) /* centroids of a warp */
#define FH_SKETCH_FINDERS(rows) (4 * FH_SKETCH_BESIDE(rows))
#define FH_SKETCH_SLOTS(rows) (FH_SKETCH_COLS(rows) / 4) /* centroids of a thread in a tile */
#define FH_SKETCH_KEPT 3
#define FH_SKETCH_MARK (-1) /* the label of a row that is to be compared with all centroids */

/* Shared memory: rows, the ring of panels, and for each row what is kept of it. Behind the last panel the ring has what was
 * found, and the candidates; rows and ring together the sums of "few". */
typedef struct fh_sketch_space {
  fh_local uchar *rows, *ring;
  fh_local float *factor, *square; /* -2 |x'|; what makes L positive */
  fh_local int *marks, *marked;    /* rows that are compared with all, and how many in all of the block's tiles */
} fh_sketch_space;

FH_INLINE fh_sketch_space fh_sketch_space_of(fh_local uchar *bytes, int rows, int panels) {
  fh_sketch_space out;
  out.rows = bytes;
  out.ring = bytes + panels * rows * 64;
  out.factor = (fh_local float *)(out.ring + FH_SKETCH_STAGES * FH_SKETCH_BYTES);
  out.square = out.factor + rows;
  out.marks = (fh_local int *)(out.square + rows);
  out.marked = out.marks + rows;
  return out;
}

/* Rows of a warp, some at a time: their lengths, then their sketches. */
FH_INLINE void fh_sketch_some(const fh_sketch_space *space, fh_f32_in x, long xs1, long xs, int d, int left, fh_f32_in centre, int rows,
                              int row, fh_sketch_rule rule) {
  const int lane = fh_thread_here() % 32, whole = fh_sketch_panels(d) * FH_SKETCH_PANEL;
  float squares[FH_SKETCH_TOGETHER], scales[FH_SKETCH_TOGETHER];
  FH_UNROLL for (int r = 0; r < FH_SKETCH_TOGETHER; r++) squares[r] = 0.0f;
  for (int l = lane; l < whole; l += 32) {
    const float middle = centre[l];
    FH_UNROLL for (int r = 0; r < FH_SKETCH_TOGETHER; r++) {
      const float number = row + r < left ? fh_sketch_number(x + (row + r) * xs1, xs, l, d, middle) : 0.0f;
      squares[r] = fh_fma_u(number, number, squares[r]);
    }
  }
  FH_UNROLL for (int r = 0; r < FH_SKETCH_TOGETHER; r++) {
    const float length = fh_sketch_length(fh_sketch_sum(squares[r]));
    scales[r] = fh_div_u(FH_SKETCH_LENGTH, length);
    if (lane == r) {
      space->factor[row + r] = fh_mul_u(-2.0f, length);
      space->square[row + r] = fh_mul_u(fh_mul_u(length, length), 1.0f + 6.0f * rule.error + rule.slack);
    }
  }
  for (int l = 2 * lane; l < whole; l += 64) {
    const float middle = centre[l], next = centre[l + 1];
    FH_UNROLL for (int r = 0; r < FH_SKETCH_TOGETHER; r++) {
      const fh_f32_in from = x + (row + r) * xs1;
      const float a = row + r < left ? fh_sketch_number(from, xs, l, d, middle) : 0.0f;
      const float b = row + r < left ? fh_sketch_number(from, xs, l + 1, d, next) : 0.0f;
      *(fh_local uint *)(space->rows + fh_sketch_place(rows, row + r, l)) = fh_sketch_word(a, b, scales[r], rule.keep);
    }
  }
}

/* ---- panels of centroids on their way ---- */
typedef struct fh_sketch_copy {
  fh_u8_in from, end; /* this thread's chunk of the next panel; where it would be behind the last */
} fh_sketch_copy;

FH_INLINE void fh_sketch_copy_next(const fh_sketch_space *space, fh_sketch_copy *copy, int into) {
  if (copy->from != copy->end) {
    fh_local uchar *const to = space->ring + into % FH_SKETCH_STAGES * FH_SKETCH_BYTES + 16 * fh_thread_here();
    fh_copy_async16(to, copy->from, 16);
    fh_copy_async16(to + FH_SKETCH_BYTES / 2, copy->from + FH_SKETCH_BYTES / 2, 16);
    copy->from += FH_SKETCH_BYTES;
  }
  fh_copy_commit(); /* also an empty group: a wait for all but STAGES - 2 of them always means the panel at hand */
}

/* ---- products ---- */
FH_INLINE void fh_sketch_panel(float sum[2][8][4], const fh_local uchar *x, const fh_local uchar *c, int x_lane, int c_lane, int rows) {
  FH_UNROLL for (int part = 0; part < 2; part++) {
    uint of_x[2][4];
    FH_UNROLL for (int i = 0; i < 2; i++) fh_load_matrices(of_x[i], x + ((x_lane ^ 32 * part) + 16 * 64 * i));
    FH_UNROLL for (int j = 0; j < FH_SKETCH_COLS(rows) / 16; j++) {
      uint of_c[4];
      fh_load_matrices(of_c, c + ((c_lane ^ 32 * part) + 16 * 64 * j));
      FH_UNROLL for (int i = 0; i < 2; i++) {
        fh_mma_f16(sum[i][2 * j], of_x[i], &of_c[0]);
        fh_mma_f16(sum[i][2 * j + 1], of_x[i], &of_c[2]);
      }
    }
  }
}

FH_INLINE int fh_sketch_min(int a, int b) { return a < b ? a : b; }
FH_INLINE int fh_sketch_max(int a, int b) { return a > b ? a : b; }

/* Positive floats are in the order of their bits. */
FH_INLINE void fh_sketch_keep(int kept[FH_SKETCH_KEPT], int key) {
  kept[2] = fh_sketch_min(kept[2], fh_sketch_max(kept[1], key));
  kept[1] = fh_sketch_min(kept[1], fh_sketch_max(kept[0], key));
  kept[0] = fh_sketch_min(kept[0], key);
}

/* A tile's sums are looked at: L + |x'|^2 and a little, its low bits the centroid's place in the order in which the thread sees them.
 * The rows of a thread: lane / 4 and 8, 16 and 24 further on. */
FH_INLINE void fh_sketch_look(int kept[4][FH_SKETCH_KEPT], float sum[2][8][4], const fh_sketch_space *space, fh_f32_in all_terms, int tile,
                              int mask, int rows) {
  const int t = fh_thread_here(), row = t / 32 / FH_SKETCH_BESIDE(rows) * 32 + t % 32 / 4;
  const int col = t / 32 % FH_SKETCH_BESIDE(rows) * FH_SKETCH_COLS(rows) + t % 4 * 2;
  const fh_f32_in terms = all_terms + 2 * (tile * FH_SKETCH_TILE + col);
  float factor[4], square[4];
  FH_UNROLL for (int i = 0; i < 4; i++) factor[i] = space->factor[row + 8 * i], square[i] = space->square[row + 8 * i];
  FH_UNROLL for (int j = 0; j < FH_SKETCH_COLS(rows) / 8; j++) {
    const fh_f32x4 two = fh_fetch4(terms + 16 * j);
    FH_UNROLL for (int e = 0; e < 2; e++) {
      const int place = tile * FH_SKETCH_SLOTS(rows) + 2 * j + e;
      FH_UNROLL for (int i = 0; i < 4; i++) {
        const float product = fh_mul_u(sum[i / 2][j][i % 2 * 2 + e], e ? two.w : two.y);
        const float least = fh_add_u(fh_fma_u(product, factor[i], e ? two.z : two.x), square[i]);
        fh_sketch_keep(kept[i], (fh_as_int(least) & mask) ^ place); /* bits of the mask are none of a place: one operation */
      }
    }
  }
}

/* ---- candidates ---- */
FH_INLINE long fh_sketch_centroid(int key, int mask, int finder, int rows) {
  const int place = key & ~mask, slot = place % FH_SKETCH_SLOTS(rows);
  const long tile = place / FH_SKETCH_SLOTS(rows);
  return tile * FH_SKETCH_TILE + finder / 4 * FH_SKETCH_COLS(rows) + slot / 2 * 8 + finder % 4 * 2 + slot % 2;
}

typedef struct fh_sketch_found {
  fh_local int *keys;      /* [finder][of those kept][row] */
  fh_local int *counts;    /* of candidates of a row */
  fh_local int *centroids; /* [candidate][row] */
} fh_sketch_found;

FH_INLINE fh_sketch_found fh_sketch_found_of(const fh_sketch_space *space, int rows) {
  fh_sketch_found out;
  out.keys = (fh_local int *)space->ring;
  out.counts = out.keys + FH_SKETCH_FINDERS(rows) * FH_SKETCH_KEPT * rows;
  out.centroids = out.counts + rows;
  return out;
}

FH_INLINE void fh_sketch_tell(int kept[4][FH_SKETCH_KEPT], const fh_sketch_found *found, int rows) {
  const int t = fh_thread_here(), row = t / 32 / FH_SKETCH_BESIDE(rows) * 32 + t % 32 / 4;
  const int finder = t / 32 % FH_SKETCH_BESIDE(rows) * 4 + t % 4;
  FH_UNROLL for (int i = 0; i < 4; i++) {
    FH_UNROLL for (int r = 0; r < FH_SKETCH_KEPT; r++) found->keys[(finder * FH_SKETCH_KEPT + r) * rows + row + 8 * i] = kept[i][r];
  }
}

/* The largest L of a candidate of a row, or a NaN: the row is compared with all. */
FH_INLINE float fh_sketch_limit(const fh_sketch_space *space, const fh_sketch_found *found, fh_f32_in terms, int row, int mask,
                                fh_sketch_rule rule, int rows) {
  int best = found->keys[row], finder = 0;
  for (int f = 1; f < FH_SKETCH_FINDERS(rows); f++) {
    const int key = found->keys[f * FH_SKETCH_KEPT * rows + row];
    if (key < best) best = key, finder = f;
  }
  const float least = fh_as_float(best);
  const long j = fh_sketch_centroid(best, mask, finder, rows);
  if (!(least < FH_SKETCH_NEVER * 0x1p-1f)) return fh_as_float(0x7fc00000);
  const float of_c = fh_mul_u(terms[2 * j + 1], 1.0f / FH_SKETCH_UNSCALE), of_x = fh_mul_u(space->factor[row], -0.5f);
  const float both = fh_add_u(of_x, of_c), margin = fh_mul_u(fh_mul_u(of_x, of_c), 4.0f * rule.error);
  return both <= FH_SKETCH_NEAR ? fh_add_u(least, fh_fma_u(fh_mul_u(both, both), rule.slack, margin)) : fh_as_float(0x7fc00000);
}

/* By a thread for each row: its candidates, or a mark. */
FH_INLINE void fh_sketch_judge(const fh_sketch_space *space, const fh_sketch_found *found, fh_f32_in terms, fh_i32_out labels, long ls,
                               int left, int mask, fh_sketch_rule rule, int rows) {
  const int row = fh_thread_here();
  if (row >= rows) return;
  const float limit = fh_sketch_limit(space, found, terms, row, mask, rule, rows);
  bool marked = !(limit == limit);
  int count = 0;
  for (int f = 0; f < FH_SKETCH_FINDERS(rows); f++) {
    for (int r = 0; r < FH_SKETCH_KEPT; r++) {
      const int key = found->keys[(f * FH_SKETCH_KEPT + r) * rows + row];
      if (!(fh_as_float(key) <= limit)) break;
      if (r == FH_SKETCH_KEPT - 1)
        marked = true;
      else
        found->centroids[count++ * rows + row] = (int)fh_sketch_centroid(key, mask, f, rows);
    }
  }
  marked = marked && row < left;
  found->counts[row] = marked || row >= left ? 0 : count;
  if (!marked) return;
  labels[row * ls] = FH_SKETCH_MARK;
  fh_count_shared(space->marked, 1);
}

/* ---- the text's distances ---- */

/* The squares of 16 lanes of the text, two pairs of rows at a time; then the tree over lanes. */
FH_INLINE void fh_sketch_distances(fh_f32_in x0, fh_f32_in c0, fh_f32_in x1, fh_f32_in c1, long xs, long cs, int d, float out[2]) {
  out[0] = out[1] = 0.0f;
  for (int l = fh_thread_here() % FH_FEW_LANES; l < d; l += 4 * FH_FEW_LANES) {
    float of_x[8], of_c[8];
    FH_UNROLL for (int h = 0; h < 4; h++) {
      const int at = l + h * FH_FEW_LANES;
      const bool has = at < d;
      of_x[h] = has ? x0[at * xs] : 0.0f, of_c[h] = has ? c0[at * cs] : 0.0f;
      of_x[4 + h] = has ? x1[at * xs] : 0.0f, of_c[4 + h] = has ? c1[at * cs] : 0.0f;
    }
    FH_UNROLL for (int h = 0; h < 4; h++) {
      out[0] = fh_few_square(out[0], of_x[h], of_c[h]);
      out[1] = fh_few_square(out[1], of_x[4 + h], of_c[4 + h]);
    }
  }
  FH_UNROLL for (int mask = 8; mask > 0; mask /= 2) {
    out[0] = fh_add_u(out[0], fh_shuffle_xor(out[0], mask));
    out[1] = fh_add_u(out[1], fh_shuffle_xor(out[1], mask));
  }
}

/* 16 threads have two rows, and go through the candidates of both; all of a warp take as many steps. */
FH_INLINE void fh_sketch_choose(const fh_sketch_found *found, fh_f32_in x, fh_f32_in c, fh_i32_out labels, fh_f32_out distances, int d,
                                long xs1, long xs, long cs1, long cs, long ls, long ds, int rows) {
  const int t = fh_thread_here(), group = t / FH_FEW_LANES;
  for (int first = 0; first < rows; first += 2 * FH_FEW_GROUPS) {
    const int row[2] = {first + group, first + group + FH_FEW_GROUPS};
    const int count[2] = {found->counts[row[0]], found->counts[row[1]]};
    const int own = fh_sketch_max(count[0], count[1]), steps = fh_sketch_max(own, fh_shuffle_xor_i(own, 16));
    float best[2] = {FH_INFINITY, FH_INFINITY};
    int label[2] = {0, 0};
    for (int step = 0; step < steps; step++) {
      int at[2];
      FH_UNROLL for (int r = 0; r < 2; r++) at[r] = step < count[r] ? found->centroids[step * rows + row[r]] : 0;
      float distance[2];
      fh_sketch_distances(x + (count[0] ? row[0] : 0) * xs1, c + at[0] * cs1, x + (count[1] ? row[1] : 0) * xs1, c + at[1] * cs1, xs, cs, d,
                          distance);
      FH_UNROLL for (int r = 0; r < 2; r++) {
        if (step < count[r] && (distance[r] < best[r] || (distance[r] == best[r] && at[r] < label[r])))
          best[r] = distance[r], label[r] = at[r];
      }
    }
    FH_UNROLL for (int r = 0; r < 2; r++) {
      if (count[r] && t % FH_FEW_LANES == 0) labels[row[r] * ls] = label[r], distances[row[r] * ds] = best[r];
    }
  }
}

/* ---- marked rows ---- */

/* Those of the block: of each of its tiles 32 at a time against all centroids, as "few" does. Behind all tiles, when nothing else is in
 * registers. */
FH_INLINE void fh_sketch_compare_marked(fh_local uchar *bytes, fh_local int *marks, fh_f32_in x, fh_f32_in c, fh_i32_out labels,
                                        fh_f32_out distances, long n, long d, long k, long xs1, long xs, long cs1, long cs, long ls,
                                        long ds, int rows) {
  const int t = fh_thread(), lane = t % FH_FEW_LANES, group = t / FH_FEW_LANES;
  for (long tile = fh_block(0) * rows; tile < n; tile += fh_blocks(0) * rows) {
    const bool marked = t < rows && tile + t < n && labels[(tile + t) * ls] == FH_SKETCH_MARK;
    fh_barrier(); /* the tile before is done */
    if (t < rows) marks[t] = marked;
    fh_barrier();
    int rank = 0, count = 0;
    FH_NO_UNROLL for (int r = 0; r < rows; r++) {
      if (r == t) rank = count;
      count += marks[r];
    }
    fh_barrier(); /* all have read the marks */
    if (marked) marks[rank] = t;
    fh_barrier();
    for (int first = 0; first < count; first += FH_FEW_GROUPS * FH_FEW_ROWS) {
      const int mine = first + group * FH_FEW_ROWS; /* where there is none, another is read, and nothing written */
      const long row0 = tile + marks[mine < count ? mine : first], row1 = tile + marks[mine + 1 < count ? mine + 1 : first];
      fh_few_found found = {FH_INFINITY, 0.0f, -1};
      fh_few_find(bytes, &found, x + row0 * xs1, x + row1 * xs1, xs, c, cs1, cs, d, k);
      if (lane < FH_FEW_ROWS && mine + lane < count) {
        const long row = lane == 0 ? row0 : row1;
        labels[row * ls] = found.label < 0 ? 0 : (int)found.label;
        distances[row * ds] = found.label < 0 ? found.first : found.distance;
      }
    }
  }
}

/* ---- all centroids for the rows of one tile ---- */
FH_INLINE void fh_sketch_search(int kept[4][FH_SKETCH_KEPT], const fh_sketch_space *space, fh_sketch_copy *copy, fh_f32_in terms, int tiles,
                                int panels, int mask, float error, int rows) {
  const int t = fh_thread(), lane = t % 32, r = lane % 8, low = lane / 8 % 2, high = lane / 16;
  const int x_lane = fh_mma_by_lines(t / 32 / FH_SKETCH_BESIDE(rows) * 32 + r + 8 * low, high);
  const int c_lane = fh_mma_by_lines(t / 32 % FH_SKETCH_BESIDE(rows) * FH_SKETCH_COLS(rows) + r + 8 * high, low);
  const float begin = fh_mul_u(error, 1.0f / FH_SKETCH_UNSCALE);
  int at = 0;
  FH_UNROLL for (int i = 0; i < 4 * FH_SKETCH_KEPT; i++) kept[i / FH_SKETCH_KEPT][i % FH_SKETCH_KEPT] = 0x7f7fffff;
  for (int tile = 0; tile < tiles; tile++) {
    float sum[2][8][4];
    FH_UNROLL for (int i = 0; i < 64; i++) sum[i / 32][i / 4 % 8][i % 4] = begin;
    for (int panel = 0; panel < panels; panel++) {
      fh_copy_wait(FH_SKETCH_STAGES - 2);
      fh_barrier(); /* the panel is there for all, and the one before has been read by all: its place is free */
      fh_sketch_copy_next(space, copy, at + FH_SKETCH_STAGES - 1);
      fh_sketch_panel(sum, space->rows + panel * rows * 64, space->ring + at * FH_SKETCH_BYTES, x_lane, c_lane, rows);
      at = (at + 1) % FH_SKETCH_STAGES;
    }
    fh_sketch_look(kept, sum, space, terms, tile, mask, rows);
  }
  fh_copy_wait(0);
}

FH_INLINE void fh_nearest_mma(fh_local uchar *bytes, fh_f32_in x, fh_f32_in c, fh_i32_out labels, fh_f32_out distances, fh_u8_in scratch,
                              long n, long d, long k, long xs1, long xs, long cs1, long cs, long ls, long ds, fh_sketch_rule rule,
                              int rows) {
  const int panels = fh_sketch_panels(d), t = fh_thread();
  const fh_sketch_space space = fh_sketch_space_of(bytes, rows, panels);
  const fh_sketch_found found = fh_sketch_found_of(&space, rows);
  const int tiles = fh_sketch_tiles(k);
  const fh_f32_in terms = FH_SKETCH_TERMS(scratch, tiles, panels);
  int places = 1; /* of centroids that a thread sees, and beyond */
  while (places < tiles * FH_SKETCH_SLOTS(rows)) places *= 2;
  if (t == 0) *space.marked = 0;
  rule.slack = fh_fma_u((float)places, 3 * 0x1p-23f, rule.slack);
  for (long first = fh_block(0) * rows; first < n; first += fh_blocks(0) * rows) {
    const int left = (int)fh_least(n - first, rows);
    fh_f32_in of_x = x + first * xs1;
    fh_sketch_copy copy = {FH_SKETCH_TILES(scratch) + 16 * t, (fh_u8_in)terms + 16 * t};
    fh_barrier(); /* the rows before have been judged */
    for (int i = 0; i < FH_SKETCH_STAGES - 1; i++) fh_sketch_copy_next(&space, &copy, i);
    for (int row = t / 32 * (rows / 8); row < (t / 32 + 1) * (rows / 8); row += FH_SKETCH_TOGETHER)
      fh_sketch_some(&space, of_x, xs1, xs, (int)d, left, (fh_f32_in)scratch, rows, row, rule);
    int kept[4][FH_SKETCH_KEPT];
    fh_sketch_search(kept, &space, &copy, terms, tiles, panels, ~(places - 1), rule.error, rows);
    fh_barrier(); /* the last panel has been read */
    fh_sketch_tell(kept, &found, rows);
    fh_barrier();
    fh_sketch_judge(&space, &found, terms, labels + first * ls, ls, left, ~(places - 1), rule, rows);
    fh_barrier();
    fh_sketch_choose(&found, of_x, c, labels + first * ls, distances + first * ds, (int)d, xs1, xs, cs1, cs, ls, ds, rows);
  }
  fh_barrier();
  const int marked = *space.marked;
  if (marked) fh_sketch_compare_marked(bytes, space.marks, x, c, labels, distances, n, d, k, xs1, xs, cs1, cs, ls, ds, rows);
}

#endif /* FOGHORN_KERNELS_BLOCK_NEAREST_MMA_H_ */
