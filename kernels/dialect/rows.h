/* Rows in the dialect: sums, extremes, and results element by element. SPDX-License-Identifier: Apache-2.0
 *
 * A row is n elements with a stride. Sums keep 64 running values, element e in value e mod 64, joined by the trees of fh_add4 and of the
 * lanes: an order that depends on n alone. */
#ifndef FOGHORN_KERNELS_DIALECT_ROWS_H_
#define FOGHORN_KERNELS_DIALECT_ROWS_H_

/* ---- sums ---- */
enum { FH_TERM_VALUE, FH_TERM_MAGNITUDE, FH_TERM_SQUARE, FH_TERM_DEVIATION };

FH_INLINE fh_vf fh_term(int term, fh_vf v, fh_vf about) {
  if (term == FH_TERM_MAGNITUDE) return fh_abs(v);
  const fh_vf c = term == FH_TERM_DEVIATION ? fh_sub(v, about) : v;
  return term == FH_TERM_VALUE ? c : fh_mul(c, c);
}
FH_INLINE fh_vf fh_term_part(int term, fh_f32_in p, long i, long n, long s, fh_vf about) {
  return fh_select(fh_lane_below(n - i), fh_term(term, fh_load_part(p, i, n, s, 0.0f), about), fh_splat(0.0f));
}

/* The sum of a row's terms, and that of each lane; `about` is for FH_TERM_DEVIATION. */
FH_INLINE fh_vf fh_sum_lanes(int term, fh_f32_in p, long n, long s, float about) {
  const fh_vf a = fh_splat(about);
  fh_vf s0 = fh_splat(0.0f), s1 = s0, s2 = s0, s3 = s0;
  long i = 0;
  for (; i + 64 <= n; i += 64) {
    s0 = fh_add(s0, fh_term(term, fh_load(p, i, s), a));
    s1 = fh_add(s1, fh_term(term, fh_load(p, i + 16, s), a));
    s2 = fh_add(s2, fh_term(term, fh_load(p, i + 32, s), a));
    s3 = fh_add(s3, fh_term(term, fh_load(p, i + 48, s), a));
  }
  const long left = n - i;
  if (left >= 16) s0 = fh_add(s0, fh_term(term, fh_load(p, i, s), a));
  if (left >= 32) s1 = fh_add(s1, fh_term(term, fh_load(p, i + 16, s), a));
  if (left >= 48) s2 = fh_add(s2, fh_term(term, fh_load(p, i + 32, s), a));
  if (left % 16) {
    const fh_vf rest = fh_term_part(term, p, n - left % 16, n, s, a);
    if (left < 16)
      s0 = fh_add(s0, rest);
    else if (left < 32)
      s1 = fh_add(s1, rest);
    else if (left < 48)
      s2 = fh_add(s2, rest);
    else
      s3 = fh_add(s3, rest);
  }
  return fh_add4(s0, s1, s2, s3);
}
FH_INLINE float fh_sum_row(int term, fh_f32_in p, long n, long s, float about) { return fh_sum_of(fh_sum_lanes(term, p, n, s, about)); }

/* ---- results ----
 * y[0..n) from FULL(i), the 16 values from element i on, and PART(i, end), those below element `end`. With `stream` past the caches. */
#define FH_MAP_ROW(y, n, s, stream, FULL, PART)                                                \
  do {                                                                                         \
    const long fh_head = (s) == 1 && (stream) && (n) >= 64 ? fh_stream_head(y) : -1;           \
    long fh_i = 0;                                                                             \
    if (fh_head > 0) fh_store_part(y, 0, fh_head, 1, PART(0, fh_head));                        \
    if (fh_head >= 0) {                                                                        \
      for (fh_i = fh_head; fh_i + 16 <= (n); fh_i += 16) fh_store_stream(y, fh_i, FULL(fh_i)); \
    }                                                                                          \
    for (; fh_i + 16 <= (n); fh_i += 16) fh_store(y, fh_i, s, FULL(fh_i));                     \
    if (fh_i < (n)) fh_store_part(y, fh_i, n, s, PART(fh_i, n));                               \
  } while (0)

