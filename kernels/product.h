/* What the contracts of matrix products of narrow types share: shapes, packed weights, the oracle's walk, cases.
 * SPDX-License-Identifier: Apache-2.0
 *
 * b is (k, n), (batch, k, n), or packed weights of rank 4: (panels, groups, 32, group), where panel p holds the columns from 32 p on and
 * `group` values of k that lie side by side are one word of 4 bytes: element (l, j) is packed[j / 32, l / group, j % 32, l % group].
 * What lies past n or k there is never used. Both forms are read with one set of strides, so a packed b may lie anywhere too.
 */
#ifndef FOGHORN_KERNELS_PRODUCT_H_
#define FOGHORN_KERNELS_PRODUCT_H_

#include "kernels/arithmetic.h"
#include "kernels/check.h"
#include "kernels/rows.h"

enum { FH_PRODUCT_A, FH_PRODUCT_B, FH_PRODUCT_C, FH_PRODUCT_VIEWS };
enum { FH_PANEL = 32 }; /* columns of packed weights that lie together */

/* The order of operands; dialect items are batch * m * ceil(n / 16), blocks of 16 columns innermost. */
enum {
  FH_PRODUCT_BATCH = FH_PRODUCT_VIEWS,
  FH_PRODUCT_M,
  FH_PRODUCT_N,
  FH_PRODUCT_K,
  FH_PRODUCT_A_STRIDES,                            /* batch, row, column */
  FH_PRODUCT_B_STRIDES = FH_PRODUCT_A_STRIDES + 3, /* batch, panel, column in it, group, element in it */
  FH_PRODUCT_C_STRIDES = FH_PRODUCT_B_STRIDES + 5, /* batch, row, column */
  FH_PRODUCT_SLOTS = FH_PRODUCT_C_STRIDES + 3,
};

typedef struct fh_product {
  int64_t batch, m, n, k;
  int64_t a[3], b[5], c[3]; /* strides, in the order of the operands */
} fh_product;

/* The shape of packed weights for (k, n). */
static inline void fh_packed_shape(int64_t k, int64_t n, int64_t group, int64_t shape[static 4]) {
  shape[0] = fh_divide_up(n, FH_PANEL);
  shape[1] = fh_divide_up(k, group);
  shape[2] = FH_PANEL;
  shape[3] = group;
}

/* Strides of views that were checked. Those of extents that are never walked are left out, as they may not even fit. */
static inline fh_product fh_product_of(const fh_view_desc *v, int64_t group) {
  const int row = v[FH_PRODUCT_A].rank - 2, brow = v[FH_PRODUCT_B].rank - 2;
  const int64_t *bs = v[FH_PRODUCT_B].strides;
  fh_product p = {.batch = row ? v[FH_PRODUCT_A].shape[0] : 1,
                  .m = v[FH_PRODUCT_A].shape[row],
                  .n = v[FH_PRODUCT_C].shape[row + 1],
                  .k = v[FH_PRODUCT_A].shape[row + 1]};
  for (int i = 0; i < 3; i++) {
    p.a[i] = i > 0 ? v[FH_PRODUCT_A].strides[row - 1 + i] : row ? v[FH_PRODUCT_A].strides[0] : 0;
    p.c[i] = i > 0 ? v[FH_PRODUCT_C].strides[row - 1 + i] : row ? v[FH_PRODUCT_C].strides[0] : 0;
  }
  if (v[FH_PRODUCT_B].rank == 4) {
    const int64_t packed[] = {0, bs[0], bs[2], bs[1], bs[3]};
    for (int i = 0; i < 5; i++) p.b[i] = packed[i];
  } else {
    const int64_t plain[] = {brow ? bs[0] : 0, p.n > FH_PANEL ? FH_PANEL * bs[brow + 1] : 0, bs[brow + 1],
                             p.k > group ? group * bs[brow] : 0, bs[brow]};
    for (int i = 0; i < 5; i++) p.b[i] = plain[i];
  }
  return p;
}

