/* Products whose operands are brought by tensor maps: which calls fit, the maps, the launches (kernels/block/wgmma_product.h).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_PRODUCT_TENSORS_H_
#define FOGHORN_KERNELS_PRODUCT_TENSORS_H_

#include "kernels/product.h"

enum {
  FH_TENSOR_ROWS = 128, /* of a tile */
  FH_TENSOR_WIDE = 256, /* its columns */
  FH_TENSOR_NARROW = 128,
  FH_TENSOR_THREADS = 384,
  FH_TENSOR_RING = (192 << 10) + 128, /* bytes: the stages, and their mbarriers */
  FH_TENSOR_LINE = 128,               /* bytes of a box in its first dimension: the swizzle */
  FH_TENSOR_BOX = 64,                 /* lines of a box of 16-bit numbers whose lines are contiguous */
  FH_TENSOR_STEP = 16,                /* bytes that strides are multiples of */
  FH_TENSOR_MOST_TILES = 1 << 30,
  FH_TENSOR_FEW_TILES = 96, /* wide tiles below which half the columns fill more multiprocessors */
};

/* An operand as lines along k: rows of a, columns of b. Strides in elements. */
typedef struct fh_tensor_side {
  const char *name;
  int64_t lines, line, step, sheet; /* how many; from line to line, along k, from product to product */
  int64_t sheets;
} fh_tensor_side;

static inline fh_tensor_side fh_tensor_side_a(const fh_operand *op) {
  const fh_operand *s = op + FH_PRODUCT_A_STRIDES;
  return (fh_tensor_side){"a", op[FH_PRODUCT_M].i, s[1].i, s[2].i, s[0].i, op[FH_PRODUCT_BATCH].i};
}
static inline fh_tensor_side fh_tensor_side_b(const fh_operand *op) {
  const fh_operand *s = op + FH_PRODUCT_B_STRIDES;
  return (fh_tensor_side){"b", op[FH_PRODUCT_N].i, s[2].i, s[4].i, s[0].i, op[FH_PRODUCT_BATCH].i};
}

/* Packed weights have as few bytes of k together as a word has. */
static inline bool fh_tensor_is_packed(const fh_operand *op, int64_t group) {
  const fh_operand *s = op + FH_PRODUCT_B_STRIDES;
  return (op[FH_PRODUCT_N].i > FH_PANEL && s[1].i != FH_PANEL * s[2].i) || (op[FH_PRODUCT_K].i > group && s[3].i != group * s[4].i);
}

static inline bool fh_tensor_stride_fits(int64_t stride, int64_t least, int64_t size) {
  return stride >= least && stride * size % FH_TENSOR_STEP == 0 && stride < (INT64_C(1) << 40) / size;
}

/* Does each matrix of a batch lie behind the one before, or all of their first lines before all of their second ones? A map whose boxes
 * overlap is none that a driver promises to take. In doubles: strides are of 40 bits, extents of up to 63. */
static inline bool fh_tensor_sheets_apart(const fh_tensor_side *s, int64_t k) {
  const bool turned = s->step != 1;
  const double near = (double)(turned ? s->lines : k), far = (double)(turned ? k : s->lines);
  const double pitch = (double)(turned ? s->step : s->line), sheet = (double)s->sheet;
  return sheet >= (far - 1) * pitch + near || (sheet >= near && ((double)s->sheets - 1) * sheet + near <= pitch);
}

/* NULL, or why no tensor map describes it. `turns`: may its lines be what is contiguous? */
static inline const char *fh_tensor_side_unfit(const fh_tensor_side *s, int64_t k, int64_t size, bool turns) {
  const bool turned = s->step != 1;
  if (turned && (!turns || s->line != 1))
    return turns ? "an operand is contiguous neither along k nor across it: tensor maps want one of both"
                 : "an operand is not contiguous along k: products of this type want both so";
  if (!fh_tensor_stride_fits(turned ? s->step : s->line, turned ? s->lines : k, size))
    return "lines of an operand overlap, or are not a multiple of 16 bytes apart: tensor maps want that";
  if (s->sheet && !fh_tensor_stride_fits(s->sheet, 1, size))
    return "matrices of a batch are not a multiple of 16 bytes apart, forwards: tensor maps want that";
  if (s->sheet && s->sheets > 1 && !fh_tensor_sheets_apart(s, k)) return "matrices of a batch overlap: tensor maps want them apart";
  return NULL;
}

