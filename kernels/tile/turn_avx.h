/* Turned loads with AVX: lane i of vector j from line i, place j. SPDX-License-Identifier: Apache-2.0
 *
 * An 8 x 8 block by 16 loads of half a line, whose upper halves are inserted on the way, and 16 shuffles: a third fewer than with
 * whole loads. Included by simd_avx2.h and simd_avx512.h: the latter gains nothing from 16 lanes here.
 */
#ifndef FOGHORN_KERNELS_TILE_TURN_AVX_H_
#define FOGHORN_KERNELS_TILE_TURN_AVX_H_

enum { FH_TURN = 8 };
typedef __m256 fh_vt;
static inline fh_vt fh_t_zero(void) { return _mm256_setzero_ps(); }
static inline fh_vt fh_t_fma(fh_vt a, fh_vt b, fh_vt c) { return _mm256_fmadd_ps(a, b, c); }
static inline fh_vt fh_t_fma_by(float x, fh_vt b, fh_vt c) { return _mm256_fmadd_ps(_mm256_set1_ps(x), b, c); }
static inline void fh_t_store(void *p, fh_vt v) { _mm256_storeu_ps(p, v); }

/* Halves of lines i (lower) and i + 4 (upper), places 0..3 in low[i], 4..7 in high[i]; to lanes. */
static inline __attribute__((always_inline)) void fh_t_weave(const fh_vt half[static 4], fh_vt out[static 4]) {
  const fh_vt a = _mm256_unpacklo_ps(half[0], half[1]), b = _mm256_unpackhi_ps(half[0], half[1]);
  const fh_vt c = _mm256_unpacklo_ps(half[2], half[3]), d = _mm256_unpackhi_ps(half[2], half[3]);
  out[0] = _mm256_shuffle_ps(a, c, 0x44);
  out[1] = _mm256_shuffle_ps(a, c, 0xee);
  out[2] = _mm256_shuffle_ps(b, d, 0x44);
  out[3] = _mm256_shuffle_ps(b, d, 0xee);
}
static inline __attribute__((always_inline)) void fh_t_load(const fh_f32_any *p, int64_t line, fh_vt out[static 8]) {
  fh_vt low[4], high[4];
  for (int i = 0; i < 4; i++) {
    const fh_f32_any *a = p + i * line, *b = a + 4 * line;
    low[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const void *)a)), _mm_loadu_ps((const void *)b), 1);
    high[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const void *)(a + 4))), _mm_loadu_ps((const void *)(b + 4)), 1);
  }
  fh_t_weave(low, out);
  fh_t_weave(high, out + 4);
}
/* Only `lines` lines of `places` places, 1 to 8 each, are touched; the other lanes are zero. */
static inline void fh_t_load_part(const fh_f32_any *p, int64_t line, int lines, int places, fh_vt out[static 8]) {
  const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(places), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  __m256 v[8], low[4], high[4];
  for (int i = 0; i < 8; i++) v[i] = i < lines ? _mm256_maskload_ps((const float *)(const void *)(p + i * line), mask) : fh_t_zero();
  for (int i = 0; i < 4; i++) {
    low[i] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20);
    high[i] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
  }
  fh_t_weave(low, out);
  fh_t_weave(high, out + 4);
}
/* The first `count` lanes, 1 to 8. */
static inline void fh_t_store_first(void *p, fh_vt v, int count) {
  if (count == FH_TURN) {
    _mm256_storeu_ps(p, v);
    return;
  }
#if defined(__AVX512VL__)
  _mm256_mask_storeu_ps(p, (__mmask8)((1u << count) - 1u), v);
#else
  fh_v_store_first(p, v, count);
#endif
}

#endif /* FOGHORN_KERNELS_TILE_TURN_AVX_H_ */
