/* The contract of topk: the k nearest rows of x for each query. SPDX-License-Identifier: Apache-2.0
 *
 * A row whose distance is NaN or infinite (whose inner product is NaN or -infinity) is no neighbour. Where there are fewer than k
 * neighbours, the places left hold the index -1 and the value +infinity (-infinity). */
#include "kernels/topk/topk.h"
#include "kernels/arithmetic.h"
#include "kernels/metric.h"
#include "kernels/rows.h"
#include "kernels/tile/limits.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { Q, X, VALUES, INDEXES };
enum { LIST, PLACES };              /* scratch */
enum { SCAN_STAGE, COMBINE_STAGE }; /* entries */

static const fh_view_param params[] = {
    {"q", FH_ROLE_IN, FH_F32, "(m, d)", false},
    {"x", FH_ROLE_IN, FH_F32, "(n, d)", false},
    {"values", FH_ROLE_OUT, FH_F32, "(m, k)", false},
    {"indexes", FH_ROLE_OUT, FH_I32, "(m, k)", false},
};
static const fh_scalar_param scalars_of[] = {
    {"metric", 'i', FH_METRIC_L2, "0: squared L2, smallest first; 1: inner product, largest first"}};

static fh_status topk_check(const fh_view_desc *v, const fh_value *scalars) {
  FH_TRY(fh_check_metric("topk", scalars ? scalars[0].i : FH_METRIC_L2, FH_METRIC_DOT));
  for (int i = Q; i <= INDEXES; i++) FH_TRY(fh_check_view("topk", &params[i], &v[i], 2, 2));
  FH_TRY(fh_check_extent("topk", &params[X], &v[X], 1, "d", v[Q].shape[1], "q"));
  FH_TRY(fh_check_extent("topk", &params[VALUES], &v[VALUES], 0, "m", v[Q].shape[0], "q"));
  FH_TRY(fh_check_extent("topk", &params[INDEXES], &v[INDEXES], 0, "m", v[Q].shape[0], "q"));
  FH_TRY(fh_check_extent("topk", &params[INDEXES], &v[INDEXES], 1, "k", v[VALUES].shape[1], "values"));
  if (v[X].shape[0] > INT32_MAX || v[VALUES].shape[1] > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_topk: x has %" PRId64 " rows and values %" PRId64 " columns, expected at most %d (indexes are i32)", v[X].shape[0],
                     v[VALUES].shape[1], INT32_MAX);
  return FH_OK;
}

/* Chunks of rows for the text: about 4096 items, none so small that its list is the larger part of the work, lists of at most 64 MiB. A
 * function of the shape alone; the result does not depend on it. */
static int64_t chunks_of(int64_t m, int64_t n, int64_t k) {
  enum { ITEMS = 4096, ROWS = 256, SCRATCH = 64 << 20 };
  const int64_t by_work = n / (k > ROWS / 4 ? 4 * k : ROWS), by_memory = SCRATCH / 8 / k / m;
  int64_t chunks = ITEMS / m;
  if (chunks > by_work) chunks = by_work;
  if (chunks > by_memory) chunks = by_memory;
  return chunks > 1 ? chunks : 1;
}

static void bind_scan(const fh_view_desc *v, int64_t sign, int64_t chunks, fh_bound *out) {
  const int64_t m = v[Q].shape[0], n = v[X].shape[0], d = v[Q].shape[1], k = v[VALUES].shape[1], rows = (n + chunks - 1) / chunks;
  const int64_t *vs = v[VALUES].strides, *is = v[INDEXES].strides;
  const bool lists = chunks > 1;
  fh_stage *stage = fh_add_stage(out, SCAN_STAGE, m * chunks, 2.0 * (double)rows * (double)d);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, Q, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, VALUES, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, INDEXES, 0));
  fh_push(stage, lists ? fh_op_temp(LIST) : fh_op_view(FH_OPERAND_OUT, VALUES, 0));
  fh_push(stage, lists ? fh_op_temp(PLACES) : fh_op_view(FH_OPERAND_OUT, INDEXES, 0));
  FH_PUSH_I64(stage, m, n, d, k, sign, chunks, rows, v[Q].strides[0], v[Q].strides[1], v[X].strides[0], v[X].strides[1]);
  FH_PUSH_I64(stage, vs[0], vs[1], is[0], is[1]);
  FH_PUSH_I64(stage, lists ? k : vs[0], lists ? 1 : vs[1], lists ? k : is[0], lists ? 1 : is[1]);
}

