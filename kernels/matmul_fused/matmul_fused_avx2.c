/* matmul_fused for AVX2 and FMA. SPDX-License-Identifier: Apache-2.0 */
#define FH_DIALECT_ISA avx2
#define FH_FUSED_ENTRY fh_matmul_fused_avx2
#define FH_FUSED_PRODUCT fh_matmul_with_avx2
#include "kernels/matmul_fused/matmul_fused_epilogue.h"
