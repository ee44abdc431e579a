/* What the Windows Subsystem for Linux was given by Windows' driver. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/gather.h"

enum { MAX_PACKAGES = 256 };

/* "4.4.0-19041-Microsoft"; the kernel of version 2 says "-microsoft-standard-WSL2". */
static fh_fact_bool is_version_one(const fh_facts *f) {
  const fh_fact_text *kernel = &f->where.kernel;
  if (kernel->valid != FH_VALID) return (fh_fact_bool){false, FH_UNKNOWN_FACT, kernel->source};
  return fh_fact_bool_of(strncmp(kernel->value, "4.4.", 4) == 0 && strstr(kernel->value, "Microsoft"), kernel->source);
}

static fh_fact_bool find_dxcore(fh_gather *g) {
  static const char given[] = "/usr/lib/wsl/lib/libdxcore.so";
  fh_library library;
  fh_fact_bool there = fh_path_fact(g, given);
  if (there.valid != FH_VALID || there.value) return there;
  fh_library_find(g, "libdxcore.so", &library);
  return library.valid == FH_VALID ? fh_fact_bool_of(true, library.path) : there;
}

/* Each driver of Windows has a folder there; those of other vendors hold no libcuda. */
static fh_fact_bool find_store(fh_gather *g) {
  static const char folder[] = "/usr/lib/wsl/drivers";
  int count, error;
  const char **names = fh_path_list(g, folder, &count, &error);
  if (error) return (fh_fact_bool){false, error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT, folder};
  for (int i = 0; i < count && i < MAX_PACKAGES; i++) {
    const char *library = fh_arena_format(g->arena, "%s/%s/libcuda.so.1.1", folder, names[i]);
    if (fh_path_exists(g, library)) return fh_fact_bool_of(true, library);
  }
  return fh_fact_bool_of(false, folder);
}

void fh_gather_wsl(fh_gather *g) {
  fh_facts_wsl *wsl = &g->facts->wsl;
  if (g->facts->where.platform != FH_PLATFORM_WSL) return;
  wsl->version_one = is_version_one(g->facts);
  wsl->libcuda = fh_path_fact(g, "/usr/lib/wsl/lib/libcuda.so.1");
  wsl->dxcore = find_dxcore(g);
  wsl->store = find_store(g);
}
