/* Turned loads of doubles with AVX: lane i of vector j from line i, place j. SPDX-License-Identifier: Apache-2.0
 *
 * A 4 x 4 block by 8 loads of half a vector, half of them inserted on the way, and 4 shuffles. Included by simd_avx2_f64.h and
 * simd_avx512_f64.h, as turn_avx.h is. */
#ifndef FOGHORN_KERNELS_TILE_TURN_AVX_F64_H_
#define FOGHORN_KERNELS_TILE_TURN_AVX_F64_H_

enum { FH_TURN = 4 };
typedef __m256d fh_vt;
static inline fh_vt fh_t_zero(void) { return _mm256_setzero_pd(); }
static inline void fh_t_store(void *p, fh_vt v) { _mm256_storeu_pd(p, v); }

static inline __attribute__((always_inline)) void fh_t_load(const fh_element_any *p, int64_t line, fh_vt out[static 4]) {
#pragma GCC unroll 2
  for (int place = 0; place < 4; place += 2) {
    const fh_element_any *a = p + place, *b = a + line, *c = b + line, *d = c + line;
    const __m256d even = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd((const void *)a)), _mm_loadu_pd((const void *)c), 1);
    const __m256d odd = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd((const void *)b)), _mm_loadu_pd((const void *)d), 1);
    out[place] = _mm256_unpacklo_pd(even, odd);
    out[place + 1] = _mm256_unpackhi_pd(even, odd);
  }
}
/* Only `lines` lines of `places` places, 1 to 4 each, are touched; the other lanes are zero. */
static inline void fh_t_load_part(const fh_element_any *p, int64_t line, int lines, int places, fh_vt out[static 4]) {
  const __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(places), _mm256_setr_epi64x(0, 1, 2, 3));
  __m256d v[4];
  for (int i = 0; i < 4; i++) v[i] = i < lines ? _mm256_maskload_pd((const double *)(const void *)(p + i * line), mask) : fh_t_zero();
  for (int i = 0; i < 2; i++) { /* places 0 1, then 2 3 */
    const __m256d even = i ? _mm256_permute2f128_pd(v[0], v[2], 0x31) : _mm256_permute2f128_pd(v[0], v[2], 0x20);
    const __m256d odd = i ? _mm256_permute2f128_pd(v[1], v[3], 0x31) : _mm256_permute2f128_pd(v[1], v[3], 0x20);
    out[2 * i] = _mm256_unpacklo_pd(even, odd);
    out[2 * i + 1] = _mm256_unpackhi_pd(even, odd);
  }
}
/* The first `count` lanes, 1 to 4. */
static inline void fh_t_store_first(void *p, fh_vt v, int count) {
#if defined(__AVX512VL__)
  _mm256_mask_storeu_pd(p, (__mmask8)((1u << count) - 1u), v);
#else
  fh_v_store_first(p, v, count);
#endif
}

#endif /* FOGHORN_KERNELS_TILE_TURN_AVX_F64_H_ */
