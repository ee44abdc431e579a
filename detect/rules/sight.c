/* Facts as rules ask for them. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "detect/parse.h"
#include "detect/rules/rules.h"

bool fh_env_is(const fh_facts *facts, const char *name, const char *value) {
  const char *found = fh_facts_env(facts, name);
  return found && strcmp(found, value) == 0;
}

bool fh_env_asks_for_gpus(const fh_facts *facts) {
  const char *value = fh_facts_env(facts, "NVIDIA_VISIBLE_DEVICES");
  return value && value[0] && strcmp(value, "void") != 0 && strcmp(value, "none") != 0;
}

bool fh_gpu_declined(const fh_facts *facts) {
  if (fh_env_is(facts, "NVIDIA_VISIBLE_DEVICES", "none")) return fh_nvidia_numbered_present(facts) == 0;
  return fh_env_is(facts, "NVIDIA_VISIBLE_DEVICES", "void") && fh_nvidia_nodes_absent(facts) && !fh_driver_library_injected(facts);
}

/* ---- hardware ----------------------------------------------------------------------------------------- */

bool fh_pci_is_nvidia_gpu(const fh_pci_device *device) { return device->vendor == 0x10de && device->is_gpu; }

int fh_nvidia_gpu_count(const fh_facts *facts) {
  int count = 0;
  for (int i = 0; i < facts->pci.count; i++) count += fh_pci_is_nvidia_gpu(&facts->pci.devices[i]);
  return count;
}

bool fh_nvidia_is_held(const fh_pci_device *device) {
  return fh_pci_is_nvidia_gpu(device) && device->driver_valid == FH_VALID && device->driver && strcmp(device->driver, "nvidia") != 0;
}

int fh_nvidia_held_count(const fh_facts *facts) {
  int count = 0;
  for (int i = 0; i < facts->pci.count; i++) count += fh_nvidia_is_held(&facts->pci.devices[i]);
  return count;
}

const fh_pci_device *fh_nvidia_gpu_first(const fh_facts *facts) {
  for (int i = 0; i < facts->pci.count; i++)
    if (fh_pci_is_nvidia_gpu(&facts->pci.devices[i])) return &facts->pci.devices[i];
  return NULL;
}

/* ---- nodes --------------------------------------------------------------------------------------------- */

bool fh_nvidia_node_is_numbered(const char *path) {
  static const char prefix[] = "/dev/nvidia";
  if (strncmp(path, prefix, sizeof(prefix) - 1) != 0) return false;
  const char *digits = path + sizeof(prefix) - 1;
  return digits[0] && digits[strspn(digits, "0123456789")] == 0;
}

bool fh_nvidia_node_is_needed(const char *path) {
  return fh_nvidia_node_is_numbered(path) || strcmp(path, "/dev/nvidiactl") == 0 || strcmp(path, "/dev/nvidia-uvm") == 0;
}

const fh_node *fh_nvidia_node_next(const fh_facts *facts, int *index) {
  while (*index < facts->nodes.count) {
    const fh_node *node = &facts->nodes.nodes[(*index)++];
    if (node->valid == FH_VALID && fh_nvidia_node_is_needed(node->path)) return node;
  }
  return NULL;
}

int fh_nvidia_nodes_present(const fh_facts *facts) {
  int count = 0;
  for (int i = 0; fh_nvidia_node_next(facts, &i);) count++;
  return count;
}

int fh_nvidia_numbered_present(const fh_facts *facts) {
  int count = 0;
  const fh_node *node;
  for (int i = 0; (node = fh_nvidia_node_next(facts, &i));) count += fh_nvidia_node_is_numbered(node->path);
  return count;
}

bool fh_nvidia_nodes_absent(const fh_facts *facts) {
  for (int i = 0; i < facts->nodes.count; i++)
    if (fh_nvidia_node_is_needed(facts->nodes.nodes[i].path) && facts->nodes.nodes[i].valid != FH_ABSENT) return false;
  return fh_facts_node(facts, "/dev/nvidiactl")->valid == FH_ABSENT && fh_facts_node(facts, "/dev/nvidia-uvm")->valid == FH_ABSENT;
}

/* ---- cards ------------------------------------------------------------------------------------------------ */

