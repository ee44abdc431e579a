/* Golden machines: snapshot, facts, findings, verdict. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=300
 * Each folder of tests/machines is a snapshot with an expect.json:
 *   {"expect": "--expect of the run, may be left out", "primary": id or null, "confidence": of the primary, may be left out,
 *    "findings": [ids in order], "verdict": "...", "exit": 0 or 1, "devices": [{"id", "usable", "cause"}]} */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base/json.h"
#include "runtime/base/text.h"
#include "tests/support/blind_os.h"
#include "tests/support/crowded_os.h"
#include "tests/support/machines.h"

static json_t *load_expectation(const char *name) {
  char path[8192];
  json_error_t where;
  snprintf(path, sizeof(path), "%s/expect.json", fh_machine_path(name));
  json_t *expected = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
  if (!expected) fail_msg("%s: line %d: %s", path, where.line, where.text);
  return expected;
}

/* ---- the whole verdict as JSON of the same form as expect.json -------------------------------------------------- */

static const char *const confidences[] = {"possible", "consistent", "proven"};

static json_t *devices_of(const fh_judgement *judgement) {
  json_t *devices = json_array();
  for (int i = 0; i < judgement->device_count; i++) {
    const fh_found_device *device = &judgement->devices[i];
    json_t *one = json_object();
    json_object_set_new(one, "id", json_string(device->id));
    json_object_set_new(one, "usable", json_boolean(device->usable));
    json_object_set_new(one, "cause", fh_json_text(device->cause));
    json_array_append_new(devices, one);
  }
  return devices;
}

static json_t *result_of(const fh_judgement *judgement) {
  const fh_finding *primary = fh_judgement_primary(judgement);
  json_t *result = json_object(), *findings = json_array();
  for (int i = 0; i < judgement->finding_count; i++) json_array_append_new(findings, json_string(judgement->findings[i].cause->id));
  json_object_set_new(result, "primary", fh_json_text(primary ? primary->cause->id : NULL));
  json_object_set_new(result, "confidence", fh_json_text(primary ? confidences[primary->confidence] : NULL));
  json_object_set_new(result, "findings", findings);
  json_object_set_new(result, "verdict", json_string(judgement->verdict));
  json_object_set_new(result, "exit", json_integer(judgement->wrong));
  json_object_set_new(result, "devices", devices_of(judgement));
  return result;
}

static void print_findings(const fh_judgement *judgement) {
  for (int i = 0; i < judgement->finding_count; i++) {
    const fh_finding *finding = &judgement->findings[i];
    printf("    %s (%s) %s\n", finding->cause->id, confidences[finding->confidence], finding->summary);
    for (int k = 0; k < finding->evidence_count; k++) printf("      saw %s: %s\n", finding->evidence[k].source, finding->evidence[k].value);
  }
}

/* True when every member of expect.json is as it says; prints the others. */
static bool agrees(const char *name, json_t *expected, json_t *result) {
  bool same = true;
  const char *key;
  json_t *value;
  json_object_foreach(expected, key, value) {
    json_t *found = json_object_get(result, key);
    if (strcmp(key, "expect") == 0 || json_equal(value, found)) continue;
    char *want_text = json_dumps(value, JSON_ENCODE_ANY), *found_text = found ? json_dumps(found, JSON_ENCODE_ANY) : NULL;
    printf("  %s: %s\n    expected %s\n    found    %s\n", name, key, want_text, found_text ? found_text : "(no such member)");
    free(want_text);
    free(found_text);
    same = false;
  }
  return same;
}

static bool machine_holds(const char *name) {
  static const char *const needed[] = {"primary", "findings", "verdict", "exit", "devices"};
  json_t *expected = load_expectation(name);
  for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
    if (!json_object_get(expected, needed[i])) fail_msg("%s/expect.json: no member %s", name, needed[i]);
  fh_judged judged = fh_judge_os(fh_machine_os(name), json_string_value(json_object_get(expected, "expect")));
  json_t *result = result_of(judged.judgement);
  bool same = agrees(name, expected, result);
  if (!same) print_findings(judged.judgement);
  json_decref(result);
  json_decref(expected);
  fh_judged_free(&judged);
  return same;
}

static void test_machines(void **state) {
  (void)state;
  int count = 0, wrong = 0;
  const char *const *names = fh_machines(&count);
  for (int i = 0; i < count; i++) wrong += !machine_holds(names[i]);
  if (wrong) fail_msg("%d of %d machines differ", wrong, count);
  printf("  %d machines\n", count);
}

/* ---- the catalogue and the machines cover each other --------------------------------------------------------------- */

