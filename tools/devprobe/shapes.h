/* Shapes of a kernel's operands as words of a command line: KERNEL [SHAPE]. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_SHAPES_H_
#define FOGHORN_TOOLS_DEVPROBE_SHAPES_H_

#include <foghorn/foghorn.h>

#include "kernels/contract.h"
#include "tools/devprobe/cli.h"

/* Shapes of the operands from the words after the first: one for all, one for each, or none (the largest of the kernel's own cases). An
 * exit status. */
int fh_shapes_choose(const fh_cli *cli, const fh_kernel_contract *contract, fh_view_spec *specs);

#endif /* FOGHORN_TOOLS_DEVPROBE_SHAPES_H_ */
