/* A tile of a product of f32 on every device: panels come through registers. SPDX-License-Identifier: Apache-2.0
 *
 * While a panel of 8 steps is multiplied, the next is on its way to registers; it then goes to the other half of shared memory, so that
 * one barrier for each panel is enough. Tiles are `side` by `side`, 128 by 256 threads or 64 by 64. */
#ifndef FOGHORN_KERNELS_BLOCK_SIMT_TILES_H_
#define FOGHORN_KERNELS_BLOCK_SIMT_TILES_H_

#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_
#include "kernels/block/simt_product.h"
#endif

#define FH_TILES_THREADS(side) ((side) * (side) / 64)
#define FH_TILES_BYTES(side) (4 * FH_SIMT_PANEL(side) * 4) /* two panels of each operand */

/* One tile of one product; a and b begin at its first row and its first column. */
FH_INLINE void fh_simt_tile(float total[8][8], fh_local float *shared, fh_panel *a, fh_panel *b, long k, int side) {
  const int panel = FH_SIMT_PANEL(side), pitch = FH_SIMT_PITCH(side), mine = side * FH_SIMT_STEPS / FH_TILES_THREADS(side);
  const fh_local float *const rows = shared + fh_simt_row(side), *const cols = shared + panel + fh_simt_col(side);
  float from_a[8], from_b[8], sum[8][8];
  int at = 0;
  fh_panel_fetch_some(a, k, mine, from_a);
  fh_panel_fetch_some(b, k, mine, from_b);
  fh_barrier(); /* the tile before has been read */
  fh_panel_place_some(a, shared, mine, from_a);
  fh_panel_place_some(b, shared + panel, mine, from_b);
  fh_barrier();
  fh_simt_fill(total, -0.0f);
  for (long block = 0; block == 0 || block < k; block += FH_SIMT_BLOCK) {
    const long end = fh_least(k, block + FH_SIMT_BLOCK);
    fh_simt_fill(sum, 0.0f);
    for (long l = block; l < end; l += FH_SIMT_STEPS) {
      const long left = k - l - FH_SIMT_STEPS;
      if (left > 0) {
        fh_panel_fetch_some(a, left, mine, from_a);
        fh_panel_fetch_some(b, left, mine, from_b);
      }
      fh_simt_steps(sum, rows + at, pitch, cols + at, pitch, end - l);
      if (left > 0) {
        at = 2 * panel - at;
        fh_panel_place_some(a, shared + at, mine, from_a);
        fh_panel_place_some(b, shared + at + panel, mine, from_b);
        fh_barrier();
      }
    }
    fh_simt_fold(total, sum);
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_SIMT_TILES_H_ */
