/* Signals: spectra, filters, other sampling rates. SPDX-License-Identifier: Apache-2.0
 *
 * What <foghorn/kernels.h> says of all kernels holds here. Tables (roots of unity, windows, filters) are operands: made once by the
 * functions fh_..._table and fh_..._window below, kept in a view of yours, used by every launch. These functions compute in double and
 * round once; they need no context. Errors: INVALID_ARGUMENT names the value.
 */
#ifndef FOGHORN_SIGNAL_H_
#define FOGHORN_SIGNAL_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* ---- spectra ---------------------------------------------------------------------------------------
 * Transforms have lengths n = 2^a 3^b 5^c up to 65536, in single precision: each bin is within 10 u (log2 n + 3) sqrt(n) ||frame||,
 * u = 2^-24, of the exact one, and EXACT: the same bits on every device. 16 transforms run side by side, so batches of 16 and more
 * are what they are fast at. A frame that holds a NaN or an infinity has bins that are not defined; other frames are not touched by it. */

/* exp(-2 pi i j / n) for j < n, real and imaginary parts in turn: 2 n floats. The `table` of fh_fft, fh_stft and fh_log_mel. */
FH_API FH_MUST_USE fh_status fh_fft_table(int64_t n, float *out);
/* The periodic Hann window, 0.5 - 0.5 cos(2 pi j / length), in the middle of n floats that are 0 elsewhere. length <= n. */
FH_API FH_MUST_USE fh_status fh_hann_window(int64_t length, int64_t n, float *out);

/* y[r,k] = sum over j of x[r,j] exp(-2 pi i j k / n), k = 0 ... n / 2, not scaled. x (..., n) of rank 2 or 3, table (2 n), y (...,
 * n / 2 + 1, 2): real and imaginary parts. */
FH_API FH_MUST_USE fh_status fh_fft(fh_queue *queue, const fh_view *x, const fh_view *table, const fh_view *y, fh_event *out_event);

/* Samples that are added at both ends of a signal before it is cut into frames: n / 2 of them, so that frame f is centred on sample
 * f hop. REFLECT mirrors at the first and the last sample, which are not repeated; it wants more than n / 2 samples. */
typedef enum fh_padding { FH_PAD_NONE = 0, FH_PAD_REFLECT = 1, FH_PAD_ZEROS = 2 } fh_padding;

/* The spectra of the frames of signals: frame f is samples f hop ... f hop + n - 1 of the padded signal, times the window.
 * x (channels, samples), window (n), table (2 n), y (channels, frames, n / 2 + 1, 2), not scaled. There are 1 + (padded - n) / hop frames;
 * y may have fewer, and gets the first ones. */
FH_API FH_MUST_USE fh_status fh_stft(fh_queue *queue, const fh_view *x, const fh_view *window, const fh_view *table, const fh_view *y,
                                     int64_t hop, fh_padding padding, fh_event *out_event);

/* Mel bands: triangles between mels + 2 points, evenly spaced in mel from low to high hertz. */
typedef enum fh_mel_form {
  FH_MEL_SLANEY = 0, /* linear below 1 kHz, logarithmic above; triangles of equal area */
  FH_MEL_HTK = 1,    /* 2595 log10(1 + f / 700); triangles of height 1 */
} fh_mel_form;
typedef struct fh_mel_options {
  double sample_rate;
  int64_t n;        /* length of the transform */
  int64_t mels;     /* bands */
  double low, high; /* hertz; high 0: half the sample rate */
  fh_mel_form form;
} fh_mel_options;

/* Bins of the widest band: the width of fh_mel_filters. 0 where no band holds a bin. */
FH_API FH_MUST_USE fh_status fh_mel_width(const fh_mel_options *options, int64_t *out_width);
/* For each band its first bin and how many (mels x 2), and the weights of these bins, zeros behind them (mels x width). A band that is
 * narrower than a bin may hold none: its energy is 0. */
FH_API FH_MUST_USE fh_status fh_mel_filters(const fh_mel_options *options, int64_t width, int32_t *out_bands, float *out_weights);

