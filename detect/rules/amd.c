/* Rules about AMD GPUs and ROCm. SPDX-License-Identifier: Apache-2.0
 * ROCm's runtime forgets why it could not open /dev/kfd (it says 4104, out of resources, for everything), so the errno of
 * our own open is what tells these causes apart. */
#include <errno.h>
#include <string.h>

#include "detect/arena.h"
#include "detect/parse.h"
#include "detect/rules/rules.h"

static bool in_question(const fh_judgement *judgement) { return fh_family_in_question(judgement, FH_AMD_GPU); }

static const fh_node *kfd_of(const fh_facts *f) { return fh_facts_node(f, "/dev/kfd"); }

static bool kfd_opens(const fh_facts *f) {
  const fh_node *kfd = kfd_of(f);
  return kfd->valid == FH_VALID && kfd->is_char && kfd->open_errno == 0;
}

static void saw_init(fh_case *c) {
  const fh_runtime_answer *hsa = &c->facts->amd.hsa;
  fh_case_saw(c, hsa->valid == FH_VALID && hsa->init_code > 0, "hsa_init", "%lld %s", (long long)hsa->init_code, hsa->init_name);
}

static bool saw_gpu(fh_case *c) {
  int index = 0;
  const fh_pci_device *gpu = fh_pci_next(c->facts, FH_AMD_GPU, &index);
  return fh_case_saw(c, gpu != NULL, gpu ? gpu->source : "", "%04x:%04x, an AMD GPU, driver %s", gpu ? (unsigned)gpu->vendor : 0,
                     gpu ? (unsigned)gpu->device & 0xffff : 0, gpu && gpu->driver ? gpu->driver : "none");
}

/* ---- WSL ------------------------------------------------------------------------------------------------------ */

void fh_rule_amd_wsl(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *dxg = fh_facts_node(f, "/dev/dxg");
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) ||
      !fh_case_saw(&c, fh_kernel_is_wsl(f), "uname", "%s: a kernel of WSL, which never has /dev/kfd", f->where.kernel.value))
    return;
  bool no_dxg = fh_case_saw(&c, dxg->valid == FH_ABSENT, dxg->path, "ENOENT");
  bool no_core = fh_case_saw(&c, fh_is_false(f->amd.dxcore), f->amd.dxcore.source, "absent");
  bool no_rocdxg = fh_case_saw(&c, fh_is_false(f->amd.rocdxg), f->amd.rocdxg.source, "absent: this ROCm is not the one for WSL");
  bool refused = f->amd.hsa.valid == FH_VALID && f->amd.hsa.init_code > 0;
  saw_init(&c);
  if (no_dxg || no_core || no_rocdxg)
    fh_case_device(&c, FH_AMD_GPU, FH_CONSISTENT, "in WSL the AMD GPU is reached through %s, which is missing",
                   no_dxg    ? "/dev/dxg"
                   : no_core ? "libdxcore.so"
                             : "librocdxg.so");
  else if (refused)
    fh_case_device(&c, FH_AMD_GPU, FH_POSSIBLE, "ROCm for WSL is here and cannot start; the driver in Windows may not fit it");
}

/* ---- the kernel's side ------------------------------------------------------------------------------------------ */

static const fh_kfd_node *kfd_at(const fh_facts *f, const char *pci) {
  for (int i = 0; i < f->amd.kfd_count; i++)
    if (strcmp(f->amd.kfd[i].pci, pci) == 0) return &f->amd.kfd[i];
  return NULL;
}

/* Each entry could be read, and each GPU says where it is. */
static bool topology_is_whole(const fh_facts *f) {
  if (f->amd.topology != FH_VALID || f->amd.kfd_count == 0) return false;
  for (int i = 0; i < f->amd.kfd_count; i++)
    if (f->amd.kfd[i].simd_count < 0 || (f->amd.kfd[i].simd_count > 0 && !*f->amd.kfd[i].pci)) return false;
  return true;
}

static const char *render_of(const fh_facts *f, const char *pci) {
  for (int i = 0; i < f->drm.count; i++)
    if (strcmp(f->drm.renders[i].pci, pci) == 0) return f->drm.renders[i].path;
  return NULL;
}

