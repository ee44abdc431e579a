/* matmul_fused for NEON. SPDX-License-Identifier: Apache-2.0 */
#define FH_DIALECT_ISA neon
#define FH_FUSED_ENTRY fh_matmul_fused_neon
#define FH_FUSED_PRODUCT fh_matmul_with_neon
#include "kernels/matmul_fused/matmul_fused_epilogue.h"
