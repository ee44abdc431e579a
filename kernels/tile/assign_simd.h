/* kmeans_assign and kmeans_step by register tiles: the body shared by assign_<isa>.c. SPDX-License-Identifier: Apache-2.0
 *
 * ||x - c||^2 = ||x||^2 + (||c||^2 - 2 x.c): the bracket is a matrix product with the norms as its start, and its
 * smallest value per row is kept in registers while the product is made. Lanes are rows of x, so no reduction across lanes
 * is needed and any number of centroids fills the tile.
 *
 * The bracket cancels where distances are small against norms. Therefore everything is taken relative to the mean
 * centroid, the second smallest value is kept too, and a row whose two smallest lie within the error bound E of the
 * bracket is decided by direct differences. So are rows with values that are not finite. The distance given is always
 * a direct sum of squared differences.
 *
 *   E = (2 d + 8) u (1.5 C^2 + 0.5 X^2), u = FH_UNIT, C the largest centroid norm, X the row's norm, both relative to the mean:
 *   the norm is a sum of d terms ((d + 1) u C^2), the chain adds d more (d u (C^2 + 2 X C)), rounding after the shift by
 *   the mean 2 u C^2 + 4 u X C; and X C <= (X^2 + C^2) / 2.
 *
 * Include after one simd_<isa>.h and pack.h, or after simd_<isa>_f64.h and FH_OF_DOUBLES for doubles, with FH_ASSIGN_ENTRY,
 * FH_STEP_ENTRY and FH_ASSIGN_SCRATCH defined.
 */
#ifndef FOGHORN_KERNELS_TILE_ASSIGN_SIMD_H_
#define FOGHORN_KERNELS_TILE_ASSIGN_SIMD_H_

#include "kernels/arithmetic.h"
#include "kernels/contract.h"
#include "kernels/tile/assign.h"
#include "kernels/tile/matrix.h"
#include "kernels/tile/squares.h"
#include "kernels/unaligned.h"

#include <math.h>
#include <string.h>

enum {
  MR = FH_TILE_ROWS, /* centroids of one tile */
  NR = 2 * FH_LANES, /* rows of x of one tile */
  TASK_BLOCKS = 8,   /* tiles of rows in one task */
  FEW_ROWS = 8,      /* so few are not worth packing the centroids */
};

typedef struct assign {
  int64_t n, d, k;
  fh_matrix x, c; /* c: as given, or a copy with its elements side by side */
  fh_i32_any *labels;
  fh_element_any *distances;
  int64_t labels_stride, distances_stride;
  bool packed; /* false: every row is decided by direct differences */
  /* scratch shared by the team */
  fh_element *mean;   /* d */
  fh_element *norms;  /* k, of centroids relative to the mean, squared */
  fh_element *panels; /* k * d: -2 (c - mean), MR side by side */
  fh_element *copy_c; /* k * d when the columns of c lie apart */
  fh_element *table;  /* places of centroids by hash, for equal ones: int32_t in an element's room */
  int64_t table_size;
  int64_t panel_count;
  fh_element largest; /* of norms; infinite when one is out of range */
  /* scratch of each worker */
  fh_element *worker_first;
  size_t worker_elements;
} assign;

static size_t whole_lines(int64_t elements) { return ((size_t)elements + FH_TILE_LINE - 1) & ~(size_t)(FH_TILE_LINE - 1); }

static assign assign_of(const fh_slot *s) {
  assign a = {.n = s[FH_ASSIGN_N].i,
              .d = s[FH_ASSIGN_D].i,
              .k = s[FH_ASSIGN_K].i,
              .x = {s[FH_ASSIGN_X].cp, s[FH_ASSIGN_X_STRIDES].i, s[FH_ASSIGN_X_STRIDES + 1].i},
              .c = {s[FH_ASSIGN_C].cp, s[FH_ASSIGN_C_STRIDES].i, s[FH_ASSIGN_C_STRIDES + 1].i},
              .labels = s[FH_ASSIGN_LABELS].p,
              .distances = s[FH_ASSIGN_DISTANCES].p,
              .labels_stride = s[FH_ASSIGN_LABELS_STRIDE].i,
              .distances_stride = s[FH_ASSIGN_DISTANCES_STRIDE].i};
  if (a.d == 1) a.x.col = a.c.col = 1;
  a.packed = a.n > FEW_ROWS;
  for (a.table_size = 16; a.table_size < 2 * a.k;) a.table_size *= 2;
  return a;
}

