/* matmul_f16 for AVX-512: operands are widened, then multiplied as f32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx512.h"

#include "kernels/matmul_f16/matmul_f16.h"

typedef fh_u16_any brought_from;
static inline fh_vf brought(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256(p)); }

#define FH_BROUGHT_GROUP 2
#define FH_BROUGHT_TILES fh_matmul_avx512
#define FH_BROUGHT_TILES_SCRATCH fh_matmul_scratch_avx512
#define FH_BROUGHT_ENTRY fh_matmul_f16_avx512
#define FH_BROUGHT_SCRATCH fh_matmul_f16_scratch_avx512
#include "kernels/tile/brought_product.h"
