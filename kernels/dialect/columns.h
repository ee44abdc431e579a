/* Rows that lie side by side in memory, or are short: what the texts of reductions share. SPDX-License-Identifier: Apache-2.0
 *
 * Element e of row r is x[e xs + r xs1]. An item is a chunk of 16 rows, and a device takes one in each lane. A CPU takes the items of a
 * share together and walks through memory in stretches many lines long: a single line of each element, with elements a page apart, came at
 * a sixth of the speed. Either way a sum is joined in the very order that a row alone has (fh_sum_row), so the bits are the same. */
#ifndef FOGHORN_KERNELS_DIALECT_COLUMNS_H_
#define FOGHORN_KERNELS_DIALECT_COLUMNS_H_

/* ---- blocks of rows ---- */
typedef struct fh_columns {
  fh_f32_in x;
  long xs, xs1;
  fh_f32_in y; /* the other factor of FH_TERM_PAIR */
  long ys, ys1;
  long n, rows; /* elements of a row, rows */
} fh_columns;

/* The rows of neighbouring items, of one chunk: `items` of them. */
typedef struct fh_block {
  long outer, chunk, row, rows, begin, n, items;
} fh_block;

enum {
  FH_MOST_ROWS = 1024,                /* of a block: stretches of a page */
  FH_SUM_ROWS = 4096 / sizeof(float), /* of a block of sums: 256 KiB of running values, in the second level of cache. A fourth was slower */
};

/* The block that begins with `item`, where items are numbered by 16 rows, then chunks, then the outer dimension: of at most `most` rows, a
 * multiple of 16, and the blocks behind it, up to item `last`, as large as it. */
FH_INLINE fh_block fh_block_of(long item, long last, long n1, long d, long chunks, long most) {
  const long groups = (n1 + 15) / 16, group = item % groups;
  const long there = last - item < groups - group ? last - item : groups - group, blocks = (there * 16 + most - 1) / most;
  fh_block b;
  b.outer = item / groups / chunks;
  b.chunk = item / groups % chunks;
  b.row = group * 16;
  b.items = (there + blocks - 1) / blocks;
  b.rows = b.items * 16 < n1 - b.row ? b.items * 16 : n1 - b.row;
  b.begin = b.chunk * FH_PIECE;
  b.n = b.chunk + 1 < chunks ? FH_PIECE : d - b.begin;
  return b;
}

/* What each row of a block gives; `r` is a multiple of 16. */
#ifdef FH_DIALECT_ISA
#ifdef FOGHORN_KERNELS_DIALECT_F64_H_ /* in whose texts the word float is double */
typedef fh_f64_element fh_column_element;
#else
typedef fh_f32_element fh_column_element;
#endif
typedef struct fh_results {
  _Alignas(64) fh_column_element at[FH_MOST_ROWS];
} fh_results;
FH_INLINE fh_vf fh_results_get(const fh_results *s, long r) { return fh_load(s->at, r, 1); }
FH_INLINE void fh_results_put(fh_results *s, long r, fh_vf v) { fh_store(s->at, r, 1, v); }
#else
typedef struct fh_results {
  fh_vf all;
} fh_results;
FH_INLINE fh_vf fh_results_get(const fh_results *s, long r) { return s->all; }
FH_INLINE void fh_results_put(fh_results *s, long r, fh_vf v) { s->all = v; }
#endif

/* ---- 16 rows, one in each lane ---- */
enum { FH_TERM_PAIR = FH_TERM_DEVIATION + 1 }; /* x y */

FH_INLINE fh_vf fh_column(const fh_columns *c, fh_f32_in p, long s1, long r) {
  return r + 16 <= c->rows ? fh_load(p, r, s1) : fh_load_part(p, r, c->rows, s1, 0.0f);
}
FH_INLINE fh_vf fh_column_term(int term, const fh_columns *c, long e, long r, fh_vf about) {
  const fh_vf v = fh_column(c, c->x + e * c->xs, c->xs1, r);
  return term == FH_TERM_PAIR ? fh_mul(v, fh_column(c, c->y + e * c->ys, c->ys1, r)) : fh_term(term, v, about);
}

/* The tree of the lanes of a row, each pair added as soon as both are there: LANE(l) is the sum of lane l. */
#define FH_SUM_OF_LANES(sum_of_all, LANE)                                                                                      \
  fh_vf waiting[5];                                                                                                            \
  for (int k = 0; k < 16; k++) {                                                                                               \
    const int lane = (k & 1) << 3 | (k & 2) << 1 | (k & 4) >> 1 | (k & 8) >> 3; /* the order 0, 8, 4, 12, 2 ... of the tree */ \
    fh_vf sum = LANE(lane);                                                                                                    \
    int level = 0;                                                                                                             \
    for (; k >> level & 1; level++) sum = fh_add(waiting[level], sum);                                                         \
    waiting[level] = sum;                                                                                                      \
  }                                                                                                                            \
  const fh_vf sum_of_all = waiting[4];

