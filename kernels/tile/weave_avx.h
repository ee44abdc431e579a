/* Rows of narrow elements woven into words with AVX2; with AVX-512 too, which gains nothing here. SPDX-License-Identifier: Apache-2.0
 *
 * Included by pack_words.h. */
#ifndef FOGHORN_KERNELS_TILE_WEAVE_AVX_H_
#define FOGHORN_KERNELS_TILE_WEAVE_AVX_H_

typedef __m256i fh_vw;
static inline void fh_w_store(void *p, fh_vw words) { _mm256_storeu_si256(p, words); }

static inline __attribute__((always_inline)) void fh_interleave(fh_vw out[4], const char *const rows[FH_GROUP]) {
#define FH_ROW(i, at) _mm256_loadu_si256((const void *)(rows[i] + (at)))
#if FH_ELEMENT == 1
  const __m256i r0 = FH_ROW(0, 0), r1 = FH_ROW(1, 0), r2 = FH_ROW(2, 0), r3 = FH_ROW(3, 0);
  const __m256i low01 = _mm256_unpacklo_epi8(r0, r1), high01 = _mm256_unpackhi_epi8(r0, r1);
  const __m256i low23 = _mm256_unpacklo_epi8(r2, r3), high23 = _mm256_unpackhi_epi8(r2, r3);
  const __m256i a = _mm256_unpacklo_epi16(low01, low23), b = _mm256_unpackhi_epi16(low01, low23);
  const __m256i c = _mm256_unpacklo_epi16(high01, high23), d = _mm256_unpackhi_epi16(high01, high23);
  out[0] = _mm256_permute2x128_si256(a, b, 0x20), out[1] = _mm256_permute2x128_si256(c, d, 0x20);
  out[2] = _mm256_permute2x128_si256(a, b, 0x31), out[3] = _mm256_permute2x128_si256(c, d, 0x31);
#else
  for (int half = 0; half < 2; half++) {
    const __m256i x = FH_ROW(0, 32 * half), y = FH_ROW(1, 32 * half);
    const __m256i a = _mm256_unpacklo_epi16(x, y), b = _mm256_unpackhi_epi16(x, y);
    out[2 * half] = _mm256_permute2x128_si256(a, b, 0x20), out[2 * half + 1] = _mm256_permute2x128_si256(a, b, 0x31);
  }
#endif
#undef FH_ROW
}

#endif /* FOGHORN_KERNELS_TILE_WEAVE_AVX_H_ */
