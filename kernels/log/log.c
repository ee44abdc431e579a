/* The contract of log. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

#include <math.h>

FH_UNARY_KERNEL(log, log, 0.0, 8.0, 30.0, 1.0, "natural logarithm", "y = ln x; -inf for 0, NaN for x < 0",
                "the polynomial has an error of 2^-27, the exponent's part is added last");