static void bind_combine(const fh_view_desc *v, int64_t sign, int64_t chunks, fh_bound *out) {
  const int64_t k = v[VALUES].shape[1];
  fh_stage *stage = fh_add_stage(out, COMBINE_STAGE, v[Q].shape[0], (double)chunks * (double)k);
  fh_push(stage, fh_op_temp(LIST));
  fh_push(stage, fh_op_temp(PLACES));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, VALUES, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, INDEXES, 0));
  FH_PUSH_I64(stage, k, sign, chunks, v[VALUES].strides[0], v[VALUES].strides[1], v[INDEXES].strides[0], v[INDEXES].strides[1]);
}

static fh_status topk_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  FH_TRY(topk_check(v, scalars));
  int64_t counts[4];
  for (int i = Q; i <= INDEXES; i++) FH_TRY(fh_check_count("topk", &params[i], &v[i], &counts[i]));
  const int64_t m = v[Q].shape[0], n = v[X].shape[0], k = v[VALUES].shape[1], sign = scalars && scalars[0].i == FH_METRIC_DOT ? -1 : 1;
  if (counts[VALUES] == 0) return FH_OK;
  const int64_t chunks = chunks_of(m, n, k);
  bind_scan(v, sign, chunks, out);
  if (chunks > 1) {
    bind_combine(v, sign, chunks, out);
    out->temp_count = 2;
    out->temp_bytes[LIST] = (size_t)(m * chunks * k) * sizeof(float);
    out->temp_bytes[PLACES] = (size_t)(m * chunks * k) * sizeof(int32_t);
  }
  out->flops = 2.0 * (double)m * (double)n * (double)v[Q].shape[1];
  out->bytes = 4.0 * ((double)counts[Q] + (double)counts[X]) + 8.0 * (double)counts[VALUES];
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

static float *value_at(const fh_view_desc *v, void *const *data, int64_t i, int64_t j) {
  return (float *)data[VALUES] + i * v[VALUES].strides[0] + j * v[VALUES].strides[1];
}
static int32_t *index_at(const fh_view_desc *v, void *const *data, int64_t i, int64_t j) {
  return (int32_t *)data[INDEXES] + i * v[INDEXES].strides[0] + j * v[INDEXES].strides[1];
}

typedef struct neighbour {
  double key; /* smallest is nearest */
  int64_t row;
} neighbour;

static int by_key(const void *a, const void *b) {
  const neighbour *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

static void topk_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  const bool dot = scalars && scalars[0].i == FH_METRIC_DOT;
  const int64_t n = v[X].shape[0], k = v[VALUES].shape[1];
  neighbour *all = malloc((size_t)(n + 1) * sizeof *all);
  if (!all) return; /* the outputs stay as they were, and that is seen */
  for (int64_t i = 0; i < v[Q].shape[0]; i++) {
    int64_t count = 0;
    for (int64_t row = 0; row < n; row++) {
      const double value = fh_metric_value(dot ? FH_METRIC_DOT : FH_METRIC_L2, &v[Q], data[Q], i, &v[X], data[X], row, NULL);
      const double key = dot ? -value : value;
      if (key <= (double)FLT_MAX) all[count++] = (neighbour){key, row};
    }
    qsort(all, (size_t)count, sizeof *all, by_key);
    for (int64_t j = 0; j < k; j++) {
      *value_at(v, data, i, j) = (float)(j < count ? (dot ? -all[j].key : all[j].key) : dot ? -INFINITY : INFINITY);
      *index_at(v, data, i, j) = j < count ? (int32_t)all[j].row : -1;
    }
  }
  free(all);
}

static bool near(double a, double b, double bound) { return a == b || fabs(a - b) <= bound; }

/* What may be right for one query: the i-th value within the bound of the i-th best (each distance is within its bound, and so
 * is then each order statistic); each index a row of that value, no row twice, equal values by index; and of rows that
 * are equal the lower index first. */
