/* The contract of gelu. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

#include <math.h>

/* By erfc, which keeps the relative error of the tail. */
static double exact(double x) { return x < -1000 ? -0.0 : 0.5 * x * erfc(-0.70710678118654752440 * x); }

FH_UNARY_KERNEL(gelu, exact, -12.0, 6.0, 60.0, 7.0, "Gaussian error linear unit",
                "y = x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016)",
                "Phi is a product for x < 0; the error of x^2 in its exponent is compensated");
