/* permute for NEON: blocks of 8 x 8 in two registers a row. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/permute/permute.h"

#include "kernels/tile/simd_neon.h"

enum { LANES = 8 };
typedef fh_vf lanes;

FH_NEON lanes load(const fh_f32_any *p) { return fh_v_load(p); }
FH_NEON void store(fh_f32_any *p, lanes v) { fh_v_store(p, v); }
/* The only store with a hint is that of a pair. */
FH_NEON void stream(fh_f32_any *p, lanes v) {
  typedef struct bytes {
    char each[sizeof(lanes)];
  } bytes;
  bytes *to = (bytes *)(void *)p;
  __asm__("stnp %q1, %q2, [%3]" : "=m"(*to) : "w"(v.low), "w"(v.high), "r"(p));
}
FH_NEON void turn_square(lanes v[static LANES]) { fh_v_transpose(v); }

/* Four floats each of lines 0 and 4. */
FH_NEON lanes load_quads(const fh_f32_any *p, int64_t line) { return (lanes){fh_q_load(p), fh_q_load(p + 4 * line)}; }
FH_NEON void store_quads(fh_f32_any *p, int64_t line, lanes v) {
  fh_q_store(p, v.low);
  fh_q_store(p + 4 * line, v.high);
}
/* 4 x 4 in each half */
FH_NEON void turn_quads(lanes v[static 4]) {
  float32x4_t low[4] = {v[0].low, v[1].low, v[2].low, v[3].low}, high[4] = {v[0].high, v[1].high, v[2].high, v[3].high};
  float32x4_t low_turned[4], high_turned[4];
  fh_q_turn(low, low_turned);
  fh_q_turn(high, high_turned);
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) v[i] = (lanes){low_turned[i], high_turned[i]};
}
/* What stream_lines turns at a time. */
FH_NEON void turn_rows(lanes v[static 4]) { turn_quads(v); }
/* From lane `from` of the first on. */
FH_NEON lanes cut_out(const float *first, const float *second, int from) {
  static const uint8_t byte[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const uint8x16_t low = vaddq_u8(vld1q_u8(byte), vdupq_n_u8((uint8_t)(4 * from))), high = vaddq_u8(low, vdupq_n_u8(16));
  const lanes a = fh_v_load(first), b = fh_v_load(second);
  const uint8x16x4_t both = {
      {vreinterpretq_u8_f32(a.low), vreinterpretq_u8_f32(a.high), vreinterpretq_u8_f32(b.low), vreinterpretq_u8_f32(b.high)}};
  return (lanes){vreinterpretq_f32_u8(vqtbl4q_u8(both, low)), vreinterpretq_f32_u8(vqtbl4q_u8(both, high))};
}

FH_NEON void weave2(lanes v[static 2]) {
  const lanes a = v[0], b = v[1];
  v[0] = (lanes){vzip1q_f32(a.low, b.low), vzip2q_f32(a.low, b.low)};
  v[1] = (lanes){vzip1q_f32(a.high, b.high), vzip2q_f32(a.high, b.high)};
}
FH_NEON void unweave2(lanes v[static 2]) {
  const lanes a = v[0], b = v[1];
  v[0] = (lanes){vuzp1q_f32(a.low, a.high), vuzp1q_f32(b.low, b.high)};
  v[1] = (lanes){vuzp2q_f32(a.low, a.high), vuzp2q_f32(b.low, b.high)};
}

/* Four numbers of twelve: number k of the result is number of[k] of a, b and c. */
#define PICK(of0, of1, of2, of3)                                                                                   \
  {4 * (of0), 4 * (of0) + 1, 4 * (of0) + 2, 4 * (of0) + 3, 4 * (of1), 4 * (of1) + 1, 4 * (of1) + 2, 4 * (of1) + 3, \
   4 * (of2), 4 * (of2) + 1, 4 * (of2) + 2, 4 * (of2) + 3, 4 * (of3), 4 * (of3) + 1, 4 * (of3) + 2, 4 * (of3) + 3}
FH_NEON float32x4_t pick(float32x4_t a, float32x4_t b, float32x4_t c, const uint8_t bytes[static 16]) {
  const uint8x16x3_t all = {{vreinterpretq_u8_f32(a), vreinterpretq_u8_f32(b), vreinterpretq_u8_f32(c)}};
  return vreinterpretq_f32_u8(vqtbl3q_u8(all, vld1q_u8(bytes)));
}
FH_NEON void weave3(lanes v[static 3]) {
  static const uint8_t to[3][16] = {PICK(0, 4, 8, 1), PICK(5, 9, 2, 6), PICK(10, 3, 7, 11)};
  const lanes a = v[0], b = v[1], c = v[2];
  v[0] = (lanes){pick(a.low, b.low, c.low, to[0]), pick(a.low, b.low, c.low, to[1])};
  v[1] = (lanes){pick(a.low, b.low, c.low, to[2]), pick(a.high, b.high, c.high, to[0])};
  v[2] = (lanes){pick(a.high, b.high, c.high, to[1]), pick(a.high, b.high, c.high, to[2])};
}
FH_NEON void unweave3(lanes v[static 3]) {
  static const uint8_t from[3][16] = {PICK(0, 3, 6, 9), PICK(1, 4, 7, 10), PICK(2, 5, 8, 11)};
  const lanes a = v[0], b = v[1], c = v[2];
#pragma GCC unroll 3
  for (int i = 0; i < 3; i++) v[i] = (lanes){pick(a.low, a.high, b.low, from[i]), pick(b.high, c.low, c.high, from[i])};
}

typedef lanes eight;
typedef float32x4_t four;
FH_NEON eight load_eight(const fh_f32_any *p) { return load(p); }
FH_NEON void store_eight(fh_f32_any *p, eight v) { store(p, v); }
FH_NEON four load_four(const fh_f32_any *p) { return fh_q_load(p); }
FH_NEON void store_four(fh_f32_any *p, four v) { fh_q_store(p, v); }
FH_NEON void turn_quad(four v[static 4]) {
  const four rows[4] = {v[0], v[1], v[2], v[3]};
  fh_q_turn(rows, v);
}
/* A store with a hint is ordered like any other, and whoever tells that this is done orders those. */
FH_NEON void end_stream(void) {}

#define FH_PERMUTE_RUN fh_permute_neon
#include "kernels/permute/permute_simd.h"