static const char *compare_query(const fh_case *c, void *const *got, void *const *want, int64_t i) {
  const fh_view_desc *v = c->views;
  const fh_metric metric = (fh_metric)c->scalars[0].i;
  const int64_t n = v[X].shape[0], k = v[VALUES].shape[1];
  double bound = 0, own_bound;
  for (int64_t row = 0; row < n; row++) {
    fh_metric_value(metric, &v[Q], want[Q], i, &v[X], want[X], row, &own_bound);
    if (metric == FH_METRIC_DOT && own_bound <= (double)FLT_MAX && own_bound > bound) bound = own_bound;
  }
  for (int64_t j = 0; j < k; j++) {
    const int32_t index = *index_at(v, got, i, j);
    const float value = *value_at(v, got, i, j), best = *value_at(v, want, i, j);
    if ((index < 0) != (*index_at(v, want, i, j) < 0)) return "the number of neighbours is wrong";
    if (index < 0) {
      if (index != -1 || value != best) return "a place without a neighbour does not hold -1 and infinity";
      continue;
    }
    if (index >= n) return "an index is out of range";
    const double own = fh_metric_value(metric, &v[Q], want[Q], i, &v[X], want[X], index, &own_bound);
    if (!near((double)value, own, own_bound)) return "a value is not that of its index";
    if (!near((double)value, (double)best, metric == FH_METRIC_DOT ? bound : own_bound))
      return "a neighbour is farther than the best by more than the bound";
    for (int64_t before = 0; before < j; before++)
      if (*index_at(v, got, i, before) == index) return "an index appears twice";
    if (j > 0) {
      const float last = *value_at(v, got, i, j - 1);
      if (metric == FH_METRIC_DOT ? last < value : last > value) return "the values are not in order";
      if (last == value && *index_at(v, got, i, j - 1) > index) return "equal values are not in the order of their indexes";
    }
  }
  return NULL;
}

/* A row before row `index` that equals it must be among the neighbours too. */
static const char *compare_equals(const fh_case *c, void *const *got, void *const *want, int64_t i) {
  const fh_view_desc *v = c->views;
  const int64_t k = v[VALUES].shape[1];
  for (int64_t j = 0; j < k; j++) {
    for (int64_t row = 0; row < *index_at(v, got, i, j); row++) {
      if (!fh_metric_same_row(&v[X], want[X], row, *index_at(v, got, i, j))) continue;
      bool found = false;
      for (int64_t other = 0; other < j && !found; other++) found = *index_at(v, got, i, other) == row;
      if (!found) return "of equal rows the lower one is left out";
    }
  }
  return NULL;
}

static const char *topk_compare(const fh_case *c, void *const *got, void *const *want) {
  const char *wrong = NULL;
  for (int64_t i = 0; i < c->views[Q].shape[0] && !wrong; i++) {
    wrong = compare_query(c, got, want, i);
    if (!wrong) wrong = compare_equals(c, got, want, i);
  }
  return wrong;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t m, n, d, k;
  fh_metric metric;
} shape;

static const shape cases[] = {
    {3, 40, 5, 4, FH_METRIC_L2},     {5, 37, 7, 3, FH_METRIC_DOT},    {2, 9, 3, 12, FH_METRIC_L2},       {0, 4, 2, 3, FH_METRIC_L2},
    {3, 0, 4, 2, FH_METRIC_L2},      {3, 0, 4, 2, FH_METRIC_DOT},     {3, 4, 2, 0, FH_METRIC_DOT},       {2, 7, 0, 3, FH_METRIC_L2},
    {1, 1, 1, 1, FH_METRIC_DOT},     {1, 31, 16, 5, FH_METRIC_L2},    {1, 67, 33, 8, FH_METRIC_DOT},     {2, 100, 64, 10, FH_METRIC_L2},
    {7, 65, 63, 9, FH_METRIC_L2},    {8, 64, 65, 16, FH_METRIC_DOT},  {13, 129, 2, 17, FH_METRIC_L2},    {15, 33, 17, 33, FH_METRIC_DOT},
    {16, 128, 31, 1, FH_METRIC_L2},  {29, 95, 24, 7, FH_METRIC_L2},   {31, 127, 100, 11, FH_METRIC_DOT}, {2, 1100, 3, 20, FH_METRIC_L2},
    {40, 1031, 4, 10, FH_METRIC_L2}, {32, 2048, 3, 5, FH_METRIC_DOT},
};

