/* The contract of kmeans_update_f64: that of kmeans_update, for doubles. SPDX-License-Identifier: Apache-2.0 */
#define FH_OF_DOUBLES 1
#include "kernels/kmeans_update/kmeans_update.c" /* NOLINT(bugprone-suspicious-include): one contract, two types */
