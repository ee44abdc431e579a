/* Signals, typed, and the tables that they take. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/signal.h>

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>

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

fh_status fh_stft(fh_queue *queue, const fh_view *x, const fh_view *window, const fh_view *table, const fh_view *y, int64_t hop,
                  fh_padding padding, fh_event *out_event) {
  const fh_view *views[] = {x, window, table, y};
  const fh_param_value params[] = {{.i = hop}, {.i = padding}};
  return fh_launch_named(queue, "stft", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

/* ---- mel ------------------------------------------------------------------------------------------ */

static fh_status mel_scale(const char *call, const fh_mel_options *o, fh_mel_scale *out) {
  if (!o) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: options is NULL", call);
  const double high = fpclassify(o->high) == FP_ZERO ? o->sample_rate / 2 : o->high;
  if (!(isfinite(o->sample_rate) && o->sample_rate > 0 && o->low >= 0 && high > o->low && high <= o->sample_rate / 2))
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: bands from %g to %g hertz at a sample rate of %g, expected 0 <= low < high <= half the rate",
                     call, o->low, high, o->sample_rate);
  if (!fh_fft_length_ok(o->n))
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: n is %" PRId64 ", expected 2^a 3^b 5^c from 1 to %d", call, o->n, FH_FFT_MAX);
  if (o->mels < 1 || o->mels > FH_FFT_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: mels is %" PRId64 ", expected 1 to %d", call, o->mels, FH_FFT_MAX);
  if (o->form != FH_MEL_SLANEY && o->form != FH_MEL_HTK)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: form is %d, expected FH_MEL_SLANEY or FH_MEL_HTK", call, (int)o->form);
  const bool htk = o->form == FH_MEL_HTK;
  *out = (fh_mel_scale){fh_hertz_to_mel(o->low, htk), fh_hertz_to_mel(high, htk), o->mels, htk, !htk};
  return FH_OK;
}

static double bin_hertz(const fh_mel_options *o, int64_t k) { return (double)k * o->sample_rate / (double)o->n; }

/* The bins of band m with a weight. */
static void band_of(const fh_mel_options *o, const fh_mel_scale *s, int64_t m, int32_t *out) {
  int64_t k = 0;
  while (k <= o->n / 2 && !(fh_mel_weight(s, m, bin_hertz(o, k)) > 0)) k++;
  out[0] = k > o->n / 2 ? 0 : (int32_t)k;
  out[1] = 0;
  for (; k <= o->n / 2 && fh_mel_weight(s, m, bin_hertz(o, k)) > 0; k++) out[1]++;
}

fh_status fh_mel_width(const fh_mel_options *options, int64_t *out_width) {
  fh_mel_scale scale;
  FH_TRY(mel_scale("fh_mel_width", options, &scale));
  *out_width = 0;
  for (int64_t m = 0; m < options->mels; m++) {
    int32_t band[2];
    band_of(options, &scale, m, band);
    if (band[1] > *out_width) *out_width = band[1];
  }
  return FH_OK;
}

fh_status fh_mel_filters(const fh_mel_options *options, int64_t width, int32_t *out_bands, float *out_weights) {
  fh_mel_scale scale;
  FH_TRY(mel_scale("fh_mel_filters", options, &scale));
  for (int64_t m = 0; m < options->mels; m++) {
    int32_t *band = out_bands + 2 * m;
    band_of(options, &scale, m, band);
    if (band[1] > width)
      return FH_STATUS(FH_INVALID_ARGUMENT,
                       "fh_mel_filters: band %" PRId64 " has %d bins, width is %" PRId64 "\n  fh_mel_width gives the largest", m,
                       (int)band[1], width);
    for (int64_t k = 0; k < width; k++)
      out_weights[m * width + k] = k < band[1] ? (float)fh_mel_weight(&scale, m, bin_hertz(options, band[0] + k)) : 0;
  }
  return FH_OK;
}

fh_status fh_log_mel(fh_queue *queue, const fh_view *x, const fh_view *window, const fh_view *table, const fh_view *bands,
                     const fh_view *weights, const fh_view *y, int64_t hop, fh_padding padding, double floor, double scale,
                     fh_event *out_event) {
  const fh_view *views[] = {x, window, table, bands, weights, y};
  const fh_param_value params[] = {{.i = hop}, {.i = padding}, {.f = floor}, {.f = scale}};
  return fh_launch_named(queue, "log_mel", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

/* ---- filters -------------------------------------------------------------------------------------- */

fh_status fh_biquad(fh_queue *queue, const fh_view *x, const fh_view *sections, const fh_view *state, const fh_view *y,
                    fh_event *out_event) {
  const fh_view *views[] = {x, sections, state, y};
  return fh_launch_named(queue, "biquad", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_fir(fh_queue *queue, const fh_view *x, const fh_view *taps, const fh_view *state, const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {x, taps, state, y};
  return fh_launch_named(queue, "fir", views, FH_COUNT(views), NULL, 0, out_event);
}

/* ---- other sampling rates --------------------------------------------------------------------------- */

enum { WIDTH_MOST = 1 << 16 };

fh_status fh_resampling_of(int64_t rate_in, int64_t rate_out, int64_t width, fh_resampling *out) {
  if (rate_in < 1 || rate_out < 1 || rate_in > INT32_MAX || rate_out > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resampling_of: from %" PRId64 " to %" PRId64 " hertz, expected 1 to 2^31 - 1", rate_in,
                     rate_out);
  if (width < 1 || width > WIDTH_MOST)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resampling_of: width is %" PRId64 ", expected 1 to %d samples", width, WIDTH_MOST);
  int64_t a = rate_in, b = rate_out;
  while (b) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  *out = (fh_resampling){.up = rate_out / a, .down = rate_in / a};
  out->half = width * (out->up > out->down ? out->up : out->down);
  out->taps = 2 * out->half / out->up + 1;
  return FH_OK;
}

fh_status fh_resampling_taps(const fh_resampling *resampling, double beta, float *out_taps) {
  if (!resampling) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resampling_taps: resampling is NULL");
  const int64_t up = resampling->up, half = resampling->half, taps = resampling->taps;
  if (up < 1 || resampling->down < 1 || half < 0 || half > WIDTH_MOST * (int64_t)INT32_MAX || taps != 2 * half / up + 1 ||
      !(beta >= 0 && beta <= 500))
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_resampling_taps: up %" PRId64 ", down %" PRId64 ", half %" PRId64 ", taps %" PRId64
                     ", beta %g, expected those of fh_resampling_of and beta from 0 to 500",
                     up, resampling->down, half, taps, beta);
  const double cutoff = 1.0 / (double)(up > resampling->down ? up : resampling->down), i0 = fh_bessel_i0(beta);
  double sum = 0;
  for (int64_t j = 0; j <= 2 * half; j++) sum += fh_kaiser_low_pass(j, half, cutoff, beta, i0);
  for (int64_t p = 0; p < up; p++) {
    for (int64_t t = 0; t < taps; t++) {
      const int64_t j = p + (taps - 1 - t) * up;
      out_taps[p * taps + t] = j > 2 * half ? 0 : (float)(fh_kaiser_low_pass(j, half, cutoff, beta, i0) * (double)up / sum);
    }
  }
  return FH_OK;
}

fh_status fh_resample(fh_queue *queue, const fh_view *x, const fh_view *taps, const fh_view *y, int64_t down, int64_t first,
                      fh_event *out_event) {
  const fh_view *views[] = {x, taps, y};
  const fh_param_value params[] = {{.i = down}, {.i = first}};
  return fh_launch_named(queue, "resample", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}
