/* devprobe verify: every variant of every kernel against its reference, on this machine. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/plan/plan.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/kernel_name.h"
#include "tools/devprobe/machine.h"

typedef struct row {
  char kernel[32], variant[48];
  fh_conform_report report;
} row;

typedef struct table {
  row *rows;
  int count, capacity;
} table;

/* ---- one variant ---------------------------------------------------------------------------------------- */

/* Why a candidate cannot run at all; false when it can, or when it belongs to another device's turn (*out_skip). */
static bool cannot_run(const fh_context *context, const fh_candidate *candidate, const fh_kernel_image *image, char *out, size_t size,
                       bool *out_skip) {
  fh_case c = {0};
  fh_call call = {.image = image, .kernel = candidate->kernel, .view_count = image->contract->view_count};
  *out_skip = !image->contract->case_at(0, &c);
  memcpy(call.descs, c.views, sizeof call.descs);
  memcpy(call.params, c.scalars, sizeof call.params);
  fh_status status = image->contract->bind(call.descs, call.params, &call.bound);
  *out_skip |= status != FH_OK;
  fh_status_free(status);
  fh_queue *queue = fh_context_queue((fh_context *)(uintptr_t)context);
  fh_verdict verdict = fh_candidate_judge(queue, candidate, &call);
  *out_skip |= verdict.reason.code == FH_REASON_NOT_ALLOWED || verdict.reason.code == FH_REASON_POSING;
  const fh_reason_code code = verdict.reason.code;
  if (code == FH_REASON_NONE || code == FH_REASON_UNFIT || code == FH_REASON_BLOCK_LIMIT) return false; /* of this case */
  fh_reason_print(&verdict.reason, out, size);
  return true;
}

/* ---- all of them ------------------------------------------------------------------------------------------ */

static row *add_row(table *t, const char *kernel, const char *variant) {
  if (t->count == t->capacity) {
    int capacity = t->capacity ? 2 * t->capacity : 64;
    row *rows = realloc(t->rows, (size_t)capacity * sizeof *rows);
    if (!rows) return NULL;
    t->rows = rows;
    t->capacity = capacity;
  }
  row *r = &t->rows[t->count++];
  *r = (row){.report = {.verdict = FH_CONFORM_UNSUPPORTED}};
  snprintf(r->kernel, sizeof r->kernel, "%s", kernel);
  snprintf(r->variant, sizeof r->variant, "%s", variant);
  return r;
}

static bool wanted(const fh_cli *cli, const char *kernel) {
  for (int i = 0; i < cli->operand_count; i++)
    if (strcmp(cli->operands[i], kernel) == 0) return true;
  return cli->operand_count == 0;
}

enum { MOST_CASES = 1000000 };

/* All of them, unless --cases says how many. */
static int cases_of(const fh_cli *cli) {
  int64_t cases = 0;
  fh_cli_integer(cli, FH_OPT_CASES, 0, 1, MOST_CASES, &cases); /* it was checked before anything was opened */
  return (int)cases;
}

static fh_status verify_candidate(const fh_cli *cli, fh_context *context, fh_candidate *candidate, const fh_kernel_image *image, table *t) {
  char why[400];
  bool skip = false, cannot = cannot_run(context, candidate, image, why, sizeof why, &skip);
  if (skip) return FH_OK;
  row *r = add_row(t, image->contract->name, candidate->name);
  if (!r) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
  if (cannot) {
    snprintf(r->report.text, sizeof r->report.text, "%s", why);
    return FH_OK;
  }
  fh_cli_progress_update("%s on %s", image->contract->name, candidate->name);
  fh_conform_options options = {.thorough = cli->given[FH_OPT_LONG] > 0, .cases = cases_of(cli)};
  return fh_candidate_conform(fh_context_queue(context), candidate, &options, &r->report);
}

