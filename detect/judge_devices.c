/* Devices, usable or rejected. SPDX-License-Identifier: Apache-2.0
 * A rejected device stays in the list with its cause; a CPU behind a GPU interface is no GPU. */
#include <string.h>
#include <strings.h>

#include "detect/arena.h"
#include "detect/judge.h"
#include "detect/rules/rules.h"

static fh_found_device *device_add(fh_judgement *judgement, const char *id, const char *kind, const char *backend) {
  fh_found_device *device = &judgement->devices[judgement->device_count++];
  *device = (fh_found_device){
      .id = id, .kind = kind, .backend = backend, .name = "", .detail = "", .family = FH_FAMILY_COUNT, .memory = -1, .uuid = "", .pci = ""};
  return device;
}

static const char *cpus_text(fh_judgement *judgement) {
  const fh_facts_cpu *cpu = &judgement->facts->cpu;
  if (cpu->usable.valid != FH_VALID) return "";
  if (cpu->online.valid != FH_VALID || cpu->usable.value >= cpu->online.value)
    return fh_arena_format(judgement->arena, ", %lld CPUs", (long long)cpu->usable.value);
  bool quota = cpu->quota_cpus.valid == FH_VALID && cpu->quota_cpus.value == cpu->usable.value;
  const char *why = !quota ? "allowed set" : cpu->quota_from_ancestor ? "quota of a parent cgroup" : "quota";
  return fh_arena_format(judgement->arena, ", %lld of %lld CPUs (%s)", (long long)cpu->usable.value, (long long)cpu->online.value, why);
}

static void add_cpu(fh_judgement *judgement) {
  const fh_facts *f = judgement->facts;
  fh_found_device *device = device_add(judgement, "cpu:0", "cpu", "cpu");
  device->usable = true;
  device->name = f->cpu.model.valid == FH_VALID ? f->cpu.model.value : f->where.machine.value;
  device->detail = fh_arena_format(judgement->arena, "%s%s", fh_isa_name(f->cpu.best), cpus_text(judgement));
  if (f->memory.usable.valid == FH_VALID) device->memory = f->memory.usable.value;
}

/* ---- the link to a card ---------------------------------------------------------------------------------------- */

static fh_pci_link link_of(const fh_facts *f, const char *pci_address) {
  for (int i = 0; *pci_address && i < f->pci.count; i++)
    if (strcasecmp(f->pci.devices[i].address, pci_address) == 0) return f->pci.devices[i].link;
  return (fh_pci_link){0};
}

/* ", PCIe 4.0 x16"; a link that is below what the card could have says so, since it may only be idle. */
static const char *link_text(fh_judgement *judgement, fh_pci_link link) {
  if (!link.generation || !link.width) return "";
  if (link.generation >= link.most_generation && link.width >= link.most_width)
    return fh_arena_format(judgement->arena, ", PCIe %d.0 x%d", link.generation, link.width);
  return fh_arena_format(judgement->arena, ", PCIe %d.0 x%d now, %d.0 x%d at most", link.generation, link.width, link.most_generation,
                         link.most_width);
}

/* ---- CUDA ---------------------------------------------------------------------------------------------------- */

/* ", CUDA 12.4, driver 550.54.14" */
static const char *cuda_driver_text(fh_judgement *judgement) {
  const fh_facts_nvidia *nvidia = &judgement->facts->nvidia;
  if (nvidia->cuda.version <= 0) return "";
  bool release = nvidia->nvrm_version.valid == FH_VALID && !nvidia->cuda.fake;
  return fh_arena_format(judgement->arena, ", CUDA %d.%d%s%s", nvidia->cuda.version / 1000, nvidia->cuda.version % 1000 / 10,
                         release ? ", driver " : "", release ? nvidia->nvrm_version.value : "");
}

