/* rms_norm for AVX-512. SPDX-License-Identifier: Apache-2.0 */
#define FH_DIALECT_ISA avx512
#include "kernels/tile/rows_simd.h"

FH_ROWS_ENTRY(rms_norm, avx512)
