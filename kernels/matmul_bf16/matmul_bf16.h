/* The tuned entries of matmul_bf16 (kernels/tile/dot_product.h) and the scratch they want. SPDX-License-Identifier: Apache-2.0
 * Operands: kernels/product.h. */
#ifndef FOGHORN_KERNELS_MATMUL_BF16_MATMUL_BF16_H_
#define FOGHORN_KERNELS_MATMUL_BF16_MATMUL_BF16_H_

#include "kernels/contract.h"

void fh_matmul_bf16_avx2(const fh_slot *slots, const fh_team *team);
void fh_matmul_bf16_avx512bf16(const fh_slot *slots, const fh_team *team);
size_t fh_matmul_bf16_scratch_avx2(const fh_bound *bound, int team_size);
size_t fh_matmul_bf16_scratch_avx512bf16(const fh_bound *bound, int team_size);

#endif /* FOGHORN_KERNELS_MATMUL_BF16_MATMUL_BF16_H_ */
