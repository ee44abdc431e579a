/* kmeans_assign and kmeans_step for NEON. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_neon.h"

#include "kernels/tile/pack.h"

#define FH_ASSIGN_ENTRY fh_kmeans_assign_neon
#define FH_STEP_ENTRY fh_kmeans_step_neon
#define FH_ASSIGN_SCRATCH fh_kmeans_assign_scratch_neon
#include "kernels/tile/assign_simd.h"
