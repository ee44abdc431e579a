/* matmul_bf16 for NEON with FEAT_BF16. bfdot rounds twice, to odd: the sum of two products, and its addition to an f32. An error is below
 * two units in the last place instead of half of two, on half as many additions. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_neon.h"

#include "kernels/matmul_bf16/matmul_bf16.h"

#define FH_ELEMENT 2
#define FH_DOT_STEP "bfdot %0.4s, %1.8h, %2.8h"
#define FH_DOT_STEP_BY "bfdot %0.4s, %1.8h, %2.2h[0]"
#include "kernels/tile/dot_neon.h"

FH_NEON dot_weights dot_split(fh_vf raw) { return raw; }

#define FH_DOT_ENTRY fh_matmul_bf16_neonbf16
#define FH_DOT_SCRATCH fh_matmul_bf16_scratch_neonbf16
#include "kernels/tile/dot_product.h"
