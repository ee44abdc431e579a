/* l2_normalize for AVX2. SPDX-License-Identifier: Apache-2.0 */
#define FH_DIALECT_ISA avx2
#include "kernels/tile/rows_simd.h"

FH_ROWS_ENTRY(l2_normalize, avx2)
