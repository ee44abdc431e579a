/* The catalogue of causes, SPECs, remedies, and judging without memory. SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <foghorn/detect.h>

#include "runtime/base/json.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/machines.h"

/* ---- the catalogue ------------------------------------------------------------------------------------------------ */

static bool is_id(const char *text, size_t size) {
  bool dash = false;
  for (size_t i = 0; i < size; i++) {
    dash = dash || text[i] == '-';
    if (!isupper((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && (text[i] != '-' || i == 0 || i + 1 == size)) return false;
  }
  return size > 3 && isupper((unsigned char)text[0]) && (dash || (size == 7 && memcmp(text, "UNKNOWN", 7) == 0));
}

/* Words of a text that look like an id with one of our prefixes must be ids. */
static int unknown_ids(const fh_cause *cause) {
  static const char word_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
  static const char *const prefixes[] = {"NV-", "CR-", "CU-", "CL-", "CG-", "CPU-", "AMD-", "INTEL-", "WSL-", "JETSON-", "CLOUD-"};
  int wrong = 0;
  for (const char *at = cause->look_alikes; *at;) {
    size_t size = strspn(at, word_characters);
    char word[64] = "";
    if (size < sizeof(word)) memcpy(word, at, size);
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
      if (strncmp(word, prefixes[i], strlen(prefixes[i])) == 0 && !fh_cause_find(word)) {
        printf("  %s: look-alike %s is not in the catalogue\n", cause->id, word);
        wrong++;
      }
    at += size ? size : 1;
  }
  return wrong;
}

/* Each line is "KEYS: text" with keys that exist. */
static int wrong_remedies(const fh_cause *cause) {
  static const char keys[] =
      " docker podman kubernetes oci lxc apptainer flatpak snap systemd gvisor kata wsl jetson nspawn bubblewrap vm bare container any "
      "else host ";
  int wrong = 0;
  for (const char *line = cause->remedy; *line;) {
    size_t size = strcspn(line, "\n"), colon = strcspn(line, ":");
    bool good = colon + 2 < size && line[colon + 1] == ' ';
    for (size_t at = 0; good && at < colon;) {
      char key[32];
      size_t length = strcspn(line + at, "|:");
      snprintf(key, sizeof(key), " %.*s ", (int)length, line + at);
      good = strstr(keys, key) != NULL;
      at += length + 1;
    }
    if (!good) printf("  %s: remedy line '%.*s'\n", cause->id, (int)size, line);
    wrong += !good;
    line += size + (line[size] == '\n');
  }
  return wrong;
}

static void test_catalogue(void **state) {
  (void)state;
  int count = 0, wrong = 0;
  const fh_cause *causes = fh_causes(&count);
  assert_true(count >= 32);
  for (int i = 0; i < count; i++) {
    const fh_cause *cause = &causes[i];
    assert_true(is_id(cause->id, strlen(cause->id)));
    assert_ptr_equal(fh_cause_find(cause->id), cause); /* so it is also unique */
    assert_true(cause->title[0] && cause->meaning[0] && cause->look_alikes[0] && cause->remedy[0]);
    if (!cause->evidence[0]) fail_msg("%s does not say where to look", cause->id);
    assert_int_equal(cause->rule == NULL, cause->group == FH_GROUP_RUN_TIME);
    if (strlen(cause->title) > 90) {
      printf("  %s: a title of %zu characters\n", cause->id, strlen(cause->title));
      wrong++;
    }
    wrong += unknown_ids(cause) + wrong_remedies(cause);
  }
  assert_int_equal(wrong, 0);
  assert_null(fh_cause_find("NO-SUCH-CAUSE"));
  assert_null(fh_cause_find(NULL));
}

/* ---- SPECs ------------------------------------------------------------------------------------------------------------ */

static const struct {
  const char *machine, *spec;
  bool met;
  const char *cause; /* of an unmet one */
} specs[] = {
    {"bare-gpu", "gpu", true, NULL},
    {"bare-gpu", "gpu>=2", false, NULL},
    {"bare-gpu", "gpu=1", true, NULL},
    {"bare-gpu", "gpu<1", false, NULL},
    {"bare-gpu", "cuda", true, NULL},
    {"bare-gpu", "cuda>=1", true, NULL},
    {"bare-gpu", "cuda>1", false, NULL},
    {"bare-gpu", "opencl", true, NULL},
    {"bare-gpu", "memory>=40GiB", true, NULL},
    {"bare-gpu", "memory>=64GB", false, NULL},
    {"bare-gpu", "gpu-memory>=39GiB", true, NULL},
    {"bare-gpu", "gpu-memory>=80GiB", false, NULL},
    {"bare-gpu", "driver>=550", true, NULL},
    {"bare-gpu", "driver>=550.54.14", true, NULL},
    {"bare-gpu", "driver>550.54.14", false, NULL},
    {"bare-gpu", "driver>=550.54.15", false, NULL},
    {"bare-gpu", "driver<560", true, NULL},
    {"bare-gpu", "cuda-version>=12.4", true, NULL},
    {"bare-gpu", "cuda-version>=12.10", false, NULL},
    {"bare-gpu", "capability>=8.0", true, NULL},
    {"bare-gpu", "capability>=9.0", false, NULL},
    {"bare-gpu", "isa=avx2", true, NULL},
    {"bare-gpu", "isa>=avx512", true, NULL},
    {"bare-gpu", "isa=neon", false, NULL},
    {"arm64", "isa=neon", true, NULL},
    {"bare-gpu", "cpus>=16", true, NULL},
    {"bare-gpu", "cpus>=17", false, NULL},
    {"pocl", "opencl", true, NULL},
    {"pocl", "gpu", false, "NV-NO-HARDWARE"},
    {"fake-driver", "gpu", false, "NV-NO-HARDWARE"},
    {"fake-driver", "cuda", false, "NV-NO-HARDWARE"},
    {"no-gpu", "driver>=550", false, "NV-NO-HARDWARE"},
    {"no-gpu", "opencl", false, "CL-NO-LOADER"},
    {"cr-no-gpu-requested", "gpu", false, "CR-NO-GPU-REQUESTED"},
    {"cr-no-gpu-requested", "driver>=550", true, NULL}, /* the host's module, which shows through */
    {"nv-uvm-missing", "cuda", false, "NV-UVM-MISSING"},
    {"cl-icd-lib-missing", "opencl", false, "CL-ICD-LIB-MISSING"},
    {"cg-quota-oversub", "cpus>=4", false, "CG-QUOTA-OVERSUB"},
    {"cg-quota-ancestor", "cpus>=8", false, "CG-QUOTA-ANCESTOR"},
    {"cg-mem-misread", "memory>=8GiB", false, "CG-MEM-MISREAD"},
    {"cpu-isa-xcr0", "isa=avx512", false, "CPU-ISA-XCR0"},
    {"cu-driver-too-old", "cuda-version>=12.4", false, "CU-DRIVER-TOO-OLD"},
    {"bare-gpu", "nvidia", true, NULL}, /* seen through CUDA and through OpenCL: one */
    {"bare-gpu", "nvidia>=2", false, NULL},
    {"bare-gpu", "amd", false, "AMD-NO-KFD"},
    {"bare-amd", "amd", true, NULL},
    {"bare-amd", "gpu", true, NULL},
    {"bare-amd", "gpu>=2", false, NULL},
    {"bare-amd", "gpu-memory>=20GiB", true, NULL},
    {"bare-amd", "nvidia", false, "NV-NO-HARDWARE"},
    {"docker-amd-two", "amd>=2", true, NULL},
    {"amd-no-kfd", "gpu", false, "AMD-NO-KFD"}, /* "gpu" is about the one that is here */
    {"amd-desktop", "gpu", false, "AMD-USERLAND-MISSING"},
    {"amd-desktop", "amd", false, "AMD-USERLAND-MISSING"},
    {"intel-desktop", "gpu", false, "INTEL-RENDER-GID"},
    {"intel-desktop-opencl", "gpu", true, NULL},
    {"intel-desktop-opencl", "intel=1", true, NULL},
    {"intel-desktop", "npu", false, "INTEL-NPU"},
    {"docker-intel", "intel", true, NULL},
    {"bare-npu", "npu", true, NULL},
    {"bare-npu", "gpu", false, "NV-NO-HARDWARE"},
    {"vm-display", "gpu", false, "NV-NO-HARDWARE"},
    {"amd-and-nvidia", "gpu", true, NULL},
};

static void test_specs(void **state) {
  (void)state;
  int wrong = 0;
  for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
    fh_judged judged = fh_judge_os(fh_machine_os(specs[i].machine), specs[i].spec);
    fh_unmet unmet = {0};
    bool met = !specs[i].met;
    assert_null(fh_judgement_require(judged.judgement, specs[i].spec, &met, &unmet));
    bool same_cause = met || (unmet.cause ? specs[i].cause && strcmp(unmet.cause, specs[i].cause) == 0 : !specs[i].cause);
    bool told = met || (strcmp(unmet.spec, specs[i].spec) == 0 && unmet.found[0]);
    if (met != specs[i].met || !same_cause || !told || judged.judgement->wrong < !met) {
      printf("  %s, %s: met %d, found '%s', cause %s, wrong %d\n", specs[i].machine, specs[i].spec, met, unmet.found,
             unmet.cause ? unmet.cause : "none", judged.judgement->wrong);
      wrong++;
    }
    fh_judged_free(&judged);
  }
  assert_int_equal(wrong, 0);
}

static void test_wrong_specs(void **state) {
  (void)state;
  static const char *const wrong[] = {
      "",           " ",        "gpus",     "gpu>=",    "gpu>=x",       "gpu>=-1",          "gpu>=1x",       "gpu>=1.5",       "gpu 2",
      "gpu~2",      "memory",   "memory>=", "driver",   "memory>=40GG", "memory>=GiB",      "memory>=1.2.3", "driver>=",       "driver>=x",
      "driver>=5.", "isa",      "isa=avx9", "isa>avx2", "cpus",         "cpus>=9999999999", "capability>=a", "gpu,",           ",gpu",
      "gpu,,cuda",  "opencl=y", "=1",       ">=1",      "memory>=1e9",  "cpus>=+4",         "amdgpu>=1",     "cuda version>=1"};
  fh_judged judged = fh_judge_os(fh_machine_os("no-gpu"), NULL);
  for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
    fh_judgement *none = NULL;
    fh_status status = fh_judge(judged.facts, wrong[i], &none);
    if (fh_status_code(status) != FH_INVALID_ARGUMENT || none) fail_msg("--expect '%s' was accepted", wrong[i]);
    assert_non_null(strstr(fh_status_message(status), "cuda>=2")); /* says what is right */
    fh_status_free(status);
  }
  fh_judged_free(&judged);
}

