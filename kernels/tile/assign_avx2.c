/* kmeans_assign and kmeans_step for AVX2 and FMA. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx2.h"

#include "kernels/tile/pack.h"

#define FH_ASSIGN_ENTRY fh_kmeans_assign_avx2
#define FH_STEP_ENTRY fh_kmeans_step_avx2
#define FH_ASSIGN_SCRATCH fh_kmeans_assign_scratch_avx2
#include "kernels/tile/assign_simd.h"
