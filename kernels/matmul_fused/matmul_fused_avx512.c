/* matmul_fused for AVX-512. SPDX-License-Identifier: Apache-2.0 */
#define FH_DIALECT_ISA avx512
#define FH_FUSED_ENTRY fh_matmul_fused_avx512
#define FH_FUSED_PRODUCT fh_matmul_with_avx512
#include "kernels/matmul_fused/matmul_fused_epilogue.h"
