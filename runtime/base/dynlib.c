/* Libraries loaded at run time. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/dynlib.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/text.h"

struct fh_dynlib {
  void *handle;
  char *name, *path, *errors;
};

static char *path_of(void *handle) {
  struct link_map *map = NULL;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || !map || !map->l_name) return strdup("");
  char *real = realpath(map->l_name, NULL);
  return real ? real : strdup(map->l_name);
}

fh_status fh_dynlib_open(const char *const *names, fh_dynlib **out_library) {
  *out_library = NULL;
  fh_text errors = {0};
  void *handle = NULL;
  const char *name = NULL;
  for (int i = 0; names[i] && !handle; i++) {
    handle = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    name = names[i];
    if (!handle) {
      const char *error = dlerror();
      fh_text_add(&errors, "%s%s", errors.size ? "\n" : "", error ? error : names[i]);
    }
  }
  char *text = fh_text_take(&errors);
  if (!handle) {
    fh_status status = FH_STATUS(FH_NOT_FOUND, "%s", text ? text : "no library could be loaded");
    free(text);
    return status;
  }
  fh_dynlib *library = calloc(1, sizeof *library);
  if (library) {
    *library = (fh_dynlib){.handle = handle, .name = strdup(name), .path = path_of(handle), .errors = text};
    if (library->name && library->path && library->errors) {
      *out_library = library;
      return FH_OK;
    }
  }
  fh_dynlib_close(library);
  if (!library) free(text);
  return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the handle of %s", name);
}

void *fh_dynlib_symbol(const fh_dynlib *library, const char *name) { return dlsym(library->handle, name); }
const char *fh_dynlib_name(const fh_dynlib *library) { return library->name; }
const char *fh_dynlib_path(const fh_dynlib *library) { return library->path; }
const char *fh_dynlib_errors(const fh_dynlib *library) { return library->errors; }

void fh_dynlib_close(fh_dynlib *library) {
  if (!library) return;
  free(library->name);
  free(library->path);
  free(library->errors);
  free(library);
}
