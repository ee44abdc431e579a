/* What should be here of AMD's and Intel's. SPDX-License-Identifier: Apache-2.0
 * Every desktop has an integrated GPU, and its kernel driver makes the same nodes as that of a compute card. So hardware alone
 * is no expectation: somebody gave it to a container, installed the vendor's runtime, or says so in a variable. */
#include <string.h>

#include "detect/arena.h"
#include "detect/judge.h"
#include "detect/rules/rules.h"

/* Made for this container, as against a /dev that shows everything of the machine. */
static bool was_given(const fh_facts *f, bool present) { return present && fh_container_by_engine(f) && fh_is_false(f->amd.whole_dev); }

static bool variable_names_devices(const fh_facts *f, const char *name) { return fh_names_devices(fh_facts_env(f, name)); }

/* ---- AMD -------------------------------------------------------------------------------------------------- */

static const char *amd_hardware(fh_judgement *judgement) {
  const fh_facts *f = judgement->facts;
  int index = 0;
  const fh_pci_device *gpu = fh_pci_next(f, FH_AMD_GPU, &index);
  if (gpu) return fh_arena_format(judgement->arena, "an AMD GPU at %s", gpu->address);
  return fh_kfd_gpus(f) > 0 ? "an AMD GPU in the KFD's list" : NULL;
}

void fh_expect_amd(fh_judgement *judgement) {
  static const char *const variables[] = {"ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"};
  const fh_facts *f = judgement->facts;
  const char *hardware = amd_hardware(judgement), *runtime = fh_rocm_library(f);
  bool kfd = fh_facts_node(f, "/dev/kfd")->valid == FH_VALID;
  for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
    if (variable_names_devices(f, variables[i])) fh_expect_variable(judgement, FH_AMD_GPU, FH_EXPECT_INTENT, variables[i]);
  if (was_given(f, kfd)) fh_expect(judgement, FH_AMD_GPU, FH_EXPECT_INTENT, "/dev/kfd in this container");
  if (kfd && fh_container_by_engine(f)) fh_expect(judgement, FH_AMD_GPU, FH_EXPECT_CIRCUMSTANTIAL, "/dev/kfd in this container");
  if (!runtime) return;
  if (hardware)
    fh_expect(judgement, FH_AMD_GPU, FH_EXPECT_CIRCUMSTANTIAL, fh_arena_format(judgement->arena, "%s, and %s", hardware, runtime));
  if (hardware && !f->where.container && *f->amd.hsa_in_rocm)
    fh_expect(judgement, FH_AMD_GPU, FH_EXPECT_INTENT, fh_arena_format(judgement->arena, "%s, and ROCm on this machine", hardware));
  if (fh_kernel_is_wsl(f)) fh_expect(judgement, FH_AMD_GPU, FH_EXPECT_CIRCUMSTANTIAL, fh_arena_format(judgement->arena, "%s", runtime));
}

/* ---- Intel ------------------------------------------------------------------------------------------------- */

static bool selector_asks_for_gpu(const fh_facts *f) {
  const char *selector = fh_facts_env(f, "ONEAPI_DEVICE_SELECTOR");
  return selector && selector[0] != '!' && (strstr(selector, "level_zero") || strstr(selector, "gpu"));
}

static bool any_present(const fh_facts *f, int vendor) {
  const fh_node *node;
  for (int i = 0; (node = fh_render_next(f, vendor, &i));)
    if (node->valid == FH_VALID) return true;
  return false;
}

