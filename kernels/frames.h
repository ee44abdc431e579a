/* What the contracts of kernels on frames of a signal share: fft, stft, log_mel. SPDX-License-Identifier: Apache-2.0
 *
 * The text works on groups of 16 frames, each with two halves of scratch (kernels/dialect/fft.h). */
#ifndef FOGHORN_KERNELS_FRAMES_H_
#define FOGHORN_KERNELS_FRAMES_H_

#include <math.h>
#include <stdlib.h>

#include "kernels/rows.h"
#include "kernels/signal_tables.h"

static inline int64_t fh_least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t fh_most(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t fh_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t fh_bins(int64_t n) { return n / 2 + 1; }

/* The length of a transform is one that the text can do, and `table` is that of fh_fft_table for it. */
static inline fh_status fh_check_transform(const char *kernel, int64_t n, const fh_view_param *table_param, const fh_view_desc *table) {
  if (!fh_fft_length_ok(n))
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_%s: a transform of length n = %" PRId64
                     ", expected 2^a 3^b 5^c from 1 to %d\n  pad the frames with zeros to such a length",
                     kernel, n, FH_FFT_MAX);
  FH_TRY(fh_check_view(kernel, table_param, table, 1, 1));
  return fh_check_extent(kernel, table_param, table, 0, "2 n", 2 * n, "the transform");
}

/* Floats of one half of the scratch of a group: n / 2 + 1 complex numbers in 16 lanes, or n where n is odd. */
static inline int64_t fh_frames_area(int64_t n) { return 32 * (n % 2 ? n + 1 : n / 2 + 1); }

/* How groups become items: as many items as 64 MiB of scratch serve. */
typedef struct fh_groups {
  int64_t count, per_item, items;
  size_t scratch_bytes;
} fh_groups;

static inline fh_groups fh_groups_of(int64_t count, int64_t n) {
  const int64_t bytes = 2 * fh_frames_area(n) * (int64_t)sizeof(float), most = fh_most(1, (INT64_C(64) << 20) / bytes);
  fh_groups g = {.count = count, .per_item = fh_ceil_div(count, most)};
  g.items = fh_ceil_div(count, g.per_item);
  g.scratch_bytes = (size_t)(g.items * bytes);
  return g;
}

/* Operations on a group: 2.5 n log2 n for a real transform, and the window. */
static inline double fh_transform_flops(int64_t n) { return 2.5 * (double)n * log2((double)n + 1) + 4 * (double)n; }

/* ---- oracles ------------------------------------------------------------------------------------- */

/* All bins of one frame of n samples, in double, from the definition. `turn` holds cos and sin of 2 pi j / n, j < n. */
static inline void fh_transform_oracle(const double *frame, int64_t n, const double *turn, double *out) {
  for (int64_t k = 0; k <= n / 2; k++) {
    double re = 0, im = 0;
    for (int64_t j = 0, at = 0; j < n; j++, at = (at + k) % n) {
      re += frame[j] * turn[2 * at];
      im -= frame[j] * turn[2 * at + 1];
    }
    out[2 * k] = re;
    out[2 * k + 1] = im;
  }
}

static inline double *fh_oracle_turn(int64_t n) {
  double *turn = malloc((size_t)n * 2 * sizeof *turn);
  if (!turn) abort();
  for (int64_t j = 0; j < n; j++) {
    turn[2 * j] = cos(2 * FH_PI * (double)j / (double)n);
    turn[2 * j + 1] = sin(2 * FH_PI * (double)j / (double)n);
  }
  return turn;
}

/* How far a bin of a frame of norm `norm` may be off. The vector of results is off by at most log2(n) eta / (1 - log2(n) eta) of its own
 * norm, which is sqrt(n) times that of the frame, with eta below 7 u for radix 2 (Higham 2002, theorem 24.2; u = 2^-24). 10 u and three
 * passes more hold for the window, the larger radices and the step from complex to real. NaN where the frame is not finite: its bins
 * are not defined. The smallest normal number is for results that underflow. */
#define FH_TRANSFORM_BOUND "10 u (log2 n + 3) sqrt(n) ||frame||, u = 2^-24 (Higham 2002, theorem 24.2), bin by bin in compare"
static inline double fh_transform_bound(int64_t n, double norm) {
  return 10 * 0x1p-24 * (log2((double)n) + 3) * sqrt((double)n) * norm + 0x1p-126;
}

#endif /* FOGHORN_KERNELS_FRAMES_H_ */
