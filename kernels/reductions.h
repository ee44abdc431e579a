/* What the contracts of reductions share: x over its last dimension, or over all, cut into chunks. SPDX-License-Identifier: Apache-2.0
 *
 * The cut is a function of the shape alone, and so is the order of additions: any strides, any number of threads and any backend give the
 * same bits. */
#ifndef FOGHORN_KERNELS_REDUCTIONS_H_
#define FOGHORN_KERNELS_REDUCTIONS_H_

#include <string.h>

#include "kernels/arithmetic.h"
#include "kernels/element.h"
#include "kernels/rows.h"

enum { FH_REDUCTION_PIECE = 4096 }; /* FH_PIECE of the texts */

typedef struct fh_reduction {
  fh_rows x;
  int64_t results;      /* elements of the result */
  int64_t of_each;      /* elements of x that make one */
  int64_t chunks;       /* of a row, >= 1 */
  int64_t joined;       /* chunks that a second stage joins into a result; 0: the first stage gives the results */
  bool columns;         /* 16 rows at a time */
  int64_t items;        /* of the first stage */
  int64_t n1, ys0, ys1; /* where result r lies: under two outer dimensions, as the rows of x do */
} fh_reduction;

/* Rows that lie side by side, or are short, are better taken 16 at a time. */
static inline bool fh_reduction_by_columns(const fh_rows *x) {
  const int64_t step = x->step < 0 ? -x->step : x->step, side = x->s1 < 0 ? -x->s1 : x->s1;
  return x->n1 >= 8 && x->d > 0 && (x->d <= 16 || side < step);
}

/* The first stage by rows or by columns. */
static inline void fh_reduction_lay(fh_reduction *r, bool columns) {
  r->columns = columns;
  r->items = columns ? r->x.rows / r->x.n1 * ((r->x.n1 - 1) / 16 + 1) * r->chunks : r->x.rows * r->chunks;
}

/* Checks x (rank 1 to 3) against y: the shape of x without its last dimension, or (1) for all of x. */
static inline fh_status fh_reduction_of(const char *kernel, const fh_view_param *params, const fh_view_desc *v, int x, int y,
                                        fh_reduction *out) {
  char text_x[FH_CHECK_TEXT], text_y[FH_CHECK_TEXT];
  int64_t count = 0;
  FH_TRY(fh_check_view(kernel, &params[x], &v[x], 1, 3));
  FH_TRY(fh_check_view(kernel, &params[y], &v[y], 1, 2));
  FH_TRY(fh_check_count(kernel, &params[x], &v[x], &count));
  const bool all = v[y].rank == 1 && v[y].shape[0] == 1;
  bool outer = v[y].rank == v[x].rank - 1;
  for (int32_t i = 0; outer && i < v[y].rank; i++) outer = v[x].shape[i] == v[y].shape[i];
  if (!all && !outer)
    return FH_STATUS(
        FH_INVALID_ARGUMENT, "fh_%s: %s has shape %s and %s has shape %s, expected that of %s without its last dimension, or (1)", kernel,
        params[x].name, fh_check_shape_text(&v[x], text_x), params[y].name, fh_check_shape_text(&v[y], text_y), params[x].name);

  fh_reduction r = {.x = fh_rows_of(&v[x]), .n1 = 1};
  const int32_t last = v[y].rank - 1;
  const bool whole = all && (!outer || r.x.rows != 1);
  if (whole && count == 0) r.x.rows = 0; /* however many empty rows there are */
  r.results = whole ? 1 : r.x.rows;
  r.of_each = whole ? count : r.x.d;
  r.chunks = r.x.d > FH_REDUCTION_PIECE ? (r.x.d - 1) / FH_REDUCTION_PIECE + 1 : 1;
  r.joined = whole ? r.x.rows * r.chunks : r.chunks > 1 ? r.chunks : 0;
  if (!whole && outer) {
    r.n1 = v[y].shape[last];
    r.ys1 = v[y].strides[last];
    r.ys0 = last == 1 ? v[y].strides[0] : 0;
  }
  fh_reduction_lay(&r, fh_reduction_by_columns(&r.x));
  *out = r;
  return FH_OK;
}

