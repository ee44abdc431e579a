/* Which process this is, over forks. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/process.h"

/* The first answer and those after it come by different ways. */
static bool is_known(void) {
  const pid_t first = fh_process_id();
  return first == getpid() && fh_process_id() == first;
}

/* The exit code of a child that looks, and of its own children. */
static int look_in_child(int generations) {
  const pid_t child = fork();
  if (child == 0) _exit(is_known() && (generations == 1 || look_in_child(generations - 1) == 0) ? 0 : 1);
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_is_this_one(void **state) {
  (void)state;
  assert_true(is_known());
}

static void test_a_child_is_another(void **state) {
  (void)state;
  assert_true(is_known());
  const pid_t parent = fh_process_id();
  assert_int_equal(look_in_child(3), 0);
  assert_int_equal(fh_process_id(), parent);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_is_this_one),
      cmocka_unit_test(test_a_child_is_another),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
