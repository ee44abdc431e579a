/* Products with more than a product: bias and activation on the way to memory. SPDX-License-Identifier: Apache-2.0
 *
 * Common to all: see kernels.h. */
#ifndef FOGHORN_PRODUCTS_H_
#define FOGHORN_PRODUCTS_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* What a result is sent through: max(0, x), or the function of that name in maths.h (fh_gelu, fh_gelu_tanh, fh_silu, fh_sigmoid, fh_tanh),
 * with its bits and its error bound. Each keeps a NaN. */
typedef enum fh_activation {
  FH_ACTIVATION_NONE = 0,
  FH_ACTIVATION_RELU = 1,
  FH_ACTIVATION_GELU = 2,
  FH_ACTIVATION_GELU_TANH = 3,
  FH_ACTIVATION_SILU = 4,
  FH_ACTIVATION_SIGMOID = 5,
  FH_ACTIVATION_TANH = 6,
} fh_activation;

/* C = f(A B + D): a (m,k), b (k,n), c (m,n), or all with one leading batch dimension; d (n), added to every row, or the shape of c with
 * any strides: a stride of 0 repeats, so that a bias of rows is (m,n) with strides (1,0). d must not overlap c. The sum is that of
 * fh_matmul; d is added with one rounding: EXACT on every backend. */
FH_API FH_MUST_USE fh_status fh_matmul_fused(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *d, const fh_view *c,
                                             fh_activation activation, fh_event *out_event);

FH_EXTERN_C_END

#endif /* FOGHORN_PRODUCTS_H_ */
