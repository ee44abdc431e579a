/* Rules about what a container was given. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/rules/rules.h"

/* The machine has a GPU with a running driver, as far as can be seen from here. *out_confidence falls to POSSIBLE
 * when the PCI list is covered or unreadable and nothing else tells. */
static bool host_has_gpu(fh_case *c, fh_confidence *out_confidence) {
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

/* Neither a device node nor a driver library came into this container. */
static bool nothing_injected(fh_case *c) {
  return fh_case_saw(c, fh_nvidia_nodes_absent(c->facts), "/dev/nvidiactl, /dev/nvidia-uvm, /dev/nvidia0", "ENOENT") &&
         fh_case_saw(
             c, !fh_driver_library_injected(c->facts), "libcuda.so.1",
             fh_facts_library(c->facts, "libcuda.so.1")->valid == FH_VALID ? "only a file of the image, nothing mounted in" : "not found");
}

static bool saw_variable(fh_case *c, const char *name) {
  const char *value = fh_facts_env(c->facts, name);
  return fh_case_saw(c, value != NULL, name, "%s", value && value[0] ? value : "(set to nothing)");
}

static bool in_pod(const fh_facts *f) { return f->where.platform == FH_PLATFORM_KUBERNETES; }

void fh_rule_k8s_no_resource(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *asked = fh_facts_env(f, "NVIDIA_VISIBLE_DEVICES");
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_case_saw(&c, in_pod(f), f->where.platform_source, "%s", f->where.platform_name) &&
      (!asked || !asked[0] || strcmp(asked, "void") == 0) && host_has_gpu(&c, &confidence) && nothing_injected(&c)) {
    if (!saw_variable(&c, "NVIDIA_VISIBLE_DEVICES")) fh_case_saw(&c, true, "NVIDIA_VISIBLE_DEVICES", "not set: no device plugin acted");
    fh_case_gpu(&c, confidence, "this pod has no nvidia.com/gpu resource: neither device nodes nor driver libraries are here");
  }
}

void fh_rule_k8s_runtimeclass(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_case_saw(&c, in_pod(f), f->where.platform_source, "%s", f->where.platform_name) &&
      fh_env_asks_for_gpus(f) && saw_variable(&c, "NVIDIA_VISIBLE_DEVICES") && host_has_gpu(&c, &confidence) && nothing_injected(&c))
    fh_case_gpu(&c, confidence, "NVIDIA_VISIBLE_DEVICES=%s asks for GPUs, but the node's container runtime passed nothing in",
                fh_facts_env(f, "NVIDIA_VISIBLE_DEVICES"));
}

void fh_rule_nvd_void(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_container_by_engine(f) && !in_pod(f) && fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "void") &&
      saw_variable(&c, "NVIDIA_VISIBLE_DEVICES") && host_has_gpu(&c, &confidence) && nothing_injected(&c))
    fh_case_gpu(&c, confidence, "NVIDIA_VISIBLE_DEVICES=void and nothing was passed in: this container has no GPU");
}

void fh_rule_nvd_none(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_container_by_engine(f) && fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "none") &&
      saw_variable(&c, "NVIDIA_VISIBLE_DEVICES") &&
      fh_case_saw(&c, fh_facts_node(f, "/dev/nvidia0")->valid == FH_ABSENT && fh_nvidia_numbered_present(f) == 0, "/dev/nvidia0",
                  "ENOENT") &&
      (fh_driver_library_injected(f) || fh_facts_node(f, "/dev/nvidiactl")->valid == FH_VALID)) {
    fh_case_saw(&c, fh_driver_library_injected(f), "libcuda.so.1", "mounted in");
    fh_case_gpu(&c, FH_CONSISTENT, "NVIDIA_VISIBLE_DEVICES=none: the driver's libraries are here, no GPU is");
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
  if (fh_gpu_in_question(judgement) &&
      fh_case_saw(&c, fh_container_by_engine(f) && !in_pod(f), f->where.platform_source, "%s", f->where.platform_name) &&
      !fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "void") && host_has_gpu(&c, &confidence) && nothing_injected(&c)) {
    saw_variable(&c, "NVIDIA_VISIBLE_DEVICES");
    fh_case_gpu(&c, confidence, "neither device nodes nor the driver library are in this container%s",
                fh_env_asks_for_gpus(f) ? "; the image asks for GPUs, the engine's runtime did not act on it" : "");
  }
}

/* ---- libraries -------------------------------------------------------------------------------------------- */

void fh_rule_zero_byte_lib(fh_judgement *judgement, const fh_cause *cause) {
  static const char *const names[] = {"libcuda.so.1", "libnvidia-ml.so.1"};
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement)) return;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const fh_library *library = fh_facts_library(judgement->facts, names[i]);
    fh_case_saw(&c, library->valid == FH_VALID && library->size == 0 && !library->own_mount, library->real_path, "0 bytes");
  }
  if (c.evidence_count) fh_case_gpu(&c, FH_PROVEN, "%s is an empty file left over in the image", c.evidence[0].source);
}

void fh_rule_musl(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_case_saw(&c, fh_is_true(f->where.musl), f->where.musl.source, "musl's loader") &&
      fh_case_saw(&c, fh_is_false(f->where.glibc), f->where.glibc.source, "no glibc loader") &&
      fh_case_saw(&c, library->valid == FH_VALID && library->elf.needs_glibc, library->real_path, "needs libc.so.6 (glibc)"))
    fh_case_gpu(&c, FH_PROVEN, "libcuda needs glibc, and this image has only musl");
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
  return !fh_libcuda_aside(c->facts) && !fh_libcuda_nix_link(c->facts) && /* it is here, and not found: another cause */
         fh_case_saw(c, fh_nvidia_numbered_present(c->facts) > 0, "/dev/nvidia*", "present") &&
         fh_case_saw(c, fh_facts_library(c->facts, "libcuda.so.1")->valid == FH_ABSENT, "libcuda.so.1", "not found in %d places",
                     fh_facts_library(c->facts, "libcuda.so.1")->searched_count);
}

void fh_rule_caps_no_compute(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_container_by_engine(f) && compute_left_out(f) && saw_variable(&c, "NVIDIA_DRIVER_CAPABILITIES") &&
      nodes_without_libcuda(&c)) {
    const fh_library *nvml = fh_facts_library(f, "libnvidia-ml.so.1");
    fh_case_saw(&c, nvml->valid == FH_VALID, nvml->path, "present");
    fh_case_gpu(&c, FH_CONSISTENT, "NVIDIA_DRIVER_CAPABILITIES=%s lacks compute, so libcuda was left outside",
                fh_facts_env(f, "NVIDIA_DRIVER_CAPABILITIES"));
  }
}

void fh_rule_lib_not_injected(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_container_by_engine(f) && !compute_left_out(f) && nodes_without_libcuda(&c)) {
    saw_variable(&c, "NVIDIA_DRIVER_CAPABILITIES");
    fh_case_gpu(&c, FH_CONSISTENT, "the device nodes are in this container, libcuda.so.1 is not");
  }
}