/* The same for views that bind() has checked. */
static inline fh_reduction fh_reduction_bound(const fh_view_param *params, const fh_view_desc *v, int x, int y) {
  fh_reduction r = {0};
  fh_status_free(fh_reduction_of("", params, v, x, y, &r));
  return r;
}

/* The operands x and y of a kernel that makes results of type Y. */
#define FH_REDUCTION_OPERANDS(Y)                                                            \
  {"x", FH_ROLE_IN, FH_ELEMENT, "(d), (rows, d) or (n, rows, d)", false}, {                 \
    "y", FH_ROLE_OUT, Y, "that of x without its last dimension, or (1) for all of x", false \
  }

/* A kernel without a value for no elements refuses them. */
static inline fh_status fh_reduction_not_empty(const char *call, const fh_view_param *params, const fh_view_desc *v, int x,
                                               const fh_reduction *r) {
  char text[FH_CHECK_TEXT];
  if (r->of_each > 0 || r->results == 0) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: %s has shape %s: no element to choose from or to average", call, params[x].name,
                   fh_check_shape_text(&v[x], text));
}

/* The operands n1, d, xs0, xs1, xs of a first stage. */
static inline void fh_reduction_push_x(fh_stage *stage, const fh_reduction *r) {
  FH_PUSH_I64(stage, r->x.n1, r->x.d, r->x.s0, r->x.s1, r->x.step);
}

/* Where the first stage puts what (row, chunk) gives: strides of the outer dimensions and of chunks. In scratch row by row. */
static inline void fh_reduction_push_place(fh_stage *stage, const fh_reduction *r) {
  if (r->joined)
    FH_PUSH_I64(stage, r->x.n1 * r->chunks, r->chunks, 1);
  else
    FH_PUSH_I64(stage, r->ys0, r->ys1, 0);
}

/* Scratch for a value of each chunk. */
static inline size_t fh_reduction_scratch(const fh_reduction *r) { return sizeof(fh_element) * (size_t)(r->x.rows * r->chunks + 1); }

/* Elements of the first stage's items, for the grain of a split. */
static inline double fh_reduction_work(const fh_reduction *r) {
  const int64_t piece = r->x.d < FH_REDUCTION_PIECE ? r->x.d : FH_REDUCTION_PIECE;
  return (double)(r->columns ? 16 * piece : piece);
}

/* Element e of result r, for the oracles. */
static inline int64_t fh_reduction_at(const fh_reduction *r, const fh_rows *x, int64_t result, int64_t e) {
  /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): asked of an element, so d is not 0 */
  return r->of_each == x->d && r->results == x->rows ? fh_rows_at(x, result, e) : fh_rows_at(x, e / x->d, e % x->d);
}
static inline int64_t fh_reduction_result_at(const fh_reduction *r, int64_t result) {
  return result / r->n1 * r->ys0 + result % r->n1 * r->ys1;
}

/* How far a sum of n terms may be off, in units of u times the sum of magnitudes (Higham 2002, eq. 4.4, for each level): 64 values
 * over a piece and the trees that join them, then the same over the pieces, block by block. */
static inline double fh_reduction_terms(const fh_reduction *r) {
  const double n = (double)r->of_each, pieces = (double)(r->joined ? r->joined : 1);
  const double first = (n < FH_REDUCTION_PIECE ? n / 64 : 64) + 8;
  return first + (pieces < FH_REDUCTION_PIECE ? pieces / 64 : 64) + pieces / FH_REDUCTION_PIECE + 9;
}

/* The shapes that every reduction is tried on, x and y: one row, rows, all; around 16 and 64 lanes and the piece, few and many rows side
 * by side; and, where `empty`, without elements. False past the last. */
