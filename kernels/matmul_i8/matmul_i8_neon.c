/* matmul_i8 for NEON alone: bytes become 16-bit numbers, whose products are summed in 32 bits, four to an instruction. Products of 8-bit
 * numbers would take as many: a sum of two of them does not fit 16 bits. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_neon.h"

#include "kernels/matmul_i8/matmul_i8.h"

#define FH_ELEMENT 1
#include "kernels/tile/dot_neon.h"

/* Eight words by their elements: the first of each, the second, ... */
typedef struct dot_elements {
  int16x8_t e0, e1, e2, e3;
} dot_words, dot_weights;
typedef int16x4_t dot_word;
typedef fh_vi dot_sum;

FH_NEON uint8x16x2_t part_elements(fh_vf raw) {
  const uint8x16_t low = vreinterpretq_u8_f32(raw.low), high = vreinterpretq_u8_f32(raw.high);
  const uint8x16_t even = vuzp1q_u8(low, high), odd = vuzp2q_u8(low, high);
  return (uint8x16x2_t){{vuzp1q_u8(even, odd), vuzp2q_u8(even, odd)}}; /* 0 and 1, 2 and 3 */
}
FH_NEON int16x8_t wide_unsigned(uint8x8_t bytes) { return vreinterpretq_s16_u16(vmovl_u8(bytes)); }
FH_NEON int16x8_t wide_signed(uint8x8_t bytes) { return vmovl_s8(vreinterpret_s8_u8(bytes)); }
FH_NEON dot_words dot_spread(fh_vf raw) {
  const uint8x16x2_t x = part_elements(raw);
  return (dot_words){wide_unsigned(vget_low_u8(x.val[0])), wide_unsigned(vget_high_u8(x.val[0])), wide_unsigned(vget_low_u8(x.val[1])),
                     wide_unsigned(vget_high_u8(x.val[1]))};
}
FH_NEON dot_weights dot_split(fh_vf raw) {
  const uint8x16x2_t x = part_elements(raw);
  return (dot_weights){wide_signed(vget_low_u8(x.val[0])), wide_signed(vget_high_u8(x.val[0])), wide_signed(vget_low_u8(x.val[1])),
                       wide_signed(vget_high_u8(x.val[1]))};
}
FH_NEON dot_word dot_broadcast(int32_t word) { return vget_low_s16(wide_unsigned(vcreate_u8((uint32_t)word))); }
FH_NEON dot_sum dot_zero(void) { return fh_vi_set1(0); }

FH_NEON fh_vi add_products(fh_vi sum, int16x8_t x, int16x8_t w) {
  return (fh_vi){vmlal_s16(sum.low, vget_low_s16(x), vget_low_s16(w)), vmlal_high_s16(sum.high, x, w)};
}
FH_NEON dot_sum dot_step(dot_sum sum, dot_words x, dot_weights w) {
  return add_products(add_products(add_products(add_products(sum, x.e0, w.e0), x.e1, w.e1), x.e2, w.e2), x.e3, w.e3);
}
#define FH_ADD_BY(sum, x, e, w) ((fh_vi){vmlal_lane_s16((sum).low, vget_low_s16(w), x, e), vmlal_high_lane_s16((sum).high, w, x, e)})
FH_NEON dot_sum dot_step_by(dot_sum sum, dot_word x, dot_weights w) {
  sum = FH_ADD_BY(sum, x, 0, w.e0);
  sum = FH_ADD_BY(sum, x, 1, w.e1);
  sum = FH_ADD_BY(sum, x, 2, w.e2);
  return FH_ADD_BY(sum, x, 3, w.e3);
}
#undef FH_ADD_BY
FH_NEON fh_vf dot_result(dot_sum sum) { return (fh_vf){vreinterpretq_f32_s32(sum.low), vreinterpretq_f32_s32(sum.high)}; }
FH_NEON void dot_store(void *p, dot_sum sum) { fh_v_store(p, dot_result(sum)); }

#define FH_DOT_ENTRY fh_matmul_i8_neon
#define FH_DOT_SCRATCH fh_matmul_i8_scratch_neon
#include "kernels/tile/dot_product.h"
