/* The list of devprobe's commands, in the order of its help. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/commands.h"

static const fh_cli_command *const commands[] = {
    &fh_command_report, &fh_command_require, &fh_command_cause,  &fh_command_kernels,  &fh_command_explain, &fh_command_verify,
    &fh_command_bench,  &fh_command_run,     &fh_command_matrix, &fh_command_snapshot, &fh_command_trace,   NULL,
};

const fh_cli_program fh_program = {.commands = commands, .note = ""};
