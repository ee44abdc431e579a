/* Golden decisions: facts and costs in, plan and reasons out. SPDX-License-Identifier: Apache-2.0
 * TEST: cross=no
 *
 * Each file of tests/decisions/ is a machine as the planner sees it (instruction sets, devices and their state, what was measured), a
 * launch, and the decision expected for it. No kernel runs and no device is opened. Members of a file:
 *   about        what it shows
 *   isas         usable instruction sets; scalar always is
 *   config       exact, isa_cap, pinned
 *   devices      id, kind (cpu | gpu | posing), state (open | rejected | quarantined), cause, reason, memory, flops, bytes, link, launch,
 *                link_known (it was measured), pci, host_memory,
 *                rank, allowed, exact, capability, threads and shared (of a block; without threads no variant for blocks is listed)
 *   kernel, shapes, params
 *   known        variant, source (measured | calibrated), seconds
 *   failed       variants whose self-test failed, with the reason
 *   config       also keep_whole
 *   expect       split (who shares it and how, null: nobody), chosen, intended (null: nothing), fallback (words of its reason; "" none),
 * sources, reasons: words by variant
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>

#include "backends/backend.h"
#include "runtime/base/json.h"
#include "runtime/plan/split.h"
#include "tests/support/expect.h"
#include "tests/support/scale_kernel.h"

static const char *text_of(const json_t *object, const char *key, const char *otherwise) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : otherwise;
}

static double number_of(const json_t *object, const char *key, double otherwise) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : otherwise;
}

static bool truth_of(const json_t *object, const char *key, bool otherwise) {
  const json_t *value = json_object_get(object, key);
  return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

static const fh_backend_api *api_of(const char *id) {
  static const fh_backend_api cuda = {.name = "cuda"}, opencl = {.name = "opencl"}, cpu = {.name = "cpu"};
  return strncmp(id, "cuda", 4) == 0 ? &cuda : strncmp(id, "opencl", 6) == 0 ? &opencl : &cpu;
}

static void add_device(fh_context *context, const json_t *told) {
  fh_plan_device *d = &context->devices[context->device_count++];
  const char *kind = text_of(told, "kind", "cpu"), *state = text_of(told, "state", "open");
  const bool cpu = strcmp(kind, "cpu") == 0;
  d->info = (fh_device_info){.kind = cpu                           ? FH_DEVICE_CPU
                                     : strcmp(kind, "posing") == 0 ? FH_DEVICE_CPU_POSING
                                                                   : FH_DEVICE_GPU,
                             .host_memory = truth_of(told, "host_memory", cpu),
                             .exact = truth_of(told, "exact", true),
                             .why_not_exact = "it flushes denormals",
                             .no_doubles = !truth_of(told, "doubles", true),
                             .memory_bytes = (uint64_t)number_of(told, "memory", 0),
                             .peak_flops = number_of(told, "flops", 1e11),
                             .peak_bytes_per_s = number_of(told, "bytes", 2e10),
                             .link_bytes_per_s = number_of(told, "link", 0),
                             .launch_s = number_of(told, "launch", 1e-6),
                             .capability = (int)number_of(told, "capability", 0),
                             .blocks = {.threads = (uint32_t)number_of(told, "threads", 0),
                                        .grid = {INT32_MAX, UINT16_MAX, UINT16_MAX},
                                        .shared_bytes = (uint32_t)number_of(told, "shared", 49152)}};
  snprintf(d->info.id, sizeof d->info.id, "%s", text_of(told, "id", "cpu"));
  snprintf(d->info.pci, sizeof d->info.pci, "%s", text_of(told, "pci", ""));
  for (int way = 0; way < FH_WAYS && truth_of(told, "link_known", false); way++)
    fh_link_calibrate(d, (fh_way)way, 1e-5, d->info.link_bytes_per_s);
  d->state = strcmp(state, "open") == 0 ? FH_STATE_OPEN : strcmp(state, "rejected") == 0 ? FH_STATE_REJECTED : FH_STATE_QUARANTINED;
  d->allowed = truth_of(told, "allowed", true);
  d->rank = (int)number_of(told, "rank", 0);
  d->api = api_of(d->info.id);
  snprintf(d->cause, sizeof d->cause, "%s", text_of(told, "cause", ""));
  snprintf(d->reason, sizeof d->reason, "%s", text_of(told, "reason", ""));
}

static fh_isa isa_of(const char *name) {
  fh_isa isa = FH_ISA_SCALAR;
  if (!fh_isa_parse(name, &isa)) fail_msg("no instruction set is called '%s'", name);
  return isa;
}

static fh_candidate *candidate_of(fh_context *context, int kernel, const char *name) {
  fh_plan_kernel *of = fh_plan_kernel_in(context, kernel);
  for (int i = 0; i < of->count; i++)
    if (strcmp(of->candidates[i].name, name) == 0) return &of->candidates[i];
  fail_msg("no variant is called '%s'", name);
  return NULL;
}

static fh_context *make_context(const json_t *root) {
  fh_context *context = calloc(1, sizeof *context);
  assert_non_null(context);
  const json_t *config = json_object_get(root, "config"), *entry;
  const char *cap = text_of(config, "isa_cap", NULL);
  size_t i;
  context->config.numerics = truth_of(config, "exact", false) ? FH_EXACT : FH_BOUNDED;
  context->config.keep_whole = truth_of(config, "keep_whole", false);
  context->config.isa_cap = cap ? (int)isa_of(cap) : -1;
  context->profile.looked = true; /* the golden file says what is known */
  context->isa_usable[FH_ISA_SCALAR] = true;
  json_array_foreach(json_object_get(root, "isas"), i, entry) context->isa_usable[isa_of(json_string_value(entry))] = true;
  json_array_foreach(json_object_get(root, "devices"), i, entry) add_device(context, entry);
  assert_null(fh_candidates_build(context));
  return context;
}

