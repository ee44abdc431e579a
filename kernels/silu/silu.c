/* The contract of silu. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/activation.h"
#include "kernels/elementwise.h"

FH_UNARY_KERNEL(silu, fh_exact_silu, -30.0, 20.0, 35.0, 3.6, "sigmoid linear unit",
                "y = x / (1 + e^-x) (Hendrycks and Gimpel 2016, Elfwing et al. 2017)",
                "the power of two of e^x comes last, so that small results round once");
