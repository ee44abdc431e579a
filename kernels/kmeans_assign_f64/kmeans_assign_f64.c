/* The contract of kmeans_assign_f64: that of kmeans_assign, for doubles. SPDX-License-Identifier: Apache-2.0 */
#define FH_OF_DOUBLES 1
#include "kernels/kmeans_assign/kmeans_assign.c" /* NOLINT(bugprone-suspicious-include): one contract, two types */