/* Places the scratch at `base` and returns its size in elements: one walk for both. */
static size_t place_scratch(assign *a, fh_element *base, int workers) {
  if (!a->packed) return 0;
  size_t at = 0;
  fh_element **const shared[] = {&a->mean, &a->norms, &a->panels, &a->copy_c, &a->table};
  const size_t sizes[] = {whole_lines(a->d), whole_lines(a->k), whole_lines(a->k * a->d), a->c.col == 1 ? 0 : whole_lines(a->k * a->d),
                          whole_lines(a->table_size)};
  for (int i = 0; i < 5; i++) {
    if (base) *shared[i] = base + at;
    at += sizes[i];
  }
  if (base) a->worker_first = base + at;
  a->worker_elements = whole_lines(a->d * NR * (a->x.col == 1 ? 1 : 2));
  return at + a->worker_elements * (size_t)workers;
}

/* ---- direct differences --------------------------------------------------------------------------- */

static fh_element distance_apart(const fh_element_any *x, int64_t x_col, const fh_element_any *c, int64_t c_col, int64_t d) {
  fh_element sums[4] = {0};
  for (int64_t i = 0; i < d; i++) {
    fh_element diff = x[i * x_col] - c[i * c_col];
    sums[i & 3] += diff * diff;
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static inline fh_element distance_of(const fh_element_any *x, int64_t x_col, const fh_element_any *c, int64_t c_col, int64_t d) {
  return x_col == 1 && c_col == 1 ? fh_sum_lanes(fh_squares_of(x, c, d)) : distance_apart(x, x_col, c, c_col, d);
}

static void put(const assign *a, int64_t row, int32_t label, fh_element distance) {
  a->labels[row * a->labels_stride] = label;
  a->distances[row * a->distances_stride] = distance;
}

static __attribute__((noinline)) void decide_directly(const assign *a, int64_t row, const fh_element_any *x, int64_t x_col) {
  int32_t label = 0;
  fh_element first = distance_of(x, x_col, a->c.first, a->c.col, a->d), best = first < INFINITY ? first : INFINITY;
  for (int64_t j = 1; j < a->k; j++) {
    fh_element distance = distance_of(x, x_col, a->c.first + j * a->c.row, a->c.col, a->d);
    if (distance < best) best = distance, label = (int32_t)j;
  }
  put(a, row, label, best < INFINITY ? best : first);
}

static void decide_row(void *arg, int64_t i, int worker) {
  (void)worker;
  const assign *a = arg;
  decide_directly(a, i, a->x.first + i * a->x.row, a->x.col);
}

/* ---- the centroids: mean, norms, panels ----------------------------------------------------------- */

static void find_mean(assign *a) {
  for (int64_t i = 0; i < a->d; i++) a->mean[i] = 0;
  for (int64_t j = 0; j < a->k; j++) {
    const fh_element_any *c = a->c.first + j * a->c.row;
    for (int64_t i = 0; i < a->d; i++) a->mean[i] += c[i];
  }
  for (int64_t i = 0; i < a->d; i++) {
    fh_element mean = a->mean[i] / (fh_element)a->k;
    a->mean[i] = mean - mean == 0 ? mean : 0; /* any shift is right; this one must be finite */
  }
}

static void pack_centroids(void *arg, int64_t panel, int worker) {
  (void)worker;
  const assign *a = arg;
  int64_t first = fh_part_start(a->k, a->panel_count, panel), last = fh_part_start(a->k, a->panel_count, panel + 1);
  int count = (int)(last - first);
  fh_element *out = a->panels + first * a->d, norms[MR] = {0};
  fh_pack(out, count, a->c.first + first * a->c.row, a->c.row, 1, count, a->d);
  for (int64_t i = 0; i < a->d; i++, out += count) {
    for (int j = 0; j < count; j++) {
      fh_element shifted = out[j] - a->mean[i];
      norms[j] += shifted * shifted;
      out[j] = -2 * shifted;
    }
  }
  for (int j = 0; j < count; j++) a->norms[first + j] = norms[j];
}

static bool finite_row(const fh_element_any *row, int64_t d) {
  for (int64_t i = 0; i < d; i++) {
    if (row[i] - row[i] != 0) return false;
  }
  return true;
}

/* FNV-1a over words of 32 bits: with wider ones the upper half of a double, all that whole numbers differ in, would never reach the bits
 * that choose a place. Two centroids that are equal but for the sign of a zero may differ; they are decided directly, as before. */
static uint64_t hash_of(const fh_element_any *c, int64_t d) {
  uint64_t hash = UINT64_C(14695981039346656037);
  const char *at = (const char *)c, *const end = at + (size_t)d * sizeof *c;
  for (uint32_t bits; at < end; at += sizeof bits) {
    memcpy(&bits, at, sizeof bits);
    hash = (hash ^ bits) * UINT64_C(1099511628211);
  }
  return hash ^ hash >> 29;
}

/* Of equal centroids only the first can win. The others get an infinite norm, so that they are no rivals either: else no row near them
 * would be sure of its best. A NaN equals none, itself neither, so it takes a place of its own. */
static void leave_out_equals(assign *a) {
  int32_t *table = (int32_t *)(void *)a->table;
  for (int64_t i = 0; i < a->table_size; i++) table[i] = -1;
  for (int64_t j = 0; j < a->k; j++) {
    const fh_element_any *c = a->c.first + j * a->c.row;
    int64_t place = (int64_t)(hash_of(c, a->d) & (uint64_t)(a->table_size - 1));
    for (; table[place] >= 0; place = (place + 1) & (a->table_size - 1)) {
      if (memcmp(a->c.first + table[place] * a->c.row, c, (size_t)a->d * sizeof *c) == 0) break;
    }
    if (table[place] < 0)
      table[place] = (int32_t)j;
    else
      a->norms[j] = -INFINITY; /* a mark until the largest norm is known */
  }
}

/* A centroid that holds a NaN or an infinity never wins and does not count. */
static fh_element largest_norm(const assign *a) {
  fh_element largest = 0;
  for (int64_t j = 0; j < a->k; j++) {
    if (a->norms[j] == -INFINITY) {
      a->norms[j] = INFINITY;
    } else if (a->norms[j] < INFINITY) {
      if (a->norms[j] > largest) largest = a->norms[j];
    } else if (finite_row(a->c.first + j * a->c.row, a->d)) {
      return INFINITY;
    }
  }
  return largest;
}

/* ---- rows ----------------------------------------------------------------------------------------- */

typedef struct nearest {
  fh_vf best[2], second[2];
  fh_vi label[2];
} nearest;

/* One panel of centroids against one block of rows. count is a constant at every call. */
static inline __attribute__((always_inline)) void compare_panel(const int count, const fh_element *c, const fh_element *norms,
                                                                const fh_element *x, int64_t d, int32_t label, const fh_element_any *fetch,
                                                                nearest *state) {
#define START(r) fh_vf v##r##_0 = r < count ? fh_v_set1(norms[r]) : fh_v_zero(), v##r##_1 = v##r##_0;
  FH_TILE_EACH_ROW(START)
#undef START
  for (int64_t i = d; i > 0; i--, c += count, x += NR) {
    fh_vf x0 = fh_v_load(x), x1 = fh_v_load(x + FH_LANES);
    __builtin_prefetch(fetch, 0, 2);
    fetch += FH_TILE_LINE;
#define STEP(r)                                 \
  if (r < count) {                              \
    v##r##_0 = fh_v_fma_by(c[r], x0, v##r##_0); \
    v##r##_1 = fh_v_fma_by(c[r], x1, v##r##_1); \
  }
    FH_TILE_EACH_ROW(STEP)
#undef STEP
  }
  fh_vf best0 = state->best[0], best1 = state->best[1], second0 = state->second[0], second1 = state->second[1];
  fh_vi label0 = state->label[0], label1 = state->label[1];
/* The order of operands lets a NaN fall through: min and max give the second one. */
#define KEEP(r, h)                                                  \
  {                                                                 \
    fh_vm less = fh_v_less(v##r##_##h, best##h);                    \
    second##h = fh_v_min(fh_v_max(best##h, v##r##_##h), second##h); \
    best##h = fh_v_min(v##r##_##h, best##h);                        \
    label##h = fh_vi_select(less, fh_vi_set1(label + r), label##h); \
  }
#define KEEP_BOTH(r) \
  if (r < count) {   \
    KEEP(r, 0)       \
    KEEP(r, 1)       \
  }
  FH_TILE_EACH_ROW(KEEP_BOTH)
#undef KEEP_BOTH
#undef KEEP
  state->best[0] = best0, state->best[1] = best1;
  state->second[0] = second0, state->second[1] = second1;
  state->label[0] = label0, state->label[1] = label1;
}

#define PANEL(count)                                                                                                     \
  static void panel_##count(const fh_element *c, const fh_element *norms, const fh_element *x, int64_t d, int32_t label, \
                            const fh_element_any *fetch, nearest *state) {                                               \
    compare_panel(count, c, norms, x, d, label, fetch, state);                                                           \
  }
PANEL(1)
PANEL(2)
PANEL(3)
PANEL(4)
PANEL(5)
PANEL(6)
#if defined(__AVX512F__)
PANEL(7)
PANEL(8)
PANEL(9)
PANEL(10)
PANEL(11)
PANEL(12)
PANEL(13)
PANEL(14)
#endif

static void (*const panels[MR])(const fh_element *, const fh_element *, const fh_element *, int64_t, int32_t, const fh_element_any *,
                                nearest *) = {
    panel_1, panel_2, panel_3, panel_4,  panel_5,  panel_6,
#if defined(__AVX512F__)
    panel_7, panel_8, panel_9, panel_10, panel_11, panel_12, panel_13, panel_14,
#endif
};

/* Turns `count` rows into lanes relative to the mean; their squared norms to `norms`. */
static void pack_rows(const assign *a, const fh_element_any *first, int count, fh_element *x, fh_vf norms[2]) {
  fh_pack(x, NR, first, a->x.row, a->x.col, count, a->d);
  norms[0] = norms[1] = fh_v_zero();
  for (int64_t i = 0; i < a->d; i++, x += NR) {
    fh_vf mean = fh_v_set1(a->mean[i]), low = fh_v_sub(fh_v_load(x), mean), high = fh_v_sub(fh_v_load(x + FH_LANES), mean);
    fh_v_store(x, low);
    fh_v_store(x + FH_LANES, high);
    norms[0] = fh_v_fma(low, low, norms[0]);
    norms[1] = fh_v_fma(high, high, norms[1]);
  }
}

/* Lanes whose two smallest values lie within twice the error bound, or that are not finite: 0 in `sure`. */
static void mark_sure(const assign *a, const nearest *state, const fh_vf norms[2], int32_t sure[NR]) {
  const fh_element scale = 2 * (2 * (fh_element)a->d + 8) * (fh_element)FH_UNIT;
  for (int h = 0; h < 2; h++) {
    fh_vf bound = fh_v_fma(fh_v_set1(scale / 2), norms[h], fh_v_set1((fh_element)1.5 * scale * a->largest));
    /* best + bound < second; a bound that is NaN or infinite makes it false */
    fh_vm apart = fh_v_less(fh_v_add(state->best[h], bound), state->second[h]);
    fh_vm finite = fh_v_less(fh_v_mul(state->best[h], fh_v_zero()), fh_v_set1(1)); /* 0 or NaN */
    fh_vi yes = fh_vi_select(apart, fh_vi_set1(1), fh_vi_set1(0));
    fh_vi_store(sure + h * FH_LANES, fh_vi_select(finite, yes, fh_vi_set1(0)));
  }
}

/* What panel `panel` asks for, a line at each step, of the block of rows that begins at `row`: two panels ask for a whole one. Rows that
 * are far from each other are asked for here; with nothing left to ask for it is the panel's own rows. */
static inline const fh_element_any *fetch_ahead(const assign *a, int64_t row, int64_t panel, const fh_element *own) {
  if (a->x.col != 1 || row >= a->n || panel > 1) return own;
  const fh_element_any *next = a->x.first + row * a->x.row;
  const int64_t rows_there = fh_tile_min(a->n - row, NR);
  const bool close = a->x.row >= a->d && a->x.row < a->d + FH_TILE_LINE;
  if (!close || a->panel_count == 1) fh_fetch_rows(next, a->x.row, rows_there, a->d, panel, a->panel_count == 1 ? 1 : 2);
  return close && a->panel_count > 1 ? next + panel * NR / 2 * a->x.row : own;
}

static void assign_block(const assign *a, int64_t first, int count, fh_element *scratch) {
  const fh_element_any *given = a->x.first + first * a->x.row;
  nearest state;
  fh_vf norms[2];
  pack_rows(a, given, count, scratch, norms);
  for (int h = 0; h < 2; h++) {
    state.best[h] = state.second[h] = fh_v_set1(INFINITY);
    state.label[h] = fh_vi_set1(0);
  }
  for (int64_t p = 0; p < a->panel_count; p++) {
    int64_t begin = fh_part_start(a->k, a->panel_count, p), end = fh_part_start(a->k, a->panel_count, p + 1);
    panels[end - begin - 1](a->panels + begin * a->d, a->norms + begin, scratch, a->d, (int32_t)begin,
                            fetch_ahead(a, first + NR, p, scratch), &state);
  }
  int32_t labels[NR], sure[NR];
  fh_element distances[NR];
  fh_vi_store(labels, state.label[0]);
  fh_vi_store(labels + FH_LANES, state.label[1]);
  mark_sure(a, &state, norms, sure);

  fh_matrix x = {given, a->x.row, a->x.col};
  if (x.col != 1) { /* columns lie apart: once more as rows, for direct differences */
    fh_element *copy = scratch + a->d * NR;
    fh_pack(copy, (int)a->d, given, x.col, x.row, (int)a->d, count);
    x = (fh_matrix){copy, a->d, 1};
  }
  for (int h = 0; h < count; h += FH_LANES) {
    fh_vf sums[FH_LANES];
    for (int i = 0; i < FH_LANES; i++) {
      const fh_element_any *row = x.first + fh_tile_min(h + i, count - 1) * x.row;
      sums[i] = fh_squares_of(row, a->c.first + labels[h + i] * a->c.row, a->d);
    }
    fh_v_store(distances + h, fh_v_sum_each(sums));
  }
  for (int i = 0; i < count; i++) {
    if (sure[i])
      put(a, first + i, labels[i], distances[i]);
    else
      decide_directly(a, first + i, x.first + i * x.row, 1);
  }
}

static fh_element *scratch_of(const assign *a, int worker) { return a->worker_first + (size_t)worker * a->worker_elements; }

static void assign_task(void *arg, int64_t i, int worker) {
  const assign *a = arg;
  int64_t end = (i + 1) * TASK_BLOCKS * NR < a->n ? (i + 1) * TASK_BLOCKS * NR : a->n;
  for (int64_t row = i * TASK_BLOCKS * NR; row < end; row += NR) assign_block(a, row, fh_tile_min(end - row, NR), scratch_of(a, worker));
}

/* ---- sums by label -------------------------------------------------------------------------------- */

/* The order of additions is that of the text: each chunk's rows in order, then the chunks in order. */
typedef struct sums {
  const assign *a;
  fh_element_any *out;
  fh_i32_any *counts;
  fh_element *partial;
  int32_t *tally;
  int64_t padded, chunks, chunk_rows, row, col, count_stride;
} sums;

/* One row to the sum of its label. */
static inline void add_row(const sums *s, const fh_element_any *row, fh_element *sum) {
  const int64_t d = s->a->d, col = s->a->x.col;
  int64_t i = 0;
  if (col != 1) {
    for (; i < d; i++) sum[i] += row[i * col];
    return;
  }
  for (; i + FH_LANES <= d; i += FH_LANES) fh_v_store(sum + i, fh_v_add(fh_v_load(sum + i), fh_v_load(row + i)));
  if (i < d) /* the accumulators are padded */
    fh_v_store(sum + i, fh_v_add(fh_v_load(sum + i), fh_v_load_masked(row + i, fh_vm_first((int)(d - i)))));
}

/* No look for runs of equal labels: a run in registers saves less than the branches cost where the labels are mixed, and a sum that
 * waits for the store before it waits no longer than the row's labels take. */
static void add_rows(const sums *s, int64_t chunk, int64_t first, int64_t last) {
  fh_element *partial = s->partial + chunk * s->a->k * s->padded;
  int32_t *tally = s->tally + chunk * s->a->k;
  for (int64_t row = first; row < last; row++) {
    const int32_t label = s->a->labels[row * s->a->labels_stride];
    add_row(s, s->a->x.first + row * s->a->x.row, partial + label * s->padded);
    tally[label]++;
  }
}

static void clear_chunk(const sums *s, int64_t chunk) {
  memset(s->partial + chunk * s->a->k * s->padded, 0, (size_t)(s->a->k * s->padded) * sizeof *s->partial);
  memset(s->tally + chunk * s->a->k, 0, (size_t)s->a->k * sizeof *s->tally);
}

static int64_t chunk_end(const sums *s, int64_t chunk) {
  const int64_t end = (chunk + 1) * s->chunk_rows;
  return end < s->a->n ? end : s->a->n;
}

/* A chunk of rows: labels, and their sums while the rows are in the cache. */
static void step_task(void *arg, int64_t chunk, int worker) {
  const sums *s = arg;
  clear_chunk(s, chunk);
  for (int64_t row = chunk * s->chunk_rows, end = chunk_end(s, chunk); row < end; row += NR) {
    const int count = fh_tile_min(end - row, NR);
    assign_block(s->a, row, count, scratch_of(s->a, worker));
    add_rows(s, chunk, row, row + count);
  }
}

/* Rows that have their labels already. */
static void sum_task(void *arg, int64_t chunk, int worker) {
  (void)worker;
  const sums *s = arg;
  clear_chunk(s, chunk);
  add_rows(s, chunk, chunk * s->chunk_rows, chunk_end(s, chunk));
}

enum { COMBINE_CLUSTERS = 16 };

static void combine_task(void *arg, int64_t i, int worker) {
  (void)worker;
  const sums *s = arg;
  const int64_t end = (i + 1) * COMBINE_CLUSTERS < s->a->k ? (i + 1) * COMBINE_CLUSTERS : s->a->k, stride = s->a->k * s->padded;
  for (int64_t j = i * COMBINE_CLUSTERS; j < end; j++) {
    const fh_element *partial = s->partial + j * s->padded;
    for (int64_t l = 0; l < s->a->d; l += FH_LANES) {
      fh_vf sum = fh_v_zero();
      for (int64_t chunk = 0; chunk < s->chunks; chunk++) sum = fh_v_add(sum, fh_v_load(partial + chunk * stride + l));
      const int lanes = fh_tile_min(s->a->d - l, FH_LANES);
      fh_element_any *out = s->out + j * s->row + l * s->col;
      if (s->col == 1) {
        fh_v_store_first(out, sum, lanes);
      } else {
        fh_element each[FH_LANES];
        fh_v_store(each, sum);
        for (int lane = 0; lane < lanes; lane++) out[lane * s->col] = each[lane];
      }
    }
    int32_t count = 0;
    for (int64_t chunk = 0; chunk < s->chunks; chunk++) count += s->tally[chunk * s->a->k + j];
    s->counts[j * s->count_stride] = count;
  }
}

/* ---- the entry ------------------------------------------------------------------------------------ */

/* Below this many multiplications waking a worker costs more than it brings. */
static const double worth_sharing = 48.0 * 48 * 48;

static void share(const fh_team *team, double work, int64_t count, void (*body)(void *, int64_t, int), void *arg) {
  if (count > 1 && work >= worth_sharing) {
    team->parallel(team, count, body, arg);
    return;
  }
  for (int64_t i = 0; i < count; i++) body(arg, i, 0);
}

/* What all rows need of the centroids. Few rows are decided by direct differences and need nothing. */
static void prepare(assign *a, const fh_team *team) {
  place_scratch(a, team->scratch, team->size);
  if (!a->packed) return;
  if (a->c.col != 1) {
    fh_pack(a->copy_c, (int)a->d, a->c.first, a->c.col, a->c.row, (int)a->d, a->k);
    a->c = (fh_matrix){a->copy_c, a->d, 1};
  }
  a->panel_count = fh_divide_up(a->k, MR);
  find_mean(a);
  share(team, (double)a->k * (double)a->d, a->panel_count, pack_centroids, a);
  leave_out_equals(a);
  a->largest = largest_norm(a);
}

static void assign_all(assign *a, const fh_team *team) {
  const double work = (double)a->n * (double)a->k * (double)a->d;
  if (a->packed)
    share(team, work, fh_divide_up(a->n, TASK_BLOCKS * NR), assign_task, a);
  else
    share(team, work, a->n, decide_row, a);
}

void FH_ASSIGN_ENTRY(const fh_slot *slots, const fh_team *team) {
  assign a = assign_of(slots);
  prepare(&a, team);
  assign_all(&a, team);
}

void FH_STEP_ENTRY(const fh_slot *slots, const fh_team *team) {
  assign a = assign_of(slots);
  sums s = {.a = &a,
            .out = slots[FH_STEP_SUMS].p,
            .counts = slots[FH_STEP_COUNTS].p,
            .partial = slots[FH_STEP_PARTIAL].p,
            .tally = slots[FH_STEP_TALLY].p,
            .padded = slots[FH_STEP_PADDED].i,
            .chunks = slots[FH_STEP_CHUNKS].i,
            .chunk_rows = slots[FH_STEP_CHUNK_ROWS].i,
            .row = slots[FH_STEP_SUMS_STRIDES].i,
            .col = slots[FH_STEP_SUMS_STRIDES + 1].i,
            .count_stride = slots[FH_STEP_COUNTS_STRIDE].i};
  const double adds = (double)a.n * (double)a.d;
  prepare(&a, team);
  if (a.packed && s.chunks >= (team->size == 1 ? 1 : 4 * team->size)) {
    share(team, adds * (double)a.k, s.chunks, step_task, &s);
  } else { /* too few chunks for the team: the labels in finer tasks first */
    assign_all(&a, team);
    share(team, adds, s.chunks, sum_task, &s);
  }
  share(team, (double)s.chunks * (double)(a.k * a.d), fh_divide_up(a.k, COMBINE_CLUSTERS), combine_task, &s);
}

size_t FH_ASSIGN_SCRATCH(const fh_bound *bound, int team_size) {
  fh_slot slots[FH_ASSIGN_SLOTS] = {{0}};
  for (int i = FH_ASSIGN_N; i < FH_ASSIGN_SLOTS; i++) slots[i].i = bound->stages[0].operands[i].i;
  assign a = assign_of(slots);
  return place_scratch(&a, NULL, team_size) * sizeof(fh_element);
}

#endif /* FOGHORN_KERNELS_TILE_ASSIGN_SIMD_H_ */
