/* A GPU that is unusable and fits no cause: all that was seen, and what would narrow it down. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/arena.h"
#include "detect/parse.h"
#include "detect/rules/rules.h"

static void saw_everything(fh_case *c) {
  const fh_facts *f = c->facts;
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  const fh_pci_device *gpu = fh_nvidia_gpu_first(f);
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  fh_case_saw(c, cuda->crashed, "CUDA driver", "the asking process died of signal %d", cuda->signal);
  fh_case_saw(c, cuda->exited, "CUDA driver", "ended the process that asked it");
  fh_case_saw(c, cuda->valid == FH_ABSENT, "dlopen libcuda.so.1", "%s", cuda->dlerrors ? cuda->dlerrors : "");
  fh_case_saw(c, cuda->valid == FH_VALID && cuda->init_code >= 0, "cuInit", "%d %s", cuda->init_code,
              cuda->init_name ? cuda->init_name : "");
  fh_case_saw(c, cuda->valid == FH_VALID && cuda->count_code >= 0, "cuDeviceGetCount", "%d, %d devices", cuda->count_code, cuda->count);
  for (int i = 0; i < cuda->device_count; i++)
    fh_case_saw(c, cuda->devices[i].context_code > 0, cuda->devices[i].name, "making a context: error %d", cuda->devices[i].context_code);
  fh_case_saw(c, f->nvidia.nvml.init_code >= 0, "nvmlInit", "%d %s", f->nvidia.nvml.init_code, f->nvidia.nvml.init_name);
  fh_case_saw(c, gpu != NULL, gpu ? gpu->source : "", "%04x:%04x, driver %s", gpu ? (unsigned)gpu->vendor : 0,
              gpu ? (unsigned)gpu->device & 0xffff : 0, gpu && gpu->driver ? gpu->driver : "not seen");
  fh_case_saw(c, f->nvidia.nvrm_version.valid == FH_VALID, f->nvidia.nvrm_version.source, "%s", f->nvidia.nvrm_version.value);
  fh_case_saw(c, library->valid != FH_UNKNOWN_FACT, "libcuda.so.1", "%s", library->valid == FH_VALID ? library->real_path : "not found");
  fh_case_saw(c, fh_cuda_loaded_another(f), "really loaded", "%s", f->nvidia.cuda.library);
  fh_case_saw(c, fh_nvidia_nodes_absent(f), "/dev/nvidia*", "none");
  const fh_node *node;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));)
    fh_case_saw(c, true, node->path, "%s", node->open_errno ? fh_errno_words(node->open_errno) : "opens");
}

/* ---- what would narrow it down ------------------------------------------------------------------------------------ */

/* A place that could not be read, so that the rules about it had to be silent; NULL: none. */
static const char *unread_place(const fh_facts *f) {
  if (f->pci.valid == FH_UNKNOWN_FACT || fh_is_true(f->pci.masked)) return "/sys/bus/pci/devices";
  if (f->nodes.proc_devices.valid == FH_UNKNOWN_FACT) return "/proc/devices";
  if (f->mounts_valid != FH_VALID) return "/proc/self/mountinfo";
  if (fh_platform_shows_module(f) && f->nvidia.nvrm_version.valid == FH_UNKNOWN_FACT) return "/proc/driver/nvidia/version";
  return f->where.platform_unsure ? f->where.platform_source : NULL;
}

static const char *loader_variable(const fh_facts *f) {
  static const char *const names[] = {"LD_PRELOAD", "LD_LIBRARY_PATH"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const char *value = fh_facts_env(f, names[i]);
    if (value && value[0]) return names[i];
  }
  return NULL;
}

static void next_steps(fh_case *c) {
  const fh_facts *f = c->facts;
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  const char *unread = unread_place(f), *variable = loader_variable(f);
  bool broke = cuda->crashed || cuda->exited;
  fh_case_next(c, unread != NULL, "%s could not be read: run devprobe as root, or where it is not covered", unread ? unread : "");
  fh_case_next(c, f->where.container,
               "run devprobe on the host too: if the GPU works there, look at how this container was started; if not, at the host");
  fh_case_next(c, variable != NULL, "run it again without %s: env -u %s devprobe", variable ? variable : "", variable ? variable : "");
  fh_case_next(c, broke, "gdb --args devprobe --answer cuda: the stack at the crash or exit names the library at fault");
  fh_case_next(c, !broke && cuda->valid == FH_VALID,
               "devprobe trace -- devprobe --answer cuda: the last device or file that it was refused before the error");
  fh_case_next(c, fh_is_true(f->nvidia.module_loaded), "on the host: dmesg | grep -iE 'nvrm|xid' just after this run, and nvidia-smi -q");
  fh_case_next(c, true, "devprobe snapshot --mask machine.tar.gz, and attach it to a bug report");
}

