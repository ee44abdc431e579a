/* Irregular data: rows by number, sums over segments, counts. SPDX-License-Identifier: Apache-2.0
 *
 * What foghorn/kernels.h says of its calls holds here, too. All results are EXACT: the order of additions is fixed by shapes (and
 * the lengths of segments), never by the number of threads. Before each launch ids and offsets are looked at on the host:
 * one that is out of range is refused (INVALID_ARGUMENT) with its value and its place, and where the data is skewed the work is cut
 * another way, with the same bits; fh_explain says which way and why ("data:"). No text trusts an id: memory that changes
 * meanwhile cannot make it touch what is not its own.
 */
#ifndef FOGHORN_IRREGULAR_H_
#define FOGHORN_IRREGULAR_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* y[r,:] = x[ids[r],:]. x (m,d), ids i32 (n) in [0,m), y (n,d); or x (m) and y (n). */
FH_API FH_MUST_USE fh_status fh_gather(fh_queue *queue, const fh_view *x, const fh_view *ids, const fh_view *y, fh_event *out_event);

/* y[ids[r],:] += x[r,:]; ids may repeat. x (n,d), ids i32 (n) in [0,m), y (m,d); or x (n) and y (m). */
FH_API FH_MUST_USE fh_status fh_scatter_add(fh_queue *queue, const fh_view *x, const fh_view *ids, const fh_view *y, fh_event *out_event);

/* The same from zero: y[j,:] = sum of the x[r,:] with ids[r] = j. Segments by id; ids need not ascend. */
FH_API FH_MUST_USE fh_status fh_scatter_sum(fh_queue *queue, const fh_view *x, const fh_view *ids, const fh_view *y, fh_event *out_event);

/* y[i,:] = sum of x[r,:] over offsets[i] <= r < offsets[i+1]; an empty segment is 0. x (n,d), offsets i64 (segments+1),
 * ascending in [0,n], y (segments,d); or x (n) and y (segments). A segment is added in pieces of 4096 elements, each in 16 lanes
 * (fewer than 16 one by one; rows one by one), pieces in order: |error| <= m u sum |x| for m terms, u = 2^-24, and far less as a rule. */
FH_API FH_MUST_USE fh_status fh_segment_sum(fh_queue *queue, const fh_view *x, const fh_view *offsets, const fh_view *y,
                                            fh_event *out_event);

/* counts[j] = how many ids are j, or, with weights, the sum of theirs. ids i32 (n) in [0,k); weights NULL and counts i32 (k), or weights
 * f32 (n) and counts f32 (k). */
FH_API FH_MUST_USE fh_status fh_bincount(fh_queue *queue, const fh_view *ids, const fh_view *weights, const fh_view *counts,
                                         fh_event *out_event);

/* counts[j] = how many x lie in bin j of k equal bins from low to high; the last bin holds high. Values outside and NaN are in none. The
 * bin is trunc((x - low) k / (high - low)) in f32, rounded step by step: beside an edge it can differ from that of exact arithmetic. x f32
 * (n), counts i32 (k), k <= 2^24; low < high, both finite. */
FH_API FH_MUST_USE fh_status fh_histogram(fh_queue *queue, const fh_view *x, float low, float high, const fh_view *counts,
                                          fh_event *out_event);

/* y = A x, A in compressed rows: row i has values[e] in column columns[e] for offsets[i] <= e < offsets[i+1]. values f32 (n), columns i32
 * (n) in [0,cols), in any order and repeated if need be, offsets i64 (rows+1) ascending in [0,n], x f32 (cols), y f32 (rows). Products are
 * rounded and added as fh_segment_sum adds. */
FH_API FH_MUST_USE fh_status fh_csr_matvec(fh_queue *queue, const fh_view *values, const fh_view *columns, const fh_view *offsets,
                                           const fh_view *x, const fh_view *y, fh_event *out_event);

FH_EXTERN_C_END

#endif /* FOGHORN_IRREGULAR_H_ */
