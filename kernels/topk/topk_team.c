/* topk on the CPU: distances tile by tile, and the best k of each query in a heap beside them. SPDX-License-Identifier: Apache-2.0
 *
 * Every row of x is read once for all queries of a block; what a tile gives is compared with each query's k-th best so far, and
 * only what is better goes to its heap. With many queries the workers share the queries, with few they share the rows of x, in
 * parts that have heaps of their own, merged in the end.
 *
 * Squared distances to many queries are screened: half the square of x less the inner product orders the rows as the distance
 * does, at the full rate of the product. What may be below the limit, its rounding errors counted in, is looked at again, by differences;
 * only that result is compared and given, so cancellation costs time where it is bad, and never a neighbour.
 *
 *   With s = q.x, D = |q|^2 + |x|^2 - 2 s, u = 2^-24, every sum of d terms is off by less than (d + 1) u of its terms' sizes, and |s| <=
 *   (|q|^2 + |x|^2) / 2: |x|^2 / 2 - s is off by less than (d + 4) u (|q|^2 / 2 + |x|^2), and D itself, by differences, by (d + 4) u D.
 *   The screen allows (d + 16) u (|q|^2 + 2 |x|^2) and 4 (d + 16) u D, more than twice that. Squares above LARGE are not screened.
 *
 * A heap holds 64-bit ranks, the value's order in the upper half and the row's number in the lower: one comparison orders by value
 * and then by number, so the result does not depend on how the rows were shared.
 */
#include "kernels/topk/topk.h"

#include "kernels/arithmetic.h"

#include <math.h>
#include <string.h>

enum {
  IN_PLACE = 8,          /* queries in one pass over rows that are not packed */
  BLOCK_QUERIES = 256,   /* at once; packed they stay in L2 up to d = 512 */
  PART_ROWS = 1 << 14,   /* at least, of x in one part */
  HEAP_BYTES = 64 << 20, /* of all heaps, if that is possible */
};

/* ---- ranks ------------------------------------------------------------------------------------------------- */

static const uint64_t nobody = UINT64_MAX; /* behind every neighbour */

/* Negative numbers are turned round, so that unsigned numbers have the order of the floats. -0 became 0 before. */
static uint64_t rank_of(float value, int64_t row) {
  const float key = value + 0.0f;
  uint32_t bits;
  memcpy(&bits, &key, sizeof bits);
  bits ^= bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31;
  return (uint64_t)bits << 32 | (uint32_t)row;
}