static void test_every_cause_has_a_machine(void **state) {
  (void)state;
  int machine_count = 0, cause_count = 0, missing = 0;
  const char *const *names = fh_machines(&machine_count);
  const fh_cause *causes = fh_causes(&cause_count);
  bool *seen = calloc((size_t)cause_count, sizeof(*seen));
  assert_non_null(seen);
  for (int i = 0; i < machine_count; i++) {
    json_t *expected = load_expectation(names[i]), *findings = json_object_get(expected, "findings");
    size_t found = json_array_size(findings); /* the second of two is a cause that never comes alone: it says why the other came */
    const fh_cause *last = found == 1 || found == 2 ? fh_cause_find(json_string_value(json_array_get(findings, found - 1))) : NULL;
    if (last && (found == 1 || last->stage == FH_STAGE_PROGRAM)) seen[last - causes] = true;
    json_decref(expected);
  }
  for (int i = 0; i < cause_count; i++) {
    if (!causes[i].rule) continue; /* detection cannot see it */
    if (!seen[i]) printf("  %s: no machine that has it alone\n", causes[i].id);
    missing += !seen[i];
  }
  free(seen);
  assert_int_equal(missing, 0);
}

/* ---- unknown is not zero --------------------------------------------------------------------------------------------- */

static bool has_cause(const fh_judgement *judgement, const fh_cause *cause) {
  for (int i = 0; i < judgement->finding_count; i++)
    if (judgement->findings[i].cause == cause) return true;
  return false;
}

/* Looks at a machine with blind spots; returns how many confident causes it names that the whole machine does not have. */
static int invented(const char *name, const fh_judgement *whole, const char *expect, fh_blindness blindness) {
  fh_judged part = fh_judge_os(fh_os_blind(fh_machine_os(name), blindness), expect);
  int count = 0;
  for (int i = 0; i < part.judgement->finding_count; i++) {
    const fh_finding *finding = &part.judgement->findings[i];
    if (finding->confidence == FH_POSSIBLE || has_cause(whole, finding->cause)) continue;
    printf("  %s, seed %llu, %u of 1000 hidden: invented %s\n", name, (unsigned long long)blindness.seed, blindness.per_thousand,
           finding->cause->id);
    print_findings(part.judgement);
    count++;
  }
  char *json = NULL;
  assert_null(fh_judgement_json(part.judgement, &json));
  free(json);
  fh_judged_free(&part);
  return count;
}

enum { SEEDS = 2 };

static void test_blind_spots_invent_nothing(void **state) {
  (void)state;
  static const unsigned rates[] = {30, 200, 600};
  int count = 0, wrong = 0;
  const char *const *names = fh_machines(&count);
  for (int i = 0; i < count; i++) {
    json_t *expected = load_expectation(names[i]);
    const char *expect = json_string_value(json_object_get(expected, "expect"));
    fh_judged whole = fh_judge_os(fh_machine_os(names[i]), expect);
    for (unsigned seed = 1; seed <= SEEDS; seed++) { /* the machines take turns with the rates */
      size_t r = ((size_t)i + seed) % (sizeof(rates) / sizeof(rates[0]));
      wrong +=
          invented(names[i], whole.judgement, expect, (fh_blindness){.seed = seed + 100 * r, .per_thousand = rates[r], .error = EACCES});
    }
    fh_judged_free(&whole);
    json_decref(expected);
  }
  assert_int_equal(wrong, 0);
}

/* Files that are gone make another machine, about which anything may be true; it must still be judged. */
static void test_missing_files_are_survived(void **state) {
  (void)state;
  int count = 0;
  const char *const *names = fh_machines(&count);
  for (int i = 0; i < count; i++)
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
      fh_blindness blindness = {.seed = seed, .per_thousand = 400 * seed, .error = ENOENT};
      fh_judged judged = fh_judge_os(fh_os_blind(fh_machine_os(names[i]), blindness), seed % 2 ? "gpu" : NULL);
      char *json = NULL;
      assert_null(fh_judgement_json(judged.judgement, &json));
      assert_non_null(json);
      free(json);
      fh_judged_free(&judged);
    }
}

/* ---- what has nothing to do with it changes nothing ----------------------------------------------------------------------- */

static void test_irrelevant_facts_change_nothing(void **state) {
  (void)state;
  int count = 0, wrong = 0;
  const char *const *names = fh_machines(&count);
  for (int i = 0; i < count; i++) {
    json_t *expected = load_expectation(names[i]);
    fh_judged judged = fh_judge_os(fh_os_crowded(fh_machine_os(names[i])), json_string_value(json_object_get(expected, "expect")));
    json_t *result = result_of(judged.judgement);
    json_object_del(expected, "devices"); /* an OpenCL driver more is one device more that gave no answer */
    bool same = agrees(names[i], expected, result);
    if (!same) print_findings(judged.judgement);
    wrong += !same;
    json_decref(result);
    json_decref(expected);
    fh_judged_free(&judged);
  }
  assert_int_equal(wrong, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_machines),
      cmocka_unit_test(test_every_cause_has_a_machine),
      cmocka_unit_test(test_blind_spots_invent_nothing),
      cmocka_unit_test(test_missing_files_are_survived),
      cmocka_unit_test(test_irrelevant_facts_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
