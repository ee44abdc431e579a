/* kmeans_assign_f64: the tests of kmeans_assign, for doubles. SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120
 */
#define FH_OF_DOUBLES 1
#include "tests/unit/test_assign.c" /* NOLINT(bugprone-suspicious-include): one test, two types */