static bool explained(const fh_judgement *judgement) {
  for (int i = 0; i < judgement->finding_count; i++) {
    const fh_finding *finding = &judgement->findings[i];
    fh_cause_group group = finding->cause->group;
    bool other = group == FH_GROUP_OPENCL || group == FH_GROUP_AMD || group == FH_GROUP_INTEL || finding->cause->stage == FH_STAGE_UNKNOWN;
    if (finding->device && !other) return true;
  }
  return false;
}

/* The driver was asked, or there was nothing that could be asked. A driver that nobody asked is no fault. */
static bool was_asked(const fh_facts *f) {
  return f->nvidia.cuda.valid != FH_UNKNOWN_FACT || (fh_nvidia_nodes_absent(f) && fh_facts_library(f, "libcuda.so.1")->valid == FH_ABSENT);
}

static void look_closely(fh_case *c) {
  saw_everything(c);
  next_steps(c);
}

/* ---- NVIDIA: the management library is content -------------------------------------------------------------------------- */

void fh_rule_nvml_only_green(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_nvml_answer *nvml = &f->nvidia.nvml;
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  int code = fh_cuda_code(f);
  bool fails = cuda->valid == FH_VALID && (code > 0 || cuda->crashed || cuda->exited);
  fh_case c = fh_case_open(judgement, cause);
  if (explained(judgement) || !fh_gpu_in_question(judgement) || !fails ||
      !fh_case_saw(&c, nvml->valid == FH_VALID && nvml->init_code == 0 && nvml->count > 0, "NVML (nvidia-smi)", "works, %d GPU%s",
                   nvml->count, nvml->count == 1 ? "" : "s"))
    return;
  look_closely(&c);
  fh_case_gpu(&c, FH_POSSIBLE, "nvidia-smi shows %d GPU%s, CUDA %s, and no known cause fits what was seen", nvml->count,
              nvml->count == 1 ? "" : "s",
              code > 0 ? fh_arena_format(judgement->arena, "fails with error %d", code) : "does not survive its start");
}

/* ---- AMD and Intel ----------------------------------------------------------------------------------------------- */

typedef struct asked_runtime {
  fh_family family;
  const fh_runtime_answer *answer;
  const char *type, *name, *question, *init;
} asked_runtime;

static bool family_explained(const fh_judgement *judgement, fh_family family) {
  const char *prefix = fh_family_in_words(family)->device;
  for (int i = 0; i < judgement->finding_count; i++) {
    const char *device = judgement->findings[i].device;
    if (device && strncmp(device, prefix, strlen(prefix)) == 0) return true;
  }
  return false;
}

/* A stand-in is no usable device, and not at fault for that. */
static bool does_its_part(const fh_runtime_answer *a) {
  for (int i = 0; a->fake && i < a->device_count; i++)
    if (a->devices[i].usable) return true;
  return false;
}

static const char *how_it_failed(fh_judgement *judgement, const asked_runtime *r) {
  const fh_runtime_answer *a = r->answer;
  if (a->crashed) return fh_arena_format(judgement->arena, "crashed (signal %d)", a->signal);
  if (a->exited) return "ended its process";
  if (a->hung || a->slow) return a->hung ? "hangs in the kernel" : "gave no answer in time";
  if (a->init_code > 0) return fh_arena_format(judgement->arena, "fails with %lld %s", (long long)a->init_code, a->init_name);
  if (a->list_code > 0) return fh_arena_format(judgement->arena, "fails with %lld %s", (long long)a->list_code, a->list_name);
  return fh_runtime_listed(a, r->type) ? "lists a device that it cannot open" : "lists no device";
}

