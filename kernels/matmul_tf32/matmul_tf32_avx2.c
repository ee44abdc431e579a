/* matmul_tf32 for AVX2 and FMA: operands are rounded, then multiplied as f32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx2.h"

#include "kernels/matmul_tf32/matmul_tf32.h"

typedef fh_f32_any brought_from;
/* As matmul_tf32.k rounds. */
static inline fh_vf brought(const void *p) {
  const __m256 x = _mm256_loadu_ps(p);
  const __m256i bits = _mm256_add_epi32(_mm256_castps_si256(x), _mm256_set1_epi32(0x1000));
  const __m256 rounded = _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(-0x2000)));
  return _mm256_blendv_ps(rounded, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

#define FH_BROUGHT_GROUP 1
#define FH_BROUGHT_TILES fh_matmul_avx2
#define FH_BROUGHT_TILES_SCRATCH fh_matmul_scratch_avx2
#define FH_BROUGHT_ENTRY fh_matmul_tf32_avx2
#define FH_BROUGHT_SCRATCH fh_matmul_tf32_scratch_avx2
#include "kernels/tile/brought_product.h"