/* ---- remedies ------------------------------------------------------------------------------------------------------------ */

static const char *remedy_on(fh_judged *judged, fh_platform platform) {
  static char text[256];
  fh_judgement *judgement = NULL;
  judged->facts->where.platform = platform;
  assert_null(fh_judge(judged->facts, "gpu", &judgement));
  assert_true(judgement->finding_count > 0 && judgement->findings[0].remedy_count > 0);
  snprintf(text, sizeof(text), "%s", judgement->findings[0].remedies[0]);
  fh_judgement_destroy(judgement);
  return text;
}

static void test_remedies_fit_the_platform(void **state) {
  (void)state;
  fh_judged judged = fh_judge_os(fh_machine_os("cr-no-gpu-requested"), NULL);
  assert_non_null(strstr(remedy_on(&judged, FH_PLATFORM_DOCKER), "docker run --gpus all"));
  assert_non_null(strstr(remedy_on(&judged, FH_PLATFORM_PODMAN), "podman run"));
  assert_non_null(strstr(remedy_on(&judged, FH_PLATFORM_LXC), "lxc config"));
  assert_non_null(strstr(remedy_on(&judged, FH_PLATFORM_KUBERNETES), "runtimeClassName"));
  fh_judged_free(&judged);
}

/* Whoever is told of a fault is told what to do, on every platform. */
static void test_every_finding_has_a_remedy(void **state) {
  (void)state;
  int count = 0, without = 0;
  const char *const *names = fh_machines(&count);
  for (int i = 0; i < count; i++) {
    fh_judged judged = fh_judge_os(fh_machine_os(names[i]), NULL);
    for (int k = 0; k < judged.judgement->finding_count; k++) {
      const fh_finding *finding = &judged.judgement->findings[k];
      bool good = finding->remedy_count > 0 && finding->evidence_count > 0 && finding->summary[0];
      if (!good)
        printf("  %s: %s has %d remedies, %d pieces of evidence\n", names[i], finding->cause->id, finding->remedy_count,
               finding->evidence_count);
      without += !good;
    }
    fh_judged_free(&judged);
  }
  assert_int_equal(without, 0);
}