static bool fill_case(const shape *s, fh_case *out) {
  const int64_t q[] = {s->m, s->d}, x[] = {s->n, s->d}, y[] = {s->m, s->k};
  *out = (fh_case){.views = {fh_compact(FH_F32, 2, q), fh_compact(FH_F32, 2, x), fh_compact(FH_F32, 2, y), fh_compact(FH_I32, 2, y)}};
  out->scalars[0].i = s->metric;
  snprintf(out->label, sizeof out->label, "%s m=%" PRId64 " n=%" PRId64 " d=%" PRId64 " k=%" PRId64, fh_metric_name(s->metric), s->m, s->n,
           s->d, s->k);
  return true;
}

static bool topk_case_at(int i, fh_case *out) { return i >= 0 && i < FH_LENGTH(cases) && fill_case(&cases[i], out); }

/* From a table in L1 over word vectors and image features to a million rows; one query, a few, a batch. */
static bool topk_bench_at(int i, fh_case *out) {
  static const int64_t bases[][2] = {{100, 64}, {5003, 96}, {100000, 64}, {100000, 128}, {100003, 127}, {100000, 784}, {1000000, 32}};
  static const int64_t asked[][2] = {{1, 10}, {8, 10}, {32, 10}, {256, 10}, {8, 100}, {67, 1}};
  enum { BASES = FH_LENGTH(bases), ASKED = FH_LENGTH(asked) };
  if (i < 0 || i >= 2 * BASES * ASKED) return false;
  const int64_t *base = bases[i / ASKED % BASES], *ask = asked[i % ASKED];
  return fill_case(&(shape){ask[0], base[0], base[1], ask[1], i < BASES * ASKED ? FH_METRIC_L2 : FH_METRIC_DOT}, out);
}

/* Few different numbers in short rows, so that there are equal distances and equal rows. */
static void topk_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const int64_t count = fh_elements(&c->views[index]);
  const float steps = c->views[index].shape[1] <= 8 ? 2.0f : 0x1p23f;
  for (int64_t i = 0; i < count; i++) ((float *)data)[i] = floorf((float)(fh_next_random(&seed) >> 40) * 0x1p-23f * steps) / steps - 1.0f;
}

#if FH_HAS_TUNED
static const char *unfit(const fh_bound *bound) { return fh_tile_unfit(bound->stages[0].operands[FH_TOPK_D].i); }

FH_PAIRS_TUNED(topk)
#endif

/* ---- blocks of threads -------------------------------------------------------------------------------------------------- */

enum { SIDE = 128, BLOCK_THREADS = 256, SAMPLE = 1024, ENTRIES = 4096, HEAD_BYTES = 128 }; /* of topk_sm60.k */
enum { MOST_K = 128, FEWEST_QUERIES = 32, FEWEST_ROWS = 2 * SAMPLE, MOST_D = 1 << 16, USUAL_MULTIPROCESSORS = 64 };

/* Two blocks for each multiprocessor where that leaves chunks of 512 rows, and lists that the last launch can hold. */
static int64_t block_chunks(const fh_bound *bound, int multiprocessors) {
  const fh_operand *op = bound->stages[0].operands;
  const int64_t wanted = 2 * (multiprocessors > 0 ? multiprocessors : USUAL_MULTIPROCESSORS) / fh_divide_up(op[FH_TOPK_M].i, SIDE);
  const int64_t by_rows = op[FH_TOPK_N].i / 512, by_lists = ENTRIES / op[FH_TOPK_K].i;
  const int64_t most = by_rows < by_lists ? by_rows : by_lists;
  return wanted > most ? most : wanted > 1 ? wanted : 1;
}

static void sample_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = (fh_block_shape){.grid = {(uint32_t)bound->stages[0].operands[FH_TOPK_M].i, 1, 1}, .threads = BLOCK_THREADS};
}
static void chunks_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  const int64_t tiles = fh_divide_up(bound->stages[0].operands[FH_TOPK_M].i, SIDE);
  *out = (fh_block_shape){.grid = {(uint32_t)tiles, (uint32_t)block_chunks(bound, multiprocessors), 1}, .threads = BLOCK_THREADS};
}
static const fh_block_step block_rest[] = {{"topk_chunks", chunks_shape}, {"topk_merge", sample_shape}};

