/* The tuned entries of the kernels that normalise rows (rows_simd.h), and which calls they fit. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TILE_ROWS_H_
#define FOGHORN_KERNELS_TILE_ROWS_H_

#include "kernels/contract.h"
#include "kernels/row_operands.h"

/* A row of FH_ROWS_SHORT elements is one vector. Past FH_ROWS_LONGEST the end of a sum counts for little, and a row at a time is read more
 * evenly; l2_normalize and softmax gain nothing from there on where a row is more than one vector. */
enum { FH_ROWS_SHORT = 16, FH_ROWS_LONGEST = 128, FH_ROWS_STREAMED = 64 };

/* The tuned entries hand what is unfit to the text; to say so lets the planner cut and time it as such. The operands: x, weights, y; eps
 * and whether to store past the caches, but for softmax; a stride for each weight; and FH_ROWS_OPERANDS. */
static inline const char *fh_rows_unfit(const fh_bound *bound, int64_t longest) {
  const fh_stage *stage = &bound->stages[0];
  const fh_operand *last = &stage->operands[stage->operand_count - FH_ROWS_OPERANDS], *stride = last;
  bool together = last[FH_ROWS_X_STRIDES + 2].i == 1 && last[FH_ROWS_Y_STRIDES + 2].i == 1;
  for (int i = 1; stage->operands[i].kind == FH_OPERAND_IN; i++) together = (--stride)->i == 1 && together;
  if (!together) return "the elements of a row are not side by side";
  if (last[FH_ROWS_D].i > longest) return "the rows are long: one at a time is as fast";
  if (longest >= FH_ROWS_STREAMED && last[FH_ROWS_D].i >= FH_ROWS_STREAMED && stride[-1].i)
    return "the output is stored past the caches, row by row";
  return NULL;
}
static inline const char *fh_rows_unfit_short(const fh_bound *bound) { return fh_rows_unfit(bound, FH_ROWS_SHORT); }
static inline const char *fh_rows_unfit_long(const fh_bound *bound) { return fh_rows_unfit(bound, FH_ROWS_LONGEST); }

#define FH_ROWS_ENTRIES(isa)                                             \
  void fh_layer_norm_##isa(const fh_slot *slots, const fh_team *team);   \
  void fh_rms_norm_##isa(const fh_slot *slots, const fh_team *team);     \
  void fh_l2_normalize_##isa(const fh_slot *slots, const fh_team *team); \
  void fh_softmax_##isa(const fh_slot *slots, const fh_team *team);
FH_ROWS_ENTRIES(avx2)
FH_ROWS_ENTRIES(avx512)
#undef FH_ROWS_ENTRIES

/* FH_TUNED_ROWS(l2_normalize, fh_rows_unfit_short) */
#define FH_TUNED_ROWS(kernel, unfit)                                                          \
  FH_TUNED_X86({"tuned", FH_ISA_AVX512, FH_EXACT, fh_##kernel##_avx512, NULL, unfit, 0.9, 0}, \
               {"tuned", FH_ISA_AVX2, FH_EXACT, fh_##kernel##_avx2, NULL, unfit, 0.9, 0})

#endif /* FOGHORN_KERNELS_TILE_ROWS_H_ */
