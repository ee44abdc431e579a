/* matmul for NEON. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_neon.h"

#include "kernels/tile/pack.h"

#define FH_MATMUL_ENTRY fh_matmul_neon
#define FH_MATMUL_WITH fh_matmul_with_neon
#define FH_MATMUL_SCRATCH fh_matmul_scratch_neon
#include "kernels/matmul/matmul_tile.h"