const fh_nvidia_listed *fh_nvidia_card_of_node(const fh_facts *facts, const char *path) {
  int64_t minor;
  if (!fh_nvidia_node_is_numbered(path) || !fh_parse_i64(path + strlen("/dev/nvidia"), &minor)) return NULL;
  for (int i = 0; i < facts->nvidia.listed_count; i++)
    if (facts->nvidia.listed[i].minor == minor) return &facts->nvidia.listed[i];
  return NULL;
}

const fh_nvml_card *fh_nvml_card_at(const fh_facts *facts, const char *pci) {
  for (int i = 0; i < facts->nvidia.nvml.card_count; i++)
    if (*pci && strcasecmp(facts->nvidia.nvml.cards[i].pci, pci) == 0) return &facts->nvidia.nvml.cards[i];
  return NULL;
}

/* "-24Q": how much memory, and what it is licensed for. */
static bool ends_as_profile(const char *name) {
  const char *dash = strrchr(name, '-');
  size_t digits = dash ? strspn(dash + 1, "0123456789") : 0;
  return digits && dash[1 + digits] && strchr("ABCQ", dash[1 + digits]) && !dash[2 + digits];
}

bool fh_nvidia_is_virtual(const fh_facts *facts) {
  enum { VGPU = 2 };
  for (int i = 0; i < facts->nvidia.nvml.card_count; i++)
    if (facts->nvidia.nvml.cards[i].virtualization == VGPU) return true;
  for (int i = 0; i < facts->nvidia.listed_count; i++)
    if (ends_as_profile(facts->nvidia.listed[i].model)) return true;
  return false;
}

bool fh_nvidia_card_fails(const fh_judgement *judgement, const char *pci) {
  for (int i = 0; i < judgement->device_count; i++) {
    const fh_found_device *device = &judgement->devices[i];
    if (device->family == FH_NVIDIA_GPU && strcasecmp(device->pci, pci) == 0 && device->usable && !device->fake) return false;
  }
  return judgement->facts->nvidia.cuda.valid != FH_UNKNOWN_FACT;
}

bool fh_nvidia_explained(const fh_judgement *judgement) {
  for (int i = 0; i < judgement->finding_count; i++) {
    const char *device = judgement->findings[i].device;
    if (device && strncmp(device, "cuda", 4) == 0) return true;
  }
  return false;
}

/* ---- driver ----------------------------------------------------------------------------------------------- */

int fh_cuda_usable_count(const fh_facts *facts) {
  const fh_cuda_answer *cuda = &facts->nvidia.cuda;
  int count = 0;
  if (cuda->valid != FH_VALID || cuda->fake) return 0;
  for (int i = 0; i < cuda->device_count; i++) count += cuda->devices[i].usable;
  return count;
}

const char *fh_libcuda_aside(const fh_facts *facts) {
  static const char *const folders[] = {"/usr/local/nvidia", "/home/kubernetes/bin/nvidia", "/run/opengl-driver"};
  if (fh_facts_library(facts, "libcuda.so.1")->valid != FH_ABSENT || fh_is_true(facts->where.musl)) return NULL;
  for (int i = 0; i < facts->libraries.elsewhere_count; i++)
    for (size_t k = 0; k < sizeof(folders) / sizeof(folders[0]); k++)
      if (fh_path_below(facts->libraries.elsewhere[i], folders[k])) return facts->libraries.elsewhere[i];
  return NULL;
}

const char *fh_libcuda_unseen_by_musl(const fh_facts *facts) {
  if (fh_facts_library(facts, "libcuda.so.1")->valid != FH_ABSENT || !fh_is_true(facts->where.musl)) return NULL;
  for (int i = 0; i < facts->libraries.elsewhere_count; i++)
    if (!strstr(facts->libraries.elsewhere[i], "/stubs/")) return facts->libraries.elsewhere[i];
  return NULL;
}

const char *fh_libcuda_nix_link(const fh_facts *facts) {
  const char *link = facts->libraries.dangling;
  return link && fh_path_below(link, "/run/opengl-driver") ? link : NULL;
}

bool fh_cuda_loaded_another(const fh_facts *facts) {
  const fh_library *found = fh_facts_library(facts, "libcuda.so.1");
  const char *loaded = facts->nvidia.cuda.library;
  if (facts->nvidia.cuda.valid != FH_VALID || loaded[0] != '/' || found->valid == FH_UNKNOWN_FACT) return false;
  return found->valid == FH_ABSENT || (strcmp(loaded, found->path) != 0 && strcmp(loaded, found->real_path) != 0);
}

