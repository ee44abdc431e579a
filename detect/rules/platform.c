/* Rules about WSL, Jetson and clouds. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/parse.h"
#include "detect/rules/rules.h"

static const char driver_folder[] = "/usr/lib/wsl/lib";

/* ---- Windows Subsystem for Linux -------------------------------------------------------------------------------------- */

static bool on(const fh_judgement *judgement, fh_platform platform) {
  return judgement->facts->where.platform == platform && fh_gpu_in_question(judgement);
}

void fh_rule_wsl_no_dxg(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *dxg = fh_facts_node(f, "/dev/dxg");
  fh_case c = fh_case_open(judgement, cause);
  if (!on(judgement, FH_PLATFORM_WSL) || f->where.container) return;
  if (fh_case_saw(&c, fh_is_true(f->wsl.version_one), f->wsl.version_one.source, "%s: WSL 1", f->where.kernel.value)) {
    fh_case_gpu(&c, FH_PROVEN, "this is WSL 1, which has no GPU: only WSL 2 has");
  } else if (fh_case_saw(&c, dxg->valid == FH_ABSENT, dxg->path, "ENOENT") && fh_is_false(f->wsl.version_one)) {
    fh_case_gpu(&c, FH_CONSISTENT, "Windows gives this distribution no GPU: /dev/dxg is missing");
  } else if (fh_case_saw(&c, dxg->valid == FH_VALID, dxg->path, "there") &&
             fh_case_saw(&c, fh_is_false(f->wsl.libcuda), f->wsl.libcuda.source, "ENOENT")) {
    fh_case_gpu(&c, FH_CONSISTENT, "Windows gives a GPU, but no NVIDIA driver for WSL: its libcuda is not in %s", driver_folder);
  }
}

void fh_rule_wsl_wrong_libcuda(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  fh_case c = fh_case_open(judgement, cause);
  if (!on(judgement, FH_PLATFORM_WSL) || library->stub || library->compat ||
      !fh_case_saw(&c, library->valid == FH_VALID && !library->wsl && library->size > 0, library->path,
                   "the library that programs get; not the one of Windows' driver"))
    return;
  int code = fh_cuda_code(f);
  fh_case_saw(&c, code != 0, "CUDA driver", "error %d", code);
  fh_case_saw(&c, fh_is_true(f->wsl.libcuda), f->wsl.libcuda.source, "the one of Windows' driver is here, too");
  fh_case_gpu(&c, fh_case_flip(&c, fh_cuda_flip(f, FH_CUDA_OTHER_LIBRARY), "with the other library", FH_CONSISTENT),
              "programs get the libcuda of a Linux driver (%s): on WSL only that of Windows' driver works", library->path);
}

/* Keeps what a container on WSL lacks; how many things. */
static int saw_missing(fh_case *c) {
  const fh_facts *f = c->facts;
  const fh_node *dxg = fh_facts_node(f, "/dev/dxg");
  return fh_case_saw(c, dxg->valid == FH_ABSENT, dxg->path, "ENOENT") +
         fh_case_saw(c, fh_is_false(f->wsl.dxcore), f->wsl.dxcore.source, "ENOENT") +
         fh_case_saw(c, fh_is_false(f->wsl.store), f->wsl.store.source, "no libcuda of Windows' driver store");
}

void fh_rule_wsl_container(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!on(judgement, FH_PLATFORM_WSL) || !f->where.container ||
      !fh_case_saw(&c, true, f->where.platform_source, "%s", f->where.platform_name) || !saw_missing(&c))
    return;
  bool none = fh_facts_node(f, "/dev/dxg")->valid == FH_ABSENT;
  fh_case_gpu(&c, FH_CONSISTENT,
              none ? "the GPU of this Windows machine was not passed into this container"
                   : "this container has the GPU's device and not all of its libraries");
}

