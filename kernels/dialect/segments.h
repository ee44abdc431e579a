/* Sums over segments [offsets[i], offsets[i + 1]) of n terms: what the texts of segment_sum and csr_matvec share.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The order of additions depends on the length of a segment alone: it is cut from its start into pieces of `piece` terms; a piece
 * of single terms is added in 16 lanes by four accumulators and the tree of the dialect, but a whole segment of up to
 * FH_SHORT_PRODUCTS products one by one; a piece of rows is added row by row; pieces are added in order. So whoever adds which piece, the
 * bits are the same.
 *
 * Two cuts of the work. Even: an item is `per` segments. Split: windows of `piece` terms, for data whose segments differ so much
 * that one would be an item of its own. An item of the first stage takes the segments that start in its window, whole when they
 * are no longer than a piece, and of a longer one, which may have started before, the piece that starts in its window. At most
 * one such segment starts in a window, so two places of scratch are enough: 2 w for a piece that goes on, 2 w + 1 for a first
 * one. The second stage adds the pieces. (The balance by terms is that of Merrill and Garland, Merge-based parallel sparse
 * matrix-vector multiplication, 2016; the pieces make the order independent of the place.)
 *
 * Offsets are clamped to [0, n] and to ascend: nothing foreign is read, whatever they are. */
#ifndef FOGHORN_KERNELS_DIALECT_SEGMENTS_H_
#define FOGHORN_KERNELS_DIALECT_SEGMENTS_H_

#define FH_SHORT_PRODUCTS 40

/* A term is x[e s], or a row of d of them at x[e s1]; with columns, x[e s] v[columns[e cs] vs], where a column outside [0, n_v)
 * reads as 0. */
typedef struct fh_terms {
  fh_f32_in x;
  long s1, s, d;
  fh_i32_in columns;
  long cs;
  fh_f32_in v;
  long vs, n_v;
} fh_terms;

/* What a term is: constants where they are used, so that each form is code of its own. */
#define FH_TERM_ELEMENT 0
#define FH_TERM_PRODUCT 1
#define FH_TERM_ROW 2

FH_INLINE fh_vf fh_terms_load(fh_terms t, int form, long e) {
  const fh_vf x = fh_load(t.x, e, t.s);
  return form == FH_TERM_PRODUCT ? fh_mul(x, fh_gather(t.v, fh_load_i32(t.columns, e, t.cs), t.n_v, t.vs, 0.0f)) : x;
}

FH_INLINE fh_vf fh_terms_load_part(fh_terms t, int form, long e, long end) {
  const fh_vf x = fh_load_part(t.x, e, end, t.s, 0.0f);
  return form == FH_TERM_PRODUCT ? fh_mul(x, fh_gather(t.v, fh_load_i32_part(t.columns, e, end, t.cs, 0), t.n_v, t.vs, 0.0f)) : x;
}

/* A segment of up to 16 elements or FH_SHORT_PRODUCTS products, of n terms. Elements: the same steps whatever their number, since lengths
 * that differ from segment to segment make a branch on them the most expensive of all; terms behind them are read, and left out. Products:
 * one by one, since sixteen loads by columns cost more than the branch. */
FH_INLINE float fh_piece_short(fh_terms t, int form, long begin, long end, long n) {
  if (form == FH_TERM_PRODUCT) {
    float sum = 0.0f;
    for (long e = begin; e < end; e++) {
      const long column = fh_get_i32(t.columns, e * t.cs);
      const float x = (unsigned long)column < (unsigned long)t.n_v ? fh_get(t.v, column * t.vs) : 0.0f;
      sum = fh_add_u(sum, fh_mul_u(fh_get(t.x, e * t.s), x));
    }
    return sum;
  }
  const fh_vf terms = begin + 16 <= n ? fh_terms_load(t, form, begin) : fh_terms_load_part(t, form, begin, end);
  return fh_sum_of(fh_select(fh_lane_below(end - begin), terms, fh_splat(0.0f)));
}

