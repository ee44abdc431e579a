/* fh_fma on SSE4.2, which has no such instruction, is one rounding. SPDX-License-Identifier: Apache-2.0
 * TEST: sanitize=address */
#if defined(__SSE4_2__)
#include "tests/support/fma_cases.h"
#else
#include <stdio.h>

int main(void) {
  puts("NOT RUN: no x86-64");
  return 77;
}
#endif