bool fh_gpu_in_question(const fh_judgement *judgement) {
  return judgement->expects[FH_NVIDIA_GPU].level > FH_EXPECT_NONE && fh_cuda_usable_count(judgement->facts) == 0;
}

int fh_cuda_code(const fh_facts *facts) {
  const fh_cuda_answer *cuda = &facts->nvidia.cuda;
  if (cuda->valid != FH_VALID) return 0;
  if (cuda->init_code > 0) return cuda->init_code;
  if (cuda->count_code > 0) return cuda->count_code;
  for (int i = 0; i < cuda->device_count; i++)
    if (cuda->devices[i].context_code > 0) return cuda->devices[i].context_code;
  return 0;
}

static bool any_usable(const fh_cuda_answer *answer) {
  for (int i = 0; i < answer->device_count; i++)
    if (answer->devices[i].usable) return true;
  return false;
}

fh_flip fh_cuda_flip(const fh_facts *facts, fh_cuda_again which) {
  const fh_cuda_answer *first = &facts->nvidia.cuda, *again = &facts->nvidia.cuda_again[which];
  if (again->valid != FH_VALID || again->hung || again->slow || again->crashed) return FH_FLIP_NOT_ASKED;
  /* A filter hides a device whether or not it would work. */
  bool more = which == FH_CUDA_UNFILTERED ? again->count > (first->count > 0 ? first->count : 0) : any_usable(again) && !any_usable(first);
  return more ? FH_FLIP_FLIPPED : FH_FLIP_SAME;
}

/* ---- containers --------------------------------------------------------------------------------------------- */

static const fh_library *injected_library(const fh_facts *facts) {
  static const char *const names[] = {"libcuda.so.1", "libnvidia-ml.so.1"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const fh_library *library = fh_facts_library(facts, names[i]);
    if (library->valid == FH_VALID && library->own_mount) return library;
  }
  return NULL;
}

bool fh_driver_library_injected(const fh_facts *facts) { return injected_library(facts) != NULL; }

const char *fh_toolkit_mark(const fh_facts *facts) {
  static const char proc[] = "/proc/driver/nvidia"; /* the toolkit covers files here with a tmpfs */
  if (!facts->where.container) return NULL;
  for (int i = 0; i < facts->mount_count; i++)
    if (strncmp(facts->mounts[i].point, proc, sizeof(proc) - 1) == 0) return facts->mounts[i].point;
  if (fh_facts_env(facts, "NVIDIA_CTK_LIBCUDA_DIR")) return "NVIDIA_CTK_LIBCUDA_DIR";
  const fh_library *library = injected_library(facts);
  return library ? library->path : NULL;
}

bool fh_container_by_engine(const fh_facts *facts) {
  switch (facts->where.platform) {
    case FH_PLATFORM_DOCKER:
    case FH_PLATFORM_PODMAN:
    case FH_PLATFORM_KUBERNETES:
    case FH_PLATFORM_OCI:
    case FH_PLATFORM_LXC:
    case FH_PLATFORM_NSPAWN:
      return true;
    default:
      return false;
  }
}

bool fh_platform_shows_module(const fh_facts *facts) {
  switch (facts->where.platform) {
    case FH_PLATFORM_GVISOR:
    case FH_PLATFORM_WSL:
    case FH_PLATFORM_JETSON:
      return false;
    default:
      return true;
  }
}

/* A filter of a service or job lets one card be opened and refuses another. */
static bool filter_leaves_some(const fh_facts *f) {
  const fh_node *node;
  bool opens = false, refused = false;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));) {
    if (!node->is_char || !fh_nvidia_node_is_numbered(node->path)) continue;
    opens |= node->open_errno == 0;
    refused |= node->open_errno == EPERM;
  }
  return opens && refused && !fh_is_true(f->nvidia.gpu_excluded);
}

const char *fh_choice_limited_by(const fh_facts *f) {
  static const char *const names[] = {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const char *value = fh_facts_env(f, names[i]);
    if (value && value[0] && strcmp(value, "all") != 0) return names[i];
  }
  if (f->where.container) return f->where.platform_name;
  return filter_leaves_some(f) ? "a device filter (EPERM from other cards)" : NULL;
}
