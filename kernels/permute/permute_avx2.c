/* permute for AVX2: blocks of 8 x 8. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/permute/permute.h"

#include "kernels/permute/short_avx.h"

enum { LANES = 8 };
typedef __m256 lanes;

static inline lanes load(const fh_f32_any *p) { return _mm256_loadu_ps((const void *)p); }
static inline void store(fh_f32_any *p, lanes v) { _mm256_storeu_ps((void *)p, v); }
static inline void stream(fh_f32_any *p, lanes v) { _mm256_stream_ps((void *)p, v); }
static inline __attribute__((always_inline)) void turn_square(lanes v[static LANES]) { fh_transpose_8x8(v); }

/* Four floats each of lines 0 and 4. */
static inline lanes load_quads(const fh_f32_any *p, int64_t line) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const void *)p)), _mm_loadu_ps((const void *)(p + 4 * line)), 1);
}
static inline void store_quads(fh_f32_any *p, int64_t line, lanes v) {
  _mm_storeu_ps((void *)p, _mm256_castps256_ps128(v));
  _mm_storeu_ps((void *)(p + 4 * line), _mm256_extractf128_ps(v, 1));
}
/* 4 x 4 in each half */
static inline __attribute__((always_inline)) void turn_quads(lanes v[static 4]) {
  const lanes a = _mm256_unpacklo_ps(v[0], v[1]), b = _mm256_unpackhi_ps(v[0], v[1]);
  const lanes c = _mm256_unpacklo_ps(v[2], v[3]), d = _mm256_unpackhi_ps(v[2], v[3]);
  v[0] = _mm256_shuffle_ps(a, c, 0x44);
  v[1] = _mm256_shuffle_ps(a, c, 0xee);
  v[2] = _mm256_shuffle_ps(b, d, 0x44);
  v[3] = _mm256_shuffle_ps(b, d, 0xee);
}
/* What stream_lines turns at a time. */
static inline __attribute__((always_inline)) void turn_rows(lanes v[static 4]) { turn_quads(v); }
/* From lane `from` of the first on. */
static inline lanes cut_out(const float *first, const float *second, int from) {
  const __m256i at = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(from));
  const lanes a = _mm256_permutevar8x32_ps(_mm256_load_ps(first), at), b = _mm256_permutevar8x32_ps(_mm256_load_ps(second), at);
  return _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_cmpgt_epi32(at, _mm256_set1_epi32(LANES - 1))));
}

static inline __attribute__((always_inline)) void weave2(lanes v[static 2]) {
  const lanes a = _mm256_unpacklo_ps(v[0], v[1]), b = _mm256_unpackhi_ps(v[0], v[1]);
  v[0] = _mm256_permute2f128_ps(a, b, 0x20);
  v[1] = _mm256_permute2f128_ps(a, b, 0x31);
}
static inline __attribute__((always_inline)) void unweave2(lanes v[static 2]) {
  const lanes even = _mm256_shuffle_ps(v[0], v[1], 0x88), odd = _mm256_shuffle_ps(v[0], v[1], 0xdd); /* quarters 0 2 1 3 */
  v[0] = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(even), 0xd8));
  v[1] = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odd), 0xd8));
}

static inline lanes thirds(lanes a, lanes b, lanes c) { /* a on lanes 0 3 6, b on 1 4 7, c on 2 5 */
  return _mm256_blend_ps(_mm256_blend_ps(c, a, 0x49), b, 0x92);
}
/* Element k of field f is number 3 k + f of the woven: since 3 has an inverse modulo 8, one permutation puts all of a field on their
 * lanes, in whichever of the three vectors they are. */
static inline __attribute__((always_inline)) void weave3(lanes v[static 3]) {
  const __m256i k = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5); /* lane / 3 mod 8 */
  const lanes a = _mm256_permutevar8x32_ps(v[0], k), b = _mm256_permutevar8x32_ps(v[1], _mm256_sub_epi32(k, _mm256_set1_epi32(3)));
  const lanes c = _mm256_permutevar8x32_ps(v[2], _mm256_sub_epi32(k, _mm256_set1_epi32(6)));
  v[0] = thirds(a, b, c);
  v[1] = thirds(c, a, b);
  v[2] = thirds(b, c, a);
}
static inline __attribute__((always_inline)) void unweave3(lanes v[static 3]) {
  const __m256i at = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5); /* 3 lane mod 8 */
  const lanes a = thirds(v[0], v[1], v[2]), b = thirds(v[2], v[0], v[1]), c = thirds(v[1], v[2], v[0]);
  v[0] = _mm256_permutevar8x32_ps(a, at);
  v[1] = _mm256_permutevar8x32_ps(b, _mm256_add_epi32(at, _mm256_set1_epi32(1)));
  v[2] = _mm256_permutevar8x32_ps(c, _mm256_add_epi32(at, _mm256_set1_epi32(2)));
}

#define FH_PERMUTE_RUN fh_permute_avx2
#include "kernels/permute/permute_simd.h"
