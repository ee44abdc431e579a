/* matmul_tf32 for AVX-512: operands are rounded, then multiplied as f32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx512.h"

#include "kernels/matmul_tf32/matmul_tf32.h"

typedef fh_f32_any brought_from;
/* As matmul_tf32.k rounds. */
static inline fh_vf brought(const void *p) {
  const __m512 x = _mm512_loadu_ps(p);
  const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x1000));
  const __m512 rounded = _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(-0x2000)));
  return _mm512_mask_mov_ps(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}

#define FH_BROUGHT_GROUP 1
#define FH_BROUGHT_TILES fh_matmul_avx512
#define FH_BROUGHT_TILES_SCRATCH fh_matmul_scratch_avx512
#define FH_BROUGHT_ENTRY fh_matmul_tf32_avx512
#define FH_BROUGHT_SCRATCH fh_matmul_tf32_scratch_avx512
#include "kernels/tile/brought_product.h"