FH_OUTLINE float fh_piece_of_terms(fh_terms t, int form, long begin, long end) {
  fh_vf s0 = fh_splat(0.0f), s1 = s0, s2 = s0, s3 = s0;
  long e = begin;
  for (; e + 64 <= end; e += 64) {
    s0 = fh_add(s0, fh_terms_load(t, form, e));
    s1 = fh_add(s1, fh_terms_load(t, form, e + 16));
    s2 = fh_add(s2, fh_terms_load(t, form, e + 32));
    s3 = fh_add(s3, fh_terms_load(t, form, e + 48));
  }
  for (; e + 16 <= end; e += 16) s0 = fh_add(s0, fh_terms_load(t, form, e));
  if (e < end) s1 = fh_add(s1, fh_select(fh_lane_below(end - e), fh_terms_load_part(t, form, e, end), fh_splat(0.0f)));
  return fh_sum_of(fh_add4(s0, s1, s2, s3));
}

/* Columns [j, j + 64) and [j, j + 16) of the sum of rows [begin, end), piece by piece. */
FH_INLINE void fh_rows_put_64(fh_terms t, long begin, long end, long piece, long j, fh_f32_out out, long os) {
  const fh_vf zero = fh_splat(0.0f);
  fh_vf t0 = zero, t1 = zero, t2 = zero, t3 = zero;
  for (long row = begin; row < end;) {
    const long stop = row + piece < end ? row + piece : end;
    fh_vf s0 = zero, s1 = zero, s2 = zero, s3 = zero;
    for (; row < stop; row++) {
      const fh_f32_in x = t.x + row * t.s1;
      s0 = fh_add(s0, fh_load(x, j, t.s));
      s1 = fh_add(s1, fh_load(x, j + 16, t.s));
      s2 = fh_add(s2, fh_load(x, j + 32, t.s));
      s3 = fh_add(s3, fh_load(x, j + 48, t.s));
    }
    t0 = fh_add(t0, s0);
    t1 = fh_add(t1, s1);
    t2 = fh_add(t2, s2);
    t3 = fh_add(t3, s3);
  }
  fh_store(out, j, os, t0);
  fh_store(out, j + 16, os, t1);
  fh_store(out, j + 32, os, t2);
  fh_store(out, j + 48, os, t3);
}
FH_INLINE void fh_rows_put_16(fh_terms t, long begin, long end, long piece, long j, fh_f32_out out, long os) {
  fh_vf total = fh_splat(0.0f);
  for (long row = begin; row < end;) {
    const long stop = row + piece < end ? row + piece : end;
    fh_vf sum = fh_splat(0.0f);
    if (j + 16 <= t.d)
      for (; row < stop; row++) sum = fh_add(sum, fh_load(t.x + row * t.s1, j, t.s));
    else
      for (; row < stop; row++) sum = fh_add(sum, fh_load_part(t.x + row * t.s1, j, t.d, t.s, 0.0f));
    total = fh_add(total, sum);
  }
  if (j + 16 <= t.d)
    fh_store(out, j, os, total);
  else
    fh_store_part(out, j, t.d, os, total);
}

/* out = the sum of terms [begin, end) of n: one element, or a row of d. */
FH_INLINE void fh_segment_put(fh_terms t, int form, long begin, long end, long n, long piece, fh_f32_out out, long os) {
  if (form == FH_TERM_ROW) {
    long j = 0;
    for (; j + 64 <= t.d; j += 64) fh_rows_put_64(t, begin, end, piece, j, out, os);
    for (; j < t.d; j += 16) fh_rows_put_16(t, begin, end, piece, j, out, os);
    return;
  }
  if (end - begin <= (form == FH_TERM_PRODUCT ? FH_SHORT_PRODUCTS : 16)) {
    fh_put(out, 0, fh_piece_short(t, form, begin, end, n));
    return;
  }
  float sum = fh_piece_of_terms(t, form, begin, begin + piece < end ? begin + piece : end);
  for (long b = begin + piece; b < end; b += piece) sum = fh_add_u(sum, fh_piece_of_terms(t, form, b, b + piece < end ? b + piece : end));
  fh_put(out, 0, sum);
}

/* ---- where segments lie ---- */

/* The larger of two numbers from 0 on, without a branch: that a segment may be empty is no reason to mispredict one. */
FH_INLINE long fh_segment_larger(long a, long b) { return a + ((b - a) & ~((b - a) >> 63)); }

/* Offset i within [low, n]. */
FH_INLINE long fh_segment_edge(fh_i64_in offsets, long os, long i, long low, long n) {
  const long at = fh_get_i64(offsets, i * os);
  return fh_segment_larger(low, at < 0 ? 0 : at > n ? n : at);
}