void fh_rule_amd_atomics(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_pci_device *gpu;
  if (judgement->expects[FH_AMD_GPU].level == FH_EXPECT_NONE || !topology_is_whole(f)) return;
  for (int i = 0; (gpu = fh_pci_next(f, FH_AMD_GPU, &i));) {
    fh_case c = fh_case_open(judgement, cause);
    const char *render = render_of(f, gpu->address);
    if (kfd_at(f, gpu->address) || !gpu->driver || strcmp(gpu->driver, "amdgpu") != 0 || !render) continue;
    fh_case_saw(&c, true, gpu->source, "%04x:%04x, bound to amdgpu, with %s", (unsigned)gpu->vendor, (unsigned)gpu->device & 0xffff,
                render);
    fh_case_saw(&c, true, "/sys/class/kfd/kfd/topology/nodes", "%d entries, none of them this GPU", f->amd.kfd_count);
    if (in_question(judgement))
      fh_case_device(&c, FH_AMD_GPU, FH_CONSISTENT, "%s works for graphics, but the kernel's compute driver left it out", gpu->address);
    else
      fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, fh_arena_format(judgement->arena, "amd:%s", gpu->address),
                       "%s works for graphics only: the kernel's compute driver left it out", gpu->address);
  }
}

/* Nothing of AMD's, on a machine that shows its hardware. */
static bool no_hardware(const fh_facts *f) {
  int index = 0;
  return f->pci.valid == FH_VALID && !fh_pci_next(f, FH_AMD_GPU, &index) && f->amd.topology == FH_ABSENT && f->pci.unread == 0;
}

void fh_rule_amd_no_kfd(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *kfd = kfd_of(f);
  int gpus = fh_kfd_gpus(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) || fh_kernel_is_wsl(f) || !fh_case_saw(&c, kfd->valid == FH_ABSENT, kfd->path, "ENOENT")) return;
  bool hardware = saw_gpu(&c);
  saw_init(&c);
  if (fh_case_saw(&c, f->amd.topology == FH_VALID && gpus > 0, "/sys/class/kfd/kfd/topology/nodes", "%d GPUs: the kernel's driver runs",
                  gpus))
    fh_case_device(&c, FH_AMD_GPU, FH_CONSISTENT,
                   f->where.container ? "/dev/kfd was not passed into this container, the machine has it"
                                      : "the kernel's compute driver runs, but /dev/kfd was not made");
  else if (hardware && fh_platform_shows_module(f) && fh_case_saw(&c, fh_is_false(f->amd.module), f->amd.module.source, "absent"))
    fh_case_device(&c, FH_AMD_GPU, FH_CONSISTENT, "the %skernel has no amdgpu module loaded", f->where.container ? "host's " : "");
  else if (hardware && fh_is_true(f->amd.module) && fh_case_saw(&c, f->amd.topology == FH_ABSENT, "/sys/class/kfd", "absent"))
    fh_case_device(&c, FH_AMD_GPU, FH_CONSISTENT, "amdgpu is loaded, but this kernel was built without its compute part (HSA_AMD)");
  else if (no_hardware(f) && fh_case_saw(&c, true, "asked", "%s", judgement->expects[FH_AMD_GPU].source))
    fh_case_device(&c, FH_AMD_GPU, f->pci.all_count > 0 ? FH_CONSISTENT : FH_POSSIBLE,
                   "an AMD GPU is asked for, but this machine shows none");
}

/* ---- opening /dev/kfd -------------------------------------------------------------------------------------------- */

static bool is_denied(const fh_node *node) {
  return node->valid == FH_VALID && node->is_char && node->open_errno == EACCES && !node->nodev;
}

static bool saw_denied(fh_case *c, const fh_node *node) {
  return fh_case_saw(c, is_denied(node), node->path, "EACCES; mode %04o, owner %u:%u", (unsigned)(node->st.mode & 07777),
                     (unsigned)node->st.uid, (unsigned)node->st.gid);
}

static const char *groups_text(fh_judgement *judgement) {
  const fh_os_identity *id = &judgement->facts->where.id;
  const char *text = fh_arena_format(judgement->arena, "uid %u, groups %u", id->uid, id->gid);
  for (int i = 0; i < id->gid_count && i < 16; i++)
    if (id->gids[i] != id->gid) text = fh_arena_format(judgement->arena, "%s %u", text, id->gids[i]);
  return text;
}

