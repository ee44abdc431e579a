/* matmul_bf16 for NEON alone: a word is split into two f32. Those of A by the integer unit, which has nothing else to do.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_neon.h"

#include "kernels/matmul_bf16/matmul_bf16.h"

#define FH_ELEMENT 2
#include "kernels/tile/dot_neon.h"

typedef struct dot_pair {
  fh_vf first, second;
} dot_words, dot_weights;
typedef struct dot_word {
  float first, second;
} dot_word;
typedef fh_vf dot_sum;

FH_NEON float32x4_t first_of(float32x4_t raw) { return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(raw), 16)); }
FH_NEON float32x4_t second_of(float32x4_t raw) {
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(raw), vdupq_n_u32(0xffff0000)));
}
FH_NEON dot_words dot_spread(fh_vf raw) {
  return (dot_words){{first_of(raw.low), first_of(raw.high)}, {second_of(raw.low), second_of(raw.high)}};
}
FH_NEON dot_weights dot_split(fh_vf raw) { return dot_spread(raw); }
FH_NEON dot_word dot_broadcast(int32_t word) {
  const uint32_t first = (uint32_t)word << 16, second = (uint32_t)word & 0xffff0000;
  dot_word out;
  memcpy(&out.first, &first, sizeof first);
  memcpy(&out.second, &second, sizeof second);
  return out;
}
FH_NEON dot_sum dot_zero(void) { return fh_v_zero(); }
FH_NEON dot_sum dot_step(dot_sum sum, dot_words x, dot_weights w) { return fh_v_fma(x.second, w.second, fh_v_fma(x.first, w.first, sum)); }
FH_NEON dot_sum dot_step_by(dot_sum sum, dot_word x, dot_weights w) {
  return fh_v_fma_by(x.second, w.second, fh_v_fma_by(x.first, w.first, sum));
}
FH_NEON fh_vf dot_result(dot_sum sum) { return sum; }
FH_NEON void dot_store(void *p, dot_sum sum) { fh_v_store(p, sum); }

#define FH_DOT_ENTRY fh_matmul_bf16_neon
#define FH_DOT_SCRATCH fh_matmul_bf16_scratch_neon
#include "kernels/tile/dot_product.h"