static void look_at_runtime(fh_case *c, const asked_runtime *r) {
  const fh_runtime_answer *a = r->answer;
  int vendor = r->family == FH_AMD_GPU ? FH_VENDOR_AMD : FH_VENDOR_INTEL, index = 0;
  const fh_pci_device *device = fh_pci_next(c->facts, r->family, &index);
  fh_case_saw(c, device != NULL, device ? device->source : "", "%04x:%04x, driver %s", device ? (unsigned)device->vendor : 0,
              device ? (unsigned)device->device & 0xffff : 0, device && device->driver ? device->driver : "not seen");
  fh_case_saw(c, *a->library, a->library, "loaded");
  fh_case_saw(c, *a->calling, a->calling, "begun and not ended");
  fh_case_saw(c, a->init_code >= 0, r->init, "%lld %s", (long long)a->init_code, a->init_name);
  for (int i = 0; i < a->device_count; i++)
    fh_case_saw(c, a->devices[i].open_code > 0, a->devices[i].name, "making a queue or context: error %lld",
                (long long)a->devices[i].open_code);
  const fh_node *kfd = fh_facts_node(c->facts, "/dev/kfd"), *node;
  fh_case_saw(c, r->family == FH_AMD_GPU && kfd->valid == FH_VALID, kfd->path, "%s",
              kfd->open_errno ? fh_errno_words(kfd->open_errno) : "opens");
  for (int i = 0; (node = fh_render_next(c->facts, vendor, &i));)
    fh_case_saw(c, true, node->path, "%s", node->open_errno ? fh_errno_words(node->open_errno) : "opens");
}

static void next_steps_of(fh_case *c, const asked_runtime *r) {
  const char *module = r->family == FH_AMD_GPU ? "amdgpu|kfd" : r->family == FH_INTEL_NPU ? "intel_vpu" : "i915|xe";
  fh_case_next(c, c->facts->where.container,
               "run devprobe on the host too: if the device works there, look at how this container was started; if not, at the host");
  fh_case_next(c, true, "devprobe trace -- devprobe --answer %s: the last file that it was refused before the error", r->question);
  fh_case_next(c, true, "on the host: dmesg | grep -iE '%s' just after this run", module);
  fh_case_next(c, true, "devprobe snapshot --mask machine.tar.gz, and attach it to a bug report");
}

static void unknown_runtime(fh_judgement *judgement, const fh_cause *cause, const asked_runtime *r) {
  fh_case c = fh_case_open(judgement, cause);
  if (r->answer->valid != FH_VALID || !fh_family_in_question(judgement, r->family) || family_explained(judgement, r->family)) return;
  if (does_its_part(r->answer)) return;
  look_at_runtime(&c, r);
  next_steps_of(&c, r);
  fh_case_device(&c, r->family, FH_POSSIBLE, "%s %s, and no known cause fits what was seen", r->name, how_it_failed(judgement, r));
}

static void unknown_runtimes(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const asked_runtime runtimes[] = {
      {FH_AMD_GPU, &f->amd.hsa, "gpu", "AMD's HSA runtime", "hsa", "hsa_init"},
      {FH_INTEL_GPU, &f->intel.level_zero, "gpu", "Level Zero", "level-zero", "zeInit"},
      {FH_INTEL_NPU, &f->intel.level_zero, "npu", "Level Zero, asked for the NPU,", "level-zero", "zeInit"},
  };
  for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++) unknown_runtime(judgement, cause, &runtimes[i]);
}

/* ---- all ----------------------------------------------------------------------------------------------------------- */

void fh_rule_unknown(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  int usable = fh_cuda_usable_count(f), seen = fh_nvidia_gpu_count(f) - fh_nvidia_held_count(f);
  bool broke = cuda->crashed || cuda->exited;
  bool missing = usable > 0 && seen > usable && !fh_choice_limited_by(f) && !fh_is_true(f->nvidia.gpu_excluded);
  unknown_runtimes(judgement, cause);
  fh_case c = fh_case_open(judgement, cause);
  if (explained(judgement)) return;
  if (broke) {
    look_closely(&c);
    fh_case_gpu(&c, FH_POSSIBLE, "the CUDA driver %s while it was asked for its devices",
                cuda->crashed ? fh_arena_format(judgement->arena, "crashed (signal %d)", cuda->signal) : "ended its process");
  } else if (fh_gpu_in_question(judgement) && was_asked(f)) {
    look_closely(&c);
    int code = fh_cuda_code(f);
    if (code)
      fh_case_gpu(&c, FH_POSSIBLE, "CUDA fails with error %d, and no known cause fits what was seen", code);
    else
      fh_case_gpu(&c, FH_POSSIBLE, "no usable GPU (%s), and no known cause fits what was seen", judgement->expects[FH_NVIDIA_GPU].source);
  } else if (missing) {
    look_closely(&c);
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_POSSIBLE, "cuda", "%d of %d NVIDIA GPUs cannot be used, and no known cause fits",
                     seen - usable, seen);
  }
}