/* ---- the launch --------------------------------------------------------------------------------------------------- */

static fh_call make_call(const json_t *root) {
  int count, kernel = 0;
  const fh_kernel_image *images = fh_kernel_images(&count);
  while (kernel < count && strcmp(images[kernel].contract->name, text_of(root, "kernel", "")) != 0) kernel++;
  assert_in_range(kernel, 0, count - 1);
  const fh_kernel_contract *contract = images[kernel].contract;
  fh_call call = {.image = &images[kernel], .kernel = kernel, .view_count = contract->view_count};
  for (int v = 0; v < contract->view_count; v++) {
    const json_t *shape = json_array_get(json_object_get(root, "shapes"), (size_t)v);
    fh_view_desc *desc = &call.descs[v];
    desc->dtype = contract->views[v].dtype;
    desc->rank = (int32_t)json_array_size(shape);
    int64_t stride = 1;
    for (int32_t d = desc->rank - 1; d >= 0; d--) {
      desc->shape[d] = json_integer_value(json_array_get(shape, (size_t)d));
      desc->strides[d] = stride;
      stride *= desc->shape[d];
    }
  }
  for (int p = 0; p < contract->scalar_count; p++) {
    const json_t *value = json_array_get(json_object_get(root, "params"), (size_t)p);
    const double number = value ? json_number_value(value) : contract->scalars[p].def;
    if (contract->scalars[p].type == 'i')
      call.params[p].i = (int64_t)number;
    else
      call.params[p].f = number;
  }
  assert_null(contract->bind(call.descs, call.params, &call.bound));
  return call;
}

