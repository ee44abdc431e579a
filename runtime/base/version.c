/* SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/context.h>

const char *fh_version(void) { return FH_VERSION; }
