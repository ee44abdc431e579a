/* devprobe report: one screen, JSON, or a form for other programs. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tools/devprobe/commands.h"
#include "tools/devprobe/format.h"
#include "tools/devprobe/machine.h"
#include "tools/devprobe/watch.h"

static int emit_json(const fh_cli *cli, const fh_judgement *judgement, int exit_status) {
  char *json = NULL;
  fh_status status = fh_judgement_json(judgement, &json);
  if (status) return fh_cli_fail(cli, status);
  fh_text text = {0};
  fh_text_add(&text, "%s\n", json);
  free(json);
  return fh_cli_emit_text(cli, &text, exit_status);
}

static int emit_screen(const fh_cli *cli, const fh_judgement *judgement, int exit_status) {
  fh_screen screen = {.color = cli->color && !fh_cli_value(cli, FH_OPT_OUTPUT)};
  fh_machine_print(judgement, cli->given[FH_OPT_VERBOSE] > 0, &screen);
  return fh_cli_emit_text(cli, &screen.text, exit_status);
}

static int emit_results(const fh_cli *cli, fh_format format, const fh_judgement *judgement, int exit_status) {
  fh_results results = {0};
  fh_results_of_report(judgement, &results);
  return fh_results_emit(cli, format, "report", &results, exit_status);
}

int fh_report_emit(const fh_cli *cli, fh_format format, const fh_judgement *judgement) {
  int exit_status = judgement->wrong ? FH_EXIT_UNMET : FH_EXIT_OK;
  fh_text text = {0};
  if (cli->given[FH_OPT_QUIET]) return exit_status;
  switch (format) {
    case FH_FORMAT_JSON:
      return emit_json(cli, judgement, exit_status);
    case FH_FORMAT_PROMETHEUS:
      fh_format_prometheus(judgement, &text);
      return fh_format_emit(cli, &text, exit_status);
    case FH_FORMAT_NFD:
      fh_format_nfd(judgement, &text);
      return fh_format_emit(cli, &text, exit_status);
    case FH_FORMAT_GITHUB:
    case FH_FORMAT_JUNIT:
      return emit_results(cli, format, judgement, exit_status);
    case FH_FORMAT_TEXT:
    case FH_FORMAT_COUNT:
      break;
  }
  return emit_screen(cli, judgement, exit_status);
}

static int report_command(const fh_cli *cli) {
  fh_format format;
  if (!fh_cli_format(cli, FH_FORMATS_ALL, &format)) return FH_EXIT_USAGE;
  if (cli->given[FH_OPT_WATCH]) return fh_watch(cli, format);
  if (cli->given[FH_OPT_EVERY]) return fh_cli_usage(cli, "--every says how often --watch looks, and there is no --watch");
  fh_machine machine;
  int failed = fh_machine_open(cli, &machine);
  if (failed) return failed;
  int exit_status = fh_report_emit(cli, format, machine.judgement);
  fh_machine_close(&machine);
  return exit_status;
}

static const fh_cli_option options[] = {FH_OPT_JSON, FH_OPT_FORMAT, FH_OPT_OUTPUT, FH_OPT_FROM,    FH_OPT_EXPECT, FH_OPT_TIMEOUT,
                                        FH_OPT_WAIT, FH_OPT_WATCH,  FH_OPT_EVERY,  FH_OPT_VERBOSE, FH_OPT_QUIET,  FH_OPT_COLOR};

const fh_cli_command fh_command_report = {
    .name = "report",
    .operands = "",
    .operands_min = 0,
    .operands_max = 0,
    .summary = "One screen: verdict, devices, budgets, findings with evidence and fix.",
    .help =
        "The first line is the verdict. Exit status 1 means that something that was\n"
        "expected (by --expect, or by what the environment asked for) is unusable.\n"
        "--watch looks at files every few seconds, and asks the drivers when those have\n"
        "changed and once a minute.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = report_command,
};
