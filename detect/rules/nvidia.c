/* Rules about NVIDIA's kernel driver, its hardware and its answers. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/arena.h"
#include "detect/gather.h"
#include "detect/parse.h"
#include "detect/rules/rules.h"

void fh_rule_driver_hung(fh_judgement *judgement, const fh_cause *cause) {
  const fh_cuda_answer *cuda = &judgement->facts->nvidia.cuda;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_case_saw(&c, cuda->hung, "CUDA driver", "no answer in time; the asking process is stuck in the kernel (state D%s%s)",
                  cuda->wchan && cuda->wchan[0] ? ", in " : "", cuda->wchan ? cuda->wchan : ""))
    fh_case_gpu(&c, FH_CONSISTENT, "the NVIDIA driver hangs: a process that asked it was stuck in the kernel at the time limit");
  else if (fh_case_saw(&c, cuda->slow, "CUDA driver",
                       "no answer in time; the asking process was still running or asleep, not stuck in the kernel"))
    fh_case_gpu(&c, FH_POSSIBLE, "the NVIDIA driver did not answer within the time limit; it may hang or only be slow");
}

/* Every node that is here was left over or made by hand: the kernel knows no driver for it. */
static bool nodes_lead_nowhere(const fh_facts *f) {
  const fh_node *node;
  int seen = 0;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i)); seen++)
    if (!node->is_char || node->open_errno != ENXIO) return false;
  return seen > 0;
}

static void saw_dead_nodes(fh_case *c) {
  const fh_node *node;
  for (int i = 0; (node = fh_nvidia_node_next(c->facts, &i));)
    fh_case_saw(c, node->open_errno == ENXIO, node->path, "left over: opening it gives ENXIO, no driver behind it");
}

void fh_rule_no_hardware(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_platform_shows_module(f) && !fh_machine_of_its_own(f) &&
      fh_case_saw(&c, f->pci.valid != FH_UNKNOWN_FACT && f->pci.unread == 0 && fh_is_false(f->pci.masked) && fh_nvidia_gpu_count(f) == 0,
                  "/sys/bus/pci/devices", "%d devices, no NVIDIA GPU among them", f->pci.all_count) &&
      fh_case_saw(&c, fh_is_false(f->nvidia.module_loaded), "/proc/driver/nvidia", "the kernel module is not loaded") &&
      (fh_case_saw(&c, fh_nvidia_nodes_absent(f), "/dev/nvidia*", "none") || nodes_lead_nowhere(f)) &&
      fh_case_saw(&c, true, "asked", "%s", judgement->expects[FH_NVIDIA_GPU].source)) {
    saw_dead_nodes(&c);
    fh_case_gpu(&c, f->pci.all_count > 0 ? FH_CONSISTENT : FH_POSSIBLE, "a GPU is asked for (%s), but this machine has none of NVIDIA's",
                judgement->expects[FH_NVIDIA_GPU].source);
  }
}

/* The driver that holds all NVIDIA GPUs instead of NVIDIA's own; NULL when that is not so. */
static const fh_pci_device *held_by_another(const fh_facts *f) {
  const fh_pci_device *held = NULL;
  for (int i = 0; i < f->pci.count; i++) {
    const fh_pci_device *gpu = &f->pci.devices[i];
    if (!fh_pci_is_nvidia_gpu(gpu)) continue;
    if (!gpu->driver || strcmp(gpu->driver, "nvidia") == 0) return NULL;
    if (!held) held = gpu;
  }
  return held;
}

/* Drivers that do nothing but keep a card for a virtual machine: vfio-pci and its kin, pci-stub, xen-pciback. */
static bool sets_aside(const char *driver) {
  return strstr(driver, "vfio") || strcmp(driver, "pci-stub") == 0 || strstr(driver, "pciback");
}

