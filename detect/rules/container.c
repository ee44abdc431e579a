/* Rules about what a container was given. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/gather.h"
#include "detect/rules/rules.h"

bool fh_case_host_has_gpu(fh_case *c, fh_confidence *out_confidence) {
  const fh_facts *f = c->facts;
  const fh_pci_device *gpu = fh_nvidia_gpu_first(f);
  *out_confidence = FH_CONSISTENT;
  if (fh_is_false(f->nvidia.module_loaded) && fh_platform_shows_module(f)) return false;
  bool seen = fh_case_saw(c, gpu != NULL, gpu ? gpu->source : "", "%04x:%04x, an NVIDIA GPU", gpu ? (unsigned)gpu->vendor : 0,
                          gpu ? (unsigned)gpu->device & 0xffff : 0);
  bool loaded = fh_case_saw(c, f->nvidia.nvrm_version.valid == FH_VALID, f->nvidia.nvrm_version.source, "%s (the host's module is loaded)",
                            f->nvidia.nvrm_version.value) ||
                fh_is_true(f->nvidia.module_loaded);
  if (seen || loaded) return true;
  *out_confidence = FH_POSSIBLE;
  return fh_case_saw(c, fh_is_true(f->pci.masked), "/sys/bus/pci/devices", "covered: the machine's hardware cannot be seen") ||
         f->pci.valid == FH_UNKNOWN_FACT;
}

bool fh_case_nothing_injected(fh_case *c) {
  return fh_case_saw(c, fh_nvidia_nodes_absent(c->facts), "/dev/nvidiactl, /dev/nvidia-uvm, /dev/nvidia0", "ENOENT") &&
         fh_case_saw(
             c, !fh_driver_library_injected(c->facts), "libcuda.so.1",
             fh_facts_library(c->facts, "libcuda.so.1")->valid == FH_VALID ? "only a file of the image, nothing mounted in" : "not found");
}

bool fh_case_saw_variable(fh_case *c, const char *name) {
  const char *value = fh_facts_env(c->facts, name);
  return fh_case_saw(c, value != NULL, name, "%s", value && value[0] ? value : "(set to nothing)");
}

static bool in_pod(const fh_facts *f) { return f->where.platform == FH_PLATFORM_KUBERNETES; }

/* A GPU is missing, or somebody said that none is wanted: both are told, the latter as a note. */
static bool may_be_by_choice(const fh_judgement *judgement) { return fh_gpu_in_question(judgement) || fh_gpu_declined(judgement->facts); }

void fh_rule_k8s_no_resource(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *asked = fh_facts_env(f, "NVIDIA_VISIBLE_DEVICES");
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (may_be_by_choice(judgement) && fh_case_saw(&c, in_pod(f), f->where.platform_source, "%s", f->where.platform_name) &&
      (!asked || !asked[0] || strcmp(asked, "void") == 0) && fh_case_host_has_gpu(&c, &confidence) && fh_case_nothing_injected(&c)) {
    if (!fh_case_saw_variable(&c, "NVIDIA_VISIBLE_DEVICES"))
      fh_case_saw(&c, true, "NVIDIA_VISIBLE_DEVICES", "not set: no device plugin acted");
    static const char none[] = "this pod has no nvidia.com/gpu resource: neither device nodes nor driver libraries are here";
    if (fh_gpu_declined(f))
      fh_case_gpu_by_choice(&c, confidence, "%s", none);
    else
      fh_case_gpu(&c, confidence, "%s", none);
  }
}

void fh_rule_k8s_runtimeclass(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_case_saw(&c, in_pod(f), f->where.platform_source, "%s", f->where.platform_name) &&
      fh_env_asks_for_gpus(f) && fh_case_saw_variable(&c, "NVIDIA_VISIBLE_DEVICES") && fh_case_host_has_gpu(&c, &confidence) &&
      fh_case_nothing_injected(&c)) {
    bool image = fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "all") && fh_case_saw(&c, f->sandbox.device_files.valid != FH_VALID, "all",
                                                                              "a value that images set; a device plugin names the GPUs");
    if (image)
      fh_case_gpu(&c, FH_POSSIBLE,
                  "NVIDIA_VISIBLE_DEVICES=all, and nothing was passed in: the pod has no nvidia.com/gpu resource, or the "
                  "node's container runtime ignored it");
    else
      fh_case_gpu(&c, confidence, "NVIDIA_VISIBLE_DEVICES=%s asks for GPUs, but the node's container runtime passed nothing in",
                  fh_facts_env(f, "NVIDIA_VISIBLE_DEVICES"));
  }
}

