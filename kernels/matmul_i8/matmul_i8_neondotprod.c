/* matmul_i8 for NEON with FEAT_DotProd, which sums four products of bytes of one kind in 32 bits: b + 128 is unsigned like a.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_neon.h"

#include "kernels/matmul_i8/matmul_i8.h"

#define FH_ELEMENT 1
#define FH_DOT_STEP "udot %0.4s, %1.16b, %2.16b"
#define FH_DOT_STEP_BY "udot %0.4s, %1.16b, %2.4b[0]"
#include "kernels/tile/dot_neon.h"

#define FH_DOT_BIASED 1
FH_NEON float32x4_t add_128(float32x4_t raw) { return vreinterpretq_f32_u8(veorq_u8(vreinterpretq_u8_f32(raw), vdupq_n_u8(0x80))); }
FH_NEON dot_weights dot_split(fh_vf raw) { return (dot_weights){add_128(raw.low), add_128(raw.high)}; }
FH_NEON dot_sum dot_start(int32_t value) {
  const float32x4_t all = vreinterpretq_f32_s32(vdupq_n_s32(value));
  return (dot_sum){all, all};
}
static uint32_t dot_bytes(const char *p, int64_t count) {
  uint32x4_t sum = vdupq_n_u32(0);
  for (; count >= 16; count -= 16, p += 16) sum = vdotq_u32(sum, vreinterpretq_u8_f32(fh_q_load(p)), vdupq_n_u8(1));
  uint32_t all = vaddvq_u32(sum);
  for (; count > 0; count--) all += (unsigned char)*p++;
  return all;
}

#define FH_DOT_ENTRY fh_matmul_i8_neondotprod
#define FH_DOT_SCRATCH fh_matmul_i8_scratch_neondotprod
#include "kernels/tile/dot_product.h"
