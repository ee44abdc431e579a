/* The discrete Fourier transform in the dialect: 16 transforms side by side, one in each lane. SPDX-License-Identifier: Apache-2.0
 *
 * Lanes never meet, so any length n = 2^a 3^b 5^c takes the same number of vector operations per lane, and the order of the
 * arithmetic is a function of n alone. Between the passes the values lie in scratch: complex element j of all lanes is the
 * 32 floats from 32 j on, first 16 real parts. Two halves of scratch are used in turns (the self-sorting form of Stockham,
 * 1966; Swarztrauber, FFT algorithms for vector computers, 1984), with radix 4, 5, 3 and 2 decimation in frequency.
 * A real transform of even length is a complex one of half the length and a last step that takes the halves apart.
 *
 * A table holds exp(-2 pi i j / n) for j < n. No index into it depends on data. */
#ifndef FOGHORN_KERNELS_DIALECT_FFT_H_
#define FOGHORN_KERNELS_DIALECT_FFT_H_

#ifndef FOGHORN_KERNELS_DIALECT_BUTTERFLIES_H_ /* a device reads it from the text before this one */
#include "kernels/dialect/butterflies.h"
#endif

/* A table with stride `step`: real and imaginary parts in turn. */
typedef struct fh_roots {
  fh_f32_in at;
  long step;
} fh_roots;

FH_INLINE fh_roots fh_roots_of(fh_f32_in at, long step) {
  fh_roots r;
  r.at = at;
  r.step = step;
  return r;
}

FH_INLINE fh_vc fh_c_load(fh_f32_in p, long j) { return fh_c(fh_load(p, 32 * j, 1), fh_load(p, 32 * j + 16, 1)); }
FH_INLINE void fh_c_store(fh_f32_out p, long j, fh_vc v) {
  fh_store(p, 32 * j, 1, v.re);
  fh_store(p, 32 * j + 16, 1, v.im);
}
/* a times entry j of the table */
FH_INLINE fh_vc fh_c_twist(fh_vc a, fh_roots table, long j) {
  return fh_c_times(a, fh_splat(fh_get(table.at, 2 * j * table.step)), fh_splat(fh_get(table.at, (2 * j + 1) * table.step)));
}

/* One pass over n elements: butterflies of radix r of the elements q + s (p + m k), k < r, with m = n / (s r); result k, times the
 * table's entry k p t, goes to q + s (r p + k). The first butterflies (p = 0) are not twisted. */
#define FH_FFT_PASS(RADIX)                                                                               \
  FH_INLINE void fh_fft_pass##RADIX(fh_f32_in x, fh_f32_out y, long m, long s, long t, fh_roots table) { \
    const long step = s * m;                                                                             \
    for (long from = 0, to = 0; from < s; from++, to++) {                                                \
      FH_FFT_BUTTERFLY##RADIX(FH_FFT_PLAIN)                                                              \
    }                                                                                                    \
    for (long p = 1; p < m; p++) {                                                                       \
      const long j = p * t;                                                                              \
      for (long from = s * p, to = s * RADIX * p; from < s * p + s; from++, to++) {                      \
        FH_FFT_BUTTERFLY##RADIX(FH_FFT_TWISTED)                                                          \
      }                                                                                                  \
    }                                                                                                    \
  }
#define FH_FFT_PLAIN(K, V) fh_c_store(y, to + (K) * s, V);
#define FH_FFT_TWISTED(K, V) fh_c_store(y, to + (K) * s, fh_c_twist(V, table, (K) * j));

FH_FFT_PASS(2)
FH_FFT_PASS(3)
FH_FFT_PASS(4)
FH_FFT_PASS(5)

/* The transform of the n complex elements in the first half of `work`; `unit` steps in the table turn by 2 pi / n. Returns where
 * the result begins: 0 or `area`. The other half is then free. */
FH_OUTLINE long fh_fft_complex(fh_f32_out work, long area, long n, long unit, fh_roots table) {
  long at = 0;
  for (long left = n, s = 1; left > 1;) {
    const fh_f32_out x = work + at, y = work + (area - at);
    const long radix = left % 4 == 0 ? 4 : left % 5 == 0 ? 5 : left % 3 == 0 ? 3 : 2;
    left /= radix;
    if (radix == 4)
      fh_fft_pass4(x, y, left, s, unit * s, table);
    else if (radix == 5)
      fh_fft_pass5(x, y, left, s, unit * s, table);
    else if (radix == 3)
      fh_fft_pass3(x, y, left, s, unit * s, table);
    else
      fh_fft_pass2(x, y, left, s, unit * s, table);
    s *= radix;
    at = area - at;
  }
  return at;
}

