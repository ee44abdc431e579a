/* Distances between rows, and the nearest ones. SPDX-License-Identifier: Apache-2.0
 *
 * Common to all: as in kernels.h (any strides, any byte alignment, outputs apart from inputs, f32; out_event may be NULL). */
#ifndef FOGHORN_NEIGHBOURS_H_
#define FOGHORN_NEIGHBOURS_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* out[i,j] = metric(x[i,:], y[j,:]); x (m,d), y (n,d), out (m,n). A squared distance is a sum of squared differences, within
 * (d + 2) 2^-24 of its value, never negative and 0 for equal rows; an inner product is within d 2^-24 sum |x||y|, a cosine within
 * (2 d + 16) 2^-24. NaN and infinities come out as arithmetic makes them. The exact variant has 16 partial sums for each pair,
 * one per element modulo 16, added by the tree 8, 4, 2, 1. Errors: as in kernels.h; a metric that is none is INVALID_ARGUMENT. */
FH_API FH_MUST_USE fh_status fh_pairwise_distance(fh_queue *queue, fh_metric metric, const fh_view *x, const fh_view *y, const fh_view *out,
                                                  fh_event *out_event);

/* For each query q[i,:] the k rows of x that are nearest, the nearest first: values f32 (m,k), indexes i32 (m,k); q (m,d), x (n,d). metric
 * is FH_METRIC_L2 (smallest squared distance first) or FH_METRIC_DOT (largest inner product first); for cosines give rows of length 1
 * (fh_l2_normalize) and FH_METRIC_DOT. Equal values come in the order of their indexes, so of equal rows the lowest index wins. A row whose
 * distance is NaN or infinite (inner product NaN or -infinity) is no neighbour; where there are fewer than k, the places left hold the
 * index -1 and +infinity (-infinity), also when k > n. Values are as exact as those of fh_pairwise_distance, and nothing is left out:
 * rows can only change places that lie within that error of each other. Errors: as in kernels.h, and INVALID_ARGUMENT for
 * another metric and for n or k above 2^31 - 1. */
FH_API FH_MUST_USE fh_status fh_topk(fh_queue *queue, fh_metric metric, const fh_view *q, const fh_view *x, const fh_view *values,
                                     const fh_view *indexes, fh_event *out_event);

/* One Lloyd iteration's work on the rows: fh_kmeans_assign and fh_kmeans_update (kernels.h) in one launch, on the CPU in one pass over x.
 * For the same labels the sums are the same bits as those of fh_kmeans_update. x (n,d), c (k,d), labels i32 (n), distances (n), sums
 * (k,d), counts i32 (k); f32, or all reals f64. NaN rows: as fh_kmeans_assign. */
FH_API FH_MUST_USE fh_status fh_kmeans_step(fh_queue *queue, const fh_view *x, const fh_view *c, const fh_view *labels,
                                            const fh_view *distances, const fh_view *sums, const fh_view *counts, fh_event *out_event);

/* Waits for `distances` of an assignment of the rows of x and refuses rows that no assignment is right for: INVALID_ARGUMENT names
 * the first row with a NaN or an infinity, and its column. Costs a look at n distances. fh_kmeans_assign and fh_kmeans_step do it
 * themselves when they are called without out_event. */
FH_API FH_MUST_USE fh_status fh_kmeans_check(const fh_view *x, const fh_view *distances);

FH_EXTERN_C_END

#endif /* FOGHORN_NEIGHBOURS_H_ */
