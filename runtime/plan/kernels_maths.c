/* Functions of each element, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/maths.h>

#include "runtime/plan/kernels.h"

#define UNARY(FUNCTION, KERNEL)                                                                  \
  fh_status FUNCTION(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event) { \
    return fh_launch_named(queue, KERNEL, (const fh_view *[]){x, y}, 2, NULL, 0, out_event);     \
  }

UNARY(fh_exp, "exp")
UNARY(fh_ln, "log")
UNARY(fh_tanh, "tanh")
UNARY(fh_sigmoid, "sigmoid")
UNARY(fh_silu, "silu")
UNARY(fh_gelu, "gelu")
UNARY(fh_gelu_tanh, "gelu_tanh")
UNARY(fh_erf, "erf")
UNARY(fh_sin, "sin")
UNARY(fh_cos, "cos")