/* The first of `segments` segments that starts at term `at` or behind it; `segments` when there is none. */
FH_INLINE long fh_segment_from(fh_i64_in offsets, long os, long segments, long n, long at) {
  long low = 0, high = segments;
  while (low < high) {
    const long middle = low + (high - low) / 2;
    if (fh_segment_edge(offsets, os, middle, 0, n) < at)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* ---- the cuts ---- */

FH_INLINE void fh_segments_even(fh_terms t, int form, fh_i64_in offsets, long os, long first, long last, long n, long piece, fh_f32_out y,
                                long ys1, long ys) {
  long begin = fh_segment_edge(offsets, os, first, 0, n), edge = fh_segment_edge(offsets, os, first + 1, 0, n);
  for (long i = first; i < last; i++) {
    /* One ahead: read before the terms, it is there when their number has been mispredicted. */
    const long next = fh_segment_edge(offsets, os, i + 2 < last ? i + 2 : last, 0, n);
    fh_segment_put(t, form, begin, fh_segment_larger(begin, edge), n, piece, y + i * ys1, ys);
    begin = edge;
    edge = next;
  }
}

/* The first stage of the split cut; a place of `part` has `dp` floats. */
FH_INLINE void fh_segments_window(fh_terms t, int form, fh_i64_in offsets, long os, long segments, long n, long window, long piece,
                                  fh_f32_out y, long ys1, long ys, fh_f32_out part, long dp) {
  const long low = window * piece, high = low + piece;
  const long first = fh_segment_from(offsets, os, segments, n, low), last = fh_segment_from(offsets, os, segments, n, high);
  if (first > 0) {
    const long begin = fh_segment_edge(offsets, os, first - 1, 0, n), end = fh_segment_edge(offsets, os, first, begin, n);
    const long from = begin < low ? begin + (low - begin + piece - 1) / piece * piece : end;
    if (from < end) {
      const long stop = from + piece < end ? from + piece : end;
      const fh_f32_out place = part + 2 * window * dp;
      if (form == FH_TERM_ROW)
        fh_segment_put(t, form, from, stop, n, piece, place, 1);
      else
        fh_put(place, 0, fh_piece_of_terms(t, form, from, stop)); /* of a longer one, however short it is itself */
    }
  }
  for (long i = first; i < last; i++) {
    const long begin = fh_segment_edge(offsets, os, i, 0, n), end = fh_segment_edge(offsets, os, i + 1, begin, n);
    if (end - begin <= piece)
      fh_segment_put(t, form, begin, end, n, piece, y + i * ys1, ys);
    else
      fh_segment_put(t, form, begin, begin + piece, n, piece, part + (2 * window + 1) * dp, 1);
  }
}

/* The second: the pieces of the long segment that starts in this window, if one does. It is the last that starts there. */
FH_INLINE void fh_segments_join(int form, fh_i64_in offsets, long os, long segments, long n, long window, long piece, fh_f32_out y,
                                long ys1, long ys, fh_f32_out part, long dp, long d) {
  const long i = fh_segment_from(offsets, os, segments, n, (window + 1) * piece) - 1;
  if (i < 0) return;
  const long begin = fh_segment_edge(offsets, os, i, 0, n), end = fh_segment_edge(offsets, os, i + 1, begin, n);
  if (begin < window * piece || end - begin <= piece) return;
  const fh_f32_in first = part + (2 * window + 1) * dp, next = part + 2 * (window + 1) * dp;
  const long more = (end - begin - 1) / piece; /* pieces after the first: one starts in each of the next windows */
  if (form == FH_TERM_ROW) {
    for (long j = 0; j < d; j += 16) {
      fh_vf sum = fh_load_part(first, j, d, 1, 0.0f);
      for (long k = 0; k < more; k++) sum = fh_add(sum, fh_load_part(next + 2 * k * dp, j, d, 1, 0.0f));
      fh_store_part(y + i * ys1, j, d, ys, sum);
    }
    return;
  }
  float sum = fh_get(first, 0);
  for (long k = 0; k < more; k++) sum = fh_add_u(sum, fh_get(next, 2 * k * dp));
  fh_put(y + i * ys1, 0, sum);
}

#endif /* FOGHORN_KERNELS_DIALECT_SEGMENTS_H_ */
