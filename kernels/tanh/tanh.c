/* The contract of tanh. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

#include <math.h>

FH_UNARY_KERNEL(tanh, tanh, -4.0, 4.0, 40.0, 1.8, "hyperbolic tangent", "y = tanh x", "1 - 2 / (exp(2 |x|) + 1) has four roundings");