static void expect_intel_gpu(fh_judgement *judgement) {
  const fh_facts *f = judgement->facts;
  int index = 0;
  const fh_pci_device *gpu = fh_pci_next(f, FH_INTEL_GPU, &index);
  const fh_library *driver = fh_intel_gpu_driver(f), *loader = fh_facts_library(f, "libze_loader.so.1");
  bool software = driver || loader->valid == FH_VALID, render = any_present(f, FH_VENDOR_INTEL);
  if ((gpu || software) && selector_asks_for_gpu(f))
    fh_expect_variable(judgement, FH_INTEL_GPU, FH_EXPECT_INTENT, "ONEAPI_DEVICE_SELECTOR");
  if ((gpu || software) && variable_names_devices(f, "ZE_AFFINITY_MASK"))
    fh_expect_variable(judgement, FH_INTEL_GPU, FH_EXPECT_INTENT, "ZE_AFFINITY_MASK");
  if (was_given(f, render))
    fh_expect(judgement, FH_INTEL_GPU, software ? FH_EXPECT_INTENT : FH_EXPECT_CIRCUMSTANTIAL, "Intel's render node in this container");
  if (driver && (gpu || fh_kernel_is_wsl(f)))
    fh_expect(judgement, FH_INTEL_GPU, FH_EXPECT_CIRCUMSTANTIAL, fh_arena_format(judgement->arena, "Intel's driver %s", driver->path));
}

static bool any_accelerator_node(const fh_facts *f) {
  for (int i = 0; i < f->nodes.count; i++)
    if (strncmp(f->nodes.nodes[i].path, "/dev/accel/", 11) == 0 && f->nodes.nodes[i].valid == FH_VALID) return true;
  return false;
}

static void expect_intel_npu(fh_judgement *judgement) {
  const fh_facts *f = judgement->facts;
  int index = 0;
  const fh_pci_device *npu = fh_pci_next(f, FH_INTEL_NPU, &index);
  const fh_library *driver = fh_intel_npu_driver(f);
  if (!npu) return;
  if (was_given(f, any_accelerator_node(f)))
    fh_expect(judgement, FH_INTEL_NPU, driver ? FH_EXPECT_INTENT : FH_EXPECT_CIRCUMSTANTIAL, "/dev/accel in this container");
  if (driver)
    fh_expect(judgement, FH_INTEL_NPU, FH_EXPECT_CIRCUMSTANTIAL, fh_arena_format(judgement->arena, "its driver %s", driver->path));
}

void fh_expect_intel(fh_judgement *judgement) {
  expect_intel_gpu(judgement);
  expect_intel_npu(judgement);
}

/* ---- a GPU of any maker ----------------------------------------------------------------------------------------- */

static bool nvidia_is_here(const fh_facts *f) {
  return fh_nvidia_gpu_count(f) > 0 || fh_nvidia_nodes_present(f) > 0 || fh_facts_library(f, "libcuda.so.1")->valid == FH_VALID;
}

fh_family fh_family_of_request(const fh_facts *f) {
  int amd = 0;
  bool amd_computes = fh_pci_next(f, FH_AMD_GPU, &amd) && fh_kfd_gpus(f) > 0;
  return amd_computes && !nvidia_is_here(f) ? FH_AMD_GPU : FH_NVIDIA_GPU;
}

fh_family fh_likeliest_gpu(const fh_judgement *judgement) {
  static const fh_family order[] = {FH_NVIDIA_GPU, FH_AMD_GPU, FH_INTEL_GPU};
  const fh_facts *f = judgement->facts;
  const int usable[] = {fh_cuda_usable_count(f), fh_runtime_usable(&f->amd.hsa, "gpu"),
                        fh_runtime_usable(&f->intel.level_zero, "gpu") + fh_intel_opencl_works(f)};
  enum { COUNT = sizeof(order) / sizeof(order[0]) };
  for (int i = 0; i < COUNT; i++)
    if (usable[i]) return order[i];
  const fh_expected *most = fh_judgement_expected_gpu(judgement);
  if (most->level > FH_EXPECT_NONE) return (fh_family)(most - judgement->expects);
  for (int i = 0; i < COUNT; i++) {
    int index = 0;
    if (fh_pci_next(f, order[i], &index)) return order[i];
  }
  return FH_NVIDIA_GPU;
}
