/* The tuned entries of matmul_i8 (kernels/tile/dot_product.h) and the scratch they want. SPDX-License-Identifier: Apache-2.0
 * Operands: kernels/product.h. */
#ifndef FOGHORN_KERNELS_MATMUL_I8_MATMUL_I8_H_
#define FOGHORN_KERNELS_MATMUL_I8_MATMUL_I8_H_

#include "kernels/tables.h"

FH_TUNED_ENTRY(matmul_i8, avx2)
FH_TUNED_ENTRY(matmul_i8, avx512vnni)
FH_TUNED_ENTRY(matmul_i8, neon)
FH_TUNED_ENTRY(matmul_i8, neondotprod)
FH_TUNED_ENTRY(matmul_i8, neoni8mm)

#endif /* FOGHORN_KERNELS_MATMUL_I8_MATMUL_I8_H_ */