static void make_known(fh_context *context, const fh_call *call, const json_t *root) {
  size_t i;
  const json_t *entry;
  json_array_foreach(json_object_get(root, "known"), i, entry) {
    fh_candidate *candidate = candidate_of(context, call->kernel, text_of(entry, "variant", ""));
    const double seconds = number_of(entry, "seconds", 0);
    if (strcmp(text_of(entry, "source", ""), "calibrated") == 0)
      fh_candidate_calibrate(candidate, fh_cost_bucket(&call->bound), seconds);
    else
      for (int n = 0; n < 3; n++) fh_candidate_sample(candidate, &call->bound, seconds);
  }
  json_array_foreach(json_object_get(root, "failed"), i, entry) {
    fh_candidate *candidate = candidate_of(context, call->kernel, text_of(entry, "variant", ""));
    candidate->test = FH_TEST_FAILED;
    snprintf(candidate->cause, sizeof candidate->cause, "WRONG-RESULT");
    snprintf(candidate->reason, sizeof candidate->reason, "%s", text_of(entry, "reason", ""));
  }
}

/* ---- the decision -------------------------------------------------------------------------------------------------- */

static const char *name_of(const fh_candidate *candidate) { return candidate ? candidate->name : "nothing"; }

static void expect_name(const char *file, const char *what, const json_t *want, const fh_candidate *got) {
  const char *name = json_is_null(want) ? "nothing" : json_string_value(want);
  if (name && strcmp(name, name_of(got)) != 0) fail_msg("%s: %s is %s, expected %s", file, what, name_of(got), name);
}

static void expect_reasons(const char *file, const fh_queue *queue, const fh_call *call, json_t *reasons) {
  const char *variant;
  json_t *words;
  json_object_foreach(reasons, variant, words) {
    char line[400];
    fh_verdict verdict = fh_candidate_judge(queue, candidate_of(queue->context, call->kernel, variant), call);
    fh_reason_print(&verdict.reason, line, sizeof line);
    if (!strstr(line, json_string_value(words))) fail_msg("%s: %s: '%s', expected '%s'", file, variant, line, json_string_value(words));
  }
}

static void expect_sources(const char *file, const fh_queue *queue, const fh_call *call, json_t *sources) {
  static const char *const names[] = {"guess", "scaled", "calibrated", "measured"};
  const char *variant;
  json_t *source;
  json_object_foreach(sources, variant, source) {
    fh_verdict verdict = fh_candidate_judge(queue, candidate_of(queue->context, call->kernel, variant), call);
    if (strcmp(names[verdict.source], json_string_value(source)) != 0)
      fail_msg("%s: %s: the time is %s, expected %s", file, variant, names[verdict.source], json_string_value(source));
  }
}

static void expect_split(const char *file, const fh_queue *queue, const fh_call *call, const fh_plan *plan, const json_t *want) {
  fh_split split;
  char who[FH_SPLIT_TEXT] = "nobody";
  if (!want) return;
  fh_split_find(queue, call, plan, &split);
  fh_split_print(queue->context, &split, who, sizeof who);
  const char *expected = json_is_null(want) ? "nobody" : json_string_value(want);
  if (strcmp(who, expected) != 0) fail_msg("%s: it is split between %s, expected %s", file, who, expected);
  if (split.count > 0) assert_true(split.seconds < plan->chosen_seconds);
}

/* NULL, or why this build cannot make the decision: without PTX nothing runs on a CUDA device. */
static const char *why_not_here(const json_t *root) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  size_t i;
  const json_t *device;
  json_array_foreach(json_object_get(root, "devices"), i,
                     device) if (strcmp(api_of(text_of(device, "id", "cpu"))->name, "cuda") == 0 && !images[0].ptx) return images[0]
      .ptx_missing;
  return NULL;
}