/* y[c,m,f] = scale log10(max(sum over k of weights[m,k] |X[c,f,bands[m,0] + k]|^2, floor)) with X and x, window, table, hop, padding
 * as fh_stft. bands i32 (mels, 2), weights (mels, width), y (channels, mels, frames). scale 1, or 10 for decibels, or ln 10 for
 * the natural logarithm. Bins of a band beyond the spectrum or `width` count as 0. Energies are added in the order of k, and a NaN in
 * the frame is a NaN in the result. The usual speech front end is n = 400, hop = 160, mels = 80, floor = 1e-10 at 16 kHz. */
FH_API FH_MUST_USE fh_status fh_log_mel(fh_queue *queue, const fh_view *x, const fh_view *window, const fh_view *table,
                                        const fh_view *bands, const fh_view *weights, const fh_view *y, int64_t hop, fh_padding padding,
                                        double floor, double scale, fh_event *out_event);

/* ---- filters ---------------------------------------------------------------------------------------
 * A filter's state is a view of yours: zeros before the first sample, and afterwards what the next call needs. A signal that is given
 * in pieces of any sizes gives the same bits as in one piece. */

/* Cascades of second-order sections: y = b0 x + s1, s1 = b1 x + s2 - a1 y, s2 = b2 x - a2 y (transposed direct form II), each section
 * takes the y of the one before. x (channels, n), y the same, in place allowed; sections (channels, sections, 5): b0, b1, b2, a1, a2 with
 * a0 = 1 (a view with stride 0 gives all channels the same); state (channels, sections, 2). EXACT. */
FH_API FH_MUST_USE fh_status fh_biquad(fh_queue *queue, const fh_view *x, const fh_view *sections, const fh_view *state, const fh_view *y,
                                       fh_event *out_event);

/* y[c,i] = sum over j < k of taps[j] x[c,i-j], added in the order of j: within k u sum |taps| |x|, u = 2^-24, and EXACT. x (channels, n),
 * taps (k), y (channels, n), not in place; state (channels, k - 1): the samples before x, oldest first. */
FH_API FH_MUST_USE fh_status fh_fir(fh_queue *queue, const fh_view *x, const fh_view *taps, const fh_view *state, const fh_view *y,
                                    fh_event *out_event);

/* ---- other sampling rates --------------------------------------------------------------------------- */

/* rate_out / rate_in = up / down in lowest terms, and a low-pass filter for it. */
typedef struct fh_resampling {
  int64_t up, down;
  int64_t half; /* the filter has 2 half + 1 values at up times rate_in */
  int64_t taps; /* of each of the `up` phases */
} fh_resampling;

/* A filter that reaches `width` samples of the lower rate to both sides (usual: 10). Rates in hertz, 1 to 2^31 - 1. */
FH_API FH_MUST_USE fh_status fh_resampling_of(int64_t rate_in, int64_t rate_out, int64_t width, fh_resampling *out);
/* Its taps, up x taps floats: sinc that passes below half the lower rate, times a Kaiser window of `beta` (usual: 5), and 1 at 0 hertz. */
FH_API FH_MUST_USE fh_status fh_resampling_taps(const fh_resampling *resampling, double beta, float *out_taps);

/* y[c,m] = sum over t < k of taps[p,t] x[c,q-k+1+t] with first + m down = q up + p, 0 <= p < up; x is 0 beyond its ends.
 * x (channels, n), taps (up, k), y (channels, m). With first = half of the filter y begins with x; n up / down samples, rounded up, are all
 * of it. A piece of a longer signal wants the k - 1 samples before it in x, and `first` larger by (k - 1) up: then pieces give the same
 * bits as the whole. Within k u sum |taps| |x|, u = 2^-24, and EXACT. */
FH_API FH_MUST_USE fh_status fh_resample(fh_queue *queue, const fh_view *x, const fh_view *taps, const fh_view *y, int64_t down,
                                         int64_t first, fh_event *out_event);

FH_EXTERN_C_END

#endif /* FOGHORN_SIGNAL_H_ */
