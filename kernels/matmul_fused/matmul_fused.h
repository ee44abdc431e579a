/* Operands of matmul_fused: those of matmul, then these. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_MATMUL_FUSED_MATMUL_FUSED_H_
#define FOGHORN_KERNELS_MATMUL_FUSED_MATMUL_FUSED_H_

#include "kernels/matmul.h"

enum {
  FH_MATMUL_D = FH_MATMUL_SLOTS,
  FH_MATMUL_D_STRIDES, /* batch, row, column */
  FH_MATMUL_ACTIVATION = FH_MATMUL_D_STRIDES + 3,
  FH_MATMUL_FUSED_SLOTS,
};

void fh_matmul_fused_avx2(const fh_slot *slots, const fh_team *team);
void fh_matmul_fused_avx512(const fh_slot *slots, const fh_team *team);
void fh_matmul_fused_neon(const fh_slot *slots, const fh_team *team);

#endif /* FOGHORN_KERNELS_MATMUL_FUSED_MATMUL_FUSED_H_ */