static fh_status verify_context(const fh_cli *cli, fh_context *context, table *t) {
  for (int slot = 0; slot < fh_kernel_slots(); slot++) {
    const fh_kernel_image *image = fh_kernel_in(slot);
    fh_plan_kernel *kernel;
    if (!image || !wanted(cli, image->contract->name)) continue;
    FH_TRY(fh_plan_kernel_of(context, image, &kernel));
    for (int i = 0; i < kernel->count; i++) FH_TRY(verify_candidate(cli, context, &kernel->candidates[i], image, t));
  }
  return FH_OK;
}

/* A device that was not named may fail to open: then all of it was not run. */
static fh_status verify_device(const fh_cli *cli, const char *device, bool named, table *t) {
  fh_context *context = NULL;
  fh_context_options options = {.devices = device, .allow_fake = cli->given[FH_OPT_ALLOW_FAKE] > 0};
  fh_status status = fh_context_create(&options, &context);
  if (status && !named) {
    row *r = add_row(t, "(all)", device);
    if (r) snprintf(r->report.text, sizeof r->report.text, "%.390s", fh_status_message(status));
    fh_status_free(status);
    return FH_OK;
  }
  if (!status) status = verify_context(cli, context, t);
  fh_context_release(context);
  return status;
}

static bool lists_backend(const fh_device_list *list, const char *name) {
  size_t length = strlen(name);
  for (int i = 0; i < list->count; i++)
    if (strncmp(list->ids[i], name, length) == 0 && (list->ids[i][length] == ':' || !list->ids[i][length])) return true;
  for (int i = 0; i < list->skipped_count; i++)
    if (strncmp(list->skipped[i], name, length) == 0 && list->skipped[i][length] == ':') return true;
  return false;
}

/* What is not here was not run, and a table of passes must not hide it. */
static fh_status add_absent(const fh_device_list *list, table *t) {
  int count;
  const fh_backend_api *const *all = fh_backends(&count);
  for (int i = 0; i < count; i++) {
    if (lists_backend(list, all[i]->name)) continue;
    row *r = add_row(t, "(all)", all[i]->name);
    if (!r) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
    snprintf(r->report.text, sizeof r->report.text, "no such device here; devprobe matrix tells why");
  }
  return FH_OK;
}

