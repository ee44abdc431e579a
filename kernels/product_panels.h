/* Products whose operands are packed into panels by a launch before them: which calls fit, the scratch, the launches
 * (kernels/block/wgmma_panels.h). SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_PRODUCT_PANELS_H_
#define FOGHORN_KERNELS_PRODUCT_PANELS_H_

#include "kernels/product_tensors.h"

enum {
  FH_PANELS_PACK_THREADS = 256,
  FH_PANELS_BLOCKS = 8,        /* of those, for each multiprocessor: the threads that it has room for */
  FH_PANELS_PANEL = 16 << 10,  /* bytes: 128 lines, 128 bytes of k */
  FH_PANELS_LEAST = 512 << 10, /* multiplications below which the launch before costs more than what it saves */
};

static inline int64_t fh_panels_of(const fh_operand *op, int64_t lines, int64_t tile, int64_t sheet, int64_t size) {
  const int64_t sheets = sheet ? op[FH_PRODUCT_BATCH].i : 1, steps = fh_divide_up(op[FH_PRODUCT_K].i * size, FH_TENSOR_LINE);
  return sheets * fh_divide_up(lines, tile) * (tile / FH_TENSOR_ROWS) * steps;
}
static inline int64_t fh_panels_of_a(const fh_bound *bound, int64_t size) {
  const fh_operand *op = bound->stages[0].operands;
  return fh_panels_of(op, op[FH_PRODUCT_M].i, FH_TENSOR_ROWS, op[FH_PRODUCT_A_STRIDES].i, size);
}
static inline int64_t fh_panels_of_b(const fh_bound *bound, int64_t cols, int64_t size) {
  const fh_operand *op = bound->stages[0].operands;
  return fh_panels_of(op, op[FH_PRODUCT_N].i, cols, op[FH_PRODUCT_B_STRIDES].i, size);
}

static inline void fh_panels_pack_shape(int64_t panels, int multiprocessors, fh_block_shape *out) {
  const int64_t most = multiprocessors > 0 ? FH_PANELS_BLOCKS * (int64_t)multiprocessors : INT32_MAX;
  *out = (fh_block_shape){.grid = {(uint32_t)fh_least(panels, most), 1, 1}, .threads = FH_PANELS_PACK_THREADS};
}

/* NULL, or why a call of any strides is not for panels. */
static inline const char *fh_panels_unfit(const fh_bound *bound) {
  const char *extents = fh_tensor_extents_unfit(bound);
  if (extents) return extents;
  if (bound->flops / 2 < FH_PANELS_LEAST) return "fewer than 524288 multiplications: packing the operands would take longer";
  return NULL;
}

static inline const char *fh_panels_wide_unfit(const fh_bound *bound) {
  const char *why = fh_panels_unfit(bound);
  return why ? why : fh_tensor_few_tiles(bound);
}

/* Of tiles of one width, `wide` or `narrow`, what a row of FH_BLOCKS names: the launch that packs PANELS, a number of them that `bound`
 * gives, the scratch, and the launch behind it. */
#define FH_PANELS_LAUNCHES(kernel, width, PANELS, PRODUCT)                                               \
  static void kernel##_##width##_pack(const fh_bound *bound, int multiprocessors, fh_block_shape *out) { \
    fh_panels_pack_shape(PANELS, multiprocessors, out);                                                  \
  }                                                                                                      \
  static size_t kernel##_##width##_bytes(const fh_bound *bound, int multiprocessors) {                   \
    (void)multiprocessors;                                                                               \
    return (size_t)(PANELS) * FH_PANELS_PANEL;                                                           \
  }                                                                                                      \
  static const fh_block_step kernel##_##width##_rest[] = {{PRODUCT, fh_tensor_##width##_shape}};

