/* The vector operations of the tile kernels on NEON for doubles: what assign_simd.h needs, names as in simd_avx512.h.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A vector is two registers of two lanes, for the reason that simd_neon.h has. Lanes of whole numbers are as wide as those of reals in a
 * register and 32 bits wide in memory. */
#ifndef FOGHORN_KERNELS_TILE_SIMD_NEON_F64_H_
#define FOGHORN_KERNELS_TILE_SIMD_NEON_F64_H_

#include <arm_neon.h>
#include <string.h>

#include "kernels/element.h"

enum { FH_LANES = 4, FH_TILE_ROWS = 6 };
#define FH_TILE_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)

typedef struct fh_vf {
  float64x2_t low, high;
} fh_vf;
typedef struct fh_vi {
  int64x2_t low, high;
} fh_vi;
/* A mask knows how many of its first lanes are set where fh_vm_first made it: loads go by the number. */
typedef struct fh_vm {
  uint64x2_t low, high;
  int count;
} fh_vm;

#define FH_NEON static inline __attribute__((always_inline))

/* ---- one register -------------------------------------------------------------------------------- */

FH_NEON float64x2_t fh_q_load(const void *p) {
  float64x2_t v;
  memcpy(&v, p, sizeof v);
  return v;
}
FH_NEON void fh_q_store(void *p, float64x2_t v) { memcpy(p, &v, sizeof v); }

/* The first `count` lanes, 0 to 2, and zeros: no other memory is touched. */
FH_NEON float64x2_t fh_q_load_first(const void *p, int count) {
  double single;
  if (count >= 2) return fh_q_load(p);
  if (count <= 0) return vdupq_n_f64(0);
  memcpy(&single, p, sizeof single);
  return vsetq_lane_f64(single, vdupq_n_f64(0), 0);
}
FH_NEON void fh_q_store_first(void *p, float64x2_t v, int count) {
  const double single = vgetq_lane_f64(v, 0);
  if (count >= 2)
    fh_q_store(p, v);
  else if (count == 1)
    memcpy(p, &single, sizeof single);
}

/* sum + x b, by element: see simd_neon.h. */
FH_NEON float64x2_t fh_q_fma_by(double x, float64x2_t b, float64x2_t sum) {
  __asm__("fmla %0.2d, %1.2d, %2.d[0]" : "+w"(sum) : "w"(b), "w"(x));
  return sum;
}

/* ---- vectors ------------------------------------------------------------------------------------- */

FH_NEON fh_vf fh_v_set1(double x) { return (fh_vf){vdupq_n_f64(x), vdupq_n_f64(x)}; }
FH_NEON fh_vf fh_v_zero(void) { return fh_v_set1(0); }
FH_NEON fh_vf fh_v_load(const void *p) { return (fh_vf){fh_q_load(p), fh_q_load((const char *)p + 16)}; }
FH_NEON void fh_v_store(void *p, fh_vf v) {
  fh_q_store(p, v.low);
  fh_q_store((char *)p + 16, v.high);
}
FH_NEON fh_vf fh_v_fma(fh_vf a, fh_vf b, fh_vf c) { return (fh_vf){vfmaq_f64(c.low, a.low, b.low), vfmaq_f64(c.high, a.high, b.high)}; }
FH_NEON fh_vf fh_v_fma_by(double x, fh_vf b, fh_vf c) { return (fh_vf){fh_q_fma_by(x, b.low, c.low), fh_q_fma_by(x, b.high, c.high)}; }
FH_NEON fh_vf fh_v_add(fh_vf a, fh_vf b) { return (fh_vf){vaddq_f64(a.low, b.low), vaddq_f64(a.high, b.high)}; }
FH_NEON fh_vf fh_v_sub(fh_vf a, fh_vf b) { return (fh_vf){vsubq_f64(a.low, b.low), vsubq_f64(a.high, b.high)}; }
FH_NEON fh_vf fh_v_mul(fh_vf a, fh_vf b) { return (fh_vf){vmulq_f64(a.low, b.low), vmulq_f64(a.high, b.high)}; }
/* False where either is NaN. */
FH_NEON fh_vm fh_v_less(fh_vf a, fh_vf b) { return (fh_vm){.low = vcltq_f64(a.low, b.low), .high = vcltq_f64(a.high, b.high)}; }
/* The second operand where either is NaN, unlike fmin and fmax. */
FH_NEON fh_vf fh_v_min(fh_vf a, fh_vf b) {
  const fh_vm less = fh_v_less(a, b);
  return (fh_vf){vbslq_f64(less.low, a.low, b.low), vbslq_f64(less.high, a.high, b.high)};
}
FH_NEON fh_vf fh_v_max(fh_vf a, fh_vf b) {
  const fh_vm more = fh_v_less(b, a);
  return (fh_vf){vbslq_f64(more.low, a.low, b.low), vbslq_f64(more.high, a.high, b.high)};
}
FH_NEON fh_vi fh_vi_set1(int32_t x) { return (fh_vi){vdupq_n_s64(x), vdupq_n_s64(x)}; }
FH_NEON void fh_vi_store(void *p, fh_vi v) {
  const int32x4_t narrow = vcombine_s32(vmovn_s64(v.low), vmovn_s64(v.high));
  memcpy(p, &narrow, sizeof narrow);
}
FH_NEON fh_vi fh_vi_select(fh_vm m, fh_vi yes, fh_vi no) {
  return (fh_vi){vbslq_s64(m.low, yes.low, no.low), vbslq_s64(m.high, yes.high, no.high)};
}

