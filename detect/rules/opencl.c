/* Rules about OpenCL. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/arena.h"
#include "detect/rules/rules.h"

static fh_severity opencl_severity(const fh_judgement *judgement, fh_severity otherwise) {
  return fh_judgement_user_expects(judgement, "opencl") ? FH_SEVERITY_ERROR : otherwise;
}

/* ---- the loader -------------------------------------------------------------------------------------------------- */

/* A program would see more platforms through the other one, or would not crash. */
static fh_flip loader_flip(const fh_cl_loader *first, const fh_cl_loader *other) {
  bool told = first->valid == FH_VALID && !first->late && other->valid == FH_VALID && !other->broke && !other->late;
  if (!told || other->platforms < 0) return FH_FLIP_NOT_ASKED;
  int shown = first->broke || first->platforms < 0 ? 0 : first->platforms;
  return other->platforms > shown ? FH_FLIP_FLIPPED : FH_FLIP_SAME;
}

static bool shows_devices(const fh_cl_loader *loader) {
  return loader->valid == FH_VALID && !loader->broke && !loader->late && loader->platforms > 0 && loader->devices != 0;
}

/* The variable that sends the loader elsewhere; NULL: none is set. */
static const char *steering_variable(const fh_facts *f) {
  static const char *const names[] = {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const char *value = fh_facts_env(f, names[i]);
    if (value && value[0]) return names[i];
  }
  return NULL;
}

void fh_rule_vendors_override(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *name = steering_variable(f);
  fh_flip flip = loader_flip(&f->opencl.loader, &f->opencl.loader_unsteered);
  fh_case c = fh_case_open(judgement, cause);
  if (!name) return;
  const char *value = fh_facts_env(f, name);
  bool some = shows_devices(&f->opencl.loader); /* ocl-icd takes a file or a library there, too */
  bool empty = !some && f->opencl.vendors_override.valid == FH_VALID && f->opencl.vendors_valid != FH_UNKNOWN_FACT && f->opencl.count == 0;
  if (!empty && flip != FH_FLIP_FLIPPED) return;
  fh_case_saw(&c, true, name, "%s", value);
  if (some) {
    fh_confidence confidence = fh_case_flip(&c, flip, fh_arena_format(judgement->arena, "without %s", name), FH_CONSISTENT);
    fh_case_conclude(&c, FH_SEVERITY_INFO, confidence, NULL, "%s=%s leaves %d of %d OpenCL platforms", name, value,
                     f->opencl.loader.platforms, f->opencl.loader_unsteered.platforms);
    return;
  }
  fh_case_saw(&c, empty, f->opencl.vendors_dir.value, "no .icd file");
  fh_case_saw(&c, f->opencl.loader.broke, "a program that starts OpenCL", "crashes, or is ended");
  fh_case_conclude(&c, opencl_severity(judgement, FH_SEVERITY_WARNING),
                   fh_case_flip(&c, flip, fh_arena_format(judgement->arena, "without %s", name), FH_CONSISTENT), "opencl",
                   "%s=%s leads to no OpenCL driver that works", name, value);
}

/* Registered drivers whose library is here. NVIDIA's comes along with CUDA; `own` counts those that somebody installed for OpenCL. */
static int drivers_here(const fh_facts *f, int *own) {
  int count = 0;
  for (int i = 0; i < f->opencl.count; i++) {
    if (f->opencl.icds[i].lib_valid != FH_VALID) continue;
    count++;
    *own += !fh_icd_is(&f->opencl.icds[i], "nvidia");
  }
  return count;
}

void fh_rule_no_loader(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *loader = fh_facts_library(f, "libOpenCL.so.1");
  fh_case c = fh_case_open(judgement, cause);
  int own = 0, drivers = drivers_here(f, &own);
  if (!fh_case_saw(&c, loader->valid == FH_ABSENT, "libOpenCL.so.1", "not found in %d places", loader->searched_count) ||
      (drivers == 0 && !fh_judgement_user_expects(judgement, "opencl")))
    return;
  for (int i = 0; i < f->opencl.count; i++)
    fh_case_saw(&c, f->opencl.icds[i].lib_valid == FH_VALID, f->opencl.icds[i].file, "names %s", f->opencl.icds[i].library);
  fh_severity severity = opencl_severity(judgement, own ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO);
  fh_case_conclude(&c, severity, FH_CONSISTENT, drivers ? NULL : "opencl",
                   drivers ? "OpenCL drivers are registered, the loader libOpenCL.so.1 that programs need is not here"
                           : "the OpenCL loader libOpenCL.so.1 is not here, nor any driver");
}

