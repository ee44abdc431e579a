/* Filters of few inputs a result, from shared memory: four neighbouring results of a thread, or twice four, and the same order of sums as
 * in the kernels' texts. SPDX-License-Identifier: Apache-2.0
 *
 * Result o is the sum over j of weights[j] line[o + j]. Of four results and four taps a thread needs seven samples: it keeps four of
 * them from the taps before, and 32 operations cost a load of 16 bytes of samples and one of weights, which a warp reads together. Lines
 * and weights lie on boundaries of 16 bytes and may be read three numbers past their ends. */
#ifndef FOGHORN_KERNELS_BLOCK_TAPS_H_
#define FOGHORN_KERNELS_BLOCK_TAPS_H_

FH_INLINE float fh_taps_add(float sum, float weight, float sample) { return fh_add_u(sum, fh_mul_u(weight, sample)); }

/* One tap of four results. */
FH_INLINE void fh_taps_one(float sums[4], float weight, float a, float b, float c, float d) {
  sums[0] = fh_taps_add(sums[0], weight, a);
  sums[1] = fh_taps_add(sums[1], weight, b);
  sums[2] = fh_taps_add(sums[2], weight, c);
  sums[3] = fh_taps_add(sums[3], weight, d);
}

/* Four taps of four results, from the samples p and those behind them, n. */
FH_INLINE void fh_taps_four(float sums[4], fh_f32x4 w, fh_f32x4 p, fh_f32x4 n) {
  fh_taps_one(sums, w.x, p.x, p.y, p.z, p.w);
  fh_taps_one(sums, w.y, p.y, p.z, p.w, n.x);
  fh_taps_one(sums, w.z, p.z, p.w, n.x, n.y);
  fh_taps_one(sums, w.w, p.w, n.x, n.y, n.z);
}

/* The last taps, fewer than four. */
FH_INLINE void fh_taps_rest(float sums[4], fh_f32x4 w, fh_f32x4 p, fh_f32x4 n, int taps) {
  if (taps > 0) fh_taps_one(sums, w.x, p.x, p.y, p.z, p.w);
  if (taps > 1) fh_taps_one(sums, w.y, p.y, p.z, p.w, n.x);
  if (taps > 2) fh_taps_one(sums, w.z, p.z, p.w, n.x, n.y);
}

/* Adds to sums[0 ... 3] the results of `line`, and to sums[4 ... 7], where `fours` is 2, those `apart` numbers further on. */
FH_INLINE void fh_taps_run(int fours, const fh_local float *line, int apart, const fh_local float *weights, int taps, float sums[8]) {
  fh_f32x4 p[2];
  FH_UNROLL for (int i = 0; i < fours; i++) p[i] = fh_load4(line + i * apart);
  int j = 0;
  FH_UNROLL_2 for (; j + 4 <= taps; j += 4) {
    const fh_f32x4 w = fh_load4(weights + j);
    FH_UNROLL for (int i = 0; i < fours; i++) {
      const fh_f32x4 n = fh_load4(line + i * apart + j + 4);
      fh_taps_four(sums + 4 * i, w, p[i], n);
      p[i] = n;
    }
  }
  if (j == taps) return;
  const fh_f32x4 w = fh_load4(weights + j);
  FH_UNROLL for (int i = 0; i < fours; i++) fh_taps_rest(sums + 4 * i, w, p[i], fh_load4(line + i * apart + j + 4), taps - j);
}

/* Four results to shared memory, on a boundary of 16 bytes. */
FH_INLINE void fh_taps_put(fh_local float *to, const float sums[4]) {
  fh_f32x4 v;
  v.x = sums[0], v.y = sums[1], v.z = sums[2], v.w = sums[3];
  *(fh_local fh_f32x4 *)to = v;
}

#endif /* FOGHORN_KERNELS_BLOCK_TAPS_H_ */
