/* The list of commands of the static devprobe: those that need no driver and no kernel. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/commands.h"

static const fh_cli_command *const commands[] = {&fh_command_report,   &fh_command_require, &fh_command_cause,
                                                 &fh_command_snapshot, &fh_command_trace,   NULL};

const fh_cli_program fh_program = {
    .commands = commands,
    .note =
        "This is the static devprobe, which runs in any image. It cannot load drivers: it\n"
        "has a devprobe for glibc do that (named by FOGHORN_PROBE, beside it, or on PATH)\n"
        "where one can run, and says what was not asked where none can. The commands that\n"
        "know kernels (kernels, explain, verify, bench, run, matrix) and trace are in the\n"
        "other one only.\n",
};
