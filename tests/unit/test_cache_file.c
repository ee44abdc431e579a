/* Files of a cache folder: written whatever other processes left there, and read back whole. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/cache_file.h"
#include "tests/support/folder.h"

static folder cache;

static int setup(void **state) {
  (void)state;
  folder_make(&cache);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  folder_remove(&cache);
  return 0;
}

static void write_file(const char *text) {
  const char *why = fh_cache_file_write(folder_at(&cache, "file"), &(fh_cache_part){text, strlen(text)}, 1);
  if (why) fail_msg("the file is not written: %s", why);
}

static void expect_file(const char *text) {
  char *bytes = NULL;
  size_t size = 0;
  assert_null(fh_cache_file_read(folder_at(&cache, "file"), 100, &bytes, &size));
  assert_non_null(bytes);
  assert_string_equal(bytes, text);
  free(bytes);
}

/* In containers that share a home all processes have the same number: one that was killed while it wrote left a file of that name. */
static void goes_round_what_a_killed_process_left(void **state) {
  (void)state;
  char name[64];
  write_file("before");
  for (int serial = 0; serial < 20; serial++) {
    snprintf(name, sizeof name, "file.%ld.%d", (long)getpid(), serial);
    folder_put(&cache, name, "half of a");
  }
  write_file("after");
  expect_file("after");
  assert_null(fh_cache_file_writable(folder_at(&cache, "file")));
}

/* A folder in its place is told, and nothing is left beside it. */
static void leaves_nothing_behind(void **state) {
  (void)state;
  write_file("whole");
  assert_null(fh_cache_file_writable(folder_at(&cache, "file")));
  assert_int_equal(unlink(folder_at(&cache, "file")), 0);
  folder_put(&cache, "file/in_its_place", "");
  assert_non_null(fh_cache_file_write(folder_at(&cache, "file"), &(fh_cache_part){"x", 1}, 1));
  assert_non_null(fh_cache_file_writable(folder_at(&cache, "file")));
  assert_int_equal(unlink(folder_at(&cache, "file/in_its_place")), 0);
  assert_int_equal(rmdir(folder_at(&cache, "file")), 0);
  assert_int_equal(rmdir(cache.path), 0);
  folder_make(&cache);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(goes_round_what_a_killed_process_left, setup, teardown),
      cmocka_unit_test_setup_teardown(leaves_nothing_behind, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
