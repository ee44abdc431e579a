/* matmul for AVX2 and FMA. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx2.h"

#include "kernels/tile/pack.h"

#define FH_MATMUL_ENTRY fh_matmul_avx2
#define FH_MATMUL_WITH fh_matmul_with_avx2
#define FH_MATMUL_SCRATCH fh_matmul_scratch_avx2
#include "kernels/matmul/matmul_tile.h"
