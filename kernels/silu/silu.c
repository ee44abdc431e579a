/* The contract of silu. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

#include <math.h>

/* Written so that no product of 0 and infinity occurs. */
static double exact(double x) { return x < -1000 ? -0.0 : x / (1 + exp(-x)); }

FH_UNARY_KERNEL(silu, exact, -30.0, 20.0, 35.0, 3.6, "sigmoid linear unit",
                "y = x / (1 + e^-x) (Hendrycks and Gimpel 2016, Elfwing et al. 2017)",
                "the power of two of e^x comes last, so that small results round once");