/* ---- limits ------------------------------------------------------------------------------------------------------------------ */

/* Sixteen refused GPUs: more evidence than a finding holds. */
static void test_evidence_is_bounded(void **state) {
  (void)state;
  fh_judged judged = fh_judge_os(fh_machine_os("cr-cgroup-lost"), NULL);
  const fh_node *control = fh_facts_node(judged.facts, "/dev/nvidiactl");
  fh_node nodes[20];
  static char paths[20][24];
  for (int i = 0; i < 20; i++) {
    nodes[i] = *control;
    snprintf(paths[i], sizeof(paths[i]), "/dev/nvidia%d", i);
    nodes[i].path = i == 19 ? "/dev/nvidiactl" : i == 18 ? "/dev/nvidia-uvm" : paths[i];
  }
  judged.facts->nodes.nodes = nodes;
  judged.facts->nodes.count = 20;
  fh_judgement *judgement = NULL;
  assert_null(fh_judge(judged.facts, NULL, &judgement));
  assert_string_equal(judgement->findings[0].cause->id, "CR-CGROUP-LOST");
  assert_int_equal(judgement->findings[0].evidence_count, FH_MAX_EVIDENCE);
  fh_judgement_destroy(judgement);
  fh_judged_free(&judged);
}

static void test_findings_take_evidence_from_outside(void **state) {
  (void)state;
  fh_judged judged = fh_judge_os(fh_machine_os("cg-quota-oversub"), NULL);
  fh_finding *finding = &judged.judgement->findings[0];
  int before = finding->evidence_count;
  fh_finding_saw(judged.judgement, finding, "a file", "%d", 7);
  assert_int_equal(finding->evidence_count, before + 1);
  assert_string_equal(finding->evidence[before].value, "7");
  fh_finding_saw(judged.judgement, NULL, "a file", "%d", 7);
  fh_judged_free(&judged);
}

