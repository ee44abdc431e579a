/* Sums over two rows, for all pairs of 128 rows and 128 rows: 8 x 8 sums of each of 256 threads, one chain in order of the elements.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The tile, its panels in shared memory and the way in which the next one comes are those of simt_product.h. Panels are padded with zeros,
 * which change no sum of products or of squares but the sign of one that is zero. */
#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PAIRS_H_
#define FOGHORN_KERNELS_BLOCK_SIMT_PAIRS_H_

#define FH_PAIRS_SIDE 128
#define FH_PAIRS_THREADS 256
#define FH_PAIRS_PANEL FH_SIMT_PANEL(FH_PAIRS_SIDE)
#define FH_PAIRS_BYTES (4 * FH_PAIRS_PANEL * 4) /* two panels of each operand */

/* What is summed: x y; (x - y)^2; x y together with x^2 and y^2. */
enum { FH_PAIRS_PRODUCTS, FH_PAIRS_SQUARES, FH_PAIRS_COSINES };

typedef struct fh_pair_sums {
  float of[8][8];
  float x[8], y[8]; /* squares of the rows: FH_PAIRS_COSINES */
} fh_pair_sums;

FH_INLINE void fh_pairs_clear(fh_pair_sums *sums) {
  fh_simt_fill(sums->of, 0.0f);
  FH_UNROLL for (int i = 0; i < 8; i++) sums->x[i] = sums->y[i] = 0.0f;
}

FH_INLINE void fh_pairs_step(int kind, fh_pair_sums *sums, const fh_local float *a, const fh_local float *b) {
  const fh_f32x4 a0 = fh_load4(a), a1 = fh_load4(a + 16), b0 = fh_load4(b), b1 = fh_load4(b + 32);
  const float x[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
  const float y[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
  FH_UNROLL for (int i = 0; i < 8; i++) {
    FH_UNROLL for (int j = 0; j < 8; j++) {
      const float apart = fh_add_u(x[i], -y[j]);
      sums->of[i][j] = kind == FH_PAIRS_SQUARES ? fh_fma_u(apart, apart, sums->of[i][j]) : fh_fma_u(x[i], y[j], sums->of[i][j]);
    }
    if (kind == FH_PAIRS_COSINES) sums->x[i] = fh_fma_u(x[i], x[i], sums->x[i]), sums->y[i] = fh_fma_u(y[i], y[i], sums->y[i]);
  }
}

/* All pairs of one tile, over d elements. Begins and ends so that shared memory may be used for other things by then. */
FH_INLINE void fh_pairs_sum(int kind, fh_pair_sums *sums, fh_local float *shared, fh_panel *x, fh_panel *y, long d) {
  const fh_local float *const rows = shared + fh_simt_row(FH_PAIRS_SIDE);
  const fh_local float *const cols = shared + FH_PAIRS_PANEL + fh_simt_col(FH_PAIRS_SIDE);
  float from_x[FH_SIMT_MINE], from_y[FH_SIMT_MINE];
  int at = 0;
  fh_pairs_clear(sums);
  fh_panel_fetch(x, d, from_x);
  fh_panel_fetch(y, d, from_y);
  fh_barrier();
  fh_panel_place(x, shared, from_x);
  fh_panel_place(y, shared + FH_PAIRS_PANEL, from_y);
  fh_barrier();
  for (long l = 0; l < d; l += FH_SIMT_STEPS) {
    const long left = d - l - FH_SIMT_STEPS;
    if (left > 0) {
      fh_panel_fetch(x, left, from_x);
      fh_panel_fetch(y, left, from_y);
    }
    FH_UNROLL_2 for (int s = 0; s < FH_SIMT_STEPS; s++)
        fh_pairs_step(kind, sums, rows + at + s * FH_SIMT_PITCH(FH_PAIRS_SIDE), cols + at + s * FH_SIMT_PITCH(FH_PAIRS_SIDE));
    if (left > 0) {
      at = 2 * FH_PAIRS_PANEL - at;
      fh_panel_place(x, shared + at, from_x);
      fh_panel_place(y, shared + at + FH_PAIRS_PANEL, from_y);
      fh_barrier();
    }
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_SIMT_PAIRS_H_ */
