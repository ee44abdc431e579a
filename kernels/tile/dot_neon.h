/* Tiles of dot_product.h in NEON registers. SPDX-License-Identifier: Apache-2.0
 *
 * Where an extension sums the products of a word in one instruction, FH_DOT_STEP and FH_DOT_STEP_BY are that instruction, of whole
 * vectors and by an element of A: %0 is the sum, %1 words of B, %2 of A. Then a tile has 6 rows of 16 columns, as in simd_neon.h. Without
 * them, words and their products come from the file that includes this, and tiles have 4 rows: a word of B takes two registers or four.
 */
#ifndef FOGHORN_KERNELS_TILE_DOT_NEON_H_
#define FOGHORN_KERNELS_TILE_DOT_NEON_H_

#include "kernels/tile/simd_neon.h"

#define FH_DOT_BY_ELEMENT 1
#define FH_DOT_VECTORS 2
#define FH_DOT_SUMS 4
#define FH_DOT_MOST 8

FH_NEON fh_vf dot_join(const fh_vf quarters[4], int v) { return quarters[v]; }

#if FH_ELEMENT == 1
FH_NEON float32x4_t dot_q_add(float32x4_t a, float32x4_t b) {
  return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), vreinterpretq_s32_f32(b)));
}
FH_NEON fh_vf dot_add(fh_vf a, fh_vf b) { return (fh_vf){dot_q_add(a.low, b.low), dot_q_add(a.high, b.high)}; }
#else
FH_NEON fh_vf dot_add(fh_vf a, fh_vf b) { return fh_v_add(a, b); }
#endif

#if defined(FH_DOT_STEP)

#define FH_DOT_ROWS FH_TILE_ROWS
#define FH_DOT_EACH_ROW FH_TILE_EACH_ROW
#define FH_DOT_TILES FH_TILE_EACH_HEIGHT
#define FH_DOT_TILE_SETS TILE_SET(1), TILE_SET(2), TILE_SET(3), TILE_SET(4), TILE_SET(5), TILE_SET(6)

/* Registers, whatever is in them. */
typedef fh_vf dot_words, dot_weights, dot_sum;
typedef float dot_word;

FH_NEON dot_words dot_spread(fh_vf raw) { return raw; }
FH_NEON dot_word dot_broadcast(int32_t word) {
  float bits;
  memcpy(&bits, &word, sizeof bits);
  return bits;
}
FH_NEON dot_sum dot_zero(void) { return fh_v_zero(); }
FH_NEON float32x4_t dot_q_step(float32x4_t sum, float32x4_t x, float32x4_t w) {
  __asm__(FH_DOT_STEP : "+w"(sum) : "w"(w), "w"(x));
  return sum;
}
FH_NEON float32x4_t dot_q_step_by(float32x4_t sum, float x, float32x4_t w) {
  __asm__(FH_DOT_STEP_BY : "+w"(sum) : "w"(w), "w"(x));
  return sum;
}
FH_NEON dot_sum dot_step(dot_sum sum, dot_words x, dot_weights w) {
  return (dot_sum){dot_q_step(sum.low, x.low, w.low), dot_q_step(sum.high, x.high, w.high)};
}
FH_NEON dot_sum dot_step_by(dot_sum sum, dot_word x, dot_weights w) {
  return (dot_sum){dot_q_step_by(sum.low, x, w.low), dot_q_step_by(sum.high, x, w.high)};
}
FH_NEON fh_vf dot_result(dot_sum sum) { return sum; }
FH_NEON void dot_store(void *p, dot_sum sum) { fh_v_store(p, sum); }

#else

#define FH_DOT_ROWS 4
#define FH_DOT_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3)
#define FH_DOT_TILES(DO) DO(1) DO(2) DO(3) DO(4)
#define FH_DOT_TILE_SETS TILE_SET(1), TILE_SET(2), TILE_SET(3), TILE_SET(4)

#endif

#endif /* FOGHORN_KERNELS_TILE_DOT_NEON_H_ */
