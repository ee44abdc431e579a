/* matmul_tf32 for NEON: operands are rounded, then multiplied as f32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_neon.h"

#include "kernels/matmul_tf32/matmul_tf32.h"

typedef fh_f32_any brought_from;
/* As matmul_tf32.k rounds. */
FH_NEON float32x4_t brought_q(const void *p) {
  const float32x4_t x = fh_q_load(p);
  const uint32x4_t bits = vandq_u32(vaddq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x1000)), vdupq_n_u32(0xffffe000));
  return vbslq_f32(vceqq_f32(x, x), vreinterpretq_f32_u32(bits), x);
}
FH_NEON fh_vf brought(const void *p) { return (fh_vf){brought_q(p), brought_q((const char *)p + 16)}; }

#define FH_BROUGHT_GROUP 1
#define FH_BROUGHT_TILES fh_matmul_neon
#define FH_BROUGHT_TILES_SCRATCH fh_matmul_scratch_neon
#define FH_BROUGHT_ENTRY fh_matmul_tf32_neon
#define FH_BROUGHT_SCRATCH fh_matmul_tf32_scratch_neon
#include "kernels/tile/brought_product.h"
