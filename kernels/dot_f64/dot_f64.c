/* The contract of dot_f64: that of dot, for doubles. SPDX-License-Identifier: Apache-2.0 */
#define FH_OF_DOUBLES 1
#include "kernels/dot/dot.c" /* NOLINT(bugprone-suspicious-include): one contract, two types */
