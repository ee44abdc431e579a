/* The contract of gelu. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/activation.h"
#include "kernels/elementwise.h"

FH_UNARY_KERNEL(gelu, fh_exact_gelu, -12.0, 6.0, 60.0, 7.0, "Gaussian error linear unit",
                "y = x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016)",
                "Phi is a product for x < 0; the error of x^2 in its exponent is compensated");
