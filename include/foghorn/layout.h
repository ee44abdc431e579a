/* Layout: transposes, permutations, structures of arrays. SPDX-License-Identifier: Apache-2.0
 *
 * What foghorn/kernels.h says of its calls holds here, too. All are copies of f32, bit for bit (EXACT), from and to any strides. A view
 * with its strides exchanged costs nothing (fh_view): copy where the data is read more than once or by somebody who wants it compact. */
#ifndef FOGHORN_LAYOUT_H_
#define FOGHORN_LAYOUT_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* y = x with dimension axes[i] of x as dimension i of y, 1 to 4 dimensions; axes has one entry per dimension of x, each
 * of 0 ... rank - 1 once. */
FH_API FH_MUST_USE fh_status fh_permute(fh_queue *queue, const fh_view *x, const int *axes, const fh_view *y, fh_event *out_event);

/* The last two dimensions exchanged: x (..., rows, columns), y (..., columns, rows); 2 to 4 dimensions. */
FH_API FH_MUST_USE fh_status fh_transpose(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

/* Records to fields: x (n, fields), y (fields, n), and back: x (fields, n), y (n, fields). Any number of fields. */
FH_API FH_MUST_USE fh_status fh_aos_to_soa(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);
FH_API FH_MUST_USE fh_status fh_soa_to_aos(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

FH_EXTERN_C_END

#endif /* FOGHORN_LAYOUT_H_ */
