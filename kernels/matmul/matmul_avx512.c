/* matmul for AVX-512. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx512.h"

#include "kernels/tile/pack.h"

#define FH_MATMUL_ENTRY fh_matmul_avx512
#define FH_MATMUL_WITH fh_matmul_with_avx512
#define FH_MATMUL_SCRATCH fh_matmul_scratch_avx512
#include "kernels/matmul/matmul_tile.h"
