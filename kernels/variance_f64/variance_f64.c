/* The contract of variance_f64: that of variance, for doubles. SPDX-License-Identifier: Apache-2.0 */
#define FH_OF_DOUBLES 1
#include "kernels/variance/variance.c" /* NOLINT(bugprone-suspicious-include): one contract, two types */
