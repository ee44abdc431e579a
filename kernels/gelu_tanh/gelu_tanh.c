/* The contract of gelu_tanh. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/activation.h"
#include "kernels/elementwise.h"

FH_UNARY_KERNEL(gelu_tanh, fh_exact_gelu_tanh, -12.0, 6.0, 50.0, 4.0, "Gaussian error linear unit by tanh",
                "y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 (Hendrycks and Gimpel 2016)",
                "the argument of the sigmoid has two parts, so that small results are as exact as large ones");
