/* What a status must be, said with its message when it is not. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/expect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

void fh_expect_code(fh_status status, fh_code code) {
  fh_code got = fh_status_code(status);
  if (got != code) print_error("expected %s, got %s: %s\n", fh_code_name(code), fh_code_name(got), fh_status_message(status));
  if (got != FH_CODE_OK) assert_true(fh_status_message(status)[0] != 0); /* no error without words */
  fh_status_free(status);
  assert_int_equal(got, code);
}

void fh_expect_fails(fh_status status, fh_code code, const char *part) {
  if (!strstr(fh_status_message(status), part)) {
    print_error("\"%s\" is not in: %s\n", part, fh_status_message(status));
    assert_int_equal(fh_status_code(status), code);
    fail();
  }
  fh_expect_code(status, code);
}
