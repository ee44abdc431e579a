/* Tiles of dot_product.h in AVX2 registers; words and their products come from the file that includes this.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TILE_DOT_AVX2_H_
#define FOGHORN_KERNELS_TILE_DOT_AVX2_H_

#include "kernels/tile/simd_avx2.h"

#define FH_DOT_ROWS 4
#define FH_DOT_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3)
#define FH_DOT_TILES(DO) DO(1) DO(2) DO(3) DO(4)
#define FH_DOT_TILE_SETS TILE_SET(1), TILE_SET(2), TILE_SET(3), TILE_SET(4)
#define FH_DOT_SUMS 4
#define FH_DOT_MOST 8

static inline fh_vf dot_join(const __m256i quarters[4], int v) { return _mm256_castsi256_ps(quarters[v]); }

#endif /* FOGHORN_KERNELS_TILE_DOT_AVX2_H_ */