/* Floats in one half of the scratch of a real transform of length n: see fh_frames_area in kernels/frames.h. */

/* n samples of each of `rows` frames that begin `rs` apart, times a window: into scratch as fh_fft_real wants them. */
FH_INLINE void fh_fft_gather(fh_f32_in x, long rs, long xs, long rows, long n, fh_f32_in window, long ws, fh_f32_out work) {
  const long step = n % 2 ? 32 : 16;
  long e = 0;
  if (xs == 1)
    for (; e + 16 <= n; e += 16) fh_turn_in_by(x + e, rs, rows, window + e * ws, ws, work + e * step, step);
  for (; e < n; e++) fh_store(work, e * step, 1, fh_mul(fh_load_part(x + e * xs, 0, rows, rs, 0.0f), fh_splat(fh_get(window, e * ws))));
  if (step == 32)
    for (e = 0; e < n; e++) fh_store(work, e * 32 + 16, 1, fh_splat(0.0f));
}

/* Bin k of the result: both parts, or its power. */
FH_INLINE void fh_fft_emit(fh_f32_out out, long k, fh_vc v, int power) {
  if (power)
    fh_store(out, 16 * k, 1, fh_add(fh_mul(v.re, v.re), fh_mul(v.im, v.im)));
  else
    fh_c_store(out, k, v);
}

/* The bins 0 ... n / 2 of the real transforms of what fh_fft_gather left in `work`. Returns where they begin: element k at 32 k as
 * above, or the powers at 16 k. */
FH_INLINE long fh_fft_real(fh_f32_out work, long area, long n, fh_roots table, int power) {
  if (n % 2) {
    const long at = fh_fft_complex(work, area, n, 1, table);
    const fh_f32_out out = work + (area - at);
    for (long k = 0; k <= n / 2; k++) fh_fft_emit(out, k, fh_c_load(work + at, k), power);
    return area - at;
  }
  const long m = n / 2, at = fh_fft_complex(work, area, m, 2, table);
  const fh_f32_out z = work + at, out = work + (area - at);
  const fh_vc first = fh_c_load(z, 0);
  fh_fft_emit(out, 0, fh_c(fh_add(first.re, first.im), fh_splat(0.0f)), power);
  fh_fft_emit(out, m, fh_c(fh_sub(first.re, first.im), fh_splat(0.0f)), power);
  for (long k = 1; k <= m - k; k++) {
    const fh_vc a = fh_c_load(z, k), b = fh_c_load(z, m - k);
    /* e and o: twice the transforms of the even and of the odd samples, o times i */
    const fh_vc e = fh_c(fh_add(a.re, b.re), fh_sub(a.im, b.im)), o = fh_c(fh_sub(a.re, b.re), fh_add(a.im, b.im));
    const fh_vc turned = fh_c_twist(o, table, k), low = fh_c_sub_i(e, turned), high = fh_c_add_i(e, turned);
    fh_fft_emit(out, k, fh_c_scale(low, 0.5f), power);
    if (k != m - k) fh_fft_emit(out, m - k, fh_c(fh_mul(high.re, fh_splat(0.5f)), fh_mul(high.im, fh_splat(-0.5f))), power);
  }
  return area - at;
}

/* Complex bins from scratch to `rows` rows that begin `rs` apart, bin k at k bs, its imaginary part cs further. */
FH_INLINE void fh_fft_scatter(fh_f32_in bins, long count, long rows, fh_f32_out y, long rs, long bs, long cs) {
  long k = 0;
  if (cs == 1 && bs == 2)
    for (; k + 8 <= count; k += 8) fh_turn_out(bins + 32 * k, 16, rows, y + 2 * k, rs);
  for (; k < count; k++) {
    fh_store_part(y + k * bs, 0, rows, rs, fh_load(bins, 32 * k, 1));
    fh_store_part(y + k * bs + cs, 0, rows, rs, fh_load(bins, 32 * k + 16, 1));
  }
}

#endif /* FOGHORN_KERNELS_DIALECT_FFT_H_ */
