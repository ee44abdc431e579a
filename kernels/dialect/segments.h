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

FH_INLINE float fh_piece_sum(fh_terms t, int form, long begin, long end) {
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

FH_OUTLINE float fh_piece_of_terms(fh_terms t, int form, long begin, long end) { return fh_piece_sum(t, form, begin, end); }

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

/* ---- rows of products on a CPU ---- */

#ifdef FH_DIALECT_ISA
/* Where a row ends is a branch that is mispredicted, and what follows it then waits for loads by columns. So products come first, of many
 * rows at once; then sixteen rows are added up side by side, each in the order that it has alone. */
enum {
  FH_PRODUCTS = 2048,                /* at hand: with what they are made of, within the first level of cache */
  FH_PRODUCTS_BEHIND = 3 * FH_LANES, /* zeros: a row is read as far as the longest beside it */
};

typedef struct fh_products {
  __attribute__((aligned(64))) fh_f32_element of[FH_PRODUCTS + FH_LANES + FH_PRODUCTS_BEHIND];
  long from, stop; /* terms whose products are there */
} fh_products;

/* Those of terms [begin, stop), and of a few before: whole vectors then lie in a line each, where the operands do. */
FH_INLINE void fh_products_make(fh_products *p, fh_terms t, long begin, long stop) {
  const long from = begin / FH_LANES * FH_LANES;
  long e = from;
  for (; e + FH_LANES <= stop; e += FH_LANES) fh_store(p->of, e - from, 1, fh_terms_load(t, FH_TERM_PRODUCT, e));
  if (e < stop) fh_store(p->of, e - from, 1, fh_terms_load_part(t, FH_TERM_PRODUCT, e, stop));
  const long behind = e < stop ? e + FH_LANES : e;
  for (long z = behind; z < behind + FH_PRODUCTS_BEHIND; z += FH_LANES) fh_store(p->of, z - from, 1, fh_splat(0.0f));
  p->from = from;
  p->stop = stop;
}

typedef float fh_four __attribute__((vector_size(16)));
typedef int32_t fh_four_i __attribute__((vector_size(16)));
typedef uint64_t fh_two_l __attribute__((vector_size(16)));

/* Rows that one register adds up side by side: four, or two times four. FH_TURN_...: what is done to each four. */
#ifdef __AVX2__
enum { FH_ABREAST = 8 };
#define FH_TURN_SINGLE_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define FH_TURN_SINGLE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define FH_TURN_PAIR_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define FH_TURN_PAIR_HIGH(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define FH_ABREAST_OF(part) __builtin_shufflevector(part(0), part(1), 0, 1, 2, 3, 4, 5, 6, 7)
#else
enum { FH_ABREAST = 4 };
#define FH_TURN_SINGLE_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define FH_TURN_SINGLE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define FH_TURN_PAIR_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define FH_TURN_PAIR_HIGH(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#define FH_ABREAST_OF(part) part(0)
#endif
typedef float fh_abreast __attribute__((vector_size(4 * FH_ABREAST)));
typedef int32_t fh_abreast_i __attribute__((vector_size(4 * FH_ABREAST)));

/* Where sixteen rows begin, and how many terms each has. A vector is put together in registers throughout: what was stored in parts is
 * not at hand for a load of the whole. */
typedef struct fh_products_rows {
  int64_t begin[FH_LANES + 2];
  fh_four_i terms[FH_LANES / 4];
  int longest;
} fh_products_rows;

FH_INLINE fh_four_i fh_four_larger(fh_four_i a, fh_four_i b) { return (a & (a > b)) | (b & ~(a > b)); }

FH_INLINE int fh_four_largest(fh_four_i v) {
  v = fh_four_larger(v, __builtin_shufflevector(v, v, 2, 3, 0, 1));
  return fh_four_larger(v, __builtin_shufflevector(v, v, 1, 0, 3, 2))[0];
}

/* Rows [i, i + count), at most sixteen; those behind are empty. False where offsets do not ascend within [0, n], or rows have more terms
 * than there is room for products. */
FH_INLINE bool fh_products_find(fh_products_rows *rows, fh_i64_in offsets, long os, long i, long count, long n) {
  fh_i64_element some[FH_LANES + 1];
  fh_i64_in from = offsets + i;
  if (os != 1 || count < FH_LANES) {
    for (long r = 0; r <= FH_LANES; r++) some[r] = fh_get_i64(offsets, (i + (r < count ? r : count)) * os);
    from = some;
  }
  const long end = fh_get_i64(from, FH_LANES);
  fh_two_l edge[FH_LANES / 2 + 1], signs = {0};
  for (int r = 0; r < FH_LANES / 2; r++) __builtin_memcpy(&edge[r], from + 2 * r, sizeof edge[r]);
  edge[FH_LANES / 2] = (fh_two_l){(unsigned long)end, (unsigned long)end};
  fh_four_i longest = {0};
  for (int q = 0; q < FH_LANES / 4; q++) {
    const fh_two_l a = edge[2 * q], b = edge[2 * q + 1], c = edge[2 * q + 2];
    const fh_two_l low = __builtin_shufflevector(a, b, 1, 2) - a, high = __builtin_shufflevector(b, c, 1, 2) - b;
    signs |= a | b | low | high; /* of differences alone: four of 2^62 would come round to where they began */
    rows->terms[q] = __builtin_shufflevector((fh_four_i)low, (fh_four_i)high, 0, 2, 4, 6);
    longest = fh_four_larger(longest, rows->terms[q]);
  }
  __builtin_memcpy(rows->begin, edge, sizeof rows->begin);
  rows->longest = fh_four_largest(longest);
  const bool ascending = (signs[0] | signs[1] | (unsigned long)end) >> 63 == 0;
  return ascending && end <= n && end - rows->begin[0] <= FH_PRODUCTS;
}

FH_INLINE fh_four fh_four_load(const fh_f32_element *p) {
  fh_four v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
FH_INLINE fh_abreast fh_abreast_load(const fh_f32_element *products, long from, const int64_t *begin) {
#define FH_ABREAST_LOAD(i) fh_four_load(products + (begin[4 * (i)] - from))
  return FH_ABREAST_OF(FH_ABREAST_LOAD);
}

/* Products [k, k + 4) of rows r and on. What a row does not have is added as 0, which changes no sum: one that began with 0 is never -0. */
FH_INLINE fh_abreast fh_products_add(fh_abreast sum, const fh_products *p, const fh_products_rows *rows, int r, int k) {
#define FH_ABREAST_TERMS(i) rows->terms[r / 4 + (i)]
  const fh_abreast_i left = FH_ABREAST_OF(FH_ABREAST_TERMS) - k;
  const int64_t *begin = rows->begin + r;
  const long from = p->from - k;
  const fh_abreast a = fh_abreast_load(p->of, from, begin), b = fh_abreast_load(p->of, from, begin + 1);
  const fh_abreast c = fh_abreast_load(p->of, from, begin + 2), d = fh_abreast_load(p->of, from, begin + 3);
  const fh_abreast ab = FH_TURN_SINGLE_LOW(a, b), cd = FH_TURN_SINGLE_LOW(c, d);
  const fh_abreast AB = FH_TURN_SINGLE_HIGH(a, b), CD = FH_TURN_SINGLE_HIGH(c, d);
  sum += (fh_abreast)((fh_abreast_i)FH_TURN_PAIR_LOW(ab, cd) & (left > 0));
  sum += (fh_abreast)((fh_abreast_i)FH_TURN_PAIR_HIGH(ab, cd) & (left > 1));
  sum += (fh_abreast)((fh_abreast_i)FH_TURN_PAIR_LOW(AB, CD) & (left > 2));
  return sum + (fh_abreast)((fh_abreast_i)FH_TURN_PAIR_HIGH(AB, CD) & (left > 3));
}

/* A longer row. */
FH_OUTLINE float fh_products_piece(const fh_products *p, long begin, long end) {
  const fh_terms made = {p->of, 0, 1, 1, 0, 0, 0, 0, 0};
  return fh_piece_sum(made, FH_TERM_ELEMENT, begin - p->from, end - p->from);
}

FH_INLINE void fh_products_sums(const fh_products *p, const fh_products_rows *rows, fh_f32_out out) {
  enum { REGISTERS = FH_LANES / FH_ABREAST };
  fh_abreast sums[REGISTERS] = {{0}};
  const int steps = rows->longest < FH_SHORT_PRODUCTS ? rows->longest : FH_SHORT_PRODUCTS;
  for (int k = 0; k < steps; k += 4)
    for (int r = 0; r < REGISTERS; r++) sums[r] = fh_products_add(sums[r], p, rows, r * FH_ABREAST, k);
  for (int r = 0; r < REGISTERS; r++) __builtin_memcpy(out + r * FH_ABREAST, &sums[r], sizeof sums[r]);
  if (rows->longest <= FH_SHORT_PRODUCTS) return;
  for (int r = 0; r < FH_LANES; r++) {
    const long begin = rows->begin[r], end = rows->begin[r + 1];
    if (end - begin > FH_SHORT_PRODUCTS) fh_put(out, r, fh_products_piece(p, begin, end));
  }
}

/* Rows [i, i + count), at most sixteen, where their products fit; `all` is where the last row of the item ends. */
FH_INLINE bool fh_products_put(fh_products *p, fh_terms t, fh_i64_in offsets, long os, long i, long count, long n, long all, fh_f32_out y,
                               long ys1) {
  fh_products_rows rows;
  if (!fh_products_find(&rows, offsets, os, i, count, n)) return false;
  const long begin = rows.begin[0], end = rows.begin[FH_LANES], most = begin + FH_PRODUCTS;
  if (begin < p->from || end > p->stop) fh_products_make(p, t, begin, all <= end ? end : all < most ? all : most);
  if (count == FH_LANES && ys1 == 1) {
    fh_products_sums(p, &rows, y + i);
  } else {
    float sums[FH_LANES];
    fh_products_sums(p, &rows, sums);
    for (long r = 0; r < count; r++) fh_put(y, (i + r) * ys1, sums[r]);
  }
  return true;
}
#endif

/* ---- the cuts ---- */

/* Segments [first, last), each as a whole. */
FH_INLINE void fh_segments_one_by_one(fh_terms t, int form, fh_i64_in offsets, long os, long first, long last, long n, long piece,
                                      fh_f32_out y, long ys1, long ys) {
  long begin = fh_segment_edge(offsets, os, first, 0, n), edge = fh_segment_edge(offsets, os, first + 1, 0, n);
  for (long i = first; i < last; i++) {
    /* One ahead: read before the terms, it is there when their number has been mispredicted. */
    const long next = fh_segment_edge(offsets, os, i + 2 < last ? i + 2 : last, 0, n);
    fh_segment_put(t, form, begin, fh_segment_larger(begin, edge), n, piece, y + i * ys1, ys);
    begin = edge;
    edge = next;
  }
}

FH_INLINE void fh_segments_even(fh_terms t, int form, fh_i64_in offsets, long os, long first, long last, long n, long piece, fh_f32_out y,
                                long ys1, long ys) {
#ifdef FH_DIALECT_ISA
  if (form == FH_TERM_PRODUCT) {
    fh_products p;
    p.from = p.stop = -1;
    const long all = fh_segment_edge(offsets, os, last, 0, n);
    for (long i = first; i < last; i += FH_LANES) {
      const long count = last - i < FH_LANES ? last - i : FH_LANES;
      if (!fh_products_put(&p, t, offsets, os, i, count, n, all, y, ys1))
        fh_segments_one_by_one(t, form, offsets, os, i, i + count, n, piece, y, ys1, ys);
    }
    return;
  }
#endif
  fh_segments_one_by_one(t, form, offsets, os, first, last, n, piece, y, ys1, ys);
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
  if (first >= last) return;
  fh_segments_even(t, form, offsets, os, first, last - 1, n, piece, y, ys1, ys); /* only the last may be longer than a piece */
  const long begin = fh_segment_edge(offsets, os, last - 1, 0, n), end = fh_segment_edge(offsets, os, last, begin, n);
  if (end - begin <= piece)
    fh_segment_put(t, form, begin, end, n, piece, y + (last - 1) * ys1, ys);
  else
    fh_segment_put(t, form, begin, begin + piece, n, piece, part + (2 * window + 1) * dp, 1);
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
