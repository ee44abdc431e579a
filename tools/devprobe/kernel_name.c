/* The kernels of the library and of plug-ins, and the one that the command line names. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/kernel_name.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/plan/registry.h"

int fh_kernel_plugins(const fh_cli *cli) {
  fh_status status = fh_plugins_listed();
  return status ? fh_cli_fail(cli, status) : FH_EXIT_OK;
}

const fh_kernel_image *fh_kernel_numbered(int i) { return fh_kernel_image_of(fh_kernel_at(i)); }

static const char *name_at(int i) { return fh_kernel_numbered(i)->contract->name; }

const fh_kernel_image *fh_kernel_named(const char *name) {
  for (int i = 0; i < fh_kernel_count(); i++)
    if (strcmp(name_at(i), name) == 0) return fh_kernel_numbered(i);
  return NULL;
}

int fh_kernel_unknown(const fh_cli *cli, const char *name) {
  const int count = fh_kernel_count();
  const char *near = fh_cli_nearest(name, name_at, count);
  if (near) return fh_cli_usage(cli, "%s: no such kernel; did you mean %s?", name, near);
  fh_text names = {0};
  for (int i = 0; i < count; i++) fh_text_add(&names, " %s", name_at(i));
  char *list = fh_text_take(&names);
  int status = fh_cli_usage(cli, "%s: no such kernel; expected one of:%s", name, list ? list : "");
  free(list);
  return status;
}
