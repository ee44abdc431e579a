/* The tuned entries of matmul_tf32 (kernels/tile/brought_product.h) and the scratch they want. SPDX-License-Identifier: Apache-2.0
 * Operands: kernels/product.h. */
#ifndef FOGHORN_KERNELS_MATMUL_TF32_MATMUL_TF32_H_
#define FOGHORN_KERNELS_MATMUL_TF32_MATMUL_TF32_H_

#include "kernels/tables.h"

FH_TUNED_ENTRY(matmul_tf32, avx2)
FH_TUNED_ENTRY(matmul_tf32, avx512)
FH_TUNED_ENTRY(matmul_tf32, neon)

#endif /* FOGHORN_KERNELS_MATMUL_TF32_MATMUL_TF32_H_ */