/* /dev/kfd, or the first render node when that one opens. */
static const fh_node *denied_node(const fh_facts *f) {
  const fh_node *node = kfd_of(f);
  if (is_denied(node)) return node;
  if (!kfd_opens(f) || fh_renders_open(f, FH_VENDOR_AMD) > 0) return NULL;
  for (int i = 0; (node = fh_render_next(f, FH_VENDOR_AMD, &i));)
    if (is_denied(node)) return node;
  return NULL;
}

void fh_rule_amd_gid_map(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *node = denied_node(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) || !node || !fh_group_is_unmapped(f, node) || !saw_denied(&c, node)) return;
  fh_case_saw(&c, f->where.gid_map.valid == FH_VALID, "/proc/self/gid_map", "%s", f->where.gid_map.value);
  fh_case_saw(&c, f->where.id_valid, "this process", "%s", groups_text(judgement));
  saw_init(&c);
  fh_case_device(&c, FH_AMD_GPU, FH_CONSISTENT, "the group that owns %s does not exist in this user namespace, and was not kept",
                 node->path);
}

void fh_rule_amd_kfd_perm(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *node = kfd_of(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) || !f->where.id_valid || node->dac_allows || fh_group_is_unmapped(f, node) || !saw_denied(&c, node)) return;
  fh_case_saw(&c, true, "this process", "%s", groups_text(judgement));
  saw_init(&c);
  fh_case_device(&c, FH_AMD_GPU, FH_CONSISTENT, "/dev/kfd belongs to group %u, which this process is not in", (unsigned)node->st.gid);
}

/* What an errno of opening /dev/kfd means when permission bits are not the reason. */
static const struct kfd_error {
  int number;
  fh_confidence confidence;
  const char *meaning;
} kfd_errors[] = {
    {EPERM, FH_CONSISTENT, "refused by a device filter (cgroup), or by the driver itself"},
    {ENXIO, FH_CONSISTENT, "there is no driver behind this device number"},
    {ENODEV, FH_CONSISTENT, "the driver is not ready, or the GPU is gone"},
    {ENOMEM, FH_POSSIBLE, "the driver could not set up this process: a GPU that it does not support?"},
    {EINVAL, FH_POSSIBLE, "the driver refused this process; its reason is in dmesg"},
    {EACCES, FH_POSSIBLE, "the permission bits allow it: a security module (SELinux, AppArmor) refuses"},
};

static const struct kfd_error *kfd_error_of(int number) {
  static const struct kfd_error other = {0, FH_POSSIBLE, "not an answer that an open usually gives"};
  for (size_t i = 0; i < sizeof(kfd_errors) / sizeof(kfd_errors[0]); i++)
    if (kfd_errors[i].number == number) return &kfd_errors[i];
  return &other;
}

void fh_rule_amd_kfd_errno(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *kfd = kfd_of(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) || kfd->valid != FH_VALID || (kfd->is_char && kfd->open_errno == 0)) return;
  if (fh_case_saw(&c, !kfd->is_char, kfd->path, "not a device: a file of %lld bytes", (long long)kfd->st.size)) {
    fh_case_device(&c, FH_AMD_GPU, FH_PROVEN, "/dev/kfd is not a device node");
    return;
  }
  if (fh_case_saw(&c, kfd->nodev && kfd->open_errno == EACCES, kfd->path, "EACCES; mounted nodev at %s",
                  kfd->mount ? kfd->mount->point : "?")) {
    fh_case_device(&c, FH_AMD_GPU, FH_PROVEN, "/dev/kfd lies on a mount with the option nodev, which forbids devices");
    return;
  }
  if (kfd->open_errno == EACCES && (!kfd->dac_allows || !f->where.id_valid || fh_group_is_unmapped(f, kfd))) return; /* permission */
  const struct kfd_error *error = kfd_error_of(kfd->open_errno);
  fh_case_saw(&c, true, kfd->path, "%s, mode %04o, device number %u:%u", fh_errno_name(kfd->open_errno), (unsigned)(kfd->st.mode & 07777),
              kfd->st.rdev_major, kfd->st.rdev_minor);
  bool stale = fh_case_saw(&c, kfd->expected_major >= 0 && kfd->st.rdev_major != (unsigned)kfd->expected_major, "/proc/devices", "%d kfd",
                           kfd->expected_major);
  saw_init(&c);
  if (stale)
    fh_case_device(&c, FH_AMD_GPU, FH_PROVEN, "/dev/kfd has device number %u, the kernel's is %d since the last boot", kfd->st.rdev_major,
                   kfd->expected_major);
  else
    fh_case_device(&c, FH_AMD_GPU, error->number == EPERM && !f->where.container ? FH_POSSIBLE : error->confidence,
                   "opening /dev/kfd fails with %s: %s", fh_errno_name(kfd->open_errno), error->meaning);
}

