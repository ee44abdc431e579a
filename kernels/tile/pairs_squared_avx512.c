/* Squared distances of pairs of rows for AVX-512. SPDX-License-Identifier: Apache-2.0
 *
 * Half vectors in 32 registers, because a subtraction beside each multiplication is what counts: on Zen 4 whole vectors reach
 * 0.67 of the multiplication limit and these 0.95; where additions share the ports of the multiplications both give half. */
#include "kernels/tile/simd_avx2.h"

#include "kernels/tile/pack.h"

#define FH_PAIRS fh_pairs_squared_avx512
#define FH_PAIRS_SQUARED 1
#define FH_PAIRS_ROWS 12
#define FH_PAIRS_SUMS 16
#include "kernels/tile/pairs_simd.h"
