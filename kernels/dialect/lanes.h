/* Up to 16 rows, one in each lane, and back. SPDX-License-Identifier: Apache-2.0
 *
 * Element e of row r lies at p[r * rs + e * es], and at block[16 * e + r]; rows that are not there are 0. Few rows are cheaper one element
 * at a time. `step` stands for 16 where the blocks of several 16 rows lie side by side. */
#ifndef FOGHORN_KERNELS_DIALECT_LANES_H_
#define FOGHORN_KERNELS_DIALECT_LANES_H_

#if FH_USE_AVX512
#define FH_HAS_LANES_4 1
/* One to four elements of 16 rows. Quarter q of vector j is row 4 q + j; turned 4 by 4, quarter q of vector e is element e of rows 4 q to
 * 4 q + 3, and the other way round. */
FH_INLINE void fh_turn_quarters(__m512 v[4]) {
  const __m512 a = _mm512_unpacklo_ps(v[0], v[1]), b = _mm512_unpackhi_ps(v[0], v[1]);
  const __m512 c = _mm512_unpacklo_ps(v[2], v[3]), d = _mm512_unpackhi_ps(v[2], v[3]);
#define FH_TURNED(AND, x, y) _mm512_castpd_ps(_mm512_unpack##AND##_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)))
  v[0] = FH_TURNED(lo, a, c);
  v[1] = FH_TURNED(hi, a, c);
  v[2] = FH_TURNED(lo, b, d);
  v[3] = FH_TURNED(hi, b, d);
#undef FH_TURNED
}
FH_INLINE void fh_into_lanes_4(fh_f32_in p, long rs, long n, fh_f32_out block, long step) {
  const __mmask8 some = (__mmask8)((1u << n) - 1u);
  __m512 v[4];
  for (int j = 0; j < 4; j++) {
#define FH_ROW(q) _mm_maskz_loadu_ps(some, (const void *)(p + (4 * (q) + j) * rs))
    const __m512 low = _mm512_insertf32x4(_mm512_castps128_ps512(FH_ROW(0)), FH_ROW(1), 1);
    v[j] = _mm512_insertf32x4(_mm512_insertf32x4(low, FH_ROW(2), 2), FH_ROW(3), 3);
#undef FH_ROW
  }
  fh_turn_quarters(v);
  for (int e = 0; e < 4; e++)
    if (e < n) _mm512_storeu_ps((void *)(block + e * step), v[e]);
}
/* No store under a mask: gcc makes one of it and of taking the quarter, and that instruction touches what is masked out. */
FH_INLINE void fh_store_few(fh_f32_out p, long n, __m128 v) {
  if (n == 4)
    __builtin_memcpy(p, &v, 16);
  else if (n >= 2)
    __builtin_memcpy(p, &v, 8);
  if (n == 1 || n == 3) p[n - 1] = _mm_cvtss_f32(n == 3 ? _mm_movehl_ps(v, v) : v);
}
FH_INLINE void fh_out_of_lanes_4(fh_f32_in block, long n, fh_f32_out p, long rs) {
  __m512 v[4];
  for (int e = 0; e < 4; e++) v[e] = e < n ? _mm512_loadu_ps((const void *)(block + 16 * e)) : _mm512_setzero_ps();
  fh_turn_quarters(v);
  for (int j = 0; j < 4; j++) {
#define FH_ROW(q) fh_store_few(p + (4 * (q) + j) * rs, n, _mm512_extractf32x4_ps(v[j], q))
    FH_ROW(0);
    FH_ROW(1);
    FH_ROW(2);
    FH_ROW(3);
#undef FH_ROW
  }
}
#endif

FH_INLINE void fh_into_lanes_by(fh_f32_in p, long rs, long es, long rows, long n, fh_f32_out block, long step) {
  long e = 0;
  if (es == 1 && rows > 2)
    for (; e + 16 <= n; e += 16) fh_turn_in(p + e, rs, rows, block + e * step, step);
#ifdef FH_HAS_LANES_4
  if (es == 1 && rows == 16)
    for (; e < n; e += 4) fh_into_lanes_4(p + e, rs, n - e < 4 ? n - e : 4, block + e * step, step);
#endif
  for (; e < n; e++) fh_store(block, e * step, 1, fh_load_part(p + e * es, 0, rows, rs, 0.0f));
}
FH_INLINE void fh_into_lanes(fh_f32_in p, long rs, long es, long rows, long n, fh_f32_out block) {
  fh_into_lanes_by(p, rs, es, rows, n, block, 16);
}

FH_INLINE void fh_out_of_lanes(fh_f32_in block, long rows, long n, fh_f32_out p, long rs, long es) {
  long e = 0;
  if (es == 1 && rows > 2)
    for (; e + 16 <= n; e += 16) fh_turn_out(block + 16 * e, 16, rows, p + e, rs);
#ifdef FH_HAS_LANES_4
  if (es == 1 && rows == 16)
    for (; e < n; e += 4) fh_out_of_lanes_4(block + 16 * e, n - e < 4 ? n - e : 4, p + e, rs);
#endif
  for (; e < n; e++) fh_store_part(p + e * es, 0, rows, rs, fh_load(block, 16 * e, 1));
}

#endif /* FOGHORN_KERNELS_DIALECT_LANES_H_ */
