/* matmul_f16 for NEON: operands are widened, then multiplied as f32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_neon.h"

#include "kernels/matmul_f16/matmul_f16.h"

typedef fh_u16_any brought_from;
FH_NEON float32x4_t brought_q(const void *p) {
  float16x4_t half;
  memcpy(&half, p, sizeof half);
  return vcvt_f32_f16(half);
}
FH_NEON fh_vf brought(const void *p) { return (fh_vf){brought_q(p), brought_q((const char *)p + 8)}; }

#define FH_BROUGHT_GROUP 2
#define FH_BROUGHT_TILES fh_matmul_neon
#define FH_BROUGHT_TILES_SCRATCH fh_matmul_scratch_neon
#define FH_BROUGHT_ENTRY fh_matmul_f16_neon
#define FH_BROUGHT_SCRATCH fh_matmul_f16_scratch_neon
#include "kernels/tile/brought_product.h"
