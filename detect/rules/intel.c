/* Rules about Intel GPUs and NPUs. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/arena.h"
#include "detect/parse.h"
#include "detect/rules/rules.h"

static bool in_question(const fh_judgement *judgement) { return fh_family_in_question(judgement, FH_INTEL_GPU); }

static const fh_pci_device *gpu_of(const fh_facts *f) {
  int index = 0;
  return fh_pci_next(f, FH_INTEL_GPU, &index);
}

static bool saw_gpu(fh_case *c, const fh_pci_device *gpu) {
  return fh_case_saw(c, gpu != NULL, gpu ? gpu->source : "", "%04x:%04x, an Intel GPU, driver %s", gpu ? (unsigned)gpu->vendor : 0,
                     gpu ? (unsigned)gpu->device & 0xffff : 0, gpu && gpu->driver ? gpu->driver : "none");
}

/* Level Zero was asked and did not get as far as a GPU; a machine with working OpenCL is not in question at all. */
static bool saw_failure(fh_case *c) {
  const fh_runtime_answer *ze = &c->facts->intel.level_zero;
  if (ze->valid != FH_VALID || ze->hung || ze->slow || ze->crashed) return false;
  return fh_case_saw(c, ze->init_code > 0, "zeInit", "0x%llx %s", (unsigned long long)ze->init_code, ze->init_name) ||
         fh_case_saw(c, ze->init_code == 0 && fh_runtime_listed(ze, "gpu") == 0, "zeDeviceGet", "no GPU");
}

/* Such a failure as a driver library gives that was loaded and found no GPU it knows. */
static bool knows_none(const fh_runtime_answer *ze) {
  enum { UNINITIALIZED = 0x78000001, UNSUPPORTED_VERSION = 0x78000002, UNSUPPORTED_FEATURE = 0x78000003 };
  return ze->init_code == UNINITIALIZED || ze->init_code == UNSUPPORTED_VERSION || ze->init_code == UNSUPPORTED_FEATURE ||
         (ze->init_code == 0 && ze->list_code == 0);
}

/* ---- WSL ------------------------------------------------------------------------------------------------------ */

void fh_rule_intel_wsl(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *dxg = fh_facts_node(f, "/dev/dxg");
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) || !f->where.container ||
      !fh_case_saw(&c, fh_kernel_is_wsl(f), "uname", "%s: a kernel of WSL", f->where.kernel.value) ||
      !fh_case_saw(&c, dxg->valid == FH_ABSENT, dxg->path, "ENOENT"))
    return;
  saw_failure(&c);
  fh_case_device(&c, FH_INTEL_GPU, FH_CONSISTENT, "in WSL the GPU is reached through /dev/dxg, which was not passed into this container");
}

/* ---- nodes ---------------------------------------------------------------------------------------------------- */

/* The first of Intel's render nodes with this answer; errno 0: it is there and opens. */
static const fh_node *render_that_says(const fh_facts *f, int number) {
  const fh_node *node;
  for (int i = 0; (node = fh_render_next(f, FH_VENDOR_INTEL, &i));)
    if (node->open_errno == number && (node->valid == FH_VALID || number == ENOENT)) return node;
  return NULL;
}

static bool any_render(const fh_facts *f) {
  const fh_node *node;
  for (int i = 0; (node = fh_render_next(f, FH_VENDOR_INTEL, &i));)
    if (node->valid != FH_ABSENT) return true;
  return false;
}

void fh_rule_intel_no_node(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_pci_device *gpu = gpu_of(f);
  const fh_node *missing = render_that_says(f, ENOENT);
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) || fh_kernel_is_wsl(f) || any_render(f)) return;
  if (saw_gpu(&c, gpu) && missing && fh_case_saw(&c, true, missing->path, "ENOENT, though the kernel has made it")) {
    saw_failure(&c);
    fh_case_device(&c, FH_INTEL_GPU, FH_CONSISTENT,
                   f->where.container ? "%s was not passed into this container, the machine has it" : "%s is missing from /dev",
                   missing->path);
  } else if (gpu && fh_case_saw(&c, gpu->driver_valid == FH_ABSENT, gpu->source, "no kernel driver is bound")) {
    fh_case_device(&c, FH_INTEL_GPU, FH_CONSISTENT, "no kernel driver (i915 or xe) has taken the Intel GPU at %s", gpu->address);
  } else if (!gpu && f->pci.valid == FH_VALID && f->pci.unread == 0 && fh_case_saw(&c, true, "/sys/bus/pci/devices", "no Intel GPU") &&
             fh_case_saw(&c, true, "asked", "%s", judgement->expects[FH_INTEL_GPU].source)) {
    fh_case_device(&c, FH_INTEL_GPU, f->pci.all_count > 0 ? FH_CONSISTENT : FH_POSSIBLE,
                   "an Intel GPU is asked for, but this machine shows none");
  }
}

