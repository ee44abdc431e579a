/* permute for AVX-512: blocks of 16 x 16. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/permute/permute.h"

#include "kernels/permute/short_avx.h"

enum { LANES = 16 };
typedef __m512 lanes;

static inline lanes load(const fh_f32_any *p) { return _mm512_loadu_ps((const void *)p); }
static inline void store(fh_f32_any *p, lanes v) { _mm512_storeu_ps((void *)p, v); }
static inline void stream(fh_f32_any *p, lanes v) { _mm512_stream_ps((void *)p, v); }
static inline __attribute__((always_inline)) void turn_square(lanes v[static LANES]) { fh_transpose_16x16(v); }
/* What stream_lines turns at a time. */
static inline __attribute__((always_inline)) void turn_rows(lanes v[static LANES]) { turn_square(v); }
/* From lane `from` of the first on. */
static inline lanes cut_out(const float *first, const float *second, int from) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_permutex2var_ps(_mm512_load_ps(first), _mm512_add_epi32(lane, _mm512_set1_epi32(from)), _mm512_load_ps(second));
}

/* Four floats each of lines 0, 4, 8 and 12. */
static inline lanes load_quads(const fh_f32_any *p, int64_t line) {
  lanes v = _mm512_castps128_ps512(_mm_loadu_ps((const void *)p));
  v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps((const void *)(p + 4 * line)));
  v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps((const void *)(p + 8 * line)));
  return _mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps((const void *)(p + 12 * line)));
}
static inline void store_quads(fh_f32_any *p, int64_t line, lanes v) {
  _mm_storeu_ps((void *)p, _mm512_castps512_ps128(v));
  _mm_storeu_ps((void *)(p + 4 * line), _mm512_extractf32x4_ps(v, 1));
  _mm_storeu_ps((void *)(p + 8 * line), _mm512_extractf32x4_ps(v, 2));
  _mm_storeu_ps((void *)(p + 12 * line), _mm512_extractf32x4_ps(v, 3));
}
/* 4 x 4 in each quarter */
static inline __attribute__((always_inline)) void turn_quads(lanes v[static 4]) {
  const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(v[0], v[1])), b = _mm512_castps_pd(_mm512_unpackhi_ps(v[0], v[1]));
  const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(v[2], v[3])), d = _mm512_castps_pd(_mm512_unpackhi_ps(v[2], v[3]));
  v[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
  v[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
  v[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
  v[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
}

static inline __attribute__((always_inline)) void weave2(lanes v[static 2]) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const lanes a = v[0], b = v[1];
  v[0] = _mm512_permutex2var_ps(a, low, b);
  v[1] = _mm512_permutex2var_ps(a, _mm512_add_epi32(low, _mm512_set1_epi32(8)), b);
}
static inline __attribute__((always_inline)) void unweave2(lanes v[static 2]) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const lanes a = v[0], b = v[1];
  v[0] = _mm512_permutex2var_ps(a, even, b);
  v[1] = _mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
}

/* Lanes l with l mod 3 = r. */
#define EVERY_THIRD_0 0x9249
#define EVERY_THIRD_1 0x2492
#define EVERY_THIRD_2 0x4924
static inline lanes thirds(lanes a, lanes b, lanes c) { /* c where no mask is */
  return _mm512_mask_blend_ps(EVERY_THIRD_1, _mm512_mask_blend_ps(EVERY_THIRD_0, c, a), b);
}
/* Element k of field f is number 3 k + f of the woven: since 3 has an inverse modulo 16, one permutation puts all of a field on their
 * lanes, in whichever of the three vectors they are. */
static inline __attribute__((always_inline)) void weave3(lanes v[static 3]) {
  const __m512i k = _mm512_setr_epi32(0, 11, 6, 1, 12, 7, 2, 13, 8, 3, 14, 9, 4, 15, 10, 5); /* lane / 3 mod 16 */
  const lanes a = _mm512_permutexvar_ps(k, v[0]), b = _mm512_permutexvar_ps(_mm512_sub_epi32(k, _mm512_set1_epi32(11)), v[1]);
  const lanes c = _mm512_permutexvar_ps(_mm512_sub_epi32(k, _mm512_set1_epi32(22)), v[2]);
  v[0] = thirds(a, b, c);
  v[1] = thirds(b, c, a);
  v[2] = thirds(c, a, b);
}
static inline __attribute__((always_inline)) void unweave3(lanes v[static 3]) {
  const __m512i at = _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 2, 5, 8, 11, 14, 1, 4, 7, 10, 13); /* 3 lane mod 16 */
  const lanes a = thirds(v[0], v[2], v[1]), b = thirds(v[1], v[0], v[2]), c = thirds(v[2], v[1], v[0]);
  v[0] = _mm512_permutexvar_ps(at, a);
  v[1] = _mm512_permutexvar_ps(_mm512_add_epi32(at, _mm512_set1_epi32(1)), b);
  v[2] = _mm512_permutexvar_ps(_mm512_add_epi32(at, _mm512_set1_epi32(2)), c);
}

#define FH_PERMUTE_RUN fh_permute_avx512
#include "kernels/permute/permute_simd.h"
