/* Log records: what is told, and that no text of a machine is a command to a terminal. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base/log.h"

static void keep(void *user, int level, const char *lines) {
  (void)level;
  snprintf(user, 256, "%s", lines);
}

static void expect(const char *message, const char *want) {
  char told[256] = "";
  fh_log_set(keep, told);
  fh_log(FH_LOG_ERROR, "%s", message);
  fh_log_set(NULL, NULL);
  assert_string_equal(told, want);
}

static void test_lines(void **state) {
  (void)state;
  expect("one", "foghorn: one\n");
  expect("one\ntwo", "foghorn: one\nfoghorn: two\n");
}

static void test_no_commands(void **state) {
  (void)state;
  expect("GPU \x1b[31m", "foghorn: GPU ?[31m\n");
  expect(
      "GPU \xc2\x9b"
      "31m",
      "foghorn: GPU ??31m\n");
  expect("GPU \xe2\x80\xae x", "foghorn: GPU ??? x\n");
  expect("GPU \xff", "foghorn: GPU ?\n");
  expect("d\xc3\xa9j\xc3\xa0", "foghorn: d\xc3\xa9j\xc3\xa0\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lines),
      cmocka_unit_test(test_no_commands),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