static inline int64_t fh_product_at_b(const fh_product *p, int64_t batch, int64_t l, int64_t j, int64_t group) {
  return batch * p->b[0] + j / FH_PANEL * p->b[1] + j % FH_PANEL * p->b[2] + l / group * p->b[3] + l % group * p->b[4];
}

/* ---- bind ---------------------------------------------------------------------------------------- */

static inline fh_status fh_check_packed(const char *kernel, const fh_view_param *params, const fh_view_desc *v, int64_t k, int64_t n,
                                        int64_t group) {
  char found[FH_CHECK_TEXT], wanted[FH_CHECK_TEXT];
  fh_view_desc want = {.rank = 4};
  fh_packed_shape(k, n, group, want.shape);
  bool same = true;
  for (int i = 0; i < 4; i++) same = same && v[FH_PRODUCT_B].shape[i] == want.shape[i];
  if (same) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT,
                   "fh_%s: %s has shape %s, expected packed weights %s for k = %" PRId64 " as in a and n = %" PRId64
                   " as in c\n"
                   "  fh_weights_pack makes them from (k, n)",
                   kernel, params[FH_PRODUCT_B].name, fh_check_shape_text(&v[FH_PRODUCT_B], found), fh_check_shape_text(&want, wanted), k,
                   n);
}

static inline fh_status fh_check_product(const char *kernel, const fh_view_param *params, const fh_view_desc *v, int64_t group) {
  enum { A = FH_PRODUCT_A, B = FH_PRODUCT_B, C = FH_PRODUCT_C };
  char text_a[FH_CHECK_TEXT], text_b[FH_CHECK_TEXT];
  FH_TRY(fh_check_view(kernel, &params[A], &v[A], 2, 3));
  FH_TRY(fh_check_view(kernel, &params[B], &v[B], 2, 4));
  FH_TRY(fh_check_view(kernel, &params[C], &v[C], 2, 3));
  const int row = v[A].rank - 2, col = row + 1;
  const bool packed = v[B].rank == 4;
  for (int i = B; i <= C; i++) {
    if (v[i].rank == v[A].rank || (i == B && packed)) continue;
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_%s: a has shape %s but %s has shape %s\n"
                     "  either all three operands have a leading batch dimension or none; a batch stride of 0 repeats an input",
                     kernel, fh_check_shape_text(&v[A], text_a), params[i].name, fh_check_shape_text(&v[i], text_b));
  }
  if (row == 1) {
    if (!packed) FH_TRY(fh_check_extent(kernel, &params[B], &v[B], 0, "batch", v[A].shape[0], "a"));
    FH_TRY(fh_check_extent(kernel, &params[C], &v[C], 0, "batch", v[A].shape[0], "a"));
  }
  FH_TRY(fh_check_extent(kernel, &params[C], &v[C], row, "m", v[A].shape[row], "a"));
  if (packed) return fh_check_packed(kernel, params, v, v[A].shape[col], v[C].shape[col], group);
  FH_TRY(fh_check_extent(kernel, &params[B], &v[B], row, "k", v[A].shape[col], "a"));
  return fh_check_extent(kernel, &params[C], &v[C], col, "n", v[B].shape[col], "b");
}

