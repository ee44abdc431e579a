/* A plug-in of another version of the kernel interface. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/extend.h>

extern FH_API const fh_plugin_table foghorn_plugin;
const fh_plugin_table foghorn_plugin = {FH_KERNEL_ABI + 1, 1, NULL};