static void add_cuda_answers(fh_judgement *judgement) {
  const fh_cuda_answer *cuda = &judgement->facts->nvidia.cuda;
  for (int i = 0; i < cuda->device_count; i++) {
    const fh_cuda_device *answer = &cuda->devices[i];
    fh_found_device *device = device_add(judgement, fh_arena_format(judgement->arena, "cuda:%d", i), "gpu", "cuda");
    device->family = FH_NVIDIA_GPU;
    device->name = answer->name ? answer->name : "";
    device->usable = answer->usable;
    device->fake = cuda->fake;
    device->memory = answer->memory_total;
    device->capability = answer->capability;
    device->driver_version = cuda->version > 0 ? cuda->version : 0;
    device->uuid = answer->uuid ? answer->uuid : "";
    device->pci = answer->pci ? answer->pci : "";
    device->link = link_of(judgement->facts, device->pci);
    device->detail = fh_arena_format(judgement->arena, "capability %d.%d, %d multiprocessors%s%s%s", answer->capability / 10,
                                     answer->capability % 10, answer->multiprocessors, cuda_driver_text(judgement),
                                     link_text(judgement, device->link), cuda->fake ? ", FAKE: a stand-in driver" : "");
  }
}

/* ---- HSA and Level Zero ------------------------------------------------------------------------------------------ */

typedef struct runtime {
  const fh_runtime_answer *answer;
  const char *type, *kind, *backend;
  fh_family family;
} runtime;

static const char *runtime_detail(fh_judgement *judgement, const fh_runtime_answer *answer, const fh_runtime_device *device) {
  const char *units = device->compute_units > 0 ? fh_arena_format(judgement->arena, "%d compute units", device->compute_units) : "";
  return fh_arena_format(judgement->arena, "%s%s%s%s%s", device->model, *device->model && *units ? ", " : "", units,
                         link_text(judgement, link_of(judgement->facts, device->pci)), answer->fake ? ", FAKE: a stand-in runtime" : "");
}

static void add_runtime_answers(fh_judgement *judgement, runtime r) {
  const char *prefix = fh_family_in_words(r.family)->device;
  int number = 0;
  for (int i = 0; i < r.answer->device_count; i++) {
    const fh_runtime_device *answer = &r.answer->devices[i];
    if (strcmp(answer->type, r.type) != 0) continue;
    fh_found_device *device = device_add(judgement, fh_arena_format(judgement->arena, "%s:%d", prefix, number++), r.kind, r.backend);
    device->family = r.family;
    device->name = *answer->name ? answer->name : answer->model;
    device->usable = answer->usable;
    device->fake = r.answer->fake;
    device->memory = answer->memory;
    device->uuid = answer->uuid;
    device->pci = answer->pci;
    device->link = link_of(judgement->facts, device->pci);
    device->detail = runtime_detail(judgement, r.answer, answer);
  }
}

static bool answered(const fh_judgement *judgement, const char *pci_address) {
  for (int i = 0; i < judgement->device_count; i++)
    if (strcasecmp(judgement->devices[i].pci, pci_address) == 0) return true;
  return false;
}

/* GPUs that are seen on PCI, or only as a device node, and not by the driver. */
static void add_cuda_unanswered(fh_judgement *judgement) {
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->pci.count; i++) {
    const fh_pci_device *gpu = &f->pci.devices[i];
    if (!fh_pci_is_nvidia_gpu(gpu) || answered(judgement, gpu->address)) continue;
    fh_found_device *device = device_add(judgement, fh_arena_format(judgement->arena, "cuda:%s", gpu->address), "gpu", "cuda");
    device->family = FH_NVIDIA_GPU;
    device->name = fh_arena_format(judgement->arena, "NVIDIA GPU %04x:%04x", (unsigned)gpu->vendor, (unsigned)gpu->device & 0xffff);
    device->pci = gpu->address;
  }
  if (fh_nvidia_gpu_count(f) > 0 || f->nvidia.cuda.device_count > 0) return;
  const fh_node *node;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));) {
    if (!fh_nvidia_node_is_numbered(node->path)) continue;
    fh_found_device *device =
        device_add(judgement, fh_arena_format(judgement->arena, "cuda:%s", node->path + strlen("/dev/")), "gpu", "cuda");
    device->family = FH_NVIDIA_GPU;
    device->name = fh_arena_format(judgement->arena, "NVIDIA GPU behind %s", node->path);
  }
}

/* GPUs and NPUs that are seen on PCI and not by the vendor's runtime: listed where somebody expects them. In a container one that
 * works is what it was given; the others are the machine's. */
