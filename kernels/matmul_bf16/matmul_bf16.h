/* The tuned entries of matmul_bf16 (kernels/tile/dot_product.h) and the scratch they want. SPDX-License-Identifier: Apache-2.0
 * Operands: kernels/product.h. */
#ifndef FOGHORN_KERNELS_MATMUL_BF16_MATMUL_BF16_H_
#define FOGHORN_KERNELS_MATMUL_BF16_MATMUL_BF16_H_

#include "kernels/tables.h"

FH_TUNED_ENTRY(matmul_bf16, avx2)
FH_TUNED_ENTRY(matmul_bf16, avx512bf16)
FH_TUNED_ENTRY(matmul_bf16, neon)
FH_TUNED_ENTRY(matmul_bf16, neonbf16)

#endif /* FOGHORN_KERNELS_MATMUL_BF16_MATMUL_BF16_H_ */
