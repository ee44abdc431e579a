/* A plug-in whose second kernel cannot be registered. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/scale_kernel.h"

static const fh_kernel_contract good = SCALE_CONTRACT("good_half"), taken = SCALE_CONTRACT("softmax");
static const fh_kernel_image images[] = {{.contract = &good}, {.contract = &taken}};
static const fh_kernel_module first = FH_KERNEL_MODULE(&images[0]), second = FH_KERNEL_MODULE(&images[1]);
static const fh_kernel_module *const modules[] = {&first, &second};

extern FH_API const fh_plugin_table foghorn_plugin;
const fh_plugin_table foghorn_plugin = {FH_KERNEL_ABI, 2, modules};