static size_t block_scratch(const fh_bound *bound, int multiprocessors) {
  const size_t m = (size_t)bound->stages[0].operands[FH_TOPK_M].i, k = (size_t)bound->stages[0].operands[FH_TOPK_K].i;
  return HEAD_BYTES + m * (sizeof(float) + (size_t)block_chunks(bound, multiprocessors) * k * (sizeof(float) + sizeof(int32_t)));
}

static const char *block_unfit(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  if (op[FH_TOPK_K].i > MOST_K) return "more than 128 neighbours: their lists do not fit the registers of a warp";
  if (op[FH_TOPK_M].i < FEWEST_QUERIES) return "fewer than 32 queries leave most of a tile empty";
  if (op[FH_TOPK_N].i < FEWEST_ROWS) return "fewer than 2048 rows: the sample would be half the work";
  if (op[FH_TOPK_D].i > MOST_D) return "more than 65536 elements: the quick sums would be too far off to leave rows out";
  return op[FH_TOPK_M].i > INT32_MAX ? "more queries than a grid has blocks" : NULL;
}

/* ---- few queries: topk_sm80.k, and its numbers ---- */
enum { ONE = 1, FEW = 8, SOME = 16, TILE_PITCH = 129, LINE_COLUMNS = 64, BLOCKS_EACH = 2, CHUNK_ROWS = 512, FEW_BYTES = 96 << 10 };

static int64_t few_bytes(const fh_bound *bound, int64_t lines) {
  const int64_t columns = LINE_COLUMNS * fh_most(1, fh_divide_up(bound->stages[0].operands[FH_TOPK_D].i, LINE_COLUMNS));
  const int64_t keys = 4 * fh_divide_up(2 * lines * TILE_PITCH, 4); /* queries begin on a boundary of 16 bytes */
  return (keys + lines * columns) * (int64_t)sizeof(float);
}

/* As many as keep the device busy; their lists are brought together in two launches, in each of which a block sorts what it is given. */
static int64_t few_chunks(const fh_bound *bound, int64_t lines, int multiprocessors) {
  const fh_operand *op = bound->stages[0].operands;
  const int64_t wanted =
      BLOCKS_EACH * (int64_t)(multiprocessors > 0 ? multiprocessors : USUAL_MULTIPROCESSORS) / fh_divide_up(op[FH_TOPK_M].i, lines);
  const int64_t side = ENTRIES / op[FH_TOPK_K].i;
  return fh_most(1, fh_least(wanted, fh_least(op[FH_TOPK_N].i / CHUNK_ROWS, side * side)));
}

static int64_t joined(int64_t chunks) { /* lists into one */
  int64_t side = 1;
  while (side * side < chunks) side++;
  return side;
}

static void few_shape_of(const fh_bound *bound, int64_t lines, int multiprocessors, fh_block_shape *out) {
  const int64_t tiles = fh_divide_up(bound->stages[0].operands[FH_TOPK_M].i, lines);
  *out = (fh_block_shape){.grid = {(uint32_t)few_chunks(bound, lines, multiprocessors), (uint32_t)tiles, 1},
                          .threads = BLOCK_THREADS,
                          .shared_bytes = (uint32_t)few_bytes(bound, lines)};
}
static void join_shape_of(const fh_bound *bound, int64_t lines, int multiprocessors, fh_block_shape *out) {
  const int64_t chunks = few_chunks(bound, lines, multiprocessors);
  *out = (fh_block_shape){.grid = {(uint32_t)fh_divide_up(chunks, joined(chunks)), (uint32_t)bound->stages[0].operands[FH_TOPK_M].i, 1},
                          .threads = BLOCK_THREADS};
}
static size_t few_scratch_of(const fh_bound *bound, int64_t lines, int multiprocessors) {
  const fh_operand *op = bound->stages[0].operands;
  const int64_t chunks = few_chunks(bound, lines, multiprocessors), lists = chunks + fh_divide_up(chunks, joined(chunks));
  return HEAD_BYTES + (size_t)(op[FH_TOPK_M].i * lists * op[FH_TOPK_K].i) * (sizeof(float) + sizeof(int32_t));
}
static const char *few_unfit_of(const fh_bound *bound, int64_t fewest, int64_t most, int64_t lines) {
  const fh_operand *op = bound->stages[0].operands;
  if (op[FH_TOPK_K].i > MOST_K) return "more than 128 neighbours: their lists do not fit the registers of a warp";
  if (op[FH_TOPK_M].i >= FEWEST_QUERIES && block_unfit(bound) == NULL) return "32 queries and more are compared by tiles";
  if (op[FH_TOPK_M].i < fewest) return "fewer queries than the least of these";
  if (op[FH_TOPK_M].i > most) return "of so many queries more are compared with a row at a time";
  if (op[FH_TOPK_N].i < 1) return "there are no rows";
  if (op[FH_TOPK_X_STRIDES + 1].i != 1) return "the numbers of a row of x do not lie side by side";
  return op[FH_TOPK_D].i > FEW_BYTES || few_bytes(bound, lines) > FEW_BYTES ? "the queries do not fit shared memory" : NULL;
}