/* The JSON library's allocations too go through the allocator that fails. */
static void *counted_malloc(size_t size) { return malloc(size); }

static void test_judging_without_memory(void **state) {
  (void)state;
  if (!fh_fail_alloc_possible()) {
    printf("  not with a sanitizer's allocator\n");
    return;
  }
  fh_judged judged = fh_judge_os(fh_machine_os("cr-no-gpu-requested"), NULL);
  int refused = 0;
  json_set_alloc_funcs(counted_malloc, free);
  for (int n = 0; n < 100000; n++) {
    fh_judgement *judgement = NULL;
    char *json = NULL;
    fh_fail_alloc(n);
    fh_status status = fh_judge(judged.facts, "gpu,cpus>=4", &judgement);
    if (!status) status = fh_judgement_json(judgement, &json);
    bool all = !fh_fail_alloc_end();
    fh_code code = fh_status_code(status);
    fh_status_free(status);
    if (all) assert_true(code == FH_CODE_OK && json);
    if (!all && code != FH_CODE_OK) {
      assert_int_equal(code, FH_RESOURCE_EXHAUSTED);
      assert_null(json);
      refused++;
    }
    free(json);
    fh_judgement_destroy(judgement);
    if (all) break;
  }
  json_set_alloc_funcs(malloc, free);
  assert_true(refused > 100);
  fh_judged_free(&judged);
}