void fh_rule_nvd_void(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (may_be_by_choice(judgement) && fh_container_by_engine(f) && !in_pod(f) && fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "void") &&
      fh_case_saw_variable(&c, "NVIDIA_VISIBLE_DEVICES") && fh_case_host_has_gpu(&c, &confidence) && fh_case_nothing_injected(&c))
    fh_case_gpu_by_choice(&c, confidence, "NVIDIA_VISIBLE_DEVICES=void and nothing was passed in: this container has no GPU");
}

void fh_rule_nvd_none(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (may_be_by_choice(judgement) && fh_container_by_engine(f) && fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "none") &&
      fh_case_saw_variable(&c, "NVIDIA_VISIBLE_DEVICES") &&
      fh_case_saw(&c, fh_facts_node(f, "/dev/nvidia0")->valid == FH_ABSENT && fh_nvidia_numbered_present(f) == 0, "/dev/nvidia0",
                  "ENOENT") &&
      (fh_driver_library_injected(f) || fh_facts_node(f, "/dev/nvidiactl")->valid == FH_VALID)) {
    fh_case_saw(&c, fh_driver_library_injected(f), "libcuda.so.1", "mounted in");
    fh_case_gpu_by_choice(&c, FH_CONSISTENT, "NVIDIA_VISIBLE_DEVICES=none: the driver's libraries are here, no GPU is");
  }
}

void fh_rule_apptainer_no_nv(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) &&
      fh_case_saw(&c, f->where.platform == FH_PLATFORM_APPTAINER, f->where.platform_source, "%s", f->where.platform_name) &&
      !fh_facts_env(f, "APPTAINER_NV") && !fh_facts_env(f, "SINGULARITY_NV") &&
      fh_case_saw(&c, fh_nvidia_nodes_present(f) > 0, "/dev/nvidia*", "present (the machine's /dev)") &&
      fh_case_saw(&c, fh_facts_library(f, "libcuda.so.1")->valid == FH_ABSENT, "libcuda.so.1", "not found"))
    fh_case_gpu(&c, FH_CONSISTENT, "the device nodes are here, the driver's libraries are not: Apptainer brings them with --nv");
}

void fh_rule_no_gpu_requested(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && !fh_passed_over(f) && !fh_started_by_compose(f) &&
      fh_case_saw(&c, fh_container_by_engine(f) && !in_pod(f), f->where.platform_source, "%s", f->where.platform_name) &&
      !fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "void") && fh_case_host_has_gpu(&c, &confidence) && fh_case_nothing_injected(&c)) {
    fh_case_saw_variable(&c, "NVIDIA_VISIBLE_DEVICES");
    fh_case_gpu(&c, confidence, "neither device nodes nor the driver library are in this container%s",
                fh_env_asks_for_gpus(f) ? "; the image asks for GPUs, the engine's runtime did not act on it" : "");
  }
}

/* ---- libraries -------------------------------------------------------------------------------------------- */

static bool saw_empty_file(fh_case *c, const fh_library *library) {
  return fh_case_saw(c, library->valid == FH_VALID && library->size == 0 && !library->own_mount, library->real_path, "0 bytes");
}

void fh_rule_zero_byte_lib(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement)) return;
  bool cuda = saw_empty_file(&c, fh_facts_library(f, "libcuda.so.1"));
  bool nvml = saw_empty_file(&c, fh_facts_library(f, "libnvidia-ml.so.1"));
  if (cuda)
    fh_case_gpu(&c, FH_PROVEN, "%s is an empty file left over in the image", c.evidence[0].source);
  else if (nvml) /* programs that compute do not load it */
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_PROVEN, NULL, "%s is an empty file left over in the image: nvidia-smi cannot work with it",
                     c.evidence[0].source);
}