static inline fh_status fh_product_bind(const char *kernel, const fh_view_param *params, const fh_view_desc *views, int64_t group,
                                        fh_bound *out) {
  fh_bound_clear(out);
  FH_TRY(fh_check_product(kernel, params, views, group));
  int64_t elements[FH_PRODUCT_VIEWS] = {0};
  for (int i = 0; i < FH_PRODUCT_VIEWS; i++) FH_TRY(fh_check_count(kernel, &params[i], &views[i], &elements[i]));
  if (elements[FH_PRODUCT_C] == 0) return FH_OK;

  const fh_product p = fh_product_of(views, group);
  fh_stage *stage = fh_add_stage(out, 0, p.batch * p.m * fh_divide_up(p.n, 16), 2.0 * 16.0 * (double)p.k);
  fh_operand *op = stage->operands;
  op[FH_PRODUCT_A] = fh_op_view(FH_OPERAND_IN, FH_PRODUCT_A, 0);
  op[FH_PRODUCT_B] = fh_op_view(FH_OPERAND_IN, FH_PRODUCT_B, 0);
  op[FH_PRODUCT_C] = fh_op_view(FH_OPERAND_OUT, FH_PRODUCT_C, 0);
  op[FH_PRODUCT_BATCH] = fh_op_i64(p.batch);
  op[FH_PRODUCT_M] = fh_op_i64(p.m);
  op[FH_PRODUCT_N] = fh_op_i64(p.n);
  op[FH_PRODUCT_K] = fh_op_i64(p.k);
  for (int i = 0; i < 3; i++) op[FH_PRODUCT_A_STRIDES + i] = fh_op_i64(p.a[i]);
  for (int i = 0; i < 5; i++) op[FH_PRODUCT_B_STRIDES + i] = fh_op_i64(p.b[i]);
  for (int i = 0; i < 3; i++) op[FH_PRODUCT_C_STRIDES + i] = fh_op_i64(p.c[i]);
  stage->operand_count = FH_PRODUCT_SLOTS;

  out->flops = 2.0 * (double)elements[FH_PRODUCT_C] * (double)p.k;
  for (int i = 0; i < FH_PRODUCT_VIEWS; i++) out->bytes += (double)fh_dtype_size(views[i].dtype) * (double)elements[i];
  return FH_OK;
}

/* ---- blocks of threads: tiles of 128 x 128 in the first dimension, products in the third (kernels/block/mma_product.h) ---- */

enum { FH_PRODUCT_TILE = 128, FH_PRODUCT_BLOCK_THREADS = 256, FH_PRODUCT_BLOCK_BYTES = 64 << 10, FH_PRODUCT_GRID_DEPTH = 65535 };

static inline void fh_product_block_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  const fh_operand *op = bound->stages[0].operands;
  const int64_t rows = fh_divide_up(op[FH_PRODUCT_M].i, FH_PRODUCT_TILE), cols = fh_divide_up(op[FH_PRODUCT_N].i, FH_PRODUCT_TILE);
  const int64_t batch = op[FH_PRODUCT_BATCH].i;
  *out = (fh_block_shape){.grid = {(uint32_t)(rows * cols), 1, (uint32_t)(batch < FH_PRODUCT_GRID_DEPTH ? batch : FH_PRODUCT_GRID_DEPTH)},
                          .threads = FH_PRODUCT_BLOCK_THREADS,
                          .shared_bytes = FH_PRODUCT_BLOCK_BYTES};
}

static inline const char *fh_product_block_unfit(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  if (op[FH_PRODUCT_M].i >= 9 && op[FH_PRODUCT_N].i >= 9) return NULL; /* thin takes up to 8 rows */
  return "fewer than 9 rows or columns: nearly all of a tile of 128 x 128 would be empty";
}

/* The same with k in parts, the second dimension (kernels/block/mma_product.h), for tiles that are fewer than multiprocessors. Their
 * registers leave one block to a multiprocessor. */
enum {
  FH_PRODUCT_PANEL_WORDS = 16,
  FH_PRODUCT_PART_PANELS = 8, /* least: what a part's beginning and its sums cost is about as much */
  FH_PRODUCT_MOST_PARTS = 64,
  FH_PRODUCT_UNKNOWN = 80, /* multiprocessors of a device that does not say */
  FH_PRODUCT_MANY = 256,
};