static inline bool fh_reduction_case(int i, bool empty, fh_view_desc *x, fh_view_desc *y, char label[static 48]) {
  static const struct {
    fh_rows_shape x;
    bool all;
  } cases[] = {
      {{2, {3, 83}}, 0},    {{1, {1}}, 1},        {{1, {15}}, 1},         {{1, {16}}, 1},       {{1, {17}}, 1},      {{2, {7, 1}}, 0},
      {{2, {5, 31}}, 1},    {{2, {4, 32}}, 0},    {{2, {3, 63}}, 1},      {{2, {9, 64}}, 0},    {{2, {33, 65}}, 0},  {{3, {2, 3, 20}}, 0},
      {{3, {2, 3, 20}}, 1}, {{3, {3, 17, 4}}, 0}, {{3, {2, 19, 129}}, 0}, {{2, {64, 16}}, 0},   {{2, {40, 257}}, 0}, {{1, {1031}}, 1},
      {{2, {3, 4095}}, 0},  {{2, {2, 4096}}, 1},  {{2, {3, 4097}}, 0},    {{2, {11, 8200}}, 0}, {{1, {12289}}, 1},   {{3, {2, 9, 5000}}, 1},
      {{1, {70001}}, 1},    {{2, {9000, 3}}, 1},  {{2, {2000, 7}}, 0},    {{2, {3, 0}}, 0},     {{2, {0, 3}}, 0},    {{2, {0, 3}}, 1},
      {{1, {0}}, 1},
  };
  enum { EMPTY = 4 };
  if (i < 0 || i >= (int)(sizeof cases / sizeof *cases) - (empty ? 0 : EMPTY)) return false;
  fh_rows_named(&cases[i].x, x, label);
  x->dtype = FH_ELEMENT;
  const int64_t one = 1;
  *y = cases[i].all || x->rank == 1 ? fh_compact(FH_ELEMENT, 1, &one) : fh_compact(FH_ELEMENT, x->rank - 1, x->shape);
  if (cases[i].all && x->rank > 1) snprintf(label + strlen(label), 48 - strlen(label), " all");
  return true;
}

/* The shapes worth measuring: all of 16 KiB, 256 KiB, 4 MiB and 256 MiB of floats, an odd one, rows, short rows, and columns by a view. */
static inline bool fh_reduction_bench(int i, fh_view_desc *x, fh_view_desc *y, char label[static 48]) {
  static const struct {
    fh_rows_shape x;
    bool columns;
  } cases[] = {
      {{1, {4096}}, 0},      {{1, {65536}}, 0},      {{1, {1048576}}, 0},    {{1, {67108864}}, 0},
      {{1, {999983}}, 0},    {{2, {512, 128}}, 0},   {{2, {1024, 1000}}, 0}, {{2, {4096, 4096}}, 0},
      {{2, {100000, 3}}, 0}, {{2, {1024, 1000}}, 1}, {{2, {4096, 4096}}, 1},
  };
  if (i < 0 || i >= (int)(sizeof cases / sizeof *cases)) return false;
  fh_rows_named(&cases[i].x, x, label);
  x->dtype = FH_ELEMENT;
  const int64_t one = 1;
  *y = x->rank == 1 ? fh_compact(FH_ELEMENT, 1, &one) : fh_compact(FH_ELEMENT, 1, x->shape);
  if (cases[i].columns) {
    x->strides[0] = 1;
    x->strides[1] = x->shape[0];
    snprintf(label + strlen(label), 48 - strlen(label), " by columns");
  }
  return true;
}

/* ---- blocks of threads: block/pieces.h ---- */

/* 64 threads have a piece; of fewer elements most of them would have none. */
enum { FH_PIECES_THREADS = 256, FH_PIECES_TOGETHER = 4, FH_PIECES_LEAST = 256 };
#define FH_PIECES_SHORT "short rows leave threads without work"

static inline void fh_pieces_grid(int64_t blocks, int multiprocessors, fh_block_shape *out) {
  const int64_t most = 32 * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  *out = (fh_block_shape){.grid = {(uint32_t)(blocks < most ? blocks : most), 1, 1}, .threads = FH_PIECES_THREADS};
}
static inline void fh_pieces_shape(int64_t pieces, int multiprocessors, fh_block_shape *out) {
  fh_pieces_grid((pieces - 1) / FH_PIECES_TOGETHER + 1, multiprocessors, out);
}