static void add_runtime_unanswered(fh_judgement *judgement, runtime r, const char *noun) {
  const fh_facts *f = judgement->facts;
  bool any_usable = !fh_family_in_question(judgement, r.family);
  const fh_pci_device *seen;
  if (judgement->expects[r.family].level == FH_EXPECT_NONE || (any_usable && (f->where.container || r.family == FH_INTEL_GPU))) return;
  for (int i = 0; (seen = fh_pci_next(f, r.family, &i));) {
    if (answered(judgement, seen->address)) continue;
    const char *id = fh_arena_format(judgement->arena, "%s:%s", fh_family_in_words(r.family)->device, seen->address);
    fh_found_device *device = device_add(judgement, id, r.kind, r.backend);
    device->family = r.family;
    device->name = fh_arena_format(judgement->arena, "%s %04x:%04x", noun, (unsigned)seen->vendor, (unsigned)seen->device & 0xffff);
    device->pci = seen->address;
    device->seen_only = true;
  }
}

static void add_runtimes(fh_judgement *judgement) {
  const fh_facts *f = judgement->facts;
  const runtime amd = {&f->amd.hsa, "gpu", "gpu", "rocm", FH_AMD_GPU};
  const runtime intel = {&f->intel.level_zero, "gpu", "gpu", "level-zero", FH_INTEL_GPU};
  const runtime npu = {&f->intel.level_zero, "npu", "accelerator", "level-zero", FH_INTEL_NPU};
  add_runtime_answers(judgement, amd);
  add_runtime_unanswered(judgement, amd, "AMD GPU");
  add_runtime_answers(judgement, intel);
  add_runtime_unanswered(judgement, intel, "Intel GPU");
  add_runtime_answers(judgement, npu);
  add_runtime_unanswered(judgement, npu, "Intel NPU");
}

/* ---- OpenCL -------------------------------------------------------------------------------------------------- */

/* Whose GPU an OpenCL device is: to know one that is seen through another interface too. */
static fh_family family_of_vendor(const char *vendor) {
  static const struct {
    const char *word;
    fh_family family;
  } makers[] = {{"NVIDIA", FH_NVIDIA_GPU}, {"Advanced Micro Devices", FH_AMD_GPU}, {"AMD", FH_AMD_GPU}, {"Intel", FH_INTEL_GPU}};
  for (size_t i = 0; vendor && i < sizeof(makers) / sizeof(makers[0]); i++)
    if (strcasestr(vendor, makers[i].word)) return makers[i].family;
  return FH_FAMILY_COUNT;
}

static void add_opencl_device(fh_judgement *judgement, const fh_icd *icd, const fh_cl_device *answer, int number) {
  const char *kind = answer->type && answer->type[0] ? answer->type : "accelerator";
  fh_found_device *device = device_add(judgement, fh_arena_format(judgement->arena, "opencl:%d", number), kind, "opencl");
  device->name = answer->name ? answer->name : "";
  device->usable = true;
  device->posing = strcmp(kind, "cpu") == 0 || fh_cl_is_software(answer);
  if (strcmp(kind, "gpu") == 0) device->family = family_of_vendor(answer->vendor);
  device->memory = answer->memory;
  device->detail = fh_arena_format(judgement->arena, "%s, %d compute units%s", icd->platform ? icd->platform : "", answer->compute_units,
                                   device->posing ? ", on the CPU: not a GPU" : "");
}

/* A driver that gave no device is listed by its .icd file, so that it is not lost in silence. */
static void add_opencl(fh_judgement *judgement) {
  const fh_facts_opencl *opencl = &judgement->facts->opencl;
  int number = 0;
  for (int i = 0; i < opencl->count; i++) {
    const fh_icd *icd = &opencl->icds[i];
    for (int d = 0; d < icd->device_count; d++) add_opencl_device(judgement, icd, &icd->devices[d], number++);
    if (icd->device_count > 0 || icd->asked == FH_UNKNOWN_FACT) continue;
    const char *slash = strrchr(icd->file, '/');
    fh_found_device *device =
        device_add(judgement, fh_arena_format(judgement->arena, "opencl:%s", slash ? slash + 1 : icd->file), "accelerator", "opencl");
    device->name = icd->platform && icd->platform[0] ? icd->platform : icd->library;
    device->detail = icd->code ? fh_arena_format(judgement->arena, "no device (error %d)", icd->code) : "";
  }
}