/* So many that the blocks that run after each other on a multiprocessor have least to do; the fewest of these. */
static inline int64_t fh_product_parts(const fh_bound *bound, int64_t group, int multiprocessors) {
  fh_block_shape whole;
  fh_product_block_shape(bound, multiprocessors, &whole);
  const int64_t panels = fh_divide_up(bound->stages[0].operands[FH_PRODUCT_K].i, FH_PRODUCT_PANEL_WORDS * group);
  const int64_t tiles = (int64_t)whole.grid[0] * whole.grid[2], units = multiprocessors > 0 ? multiprocessors : FH_PRODUCT_UNKNOWN;
  int64_t best = 1, least = INT64_MAX;
  for (int64_t parts = 1; parts <= fh_least(fh_most(panels / FH_PRODUCT_PART_PANELS, 1), FH_PRODUCT_MOST_PARTS); parts++) {
    const int64_t steps = fh_divide_up(tiles * parts, units) * (fh_divide_up(panels, parts) + FH_PRODUCT_PART_PANELS);
    if (steps < least) best = parts, least = steps;
  }
  return best;
}

static inline void fh_product_split_shape(const fh_bound *bound, int64_t group, int multiprocessors, fh_block_shape *out) {
  fh_product_block_shape(bound, multiprocessors, out);
  out->grid[1] = (uint32_t)fh_product_parts(bound, group, multiprocessors);
}

static inline size_t fh_product_split_bytes(const fh_bound *bound, int64_t group, int multiprocessors) {
  const fh_operand *op = bound->stages[0].operands;
  return 4 * (size_t)fh_product_parts(bound, group, multiprocessors) * (size_t)op[FH_PRODUCT_BATCH].i * (size_t)op[FH_PRODUCT_M].i *
         (size_t)op[FH_PRODUCT_N].i;
}

/* Its second dimension says how many parts there are. */
static inline void fh_product_split_add_shape(const fh_bound *bound, int64_t group, int multiprocessors, fh_block_shape *out) {
  enum { THREADS = 256 };
  const fh_operand *op = bound->stages[0].operands;
  const int64_t parts = fh_product_parts(bound, group, multiprocessors);
  const int64_t blocks = fh_divide_up(fh_divide_up(op[FH_PRODUCT_M].i * op[FH_PRODUCT_N].i, THREADS), parts);
  *out = (fh_block_shape){
      .grid = {(uint32_t)fh_least(blocks, INT32_MAX), (uint32_t)parts, (uint32_t)fh_least(op[FH_PRODUCT_BATCH].i, FH_PRODUCT_GRID_DEPTH)},
      .threads = THREADS};
}

static inline const char *fh_product_split_unfit(const fh_bound *bound, int64_t group) {
  const char *few = fh_product_block_unfit(bound);
  if (few) return few;
  if (bound->stages[0].operands[FH_PRODUCT_K].i <= (2 * FH_PRODUCT_PART_PANELS - 1) * FH_PRODUCT_PANEL_WORDS * group)
    return "k is too short for two parts of 8 panels";
  fh_block_shape whole;
  fh_product_block_shape(bound, 0, &whole);
  if ((int64_t)whole.grid[0] * whole.grid[2] < FH_PRODUCT_MANY) return NULL;
  return "256 tiles of 128 x 128 or more: enough for the multiprocessors of a GPU without a second launch";
}

/* FH_SPLIT_PRODUCT(matmul_i8, 4): the functions that its row of FH_BLOCKS names. The efficiency is a guess: nothing has been measured;
 * below that of whole tiles, so that it wins where these leave multiprocessors idle. */
#define FH_SPLIT_PRODUCT(kernel, GROUP_)                                                                           \
  static void kernel##_split_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {              \
    fh_product_split_shape(bound, GROUP_, multiprocessors, out);                                                   \
  }                                                                                                                \
  static void kernel##_split_add_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {          \
    fh_product_split_add_shape(bound, GROUP_, multiprocessors, out);                                               \
  }                                                                                                                \
  static size_t kernel##_split_bytes(const fh_bound *bound, int multiprocessors) {                                 \
    return fh_product_split_bytes(bound, GROUP_, multiprocessors);                                                 \
  }                                                                                                                \
  static const char *kernel##_split_unfit(const fh_bound *bound) { return fh_product_split_unfit(bound, GROUP_); } \
  static const fh_block_step kernel##_split_rest[] = {{#kernel "_split_add", kernel##_split_add_shape}};
