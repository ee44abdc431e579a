/* Reductions over one dimension in the dialect. SPDX-License-Identifier: Apache-2.0
 *
 * A row is cut into chunks; what a chunk gives is joined by a second stage. Rows that lie side by side in memory (a sum over columns),
 * or are short, are taken 16 at a time, one in each lane, in the very order that a row alone has. */
#ifndef FOGHORN_KERNELS_DIALECT_REDUCE_H_
#define FOGHORN_KERNELS_DIALECT_REDUCE_H_

enum { FH_PIECE = 4096 }; /* elements of a chunk: they stay in the first level of cache for a second look */

/* Element e of 16 rows, one in each lane; row r0 is in lane 0, and there are rows below n1. */
typedef struct fh_columns {
  fh_f32_in p;
  long s, s1, r0, n1;
} fh_columns;

FH_INLINE fh_vf fh_column(const fh_columns *c, long e) {
  return c->r0 + 16 <= c->n1 ? fh_load(c->p + e * c->s, c->r0, c->s1) : fh_load_part(c->p + e * c->s, c->r0, c->n1, c->s1, 0.0f);
}

/* fh_sum_row, lane by lane: value v of the 64 takes the elements v, v + 64, ...; the values of one lane of the row form, v, v + 16, v + 32
 * and v + 48, are added first, and then the tree of the lanes is followed by adding pairs as soon as both are there. TERM(e) is what
 * element e gives. */
#define FH_SUM_COLUMNS(sum_of_all, begin, end, TERM)                                                                           \
  fh_vf waiting[5];                                                                                                            \
  for (int k = 0; k < 16; k++) {                                                                                               \
    const int lane = (k & 1) << 3 | (k & 2) << 1 | (k & 4) >> 1 | (k & 8) >> 3; /* the order 0, 8, 4, 12, 2 ... of the tree */ \
    fh_vf s0 = fh_splat(0.0f), s1 = s0, s2 = s0, s3 = s0;                                                                      \
    for (long e = begin + lane; e < end; e += 64) {                                                                            \
      s0 = fh_add(s0, TERM(e));                                                                                                \
      if (e + 16 < end) s1 = fh_add(s1, TERM(e + 16));                                                                         \
      if (e + 32 < end) s2 = fh_add(s2, TERM(e + 32));                                                                         \
      if (e + 48 < end) s3 = fh_add(s3, TERM(e + 48));                                                                         \
    }                                                                                                                          \
    fh_vf sum = fh_add4(s0, s1, s2, s3);                                                                                       \
    int level = 0;                                                                                                             \
    for (; k >> level & 1; level++) sum = fh_add(waiting[level], sum);                                                         \
    waiting[level] = sum;                                                                                                      \
  }                                                                                                                            \
  const fh_vf sum_of_all = waiting[4];

FH_INLINE fh_vf fh_sum_columns(int term, const fh_columns *c, long begin, long end, fh_vf about) {
#define FH_COLUMN_TERM(e) fh_term(term, fh_column(c, e), about)
  FH_SUM_COLUMNS(sum_of_all, begin, end, FH_COLUMN_TERM)
#undef FH_COLUMN_TERM
  return sum_of_all;
}

/* The extreme of each lane's elements so far and one more: a NaN stays, a smaller index too. */
FH_INLINE fh_vm fh_replaces(int kind, fh_vf v, fh_vf m) {
  const fh_vf a = kind == FH_LARGEST_MAGNITUDE ? fh_abs(v) : v;
  const fh_vm better = kind == FH_LEAST ? fh_lt(a, m) : fh_gt(a, m);
  return fh_or_m(better, fh_and_m(fh_not_m(fh_eq(v, v)), fh_eq(m, m)));
}

/* A sum of many partial results: blocks are summed as rows, and added in order. */
FH_INLINE float fh_sum_long(int term, fh_f32_in p, long n, float about) {
  float sum = 0.0f;
  for (long i = 0; i < n; i += FH_PIECE) sum = sum + fh_sum_row(term, p + i, n - i < FH_PIECE ? n - i : FH_PIECE, 1, about);
  return sum;
}

#endif /* FOGHORN_KERNELS_DIALECT_REDUCE_H_ */
