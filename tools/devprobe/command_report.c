/* devprobe report: one screen, or JSON. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tools/devprobe/commands.h"
#include "tools/devprobe/machine.h"

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
  fh_screen screen = {.color = cli->color};
  fh_machine_print(judgement, cli->given[FH_OPT_VERBOSE] > 0, &screen);
  return fh_cli_emit_text(cli, &screen.text, exit_status);
}

static int report_command(const fh_cli *cli) {
  fh_machine machine;
  int failed = fh_machine_open(cli, &machine);
  if (failed) return failed;
  int exit_status = machine.judgement->wrong ? FH_EXIT_UNMET : FH_EXIT_OK;
  if (!cli->given[FH_OPT_QUIET])
    exit_status =
        cli->given[FH_OPT_JSON] ? emit_json(cli, machine.judgement, exit_status) : emit_screen(cli, machine.judgement, exit_status);
  fh_machine_close(&machine);
  return exit_status;
}

static const fh_cli_option options[] = {FH_OPT_JSON,    FH_OPT_FROM,  FH_OPT_EXPECT, FH_OPT_TIMEOUT,
                                        FH_OPT_VERBOSE, FH_OPT_QUIET, FH_OPT_COLOR};

const fh_cli_command fh_command_report = {
    .name = "report",
    .operands = "",
    .operands_min = 0,
    .operands_max = 0,
    .summary = "One screen: verdict, devices, budgets, findings with evidence and fix.",
    .help =
        "The first line is the verdict. Exit status 1 means that something that was\n"
        "expected (by --expect, or by what the environment asked for) is unusable.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .run = report_command,
};