#define FH_SPLIT_ROW_OF(kernel, NUMERICS, EFFICIENCY)                                     \
  {"split",  #kernel "_split",     #kernel "_sm80",      80,         false,               \
   NUMERICS, kernel##_split_shape, kernel##_split_unfit, EFFICIENCY, kernel##_split_rest, \
   1,        kernel##_split_bytes}

/* ---- blocks of threads for few rows: columns and blocks of k in the first dimension (kernels/block/thin_product.h) ---- */

enum { FH_THIN_COLUMNS = 128, FH_THIN_MOST_ROWS = 8, FH_THIN_STEPS_OF_BLOCK = 256, FH_THIN_ADD_THREADS = 256 };

static inline int64_t fh_product_thin_blocks(const fh_bound *bound) {
  return fh_most(fh_divide_up(bound->stages[0].operands[FH_PRODUCT_K].i, FH_THIN_STEPS_OF_BLOCK), 1);
}

static inline fh_block_shape fh_product_line_shape(const fh_bound *bound, int64_t blocks, uint32_t threads) {
  const int64_t batch = bound->stages[0].operands[FH_PRODUCT_BATCH].i;
  return (fh_block_shape){.grid = {(uint32_t)fh_least(blocks, INT32_MAX), 1, (uint32_t)fh_least(batch, FH_PRODUCT_GRID_DEPTH)},
                          .threads = threads};
}

static inline void fh_product_thin_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  const int64_t columns = fh_divide_up(bound->stages[0].operands[FH_PRODUCT_N].i, FH_THIN_COLUMNS);
  *out = fh_product_line_shape(bound, columns * fh_product_thin_blocks(bound), FH_THIN_COLUMNS);
}

static inline void fh_product_thin_add_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  const fh_operand *op = bound->stages[0].operands;
  *out = fh_product_line_shape(bound, fh_divide_up(op[FH_PRODUCT_M].i * op[FH_PRODUCT_N].i, FH_THIN_ADD_THREADS), FH_THIN_ADD_THREADS);
}

static inline size_t fh_product_thin_bytes(const fh_bound *bound, int multiprocessors) {
  (void)multiprocessors;
  const fh_operand *op = bound->stages[0].operands;
  return sizeof(float) * (size_t)(op[FH_PRODUCT_BATCH].i * fh_product_thin_blocks(bound)) *
         (size_t)(op[FH_PRODUCT_M].i * op[FH_PRODUCT_N].i);
}

