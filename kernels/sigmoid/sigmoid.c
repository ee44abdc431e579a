/* The contract of sigmoid. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/activation.h"
#include "kernels/elementwise.h"

FH_UNARY_KERNEL(sigmoid, fh_exact_sigmoid, -30.0, 20.0, 30.0, 2.8, "logistic function", "y = 1 / (1 + e^-x)",
                "e^x / (1 + e^x) for x < 0, so that small results are as exact as large ones");
