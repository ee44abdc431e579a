/* Facts as the rules about AMD and Intel ask for them. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "detect/rules/rules.h"

enum { CLASS_ACCELERATOR = 0x12 };

bool fh_names_devices(const char *list) { return list && list[0] && list[0] != '-'; }

/* ---- hardware ------------------------------------------------------------------------------------------------ */

static bool is_of(const fh_pci_device *device, fh_family family) {
  bool accelerator = device->class_ >> 16 == CLASS_ACCELERATOR;
  if (!device->is_gpu || (device->driver && strcmp(device->driver, "vfio-pci") == 0)) return false;
  switch (family) {
    case FH_NVIDIA_GPU:
      return fh_pci_is_nvidia_gpu(device);
    case FH_AMD_GPU: /* an MI300 is an accelerator without a display */
      return device->vendor == FH_VENDOR_AMD;
    case FH_INTEL_GPU:
      return device->vendor == FH_VENDOR_INTEL && !accelerator;
    case FH_INTEL_NPU:
      return device->vendor == FH_VENDOR_INTEL && accelerator;
    case FH_FAMILY_COUNT:
      break;
  }
  return false;
}

const fh_pci_device *fh_pci_next(const fh_facts *facts, fh_family family, int *index) {
  while (*index < facts->pci.count) {
    const fh_pci_device *device = &facts->pci.devices[(*index)++];
    if (is_of(device, family)) return device;
  }
  return NULL;
}

int fh_kfd_gpus(const fh_facts *facts) {
  int count = 0;
  for (int i = 0; i < facts->amd.kfd_count; i++) count += facts->amd.kfd[i].simd_count > 0 || facts->amd.kfd[i].properties_errno == EPERM;
  return count;
}

/* Kernels of WSL 2 are named "5.15.153.1-microsoft-standard-WSL2". */
bool fh_kernel_is_wsl(const fh_facts *facts) {
  return facts->where.platform == FH_PLATFORM_WSL ||
         (facts->where.kernel.valid == FH_VALID && strcasestr(facts->where.kernel.value, "microsoft") != NULL);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------ */

/* Every GPU on PCI is this vendor's, so a node of unknown owner is too. */
static bool is_only_vendor(const fh_facts *facts, int vendor) {
  bool seen = false;
  for (int i = 0; i < facts->pci.count; i++) {
    const fh_pci_device *device = &facts->pci.devices[i];
    if (!device->is_gpu || device->class_ >> 16 == CLASS_ACCELERATOR) continue;
    if (device->vendor != vendor) return false;
    seen = true;
  }
  return seen;
}

static int vendor_of_node(const fh_facts *facts, const char *path) {
  for (int i = 0; i < facts->drm.count; i++)
    if (strcmp(facts->drm.renders[i].path, path) == 0) return facts->drm.renders[i].vendor;
  return -1;
}

const fh_node *fh_render_next(const fh_facts *facts, int vendor, int *index) {
  while (*index < facts->nodes.count) {
    const fh_node *node = &facts->nodes.nodes[(*index)++];
    if (strncmp(node->path, "/dev/dri/renderD", 16) != 0) continue;
    int owner = vendor_of_node(facts, node->path);
    if (owner == vendor || (owner < 0 && is_only_vendor(facts, vendor))) return node;
  }
  return NULL;
}

int fh_renders_open(const fh_facts *facts, int vendor) {
  int count = 0;
  const fh_node *node;
  for (int i = 0; (node = fh_render_next(facts, vendor, &i));) count += node->valid == FH_VALID && node->is_char && node->open_errno == 0;
  return count;
}

bool fh_group_is_unmapped(const fh_facts *facts, const fh_node *node) {
  enum { USUAL_OVERFLOW = 65534 };
  const fh_fact_int *overflow = &facts->where.overflow_gid;
  int64_t shown_as = overflow->valid == FH_VALID ? overflow->value : USUAL_OVERFLOW;
  return fh_is_true(facts->where.user_namespace) && node->valid == FH_VALID && (int64_t)node->st.gid == shown_as;
}

/* ---- runtimes ------------------------------------------------------------------------------------------------------ */

static int count_devices(const fh_runtime_answer *answer, const char *type, bool usable_only) {
  int count = 0;
  for (int i = 0; answer->valid == FH_VALID && i < answer->device_count; i++)
    count += strcmp(answer->devices[i].type, type) == 0 && (!usable_only || answer->devices[i].usable);
  return count;
}

int fh_runtime_usable(const fh_runtime_answer *answer, const char *type) { return answer->fake ? 0 : count_devices(answer, type, true); }

int fh_runtime_listed(const fh_runtime_answer *answer, const char *type) { return count_devices(answer, type, false); }

fh_flip fh_runtime_flip(const fh_runtime_answer *first, const fh_runtime_answer *again, const char *type) {
  if (again->valid != FH_VALID || again->hung || again->slow || again->crashed) return FH_FLIP_NOT_ASKED;
  return fh_runtime_listed(again, type) > fh_runtime_listed(first, type) ? FH_FLIP_FLIPPED : FH_FLIP_SAME;
}

static const fh_library *first_found(const fh_facts *facts, const char *const *names) {
  for (; *names; names++) {
    const fh_library *library = fh_facts_library(facts, *names);
    if (library->valid == FH_VALID) return library;
  }
  return NULL;
}

const char *fh_rocm_library(const fh_facts *facts) {
  static const char *const names[] = {"libhsa-runtime64.so.1", "libamdhip64.so.7", "libamdhip64.so.6",
                                      "libamdhip64.so.5",      "libamdhip64.so",   NULL};
  const fh_library *library = first_found(facts, names);
  return library ? library->path : *facts->amd.hsa_in_rocm ? facts->amd.hsa_in_rocm : NULL;
}

const fh_library *fh_intel_gpu_driver(const fh_facts *facts) {
  static const char *const names[] = {"libze_intel_gpu.so.1", "libigdrcl.so", NULL};
  return first_found(facts, names);
}

const fh_library *fh_intel_npu_driver(const fh_facts *facts) {
  static const char *const names[] = {"libze_intel_npu.so.1", "libze_intel_vpu.so.1", NULL};
  return first_found(facts, names);
}

bool fh_intel_opencl_works(const fh_facts *facts) {
  for (int i = 0; i < facts->opencl.count; i++)
    for (int k = 0; k < facts->opencl.icds[i].device_count; k++) {
      const fh_cl_device *device = &facts->opencl.icds[i].devices[k];
      if (device->type && strcmp(device->type, "gpu") == 0 && device->vendor && strcasestr(device->vendor, "intel")) return true;
    }
  return false;
}

bool fh_family_in_question(const fh_judgement *judgement, fh_family family) {
  const fh_facts *f = judgement->facts;
  if (judgement->expects[family].level == FH_EXPECT_NONE) return false;
  switch (family) {
    case FH_NVIDIA_GPU:
      return fh_cuda_usable_count(f) == 0;
    case FH_AMD_GPU:
      return fh_runtime_usable(&f->amd.hsa, "gpu") == 0;
    case FH_INTEL_GPU:
      return fh_runtime_usable(&f->intel.level_zero, "gpu") == 0 && !fh_intel_opencl_works(f);
    case FH_INTEL_NPU:
      return fh_runtime_usable(&f->intel.level_zero, "npu") == 0;
    case FH_FAMILY_COUNT:
      break;
  }
  return false;
}
