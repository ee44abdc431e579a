/* The kernel set, typed. Each call is fh_launch with named arguments. SPDX-License-Identifier: Apache-2.0
 *
 * Common to all: any strides and any byte alignment are legal; outputs must not overlap inputs or one
 * another, except that an input may be the very same view as the output where "in place" is said; f32
 * unless said otherwise; an empty shape is a success that does nothing. out_event may be NULL. Errors:
 * INVALID_ARGUMENT (shape, type, value: says which operand, expected, found), INCOMPATIBLE (overlap, a view of
 * another context than the queue's), FAILED_PRECONDITION (dead view), UNAVAILABLE (no allowed device), and what fh_event_wait reports
 * later.
 */
#ifndef FOGHORN_KERNELS_H_
#define FOGHORN_KERNELS_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* y = alpha * x + y over equal shapes (rank 1 to 3). EXACT: one rounded multiply, one rounded add. In place by nature. */
FH_API FH_MUST_USE fh_status fh_axpy(fh_queue *queue, float alpha, const fh_view *x, const fh_view *y, fh_event *out_event);

/* y[r,:] = x[r,:] / max(||x[r,:]||, eps), rows of d. x (rows, d), y the same; in place allowed. */
FH_API FH_MUST_USE fh_status fh_l2_normalize(fh_queue *queue, const fh_view *x, const fh_view *y, float eps, fh_event *out_event);

/* y[r,:] = (x[r,:] - mean) / sqrt(var + eps) * gamma + beta; gamma, beta (d). In place allowed. Biased variance,
 * two passes (Ba, Kiros, Hinton: Layer Normalization, 2016). */
FH_API FH_MUST_USE fh_status fh_layer_norm(fh_queue *queue, const fh_view *x, const fh_view *gamma, const fh_view *beta, const fh_view *y,
                                           float eps, fh_event *out_event);

/* y[r,:] = exp(x[r,:] - max) / sum. x (rows, d), y the same; in place allowed. */
FH_API FH_MUST_USE fh_status fh_softmax(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

/* y[n,c,h,w] = (x[n,h,w,c] / 255 - mean[c]) / std[c]; x u8 (n,h,w,c), mean and std f32 (c), y f32 (n,c,h,w). */
FH_API FH_MUST_USE fh_status fh_u8_to_f32_nchw(fh_queue *queue, const fh_view *x, const fh_view *mean, const fh_view *std, const fh_view *y,
                                               fh_event *out_event);

/* C = A B: a (m,k), b (k,n), c (m,n), or all with one leading batch dimension. Any strides, so a transpose is a
 * view. EXACT on every backend (but for cuda:N/cublaslt, which no context with FH_EXACT runs, and others only where it was measured to be
 * the fastest): k is cut into blocks of 256; a block is one chain of fused multiply-adds in order of k from +0; block sums are added in
 * order. An element depends on its row, its column and k only, not on shape, layout, threads or device. */
FH_API FH_MUST_USE fh_status fh_matmul(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *c, fh_event *out_event);

/* For each row of x (n,d): labels[i] = argmin_j ||x_i - c_j||^2 over centroids c (k,d), lowest j on a tie;
 * distances[i] = that squared distance, >= 0. x, c and distances (n) are f32, or all f64; labels i32 (n). Without out_event the call waits,
 * and a row with a NaN or an infinity is INVALID_ARGUMENT with the row named (the outputs are written, the others are right), and a queue
 * that captures FAILED_PRECONDITION; with one, ask fh_kmeans_check (neighbours.h) when the event is done. */
FH_API FH_MUST_USE fh_status fh_kmeans_assign(fh_queue *queue, const fh_view *x, const fh_view *c, const fh_view *labels,
                                              const fh_view *distances, fh_event *out_event);

/* sums[j,:] = sum of rows of x with label j, counts[j] = how many. x (n,d) and sums (k,d) are f32, or both f64; labels i32 (n) in
 * [0,k), counts i32 (k). The order of additions is fixed by (n,d,k) alone, so the result is EXACT. */
FH_API FH_MUST_USE fh_status fh_kmeans_update(fh_queue *queue, const fh_view *x, const fh_view *labels, const fh_view *sums,
                                              const fh_view *counts, fh_event *out_event);

FH_EXTERN_C_END

#endif /* FOGHORN_KERNELS_H_ */
