/* The block variants of the kernels that normalise rows (block/norm_rows.h): their grids, and which calls they fit.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_NORM_BLOCKS_H_
#define FOGHORN_KERNELS_NORM_BLOCKS_H_

#include "kernels/arithmetic.h"
#include "kernels/contract.h"
#include "kernels/row_operands.h"

/* Of a block of 256 threads; `few` and `many` elements of each thread are kept in registers. */
enum { FH_NORM_BLOCK = 256, FH_NORM_ROW = 64, FH_SOFTMAX_ROW = 32, FH_NORM_FEWEST = 16, FH_NORM_MOST = 64 };

static inline const fh_operand *fh_norm_last(const fh_bound *bound) {
  const fh_stage *stage = &bound->stages[0];
  return &stage->operands[stage->operand_count - FH_ROWS_OPERANDS];
}

/* Blocks stride over the rows: as many as can be resident, and some for balance; an unknown device has one multiprocessor at least. */
static inline void fh_norm_shape(const fh_bound *bound, int multiprocessors, int row, fh_block_shape *out) {
  const int64_t blocks = fh_divide_up(fh_norm_last(bound)[FH_ROWS_ROWS].i, FH_NORM_BLOCK / row);
  const int64_t most = 32 * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  *out = (fh_block_shape){.grid = {(uint32_t)(blocks < most ? blocks : most), 1, 1}, .threads = FH_NORM_BLOCK};
}
static inline void fh_norm_rows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_norm_shape(bound, multiprocessors, FH_NORM_ROW, out);
}
static inline void fh_softmax_rows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_norm_shape(bound, multiprocessors, FH_SOFTMAX_ROW, out);
}

/* The strides of weights stand before the last operands, one for each input but the first. */
static inline bool fh_norm_together(const fh_bound *bound) {
  const fh_operand *last = fh_norm_last(bound), *stride = last;
  bool together = last[FH_ROWS_X_STRIDES + 2].i == 1 && last[FH_ROWS_Y_STRIDES + 2].i == 1;
  for (int i = 1; bound->stages[0].operands[i].kind == FH_OPERAND_IN; i++) together = (--stride)->i == 1 && together;
  return together;
}

static inline const char *fh_norm_unfit(const fh_bound *bound, int64_t least, int64_t most) {
  const int64_t d = fh_norm_last(bound)[FH_ROWS_D].i;
  if (!fh_norm_together(bound)) return "the elements of a row are not side by side";
  if (d < least)
    return least == FH_NORM_ROW || least == FH_SOFTMAX_ROW ? "short rows leave threads without work"
                                                           : "the variant for fewer elements takes fewer registers";
  return d > most ? "the rows are longer than what its threads keep in registers" : NULL;
}
static inline const char *fh_norm_few_unfit(const fh_bound *bound) {
  return fh_norm_unfit(bound, FH_NORM_ROW, FH_NORM_ROW * FH_NORM_FEWEST);
}
static inline const char *fh_norm_many_unfit(const fh_bound *bound) {
  return fh_norm_unfit(bound, FH_NORM_ROW * FH_NORM_FEWEST + 1, FH_NORM_ROW * FH_NORM_MOST);
}
static inline const char *fh_softmax_few_unfit(const fh_bound *bound) {
  return fh_norm_unfit(bound, FH_SOFTMAX_ROW, FH_SOFTMAX_ROW * FH_NORM_FEWEST);
}
static inline const char *fh_softmax_many_unfit(const fh_bound *bound) {
  return fh_norm_unfit(bound, FH_SOFTMAX_ROW * FH_NORM_FEWEST + 1, FH_SOFTMAX_ROW * FH_NORM_MOST);
}

/* FH_BLOCKS_OF_ROWS(layer_norm, norm); the efficiencies are guesses, no device was measured. */
#define FH_BLOCKS_OF_ROWS(kernel, kind)                                                                                                  \
  FH_BLOCKS(                                                                                                                             \
      {"few", #kernel "_few", #kernel "_block", FH_BLOCK_PORTABLE, false, FH_EXACT, fh_##kind##_rows_shape, fh_##kind##_few_unfit, 0.8}, \
      {"many", #kernel "_many", #kernel "_block", FH_BLOCK_PORTABLE, false, FH_EXACT, fh_##kind##_rows_shape, fh_##kind##_many_unfit,    \
       0.8})

#endif /* FOGHORN_KERNELS_NORM_BLOCKS_H_ */
