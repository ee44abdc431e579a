/* kmeans_assign_f64 and kmeans_step_f64 for NEON. SPDX-License-Identifier: Apache-2.0 */
#define FH_OF_DOUBLES 1
#include "kernels/tile/simd_neon_f64.h"

#include "kernels/tile/pack.h"

#define FH_ASSIGN_ENTRY fh_kmeans_assign_f64_neon
#define FH_STEP_ENTRY fh_kmeans_step_f64_neon
#define FH_ASSIGN_SCRATCH fh_kmeans_assign_f64_scratch_neon
#include "kernels/tile/assign_simd.h"
