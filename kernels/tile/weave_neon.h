/* Rows of narrow elements woven into words with NEON. SPDX-License-Identifier: Apache-2.0
 *
 * Included by pack_words.h. */
#ifndef FOGHORN_KERNELS_TILE_WEAVE_NEON_H_
#define FOGHORN_KERNELS_TILE_WEAVE_NEON_H_

typedef fh_vf fh_vw;
static inline void fh_w_store(void *p, fh_vw words) { fh_v_store(p, words); }

/* Eight elements of 16 bits of two lines, in turns. */
FH_NEON fh_vw fh_w_zip(uint16x8_t a, uint16x8_t b) {
  return (fh_vw){vreinterpretq_f32_u16(vzip1q_u16(a, b)), vreinterpretq_f32_u16(vzip2q_u16(a, b))};
}

FH_NEON void fh_interleave(fh_vw out[4], const char *const rows[FH_GROUP]) {
#if FH_ELEMENT == 1
#define FH_ROW(i) vreinterpretq_u8_f32(fh_q_load(rows[i] + 16 * half))
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++) {
    const uint8x16_t r0 = FH_ROW(0), r1 = FH_ROW(1), r2 = FH_ROW(2), r3 = FH_ROW(3);
    out[2 * half] = fh_w_zip(vreinterpretq_u16_u8(vzip1q_u8(r0, r1)), vreinterpretq_u16_u8(vzip1q_u8(r2, r3)));
    out[2 * half + 1] = fh_w_zip(vreinterpretq_u16_u8(vzip2q_u8(r0, r1)), vreinterpretq_u16_u8(vzip2q_u8(r2, r3)));
  }
#else
#define FH_ROW(i) vreinterpretq_u16_f32(fh_q_load(rows[i] + 16 * quarter))
#pragma GCC unroll 4
  for (int quarter = 0; quarter < 4; quarter++) out[quarter] = fh_w_zip(FH_ROW(0), FH_ROW(1));
#endif
#undef FH_ROW
}

#endif /* FOGHORN_KERNELS_TILE_WEAVE_NEON_H_ */
