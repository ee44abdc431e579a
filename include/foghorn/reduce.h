/* Row kernels and reductions, typed. SPDX-License-Identifier: Apache-2.0
 *
 * What <foghorn/kernels.h> says of all calls holds here: any strides and any byte alignment, out_event may be NULL. A
 * reduction takes f32 or f64 and gives the same type (argmin and argmax i32); rms_norm takes f32.
 *
 * A reduction takes x over its last dimension: x (d), (rows, d) or (n, rows, d) gives y of the shape without it (for (d): (1)); y of shape
 * (1) asks for all of x. Another dimension is reduced through a view with the dimensions in another order; columns that lie side by side
 * are read side by side. INVALID_ARGUMENT names the shapes that do not fit.
 *
 * All results are EXACT: the order of additions is fixed by the shape of x alone, so strides, threads, instruction set and device change no
 * bit. Sums run in 64 interleaved partial sums over pieces of 4096 elements, whose sums are added likewise; of n terms the result is within
 * (n / 64 + 8) u sum |x|, u = 2^-24 for f32 and 2^-53 for f64, and for any n below 2^30 within 500 u. A NaN in x makes its result NaN.
 * Without elements sums and norms are 0; mean, variance, extremes and their places are refused. */
#ifndef FOGHORN_REDUCE_H_
#define FOGHORN_REDUCE_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* y[r,:] = x[r,:] / sqrt(mean of x[r,:]^2 + eps) * gamma; x (rows, d), gamma (d), y that of x; in place allowed (Zhang and Sennrich: Root
 * Mean Square Layer Normalization, 2019). eps >= 0. */
FH_API FH_MUST_USE fh_status fh_rms_norm(fh_queue *queue, const fh_view *x, const fh_view *gamma, const fh_view *y, float eps,
                                         fh_event *out_event);

/* y = sum of x, sum of x / count, sum of |x|. */
FH_API FH_MUST_USE fh_status fh_sum(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
FH_API FH_MUST_USE fh_status fh_mean(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
FH_API FH_MUST_USE fh_status fh_sum_abs(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

/* y = sqrt(sum of x^2). Squares are summed in the type of x: elements beyond 1e19 (f64: 1e154) give infinity, those below 1e-19 (1e-154)
 * count for less than they are. */
FH_API FH_MUST_USE fh_status fh_norm(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

/* y = sum of (x - mean)^2 / (count - ddof), in one pass over memory: pieces about their own means, then joined (Chan, Golub, LeVeque:
 * Algorithms for computing the sample variance, 1983). 0 <= ddof < count. */
FH_API FH_MUST_USE fh_status fh_variance(fh_queue *queue, const fh_view *x, const fh_view *y, int64_t ddof, fh_event *out_event);

/* y = the least, the largest, the largest magnitude. A zero is +0. */
FH_API FH_MUST_USE fh_status fh_min(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
FH_API FH_MUST_USE fh_status fh_max(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
FH_API FH_MUST_USE fh_status fh_max_abs(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

/* y (i32) = where that element is: the lowest index of equals (-0 equals +0), the first NaN where there is one; over all of x the index
 * counts row by row. At most 2^31 - 1 elements to choose from. */
FH_API FH_MUST_USE fh_status fh_argmin(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
FH_API FH_MUST_USE fh_status fh_argmax(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

/* z = sum of x y over the last dimension, or over all; y has the shape of x. */
FH_API FH_MUST_USE fh_status fh_dot(fh_queue *queue, const fh_view *x, const fh_view *y, const fh_view *z, fh_event *out_event);

FH_EXTERN_C_END

#endif /* FOGHORN_REDUCE_H_ */
