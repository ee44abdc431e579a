/* fh_fma of plain C is one rounding. SPDX-License-Identifier: Apache-2.0
 * TEST: sanitize=address */
#define FH_DIALECT_SCALAR 1
#include "tests/support/fma_cases.h"