/* Few rows keep the sums of blocks of k to a quarter of the weights at most. */
static inline const char *fh_product_thin_unfit(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  if (op[FH_PRODUCT_M].i > FH_THIN_MOST_ROWS) return "more than 8 rows: the weights would be read several times";
  if (op[FH_PRODUCT_N].i < FH_THIN_COLUMNS / 2) return "fewer than 64 columns: most threads would have none";
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef enum fh_product_form { FH_PRODUCT_PLAIN, FH_PRODUCT_TRANSPOSED, FH_PRODUCT_PACKED, FH_PRODUCT_FORMS } fh_product_form;

/* A case of shape {batch (0: rank 2), m, n, k}; TRANSPOSED: b lies as (n, k) in memory. */
static inline fh_case fh_product_case(const int64_t s[static 4], fh_dtype a, fh_dtype b, fh_dtype c, int64_t group, fh_product_form form) {
  static const char *const suffix[] = {"", " b transposed", " b packed"};
  const bool batched = s[0] > 0;
  const int first = batched ? 0 : 1;
  const int64_t sa[] = {s[0], s[1], s[3]}, sb[] = {s[0], s[3], s[2]}, sc[] = {s[0], s[1], s[2]};
  fh_case out = {
      .views = {fh_compact(a, 3 - first, sa + first), fh_compact(b, 3 - first, sb + first), fh_compact(c, 3 - first, sc + first)}};
  fh_view_desc *v = &out.views[FH_PRODUCT_B];
  if (form == FH_PRODUCT_PACKED) {
    int64_t shape[4];
    fh_packed_shape(s[3], s[2], group, shape);
    *v = fh_compact(b, 4, shape);
  }
  if (form == FH_PRODUCT_TRANSPOSED) v->strides[v->rank - 2] = 1, v->strides[v->rank - 1] = s[3];
  size_t at = batched ? (size_t)snprintf(out.label, sizeof out.label, "%" PRId64 "x", s[0]) : 0;
  snprintf(out.label + at, sizeof out.label - at, "%" PRId64 "x%" PRId64 "x%" PRId64 "%s", s[1], s[2], s[3], suffix[form]);
  return out;
}

/* The shapes that a product is tried on, plain and with packed weights, and for texts that take few of these, plain ones whose lines are
 * multiples of 16 bytes: more products than a device has multiprocessors, more blocks of k than a ring of stages has, more rows and columns
 * than a warpgroup or a tile takes, a k that is worth cutting; of bytes twice the k. False past the last. */
static inline bool fh_product_case_at(int i, fh_dtype a, fh_dtype b, fh_dtype c, int64_t group, fh_case *out) {
  static const int64_t shapes[][4] = {
      /* batch (0: rank 2), m, n, k */
      {0, 3, 5, 6},      {0, 1, 1, 1},    {0, 2, 3, 0},     {0, 0, 4, 3},      {0, 1, 17, 9},    {0, 7, 1, 31},   {0, 15, 16, 17},
      {0, 16, 33, 2},    {0, 5, 64, 65},  {3, 4, 5, 6},     {2, 17, 15, 33},   {0, 31, 32, 33},  {0, 29, 65, 64}, {5, 16, 16, 16},
      {0, 8, 100, 127},  {0, 67, 3, 128}, {0, 2, 200, 100}, {0, 50, 7, 63},    {2, 30, 127, 31}, {0, 3, 40, 515}, {0, 13, 11, 1031},
      {0, 61, 129, 127}, {0, 1, 300, 70}, {0, 4, 37, 2},    {0, 1, 129, 2051},
  };
  static const int64_t whole[][4] = {{140, 16, 16, 24}, {0, 136, 136, 392}, {96, 16, 16, 264}, {96, 72, 72, 8}, {0, 16, 24, 1040}};
  const int both = 2 * FH_LENGTH(shapes);
  if (i < 0 || i >= both + FH_LENGTH(whole)) return false;
  if (i < both) {
    *out = fh_product_case(shapes[i / 2], a, b, c, group, i % 2 ? FH_PRODUCT_PACKED : FH_PRODUCT_PLAIN);
  } else {
    const int64_t *s = whole[i - both];
    const int64_t shape[] = {s[0], s[1], s[2], fh_dtype_size(a) == 1 ? 2 * s[3] : s[3]};
    *out = fh_product_case(shape, a, b, c, group, FH_PRODUCT_PLAIN);
  }
  return true;
}

/* The shapes that are worth measuring: squares, layers of an inference with few rows, one row, and odd ones; b in all three forms. */
static inline bool fh_product_bench_at(int i, fh_dtype a, fh_dtype b, fh_dtype c, int64_t group, fh_case *out) {
  static const int64_t shapes[][4] = {
      {0, 64, 64, 64},     {0, 192, 192, 192}, {0, 512, 512, 512},  {0, 1024, 1024, 1024}, {0, 509, 521, 503},
      {0, 1, 1024, 1024},  {0, 1, 4096, 4096}, {0, 8, 1024, 1024},  {0, 8, 4096, 4096},    {0, 32, 1024, 4096},
      {0, 128, 3072, 768}, {0, 31, 769, 3067}, {0, 4096, 16, 1024}, {0, 4096, 1, 1024},    {16, 128, 128, 64},
  };
  const int form = i % FH_PRODUCT_FORMS;
  if (i < 0 || i >= FH_PRODUCT_FORMS * FH_LENGTH(shapes)) return false;
  *out = fh_product_case(shapes[i / FH_PRODUCT_FORMS], a, b, c, group, (fh_product_form)form);
  return true;
}

#endif /* FOGHORN_KERNELS_PRODUCT_H_ */
