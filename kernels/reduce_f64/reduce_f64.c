/* The contract of reduce_f64: that of reduce, for doubles. SPDX-License-Identifier: Apache-2.0 */
#define FH_OF_DOUBLES 1
#include "kernels/reduce/reduce.c" /* NOLINT(bugprone-suspicious-include): one contract, two types */