void fh_rule_wrong_loader(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *found = fh_facts_library(f, "libOpenCL.so.1");
  const fh_cl_loader *loader = &f->opencl.loader, *other = &f->opencl.loader_system;
  fh_flip flip = loader_flip(loader, other);
  fh_case c = fh_case_open(judgement, cause);
  if (flip != FH_FLIP_FLIPPED || !f->opencl.system_loader) return;
  fh_case_saw(&c, true, found->real_path, "what programs find as the OpenCL loader: %d platforms%s%s",
              loader->platforms > 0 ? loader->platforms : 0, loader->error[0] ? ", " : "", loader->error);
  fh_case_saw(&c, true, f->opencl.system_loader, "the system's own: %d platforms", other->platforms);
  fh_case_conclude(&c, opencl_severity(judgement, FH_SEVERITY_WARNING), fh_case_flip(&c, flip, "through the system's loader", FH_POSSIBLE),
                   NULL, "%s stands before the system's OpenCL loader and hides drivers", found->path);
}

/* ---- registrations --------------------------------------------------------------------------------------------------- */

/* A vendor's OpenCL driver on disk that nobody registered; NULL: none. */
static const fh_library *unregistered_driver(const fh_facts *f) {
  static const char *const names[] = {"libnvidia-opencl.so.1", "libigdrcl.so", "libamdocl64.so", "libpocl.so.2", "libpocl.so"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const fh_library *library = fh_facts_library(f, names[i]);
    if (library->valid == FH_VALID) return library;
  }
  return NULL;
}

void fh_rule_no_icd_file(fh_judgement *judgement, const fh_cause *cause) {
  static const char toolkit[] = "/usr/local/cuda";
  const fh_facts *f = judgement->facts;
  const fh_library *loader = fh_facts_library(f, "libOpenCL.so.1"), *driver = unregistered_driver(f);
  fh_case c = fh_case_open(judgement, cause);
  if (f->opencl.vendors_override.valid == FH_VALID ||
      !fh_case_saw(&c, f->opencl.vendors_valid != FH_UNKNOWN_FACT && f->opencl.count == 0, "/etc/OpenCL/vendors", "%s",
                   f->opencl.vendors_valid == FH_ABSENT ? "no such directory" : "no .icd file") ||
      !fh_case_saw(&c, loader->valid == FH_VALID, loader->real_path, "the OpenCL loader"))
    return;
  bool wanted = fh_case_saw(&c, driver != NULL, driver ? driver->real_path : "", "an OpenCL driver that is not registered") ||
                fh_cuda_usable_count(f) > 0;
  /* The toolkit brings a loader and the engine a driver for whoever wants CUDA: nobody has asked for OpenCL. */
  bool all_nvidia = strncmp(loader->real_path, toolkit, sizeof(toolkit) - 1) == 0 && (!driver || strstr(driver->name, "nvidia"));
  fh_case_conclude(
      &c, opencl_severity(judgement, wanted && !all_nvidia ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO), FH_CONSISTENT, "opencl",
      driver ? "the OpenCL driver %s is here, but no .icd file registers it" : "the OpenCL loader is here, no OpenCL driver is%s",
      driver ? driver->name : "");
}

/* The last part of a path: how devices of an ICD that gave none are named. */
static const char *icd_device(fh_judgement *judgement, const fh_icd *icd) {
  const char *slash = strrchr(icd->file, '/');
  return fh_arena_format(judgement->arena, "opencl:%s", slash ? slash + 1 : icd->file);
}

static bool broke(const fh_icd *icd) { return icd->crashed || icd->exited || icd->hung || icd->slow; }

void fh_rule_icd_lib_missing(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->opencl.count; i++) {
    const fh_icd *icd = &f->opencl.icds[i];
    fh_case c = fh_case_open(judgement, cause);
    bool loaded = icd->asked == FH_VALID && !icd->error[0];
    if (broke(icd) || loaded || icd->code != 0 || icd->device_count > 0) continue;
    bool failed = icd->asked == FH_VALID; /* the child tried and kept the loader's words */
    if (!failed && icd->lib_valid != FH_ABSENT) continue;
    fh_case_saw(&c, true, icd->file, "names %s", icd->library);
    fh_case_saw(&c, icd->error[0], "dlopen", "%s", icd->error);
    fh_case_saw(&c, icd->lib_valid == FH_ABSENT, icd->library, "not found");
    const char *gone = icd->missing[0] ? icd->missing : icd->library;
    fh_case_conclude(&c, opencl_severity(judgement, FH_SEVERITY_WARNING), failed ? FH_PROVEN : FH_CONSISTENT, icd_device(judgement, icd),
                     "%s names %s: cannot open %s", icd->file, icd->library, gone);
  }
}