/* ---- render nodes -------------------------------------------------------------------------------------------------- */

/* The render node that belongs to an entry of the KFD's list; NULL: not known. */
static const fh_node *render_node(fh_judgement *judgement, const fh_kfd_node *kfd) {
  if (kfd->render_minor < 0) return NULL;
  const fh_node *node = fh_facts_node(judgement->facts, fh_arena_format(judgement->arena, "/dev/dri/renderD%d", kfd->render_minor));
  return *node->path ? node : NULL;
}

void fh_rule_amd_render_missing(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!in_question(judgement) || !kfd_opens(f) || f->amd.topology != FH_VALID) return;
  int lacking = 0;
  for (int i = 0; i < f->amd.kfd_count; i++) {
    const fh_kfd_node *kfd = &f->amd.kfd[i];
    const char *properties = fh_arena_format(judgement->arena, "%s/properties", kfd->path);
    if (fh_case_saw(&c, kfd->properties_errno == EPERM, properties, "EPERM: the device filter refuses this GPU's render node")) {
      lacking++;
      continue;
    }
    const fh_node *node = kfd->simd_count > 0 ? render_node(judgement, kfd) : NULL;
    if (kfd->simd_count <= 0) continue;
    if (!node || node->valid == FH_UNKNOWN_FACT || node->open_errno == 0) return; /* this one can be used, or is not known */
    if (node->open_errno == EACCES && fh_group_is_unmapped(f, node)) return;      /* another cause */
    fh_case_saw(&c, true, node->path, "%s, though %s needs it", fh_errno_name(node->open_errno), kfd->path);
    lacking++;
  }
  if (!lacking) return;
  const fh_node *other;
  for (int i = 0; (other = fh_render_next(f, FH_VENDOR_AMD, &i));)
    fh_case_saw(&c, other->valid == FH_VALID && other->open_errno == 0, other->path, "opens, but no GPU of the KFD's list belongs to it");
  fh_case_device(&c, FH_AMD_GPU, FH_CONSISTENT, "/dev/kfd opens, but the render node that the GPU also needs cannot be used");
}

/* ---- software ---------------------------------------------------------------------------------------------------------- */

void fh_rule_amd_userland_missing(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *hsa = fh_facts_library(f, "libhsa-runtime64.so.1");
  fh_case c = fh_case_open(judgement, cause);
  if (in_question(judgement) && fh_case_saw(&c, kfd_opens(f), "/dev/kfd", "opens") &&
      fh_case_saw(&c, hsa->valid == FH_ABSENT, "libhsa-runtime64.so.1", "not found in %d places", hsa->searched_count) &&
      fh_case_saw(&c, !fh_rocm_library(f), "libamdhip64.so, /opt/rocm", "absent"))
    fh_case_device(&c, FH_AMD_GPU, FH_CONSISTENT, "the AMD GPU can be opened, but ROCm is not installed here");
}

/* HSA started and lists no GPU. */
static bool lists_none(fh_case *c) {
  const fh_runtime_answer *hsa = &c->facts->amd.hsa;
  return hsa->valid == FH_VALID &&
         fh_case_saw(c, hsa->init_code == 0 && hsa->list_code == 0 && fh_runtime_listed(hsa, "gpu") == 0, "hsa_iterate_agents", "no GPU");
}

