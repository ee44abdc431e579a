/* The tuned entries of matmul_f16 (kernels/tile/brought_product.h) and the scratch they want. SPDX-License-Identifier: Apache-2.0
 * Operands: kernels/product.h. */
#ifndef FOGHORN_KERNELS_MATMUL_F16_MATMUL_F16_H_
#define FOGHORN_KERNELS_MATMUL_F16_MATMUL_F16_H_

#include "kernels/tables.h"

FH_TUNED_ENTRY(matmul_f16, avx2)
FH_TUNED_ENTRY(matmul_f16, avx512)
FH_TUNED_ENTRY(matmul_f16, neon)

#endif /* FOGHORN_KERNELS_MATMUL_F16_MATMUL_F16_H_ */
