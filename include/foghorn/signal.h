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

FH_EXTERN_C_END

#endif /* FOGHORN_SIGNAL_H_ */