static size_t most_devices(const fh_facts *f) {
  size_t most = 1 + (size_t)f->nvidia.cuda.device_count + (size_t)f->pci.count + (size_t)f->nodes.count + (size_t)f->opencl.count +
                (size_t)f->amd.hsa.device_count + (size_t)f->intel.level_zero.device_count;
  for (int i = 0; i < f->opencl.count; i++) most += (size_t)f->opencl.icds[i].device_count;
  return most;
}

fh_status fh_judge_devices(fh_judgement *judgement) {
  judgement->devices = fh_arena_alloc(judgement->arena, most_devices(judgement->facts), sizeof(*judgement->devices));
  if (!judgement->devices) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory to judge what was detected");
  add_cpu(judgement);
  add_cuda_answers(judgement);
  add_cuda_unanswered(judgement);
  add_runtimes(judgement);
  add_opencl(judgement);
  return FH_OK;
}

/* ---- counting -------------------------------------------------------------------------------------------------- */

/* family FH_FAMILY_COUNT: such that belong to none. */
static int usable_of(const fh_judgement *judgement, fh_family family, bool opencl) {
  int count = 0;
  for (int i = 0; i < judgement->device_count; i++) {
    const fh_found_device *device = &judgement->devices[i];
    bool wanted = family < FH_FAMILY_COUNT ? device->family == family : device->family == family && strcmp(device->kind, "gpu") == 0;
    count += wanted && device->usable && !device->fake && !device->posing && (strcmp(device->backend, "opencl") == 0) == opencl;
  }
  return count;
}

static int greater(int a, int b) { return a > b ? a : b; }

int fh_judgement_usable_of(const fh_judgement *judgement, fh_family family) {
  return greater(usable_of(judgement, family, false), usable_of(judgement, family, true));
}

int fh_judgement_usable_gpus(const fh_judgement *judgement) {
  int known = 0;
  for (int family = 0; family < FH_FAMILY_COUNT; family++)
    if (family != FH_INTEL_NPU) known += fh_judgement_usable_of(judgement, (fh_family)family);
  return greater(known, fh_judgement_usable_of(judgement, FH_FAMILY_COUNT)); /* a GPU without a maker may be one of the others */
}

/* A finding is about a device by its id, by its backend, or by how the ids of its family begin. */
static bool is_about(const fh_finding *finding, const fh_found_device *device) {
  if (!finding->device) return false;
  size_t size = strlen(finding->device);
  return strcmp(finding->device, device->id) == 0 || strcmp(finding->device, device->backend) == 0 ||
         (strncmp(finding->device, device->id, size) == 0 && device->id[size] == ':');
}

/* A question about this backend could not be asked: nothing is known against the device. */
static bool not_asked(const fh_facts *f, const char *backend) {
  if (strcmp(backend, "rocm") == 0) backend = "hsa"; /* the others are named as their question */
  for (int i = 0; i < f->unasked_count; i++)
    if (strncmp(f->unasked[i].question, backend, strlen(backend)) == 0) return true;
  return false;
}

/* A device of AMD's or Intel's that was only seen, and about which there is nothing to say: no runtime is here to ask. */
static void leave_out_unblamed(fh_judgement *judgement) {
  int kept = 0;
  for (int i = 0; i < judgement->device_count; i++) {
    const fh_found_device *device = &judgement->devices[i];
    if (!device->seen_only || device->cause || *device->detail) judgement->devices[kept++] = *device;
  }
  judgement->device_count = kept;
}

void fh_judge_device_causes(fh_judgement *judgement) {
  for (int i = 0; i < judgement->device_count; i++) {
    fh_found_device *device = &judgement->devices[i];
    for (int k = 0; k < judgement->finding_count && !device->usable && !device->cause; k++) {
      const fh_finding *finding = &judgement->findings[k];
      if (!is_about(finding, device)) continue;
      device->cause = finding->cause->id;
      device->confidence = finding->confidence;
    }
    if (!device->usable && !device->cause && !*device->detail && not_asked(judgement->facts, device->backend))
      device->detail = "the driver was not asked";
  }
  leave_out_unblamed(judgement);
}