static bool saw_denied(fh_case *c, const fh_node *node) {
  return fh_case_saw(c, node->is_char && !node->nodev, node->path, "EACCES; mode %04o, owner %u:%u", (unsigned)(node->st.mode & 07777),
                     (unsigned)node->st.uid, (unsigned)node->st.gid);
}

void fh_rule_intel_render_gid(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *node = render_that_says(f, EACCES);
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) || !node || !f->where.id_valid || fh_renders_open(f, FH_VENDOR_INTEL) > 0) return;
  bool unmapped = fh_group_is_unmapped(f, node);
  if ((node->dac_allows && !unmapped) || !saw_denied(&c, node)) return;
  fh_case_saw(&c, true, "this process", "uid %u, gid %u, %d more groups", f->where.id.uid, f->where.id.gid, f->where.id.gid_count);
  fh_case_saw(&c, unmapped && f->where.gid_map.valid == FH_VALID, "/proc/self/gid_map", "%s", f->where.gid_map.value);
  saw_failure(&c);
  if (unmapped)
    fh_case_device(&c, FH_INTEL_GPU, FH_CONSISTENT, "the group that owns %s does not exist in this user namespace, and was not kept",
                   node->path);
  else
    fh_case_device(&c, FH_INTEL_GPU, FH_CONSISTENT, "%s belongs to group %u, which this process is not in", node->path,
                   (unsigned)node->st.gid);
}

void fh_rule_intel_bypath(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *open = render_that_says(f, 0);
  fh_case c = fh_case_open(judgement, cause);
  if (in_question(judgement) && fh_case_saw(&c, open != NULL, open ? open->path : "", "opens") &&
      fh_case_saw(&c, f->drm.links > 0 && f->drm.dangling == f->drm.links, "/dev/dri/by-path", "%s, which is not there",
                  f->drm.dangling_link)) {
    saw_failure(&c);
    fh_case_device(&c, FH_INTEL_GPU, FH_CONSISTENT, "every link in /dev/dri/by-path leads nowhere, and Intel's driver looks there first");
  }
}

/* ---- software --------------------------------------------------------------------------------------------------- */

/* What the dynamic linker says of a driver that is here; "" nothing. */
static const char *linker_says(fh_judgement *judgement, const char *driver) {
  const char *errors = judgement->facts->intel.level_zero.driver_errors;
  const char *at = strstr(errors, driver);
  if (fh_facts_library(judgement->facts, driver)->valid != FH_VALID) {
    /* absent: the linker's words add nothing */
    return "";
  }
  return at ? fh_arena_text_size(judgement->arena, at, strcspn(at, "\n")) : "";
}

static bool software_is_wanted(const fh_judgement *judgement) {
  const fh_facts *f = judgement->facts;
  return judgement->expects[FH_INTEL_GPU].level >= FH_EXPECT_INTENT || fh_facts_library(f, "libze_loader.so.1")->valid == FH_VALID ||
         fh_facts_library(f, "libOpenCL.so.1")->valid == FH_VALID;
}

void fh_rule_intel_no_umd(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *open = render_that_says(f, 0);
  const fh_library *ze = fh_facts_library(f, "libze_intel_gpu.so.1"), *cl = fh_facts_library(f, "libigdrcl.so");
  const char *words = linker_says(judgement, "libze_intel_gpu.so.1");
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) || !fh_case_saw(&c, open != NULL, open ? open->path : "", "opens")) return;
  if (fh_case_saw(&c, *words, "dlopen", "%s", words)) {
    saw_failure(&c);
    fh_case_device(&c, FH_INTEL_GPU, FH_PROVEN,
                   "Intel's driver library is here, and cannot be loaded: a part of it is missing or of another version");
    return;
  }
  if (!fh_case_saw(&c, ze->valid == FH_ABSENT && cl->valid == FH_ABSENT, "libze_intel_gpu.so.1, libigdrcl.so", "not found in %d places",
                   ze->searched_count))
    return;
  saw_failure(&c);
  if (software_is_wanted(judgement))
    fh_case_device(&c, FH_INTEL_GPU, FH_CONSISTENT, "the Intel GPU can be opened, but its compute driver is not installed here");
  else
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, "intel",
                     "the Intel GPU is here for graphics; nothing to compute with it is installed");
}

