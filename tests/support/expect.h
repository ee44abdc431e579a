/* What a status must be, said with its message when it is not. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_EXPECT_H_
#define FOGHORN_TESTS_EXPECT_H_

#include <foghorn/status.h>

/* Each asserts and ends the status. A failure must have words. */
void fh_expect_code(fh_status status, fh_code code);
/* And its message holds `part`. */
void fh_expect_fails(fh_status status, fh_code code, const char *part);
#define FH_EXPECT_OK(expr) fh_expect_code((expr), FH_CODE_OK)

#endif /* FOGHORN_TESTS_EXPECT_H_ */
