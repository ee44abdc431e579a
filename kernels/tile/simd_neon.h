/* The vector operations of the tile kernels on NEON; names as in simd_avx512.h. SPDX-License-Identifier: Apache-2.0
 *
 * A vector is two registers of four lanes: NEON's 32 registers of 128 bits hold what AVX2's 16 of 256 do, and tiles that fill the one
 * file fill the other. So a product's tile has 6 rows of 16 columns: 24 sums, 4 registers of B and one element of A at a time, which
 * needs 10 loads for 24 multiplications, 6 of them single numbers that lie anywhere. 8 rows of 12 would need 11, and A packed.
 */
#ifndef FOGHORN_KERNELS_TILE_SIMD_NEON_H_
#define FOGHORN_KERNELS_TILE_SIMD_NEON_H_

#include <arm_neon.h>
#include <string.h>

#include "kernels/unaligned.h"

enum { FH_LANES = 8, FH_TILE_ROWS = 6 };
#define FH_TILE_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
/* The same from one row on. */
#define FH_TILE_EACH_HEIGHT(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)

typedef struct fh_vf {
  float32x4_t low, high;
} fh_vf;
typedef struct fh_vi {
  int32x4_t low, high;
} fh_vi;
/* A mask knows how many of its first lanes are set where fh_vm_first made it: loads go by the number. */
typedef struct fh_vm {
  uint32x4_t low, high;
  int count;
} fh_vm;

#define FH_NEON static inline __attribute__((always_inline))

/* ---- one register -------------------------------------------------------------------------------- */

FH_NEON float32x4_t fh_q_load(const void *p) {
  float32x4_t v;
  memcpy(&v, p, sizeof v);
  return v;
}
FH_NEON void fh_q_store(void *p, float32x4_t v) { memcpy(p, &v, sizeof v); }

/* The first `count` lanes, 0 to 4, and zeros: no other memory is touched. There are no loads with a mask; a count that stays the same
 * from load to load costs branches that are foreseen. */
FH_NEON float32x4_t fh_q_load_first(const void *p, int count) {
  const char *in = p;
  float single;
  float32x2_t pair;
  if (count >= 4) return fh_q_load(p);
  if (count <= 0) return vdupq_n_f32(0);
  if (count == 1) {
    memcpy(&single, in, sizeof single);
    return vsetq_lane_f32(single, vdupq_n_f32(0), 0);
  }
  memcpy(&pair, in, sizeof pair);
  const float32x4_t two = vcombine_f32(pair, vdup_n_f32(0));
  if (count == 2) return two;
  memcpy(&single, in + 8, sizeof single);
  return vsetq_lane_f32(single, two, 2);
}
FH_NEON void fh_q_store_first(void *p, float32x4_t v, int count) {
  char *out = p;
  if (count >= 4) {
    fh_q_store(p, v);
    return;
  }
  if (count & 2) {
    const float32x2_t pair = vget_low_f32(v);
    memcpy(out, &pair, sizeof pair);
    v = vextq_f32(v, v, 2);
    out += sizeof pair;
  }
  if (count & 1) {
    const float single = vgetq_lane_f32(v, 0);
    memcpy(out, &single, sizeof single);
  }
}

/* sum + x b. By element, and said so to the assembler: from intrinsics gcc 12 spreads x over a register first, which costs a
 * multiplication's place for every row of a tile. */
FH_NEON float32x4_t fh_q_fma_by(float x, float32x4_t b, float32x4_t sum) {
  __asm__("fmla %0.4s, %1.4s, %2.s[0]" : "+w"(sum) : "w"(b), "w"(x));
  return sum;
}

