/* The contract of cos. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

#include <math.h>

FH_UNARY_KERNEL(cos, cos, -1000.0, 1000.0, 45.0, 1.5, "cosine, x in radians", "y = cos x; NaN for an infinity", "as sin");
