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

#endif /* FOGHORN_KERNELS_SIGNAL_TABLES_H_ */