/* From `fewest` queries to `most`, `lines` of them at a time. */
#define FEW_QUERIES(name, fewest, most, lines)                                                                                       \
  static void name##_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {                                        \
    few_shape_of(bound, lines, multiprocessors, out);                                                                                \
  }                                                                                                                                  \
  static void name##_join_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {                                   \
    join_shape_of(bound, lines, multiprocessors, out);                                                                               \
  }                                                                                                                                  \
  static size_t name##_scratch(const fh_bound *bound, int multiprocessors) { return few_scratch_of(bound, lines, multiprocessors); } \
  static const char *name##_unfit(const fh_bound *bound) { return few_unfit_of(bound, fewest, most, lines); }                        \
  static const fh_block_step name##_rest[] = {{"topk_join", name##_join_shape}, {"topk_last", sample_shape}};
FEW_QUERIES(one, 1, 1, ONE)
FEW_QUERIES(few, 2, FEW, FEW)
FEW_QUERIES(some, FEW + 1, 2 * SOME, SOME)

/* The efficiency is a guess: nothing has been measured. */
#define FEW_VARIANT(NAME)                \
  {.name = #NAME,                        \
   .entry = "topk_" #NAME,               \
   .text = "topk_sm80",                  \
   .capability = 80,                     \
   .numerics = FH_EXACT,                 \
   .shape = NAME##_shape,                \
   .unfit = NAME##_unfit,                \
   .efficiency = 0.4,                    \
   .rest = NAME##_rest,                  \
   .rest_count = FH_LENGTH(NAME##_rest), \
   .scratch_bytes = NAME##_scratch}

const fh_kernel_contract fh_contract_topk = {
    .name = "topk",
    .version = 1,
    .summary = "the k nearest rows of each query, by squared distance or inner product",
    .formula =
        "indexes[i,:] = the k rows r of x with the least ||q[i] - x[r]||^2, or the largest q[i].x[r], in that order, lowest r on a tie",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2), 0, FH_RANK(2), FH_RANK(2)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("topk_scan", "topk_combine"),
    FH_EXACT_WITHIN(
        0x1p-13, 0,
        "(d + 2) 2^-24 of a sum of d squares, gamma_d sum |q||x| of an inner product (Higham 2002, eq. 3.5), row by row in compare"),
    .bind = topk_bind,
    .reference = topk_reference,
    .case_at = topk_case_at,
    .bench_at = topk_bench_at,
    .fill = topk_fill,
    .compare = topk_compare,
    FH_TUNED(({"tuned", FH_ISA_AVX512, FH_BOUNDED, run_avx512, scratch_avx512, unfit, 0.85, 0},
              {"tuned", FH_ISA_AVX2, FH_BOUNDED, run_avx2, scratch_avx2, unfit, 0.8, 0}),
             ({"tuned", FH_ISA_NEON, FH_BOUNDED, run_neon, scratch_neon, unfit, 0.8, 0})),
    FH_BLOCKS({.name = "chunks",
               .entry = "topk_sample",
               .text = "topk_sm60",
               .capability = FH_BLOCK_PORTABLE,
               .numerics = FH_EXACT,
               .shape = sample_shape,
               .unfit = block_unfit,
               .efficiency = 0.35,
               .rest = block_rest,
               .rest_count = FH_LENGTH(block_rest),
               .scratch_bytes = block_scratch},
              FEW_VARIANT(one), FEW_VARIANT(few), FEW_VARIANT(some)),
};
