/* Memory for data: where it lies, what it may not be, and that the system is asked for huge pages. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/host_memory.h"

static void every_size_begins_at_a_line(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, (4 << 20) - 1, 4 << 20, (6 << 20) + 13};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char *memory = fh_host_alloc(sizes[i]);
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % FH_HOST_ALIGN, 0);
    memset(memory, 1, sizes[i] ? sizes[i] : 1); /* a sanitizer sees where it ends */
    free(memory);
  }
}

static void what_cannot_be_had_is_null(void **state) {
  (void)state;
  static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 63, (size_t)PTRDIFF_MAX, (size_t)PTRDIFF_MAX - 64};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) assert_null(fh_host_alloc(sizes[i]));
}

/* The flags of the mapping that an address lies in, as the kernel lists them; "": it does not. */
static void flags_at(const void *address, char *out, size_t size) {
  FILE *file = fopen("/proc/self/smaps", "re");
  char line[512];
  bool here = false;
  *out = '\0';
  while (file && fgets(line, sizeof line, file)) {
    unsigned long low, high;
    if (sscanf(line, "%lx-%lx ", &low, &high) == 2) here = (uintptr_t)address >= low && (uintptr_t)address < high;
    if (here && strncmp(line, "VmFlags:", 8) == 0) snprintf(out, size, "%s", line);
  }
  if (file) fclose(file);
}

static void much_asks_for_huge_pages(void **state) {
  (void)state;
  char flags[512];
  if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0 || getenv("FH_EMULATED")) {
    print_message("NOT RUN: this kernel has no transparent huge pages, or an emulator stands between\n");
    skip();
  }
  enum { MUCH = 9 << 20 };
  char *much = fh_host_alloc(MUCH);
  assert_non_null(much);
  flags_at(much + (4 << 20), flags, sizeof flags);
  free(much);
  if (!flags[0]) {
    print_message("NOT RUN: this kernel does not list the flags of mappings\n");
    skip();
  }
  if (!strstr(flags, " hg")) fail_msg("the mapping of 9 MiB has %s", flags);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_size_begins_at_a_line),
      cmocka_unit_test(what_cannot_be_had_is_null),
      cmocka_unit_test(much_asks_for_huge_pages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
