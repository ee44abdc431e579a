/* Square blocks of floats turned in registers; for code that is compiled for AVX2 or AVX-512. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TRANSPOSE_H_
#define FOGHORN_KERNELS_TRANSPOSE_H_

#include <immintrin.h>

#if defined(__AVX2__)
/* v[i] lane j <-> v[j] lane i */
static inline __attribute__((always_inline)) void fh_transpose_8x8(__m256 v[static 8]) {
  __m256 t[8], u[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; j++) {
      u[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
      u[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xee);
    }
  }
  for (int j = 0; j < 4; j++) {
    v[j] = _mm256_permute2f128_ps(u[j], u[4 + j], 0x20);
    v[4 + j] = _mm256_permute2f128_ps(u[j], u[4 + j], 0x31);
  }
}
#endif

#if defined(__AVX512F__)
/* v[i] lane j <-> v[j] lane i */
static inline __attribute__((always_inline)) void fh_transpose_16x16(__m512 v[static 16]) {
  __m512 t[16], u[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; j++) {
      __m512d low = _mm512_castps_pd(t[i + j]), high = _mm512_castps_pd(t[i + j + 2]);
      u[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      u[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  }
  for (int j = 0; j < 4; j++) {
    __m512 a = _mm512_shuffle_f32x4(u[j], u[4 + j], 0x88), b = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0x88);
    __m512 c = _mm512_shuffle_f32x4(u[j], u[4 + j], 0xdd), d = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0xdd);
    v[j] = _mm512_shuffle_f32x4(a, b, 0x88);
    v[8 + j] = _mm512_shuffle_f32x4(a, b, 0xdd);
    v[4 + j] = _mm512_shuffle_f32x4(c, d, 0x88);
    v[12 + j] = _mm512_shuffle_f32x4(c, d, 0xdd);
  }
}
#endif

#endif /* FOGHORN_KERNELS_TRANSPOSE_H_ */