static float value_of(uint64_t rank) {
  if (rank == nobody) return INFINITY;
  uint32_t bits = (uint32_t)(rank >> 32);
  bits ^= bits >> 31 ? UINT32_C(1) << 31 : UINT32_MAX;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* The root goes down from `at` until nothing below is larger. */
static void sift(uint64_t *heap, int64_t count, int64_t at, uint64_t rank) {
  for (;;) {
    int64_t child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && heap[child + 1] > heap[child]) child++;
    if (heap[child] <= rank) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = rank;
}

static void sort_heap(uint64_t *heap, int64_t count) {
  for (int64_t last = count - 1; last > 0; last--) {
    const uint64_t rank = heap[last];
    heap[last] = heap[0];
    sift(heap, last, 0, rank);
  }
}

/* ---- the call ---------------------------------------------------------------------------------------------- */

typedef struct search {
  const fh_pairs *tiles;
  int64_t m, n, d, k;
  bool negative; /* inner products: the queries are negated, so that the smallest value is the best */
  bool screened; /* squared distances by inner products of negated queries, then by differences */
  bool in_place; /* few queries: the rows of x are not packed */
  fh_matrix q, x;
  fh_f32_any *values;
  fh_i32_any *indexes;
  int64_t value_row, value_col, index_row, index_col;
  /* The plan. A block is packed queries, and heaps and limits for each part. */
  bool by_queries; /* a block for each worker, one part each; else one block that all share */
  int64_t block, parts, part_rows, panel_floats, row_floats;
  size_t queries_bytes, squares_bytes, limits_bytes, heaps_bytes, panel_bytes;
  char *scratch;
  /* The block in work, when it is shared. */
  int64_t first, count;
} search;

static size_t whole_lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static search search_of(const fh_pairs_set *both, const fh_slot *s, int workers) {
  search a = {.m = s[FH_TOPK_M].i,
              .n = s[FH_TOPK_N].i,
              .d = s[FH_TOPK_D].i,
              .k = s[FH_TOPK_K].i,
              .negative = s[FH_TOPK_SIGN].i < 0,
              .q = {s[FH_TOPK_Q].cp, s[FH_TOPK_Q_STRIDES].i, s[FH_TOPK_Q_STRIDES + 1].i},
              .x = {s[FH_TOPK_X].cp, s[FH_TOPK_X_STRIDES].i, s[FH_TOPK_X_STRIDES + 1].i},
              .values = s[FH_TOPK_VALUES].p,
              .indexes = s[FH_TOPK_INDEXES].p,
              .value_row = s[FH_TOPK_VALUES_STRIDES].i,
              .value_col = s[FH_TOPK_VALUES_STRIDES + 1].i,
              .index_row = s[FH_TOPK_INDEXES_STRIDES].i,
              .index_col = s[FH_TOPK_INDEXES_STRIDES + 1].i};
  if (a.d == 1) a.x.col = 1;
  a.in_place = a.m <= fh_pairs_few(a.d);
  a.screened = !a.negative && !a.in_place && a.x.col == 1 && (a.q.col == 1 || a.d == 1);
  const fh_pairs *tiles = a.tiles = a.negative || a.screened ? both->dot : both->squared;
  const int64_t heap = a.k * (int64_t)sizeof(uint64_t), heaps = fh_most(1, HEAP_BYTES / heap);
  const int64_t by_queries = fh_least(fh_least(BLOCK_QUERIES, fh_divide_up(a.m, workers)), fh_most(1, heaps / workers));
  a.by_queries = workers == 1 || fh_divide_up(a.m, by_queries) >= 2 * workers || (by_queries >= 4 * FH_PAIRS_ROWS_MAX && !a.in_place);
  if (a.by_queries) {
    a.block = by_queries;
    a.parts = 1;
  } else {
    a.block = fh_least(fh_least(BLOCK_QUERIES, a.m), heaps);
    a.parts = fh_most(1, fh_least(fh_least(4 * workers, fh_divide_up(a.n, PART_ROWS)), heaps / a.block));
    if (a.parts < workers) a.parts = fh_most(1, fh_least(workers, a.n / (4 * tiles->cols)));
  }
  a.part_rows = fh_divide_up(fh_divide_up(fh_most(a.n, 1), a.parts), tiles->cols) * tiles->cols;
  a.parts = fh_divide_up(fh_most(a.n, 1), a.part_rows);
  a.queries_bytes = whole_lines((size_t)(a.block * a.d) * sizeof(float));
  a.limits_bytes = whole_lines((size_t)a.block * sizeof(float)) * (a.screened ? 2 : 1);
  a.squares_bytes = a.screened ? whole_lines((size_t)a.block * sizeof(float)) : 0;
  a.heaps_bytes = whole_lines((size_t)(a.block * heap));
  a.panel_bytes = a.in_place && a.x.col == 1 ? 0 : whole_lines((size_t)(tiles->cols * a.d) * sizeof(float));
  return a;
}

static size_t block_bytes(const search *a) {
  return a->queries_bytes + a->squares_bytes + (size_t)a->parts * (a->limits_bytes + a->heaps_bytes);
}
static size_t all_bytes(const search *a, int workers) {
  return (a->by_queries ? (size_t)workers : 1) * block_bytes(a) + (size_t)workers * a->panel_bytes;
}

/* Pieces of the scratch. */
static char *block_of(const search *a, int worker) { return a->scratch + (a->by_queries ? (size_t)worker * block_bytes(a) : 0); }
static float *limits_of(const search *a, char *block, int64_t part) {
  return (float *)(void *)(block + a->queries_bytes + a->squares_bytes + (size_t)part * a->limits_bytes);
}
/* What a screened value must be below, for each query; behind the limits. */
static float *screens_of(const search *a, float *limits) { return (float *)(void *)((char *)limits + a->limits_bytes / 2); }
/* |q|^2 of the screened queries of a block. */
static float *squares_of(const search *a, char *block) { return (float *)(void *)(block + a->queries_bytes); }
static uint64_t *heaps_of(const search *a, char *block, int64_t part) {
  return (uint64_t *)(void *)(block + a->queries_bytes + a->squares_bytes + (size_t)a->parts * a->limits_bytes +
                              (size_t)part * a->heaps_bytes);
}
static float *panel_of(const search *a, int workers_blocks, int worker) {
  return (float *)(void *)(a->scratch + (size_t)workers_blocks * block_bytes(a) + (size_t)worker * a->panel_bytes);
}

/* ---- a block of queries ------------------------------------------------------------------------------------ */

/* Where query i of a packed block begins: panels of up to `rows` queries, or plain rows. */
static const float *query_at(const search *a, const char *block, int64_t i) { return (const float *)(const void *)block + i * a->d; }

static void pack_queries(const search *a, int64_t first, int64_t count, char *block) {
  float *out = (float *)(void *)block;
  const fh_f32_any *q = a->q.first + first * a->q.row;
  if (a->in_place) {
    for (int64_t i = 0; i < count; i++)
      for (int64_t l = 0; l < a->d; l++) out[i * a->d + l] = q[i * a->q.row + l * a->q.col];
  } else {
    const int64_t panels = fh_divide_up(count, a->tiles->rows);
    for (int64_t p = 0; p < panels; p++) {
      const int64_t i = fh_part_start(count, panels, p);
      const int rows = (int)(fh_part_start(count, panels, p + 1) - i);
      a->tiles->pack(out + i * a->d, rows, q + i * a->q.row, a->q.row, a->q.col, rows, a->d);
    }
  }
  for (int64_t i = 0; (a->negative || a->screened) && i < count * a->d; i++) out[i] = -out[i];
  for (int64_t i = 0; a->screened && i < count; i++) {
    double square = 0;
    for (int64_t l = 0; l < a->d; l++) square += (double)q[i * a->q.row + l] * (double)q[i * a->q.row + l];
    squares_of(a, block)[i] = (float)square;
  }
}

static void clear_heaps(const search *a, int64_t count, char *block, int64_t part) {
  float *limits = limits_of(a, block, part);
  uint64_t *heaps = heaps_of(a, block, part);
  for (int64_t i = 0; i < count; i++) limits[i] = INFINITY;
  for (int64_t i = 0; a->screened && i < count; i++) screens_of(a, limits)[i] = INFINITY;
  for (int64_t i = 0; i < count * a->k; i++) heaps[i] = nobody;
}

/* A row of a tile: what is below the limit goes to the heap, if it still is when its turn comes. */
static void keep(const search *a, const float *out, uint32_t bits, int64_t row, float *limit, uint64_t *heap) {
  for (; bits; bits &= bits - 1) {
    const int c = __builtin_ctz(bits);
    if (!(out[c] < *limit)) continue;
    sift(heap, a->k, 0, rank_of(out[c], row + c));
    *limit = value_of(heap[0]);
  }
}

/* ---- screening --------------------------------------------------------------------------------------------- */

static const float LARGE = 0x1p120f; /* squares up to here leave room for their sums */

static double slack_of(const search *a) { return ((double)a->d + 16) * 0x1p-24; }

/* The largest screened value that may belong to a distance below the limit, rounded up. */
static float screen_of(const search *a, float limit, float square) {
  if (!(limit < INFINITY) || !(square <= LARGE)) return INFINITY;
  const double slack = slack_of(a), q = (double)square, screen = 0.5 * ((double)limit * (1 + 4 * slack) - q) + slack * q;
  return (float)(screen + fabs(screen) * 0x1p-22 + (double)(a->d + 16) * 0x1p-140);
}

/* As keep(), for query `query` of the call; the true distance decides. */
static void keep_screened(const search *a, int64_t query, uint32_t bits, int64_t row, float square, float *limit, float *screen,
                          uint64_t *heap) {
  const fh_f32_any *q = a->q.first + query * a->q.row;
  for (; bits; bits &= bits - 1) {
    const int64_t candidate = row + __builtin_ctz(bits);
    const float distance = a->tiles->squared(q, a->x.first + candidate * a->x.row, a->d);
    if (!(distance < *limit)) continue;
    sift(heap, a->k, 0, rank_of(distance, candidate));
    *limit = value_of(heap[0]);
    *screen = screen_of(a, *limit, square);
  }
}

/* Half the squares of a packed panel less their share of the error; false when one is too large to be screened. */
static bool screen_offsets(const search *a, const float *panel, float *offsets) {
  if (!(a->tiles->half_squares(panel, a->d, offsets) <= LARGE)) return false;
  const float part = (float)(1 - 4 * slack_of(a));
  for (int c = 0; c < a->tiles->cols; c++) offsets[c] *= part;
  return true;
}

/* ---- scanning ---------------------------------------------------------------------------------------------- */

/* The rows [first, first + count) of x, at most a tile's, against the queries of a block. */
static void scan_panel(const search *a, int64_t first, int count, int64_t first_query, int64_t queries, char *block, float *panel,
                       float *limits, uint64_t *heaps) {
  const fh_pairs *t = a->tiles;
  const fh_f32_any *x = a->x.first + first * a->x.row;
  int64_t x_row = a->x.row;
  if (!a->in_place) {
    t->pack(panel, t->cols, x, a->x.row, a->x.col, count, a->d);
  } else if (a->x.col != 1) {
    t->pack(panel, (int)a->d, x, a->x.col, a->x.row, (int)a->d, count);
    x = panel;
    x_row = a->d;
  }
  _Alignas(64) float offsets[FH_PAIRS_COLS_MAX];
  const bool all = a->screened && !screen_offsets(a, panel, offsets);
  const int64_t panels = fh_divide_up(queries, a->in_place ? IN_PLACE : t->rows);
  for (int64_t p = 0; p < panels; p++) {
    _Alignas(64) float out[FH_PAIRS_ROWS_MAX * FH_PAIRS_COLS_MAX];
    uint32_t bits[FH_PAIRS_ROWS_MAX];
    const int64_t i = fh_part_start(queries, panels, p);
    const int rows = (int)(fh_part_start(queries, panels, p + 1) - i);
    if (!a->in_place && a->x.col == 1 && first + t->cols < a->n)
      fh_fetch_rows(x + t->cols * a->x.row, a->x.row, fh_least(a->n - first - t->cols, t->cols), a->d, p, panels);
    if (a->in_place)
      t->in_place(query_at(a, block, i), a->d, rows, x, x_row, count, a->d, out);
    else
      t->tile(query_at(a, block, i), rows, panel, a->d, out, t->cols);
    if (!a->screened) {
      if (!t->below(out, rows, count, NULL, limits + i, bits)) continue;
      for (int r = 0; r < rows; r++)
        if (bits[r]) keep(a, out + r * t->cols, bits[r], first, &limits[i + r], heaps + (i + r) * a->k);
      continue;
    }
    float *screens = screens_of(a, limits);
    const float *squares = squares_of(a, block);
    t->below(out, rows, count, offsets, screens + i, bits);
    for (int r = 0; r < rows; r++) {
      if (all || !(squares[i + r] <= LARGE)) bits[r] = (uint32_t)((UINT64_C(1) << (count & 63)) - 1);
      if (bits[r])
        keep_screened(a, first_query + i + r, bits[r], first, squares[i + r], &limits[i + r], &screens[i + r], heaps + (i + r) * a->k);
    }
  }
}

static void scan(const search *a, int64_t first, int64_t last, int64_t first_query, int64_t queries, char *block, int64_t part,
                 float *panel) {
  float *limits = limits_of(a, block, part);
  uint64_t *heaps = heaps_of(a, block, part);
  clear_heaps(a, queries, block, part);
  for (int64_t row = first; row < last; row += a->tiles->cols)
    scan_panel(a, row, (int)fh_least(last - row, a->tiles->cols), first_query, queries, block, panel, limits, heaps);
}

/* The best of all parts, in order, for query i of a block that begins at query `first`. */
static void finish(const search *a, int64_t first, int64_t i, char *block) {
  uint64_t *heap = heaps_of(a, block, 0) + i * a->k;
  for (int64_t part = 1; part < a->parts; part++) {
    const uint64_t *other = heaps_of(a, block, part) + i * a->k;
    for (int64_t j = 0; j < a->k; j++)
      if (other[j] < heap[0]) sift(heap, a->k, 0, other[j]);
  }
  sort_heap(heap, a->k);
  fh_f32_any *values = a->values + (first + i) * a->value_row;
  fh_i32_any *indexes = a->indexes + (first + i) * a->index_row;
  for (int64_t j = 0; j < a->k; j++) {
    const float value = value_of(heap[j]);
    values[j * a->value_col] = a->negative ? -value : value;
    indexes[j * a->index_col] = heap[j] == nobody ? -1 : (int32_t)(uint32_t)heap[j];
  }
}

/* ---- sharing ----------------------------------------------------------------------------------------------- */

typedef struct job {
  const search *a;
  int workers;
} job;

/* All of a block of queries. */
static void block_task(void *arg, int64_t i, int worker) {
  const job *j = arg;
  const search *a = j->a;
  const int64_t first = i * a->block, count = fh_least(a->block, a->m - first);
  char *block = block_of(a, worker);
  pack_queries(a, first, count, block);
  scan(a, 0, a->n, first, count, block, 0, panel_of(a, j->workers, worker));
  for (int64_t q = 0; q < count; q++) finish(a, first, q, block);
}

/* A part of x against the shared block. */
static void part_task(void *arg, int64_t i, int worker) {
  const search *a = ((const job *)arg)->a;
  const int64_t first = i * a->part_rows;
  scan(a, first, fh_least(first + a->part_rows, a->n), a->first, a->count, a->scratch, i, panel_of(a, 1, worker));
}

static void finish_task(void *arg, int64_t i, int worker) {
  (void)worker;
  const search *a = ((const job *)arg)->a;
  finish(a, a->first, i, a->scratch);
}

void fh_topk_run(const fh_pairs_set *tiles, const fh_slot *slots, const fh_team *team) {
  search a = search_of(tiles, slots, team->size);
  a.scratch = team->scratch;
  job j = {&a, team->size};
  if (a.by_queries) {
    team->parallel(team, fh_divide_up(a.m, a.block), block_task, &j);
    return;
  }
  for (a.first = 0; a.first < a.m; a.first += a.block) {
    a.count = fh_least(a.block, a.m - a.first);
    pack_queries(&a, a.first, a.count, a.scratch);
    team->parallel(team, a.parts, part_task, &j);
    team->parallel(team, a.count, finish_task, &j);
  }
}

size_t fh_topk_scratch(const fh_pairs_set *tiles, const fh_bound *bound, int team_size) {
  fh_slot slots[FH_TOPK_SLOTS] = {{0}};
  for (int i = FH_TOPK_M; i < FH_TOPK_SLOTS; i++) slots[i].i = bound->stages[0].operands[i].i;
  const search a = search_of(tiles, slots, team_size);
  return all_bytes(&a, team_size);
}
