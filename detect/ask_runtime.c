/* Questions to AMD's and Intel's runtimes, and what their answers are as facts. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/answer_object.h"

void fh_runtime_answer_init(fh_runtime_answer *answer) {
  *answer = (fh_runtime_answer){.child = fh_driver_answer_none,
                                .calling = "",
                                .missing_symbol = "",
                                .init_name = "",
                                .list_name = "",
                                .driver_errors = "",
                                .refused = "",
                                .init_code = -1,
                                .list_code = -1,
                                .drivers = -1};
}

static void read_runtime_device(fh_gather *g, const json_t *object, void *into) {
  fh_runtime_device *d = into;
  d->name = fh_answer_text(g, object, "name");
  d->model = fh_answer_text(g, object, "model");
  d->uuid = fh_answer_text(g, object, "uuid");
  d->pci = fh_answer_text(g, object, "pci");
  d->type = fh_answer_text(g, object, "type");
  d->memory = fh_answer_number(object, "memory", -1);
  d->compute_units = fh_answer_int(object, "compute_units", 0);
  d->open_code = fh_answer_number(object, "open_code", -1);
  d->usable = d->open_code == 0;
}

void fh_runtime_read(fh_gather *g, const fh_os_answer *answer, void *into) {
  fh_runtime_answer *out = into;
  json_t *object = fh_answer_object(answer->json);
  fh_driver_answer_read(g, answer, object, &out->child);
  out->calling = fh_answer_text(g, object, "calling");
  out->missing_symbol = fh_answer_text(g, object, "missing_symbol");
  out->init_code = fh_answer_number(object, "init_code", -1);
  out->init_name = fh_answer_text(g, object, "init_name");
  out->list_code = fh_answer_number(object, "list_code", -1);
  out->list_name = fh_answer_text(g, object, "list_name");
  out->drivers = fh_answer_int(object, "drivers", -1);
  out->driver_errors = fh_answer_text_lines(g, json_object_get(object, "driver_errors"));
  out->refused = fh_answer_text(g, object, "refused");
  out->devices = fh_answer_devices(g, object, sizeof *out->devices, read_runtime_device, &out->device_count);
  json_decref(object);
}

static bool any_set(const fh_facts *f, const char *const *names) {
  for (; *names; names++)
    if (fh_facts_env(f, *names)) return true;
  return false;
}

static bool on_pci(const fh_facts *f, int vendor) {
  for (int i = 0; i < f->pci.count; i++)
    if (f->pci.devices[i].vendor == vendor && f->pci.devices[i].is_gpu) return true;
  return false;
}

/* Nothing of it is here, so no child was spent on it: the search of the files is the answer. */
static void absent(fh_gather *g, const char *name, fh_runtime_answer *answer) {
  const fh_library *library = fh_facts_library(g->facts, name);
  if (library->valid != FH_ABSENT) return;
  answer->valid = FH_ABSENT;
  answer->dlerrors = fh_arena_format(g->arena, "%s: not found in %d places", name, library->searched_count);
}

void fh_ask_hsa(fh_gather *g) {
  static const char *const variables[] = {"ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION", NULL};
  enum { AMD = 0x1002 };
  const fh_facts *f = g->facts;
  bool library = fh_facts_library(f, "libhsa-runtime64.so.1")->valid == FH_VALID || *f->amd.hsa_in_rocm;
  bool device = fh_path_exists(g, "/dev/kfd") || fh_path_exists(g, "/dev/dxg") || on_pci(f, AMD) || f->amd.topology == FH_VALID;
  if (!library)
    absent(g, "libhsa-runtime64.so.1", &g->facts->amd.hsa);
  else if (device || any_set(f, variables))
    fh_ask(g, "hsa", NULL, fh_runtime_read, &g->facts->amd.hsa);
}

void fh_ask_level_zero(fh_gather *g) {
  static const char *const variables[] = {"ZE_AFFINITY_MASK", "ZE_FLAT_DEVICE_HIERARCHY", "ONEAPI_DEVICE_SELECTOR", NULL};
  enum { INTEL = 0x8086 };
  const fh_facts *f = g->facts;
  if (fh_facts_library(f, "libze_loader.so.1")->valid != FH_VALID)
    absent(g, "libze_loader.so.1", &g->facts->intel.level_zero);
  else if (on_pci(f, INTEL) || fh_path_exists(g, "/dev/dxg") || fh_path_exists(g, "/dev/accel") || any_set(f, variables))
    fh_ask(g, "level-zero", NULL, fh_runtime_read, &g->facts->intel.level_zero);
}
