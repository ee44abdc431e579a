/* devprobe require: conditions on this machine, and a command that runs only when they are met. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "tools/devprobe/commands.h"
#include "tools/devprobe/format.h"
#include "tools/devprobe/machine.h"

/* As a shell says it. */
enum { EXIT_CANNOT_RUN = 126, EXIT_NO_COMMAND = 127 };

typedef struct condition {
  char *spec; /* owned */
  bool met;
  fh_unmet unmet;
} condition;

typedef struct conditions {
  condition *items;
  int count;
} conditions;

static void free_conditions(conditions *c) {
  for (int i = 0; i < c->count; i++) free(c->items[i].spec);
  free(c->items);
}

static fh_status add(conditions *c, const char *spec, size_t length) {
  condition *items = realloc(c->items, (size_t)(c->count + 1) * sizeof *items);
  if (items) c->items = items;
  char *copy = items ? strndup(spec, length) : NULL;
  if (!copy) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
  c->items[c->count++] = (condition){.spec = copy};
  return FH_OK;
}

/* Words, each of which may be several separated by commas. */
static fh_status split(const fh_cli *cli, conditions *c) {
  for (int i = 0; i < cli->operand_count; i++) {
    for (const char *at = cli->operands[i];;) {
      size_t length = strcspn(at, ",");
      FH_TRY(add(c, at, length));
      if (!at[length]) break;
      at += length + 1;
    }
  }
  return FH_OK;
}

/* Looks at each condition anew; all of them are met? */
static fh_status check(const fh_machine *machine, void *user, bool *out_all) {
  conditions *c = user;
  *out_all = true;
  for (int i = 0; i < c->count; i++) {
    FH_TRY(fh_judgement_require(machine->judgement, c->items[i].spec, &c->items[i].met, &c->items[i].unmet));
    *out_all &= c->items[i].met;
  }
  return FH_OK;
}

/* What is required is also what is expected: "gpu,cpus>=4". NULL without memory. */
static char *expectation(const conditions *c) {
  fh_text text = {0};
  for (int i = 0; i < c->count; i++) fh_text_add(&text, "%s%s", i ? "," : "", c->items[i].spec);
  return fh_text_take(&text);
}

/* ---- answers ------------------------------------------------------------------------------------------ */

static char *print_json(const conditions *c, bool all) {
  json_t *list = json_array();
  for (int i = 0; i < c->count; i++) {
    const condition *item = &c->items[i];
    json_t *object = json_object();
    json_object_set_new(object, "spec", fh_json_text(item->spec));
    json_object_set_new(object, "met", json_boolean(item->met));
    json_object_set_new(object, "found", item->met ? json_null() : fh_json_text(item->unmet.found));
    json_object_set_new(object, "cause", item->met ? json_null() : fh_json_text(item->unmet.cause));
    json_array_append_new(list, object);
  }
  json_t *root = json_object();
  json_object_set_new(root, "schema", json_string("foghorn.require/1"));
  json_object_set_new(root, "met", json_boolean(all));
  json_object_set_new(root, "conditions", list);
  return fh_json_print(root);
}

static const char *remedy_here(const fh_judgement *judgement, const char *cause) {
  for (int i = 0; i < judgement->finding_count; i++) {
    const fh_finding *f = &judgement->findings[i];
    if (strcmp(f->cause->id, cause) == 0 && f->remedy_count) return f->remedies[0];
  }
  return NULL;
}

static void print_unmet(const fh_judgement *judgement, const condition *item, fh_screen *screen) {
  fh_screen_line(screen, FH_RED, "unmet", "%s: found %s", item->spec, item->unmet.found);
  const fh_cause *cause = item->unmet.cause ? fh_cause_find(item->unmet.cause) : NULL;
  if (!cause) return;
  fh_screen_line(screen, FH_PLAIN, "  cause", "%s  %s", cause->id, cause->title);
  const char *remedy = remedy_here(judgement, cause->id);
  if (remedy) fh_screen_line(screen, FH_BOLD, "  fix", "%s", remedy);
}

static void print_screen(const fh_judgement *judgement, const conditions *c, fh_screen *screen) {
  for (int i = 0; i < c->count; i++) {
    if (c->items[i].met) {
      fh_screen_line(screen, FH_GREEN, "met", "%s", c->items[i].spec);
    } else {
      print_unmet(judgement, &c->items[i], screen);
    }
  }
}

/* With a command stdout belongs to it, so what is unmet goes to stderr. */
static int emit_screen(const fh_cli *cli, const fh_judgement *judgement, const conditions *c, int exit_status) {
  fh_screen screen = {.color = cli->color && !cli->after};
  print_screen(judgement, c, &screen);
  if (!cli->after) return fh_cli_emit_text(cli, &screen.text, exit_status);
  char *text = fh_text_take(&screen.text);
  if (text) fputs(text, stderr);
  free(text);
  return exit_status;
}

