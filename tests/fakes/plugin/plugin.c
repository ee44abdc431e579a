/* A plug-in with one kernel, for the tests of plug-ins. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/scale_kernel.h"

static const fh_kernel_contract contract = SCALE_CONTRACT("plugged_scale");
static const fh_kernel_image image = {.contract = &contract};
static const fh_kernel_module module = FH_KERNEL_MODULE(&image);
static const fh_kernel_module *const modules[] = {&module};

extern FH_API const fh_plugin_table foghorn_plugin;
const fh_plugin_table foghorn_plugin = {FH_KERNEL_ABI, 1, modules};
