/* Functions of each element. SPDX-License-Identifier: Apache-2.0
 *
 * What <foghorn/kernels.h> says of all kernels holds here. y = f(x) over equal shapes of rank 1 to 3, any strides, in place allowed.
 * EXACT: the same bits on every device, from polynomials of our own in single precision with fused multiply-adds. Right over the whole
 * range: denormals, zeros of both signs, infinities; a NaN stays one. The bounds count units in the last place (ulp) of the exact result,
 * of 2^-126 where that is smaller. They hold for every float: `sh tools/dev maths` tries all 2^32 (docs/maths.md).
 */
#ifndef FOGHORN_MATHS_H_
#define FOGHORN_MATHS_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* e^x. At most 1 ulp. */
FH_API FH_MUST_USE fh_status fh_exp(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
/* The natural logarithm; -inf for 0, NaN below. At most 1 ulp. (fh_log is taken: it writes a line of the log.) */
FH_API FH_MUST_USE fh_status fh_ln(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
/* The hyperbolic tangent. At most 1.8 ulp. */
FH_API FH_MUST_USE fh_status fh_tanh(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
/* 1 / (1 + e^-x). At most 2.8 ulp, however small the result. */
FH_API FH_MUST_USE fh_status fh_sigmoid(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
/* x / (1 + e^-x) (Hendrycks and Gimpel 2016; Elfwing, Uchibe, Doya 2017). At most 3.6 ulp. */
FH_API FH_MUST_USE fh_status fh_silu(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
/* x (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016). At most 7 ulp, also where x is far below 0. */
FH_API FH_MUST_USE fh_status fh_gelu(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
/* Its usual approximation, x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. At most 4 ulp. */
FH_API FH_MUST_USE fh_status fh_gelu_tanh(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
/* The error function. At most 1.6 ulp. */
FH_API FH_MUST_USE fh_status fh_erf(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
/* The sine of x in radians, however large; NaN for an infinity. At most 1.5 ulp. */
FH_API FH_MUST_USE fh_status fh_sin(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
/* The cosine of x in radians, however large; NaN for an infinity. At most 1.5 ulp. */
FH_API FH_MUST_USE fh_status fh_cos(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

FH_EXTERN_C_END

#endif /* FOGHORN_MATHS_H_ */