/* ---- extremes ---- */

/* The least, the largest, or the largest magnitude of a row of n >= 1 elements; NaN when one is. A zero is +0. The sum of the elements
 * finds NaN on the way, where additions cost nothing beside the comparisons; infinities of both signs make it one too, so it is looked
 * at twice. */
enum { FH_LEAST, FH_LARGEST, FH_LARGEST_MAGNITUDE };

FH_INLINE fh_vf fh_pick(int kind, fh_vf v, fh_vf m) {
  return kind == FH_LEAST ? fh_min(v, m) : fh_max(kind == FH_LARGEST ? v : fh_abs(v), m);
}
FH_INLINE float fh_nothing_picked(int kind) { return kind == FH_LEAST ? FH_INFINITY : -FH_INFINITY; }

/* The lanes of elements i..i+15 below n that are a NaN. */
FH_INLINE fh_vm fh_nan_part(fh_f32_in p, long i, long n, long s) {
  const fh_vf v = fh_load_part(p, i, n, s, 0.0f);
  return fh_not_m(fh_eq(v, v));
}

/* Where the first element equal to `value` lies, a NaN where `value` is one; n when there is none. */
FH_INLINE long fh_find_in_row(fh_f32_in p, long n, long s, float value) {
  const fh_vf w = fh_splat(value);
  long i = 0;
  if (value == value) {
    for (; i + 64 <= n; i += 64) {
      const fh_vm a = fh_or_m(fh_eq(fh_load(p, i, s), w), fh_eq(fh_load(p, i + 16, s), w));
      const fh_vm b = fh_or_m(fh_eq(fh_load(p, i + 32, s), w), fh_eq(fh_load(p, i + 48, s), w));
      if (fh_first(fh_or_m(a, b)) < 16) break;
    }
  }
  for (; i < n; i += 16) {
    const fh_vm there = value == value ? fh_and_m(fh_eq(fh_load_part(p, i, n, s, 0.0f), w), fh_lane_below(n - i)) : fh_nan_part(p, i, n, s);
    const int lane = fh_first(there);
    if (lane < 16) return i + lane;
  }
  return n;
}

FH_INLINE float fh_extreme_row(int kind, fh_f32_in p, long n, long s) {
  const fh_vf none = fh_splat(fh_nothing_picked(kind));
  fh_vf m0 = none, m1 = none, m2 = none, m3 = none, sum = fh_splat(0.0f);
  long i = 0;
  for (; i + 64 <= n; i += 64) {
    const fh_vf a = fh_load(p, i, s), b = fh_load(p, i + 16, s), c = fh_load(p, i + 32, s), d = fh_load(p, i + 48, s);
    m0 = fh_pick(kind, a, m0);
    m1 = fh_pick(kind, b, m1);
    m2 = fh_pick(kind, c, m2);
    m3 = fh_pick(kind, d, m3);
    sum = fh_add(sum, fh_add4(a, b, c, d));
  }
  for (; i < n; i += 16) {
    const fh_vf v = fh_load_part(p, i, n, s, 0.0f);
    m0 = fh_select(fh_lane_below(n - i), fh_pick(kind, v, m0), m0);
    sum = fh_add(sum, v);
  }
  const fh_vf m = kind == FH_LEAST ? fh_min(fh_min(m0, m1), fh_min(m2, m3)) : fh_max4(m0, m1, m2, m3);
  const float total = fh_sum_of(sum), found = kind == FH_LEAST ? fh_min_of(m) : fh_max_of(m);
  if (total == total || fh_find_in_row(p, n, s, total) == n) return found + 0.0f;
  return total;
}

#endif /* FOGHORN_KERNELS_DIALECT_ROWS_H_ */