/* A driver library that was mounted into this container, by its versioned name; NULL: none that the loader did not find. */
static const char *mounted_libcuda(const fh_facts *f) {
  for (int i = 0; i < f->libraries.elsewhere_count; i++) {
    const char *path = f->libraries.elsewhere[i], *name = strrchr(path, '/'), *version = name ? strstr(name, ".so.") : NULL;
    const fh_mount *mount = version && strchr(version + 4, '.') ? fh_mount_of(f, path) : NULL;
    if (mount && strcmp(mount->point, path) == 0) return path;
  }
  return NULL;
}

/* NVIDIA builds libcuda for glibc alone, so one that cannot be looked into needs it too: then that is consistent, not proven. */
static bool libcuda_needs_glibc(fh_case *c, fh_confidence *confidence) {
  const fh_library *library = fh_facts_library(c->facts, "libcuda.so.1");
  const char *unseen = fh_libcuda_unseen_by_musl(c->facts);
  *confidence = library->valid == FH_VALID ? FH_PROVEN : FH_CONSISTENT;
  if (library->valid == FH_VALID) return fh_case_saw(c, library->elf.needs_glibc, library->real_path, "needs libc.so.6 (glibc)");
  return fh_case_saw(c, unseen != NULL, unseen, "NVIDIA's library, where musl's loader does not even look");
}

void fh_rule_musl(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_where *w = &judgement->facts->where;
  bool gcompat = fh_is_true(w->gcompat);
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_case_saw(&c, fh_is_true(w->musl), w->musl.source, "musl's loader") &&
      fh_case_saw(&c, fh_is_false(w->glibc), w->glibc.source, gcompat ? "gcompat, not glibc" : "no glibc loader") &&
      libcuda_needs_glibc(&c, &confidence))
    fh_case_gpu(&c, gcompat ? FH_POSSIBLE : confidence, "libcuda needs glibc, and this image has only musl%s",
                gcompat ? ", with gcompat, which NVIDIA does not support" : "");
}

/* e_machine of programs for the machine that uname names; 0: not known. */
static int machine_here(const fh_facts *f) {
  enum { X86_64 = 62, AARCH64 = 183 };
  const char *machine = f->where.machine.valid == FH_VALID ? f->where.machine.value : "";
  return strcmp(machine, "x86_64") == 0 ? X86_64 : strcmp(machine, "aarch64") == 0 ? AARCH64 : 0;
}

static bool is_foreign(const fh_facts *f, const fh_library *library) {
  return library->elf.is_elf && machine_here(f) && (library->elf.bits != 64 || library->elf.machine != machine_here(f));
}

static const char *made_for(const fh_library *library) {
  if (library->elf.bits == 32) return "32-bit programs";
  return library->elf.machine == 62 ? "x86-64" : library->elf.machine == 183 ? "AArch64" : "another processor";
}

void fh_rule_arch_mismatch(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && library->valid == FH_VALID &&
      fh_case_saw(&c, is_foreign(f, library), library->real_path, "%d bits, ELF machine %d: made for %s", library->elf.bits,
                  library->elf.machine, made_for(library)) &&
      fh_case_saw(&c, true, "uname", "%s", f->where.machine.value))
    fh_case_gpu(&c, FH_PROVEN, "the only libcuda.so.1 that the loader finds is made for %s, and this is %s", made_for(library),
                f->where.machine.value);
}

/* The real loader did not find what our search did: a folder that this image's loader does not know. */
static bool loader_found_none(const fh_facts *f) {
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  return cuda->valid == FH_ABSENT && strstr(cuda->dlerrors, "No such file or directory");
}

