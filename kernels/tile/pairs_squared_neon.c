/* Squared distances of pairs of rows for NEON. SPDX-License-Identifier: Apache-2.0
 * A row less than the inner products have, for the differences. */
#include "kernels/tile/simd_neon.h"

#include "kernels/tile/pack.h"

#define FH_PAIRS fh_pairs_squared_neon
#define FH_PAIRS_SQUARED 1
#define FH_PAIRS_ROWS 5
#define FH_PAIRS_SUMS 8
#include "kernels/tile/pairs_simd.h"