/* Where the operands of a kernel's first stage are that its block texts go by. */
typedef struct fh_pieces_operands {
  int chunks, n1, d, x_step, y_step; /* without a second input x_step twice */
  int rows, joined, results;
} fh_pieces_operands;

static inline int64_t fh_pieces_operand(const fh_bound *bound, int i) { return bound->stages[0].operands[i].i; }

static inline void fh_pieces_shape_of(const fh_pieces_operands *at, const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_pieces_shape(fh_pieces_operand(bound, at->rows) * fh_pieces_operand(bound, at->chunks), multiprocessors, out);
}
static inline void fh_results_shape_of(const fh_pieces_operands *at, const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_pieces_grid(fh_pieces_operand(bound, at->results), multiprocessors, out);
}
/* `joined`: of the variant whose second launch joins pieces. */
static inline const char *fh_pieces_unfit(const fh_pieces_operands *at, const fh_bound *bound, int rows_stage, bool joined) {
  if (bound->stages[0].entry != rows_stage) return "it is reduced by columns";
  if ((fh_pieces_operand(bound, at->joined) > 0) != joined) return joined ? "each result is one piece" : "results are joined from pieces";
  if (fh_pieces_operand(bound, at->x_step) != 1 || fh_pieces_operand(bound, at->y_step) != 1)
    return "the elements of a row are not side by side";
  return fh_pieces_operand(bound, at->d) < FH_PIECES_LEAST ? FH_PIECES_SHORT : NULL;
}

/* ---- rows side by side: block/column_pieces.h ---- */

/* Rows of a block are 8 where all are no more than FH_COLUMNS_FEW; with fewer blocks than FH_COLUMNS_MANY the running values are shared out
 * among several. */
enum { FH_COLUMNS_FEW = 16, FH_COLUMNS_LEAST = 64, FH_COLUMNS_MANY = 512, FH_COLUMNS_VALUES = 64 };

static inline int64_t fh_columns_width(const fh_pieces_operands *at, const fh_bound *bound) {
  return fh_pieces_operand(bound, at->n1) > FH_COLUMNS_FEW ? 32 : 8;
}
/* Pieces of as many rows as a block has. */
static inline int64_t fh_columns_items(const fh_pieces_operands *at, const fh_bound *bound) {
  const int64_t n1 = fh_pieces_operand(bound, at->n1), outer = fh_pieces_operand(bound, at->rows) / fh_most(1, n1);
  return outer * fh_pieces_operand(bound, at->chunks) * fh_divide_up(n1, fh_columns_width(at, bound));
}
static inline void fh_columns_shape_of(const fh_pieces_operands *at, const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_pieces_grid(fh_columns_items(at, bound), multiprocessors, out);
}
static inline void fh_spread_shape_of(const fh_pieces_operands *at, const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_pieces_grid(fh_columns_items(at, bound), multiprocessors, out);
  out->grid[1] = (uint32_t)(FH_COLUMNS_VALUES * fh_columns_width(at, bound) / FH_PIECES_THREADS);
}
static inline void fh_gather_shape_of(const fh_pieces_operands *at, const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_pieces_grid(fh_divide_up(fh_columns_items(at, bound) * fh_columns_width(at, bound), FH_PIECES_THREADS), multiprocessors, out);
}
static inline size_t fh_spread_scratch_of(const fh_pieces_operands *at, const fh_bound *bound) {
  return sizeof(float) * FH_COLUMNS_VALUES * (size_t)(fh_columns_items(at, bound) * fh_columns_width(at, bound));
}
static inline const char *fh_columns_unfit(const fh_pieces_operands *at, const fh_bound *bound, int columns_stage, bool joined,
                                           bool spread) {
  if (bound->stages[0].entry != columns_stage) return "it is reduced by rows";
  if ((fh_pieces_operand(bound, at->joined) > 0) != joined) return joined ? "each result is one piece" : "results are joined from pieces";
  if (fh_pieces_operand(bound, at->d) < FH_COLUMNS_LEAST) return FH_PIECES_SHORT;
  if (spread && fh_columns_items(at, bound) >= FH_COLUMNS_MANY) return "columns and pieces alone are blocks enough";
  return NULL;
}