/* ---- the public way in ------------------------------------------------------------------------------------------------------------ */

static fh_code probe_code(const fh_probe_options *options) {
  fh_probe *probe = (fh_probe *)1;
  fh_status status = fh_probe_run(options, &probe);
  fh_code code = fh_status_code(status);
  assert_true(code == FH_CODE_OK || (probe == NULL && fh_status_message(status)[0]));
  fh_status_free(status);
  fh_probe_free(probe);
  return code;
}

static void test_probe_refuses_wrong_options(void **state) {
  (void)state;
  assert_int_equal(probe_code(&(fh_probe_options){.from = "/no/such/folder"}), FH_INVALID_ARGUMENT);
  assert_int_equal(probe_code(&(fh_probe_options){.expect = "unicorn", .no_drivers = true}), FH_INVALID_ARGUMENT);
  assert_int_equal(probe_code(&(fh_probe_options){.timeout_s = -1}), FH_INVALID_ARGUMENT);
  assert_int_equal(probe_code(&(fh_probe_options){.timeout_s = 1e9}), FH_INVALID_ARGUMENT);
  assert_int_equal(probe_code(&(fh_probe_options){.timeout_s = 0.0 / 0.0}), FH_INVALID_ARGUMENT);
  fh_status status = fh_probe_run(NULL, NULL);
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  fh_status_free(status);
  char *json = NULL;
  status = fh_probe_json(NULL, &json);
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  fh_status_free(status);
  fh_probe_free(NULL);
  assert_false(fh_probe_wrong(NULL));
  assert_null(fh_probe_primary_cause(NULL));
}

static void probe_is(const fh_probe_options *options, bool wrong, const char *cause) {
  fh_probe *probe = NULL;
  char *json = NULL;
  assert_null(fh_probe_run(options, &probe));
  assert_int_equal(fh_probe_wrong(probe), wrong);
  if (cause)
    assert_string_equal(fh_probe_primary_cause(probe), cause);
  else
    assert_null(fh_probe_primary_cause(probe));
  assert_null(fh_probe_json(probe, &json));
  assert_non_null(strstr(json, "\"foghorn.devprobe/1\""));
  free(json);
  fh_probe_free(probe);
}

static void test_probe_of_machines(void **state) {
  (void)state;
  probe_is(&(fh_probe_options){.from = fh_machine_path("cr-no-gpu-requested")}, true, "CR-NO-GPU-REQUESTED");
  probe_is(&(fh_probe_options){.from = fh_machine_path("bare-gpu"), .expect = "gpu,cuda,opencl"}, false, NULL);
  /* Nobody asked the driver: neither usable nor at fault. */
  probe_is(&(fh_probe_options){.from = fh_machine_path("bare-gpu"), .no_drivers = true}, false, NULL);
  probe_is(&(fh_probe_options){.from = fh_machine_path("cg-cpuset-narrow")}, false, NULL);
}

static void test_probe_of_this_machine(void **state) {
  (void)state;
  fh_probe *probe = NULL;
  char *json = NULL;
  assert_null(fh_probe_run(&(fh_probe_options){.no_drivers = true}, &probe));
  assert_null(fh_probe_json(probe, &json));
  assert_non_null(strstr(json, "\"cpu:0\""));
  free(json);
  fh_probe_free(probe);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_catalogue),
      cmocka_unit_test(test_specs),
      cmocka_unit_test(test_wrong_specs),
      cmocka_unit_test(test_remedies_fit_the_platform),
      cmocka_unit_test(test_every_finding_has_a_remedy),
      cmocka_unit_test(test_evidence_is_bounded),
      cmocka_unit_test(test_findings_take_evidence_from_outside),
      cmocka_unit_test(test_judging_without_memory),
      cmocka_unit_test(test_probe_refuses_wrong_options),
      cmocka_unit_test(test_probe_of_machines),
      cmocka_unit_test(test_probe_of_this_machine),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
