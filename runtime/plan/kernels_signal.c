/* Signals, typed, and the tables that they take. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/signal.h>

#include <inttypes.h>

#include "kernels/signal_tables.h"
#include "runtime/plan/kernels.h"

fh_status fh_fft_table(int64_t n, float *out) {
  if (!fh_fft_length_ok(n))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_fft_table: n is %" PRId64 ", expected 2^a 3^b 5^c from 1 to %d", n, FH_FFT_MAX);
  fh_fill_fft_table(n, out);
  return FH_OK;
}

fh_status fh_hann_window(int64_t length, int64_t n, float *out) {
  if (length < 1 || length > n)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_hann_window: a window of length %" PRId64 " in n = %" PRId64 " floats, expected 1 to n",
                     length, n);
  for (int64_t j = 0; j < n; j++) out[j] = 0;
  fh_fill_hann(length, out + (n - length) / 2);
  return FH_OK;
}

fh_status fh_fft(fh_queue *queue, const fh_view *x, const fh_view *table, const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {x, table, y};
  return fh_launch_named(queue, "fft", views, FH_COUNT(views), NULL, 0, out_event);
}
