/* The contract of exp. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

#include <math.h>

FH_UNARY_KERNEL(exp, exp, -110.0, 95.0, 25.0, 1.0, "exponential function", "y = e^x",
                "the reduction has two fused steps, the polynomial an error of 2^-28");
