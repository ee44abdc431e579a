/* Images at another size. SPDX-License-Identifier: Apache-2.0
 *
 * What foghorn/kernels.h says of its calls holds here, too. Images are (n, h, w, c); strides say how they lie, so planes are fine. */
#ifndef FOGHORN_IMAGES_H_
#define FOGHORN_IMAGES_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* How pixels of x become one of y. */
typedef enum fh_resize_method {
  /* Between the nearest two in each direction, by distance of centres (the half-pixel rule); no filter against aliases when x shrinks by
   * more than 2. */
  FH_RESIZE_BILINEAR = 0,
  /* The mean over the area that a pixel of y covers in x: for smaller images. A larger one repeats pixels. */
  FH_RESIZE_AREA = 1,
} fh_resize_method;

/* y = x at the height and width of y. x (n,h,w,c), f32 or u8, h and w up to 2^20; y (n,h',w',c) of the same type, not in place. EXACT.
 * Within (r + s + 4) u of the weighted magnitudes, r and s the rows and columns of a window, u = 2^-24; u8 is that, rounded to the nearest,
 * halves up. A window that holds an infinity or NaN gives an infinity or NaN. Errors: FH_INVALID_ARGUMENT for other types, shapes that do
 * not fit, x without a pixel. */
FH_API FH_MUST_USE fh_status fh_resize(fh_queue *queue, const fh_view *x, fh_resize_method method, const fh_view *y, fh_event *out_event);

FH_EXTERN_C_END

#endif /* FOGHORN_IMAGES_H_ */