void fh_rule_icd_crash(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->opencl.count; i++) {
    const fh_icd *icd = &f->opencl.icds[i];
    fh_case c = fh_case_open(judgement, cause);
    if (!fh_case_saw(&c, broke(icd), icd->file, "names %s", icd->library)) continue;
    fh_case_saw(&c, icd->crashed, icd->library, "the process that asked it died of signal %d", icd->signal);
    fh_case_saw(&c, icd->exited, icd->library, "ended the process that asked it");
    fh_case_saw(&c, icd->hung || icd->slow, icd->library, "no answer within the time limit%s", icd->hung ? ", stuck in the kernel" : "");
    const char *how = icd->crashed ? "crashes" : icd->exited ? "ends the process" : icd->hung ? "hangs" : "does not answer in time";
    fh_case_conclude(&c, opencl_severity(judgement, FH_SEVERITY_WARNING), icd->slow || icd->hung ? FH_CONSISTENT : FH_PROVEN,
                     icd_device(judgement, icd), "the OpenCL driver %s %s when it is asked for its devices", icd->library, how);
  }
}

/* ---- drivers without a device ------------------------------------------------------------------------------------------ */

/* Asked with a setting of its own changed, the driver shows a device. */
static fh_flip icd_flip(const fh_icd *icd) {
  if (!icd->again || icd->again->asked != FH_VALID || broke(icd->again)) return FH_FLIP_NOT_ASKED;
  return icd->again->device_count > icd->device_count ? FH_FLIP_FLIPPED : FH_FLIP_SAME;
}

/* It was loaded and answered a code, or nothing: what could not be loaded has words of the loader and no code. */
static bool answered_without_device(const fh_icd *icd) {
  return icd->asked == FH_VALID && !broke(icd) && icd->device_count == 0 && (icd->code != 0 || !icd->error[0]);
}

static bool is_gated(const fh_facts *f, const fh_icd *icd) {
  const char *enabled = fh_facts_env(f, "RUSTICL_ENABLE");
  return fh_icd_is(icd, "rusticl") && !(enabled && enabled[0]);
}

/* PoCL always has the processor, unless a setting takes it away. */
static bool is_switched_off(const fh_icd *icd) { return fh_icd_is(icd, "pocl") && icd_flip(icd) == FH_FLIP_FLIPPED; }

void fh_rule_rusticl_gate(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->opencl.count; i++) {
    const fh_icd *icd = &f->opencl.icds[i];
    fh_case c = fh_case_open(judgement, cause);
    if (!is_gated(f, icd) || icd_flip(icd) == FH_FLIP_SAME ||
        !fh_case_saw(&c, answered_without_device(icd), icd->file, "%s: no device", icd->platform[0] ? icd->platform : icd->library))
      continue;
    fh_case_saw(&c, true, "RUSTICL_ENABLE", "not set");
    bool flipped = icd_flip(icd) == FH_FLIP_FLIPPED;
    const char *change = fh_arena_format(judgement->arena, "with %s", icd->again_change ? icd->again_change : "");
    fh_case_conclude(&c, opencl_severity(judgement, flipped ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO),
                     fh_case_flip(&c, icd_flip(icd), change, FH_CONSISTENT), icd_device(judgement, icd),
                     "Mesa's OpenCL driver shows no device because RUSTICL_ENABLE names none%s%s", flipped ? ": it works " : "",
                     flipped ? change : "");
  }
}

/* The maker of the hardware that a driver is for; 0: any, or unknown. */
static int vendor_of(const fh_icd *icd) {
  static const struct {
    const char *word;
    int vendor;
  } makers[] = {{"nvidia", 0x10de}, {"igdrcl", 0x8086}, {"intel", 0x8086}, {"amd", 0x1002}};
  for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
    if (fh_icd_is(icd, makers[i].word)) return makers[i].vendor;
  return 0;
}

static const fh_pci_device *gpu_of(const fh_facts *f, int vendor) {
  for (int i = 0; i < f->pci.count; i++)
    if (f->pci.devices[i].is_gpu && vendor && f->pci.devices[i].vendor == vendor) return &f->pci.devices[i];
  return NULL;
}