/* The first `count` lanes, 0 <= count <= FH_LANES. */
FH_NEON fh_vm fh_vm_first(int count) {
  static const int64_t lane[FH_LANES] = {0, 1, 2, 3};
  const int64x2_t all = vdupq_n_s64(count);
  return (fh_vm){vcltq_s64(vld1q_s64(lane), all), vcltq_s64(vld1q_s64(lane + 2), all), count};
}
/* Lanes out of a mask of fh_vm_first are zero and their memory is not touched. */
FH_NEON fh_vf fh_v_load_masked(const void *p, fh_vm m) {
  if (m.count <= 2) return (fh_vf){fh_q_load_first(p, m.count), vdupq_n_f64(0)};
  return (fh_vf){fh_q_load(p), fh_q_load_first((const char *)p + 16, m.count - 2)};
}
FH_NEON void fh_v_store_first(void *p, fh_vf v, int count) {
  fh_q_store_first(p, v.low, count);
  if (count > 2) fh_q_store_first((char *)p + 16, v.high, count - 2);
}

/* Lane i is the sum of the lanes of v[i]. */
FH_NEON fh_vf fh_v_sum_each(const fh_vf v[static 4]) {
  return (fh_vf){vpaddq_f64(vaddq_f64(v[0].low, v[0].high), vaddq_f64(v[1].low, v[1].high)),
                 vpaddq_f64(vaddq_f64(v[2].low, v[2].high), vaddq_f64(v[3].low, v[3].high))};
}

/* ---- turned loads -------------------------------------------------------------------------------- */

/* Lane i of vector j from line i, place j. */
enum { FH_TURN = FH_LANES };
typedef fh_vf fh_vt;
FH_NEON fh_vt fh_t_zero(void) { return fh_v_zero(); }
FH_NEON void fh_t_store(void *p, fh_vt v) { fh_v_store(p, v); }
/* The first `count` lanes, 1 to 4. */
FH_NEON void fh_t_store_first(void *p, fh_vt v, int count) { fh_v_store_first(p, v, count); }

/* v[i] lane j <-> v[j] lane i: four blocks of 2 x 2. */
FH_NEON void fh_v_transpose(fh_vf v[static 4]) {
  const fh_vf a = v[0], b = v[1], c = v[2], d = v[3];
  v[0] = (fh_vf){vtrn1q_f64(a.low, b.low), vtrn1q_f64(c.low, d.low)};
  v[1] = (fh_vf){vtrn2q_f64(a.low, b.low), vtrn2q_f64(c.low, d.low)};
  v[2] = (fh_vf){vtrn1q_f64(a.high, b.high), vtrn1q_f64(c.high, d.high)};
  v[3] = (fh_vf){vtrn2q_f64(a.high, b.high), vtrn2q_f64(c.high, d.high)};
}
FH_NEON void fh_t_load(const fh_element_any *p, int64_t line, fh_vt out[static 4]) {
#pragma GCC unroll 4
  for (int i = 0; i < FH_TURN; i++) out[i] = fh_v_load(p + i * line);
  fh_v_transpose(out);
}
/* Only `lines` lines of `places` places, 1 to 4 each, are touched; the other lanes are zero. */
static inline void fh_t_load_part(const fh_element_any *p, int64_t line, int lines, int places, fh_vt out[static 4]) {
  const fh_vm mask = fh_vm_first(places);
#pragma GCC unroll 4
  for (int i = 0; i < FH_TURN; i++) out[i] = i < lines ? fh_v_load_masked(p + i * line, mask) : fh_t_zero();
  fh_v_transpose(out);
}

#endif /* FOGHORN_KERNELS_TILE_SIMD_NEON_F64_H_ */
