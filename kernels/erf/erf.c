/* The contract of erf. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

#include <math.h>

FH_UNARY_KERNEL(erf, erf, -4.5, 4.5, 40.0, 1.6, "error function", "y = 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x",
                "polynomials of x and of log(1 - erf)");
