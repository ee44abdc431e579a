/* The commands of devprobe: one file each. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_COMMANDS_H_
#define FOGHORN_TOOLS_DEVPROBE_COMMANDS_H_

#include "tools/devprobe/cli.h"

int fh_command_report(const fh_cli *cli);
int fh_command_require(const fh_cli *cli);
int fh_command_cause(const fh_cli *cli);
int fh_command_explain(const fh_cli *cli);
int fh_command_verify(const fh_cli *cli);
int fh_command_run(const fh_cli *cli);
int fh_command_matrix(const fh_cli *cli);

#endif /* FOGHORN_TOOLS_DEVPROBE_COMMANDS_H_ */