void fh_rule_intel_xe_i915(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *open = render_that_says(f, 0);
  const fh_library *driver = fh_intel_gpu_driver(f);
  const fh_pci_device *gpu = gpu_of(f);
  bool by_path = f->drm.links > 0 && f->drm.dangling == f->drm.links;
  const char *mask = fh_facts_env(f, "ZE_AFFINITY_MASK");
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) || !driver || by_path || !knows_none(&f->intel.level_zero) ||
      *linker_says(judgement, "libze_intel_gpu.so.1") || (mask && *mask))
    return;
  if (!fh_case_saw(&c, open != NULL, open ? open->path : "", "opens") || !saw_gpu(&c, gpu) || !saw_failure(&c)) return;
  fh_case_saw(&c, true, driver->real_path, "%s%s", "Intel's driver",
              *driver->version ? fh_arena_format(judgement->arena, " %s", driver->version) : "");
  const char *forced = f->cpu.kernel_cmdline.valid == FH_VALID ? strstr(f->cpu.kernel_cmdline.value, "force_probe=") : NULL;
  fh_case_saw(&c, forced != NULL, "/proc/cmdline", "%.*s", forced ? (int)strcspn(forced, " \n") : 0, forced ? forced : "");
  bool xe = gpu->driver && strcmp(gpu->driver, "xe") == 0;
  fh_case_device(&c, FH_INTEL_GPU, xe || forced ? FH_CONSISTENT : FH_POSSIBLE,
                 "Intel's driver does not know the GPU %04x:%04x as the kernel's driver %s shows it", (unsigned)gpu->vendor,
                 (unsigned)gpu->device & 0xffff, gpu->driver ? gpu->driver : "(unknown)");
}

/* ---- variables ----------------------------------------------------------------------------------------------------- */

/* Terms are "backend:devices" joined by ';'; one that begins with '!' only takes away. */
static bool term_may_be_gpu(const char *term, size_t size) {
  static const char *const backends[] = {"level_zero", "opencl", "*"};
  size_t backend = 0;
  while (backend < size && term[backend] != ':') backend++;
  bool ours = false;
  for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
    ours = ours || (strlen(backends[i]) == backend && strncmp(term, backends[i], backend) == 0);
  if (!ours || backend == size) return ours;
  const char *devices = term + backend + 1;
  size_t rest = size - backend - 1;
  return !(rest == 3 && strncmp(devices, "cpu", 3) == 0) && !(rest == 4 && strncmp(devices, "fpga", 4) == 0);
}

/* Such a selector cannot mean an Intel GPU, whatever is here. */
static bool leaves_no_gpu(const char *selector) {
  bool any = false;
  for (const char *at = selector; *at;) {
    size_t size = strcspn(at, ";");
    if (*at == '!') return false;
    if (size && term_may_be_gpu(at, size)) return false;
    any = any || size;
    at += size + (at[size] == ';');
  }
  return any;
}

void fh_rule_intel_selector(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *mask = fh_facts_env(f, "ZE_AFFINITY_MASK"), *selector = fh_facts_env(f, "ONEAPI_DEVICE_SELECTOR");
  const fh_runtime_answer *ze = &f->intel.level_zero;
  fh_flip flip = fh_runtime_flip(ze, &f->intel.level_zero_unmasked, "gpu");
  fh_case c = fh_case_open(judgement, cause);
  if (mask && *mask && flip != FH_FLIP_SAME && in_question(judgement) && fh_case_saw(&c, true, "ZE_AFFINITY_MASK", "%s", mask) &&
      saw_failure(&c)) {
    const char *order = fh_facts_env(f, "ZE_FLAT_DEVICE_HIERARCHY");
    fh_case_saw(&c, order != NULL, "ZE_FLAT_DEVICE_HIERARCHY", "%s", order ? order : "");
    fh_confidence confidence = fh_case_flip(&c, flip, "without ZE_AFFINITY_MASK", FH_POSSIBLE);
    fh_case_device(&c, FH_INTEL_GPU, confidence, "ZE_AFFINITY_MASK=%s names no GPU that is here", mask);
    return;
  }
  c = fh_case_open(judgement, cause);
  int listed = fh_runtime_listed(ze, "gpu");
  if (selector && leaves_no_gpu(selector) && fh_case_saw(&c, listed > 0, "Level Zero", "%d GPU%s", listed, listed == 1 ? "" : "s") &&
      fh_case_saw(&c, true, "ONEAPI_DEVICE_SELECTOR", "%s", selector))
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL,
                     "ONEAPI_DEVICE_SELECTOR=%s leaves SYCL programs no Intel GPU, though one works", selector);
}

/* ---- memory window ---------------------------------------------------------------------------------------------------- */

