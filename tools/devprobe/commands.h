/* The commands of devprobe: one file each. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_COMMANDS_H_
#define FOGHORN_TOOLS_DEVPROBE_COMMANDS_H_

#include "tools/devprobe/cli.h"

/* What this program is built with: the whole of it in commands.c, the static one's in static/commands.c. */
extern const fh_cli_program fh_program;

extern const fh_cli_command fh_command_report;
extern const fh_cli_command fh_command_require;
extern const fh_cli_command fh_command_cause;
extern const fh_cli_command fh_command_kernels;
extern const fh_cli_command fh_command_explain;
extern const fh_cli_command fh_command_verify;
extern const fh_cli_command fh_command_bench;
extern const fh_cli_command fh_command_run;
extern const fh_cli_command fh_command_matrix;
extern const fh_cli_command fh_command_snapshot;
extern const fh_cli_command fh_command_trace;

/* What `devprobe bench --calibrate` does; its exit status. */
int fh_calibrate_machine(const fh_cli *cli);
/* What `devprobe bench -- CMD` does; its exit status. */
int fh_bench_job(const fh_cli *cli);

#endif /* FOGHORN_TOOLS_DEVPROBE_COMMANDS_H_ */
