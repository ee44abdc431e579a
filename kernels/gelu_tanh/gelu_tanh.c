/* The contract of gelu_tanh. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

#include <math.h>

/* (1 + tanh(w / 2)) / 2 is 1 / (1 + exp(-w)). */
static double exact(double x) { return x < -1000 ? -0.0 : x / (1 + exp(-1.5957691216057307117 * (x + 0.044715 * x * x * x))); }

FH_UNARY_KERNEL(gelu_tanh, exact, -12.0, 6.0, 50.0, 4.0, "Gaussian error linear unit by tanh",
                "y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 (Hendrycks and Gimpel 2016)",
                "the argument of the sigmoid has two parts, so that small results are as exact as large ones");