void fh_rule_wsl_blocked(fh_judgement *judgement, const fh_cause *cause) {
  enum { OPERATING_SYSTEM_BLOCKS = 17 };
  const fh_facts *f = judgement->facts;
  const fh_nvml_answer *nvml = &f->nvidia.nvml;
  const fh_node *dxg = fh_facts_node(f, "/dev/dxg");
  fh_case c = fh_case_open(judgement, cause);
  if (!on(judgement, FH_PLATFORM_WSL) || !fh_case_saw(&c, nvml->valid == FH_VALID && nvml->init_code == OPERATING_SYSTEM_BLOCKS, "NVML",
                                                      "error 17: access blocked by the operating system"))
    return;
  fh_case_saw(&c, dxg->valid == FH_VALID && dxg->open_errno == 0, dxg->path, "can be opened");
  fh_case_gpu(&c, FH_CONSISTENT, "Windows does not let WSL use this GPU; nothing in here can change that");
}

void fh_rule_wsl_segv(fh_judgement *judgement, const fh_cause *cause) {
  enum { SEGMENTATION_FAULT = 11 };
  const fh_facts *f = judgement->facts;
  const fh_cuda_answer *cuda = &f->nvidia.cuda, *hidden = &f->nvidia.cuda_again[FH_CUDA_HIDDEN];
  fh_case c = fh_case_open(judgement, cause);
  if (!on(judgement, FH_PLATFORM_WSL) ||
      !fh_case_saw(&c, cuda->valid == FH_VALID && cuda->crashed && cuda->signal == SEGMENTATION_FAULT,
                   cuda->library[0] ? cuda->library : "libcuda.so.1", "crashes with signal 11 when it is started"))
    return;
  bool flipped = fh_case_saw(&c, hidden->valid == FH_VALID && !hidden->crashed, "asked again with every GPU hidden", "no crash");
  fh_case_gpu(&c, flipped ? FH_PROVEN : FH_CONSISTENT, "the CUDA driver for WSL crashes when it looks for the GPU");
}

/* ---- Jetson --------------------------------------------------------------------------------------------------------------- */

static bool is_jetson_node(const fh_node *node) {
  return strcmp(node->path, "/dev/nvmap") == 0 || strncmp(node->path, "/dev/nvhost-", 12) == 0 ||
         strncmp(node->path, "/dev/nvgpu/", 11) == 0;
}

/* The next of the integrated GPU's nodes that is there; start with *index 0; NULL at the end. */
static const fh_node *next_jetson_node(const fh_facts *f, int *index) {
  while (*index < f->nodes.count) {
    const fh_node *node = &f->nodes.nodes[(*index)++];
    if (node->valid == FH_VALID && is_jetson_node(node)) return node;
  }
  return NULL;
}

void fh_rule_jetson_no_runtime(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *nvmap = fh_facts_node(f, "/dev/nvmap");
  int index = 0;
  fh_case c = fh_case_open(judgement, cause);
  if (!on(judgement, FH_PLATFORM_JETSON) || !f->where.container || next_jetson_node(f, &index) ||
      !fh_case_saw(&c, nvmap->valid == FH_ABSENT, nvmap->path, "ENOENT; no node of the integrated GPU is here"))
    return;
  fh_case_saw(&c, true, f->where.platform_source, "%s", f->where.platform_name);
  fh_case_saw(&c, f->jetson.nvrm.valid == FH_ABSENT, "libnvrm_gpu.so", "not found in %d places", f->jetson.nvrm.searched_count);
  fh_case_gpu(&c, FH_CONSISTENT, "this container on a Jetson was started without NVIDIA's runtime");
}

void fh_rule_jetson_l4t_mismatch(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_int *host = &f->jetson.host_release, *image = &f->jetson.image_release;
  fh_case c = fh_case_open(judgement, cause);
  if (f->where.platform != FH_PLATFORM_JETSON || host->valid != FH_VALID || image->valid != FH_VALID || host->value == image->value ||
      !fh_case_saw(&c, true, host->source, "%s: Jetson Linux r%lld", f->where.kernel.value, (long long)host->value) ||
      !fh_case_saw(&c, true, image->source, "r%lld", (long long)image->value))
    return;
  if (fh_gpu_in_question(judgement))
    fh_case_gpu(&c, FH_CONSISTENT, "the files here were made for Jetson Linux r%lld, the board runs r%lld", (long long)image->value,
                (long long)host->value);
  else
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "the files here were made for Jetson Linux r%lld, the board runs r%lld",
                     (long long)image->value, (long long)host->value);
}

