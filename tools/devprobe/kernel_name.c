/* A kernel that the command line names. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/kernel_name.h"

#include <stdlib.h>
#include <string.h>

static const char *name_at(int i) {
  int count;
  return fh_kernel_images(&count)[i].contract->name;
}

const fh_kernel_image *fh_kernel_named(const char *name) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++)
    if (strcmp(images[i].contract->name, name) == 0) return &images[i];
  return NULL;
}

int fh_kernel_unknown(const fh_cli *cli, const char *name) {
  int count;
  fh_kernel_images(&count);
  const char *near = fh_cli_nearest(name, name_at, count);
  if (near) return fh_cli_usage(cli, "%s: no such kernel; did you mean %s?", name, near);
  fh_text names = {0};
  for (int i = 0; i < count; i++) fh_text_add(&names, " %s", name_at(i));
  char *list = fh_text_take(&names);
  int status = fh_cli_usage(cli, "%s: no such kernel; expected one of:%s", name, list ? list : "");
  free(list);
  return status;
}
