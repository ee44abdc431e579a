/* OpenCL asked again with one thing changed. SPDX-License-Identifier: Apache-2.0
 * The whole loader without the variables that send it elsewhere, or another loader; one driver with other settings of its own. */
#include <string.h>

#include "detect/answer_object.h"
#include "detect/gather.h"

enum { MAX_CHANGES = 12 };

static const char loader_name[] = "libOpenCL.so.1";

/* ---- the loader ------------------------------------------------------------------------------------------------------ */

static void read_loader(fh_gather *g, const fh_os_answer *answer, void *into) {
  fh_cl_loader *out = into;
  json_t *object = fh_answer_object(answer->json);
  fh_answer_ending e = fh_answer_ending_of(answer, object);
  out->library = fh_answer_text(g, object, "library");
  out->error = fh_answer_text(g, object, "error");
  out->code = fh_answer_int(object, "code", 0);
  out->platforms = fh_answer_int(object, "platforms", -1);
  out->devices = fh_answer_int(object, "devices_shown", -1);
  out->broke = e.crashed || e.exited;
  out->late = e.hung || e.slow;
  if (json_object_size(object) > 0 || out->broke || out->late) out->valid = FH_VALID;
  json_decref(object);
}

/* Variables that tell a loader where to look for drivers, as changes that unset those that are set. */
static int unset_override(const fh_facts *f, const char *changes[MAX_CHANGES + 1]) {
  static const char *const names[] = {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES"};
  int count = 0;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *value = fh_facts_env(f, names[i]);
    if (value && *value) changes[count++] = names[i];
  }
  changes[count] = NULL;
  return count;
}

static bool any_device(const fh_facts_opencl *cl) {
  for (int i = 0; i < cl->count; i++)
    if (cl->icds[i].device_count > 0) return true;
  return false;
}

/* The distribution's own loader, when programs find another one; NULL: none, or it is the one. */
static const char *system_loader(fh_gather *g, const fh_library *found) {
  static const char *const folders[] = {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"};
  for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
    fh_library library;
    const char *path = fh_arena_format(g->arena, "%s/%s", folders[i], loader_name);
    if (fh_path_stat(g, path, true, NULL) != 0) continue;
    fh_library_find(g, path, &library);
    bool fits = library.valid == FH_VALID && library.elf.is_elf && library.elf.machine == found->elf.machine;
    if (strcmp(library.real_path, found->real_path) == 0) return NULL;
    if (fits) return path;
  }
  return NULL;
}

static void ask_loaders(fh_gather *g) {
  fh_facts_opencl *cl = &g->facts->opencl;
  const fh_library *loader = fh_facts_library(g->facts, loader_name);
  const char *changes[MAX_CHANGES + 1];
  if (loader->valid != FH_VALID) return;
  cl->system_loader = system_loader(g, loader);
  const char *added = fh_facts_env(g->facts, "OCL_ICD_FILENAMES"); /* hides nothing, but may break everything */
  bool overridden = unset_override(g->facts, changes) > 0 && (!any_device(cl) || (added && *added));
  if (!overridden && !cl->system_loader) return;
  fh_ask(g, "opencl-loader", NULL, read_loader, &cl->loader);
  if (overridden) fh_ask(g, "opencl-loader", changes, read_loader, &cl->loader_unsteered);
  if (cl->system_loader) fh_ask(g, fh_arena_format(g->arena, "opencl-loader:%s", cl->system_loader), NULL, read_loader, &cl->loader_system);
}

/* ---- one driver ------------------------------------------------------------------------------------------------------- */

/* Rusticl drives only what RUSTICL_ENABLE names: the driver of Mesa for a GPU that is here. */
static const char *rusticl_driver(const fh_facts *f) {
  static const struct {
    const char *kernel, *mesa;
  } drivers[] = {{"amdgpu", "radeonsi"}, {"i915", "iris"},   {"xe", "iris"},
                 {"nouveau", "nouveau"}, {"asahi", "asahi"}, {"msm", "freedreno"}};
  for (int i = 0; i < f->pci.count; i++)
    for (size_t k = 0; k < sizeof drivers / sizeof drivers[0]; k++)
      if (f->pci.devices[i].is_gpu && f->pci.devices[i].driver && strcmp(f->pci.devices[i].driver, drivers[k].kernel) == 0)
        return drivers[k].mesa;
  return NULL;
}

static int change_rusticl(fh_gather *g, const fh_icd *icd, const char *changes[]) {
  const char *enabled = fh_facts_env(g->facts, "RUSTICL_ENABLE"), *driver = rusticl_driver(g->facts);
  if (icd->device_count > 0 || (enabled && *enabled) || !driver) return 0;
  changes[0] = fh_arena_format(g->arena, "RUSTICL_ENABLE=%s", driver);
  return 1;
}

/* PoCL shows fewer processors than this process has, or nothing at all, and variables of its own are set. */
static int change_pocl(fh_gather *g, const fh_icd *icd, const char *changes[]) {
  static const char *const names[] = {"POCL_DEVICES",      "POCL_CPU_MAX_CU_COUNT", "POCL_MAX_PTHREAD_COUNT",
                                      "POCL_MEMORY_LIMIT", "POCL_AFFINITY",         "POCL_CACHE_DIR"};
  const fh_fact_int *cpus = &g->facts->cpu.usable;
  bool small = icd->device_count > 0 && cpus->valid == FH_VALID && icd->devices[0].compute_units < cpus->value;
  int count = 0;
  if (icd->device_count > 0 && !small) return 0;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (fh_facts_env(g->facts, names[i])) changes[count++] = names[i];
  return count;
}

static void read_icd(fh_gather *g, const fh_os_answer *answer, void *into) { fh_answer_read_icd(g, answer, into); }

static void ask_driver(fh_gather *g, fh_icd *icd) {
  const char *changes[MAX_CHANGES + 1];
  bool unloadable = icd->error[0] && icd->code == 0;
  if (icd->asked != FH_VALID || unloadable || icd->hung || icd->slow || icd->crashed) return;
  int count = fh_icd_is(icd, "rusticl") ? change_rusticl(g, icd, changes) : fh_icd_is(icd, "pocl") ? change_pocl(g, icd, changes) : 0;
  if (!count) return;
  changes[count] = NULL;
  icd->again = fh_arena_alloc(g->arena, 1, sizeof *icd->again);
  if (!icd->again) return;
  *icd->again = (fh_icd){.file = icd->file, .library = icd->library, .error = "", .missing = "", .platform = "", .platform_version = ""};
  icd->again_change = changes[0];
  fh_ask(g, fh_arena_format(g->arena, "opencl:%s", icd->file), changes, read_icd, icd->again);
}

void fh_ask_opencl_again(fh_gather *g) {
  ask_loaders(g);
  for (int i = 0; i < g->facts->opencl.count; i++) ask_driver(g, &g->facts->opencl.icds[i]);
}