/* A row keeps 64 running values, value v for the elements v, v + 64, ...; the four that one lane has of them are added first. */
FH_INLINE fh_vf fh_sum_lane(int term, const fh_columns *c, int lane, long r, fh_vf about) {
  fh_vf s0 = fh_splat(0.0f), s1 = s0, s2 = s0, s3 = s0;
  for (long e = lane; e < c->n; e += 64) {
    s0 = fh_add(s0, fh_column_term(term, c, e, r, about));
    if (e + 16 < c->n) s1 = fh_add(s1, fh_column_term(term, c, e + 16, r, about));
    if (e + 32 < c->n) s2 = fh_add(s2, fh_column_term(term, c, e + 32, r, about));
    if (e + 48 < c->n) s3 = fh_add(s3, fh_column_term(term, c, e + 48, r, about));
  }
  return fh_add4(s0, s1, s2, s3);
}
FH_INLINE fh_vf fh_sum_16(int term, const fh_columns *c, long r, fh_vf about) {
#define FH_LANE_OF_16(lane) fh_sum_lane(term, c, lane, r, about)
  FH_SUM_OF_LANES(sum_of_all, FH_LANE_OF_16)
#undef FH_LANE_OF_16
  return sum_of_all;
}

FH_INLINE fh_vf fh_extreme_16(int kind, const fh_columns *c, long r) {
  fh_vf m = fh_splat(fh_nothing_picked(kind));
  for (long e = 0; e < c->n; e++) m = fh_further(kind, fh_column(c, c->x + e * c->xs, c->xs1, r), m);
  return m;
}

#ifdef FH_DIALECT_ISA
/* ---- many rows, by a CPU ----
 * Stretches: memory in which elements of all rows of a block follow each other, those of one element or, where rows are few and nothing
 * lies between them, of 64 in a row. What belongs to the same running value lies `period` elements apart. */
enum {
  FH_SHORT = 4,     /* elements of a row that has code of its own for its length */
  FH_FEW_ROWS = 64, /* with stretches of 64 elements: 16 KiB */
  FH_TOGETHER = 8,  /* stretches whose sum is formed in registers */
};

/* Have the rows stretches of 64 elements? */
FH_INLINE bool fh_columns_flow(const fh_columns *c, bool pair) {
  return c->rows <= FH_FEW_ROWS && c->xs == c->rows && (!pair || c->ys == c->rows);
}

/* STRETCHES(e, count, width) for all elements: `count` stretches of `width` floats, at most `together`, the first at element e, one
 * `period` after the other. */
#define FH_WALK(c, flow, period, together, STRETCHES)                                                         \
  const long fh_step = (flow) ? (period) : 1, fh_width = fh_step * (c)->rows, fh_set = (period) * (together); \
  long fh_e = 0;                                                                                              \
  for (; fh_e + fh_set <= (c)->n; fh_e += fh_set)                                                             \
    for (long fh_v = 0; fh_v < (period); fh_v += fh_step) STRETCHES(fh_e + fh_v, together, fh_width);         \
  for (long fh_v = fh_e; fh_v < (c)->n && fh_v < fh_e + (period); fh_v += fh_step) {                          \
    const long fh_left = (c)->n - fh_v, fh_whole = (fh_left - fh_step + (period)) / (period);                 \
    if (fh_whole > 0) STRETCHES(fh_v, fh_whole, fh_width);                                                    \
    const long fh_rest = fh_left - fh_whole * (period); /* elements of a last stretch that is shorter */      \
    if (fh_rest > 0) STRETCHES(fh_v + fh_whole * (period), 1, fh_rest * (c)->rows);                           \
  }

/* Floats [j, j + 16) of stretches; `end` cuts the last of them off. */
#define FH_STRETCH(width, SIXTEEN)                               \
  long fh_j = 0;                                                 \
  for (; fh_j + 16 <= (width); fh_j += 16) SIXTEEN(fh_j, false); \
  if (fh_j < (width)) SIXTEEN(fh_j, true);

