/* The tables that signal kernels take as operands: computed in double, rounded once. SPDX-License-Identifier: Apache-2.0
 * Shared by the contracts, which test their kernels with them, and by the public helpers of <foghorn/signal.h>. */
#ifndef FOGHORN_KERNELS_SIGNAL_TABLES_H_
#define FOGHORN_KERNELS_SIGNAL_TABLES_H_

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define FH_PI 3.14159265358979323846

/* Lengths of Fourier transforms: 2^a 3^b 5^c, up to 2^16. */
enum { FH_FFT_MAX = 1 << 16 };
static inline bool fh_fft_length_ok(int64_t n) {
  if (n < 1 || n > FH_FFT_MAX) return false;
  for (int64_t f = 2; f <= 5; f++)
    while (n % f == 0) n /= f;
  return n == 1;
}

/* cos(2 pi j / n) for 0 <= j < n, exact at the quarters. */
static inline double fh_cos_turn(int64_t j, int64_t n) {
  if (2 * j > n) j = n - j;
  if (4 * j == n) return 0;
  if (4 * j > n) return -cos(2 * FH_PI * (double)(n - 2 * j) / (double)(2 * n));
  return cos(2 * FH_PI * (double)j / (double)n);
}

/* exp(-2 pi i j / n), j < n: 2 n floats. */
static inline void fh_fill_fft_table(int64_t n, float *out) {
  for (int64_t j = 0; j < n; j++) {
    out[2 * j] = (float)fh_cos_turn(j, n);
    /* -sin(t) = cos(t + a quarter): four times as many steps make the quarter a whole number of them. */
    out[2 * j + 1] = (float)fh_cos_turn((4 * j + n) % (4 * n), 4 * n);
  }
}

/* The periodic Hann window of n samples. */
static inline void fh_fill_hann(int64_t n, float *out) {
  for (int64_t j = 0; j < n; j++) out[j] = (float)(0.5 - 0.5 * fh_cos_turn(j, n));
}

/* ---- mel bands ---- */

/* The mel scale: linear below 1 kHz and logarithmic above (Slaney, Auditory Toolbox, 1998), or 2595 log10(1 + f / 700) (O'Shaughnessy
 * 1987, as in HTK). */
static inline double fh_hertz_to_mel(double hertz, bool htk) {
  if (htk) return 2595 * log10(1 + hertz / 700);
  return hertz < 1000 ? hertz * 3 / 200 : 15 + log(hertz / 1000) * 27 / log(6.4);
}
static inline double fh_mel_to_hertz(double mel, bool htk) {
  if (htk) return 700 * (pow(10, mel / 2595) - 1);
  return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

/* Triangles between `mels` + 2 points that are evenly spaced in mel from `low` to `high`. Of band m: its weight at a frequency. */
typedef struct fh_mel_scale {
  double low, high; /* in mel */
  int64_t mels;
  bool htk, area; /* area: each triangle has the same area, 2 / its width in hertz high */
} fh_mel_scale;

static inline double fh_mel_weight(const fh_mel_scale *s, int64_t m, double hertz) {
  double at[3];
  for (int i = 0; i < 3; i++) at[i] = fh_mel_to_hertz(s->low + (s->high - s->low) * (double)(m + i) / (double)(s->mels + 1), s->htk);
  const double up = (hertz - at[0]) / (at[1] - at[0]), down = (at[2] - hertz) / (at[2] - at[1]), least = up < down ? up : down;
  return least > 0 ? least * (s->area ? 2 / (at[2] - at[0]) : 1) : 0;
}

/* ---- filters ---- */

/* The modified Bessel function I0, by its power series; x >= 0. */
static inline double fh_bessel_i0(double x) {
  double sum = 1, term = 1;
  for (int k = 1; term > sum * 1e-17; k++) {
    term *= x / (2 * k) * (x / (2 * k));
    sum += term;
  }
  return sum;
}

/* Value j of a low-pass filter of 2 `half` + 1 values that passes frequencies below `cutoff` of half the rate: sinc times a Kaiser
 * window (Kaiser 1974); i0: I0(beta). Not scaled. */
static inline double fh_kaiser_low_pass(int64_t j, int64_t half, double cutoff, double beta, double i0) {
  const double from = (double)(j - half), r = half > 0 ? from / (double)half : 0, x = FH_PI * cutoff * from;
  return (j == half ? 1 : sin(x) / x) * fh_bessel_i0(beta * sqrt(1 - r * r)) / i0;
}

#endif /* FOGHORN_KERNELS_SIGNAL_TABLES_H_ */
