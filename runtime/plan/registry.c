/* Kernels by name. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/context.h>

#include <pthread.h>
#include <string.h>

#include "kernels/contract.h"
#include "runtime/base/text.h"

int fh_kernel_count(void) {
  int count;
  fh_kernel_images(&count);
  return count;
}

const fh_kernel *fh_kernel_at(int index) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  return index >= 0 && index < count ? (const fh_kernel *)(const void *)&images[index] : NULL;
}

const char *fh_kernel_name(const fh_kernel *kernel) { return ((const fh_kernel_image *)(const void *)kernel)->contract->name; }

/* ---- a name's place ---------------------------------------------------------------------------------------
 * Every typed call comes by here, so names are hashed (FNV-1a) into a table that is never more than half full: probing ends. What finds no
 * place in it is still found one by one. */

enum { PLACES = 1024 };
static int16_t index_plus_1[PLACES];
static pthread_once_t built = PTHREAD_ONCE_INIT;

static uint32_t place_of(const char *name) {
  uint32_t hash = 2166136261u;
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 16777619u;
  return hash ^ hash >> 16;
}

static void build(void) {
  for (int i = 0; i < fh_kernel_count() && i < PLACES / 2; i++) {
    uint32_t at = place_of(fh_kernel_name(fh_kernel_at(i)));
    while (index_plus_1[at % PLACES]) at++;
    index_plus_1[at % PLACES] = (int16_t)(i + 1);
  }
}

static const fh_kernel *find(const char *name) {
  pthread_once(&built, build);
  for (uint32_t at = place_of(name); index_plus_1[at % PLACES]; at++) {
    const fh_kernel *kernel = fh_kernel_at(index_plus_1[at % PLACES] - 1);
    if (strcmp(fh_kernel_name(kernel), name) == 0) return kernel;
  }
  for (int i = PLACES / 2; i < fh_kernel_count(); i++)
    if (strcmp(fh_kernel_name(fh_kernel_at(i)), name) == 0) return fh_kernel_at(i);
  return NULL;
}

fh_status fh_kernel_find(const char *name, const fh_kernel **out_kernel) {
  *out_kernel = NULL;
  if (!name) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kernel_find: name is NULL");
  *out_kernel = find(name);
  if (*out_kernel) return FH_OK;
  fh_text known = {0};
  for (int i = 0; i < fh_kernel_count(); i++) fh_text_add(&known, "%s%s", i ? ", " : "", fh_kernel_name(fh_kernel_at(i)));
  fh_status status = FH_STATUS(FH_NOT_FOUND, "fh_kernel_find: no kernel is named \"%s\"\nknown: %s", name, known.data ? known.data : "");
  fh_text_free(&known);
  return status;
}