void fh_rule_amd_visible_empty(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *list = fh_facts_env(f, "ROCR_VISIBLE_DEVICES"), *hip = fh_facts_env(f, "HIP_VISIBLE_DEVICES");
  fh_flip flip = fh_runtime_flip(&f->amd.hsa, &f->amd.hsa_unfiltered, "gpu");
  fh_case c = fh_case_open(judgement, cause);
  if (list && flip != FH_FLIP_SAME && (flip == FH_FLIP_FLIPPED || judgement->expects[FH_AMD_GPU].level > FH_EXPECT_NONE) &&
      fh_case_saw(&c, true, "ROCR_VISIBLE_DEVICES", "%s", *list ? list : "(set to nothing)") && lists_none(&c)) {
    fh_confidence confidence = fh_case_flip(&c, flip, "without ROCR_VISIBLE_DEVICES", FH_POSSIBLE);
    fh_case_device(&c, FH_AMD_GPU, confidence, "ROCR_VISIBLE_DEVICES%s%s: it hides every GPU", *list ? "=" : " is set and empty", list);
    return;
  }
  c = fh_case_open(judgement, cause);
  int usable = fh_runtime_usable(&f->amd.hsa, "gpu");
  if (usable > 0 && fh_case_saw(&c, hip && !*hip, "HIP_VISIBLE_DEVICES", "(set to nothing)") &&
      fh_case_saw(&c, true, "hsa_iterate_agents", "%d GPUs", usable))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "HIP_VISIBLE_DEVICES is empty, which hides nothing: unlike CUDA's and ROCr's");
}

/* How many of `count` devices a list of indexes leaves; HIP stops at the first that it does not know. -1: not only indexes. */
static int left_by(const char *list, int count) {
  int left = 0;
  for (const char *at = list; *at;) {
    int64_t index;
    if (*at == '-') return left;
    if (!fh_take_i64(&at, &index) || (*at && *at != ',')) return -1;
    if (index >= count) return left;
    left++;
    at += *at == ',';
  }
  return left;
}

void fh_rule_amd_visible_double(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *first = fh_facts_env(f, "ROCR_VISIBLE_DEVICES"), *hip = fh_facts_env(f, "HIP_VISIBLE_DEVICES");
  const char *name = fh_names_devices(hip) ? "HIP_VISIBLE_DEVICES" : "CUDA_VISIBLE_DEVICES", *second = fh_facts_env(f, name);
  int count = fh_runtime_listed(&f->amd.hsa, "gpu");
  fh_case c = fh_case_open(judgement, cause);
  if (fh_names_devices(first) && fh_names_devices(second) && count > 0 && left_by(second, count) == 0 &&
      fh_case_saw(&c, true, "ROCR_VISIBLE_DEVICES", "%s", first) &&
      fh_case_saw(&c, true, "hsa_iterate_agents", "%d GPU%s, numbered from 0 again", count, count == 1 ? "" : "s") &&
      fh_case_saw(&c, true, name, "%s", second))
    fh_case_conclude(&c, judgement->expects[FH_AMD_GPU].level == FH_EXPECT_USER ? FH_SEVERITY_ERROR : FH_SEVERITY_WARNING, FH_CONSISTENT,
                     NULL, "ROCR_VISIBLE_DEVICES leaves %d GPU%s, and %s=%s names none of them: HIP programs see no GPU", count,
                     count == 1 ? "" : "s", name, second);
}

/* ---- what the runtime does ------------------------------------------------------------------------------------------------ */

/* 0: none. */
static int major_of(const char *version) {
  int64_t major = 0;
  return fh_take_i64(&version, &major) && major >= 0 && major < INT32_MAX ? (int)major : 0;
}