void fh_rule_intel_rebar(fh_judgement *judgement, const fh_cause *cause) {
  const int64_t small_window = INT64_C(256) << 20;
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->intel.bar_count; i++) {
    const fh_intel_bar *bar = &f->intel.bars[i];
    fh_case c = fh_case_open(judgement, cause);
    const char *source = fh_arena_format(judgement->arena, "/sys/bus/pci/devices/%s/resource", bar->pci);
    if (!fh_case_saw(&c, bar->bytes > 0 && bar->bytes <= small_window, source, "a window of %lld MiB to the card's memory",
                     (long long)(bar->bytes >> 20)))
      continue;
    bool wanted = judgement->expects[FH_INTEL_GPU].level > FH_EXPECT_NONE;
    fh_case_conclude(&c, wanted ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "the processor sees only %lld MiB of the memory of the Intel GPU at %s at a time", (long long)(bar->bytes >> 20),
                     bar->pci);
  }
}

/* ---- NPU ----------------------------------------------------------------------------------------------------------------- */

static const fh_node *first_accel(const fh_facts *f) {
  for (int i = 0; i < f->nodes.count; i++)
    if (strncmp(f->nodes.nodes[i].path, "/dev/accel/", 11) == 0 && f->nodes.nodes[i].valid == FH_VALID) return &f->nodes.nodes[i];
  return NULL;
}

static void npu_without_node(fh_case *c) {
  const fh_facts *f = c->facts;
  bool loaded = fh_is_true(f->intel.npu_module);
  bool unloaded = fh_case_saw(c, fh_is_false(f->intel.npu_module), f->intel.npu_module.source, "absent");
  bool no_firmware = !f->where.container && fh_case_saw(c, fh_is_false(f->intel.npu_firmware), f->intel.npu_firmware.source, "absent");
  fh_case_saw(c, true, "/dev/accel", "no accelN");
  if (unloaded)
    fh_case_device(c, FH_INTEL_NPU, FH_CONSISTENT, "the %skernel has not loaded intel_vpu, the NPU's driver",
                   f->where.container ? "host's " : "");
  else if (f->where.container)
    fh_case_device(c, FH_INTEL_NPU, loaded ? FH_CONSISTENT : FH_POSSIBLE, "/dev/accel was not passed into this container");
  else
    fh_case_device(c, FH_INTEL_NPU, no_firmware ? FH_CONSISTENT : FH_POSSIBLE, "the NPU's kernel driver has made no /dev/accel/accel0%s",
                   no_firmware ? ": its firmware is not installed" : "");
}

void fh_rule_intel_npu(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  int index = 0;
  const fh_pci_device *npu = fh_pci_next(f, FH_INTEL_NPU, &index);
  const fh_node *node = first_accel(f);
  const fh_library *driver = fh_intel_npu_driver(f), *library = fh_facts_library(f, "libze_intel_npu.so.1");
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_family_in_question(judgement, FH_INTEL_NPU)) return;
  if (!npu && !node) {
    if (f->pci.valid == FH_VALID && f->pci.unread == 0 && fh_case_saw(&c, true, "/sys/bus/pci/devices", "no neural processor of Intel"))
      fh_case_device(&c, FH_INTEL_NPU, f->pci.all_count > 0 ? FH_CONSISTENT : FH_POSSIBLE,
                     "a neural processor is asked for, but this machine shows none");
    return;
  }
  fh_case_saw(&c, npu != NULL, npu ? npu->source : "", "%04x:%04x, driver %s", npu ? (unsigned)npu->vendor : 0,
              npu ? (unsigned)npu->device & 0xffff : 0, npu && npu->driver ? npu->driver : "none");
  if (!node) {
    npu_without_node(&c);
  } else if (fh_case_saw(&c, node->open_errno != 0, node->path, "%s, mode %04o, owner %u:%u", fh_errno_name(node->open_errno),
                         (unsigned)(node->st.mode & 07777), (unsigned)node->st.uid, (unsigned)node->st.gid)) {
    bool denied = node->open_errno == EACCES && f->where.id_valid && (!node->dac_allows || fh_group_is_unmapped(f, node));
    fh_case_device(&c, FH_INTEL_NPU, denied || node->open_errno == EPERM ? FH_CONSISTENT : FH_POSSIBLE, "%s cannot be opened: %s",
                   node->path, denied ? "it belongs to a group that this process is not in" : fh_errno_words(node->open_errno));
  } else if (!driver && fh_case_saw(&c, library->valid == FH_ABSENT, "libze_intel_npu.so.1, libze_intel_vpu.so.1", "not found in %d places",
                                    library->searched_count)) {
    fh_case_device(&c, FH_INTEL_NPU, FH_CONSISTENT, "the NPU can be opened, but its driver library is not installed here");
  }
}