/* Mounted in under its versioned name, and not found: the link or the loader's cache was not made. */
static const char *uncached_libcuda(const fh_facts *f) {
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  if (!fh_container_by_engine(f) || !fh_is_false(f->where.musl)) return NULL;
  if (library->valid == FH_VALID && library->own_mount && !is_foreign(f, library) && loader_found_none(f)) return library->real_path;
  return library->valid == FH_ABSENT ? mounted_libcuda(f) : NULL;
}

static bool has_soname_link(const fh_facts *f) {
  for (int i = 0; i < f->libraries.elsewhere_count; i++) {
    const char *name = strrchr(f->libraries.elsewhere[i], '/');
    if (name && strcmp(name, "/libcuda.so.1") == 0) return true;
  }
  return false;
}

void fh_rule_ldcache(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  const fh_mount *root = fh_mount_at(f, "/");
  const char *path = uncached_libcuda(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || !fh_case_saw(&c, path != NULL, path, "mounted in by the engine") ||
      !(fh_case_saw(&c, library->valid == FH_ABSENT, "libcuda.so.1", "not found in %d places", library->searched_count) ||
        fh_case_saw(&c, true, "dlopen libcuda.so.1", "%s", f->nvidia.cuda.dlerrors)))
    return;
  bool link = library->valid == FH_VALID || has_soname_link(f);
  fh_case_saw(&c, fh_mount_has_option(root, "ro"), "/", "mounted read-only: no cache can be written in here");
  fh_confidence confidence = fh_case_flip(&c, fh_cuda_flip(f, FH_CUDA_OTHER_LIBRARY), "with LD_LIBRARY_PATH leading there", FH_CONSISTENT);
  fh_case_gpu(&c, confidence,
              link ? "%s is here, in a folder that the loader's cache does not list"
                   : "%s is here, without the link libcuda.so.1 by which programs ask for it",
              path);
}

static bool has_word(const char *list, const char *word) {
  size_t size = strlen(word);
  for (const char *item = list; *item;) {
    size_t length = strcspn(item, ",");
    if (length == size && strncmp(item, word, size) == 0) return true;
    item += length + (item[length] == ',');
  }
  return false;
}

/* NVIDIA_DRIVER_CAPABILITIES is set and leaves libcuda out. */
static bool compute_left_out(const fh_facts *f) {
  const char *capabilities = fh_facts_env(f, "NVIDIA_DRIVER_CAPABILITIES");
  return capabilities && !has_word(capabilities, "compute") && !has_word(capabilities, "all");
}

static bool nodes_without_libcuda(fh_case *c) {
  return !fh_libcuda_aside(c->facts) && !fh_libcuda_nix_link(c->facts) &&
         !fh_libcuda_unseen_by_musl(c->facts) && /* it is here, and not found: another cause */
         fh_case_saw(c, fh_nvidia_numbered_present(c->facts) > 0, "/dev/nvidia*", "present") &&
         fh_case_saw(c, fh_facts_library(c->facts, "libcuda.so.1")->valid == FH_ABSENT, "libcuda.so.1", "not found in %d places",
                     fh_facts_library(c->facts, "libcuda.so.1")->searched_count);
}

void fh_rule_caps_no_compute(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_container_by_engine(f) && compute_left_out(f) &&
      fh_case_saw_variable(&c, "NVIDIA_DRIVER_CAPABILITIES") && nodes_without_libcuda(&c)) {
    const fh_library *nvml = fh_facts_library(f, "libnvidia-ml.so.1");
    fh_case_saw(&c, nvml->valid == FH_VALID, nvml->path, "present");
    fh_case_gpu(&c, FH_CONSISTENT, "NVIDIA_DRIVER_CAPABILITIES=%s lacks compute, so libcuda was left outside",
                fh_facts_env(f, "NVIDIA_DRIVER_CAPABILITIES"));
  }
}

void fh_rule_lib_not_injected(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_container_by_engine(f) && !compute_left_out(f) && !mounted_libcuda(f) &&
      nodes_without_libcuda(&c)) {
    fh_case_saw_variable(&c, "NVIDIA_DRIVER_CAPABILITIES");
    fh_case_gpu(&c, FH_CONSISTENT, "the device nodes are in this container, libcuda.so.1 is not");
  }
}
