/* The contract of arg_extreme_f64: that of arg_extreme, for doubles. SPDX-License-Identifier: Apache-2.0 */
#define FH_OF_DOUBLES 1
#include "kernels/arg_extreme/arg_extreme.c" /* NOLINT(bugprone-suspicious-include): one contract, two types */