/* Cards that another driver has beside those that work: for a display or a virtual machine, as somebody wanted it. */
static void note_held_cards(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->pci.count; i++) {
    const fh_pci_device *gpu = &f->pci.devices[i];
    fh_case c = fh_case_open(judgement, cause);
    if (!fh_nvidia_is_held(gpu)) continue;
    fh_case_saw(&c, true, gpu->source, "%04x:%04x, bound to %s", (unsigned)gpu->vendor, (unsigned)gpu->device & 0xffff, gpu->driver);
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_PROVEN, fh_arena_format(judgement->arena, "cuda:%s", gpu->address), "%s is %s (%s)",
                     gpu->address, sets_aside(gpu->driver) ? "set aside for a virtual machine" : "held by another driver", gpu->driver);
  }
}

void fh_rule_other_driver(fh_judgement *judgement, const fh_cause *cause) {
  const fh_pci_device *gpu = held_by_another(judgement->facts);
  fh_case c = fh_case_open(judgement, cause);
  if (fh_cuda_usable_count(judgement->facts) > 0) note_held_cards(judgement, cause);
  if (!fh_gpu_in_question(judgement) || !gpu) return;
  fh_case_saw(&c, true, gpu->source, "%04x:%04x, bound to %s", (unsigned)gpu->vendor, (unsigned)gpu->device & 0xffff, gpu->driver);
  if (sets_aside(gpu->driver) && judgement->expects[FH_NVIDIA_GPU].level < FH_EXPECT_INTENT)
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_PROVEN, "cuda", "%s is set aside for a virtual machine (%s)", gpu->address, gpu->driver);
  else
    fh_case_gpu(&c, FH_PROVEN, "%s is held by the driver %s, not by nvidia", gpu->address, gpu->driver);
}

void fh_rule_module_not_loaded(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_pci_device *gpu = fh_nvidia_gpu_first(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || fh_nvidia_explained(judgement) || held_by_another(f)) return;
  if (!fh_platform_shows_module(f) || fh_machine_of_its_own(f) || !gpu) return;
  if (!fh_case_saw(&c, true, gpu->source, "%04x:%04x, an NVIDIA GPU%s", (unsigned)gpu->vendor, (unsigned)gpu->device & 0xffff,
                   gpu->driver_valid == FH_ABSENT ? ", no driver bound" : "") ||
      !fh_case_saw(&c, fh_is_false(f->nvidia.module_loaded), "/sys/module/nvidia, /proc/driver/nvidia", "absent"))
    return;
  fh_case_saw(&c, fh_is_false(f->nvidia.host.built), f->nvidia.host.built.source, "no nvidia module is installed for this kernel");
  saw_dead_nodes(&c);
  fh_case_gpu(&c, gpu->driver_valid == FH_UNKNOWN_FACT ? FH_POSSIBLE : FH_CONSISTENT,
              "%s is an NVIDIA GPU, but the %skernel has no nvidia module loaded", gpu->address, f->where.container ? "host's " : "");
}

/* A node whose card says so, or of which it is not known whose it is. */
static bool may_be_excluded(const fh_facts *f, const fh_node *node) {
  const fh_nvidia_listed *card = fh_nvidia_card_of_node(f, node->path);
  return fh_nvidia_node_is_numbered(node->path) && (!card || card->excluded);
}

void fh_rule_excluded_gpu(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_case_saw(&c, fh_is_true(f->nvidia.gpu_excluded), f->nvidia.gpu_excluded.source, "GPU Excluded: Yes")) return;
  const fh_node *node, *refused = NULL;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));)
    if (fh_case_saw(&c, may_be_excluded(f, node) && node->open_errno == EPERM, node->path, "EPERM")) refused = node;
  if (!refused) return;
  if (fh_gpu_in_question(judgement))
    fh_case_gpu(&c, FH_CONSISTENT, "%s: the driver was told to exclude this GPU", refused->path);
  else
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL, "%s: the driver was told to exclude this GPU", refused->path);
}