void fh_rule_jetson_nvmap_perm(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *node;
  const char *denied = NULL;
  fh_case c = fh_case_open(judgement, cause);
  if (!on(judgement, FH_PLATFORM_JETSON) || !f->where.id_valid) return;
  for (int i = 0; (node = next_jetson_node(f, &i));)
    if (fh_case_saw(&c, node->open_errno == EACCES && !node->dac_allows && !node->nodev, node->path, "EACCES; mode %04o, owner %u:%u",
                    (unsigned)node->st.mode & 07777, (unsigned)node->st.uid, (unsigned)node->st.gid) &&
        !denied)
      denied = node->path;
  if (!denied) return;
  fh_case_saw(&c, true, "this process", "uid %u, gid %u", f->where.id.uid, f->where.id.gid);
  int code = fh_cuda_code(f);
  fh_case_saw(&c, code != 0, "CUDA driver", "error %d", code);
  fh_case_gpu(&c, FH_CONSISTENT, "this user may not open %s, which CUDA needs on a Jetson", denied);
}

void fh_rule_jetson_801_sys(fh_judgement *judgement, const fh_cause *cause) {
  enum { NOT_SUPPORTED = 801 };
  const fh_facts *f = judgement->facts;
  const fh_node *nvmap = fh_facts_node(f, "/dev/nvmap");
  fh_case c = fh_case_open(judgement, cause);
  if (on(judgement, FH_PLATFORM_JETSON) && fh_case_saw(&c, fh_cuda_code(f) == NOT_SUPPORTED, "CUDA driver", "error 801, not supported") &&
      fh_case_saw(&c, nvmap->valid == FH_VALID && nvmap->open_errno == 0, nvmap->path, "can be opened") &&
      fh_case_saw(&c, fh_is_false(f->jetson.soc), f->jetson.soc.source, "cannot be read"))
    fh_case_gpu(&c, FH_CONSISTENT, "a sandbox hides the part of /sys that tells CUDA which chip this is");
}

/* ---- clouds ------------------------------------------------------------------------------------------------------------------ */

/* Machines with a part of a GPU: a cloud's instance type, or a card that a cloud gives out in parts only. */
static const struct {
  const char *vendor, *product; /* product: how it begins */
  int device;                   /* on PCI; 0: any */
} fractional[] = {
    {"Amazon EC2", "g6f.", 0}, {"Amazon EC2", "gr6f.", 0}, {"Microsoft Corporation", "Virtual Machine", 0x2236}, /* A10 */
};

static bool is_fractional(const fh_facts_cloud *cloud, const fh_pci_device *gpu) {
  if (cloud->vendor.valid != FH_VALID || cloud->product.valid != FH_VALID) return false;
  for (size_t i = 0; i < sizeof(fractional) / sizeof(fractional[0]); i++)
    if (strcmp(cloud->vendor.value, fractional[i].vendor) == 0 &&
        strncmp(cloud->product.value, fractional[i].product, strlen(fractional[i].product)) == 0 &&
        (!fractional[i].device || fractional[i].device == gpu->device))
      return true;
  return false;
}

void fh_rule_cloud_driver_branch(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_pci_device *gpu = fh_nvidia_gpu_first(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || !gpu || !is_fractional(&f->cloud, gpu) || !fh_is_true(f->where.hypervisor)) return;
  bool none = fh_case_saw(&c, f->nvidia.gpus_listed.valid == FH_VALID && f->nvidia.gpus_listed.value == 0, f->nvidia.gpus_listed.source,
                          "the driver has taken no GPU") ||
              fh_case_saw(&c, fh_cuda_code(f) == 100, "cuInit", "100 CUDA_ERROR_NO_DEVICE");
  if (!none || !fh_case_saw(&c, fh_is_true(f->nvidia.module_loaded), f->nvidia.module_loaded.source, "the kernel module is loaded")) return;
  fh_case_saw(&c, true, gpu->source, "%04x:%04x", (unsigned)gpu->vendor, (unsigned)gpu->device & 0xffff);
  fh_case_saw(&c, true, f->cloud.product.source, "%s, %s: a part of a GPU", f->cloud.vendor.value, f->cloud.product.value);
  bool no_grid = fh_case_saw(&c, fh_is_false(f->cloud.grid_daemon), f->cloud.grid_daemon.source, "ENOENT: not the driver for virtual GPUs");
  fh_case_gpu(&c, no_grid ? FH_CONSISTENT : FH_POSSIBLE, "this machine has a part of a GPU, and a driver for whole ones");
}

