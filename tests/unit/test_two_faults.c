/* Machines with two faults at once: both are named, one of them first. SPDX-License-Identifier: Apache-2.0
 * Such a machine is a snapshot with several bases, which have one fault each (docs/snapshot-format.md). What exactly is found there, and
 * which comes first, is in its expect.json and checked with all other machines (test_machines.c); here, that nothing is hidden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base/json.h"
#include "tests/support/machines.h"

static json_t *load(const char *machine, const char *file) {
  char path[8192];
  json_error_t where;
  snprintf(path, sizeof(path), "%s/%s", fh_machine_path(machine), file);
  json_t *value = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
  if (!value) fail_msg("%s: line %d: %s", path, where.line, where.text);
  return value;
}

/* Where a cause stands in a machine's findings; -1: nowhere. */
static int place_of(const json_t *findings, const char *cause) {
  size_t i;
  const json_t *one;
  json_array_foreach(findings, i, one) {
    if (strcmp(json_string_value(one), cause) == 0) return (int)i;
  }
  return -1;
}

static bool all_have_faults(const json_t *bases) {
  bool all = json_array_size(bases) > 1;
  size_t i;
  const json_t *base;
  json_array_foreach(bases, i, base) {
    json_t *alone = load(json_string_value(base) + strlen("../"), "expect.json");
    all = all && json_is_string(json_object_get(alone, "primary"));
    json_decref(alone);
  }
  return all;
}

/* The primary cause of each base is among the findings, and the first finding is one of them. */
static int faults_hidden(const char *name, const json_t *bases) {
  json_t *expected = load(name, "expect.json"), *findings = json_object_get(expected, "findings");
  int hidden = 0, first = -1;
  size_t i;
  const json_t *base;
  json_array_foreach(bases, i, base) {
    json_t *alone = load(json_string_value(base) + strlen("../"), "expect.json");
    const char *cause = json_string_value(json_object_get(alone, "primary"));
    int place = place_of(findings, cause);
    if (place < 0) printf("  %s: %s is not named\n", name, cause);
    if (place == 0) first = (int)i;
    hidden += place < 0;
    json_decref(alone);
  }
  if (first < 0) printf("  %s: what comes first is the fault of no base\n", name);
  json_decref(expected);
  return hidden + (first < 0);
}

static void test_both_are_named(void **state) {
  (void)state;
  int count = 0, machines = 0, hidden = 0;
  const char *const *names = fh_machines(&count);
  for (int i = 0; i < count; i++) {
    json_t *snapshot = load(names[i], "snapshot.json"), *bases = json_object_get(snapshot, "base");
    if (all_have_faults(bases)) {
      machines++;
      hidden += faults_hidden(names[i], bases);
    }
    json_decref(snapshot);
  }
  printf("  %d machines with two faults\n", machines);
  assert_true(machines >= 30);
  assert_int_equal(hidden, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_both_are_named)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