void fh_rule_uvm_missing(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *uvm = fh_facts_node(f, "/dev/nvidia-uvm"), *control = fh_facts_node(f, "/dev/nvidiactl");
  fh_case c = fh_case_open(judgement, cause);
  bool dead = uvm->valid == FH_VALID && uvm->open_errno == ENXIO && fh_is_false(f->nvidia.uvm_registered);
  if (!fh_gpu_in_question(judgement) || fh_is_false(f->nvidia.module_loaded)) return;
  if (fh_sandbox_withholds_nodes(f) && fh_is_true(f->nvidia.uvm_registered)) return; /* the sandbox left it out */
  if (!fh_case_saw(&c, uvm->valid == FH_ABSENT || dead, uvm->path, "%s", dead ? "ENXIO: no driver behind it" : "ENOENT") ||
      !fh_case_saw(&c, control->valid == FH_VALID && fh_nvidia_numbered_present(f) > 0, "/dev/nvidiactl, /dev/nvidia*", "present"))
    return;
  fh_case_saw(&c, fh_is_true(f->nvidia.uvm_registered), "/proc/devices", "%d nvidia-uvm: the module is loaded",
              (int)f->nvidia.uvm_major.value);
  fh_case_saw(&c, fh_is_false(f->nvidia.uvm_registered), "/proc/devices", "no nvidia-uvm: the module is not loaded");
  fh_case_saw(&c, f->nvidia.cuda.init_code > 0, "cuInit", "%d %s", f->nvidia.cuda.init_code, f->nvidia.cuda.init_name);
  if (fh_is_true(f->nvidia.uvm_registered))
    fh_case_gpu(&c, FH_CONSISTENT, "/dev/nvidia-uvm is absent; the host has the module (nvidia-uvm %d in /proc/devices)",
                (int)f->nvidia.uvm_major.value);
  else
    fh_case_gpu(&c, FH_CONSISTENT, "/dev/nvidia-uvm %s and the kernel module nvidia_uvm is not known to be loaded",
                dead ? "leads to no driver" : "is absent");
}

enum { UNKNOWN_ERROR = 999 };

/* The node is the right one, and nothing outside of the driver refuses it. */
static bool saw_right_node(fh_case *c, const fh_node *node) {
  bool right =
      node->valid == FH_VALID && node->is_char && node->expected_major >= 0 && node->st.rdev_major == (unsigned)node->expected_major;
  if (!right || node->open_errno == EPERM || node->open_errno == EACCES || node->open_errno == ENXIO) return false;
  return fh_case_saw(c, true, node->path, "number %u as in /proc/devices; %s", node->st.rdev_major,
                     node->open_errno ? fh_errno_words(node->open_errno) : "opens");
}

void fh_rule_uvm_broken(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *uvm = fh_facts_node(f, "/dev/nvidia-uvm"), *control = fh_facts_node(f, "/dev/nvidiactl");
  const fh_fact_int *suspends = &f->nvidia.host.suspends;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || fh_nvidia_explained(judgement)) return;
  if (!fh_case_saw(&c, fh_cuda_code(f) == UNKNOWN_ERROR, "CUDA driver", "999 CUDA_ERROR_UNKNOWN") || !saw_right_node(&c, uvm) ||
      !saw_right_node(&c, control) || fh_nvidia_numbered_present(f) == 0)
    return;
  bool slept = fh_case_saw(&c, suspends->valid == FH_VALID && suspends->value > 0, suspends->source,
                           "%lld: this machine has slept since it was started", (long long)suspends->value);
  fh_case_saw(&c, f->nvidia.nvml.init_code == 0, "NVML", "works: it does not need /dev/nvidia-uvm");
  if (slept || uvm->open_errno)
    fh_case_gpu(&c, FH_CONSISTENT, "every device node is right, and CUDA fails with 999: %s",
                slept ? "the driver's part for unified memory did not survive that this machine slept"
                      : "the driver's part for unified memory refuses to work");
  else
    fh_case_gpu(&c, FH_POSSIBLE,
                "every device node is right, and CUDA fails with 999: the driver's part for unified memory may be in a bad state");
}

