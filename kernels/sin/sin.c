/* The contract of sin. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

#include <math.h>

FH_UNARY_KERNEL(sin, sin, -1000.0, 1000.0, 45.0, 1.5, "sine, x in radians", "y = sin x; NaN for an infinity",
                "x - n pi / 2 is taken with 72 bits of pi / 2, and with as many as it needs from 2^17 on");
