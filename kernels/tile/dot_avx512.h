/* Words and tiles of dot_product.h in AVX-512 registers; the dot instruction itself comes from the file that includes this.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TILE_DOT_AVX512_H_
#define FOGHORN_KERNELS_TILE_DOT_AVX512_H_

#include "kernels/tile/simd_avx512.h"

/* 28 sums, two vectors of B, one of A: 31 of 32 registers. */
#define FH_DOT_VECTORS 2
#define FH_DOT_ROWS FH_TILE_ROWS
#define FH_DOT_EACH_ROW FH_TILE_EACH_ROW
#define FH_DOT_TILES(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)
#define FH_DOT_TILE_SETS                                                                                                             \
  TILE_SET(1), TILE_SET(2), TILE_SET(3), TILE_SET(4), TILE_SET(5), TILE_SET(6), TILE_SET(7), TILE_SET(8), TILE_SET(9), TILE_SET(10), \
      TILE_SET(11), TILE_SET(12), TILE_SET(13), TILE_SET(14)
#define FH_DOT_SUMS 16
#define FH_DOT_MOST 16

typedef __m512i dot_words;
typedef __m512i dot_weights;

static inline dot_words dot_broadcast(int32_t word) { return _mm512_set1_epi32(word); }
static inline dot_words dot_spread(fh_vf raw) { return _mm512_castps_si512(raw); }
static inline dot_weights dot_split(fh_vf raw) { return _mm512_castps_si512(raw); }
static inline fh_vf dot_join(const __m256i quarters[4], int v) {
  return _mm512_castsi512_ps(_mm512_inserti64x4(_mm512_castsi256_si512(quarters[2 * v]), quarters[2 * v + 1], 1));
}

#endif /* FOGHORN_KERNELS_TILE_DOT_AVX512_H_ */