/* ---- the library against the kernel --------------------------------------------------------------------- */

static bool library_differs(fh_case *c, const fh_library *library) {
  const fh_facts *f = c->facts;
  return library->valid == FH_VALID && library->version[0] && !library->compat && !library->stub &&
         f->nvidia.nvrm_version.valid == FH_VALID &&
         fh_case_saw(c, strcmp(library->version, f->nvidia.nvrm_version.value) != 0, library->real_path, "version %s", library->version) &&
         fh_case_saw(c, true, f->nvidia.nvrm_version.source, "the kernel module is version %s", f->nvidia.nvrm_version.value);
}

/* In a container of an engine the right library is mounted in, by itself or with its folder; LXC guests install their own. */
static bool belongs_to_image(const fh_facts *f, const fh_library *library) {
  const fh_mount *mount = library->valid == FH_VALID ? fh_mount_of(f, library->real_path) : NULL;
  bool of_root = !mount || strcmp(mount->point, "/") == 0;
  return fh_container_by_engine(f) && f->where.platform != FH_PLATFORM_LXC && !library->own_mount && of_root;
}

void fh_rule_image_baked_driver(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_nvidia_nodes_present(f) > 0 && f->mounts_valid == FH_VALID && library_differs(&c, library) &&
      fh_case_saw(&c, belongs_to_image(f, library), library->path, "a file of the image, not mounted in"))
    fh_case_gpu(&c, FH_CONSISTENT, "the image brings libcuda %s, the host's driver is %s", library->version, f->nvidia.nvrm_version.value);
}

enum { VERSIONS_DIFFER = 18 };

void fh_rule_version_mismatch(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || belongs_to_image(f, library) || f->mounts_valid != FH_VALID || !library_differs(&c, library))
    return;
  int code = fh_cuda_code(f);
  fh_case_saw(&c, code != 0, "CUDA driver", "error %d", code);
  bool told = fh_case_saw(&c, f->nvidia.nvml.init_code == VERSIONS_DIFFER, "NVML", "18 NVML_ERROR_LIB_RM_VERSION_MISMATCH");
  fh_case_gpu(&c, code == 803 || told ? FH_PROVEN : FH_CONSISTENT, "libcuda is version %s, the running kernel module is %s",
              library->version, f->nvidia.nvrm_version.value);
}

/* ---- counts -------------------------------------------------------------------------------------------------- */

/* Where on the way from the bus to CUDA the number falls. */
static bool saw_counts(fh_case *c) {
  const fh_facts_nvidia *n = &c->facts->nvidia;
  fh_case_saw(c, n->gpus_listed.valid == FH_VALID, n->gpus_listed.source, "%lld taken by the driver", (long long)n->gpus_listed.value);
  fh_case_saw(c, n->nodes_present > 0, "/dev/nvidia*", "%d nodes, %d open", n->nodes_present, n->nodes_open);
  fh_case_saw(c, n->nvml.count >= 0, "NVML", "%d", n->nvml.count);
  return true;
}

void fh_rule_subset(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  int usable = fh_cuda_usable_count(f), seen = fh_nvidia_gpu_count(f) - fh_nvidia_held_count(f);
  const char *limit = fh_choice_limited_by(f);
  fh_case c = fh_case_open(judgement, cause);
  if (fh_case_saw(&c, usable > 0 && seen > usable, "/sys/bus/pci/devices", "%d NVIDIA GPUs", seen) && saw_counts(&c) &&
      fh_case_saw(&c, true, "CUDA driver", "%d usable", usable) && fh_case_saw(&c, limit != NULL, "limited by", "%s", limit ? limit : ""))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, "cuda", "%d of this machine's %d NVIDIA GPUs can be used here", usable, seen);
}