void fh_rule_zero_devices(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->opencl.count; i++) {
    const fh_icd *icd = &f->opencl.icds[i];
    const fh_pci_device *gpu = gpu_of(f, vendor_of(icd));
    fh_case c = fh_case_open(judgement, cause);
    if (is_gated(f, icd) || is_switched_off(icd) || !answered_without_device(icd)) continue;
    if (vendor_of(icd) == 0x10de && fh_gpu_in_question(judgement)) continue; /* whatever keeps CUDA from it keeps OpenCL too */
    fh_case_saw(&c, true, icd->file, "names %s", icd->library);
    fh_case_saw(&c, true, icd->platform[0] ? icd->platform : icd->library, "no device (error %d)", icd->code);
    fh_case_saw(&c, gpu != NULL, gpu ? gpu->source : "", "%04x:%04x, which it is for", gpu ? (unsigned)gpu->vendor : 0,
                gpu ? (unsigned)gpu->device & 0xffff : 0);
    fh_case_conclude(&c, opencl_severity(judgement, gpu ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO), FH_CONSISTENT,
                     icd_device(judgement, icd), "the OpenCL driver %s works and finds no device%s",
                     icd->platform[0] ? icd->platform : icd->library,
                     gpu ? ", though one of its vendor is in this machine" : " that it could drive");
  }
}

/* ---- the processor as an OpenCL device ---------------------------------------------------------------------------------- */

void fh_rule_cpu_posing(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->opencl.count; i++)
    for (int k = 0; k < f->opencl.icds[i].device_count; k++) {
      const fh_cl_device *device = &f->opencl.icds[i].devices[k];
      fh_case c = fh_case_open(judgement, cause);
      bool cpu = strcmp(device->type, "cpu") == 0, software = fh_cl_is_software(device);
      if (!software && !(cpu && fh_gpu_in_question(judgement))) continue;
      fh_case_saw(&c, true, device->name, "OpenCL says its type is %s; platform %s", device->type, f->opencl.icds[i].platform);
      fh_case_saw(&c, software && !cpu, device->name, "the name of a renderer that runs on the processor");
      bool warns = software && !cpu;
      fh_case_conclude(&c, warns ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO, cpu ? FH_PROVEN : FH_CONSISTENT, NULL,
                       "the OpenCL device '%s' is the processor, not a GPU", device->name);
    }
}

/* What keeps PoCL from the whole processor, as texts "NAME=value". */
static int saw_pocl_settings(fh_case *c) {
  static const char *const names[] = {"POCL_DEVICES", "POCL_CPU_MAX_CU_COUNT", "POCL_MAX_PTHREAD_COUNT", "POCL_MEMORY_LIMIT",
                                      "POCL_CACHE_DIR"};
  int count = 0;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const char *value = fh_facts_env(c->facts, names[i]);
    count += fh_case_saw(c, value != NULL, names[i], "%s", value && value[0] ? value : "(set to nothing)");
  }
  return count;
}

/* With the settings gone PoCL shows more processors than it does. */
static fh_flip pocl_flip(const fh_icd *icd) {
  const fh_icd *again = icd->again;
  if (!again || again->asked != FH_VALID || broke(again) || again->device_count == 0) return FH_FLIP_NOT_ASKED;
  if (icd->device_count == 0) return FH_FLIP_FLIPPED;
  return again->devices[0].compute_units > icd->devices[0].compute_units ? FH_FLIP_FLIPPED : FH_FLIP_SAME;
}

void fh_rule_pocl_shape(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->opencl.count; i++) {
    const fh_icd *icd = &f->opencl.icds[i];
    fh_case c = fh_case_open(judgement, cause);
    int units = icd->device_count ? icd->devices[0].compute_units : 0;
    bool none = answered_without_device(icd) && is_switched_off(icd);
    bool small = icd->device_count > 0 && f->cpu.usable.valid == FH_VALID && units < f->cpu.usable.value;
    if (!fh_icd_is(icd, "pocl") || (!none && !small) || pocl_flip(icd) == FH_FLIP_SAME || !saw_pocl_settings(&c)) continue;
    fh_case_saw(&c, true, icd->file, "%d compute units", units);
    fh_case_saw(&c, f->cpu.usable.valid == FH_VALID, "usable CPUs", "%lld", (long long)f->cpu.usable.value);
    fh_case_conclude(
        &c, opencl_severity(judgement, none ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO),
        fh_case_flip(&c, pocl_flip(icd), "without PoCL's own variables", FH_CONSISTENT), none ? icd_device(judgement, icd) : NULL,
        "PoCL's own settings %s",
        none ? "leave it without a device"
             : fh_arena_format(judgement->arena, "make it use %d of the %lld CPUs that are usable", units, (long long)f->cpu.usable.value));
  }
}
