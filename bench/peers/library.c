/* Libraries of peers: opened once, never closed. SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "bench/peers/peer.h"

enum { MOST_LIBRARIES = 32 };

static struct {
  const char *name;
  void *handle;
} libraries[MOST_LIBRARIES];
static int library_count;

/* Local: two libraries may both have a cblas_sgemm. */
static void *library_of(const char *name) {
  for (int i = 0; i < library_count; i++)
    if (strcmp(libraries[i].name, name) == 0) return libraries[i].handle;
  if (library_count == MOST_LIBRARIES) return NULL;
  libraries[library_count].name = name;
  libraries[library_count].handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  return libraries[library_count++].handle;
}

void *fh_peer_symbol(const char *library, const char *symbol) {
  void *handle = library_of(library);
  return handle ? dlsym(handle, symbol) : NULL;
}
