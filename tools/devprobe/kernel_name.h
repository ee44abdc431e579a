/* The kernels of the library and of plug-ins, and the one that the command line names. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_KERNEL_NAME_H_
#define FOGHORN_TOOLS_DEVPROBE_KERNEL_NAME_H_

#include "kernels/contract.h"
#include "tools/devprobe/cli.h"

/* Opens the plug-ins of FOGHORN_PLUGINS, for a command that knows kernels; an exit status. */
int fh_kernel_plugins(const fh_cli *cli);
/* Kernel i below fh_kernel_count(): devprobe never ends a registration. */
const fh_kernel_image *fh_kernel_numbered(int i);
/* NULL: there is none of that name. */
const fh_kernel_image *fh_kernel_named(const char *name);
/* Says that there is none, with the nearest name or all of them; returns FH_EXIT_USAGE. */
int fh_kernel_unknown(const fh_cli *cli, const char *name);

#endif /* FOGHORN_TOOLS_DEVPROBE_KERNEL_NAME_H_ */
