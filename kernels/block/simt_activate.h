/* What a tile of sums is sent through on its way to memory: c = f(sum + d). SPDX-License-Identifier: Apache-2.0
 *
 * None and relu are done in registers. The text of another function is too long to stand there 64 times, so the sums with their addends go
 * to c first, and each thread reads its own again, one by one: 8 bytes for 2 k operations, from the second cache. */
#ifndef FOGHORN_KERNELS_BLOCK_SIMT_ACTIVATE_H_
#define FOGHORN_KERNELS_BLOCK_SIMT_ACTIVATE_H_

#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_
#include "kernels/block/simt_product.h"
#endif
#ifndef FOGHORN_KERNELS_BLOCK_LANE_H_
#include "kernels/block/lane.h"
#endif
#ifndef FOGHORN_KERNELS_DIALECT_MATHS_H_
#include "kernels/dialect/maths.h"
#endif
#ifndef FOGHORN_KERNELS_DIALECT_ACTIVATION_H_
#include "kernels/dialect/activation.h"
#endif

/* A thread's row i of 8 and column j of 8, from its first ones on. */
FH_INLINE int fh_simt_hop_row(int i) { return i / 4 * 16 + i % 4; }
FH_INLINE int fh_simt_hop_col(int j) { return j / 4 * 32 + j % 4; }

/* Sum and addend, through relu where that is asked for. d begins where the tile does. */
FH_INLINE void fh_simt_addend(float total[8][8], fh_f32_in d, long ds1, long ds, long rows, long cols, int row, int col, long activation) {
  fh_f32_in from = d + row * ds1 + col * ds;
  FH_UNROLL for (int i = 0; i < 8; i++) {
    FH_UNROLL for (int j = 0; j < 8; j++) {
      const bool has = row + fh_simt_hop_row(i) < rows && col + fh_simt_hop_col(j) < cols;
      const float sum = fh_add_u(total[i][j], has ? from[fh_simt_hop_col(j) * ds] : 0.0f);
      total[i][j] = activation == 1 ? fh_max(0.0f, sum) : sum;
    }
    from += (i == 3 ? 13 : 1) * ds1;
  }
}

/* What the thread has stored, through a long function. */
FH_INLINE void fh_simt_activate(fh_f32_out c, long cs1, long cs, long rows, long cols, int row, int col, long activation) {
  FH_NO_UNROLL for (int e = 0; e < 64; e++) {
    const int i = row + fh_simt_hop_row(e / 8), j = col + fh_simt_hop_col(e % 8);
    if (i < rows && j < cols) c[i * cs1 + j * cs] = fh_activate(c[i * cs1 + j * cs], activation);
  }
}

/* c and d begin where the tile does, of which `rows` by `cols` are there. */
FH_INLINE void fh_simt_finish(float total[8][8], fh_f32_out c, long cs1, long cs, fh_f32_in d, long ds1, long ds, long rows, long cols,
                              int row, int col, long activation) {
  fh_simt_addend(total, d, ds1, ds, rows, cols, row, col, activation);
  fh_simt_store(total, c, cs1, cs, rows, cols, row, col);
  if (activation > 1) fh_simt_activate(c, cs1, cs, rows, cols, row, col, activation);
}

#endif /* FOGHORN_KERNELS_BLOCK_SIMT_ACTIVATE_H_ */