/* The rows of FH_BLOCKS for a kernel with `pieces_places`, ROWS_STAGE and COLUMNS_STAGE: by its text <kernel>_block. */
#define FH_PIECES_SHAPE(name, shape_of)                                               \
  static void name(const fh_bound *bound, int multiprocessors, fh_block_shape *out) { \
    shape_of(&pieces_places, bound, multiprocessors, out);                            \
  }
#define FH_PIECES_UNFIT(name, unfit, ...) \
  static const char *name(const fh_bound *bound) { return unfit(&pieces_places, bound, __VA_ARGS__); }

#define FH_PIECES_FUNCTIONS(kernel)                                                 \
  FH_PIECES_SHAPE(pieces_shape, fh_pieces_shape_of)                                 \
  FH_PIECES_SHAPE(results_shape, fh_results_shape_of)                               \
  FH_PIECES_SHAPE(side_shape, fh_columns_shape_of)                                  \
  FH_PIECES_SHAPE(spread_shape, fh_spread_shape_of)                                 \
  FH_PIECES_SHAPE(gather_shape, fh_gather_shape_of)                                 \
  FH_PIECES_UNFIT(rows_unfit, fh_pieces_unfit, ROWS_STAGE, false)                   \
  FH_PIECES_UNFIT(all_unfit, fh_pieces_unfit, ROWS_STAGE, true)                     \
  FH_PIECES_UNFIT(side_unfit, fh_columns_unfit, COLUMNS_STAGE, false, false)        \
  FH_PIECES_UNFIT(side_pieces_unfit, fh_columns_unfit, COLUMNS_STAGE, true, false)  \
  FH_PIECES_UNFIT(spread_unfit, fh_columns_unfit, COLUMNS_STAGE, false, true)       \
  FH_PIECES_UNFIT(spread_pieces_unfit, fh_columns_unfit, COLUMNS_STAGE, true, true) \
  static size_t spread_scratch(const fh_bound *bound, int multiprocessors) {        \
    (void)multiprocessors;                                                          \
    return fh_spread_scratch_of(&pieces_places, bound);                             \
  }                                                                                 \
  static const fh_block_step results[] = {{#kernel "_results", results_shape}};     \
  static const fh_block_step gathered[] = {{#kernel "_gather", gather_shape}, {#kernel "_spread_results", results_shape}}

#define FH_PIECES_ROW(kernel, variant, entry, shape, unfit, ...) \
  {variant, #kernel entry, #kernel "_block", FH_BLOCK_PORTABLE, false, FH_EXACT, shape, unfit, __VA_ARGS__}
#define FH_PIECES_BLOCKS(kernel)                                                                                                          \
  FH_BLOCKS(FH_PIECES_ROW(kernel, "rows", "_pieces", pieces_shape, rows_unfit, 0.9),                                                      \
            FH_PIECES_ROW(kernel, "pieces", "_pieces", pieces_shape, all_unfit, 0.9, .rest = results, .rest_count = 1),                   \
            FH_PIECES_ROW(kernel, "columns", "_side", side_shape, side_unfit, 0.8),                                                       \
            FH_PIECES_ROW(kernel, "column_pieces", "_side", side_shape, side_pieces_unfit, 0.8, .rest = results, .rest_count = 1),        \
            FH_PIECES_ROW(kernel, "spread", "_spread", spread_shape, spread_unfit, 0.85, .rest = gathered, .rest_count = 1,               \
                          .scratch_bytes = spread_scratch),                                                                               \
            FH_PIECES_ROW(kernel, "spread_pieces", "_spread", spread_shape, spread_pieces_unfit, 0.85, .rest = gathered, .rest_count = 2, \
                          .scratch_bytes = spread_scratch))

#endif /* FOGHORN_KERNELS_REDUCTIONS_H_ */