FH_INLINE fh_vf fh_load_cut(fh_f32_in p, long j, long end, bool cut) { return cut ? fh_load_part(p, j, end, 1, 0.0f) : fh_load(p, j, 1); }
FH_INLINE void fh_store_cut(fh_f32_out p, long j, long end, bool cut, fh_vf v) {
  if (cut)
    fh_store_part(p, j, end, 1, v);
  else
    fh_store(p, j, 1, v);
}

FH_INLINE void fh_add_16(int term, fh_f32_in x, long xp, fh_f32_in y, long yp, long count, long j, long end, bool cut, fh_f32_in about,
                         fh_f32_out running) {
  const fh_vf a = term == FH_TERM_DEVIATION ? fh_load(about, j, 1) : fh_splat(0.0f);
  fh_vf sum = fh_load(running, j, 1);
  for (long k = 0; k < count; k++) {
    const fh_vf v = fh_load_cut(x + k * xp, j, end, cut);
    sum = fh_add(sum, term == FH_TERM_PAIR ? fh_mul(v, fh_load_cut(y + k * yp, j, end, cut)) : fh_term(term, v, a));
  }
  fh_store_cut(running, j, end, cut, sum);
}
FH_INLINE void fh_add_stretches(int term, const fh_columns *c, long e, long count, long width, fh_f32_in about, fh_f32_out running) {
  const fh_f32_in x = c->x + e * c->xs, y = c->y + e * c->ys;
#define FH_ADD_16(j, cut) fh_add_16(term, x, 64 * c->xs, y, 64 * c->ys, count, j, width, cut, about, running)
  FH_STRETCH(width, FH_ADD_16)
#undef FH_ADD_16
}

/* Rows of more than 64 elements, with xs1 = ys1 = 1. Running value v of row r is running[v rows + r]. */
FH_INLINE void fh_sum_running(int term, const fh_columns *c, const fh_results *about, fh_results *out) {
  _Alignas(64) fh_column_element running[64 * FH_SUM_ROWS + 16]; /* and 16 that are read with the last row's, and left out */
  _Alignas(64) fh_column_element spread[64 * FH_FEW_ROWS];       /* `about` of each running value */
  const bool flow = fh_columns_flow(c, term == FH_TERM_PAIR), spreads = flow && term == FH_TERM_DEVIATION;
  for (long i = 0; i <= 64 * c->rows; i += 16) fh_store(running, i, 1, fh_splat(0.0f));
  for (long v = 0; spreads && v < 64; v++)
    for (long r = 0; r < c->rows; r++) spread[v * c->rows + r] = about->at[r];
  const fh_f32_in mean = spreads ? spread : term == FH_TERM_DEVIATION ? about->at : 0;
#define FH_ADD(e, count, width) fh_add_stretches(term, c, e, count, width, mean, running + (e) % 64 * c->rows)
  FH_WALK(c, flow, 64, term == FH_TERM_PAIR ? FH_TOGETHER / 2 : FH_TOGETHER, FH_ADD)
#undef FH_ADD
  for (long r = 0; r < c->rows; r += 16) {
    const fh_f32_in p = running + r;
    const long n = c->rows;
#define FH_LANE_OF_RUNNING(l) \
  fh_add4(fh_load(p, (l) * n, 1), fh_load(p, ((l) + 16) * n, 1), fh_load(p, ((l) + 32) * n, 1), fh_load(p, ((l) + 48) * n, 1))
    FH_SUM_OF_LANES(sum_of_all, FH_LANE_OF_RUNNING)
#undef FH_LANE_OF_RUNNING
    fh_results_put(out, r, sum_of_all);
  }
}

/* A row of d <= FH_SHORT elements, xs = ys = 1. Running values without an element are +0, and adding that changes nothing but -0, which a
 * sum that began with +0 never is: so they are left out, and one +0 is added at the end. */
FH_INLINE float fh_sum_short(int term, fh_f32_in x, fh_f32_in y, int d, float about) {
  float t[FH_SHORT];
  for (int e = 0; e < d; e++) {
    const float v = term == FH_TERM_DEVIATION ? x[e] - about : x[e];
    t[e] = term == FH_TERM_PAIR ? v * y[e] : term == FH_TERM_MAGNITUDE ? v < 0.0f ? -v : v : term == FH_TERM_VALUE ? v : v * v;
  }
  for (int l = 0; l < 2 && l + 2 < d; l++) t[l] += t[l + 2];
  return (d > 1 ? t[0] + t[1] : t[0]) + 0.0f;
}
FH_INLINE void fh_sum_short_rows(int term, const fh_columns *c, const fh_results *about, fh_results *out) {
#define FH_OF(which, d)                                                                                                               \
  which:                                                                                                                              \
  for (long r = 0; r < c->rows; r++)                                                                                                  \
    out->at[r] = fh_sum_short(term, c->x + r * c->xs1, c->y + r * c->ys1, d, term == FH_TERM_DEVIATION ? (float)about->at[r] : 0.0f); \
  break;
  switch (c->n) {
    FH_OF(case 1, 1)
    FH_OF(case 2, 2)
    FH_OF(case 3, 3)
    FH_OF(default, FH_SHORT)
  }
#undef FH_OF
  for (long r = c->rows; r % 16; r++) out->at[r] = 0.0f; /* lanes that are read and left out */
}