static inline int64_t fh_tensor_tiles(const fh_bound *bound, int64_t cols) {
  const fh_operand *op = bound->stages[0].operands;
  return fh_divide_up(op[FH_PRODUCT_M].i, FH_TENSOR_ROWS) * fh_divide_up(op[FH_PRODUCT_N].i, cols) * op[FH_PRODUCT_BATCH].i;
}

/* NULL, or why the extents are not for tiles of warpgroups. */
static inline const char *fh_tensor_extents_unfit(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  const int64_t m = op[FH_PRODUCT_M].i, n = op[FH_PRODUCT_N].i, k = op[FH_PRODUCT_K].i, batch = op[FH_PRODUCT_BATCH].i;
  const char *few = fh_product_block_unfit(bound);
  if (few) return few;
  if (k < 1) return "k is 0: there is nothing to bring";
  if (m > INT32_MAX || n > INT32_MAX || k > INT32_MAX || batch > INT32_MAX)
    return "an extent has more than 31 bits: coordinates of a tensor map have 32";
  const double tiles = (double)fh_divide_up(m, FH_TENSOR_ROWS) * (double)fh_divide_up(n, FH_TENSOR_NARROW) * (double)batch;
  return tiles < FH_TENSOR_MOST_TILES ? NULL : "2^30 tiles or more: they are counted in 32 bits";
}

static inline const char *fh_tensor_product_unfit(const fh_bound *bound, int64_t group, int64_t size, bool turns) {
  const fh_operand *op = bound->stages[0].operands;
  const fh_tensor_side a = fh_tensor_side_a(op), b = fh_tensor_side_b(op);
  const int64_t k = op[FH_PRODUCT_K].i;
  const char *extents = fh_tensor_extents_unfit(bound);
  if (extents) return extents;
  if (fh_tensor_is_packed(op, group)) return "packed weights have 4 bytes of k together: tensor maps bring 16";
  const char *why = fh_tensor_side_unfit(&a, k, size, turns);
  return why ? why : fh_tensor_side_unfit(&b, k, size, turns);
}

/* Dimension 0 is the contiguous one, 2 the product; where all share one matrix there is one. */
static inline void fh_tensor_side_map(const fh_tensor_side *s, const fh_operand *op, int32_t operand, fh_dtype dtype, uint32_t tile,
                                      fh_tensor_map *out) {
  const uint64_t size = fh_dtype_size(dtype), k = (uint64_t)op[FH_PRODUCT_K].i, lines = (uint64_t)s->lines;
  const bool turned = s->step != 1;
  const uint64_t pitch = (uint64_t)(turned ? s->step : s->line) * size, all = (turned ? k : lines) * pitch;
  *out = (fh_tensor_map){.operand = operand,
                         .rank = 3,
                         .dtype = dtype,
                         .swizzle = FH_TENSOR_LINE,
                         .extent = {turned ? lines : k, turned ? k : lines, s->sheet ? (uint64_t)op[FH_PRODUCT_BATCH].i : 1},
                         .stride = {size, pitch, s->sheet ? (uint64_t)s->sheet * size : all},
                         .box = {FH_TENSOR_LINE / (uint32_t)size, turned ? FH_TENSOR_BOX : tile, 1}};
}

