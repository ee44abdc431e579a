/* Makes the Nth allocation of the process fail. SPDX-License-Identifier: Apache-2.0
 *
 *   for (int n = 0;; n++) {
 *     fh_fail_alloc(n);                 // this thread's n-th allocation from now on fails, and every later one
 *     fh_status status = something();
 *     bool all_went_well = !fh_fail_alloc_end();
 *     ...
 *   }
 * Sanitizers bring their own allocator: there fh_fail_alloc_possible() is false.
 */
#ifndef FOGHORN_TESTS_FAIL_ALLOC_H_
#define FOGHORN_TESTS_FAIL_ALLOC_H_

#include <stdbool.h>

bool fh_fail_alloc_possible(void);
void fh_fail_alloc(int n);
/* Ends it. True when an allocation was made to fail. */
bool fh_fail_alloc_end(void);

#endif /* FOGHORN_TESTS_FAIL_ALLOC_H_ */