/* ---- changed without anybody asking ---------------------------------------------------------------------------------------------- */

/* "550.54.14" of "550.54.14-0ubuntu1". */
static bool is_version(const char *package, const char *driver) {
  size_t size = strlen(driver);
  return size && strncmp(package, driver, size) == 0 && (!package[size] || strchr("-+~", package[size]));
}

static bool driver_was_upgraded(fh_case *c) {
  const fh_facts *f = c->facts;
  const fh_package_change *change = &f->cloud.driver_change;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  return change->when && f->nvidia.nvrm_version.valid == FH_VALID && is_version(change->from, f->nvidia.nvrm_version.value) &&
         is_version(change->to, library->version) &&
         fh_case_saw(c, true, change->source, "%s, by itself: %s from %s to %s", change->when, change->package, change->from, change->to) &&
         fh_case_saw(c, true, f->nvidia.nvrm_version.source, "%s still runs", f->nvidia.nvrm_version.value);
}

static bool kernel_was_upgraded(fh_case *c) {
  const fh_facts *f = c->facts;
  const fh_package_change *change = &f->cloud.kernel_change;
  return change->when && fh_is_false(f->nvidia.module_loaded) &&
         fh_case_saw(c, true, change->source, "%s, by itself: %s installed", change->when, change->package) &&
         fh_case_saw(c, true, f->where.kernel.source, "%s runs now, without NVIDIA's module", f->where.kernel.value);
}

void fh_rule_cloud_auto_upgrade(fh_judgement *judgement, const fh_cause *cause) {
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement)) return;
  /* Says why, beside the cause that says what: an info, so that the other stays the first. */
  if (driver_was_upgraded(&c))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL, "an automatic upgrade changed the NVIDIA driver under the running one");
  else if (kernel_was_upgraded(&c))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "an automatic upgrade brought the kernel that runs now, and the driver is not built for it");
}

/* A card's node that leads nowhere beside one that works, and fewer cards than nodes: it was there when the nodes were made. */
static const fh_node *orphan_node(const fh_facts *f) {
  const fh_node *node, *orphan = NULL;
  bool works = false;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));) {
    if (!fh_nvidia_node_is_numbered(node->path)) continue;
    if (node->open_errno == ENXIO || node->open_errno == ENODEV) orphan = node;
    works |= node->open_errno == 0;
  }
  bool fewer = f->pci.valid == FH_VALID && f->pci.unread == 0 && fh_nvidia_gpu_count(f) > 0 &&
               fh_nvidia_gpu_count(f) < fh_nvidia_numbered_present(f);
  return works && fewer ? orphan : NULL;
}

static bool is_cloud(const fh_facts *f) {
  static const char *const vendors[] = {"Amazon EC2", "Google", "Microsoft Corporation", "Alibaba Cloud", "OpenStack Foundation"};
  for (size_t i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++)
    if (f->cloud.vendor.valid == FH_VALID && strcmp(f->cloud.vendor.value, vendors[i]) == 0) return true;
  return false;
}

void fh_rule_cloud_live_change(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *node = orphan_node(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!node || !fh_is_true(f->where.hypervisor) ||
      !fh_case_saw(&c, is_cloud(f), f->cloud.vendor.source, "%s: a virtual machine of a cloud", f->cloud.vendor.value))
    return;
  fh_case_saw(&c, true, node->path, "%s: the GPU behind it is gone", fh_errno_name(node->open_errno));
  fh_case_saw(&c, true, "/sys/bus/pci/devices", "%d NVIDIA GPUs, for %d nodes", fh_nvidia_gpu_count(f), fh_nvidia_numbered_present(f));
  fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_POSSIBLE, NULL,
                   "a GPU was here and is gone: the cloud may have moved or repaired this machine");
}
