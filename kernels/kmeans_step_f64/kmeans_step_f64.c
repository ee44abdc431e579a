/* The contract of kmeans_step_f64: that of kmeans_step, for doubles. SPDX-License-Identifier: Apache-2.0 */
#define FH_OF_DOUBLES 1
#include "kernels/kmeans_step/kmeans_step.c" /* NOLINT(bugprone-suspicious-include): one contract, two types */