/* FH_PANELS_PRODUCT(matmul_tf32, 4): the functions that the two rows of FH_BLOCKS below name. */
#define FH_PANELS_PRODUCT(kernel, SIZE)                                                                                         \
  FH_PANELS_LAUNCHES(kernel, wide, fh_panels_of_a(bound, SIZE) + fh_panels_of_b(bound, FH_TENSOR_WIDE, SIZE), #kernel "_wgmma") \
  FH_PANELS_LAUNCHES(kernel, narrow, fh_panels_of_a(bound, SIZE) + fh_panels_of_b(bound, FH_TENSOR_NARROW, SIZE), #kernel "_wgmma_small")

/* The two rows, of <kernel>_sm90a.k. The efficiency is a guess: nothing has been measured. */
#define FH_PANELS_ROWS_OF(kernel, NUMERICS)                                                                                         \
  {.name = "wgmma",                                                                                                                 \
   .entry = #kernel "_wgmma_pack",                                                                                                  \
   .text = #kernel "_sm90a",                                                                                                        \
   .capability = 90,                                                                                                                \
   .only = true,                                                                                                                    \
   .numerics = NUMERICS,                                                                                                            \
   .shape = kernel##_wide_pack,                                                                                                     \
   .unfit = fh_panels_wide_unfit,                                                                                                   \
   .efficiency = 0.7,                                                                                                               \
   .rest = kernel##_wide_rest,                                                                                                      \
   .rest_count = 1,                                                                                                                 \
   .scratch_bytes = kernel##_wide_bytes},                                                                                           \
  {                                                                                                                                 \
    .name = "wgmma_small", .entry = #kernel "_wgmma_small_pack", .text = #kernel "_sm90a", .capability = 90, .only = true,          \
    .numerics = NUMERICS, .shape = kernel##_narrow_pack, .unfit = fh_panels_unfit, .efficiency = 0.6, .rest = kernel##_narrow_rest, \
    .rest_count = 1, .scratch_bytes = kernel##_narrow_bytes                                                                         \
  }

/* ---- b alone in panels: a is brought by a tensor map, of which each launch has two ---- */

static inline const char *fh_panels_b_unfit(const fh_bound *bound, int64_t group, int64_t size) {
  const fh_operand *op = bound->stages[0].operands;
  const fh_tensor_side a = fh_tensor_side_a(op);
  const char *why = fh_panels_unfit(bound);
  if (!why) why = fh_tensor_side_unfit(&a, op[FH_PRODUCT_K].i, size, false);
  if (why) return why;
  return fh_tensor_product_unfit(bound, group, size, false) ? NULL : "b is contiguous along k: it need not be packed";
}

static inline void fh_panels_b_maps(const fh_bound *bound, fh_dtype a_type, fh_tensor_map *out) {
  const fh_operand *op = bound->stages[0].operands;
  const fh_tensor_side a = fh_tensor_side_a(op);
  fh_tensor_side_map(&a, op, FH_PRODUCT_A, a_type, FH_TENSOR_ROWS, &out[0]);
  out[1] = out[0]; /* not used */
}

/* FH_PANELS_B_PRODUCT(matmul_i8, 4, FH_U8, 1): the functions that the two rows of FH_BLOCKS below name. */
#define FH_PANELS_B_PRODUCT(kernel, GROUP_, A, SIZE)                                                                 \
  FH_PANELS_LAUNCHES(kernel, wide, fh_panels_of_b(bound, FH_TENSOR_WIDE, SIZE), #kernel "_wgmma_packed")             \
  FH_PANELS_LAUNCHES(kernel, narrow, fh_panels_of_b(bound, FH_TENSOR_NARROW, SIZE), #kernel "_wgmma_packed_small")   \
  static const char *kernel##_packed_unfit(const fh_bound *bound) { return fh_panels_b_unfit(bound, GROUP_, SIZE); } \
  static const char *kernel##_wide_packed_unfit(const fh_bound *bound) {                                             \
    const char *why = kernel##_packed_unfit(bound);                                                                  \
    return why ? why : fh_tensor_few_tiles(bound);                                                                   \
  }                                                                                                                  \
  static void kernel##_packed_maps(const fh_bound *bound, fh_tensor_map *out) { fh_panels_b_maps(bound, A, out); }

/* The two rows, of <kernel>_sm90a.k. The efficiency is a guess: nothing has been measured. */
#define FH_PANELS_B_ROWS_OF(kernel, NUMERICS)                                                                                             \
  {.name = "wgmma_packed",                                                                                                                \
   .entry = #kernel "_wgmma_pack",                                                                                                        \
   .text = #kernel "_sm90a",                                                                                                              \
   .capability = 90,                                                                                                                      \
   .only = true,                                                                                                                          \
   .numerics = NUMERICS,                                                                                                                  \
   .shape = kernel##_wide_pack,                                                                                                           \
   .unfit = kernel##_wide_packed_unfit,                                                                                                   \
   .efficiency = 0.7,                                                                                                                     \
   .rest = kernel##_wide_rest,                                                                                                            \
   .rest_count = 1,                                                                                                                       \
   .scratch_bytes = kernel##_wide_bytes,                                                                                                  \
   .map_count = 2,                                                                                                                        \
   .maps = kernel##_packed_maps},                                                                                                         \
  {                                                                                                                                       \
    .name = "wgmma_packed_small", .entry = #kernel "_wgmma_small_pack", .text = #kernel "_sm90a", .capability = 90, .only = true,         \
    .numerics = NUMERICS, .shape = kernel##_narrow_pack, .unfit = kernel##_packed_unfit, .efficiency = 0.6, .rest = kernel##_narrow_rest, \
    .rest_count = 1, .scratch_bytes = kernel##_narrow_bytes, .map_count = 2, .maps = kernel##_packed_maps                                 \
  }

#endif /* FOGHORN_KERNELS_PRODUCT_PANELS_H_ */
