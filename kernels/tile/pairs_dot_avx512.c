/* Inner products of pairs of rows for AVX-512. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx512.h"

#include "kernels/tile/pack.h"

#define FH_PAIRS fh_pairs_dot_avx512
#define FH_PAIRS_SQUARED 0
#define FH_PAIRS_ROWS 14
#define FH_PAIRS_SUMS 16
#include "kernels/tile/pairs_simd.h"