static fh_status verify_all(const fh_cli *cli, const fh_device_list *list, bool named, table *t) {
  for (int i = 0; i < list->count; i++) FH_TRY(verify_device(cli, list->ids[i], named, t));
  for (int i = 0; i < list->skipped_count; i++) {
    row *r = add_row(t, "(all)", "");
    if (!r) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
    snprintf(r->variant, sizeof r->variant, "%.*s", (int)strcspn(list->skipped[i], " ") - 1, list->skipped[i]);
    snprintf(r->report.text, sizeof r->report.text, "%s", list->skipped[i] + strcspn(list->skipped[i], " ") + 1);
  }
  return named ? FH_OK : add_absent(list, t);
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

static int count_of(const table *t, fh_conform_verdict verdict) {
  int count = 0;
  for (int i = 0; i < t->count; i++) count += t->rows[i].report.verdict == verdict;
  return count;
}

static char *print_json(const table *t) {
  static const char *const names[] = {"pass", "fail", "not run"};
  json_t *rows = json_array();
  for (int i = 0; i < t->count; i++) {
    const row *r = &t->rows[i];
    json_array_append_new(rows, json_pack("{ss ss ss si so}", "kernel", r->kernel, "variant", r->variant, "result",
                                          names[r->report.verdict], "calls", r->report.runs, "detail", fh_json_text(r->report.text)));
  }
  return fh_json_print(json_pack("{ss si si si so}", "schema", "foghorn.verify/1", "passed", count_of(t, FH_CONFORM_PASS), "failed",
                                 count_of(t, FH_CONFORM_FAIL), "not_run", count_of(t, FH_CONFORM_UNSUPPORTED), "rows", rows));
}

static void print_row(const row *r, fh_screen *screen) {
  static const char *const names[] = {"pass", "FAIL", "NOT RUN"};
  static const fh_paint paints[] = {FH_GREEN, FH_RED, FH_YELLOW};
  fh_conform_verdict v = r->report.verdict;
  if (v == FH_CONFORM_PASS) {
    fh_screen_line(screen, paints[v], names[v], "%-16s %-24s %6d calls", r->kernel, r->variant, r->report.runs);
  } else {
    fh_screen_line(screen, paints[v], names[v], "%-16s %-24s %s", r->kernel, r->variant, r->report.text);
  }
}

static int answer(const fh_cli *cli, const table *t) {
  int exit_status = count_of(t, FH_CONFORM_FAIL) ? FH_EXIT_UNMET : FH_EXIT_OK;
  fh_screen screen = {.color = cli->color};
  if (cli->given[FH_OPT_QUIET]) return exit_status;
  if (cli->given[FH_OPT_JSON]) {
    char *json = print_json(t);
    screen.text.failed = json == NULL;
    fh_text_add(&screen.text, "%s\n", json ? json : "");
    free(json);
    return fh_cli_emit_text(cli, &screen.text, exit_status);
  }
  for (int i = 0; i < t->count; i++) print_row(&t->rows[i], &screen);
  fh_screen_blank(&screen);
  fh_screen_headline(&screen, FH_BOLD, 80, "%d variants passed, %d failed, %d not run", count_of(t, FH_CONFORM_PASS),
                     count_of(t, FH_CONFORM_FAIL), count_of(t, FH_CONFORM_UNSUPPORTED));
  return fh_cli_emit_text(cli, &screen.text, exit_status);
}

static int check_names(const fh_cli *cli) {
  for (int i = 0; i < cli->operand_count; i++) {
    const fh_kernel *kernel = NULL;
    fh_status status = fh_kernel_find(cli->operands[i], &kernel);
    if (!status) continue;
    fh_cli_fail(cli, status);
    return FH_EXIT_USAGE;
  }
  return FH_EXIT_OK;
}

static int choose_devices(const fh_cli *cli, fh_device_list *list) {
  const char *device = fh_cli_value(cli, FH_OPT_DEVICE);
  *list = (fh_device_list){0};
  if (device) {
    if (strlen(device) >= sizeof list->ids[0]) return fh_cli_usage(cli, "--device %s: expected one device, such as cpu or cuda:0", device);
    snprintf(list->ids[list->count++], sizeof list->ids[0], "%.23s", device);
    return FH_EXIT_OK;
  }
  fh_machine machine;
  int failed = fh_machine_open(cli, &machine);
  if (failed) return failed;
  fh_machine_devices(machine.judgement, cli->given[FH_OPT_ALLOW_FAKE] > 0, list);
  fh_machine_close(&machine);
  return FH_EXIT_OK;
}

static int verify_command(const fh_cli *cli) {
  fh_device_list list;
  int64_t cases;
  if (!fh_cli_integer(cli, FH_OPT_CASES, 0, 1, MOST_CASES, &cases)) return FH_EXIT_USAGE;
  int exit_status = fh_kernel_plugins(cli);
  if (!exit_status) exit_status = check_names(cli);
  if (!exit_status) exit_status = choose_devices(cli, &list);
  if (exit_status) return exit_status;
  table t = {0};
  fh_cli_progress_start("verifying");
  fh_status status = verify_all(cli, &list, cli->given[FH_OPT_DEVICE] > 0, &t);
  fh_cli_progress_stop();
  exit_status = status ? fh_cli_fail(cli, status) : answer(cli, &t);
  free(t.rows);
  return exit_status;
}

static const fh_cli_option options[] = {FH_OPT_JSON,       FH_OPT_DEVICE,  FH_OPT_LONG,  FH_OPT_CASES,
                                        FH_OPT_ALLOW_FAKE, FH_OPT_VERBOSE, FH_OPT_QUIET, FH_OPT_COLOR};

const fh_cli_command fh_command_verify = {
    .name = "verify",
    .operands = "[KERNEL...]",
    .operands_min = 0,
    .operands_max = -1,
    .summary = "Every variant of every kernel against its reference, on this machine.",
    .help = "What cannot be run here is listed with the reason and never counted as passed.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = verify_command,
};
