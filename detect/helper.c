/* The program that answers questions: this one when it is devprobe, else the devprobe installed with the library.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detect/os_live.h"

static bool is_program(const char *path) { return access(path, X_OK) == 0; }

/* dir/../bin/devprobe beside an installed library, dir/devprobe in a build tree. */
static bool beside_library(char *out, size_t size) {
  static const char here = 0;
  Dl_info info;
  if (!dladdr(&here, &info) || !info.dli_fname) return false;
  char real[PATH_MAX];
  if (!realpath(info.dli_fname, real)) return false;
  char *slash = strrchr(real, '/');
  if (!slash) return false;
  *slash = 0;
  static const char *const places[] = {"../bin/devprobe", "../../bin/devprobe", "devprobe"};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    if ((size_t)snprintf(out, size, "%s/%s", real, places[i]) < size && is_program(out)) return true;
  }
  return false;
}

void fh_helper_find(fh_helper *out) {
  out->no_drivers[0] = 0;
  const char *named = secure_getenv("FOGHORN_PROBE");
  if (named && is_program(named) && (size_t)snprintf(out->path, sizeof out->path, "%s", named) < sizeof out->path) return;
  ssize_t length = readlink("/proc/self/exe", out->path, sizeof out->path - 1);
  if (length > 0) {
    out->path[length] = 0;
    const char *slash = strrchr(out->path, '/');
    if (slash && strcmp(slash + 1, "devprobe") == 0) return;
  }
  if (!beside_library(out->path, sizeof out->path)) out->path[0] = 0;
}
