/* Inner products of pairs of rows for NEON. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_neon.h"

#include "kernels/tile/pack.h"

#define FH_PAIRS fh_pairs_dot_neon
#define FH_PAIRS_SQUARED 0
#define FH_PAIRS_ROWS 6
#define FH_PAIRS_SUMS 8
#include "kernels/tile/pairs_simd.h"