/* Lane i of out[j] is lane j of in[i]. */
FH_NEON void fh_q_turn(const float32x4_t in[static 4], float32x4_t out[static 4]) {
  const float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(in[0], in[1])), b = vreinterpretq_f64_f32(vtrn2q_f32(in[0], in[1]));
  const float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(in[2], in[3])), d = vreinterpretq_f64_f32(vtrn2q_f32(in[2], in[3]));
  out[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
  out[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
  out[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
  out[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}

/* ---- vectors ------------------------------------------------------------------------------------- */

FH_NEON fh_vf fh_v_set1(float x) { return (fh_vf){vdupq_n_f32(x), vdupq_n_f32(x)}; }
FH_NEON fh_vf fh_v_zero(void) { return fh_v_set1(0); }
FH_NEON fh_vf fh_v_load(const void *p) { return (fh_vf){fh_q_load(p), fh_q_load((const char *)p + 16)}; }
FH_NEON void fh_v_store(void *p, fh_vf v) {
  fh_q_store(p, v.low);
  fh_q_store((char *)p + 16, v.high);
}
FH_NEON fh_vf fh_v_fma(fh_vf a, fh_vf b, fh_vf c) { return (fh_vf){vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)}; }
FH_NEON fh_vf fh_v_fma_by(float x, fh_vf b, fh_vf c) { return (fh_vf){fh_q_fma_by(x, b.low, c.low), fh_q_fma_by(x, b.high, c.high)}; }
FH_NEON fh_vf fh_v_add(fh_vf a, fh_vf b) { return (fh_vf){vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
FH_NEON fh_vf fh_v_sub(fh_vf a, fh_vf b) { return (fh_vf){vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
FH_NEON fh_vf fh_v_mul(fh_vf a, fh_vf b) { return (fh_vf){vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
/* False where either is NaN. */
FH_NEON fh_vm fh_v_less(fh_vf a, fh_vf b) { return (fh_vm){.low = vcltq_f32(a.low, b.low), .high = vcltq_f32(a.high, b.high)}; }
/* The second operand where either is NaN, unlike fmin and fmax. */
FH_NEON fh_vf fh_v_min(fh_vf a, fh_vf b) {
  const fh_vm less = fh_v_less(a, b);
  return (fh_vf){vbslq_f32(less.low, a.low, b.low), vbslq_f32(less.high, a.high, b.high)};
}
FH_NEON fh_vf fh_v_max(fh_vf a, fh_vf b) {
  const fh_vm more = fh_v_less(b, a);
  return (fh_vf){vbslq_f32(more.low, a.low, b.low), vbslq_f32(more.high, a.high, b.high)};
}
FH_NEON fh_vi fh_vi_set1(int32_t x) { return (fh_vi){vdupq_n_s32(x), vdupq_n_s32(x)}; }
FH_NEON void fh_vi_store(void *p, fh_vi v) { fh_v_store(p, (fh_vf){vreinterpretq_f32_s32(v.low), vreinterpretq_f32_s32(v.high)}); }
FH_NEON fh_vi fh_vi_select(fh_vm m, fh_vi yes, fh_vi no) {
  return (fh_vi){vbslq_s32(m.low, yes.low, no.low), vbslq_s32(m.high, yes.high, no.high)};
}

/* The first `count` lanes, 0 <= count <= FH_LANES. */
FH_NEON fh_vm fh_vm_first(int count) {
  static const int32_t lane[FH_LANES] = {0, 1, 2, 3, 4, 5, 6, 7};
  const int32x4_t all = vdupq_n_s32(count);
  return (fh_vm){vcltq_s32(vld1q_s32(lane), all), vcltq_s32(vld1q_s32(lane + 4), all), count};
}
/* Bit i: lane i is set. */
FH_NEON uint32_t fh_vm_bits(fh_vm m) {
  static const uint32_t bit[FH_LANES] = {1, 2, 4, 8, 16, 32, 64, 128};
  return vaddvq_u32(vorrq_u32(vandq_u32(m.low, vld1q_u32(bit)), vandq_u32(m.high, vld1q_u32(bit + 4))));
}
/* Lanes out of a mask of fh_vm_first are zero and their memory is not touched. */
FH_NEON fh_vf fh_v_load_masked(const void *p, fh_vm m) {
  if (m.count <= 4) return (fh_vf){fh_q_load_first(p, m.count), vdupq_n_f32(0)};
  return (fh_vf){fh_q_load(p), fh_q_load_first((const char *)p + 16, m.count - 4)};
}
FH_NEON void fh_v_store_first(void *p, fh_vf v, int count) {
  fh_q_store_first(p, v.low, count);
  if (count > 4) fh_q_store_first((char *)p + 16, v.high, count - 4);
}

/* Half a vector: what is left of a row need not cost a whole one. */
enum { FH_HALF = FH_LANES / 2, FH_MASKED_LOAD = 0, FH_MASKED_STORE = 0 };
typedef float32x4_t fh_vh;
FH_NEON fh_vh fh_h_zero(void) { return vdupq_n_f32(0); }
FH_NEON fh_vh fh_h_fma_by(float x, fh_vh b, fh_vh c) { return fh_q_fma_by(x, b, c); }
FH_NEON fh_vh fh_h_add(fh_vh a, fh_vh b) { return vaddq_f32(a, b); }
FH_NEON fh_vh fh_h_load_masked(const void *p, fh_vm m) { return fh_q_load_first(p, m.count); }
FH_NEON void fh_h_store(void *p, fh_vh v) { fh_q_store(p, v); }
FH_NEON void fh_h_store_first(void *p, fh_vh v, int count) { fh_q_store_first(p, v, count); }

/* Lane i is the sum of the lanes of v[i]. */
FH_NEON fh_vf fh_v_sum_each(const fh_vf v[static 8]) {
  float32x4_t two[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) two[i] = vpaddq_f32(vaddq_f32(v[2 * i].low, v[2 * i].high), vaddq_f32(v[2 * i + 1].low, v[2 * i + 1].high));
  return (fh_vf){vpaddq_f32(two[0], two[1]), vpaddq_f32(two[2], two[3])};
}

/* ---- turned loads -------------------------------------------------------------------------------- */

/* Lane i of vector j from line i, place j. */
enum { FH_TURN = FH_LANES };
typedef fh_vf fh_vt;
FH_NEON fh_vt fh_t_zero(void) { return fh_v_zero(); }
FH_NEON fh_vt fh_t_fma(fh_vt a, fh_vt b, fh_vt c) { return fh_v_fma(a, b, c); }
FH_NEON fh_vt fh_t_fma_by(float x, fh_vt b, fh_vt c) { return fh_v_fma_by(x, b, c); }
FH_NEON void fh_t_store(void *p, fh_vt v) { fh_v_store(p, v); }
/* The first `count` lanes, 1 to 8. */
FH_NEON void fh_t_store_first(void *p, fh_vt v, int count) { fh_v_store_first(p, v, count); }

/* v[i] lane j <-> v[j] lane i: four blocks of 4 x 4. */
FH_NEON void fh_v_transpose(fh_vf v[static 8]) {
  float32x4_t from[4], to[4][4]; /* places of the left or right half, lines of the upper or lower */
#pragma GCC unroll 4
  for (int b = 0; b < 4; b++) {
    const int line = b / 2 * 4;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) from[i] = b % 2 ? v[line + i].high : v[line + i].low;
    fh_q_turn(from, to[b]);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++) {
    v[j] = (fh_vf){to[0][j], to[2][j]};
    v[4 + j] = (fh_vf){to[1][j], to[3][j]};
  }
}
FH_NEON void fh_t_load(const fh_f32_any *p, int64_t line, fh_vt out[static 8]) {
#pragma GCC unroll 8
  for (int i = 0; i < FH_TURN; i++) out[i] = fh_v_load(p + i * line);
  fh_v_transpose(out);
}
/* Only `lines` lines of `places` places, 1 to 8 each, are touched; the other lanes are zero. */
static inline void fh_t_load_part(const fh_f32_any *p, int64_t line, int lines, int places, fh_vt out[static 8]) {
  const fh_vm mask = fh_vm_first(places);
#pragma GCC unroll 8
  for (int i = 0; i < FH_TURN; i++) out[i] = i < lines ? fh_v_load_masked(p + i * line, mask) : fh_t_zero();
  fh_v_transpose(out);
}

#endif /* FOGHORN_KERNELS_TILE_SIMD_NEON_H_ */