/* The sum of the elements finds a NaN, and sometimes one that is none; then each element is looked at. */
FH_INLINE void fh_pick_16(int kind, fh_f32_in x, long xp, long count, long j, long end, bool cut, fh_f32_out extremes) {
  const fh_vf before = fh_load(extremes, j, 1);
  fh_vf m = before, sum = fh_splat(0.0f);
  for (long k = 0; k < count; k++) {
    const fh_vf v = fh_load_cut(x + k * xp, j, end, cut);
    m = fh_pick(kind, v, m);
    sum = fh_add(sum, v);
  }
  if (fh_first(fh_not_m(fh_eq(sum, sum))) < 16) {
    m = before;
    for (long k = 0; k < count; k++) m = fh_further(kind, fh_load_cut(x + k * xp, j, end, cut), m);
  }
  fh_store_cut(extremes, j, end, cut, m);
}
FH_INLINE void fh_pick_stretches(int kind, const fh_columns *c, long e, long count, long width, fh_f32_out extremes) {
  const fh_f32_in x = c->x + e * c->xs;
#define FH_PICK_16(j, cut) fh_pick_16(kind, x, 64 * c->xs, count, j, width, cut, extremes)
  FH_STRETCH(width, FH_PICK_16)
#undef FH_PICK_16
}

/* xs1 = 1. */
FH_INLINE void fh_extremes_running(int kind, const fh_columns *c, fh_results *out) {
  _Alignas(64) fh_column_element extremes[64 * FH_FEW_ROWS + 16];
  const bool flow = fh_columns_flow(c, false);
  const long n = c->rows, kept = flow ? 64 * n + 16 : n;
  const fh_f32_out to = flow ? extremes : out->at;
  for (long i = 0; i < kept; i += 16) fh_store(to, i, 1, fh_splat(fh_nothing_picked(kind)));
#define FH_PICK(e, count, width) fh_pick_stretches(kind, c, e, count, width, to)
  FH_WALK(c, flow, 64, FH_TOGETHER, FH_PICK)
#undef FH_PICK
  const int of_kept = kind == FH_LARGEST_MAGNITUDE ? FH_LARGEST : kind; /* where nothing was picked, there is no magnitude */
  for (long r = 0; flow && r < n; r += 16) {
    fh_vf m = fh_load(extremes, r, 1);
    for (long v = 1; v < 64; v++) m = fh_further(of_kept, fh_load(extremes, v * n + r, 1), m);
    fh_results_put(out, r, m);
  }
}
#endif

/* ---- blocks ---- */

/* The sum of each row's terms; `about` is for FH_TERM_DEVIATION. */
FH_INLINE void fh_sum_columns(int term, const fh_columns *c, const fh_results *about, fh_results *out) {
#ifdef FH_DIALECT_ISA
  const bool pair = term == FH_TERM_PAIR;
  if (c->n <= FH_SHORT && c->xs == 1 && (!pair || c->ys == 1)) {
    fh_sum_short_rows(term, c, about, out);
    return;
  }
  if (c->n > 64 && c->xs1 == 1 && (!pair || c->ys1 == 1)) {
    fh_sum_running(term, c, about, out);
    return;
  }
#endif
  for (long r = 0; r < c->rows; r += 16)
    fh_results_put(out, r, fh_sum_16(term, c, r, term == FH_TERM_DEVIATION ? fh_results_get(about, r) : fh_splat(0.0f)));
}

/* The extreme of each row; a zero of either sign. */
FH_INLINE void fh_extremes_of_columns(int kind, const fh_columns *c, fh_results *out) {
#ifdef FH_DIALECT_ISA
  if (c->xs1 == 1) {
    fh_extremes_running(kind, c, out);
    return;
  }
#endif
  for (long r = 0; r < c->rows; r += 16) fh_results_put(out, r, fh_extreme_16(kind, c, r));
}

#endif /* FOGHORN_KERNELS_DIALECT_COLUMNS_H_ */