static void judge(const char *file, const json_t *root) {
  const char *why_not = why_not_here(root);
  if (why_not) {
    print_message("NOT RUN: %s: %s\n", file, why_not);
    return;
  }
  fh_context *context = make_context(root);
  fh_call call = make_call(root);
  make_known(context, &call, root);
  const char *pinned = text_of(json_object_get(root, "config"), "pinned", NULL);
  fh_queue queue = {.context = context, .pinned = pinned ? fh_device_named(context, pinned) : -1};
  const json_t *expect = json_object_get(root, "expect");
  fh_plan plan = fh_plan_make(&queue, &call);
  char fallback[400];
  fh_reason_print(&plan.fallback, fallback, sizeof fallback);
  expect_name(file, "chosen", json_object_get(expect, "chosen"), plan.chosen);
  expect_name(file, "intended", json_object_get(expect, "intended"), plan.intended);
  const char *words = text_of(expect, "fallback", "may run");
  if (!strstr(fallback, words)) fail_msg("%s: the fallback is '%s', expected '%s'", file, fallback, words);
  expect_split(file, &queue, &call, &plan, json_object_get(expect, "split"));
  expect_reasons(file, &queue, &call, json_object_get(expect, "reasons"));
  expect_sources(file, &queue, &call, json_object_get(expect, "sources"));
  for (int d = 0; d < context->device_count; d++) context->devices[d].api = NULL;
  fh_candidates_free(context);
  free(context);
}

static void every_decision_is_as_expected(void **state) {
  (void)state;
  char path[1200];
  DIR *folder = opendir(FH_SOURCE_DIR "/tests/decisions");
  assert_non_null(folder);
  int judged = 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    const char *dot = strrchr(entry->d_name, '.');
    if (!dot || strcmp(dot, ".json") != 0) continue;
    json_error_t error;
    snprintf(path, sizeof path, "%s/tests/decisions/%s", FH_SOURCE_DIR, entry->d_name);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root) fail_msg("%s:%d: %s", path, error.line, error.text);
    assert_true(json_is_object(json_object_get(root, "expect")) && *text_of(root, "about", ""));
    judge(entry->d_name, root);
    json_decref(root);
    judged++;
  }
  closedir(folder);
  assert_true(judged >= 15);
}

/* Views of f32, and doubles inside: the text does not compile where there are none. */
static void a_text_of_doubles_is_kept_from_devices_without(void **state) {
  (void)state;
  static const fh_kernel_contract contract = SCALE_CONTRACT("doubles_inside");
  static const char text[] = "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n__kernel void scale(long items) {}\n";
  static const fh_param params[] = {{"x", FH_OPERAND_IN}};
  json_t *root = json_pack("{s[{ss ss sb}]}", "devices", "id", "opencl:0", "kind", "gpu", "doubles", 0);
  fh_context *context = make_context(root);
  const fh_entry_image entry = {"scale", params, 1, {NULL}};
  for (int with_doubles = 0; with_doubles < 2; with_doubles++) {
    const fh_kernel_image image = {.contract = &contract, .entries = &entry, .entry_count = 1, .cl_source = with_doubles ? text : "none"};
    fh_kernel_record *record;
    fh_plan_kernel *k;
    FH_EXPECT_OK(fh_record_make(&image, NULL, &record));
    FH_EXPECT_OK(fh_registry_add(&record, 1));
    const fh_kernel_image *registered = fh_record_image(record);
    FH_EXPECT_OK(fh_plan_kernel_of(context, registered, &k));
    fh_queue queue = {.context = context, .pinned = -1};
    const fh_call call = {.image = registered, .kernel = fh_kernel_slot(registered)};
    const fh_verdict verdict = fh_candidate_judge(&queue, &k->candidates[0], &call);
    assert_int_equal(verdict.reason.code, with_doubles ? FH_REASON_NO_DOUBLES : FH_REASON_NONE);
    context->devices[0].api = NULL;
    fh_candidates_free(context);
    FH_EXPECT_OK(fh_kernel_unregister("doubles_inside"));
    assert_null(fh_candidates_build(context));
    context->devices[0].api = api_of("opencl:0");
  }
  context->devices[0].api = NULL;
  fh_candidates_free(context);
  free(context);
  json_decref(root);
}

int main(void) {
#if !defined(__x86_64__)
  printf("NOT RUN: the decisions are those of an x86-64\n");
  return 77;
#endif
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_decision_is_as_expected),
                                     cmocka_unit_test(a_text_of_doubles_is_kept_from_devices_without)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
