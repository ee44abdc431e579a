/* A kernel that the command line names. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_KERNEL_NAME_H_
#define FOGHORN_TOOLS_DEVPROBE_KERNEL_NAME_H_

#include "kernels/contract.h"
#include "tools/devprobe/cli.h"

/* NULL: there is none of that name. */
const fh_kernel_image *fh_kernel_named(const char *name);
/* Says that there is none, with the nearest name or all of them; returns FH_EXIT_USAGE. */
int fh_kernel_unknown(const fh_cli *cli, const char *name);

#endif /* FOGHORN_TOOLS_DEVPROBE_KERNEL_NAME_H_ */