static int emit_json(const fh_cli *cli, const conditions *c, bool all, int exit_status) {
  char *json = print_json(c, all);
  fh_text text = {.failed = json == NULL};
  fh_text_add(&text, "%s\n", json ? json : "");
  free(json);
  return fh_cli_emit_text(cli, &text, exit_status);
}

static int run_command(char **command) {
  signal(SIGPIPE, SIG_DFL); /* devprobe ignores it, the command must not inherit that */
  execvp(command[0], command);
  int error = errno;
  fprintf(stderr, "devprobe require: %s: cannot be run: %s\n", command[0], strerror(error));
  return error == ENOENT ? EXIT_NO_COMMAND : EXIT_CANNOT_RUN;
}

static void add_result(const fh_judgement *judgement, const condition *item, fh_results *results) {
  fh_text *text = fh_results_add(results, "condition", item->spec, item->met ? FH_RESULT_PASSED : FH_RESULT_FAILED);
  const char *id = item->met ? NULL : item->unmet.cause;
  const fh_cause *cause = id ? fh_cause_find(id) : NULL;
  const char *remedy = cause ? remedy_here(judgement, cause->id) : NULL;
  fh_text_add(text, "%s%s", item->met ? "met" : "found ", item->met ? "" : item->unmet.found);
  if (cause) fh_text_add(text, "\ncause: %s, %s", cause->id, cause->title);
  if (remedy) fh_text_add(text, "\nfix: %s", remedy);
}

static int emit_results(const fh_cli *cli, fh_format format, const fh_judgement *judgement, const conditions *c, int exit_status) {
  fh_results results = {0};
  for (int i = 0; i < c->count; i++) add_result(judgement, &c->items[i], &results);
  return fh_results_emit(cli, format, "require", &results, exit_status);
}

static int answer(const fh_cli *cli, fh_format format, const fh_judgement *judgement, const conditions *c, bool all) {
  int exit_status = all ? FH_EXIT_OK : FH_EXIT_UNMET;
  if (cli->given[FH_OPT_QUIET] || (all && cli->after)) return exit_status;
  if (format == FH_FORMAT_JSON) return emit_json(cli, c, all, exit_status);
  if (format != FH_FORMAT_TEXT) return emit_results(cli, format, judgement, c, exit_status);
  return emit_screen(cli, judgement, c, exit_status);
}

static int require(const fh_cli *cli, fh_format format, conditions *c) {
  fh_machine machine;
  char *expect = expectation(c);
  if (!expect) return fh_cli_fail(cli, FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory"));
  int exit_status = fh_machine_open_when(cli, expect, check, c, &machine);
  free(expect);
  if (exit_status) return exit_status;
  bool all = false;
  fh_status status = check(&machine, c, &all);
  exit_status = status ? fh_cli_fail(cli, status) : answer(cli, format, machine.judgement, c, all);
  fh_machine_close(&machine);
  return exit_status;
}

static int require_command(const fh_cli *cli) {
  fh_format format;
  if (!fh_cli_format(cli, FH_FORMATS_OF_RESULTS, &format)) return FH_EXIT_USAGE;
  if (cli->after && !cli->after[0]) return fh_cli_usage(cli, "a command is missing after --");
  if (cli->after && format == FH_FORMAT_JSON)
    return fh_cli_usage(cli, "--json and a command exclude each other: stdout belongs to the command");
  if (cli->after && format != FH_FORMAT_TEXT && !fh_cli_value(cli, FH_OPT_OUTPUT))
    return fh_cli_usage(cli, "--format and a command go together only with --output: stdout belongs to the command");
  conditions c = {0};
  fh_status status = split(cli, &c);
  int exit_status = status ? fh_cli_fail(cli, status) : require(cli, format, &c);
  free_conditions(&c);
  return exit_status == FH_EXIT_OK && cli->after ? run_command(cli->after) : exit_status;
}

static const fh_cli_option options[] = {FH_OPT_JSON,    FH_OPT_FORMAT, FH_OPT_OUTPUT, FH_OPT_FROM,
                                        FH_OPT_TIMEOUT, FH_OPT_WAIT,   FH_OPT_QUIET,  FH_OPT_COLOR};

const fh_cli_command fh_command_require = {
    .name = "require",
    .operands = "SPEC... [-- CMD ARGS]",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "Checks conditions; when all are met runs CMD in its place.",
    .help =
        "SPEC  gpu, gpu>=2, cuda, cuda>=2, opencl, cpus>=4, isa=avx2, memory>=40GiB,\n"
        "      gpu-memory>=16GiB, driver>=550, cuda-version>=12.4, capability>=8.0\n"
        "\n"
        "Quote a SPEC with '>' for the shell. Unmet: exit status 1, and the cause.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = require_command,
};
