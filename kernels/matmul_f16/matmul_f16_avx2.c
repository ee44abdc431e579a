/* matmul_f16 for AVX2, FMA and F16C: operands are widened, then multiplied as f32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx2.h"

#include "kernels/matmul_f16/matmul_f16.h"

typedef fh_u16_any brought_from;
static inline fh_vf brought(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128(p)); }

#define FH_BROUGHT_GROUP 2
#define FH_BROUGHT_TILES fh_matmul_avx2
#define FH_BROUGHT_TILES_SCRATCH fh_matmul_scratch_avx2
#define FH_BROUGHT_ENTRY fh_matmul_f16_avx2
#define FH_BROUGHT_SCRATCH fh_matmul_f16_scratch_avx2
#include "kernels/tile/brought_product.h"