static inline void fh_tensor_product_maps(const fh_bound *bound, fh_dtype a_type, fh_dtype b_type, uint32_t cols, fh_tensor_map *out) {
  const fh_operand *op = bound->stages[0].operands;
  const fh_tensor_side a = fh_tensor_side_a(op), b = fh_tensor_side_b(op);
  fh_tensor_side_map(&a, op, FH_PRODUCT_A, a_type, FH_TENSOR_ROWS, &out[0]);
  fh_tensor_side_map(&b, op, FH_PRODUCT_B, b_type, cols, &out[1]);
}

static inline const char *fh_tensor_few_tiles(const fh_bound *bound) {
  if (fh_tensor_tiles(bound, FH_TENSOR_WIDE) >= FH_TENSOR_FEW_TILES) return NULL;
  return "fewer than 96 tiles of 128 x 256: smaller ones fill more multiprocessors";
}

/* A block for each multiprocessor, which goes from tile to tile. */
static inline void fh_tensor_product_shape(const fh_bound *bound, int multiprocessors, int64_t cols, fh_block_shape *out) {
  const int64_t tiles = fh_tensor_tiles(bound, cols), most = multiprocessors > 0 ? multiprocessors : INT32_MAX;
  *out = (fh_block_shape){
      .grid = {(uint32_t)(tiles < most ? tiles : most), 1, 1}, .threads = FH_TENSOR_THREADS, .shared_bytes = FH_TENSOR_RING};
}
static inline void fh_tensor_wide_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_tensor_product_shape(bound, multiprocessors, FH_TENSOR_WIDE, out);
}
static inline void fh_tensor_narrow_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_tensor_product_shape(bound, multiprocessors, FH_TENSOR_NARROW, out);
}

/* FH_TENSOR_PRODUCT(matmul_i8, 4, FH_U8, FH_I8, 1, false): the functions that the two rows of FH_BLOCKS below name. */
#define FH_TENSOR_PRODUCT(kernel, GROUP_, A, B, SIZE, TURNS)                                                                              \
  static const char *kernel##_tensor_unfit(const fh_bound *bound) { return fh_tensor_product_unfit(bound, GROUP_, SIZE, TURNS); }         \
  static const char *kernel##_wide_unfit(const fh_bound *bound) {                                                                         \
    const char *why = kernel##_tensor_unfit(bound);                                                                                       \
    return why ? why : fh_tensor_few_tiles(bound);                                                                                        \
  }                                                                                                                                       \
  static void kernel##_wide_maps(const fh_bound *bound, fh_tensor_map *out) { fh_tensor_product_maps(bound, A, B, FH_TENSOR_WIDE, out); } \
  static void kernel##_narrow_maps(const fh_bound *bound, fh_tensor_map *out) {                                                           \
    fh_tensor_product_maps(bound, A, B, FH_TENSOR_NARROW, out);                                                                           \
  }

/* The two rows, of <kernel>_sm90a.k. The efficiency is a guess: nothing has been measured. */
#define FH_TENSOR_ROWS_OF(kernel, NUMERICS)                                                                                   \
  {.name = "wgmma",                                                                                                           \
   .entry = #kernel "_wgmma",                                                                                                 \
   .text = #kernel "_sm90a",                                                                                                  \
   .capability = 90,                                                                                                          \
   .only = true,                                                                                                              \
   .numerics = NUMERICS,                                                                                                      \
   .shape = fh_tensor_wide_shape,                                                                                             \
   .unfit = kernel##_wide_unfit,                                                                                              \
   .efficiency = 0.7,                                                                                                         \
   .map_count = 2,                                                                                                            \
   .maps = kernel##_wide_maps},                                                                                               \
  {                                                                                                                           \
    .name = "wgmma_small", .entry = #kernel "_wgmma_small", .text = #kernel "_sm90a", .capability = 90, .only = true,         \
    .numerics = NUMERICS, .shape = fh_tensor_narrow_shape, .unfit = kernel##_tensor_unfit, .efficiency = 0.6, .map_count = 2, \
    .maps = kernel##_narrow_maps                                                                                              \
  }

#endif /* FOGHORN_KERNELS_PRODUCT_TENSORS_H_ */