void fh_rule_amd_old_kernel_hang(fh_judgement *judgement, const fh_cause *cause) {
  enum { NEW_ROCM = 7, ITS_KERNEL = 6 };
  const fh_facts *f = judgement->facts;
  const fh_runtime_answer *hsa = &f->amd.hsa;
  const fh_fact_text *rocm = &f->amd.rocm_version, *module = &f->amd.module_version;
  fh_case c = fh_case_open(judgement, cause);
  if (judgement->expects[FH_AMD_GPU].level == FH_EXPECT_NONE ||
      !fh_case_saw(&c, hsa->valid == FH_VALID && (hsa->hung || hsa->slow), *hsa->calling ? hsa->calling : "hsa_init",
                   hsa->hung ? "no answer in time, stuck in the kernel (state D) at %s" : "no answer in time, still running%s",
                   hsa->hung ? (*hsa->wchan ? hsa->wchan : "an unknown place") : ""))
    return;
  const char *driver = module->valid == FH_VALID ? module->value : f->where.kernel.value;
  bool new_rocm = fh_case_saw(&c, rocm->valid == FH_VALID, rocm->source, "ROCm %s", rocm->value) && major_of(rocm->value) >= NEW_ROCM;
  bool known = fh_case_saw(&c, module->valid == FH_VALID || f->where.kernel.valid == FH_VALID,
                           module->valid == FH_VALID ? module->source : "uname", "%s", driver);
  bool old = new_rocm && known && major_of(driver) < ITS_KERNEL;
  fh_case_device(&c, FH_AMD_GPU, old ? FH_CONSISTENT : FH_POSSIBLE,
                 old ? "ROCm %s does not get an answer from the kernel's driver %s, which is older than it needs"
                     : "AMD's runtime %s%s got no answer in time; the kernel's driver may be too old for it",
                 rocm->valid == FH_VALID ? rocm->value : "", old ? driver : "");
}

static bool has_kernels_for(const fh_facts_amd *amd, const char *model) {
  for (int i = 0; i < amd->blas_gfx_count; i++)
    if (strncmp(amd->blas_gfx[i], model, strcspn(model, ":")) == 0 && strlen(amd->blas_gfx[i]) == strcspn(model, ":")) return true;
  return false;
}

/* Another GPU that the libraries have code for: an integrated one beside it is often left alone. */
static bool has_better_gpu(const fh_facts *f) {
  const fh_runtime_answer *hsa = &f->amd.hsa;
  for (int i = 0; i < hsa->device_count; i++)
    if (hsa->devices[i].usable && strncmp(hsa->devices[i].model, "gfx", 3) == 0 && has_kernels_for(&f->amd, hsa->devices[i].model))
      return true;
  return false;
}

void fh_rule_amd_gfx_unsupported(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_runtime_answer *hsa = &f->amd.hsa;
  if (f->amd.blas_gfx_count == 0 || hsa->valid != FH_VALID || f->amd.blas_gfx_count == FH_MAX_GFX_NAMES) return;
  for (int i = 0; i < hsa->device_count; i++) {
    const char *model = hsa->devices[i].model;
    fh_case c = fh_case_open(judgement, cause);
    if (strncmp(model, "gfx", 3) != 0 || has_kernels_for(&f->amd, model)) continue;
    const char *override = fh_facts_env(f, "HSA_OVERRIDE_GFX_VERSION");
    fh_case_saw(&c, true, "hsa_agent_get_info", "%s is a %s", hsa->devices[i].name, model);
    fh_case_saw(&c, true, f->amd.blas_dir, "%d models, %s and others, not %s", f->amd.blas_gfx_count, f->amd.blas_gfx[0], model);
    fh_case_saw(&c, override != NULL, "HSA_OVERRIDE_GFX_VERSION", "%s", override ? override : "");
    fh_case_conclude(&c, has_better_gpu(f) ? FH_SEVERITY_INFO : FH_SEVERITY_WARNING, FH_CONSISTENT, NULL,
                     "rocBLAS has no code for %s, so programs that multiply matrices fail on it", model);
  }
}

void fh_rule_amd_seccomp(fh_judgement *judgement, const fh_cause *cause) {
  enum { FILTERED = 2 };
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_runtime_listed(&f->amd.hsa, "gpu") > 0 &&
      fh_case_saw(&c, f->where.seccomp.valid == FH_VALID && f->where.seccomp.value == FILTERED, "/proc/self/status", "Seccomp: 2") &&
      fh_case_saw(&c, *f->amd.hsa.refused, f->amd.hsa.refused, "EPERM"))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_POSSIBLE, NULL, "the seccomp filter refuses %s, which ROCm uses to place and share memory",
                     f->amd.hsa.refused);
}
