/* Rules about sandboxes and security modules. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/arena.h"
#include "detect/gather.h"
#include "detect/parse.h"
#include "detect/rules/rules.h"

/* ---- EACCES that neither bits nor mounts explain ------------------------------------------------------------------- */

/* Keeps the nodes that only a security module can have refused; gives their number. */
static int saw_unexplained(fh_case *c) {
  const fh_facts *f = c->facts;
  const fh_node *node;
  int count = 0;
  if (!f->where.id_valid || f->mounts_valid != FH_VALID) return 0;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));)
    count += fh_case_saw(c, node->is_char && node->open_errno == EACCES && node->dac_allows && node->mount && !node->nodev, node->path,
                         "EACCES, though mode %04o lets this process in", (unsigned)(node->st.mode & 07777));
  return count;
}

/* "user:role:type:level" of SELinux, with a type that confines. */
static bool is_selinux_label(const char *label) {
  const char *role = strchr(label, ':'), *type = role ? strchr(role + 1, ':') : NULL;
  return type && strncmp(type, ":unconfined_t", 13) != 0 && strncmp(type, ":spc_t", 6) != 0;
}

static bool is_apparmor_label(const char *label) { return strstr(label, " (enforce)") != NULL; }

/* Profiles that engines give to every container; they do not speak of GPUs. */
static bool is_usual_profile(const char *label) {
  static const char *const usual[] = {"docker-default", "cri-containerd", "crio-default", "containers-default", "lxc-container-default"};
  for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
    if (strncmp(label, usual[i], strlen(usual[i])) == 0) return true;
  return false;
}

void fh_rule_selinux(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_text *label = &f->sandbox.label;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || f->where.platform == FH_PLATFORM_SNAP || label->valid != FH_VALID || saw_unexplained(&c) == 0)
    return;
  if (fh_case_saw(&c, is_selinux_label(label->value), label->source, "%s", label->value)) {
    if (fh_is_false(f->sandbox.selinux_enforcing)) return;
    fh_case_saw(&c, fh_is_true(f->sandbox.selinux_enforcing), f->sandbox.selinux_enforcing.source,
                "1: SELinux refuses what its rules do not allow");
    fh_case_gpu(&c, FH_CONSISTENT, "%s is refused by SELinux: containers may not use devices by its rules", c.evidence[0].source);
  } else if (fh_case_saw(&c, is_apparmor_label(label->value), label->source, "%s", label->value)) {
    fh_case_gpu(&c, is_usual_profile(label->value) ? FH_POSSIBLE : FH_CONSISTENT,
                "%s is refused, it seems by the AppArmor profile of this process", c.evidence[0].source);
  }
}

/* ---- system calls ------------------------------------------------------------------------------------------------------ */

static bool refused(fh_trial trial) { return trial.valid == FH_VALID && trial.value != 0; }

static const char *outcome(fh_case *c, fh_trial trial) {
  if (trial.value < 0) return fh_arena_format(c->judgement->arena, "ends the process with signal %lld", -(long long)trial.value);
  return fh_errno_name((int)trial.value);
}

static bool saw_trial(fh_case *c, fh_trial trial, const char *what) {
  return fh_case_saw(c, refused(trial), what, "%s", outcome(c, trial));
}

static const char *saw_refused_call(fh_case *c) {
  const fh_facts_sandbox *s = &c->facts->sandbox;
  bool memfd = saw_trial(c, s->memfd, "trying memfd_create");
  bool comm = saw_trial(c, s->comm, "trying to write /proc/self/task/*/comm");
  bool ioctl = saw_trial(c, s->ioctl, "trying an ioctl");
  return memfd ? "memfd_create" : comm ? "writing the names of its threads" : ioctl ? "ioctl" : NULL;
}

static bool all_allowed(const fh_facts_sandbox *s) {
  return s->memfd.valid == FH_VALID && s->comm.valid == FH_VALID && s->ioctl.valid == FH_VALID && !refused(s->memfd) && !refused(s->comm) &&
         !refused(s->ioctl);
}

static void blame_landlock(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_text *label = &f->sandbox.label;
  fh_case c = fh_case_open(judgement, cause);
  bool no_module = label->valid == FH_ABSENT || (label->valid == FH_VALID && strcmp(label->value, "unconfined") == 0);
  if (no_module && saw_unexplained(&c) > 0 &&
      fh_case_saw(&c, fh_is_true(f->where.no_new_privs), f->where.no_new_privs.source, "NoNewPrivs 1, as Landlock needs it") &&
      fh_case_saw(&c, true, label->source, "neither SELinux nor AppArmor confines this process"))
    fh_case_gpu(&c, FH_POSSIBLE, "%s is refused, it seems by a Landlock policy", c.evidence[0].source);
}

void fh_rule_landlock_seccomp(fh_judgement *judgement, const fh_cause *cause) {
  enum { OPERATING_SYSTEM = 304 };
  const fh_facts *f = judgement->facts;
  int code = fh_cuda_code(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement)) return;
  if (code != OPERATING_SYSTEM || !fh_case_saw(&c, true, "CUDA driver", "304 CUDA_ERROR_OPERATING_SYSTEM")) {
    blame_landlock(judgement, cause);
    return;
  }
  const char *call = saw_refused_call(&c);
  fh_case_saw(&c, f->where.seccomp.valid == FH_VALID && f->where.seccomp.value == 2, f->where.seccomp.source,
              "Seccomp 2: a filter is in force");
  if (call)
    fh_case_gpu(&c, FH_CONSISTENT, "CUDA fails with 304, and this sandbox forbids what its driver needs: %s", call);
  else if (!all_allowed(&f->sandbox) && f->where.seccomp.valid == FH_VALID && f->where.seccomp.value == 2)
    fh_case_gpu(&c, FH_POSSIBLE, "CUDA fails with 304, an operation that the system refused, and a filter of system calls is in force");
}

/* ---- Apptainer ----------------------------------------------------------------------------------------------------------- */

static bool node_absent(const fh_facts *f, const char *path) { return fh_facts_node(f, path)->valid == FH_ABSENT; }

/* A /dev of its own in memory, instead of the machine's. */
static bool has_own_dev(const fh_facts *f) {
  const fh_mount *dev = fh_mount_at(f, "/dev");
  return dev && strcmp(dev->fstype, "tmpfs") == 0;
}

static bool saw_missing_nodes(fh_case *c) {
  const fh_facts *f = c->facts;
  bool control = fh_case_saw(c, node_absent(f, "/dev/nvidiactl"), "/dev/nvidiactl", "ENOENT");
  bool uvm = fh_case_saw(c, node_absent(f, "/dev/nvidia-uvm") && fh_is_true(f->nvidia.uvm_registered), "/dev/nvidia-uvm",
                         "ENOENT, though the kernel has the module");
  bool card =
      fh_case_saw(c, node_absent(f, "/dev/nvidia0") && fh_nvidia_numbered_present(f) == 0, "/dev/nvidia0", "ENOENT, and no other card");
  return control || uvm || card;
}

bool fh_sandbox_withholds_nodes(const fh_facts *f) {
  return f->where.platform == FH_PLATFORM_FLATPAK || (f->where.platform == FH_PLATFORM_APPTAINER && has_own_dev(f));
}

bool fh_sandbox_brings_libraries(const fh_facts *f) {
  return f->where.platform == FH_PLATFORM_FLATPAK || f->where.platform == FH_PLATFORM_SNAP || f->where.platform == FH_PLATFORM_KATA;
}

void fh_rule_apptainer_contain(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) &&
      fh_case_saw(&c, f->where.platform == FH_PLATFORM_APPTAINER, f->where.platform_source, "%s", f->where.platform_name) &&
      fh_case_saw(&c, library->valid == FH_VALID, library->path, "present: --nv was given") &&
      fh_case_saw(&c, has_own_dev(f), "/proc/self/mountinfo", "/dev is a tmpfs of this container, not the machine's /dev") &&
      fh_case_saw(&c, fh_is_true(f->nvidia.module_loaded), f->nvidia.module_loaded.source, "the machine's driver is loaded") &&
      saw_missing_nodes(&c))
    fh_case_gpu(&c, FH_CONSISTENT, "Apptainer gave this container a /dev of its own, without the GPU's device files");
}

/* ---- flatpak and snap ---------------------------------------------------------------------------------------------------------- */

/* Value of a key in the group [Context] and the like of /.flatpak-info; NULL: no such line. */
static const char *flatpak_value(fh_judgement *judgement, const char *key) {
  size_t size;
  const char *value = fh_key_value(judgement->facts->sandbox.flatpak.value, key, '=', &size);
  return value ? fh_arena_text_size(judgement->arena, value, size) : NULL;
}

/* "550.54.14" out of "...GL.nvidia-550-54-14=..."; NULL: the application has no extension for NVIDIA's driver. */
static const char *extension_version(fh_judgement *judgement, const char *extensions) {
  static const char name[] = ".GL.nvidia-";
  const char *at = extensions ? strstr(extensions, name) : NULL;
  if (!at) return NULL;
  at += sizeof(name) - 1;
  char version[32];
  size_t size = strspn(at, "0123456789-");
  if (size == 0 || size >= sizeof(version)) return NULL;
  for (size_t i = 0; i < size; i++) version[i] = at[i] == '-' ? '.' : at[i];
  return fh_arena_text_size(judgement->arena, version, size);
}

static void blame_flatpak(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_fact_text *info = &f->sandbox.flatpak;
  const char *devices = flatpak_value(judgement, "devices"),
             *version = extension_version(judgement, flatpak_value(judgement, "runtime-extensions"));
  fh_case c = fh_case_open(judgement, cause);
  if (info->valid != FH_VALID || fh_is_false(f->nvidia.module_loaded)) return;
  bool all = devices && fh_word_in(devices, ";", "all");
  if (fh_case_saw(&c, !all, info->source, "devices=%s", devices ? devices : "(none)") && saw_missing_nodes(&c)) {
    fh_case_gpu(&c, FH_CONSISTENT, "this flatpak application was not given the GPU's device files");
  } else if (fh_case_saw(&c, version && f->nvidia.nvrm_version.valid == FH_VALID && strcmp(version, f->nvidia.nvrm_version.value) != 0,
                         info->source, "driver extension %s", version ? version : "") &&
             fh_case_saw(&c, true, f->nvidia.nvrm_version.source, "%s", f->nvidia.nvrm_version.value)) {
    fh_case_gpu(&c, FH_CONSISTENT, "flatpak's copy of the driver library is version %s, the kernel's driver %s", version,
                f->nvidia.nvrm_version.value);
  } else if (fh_case_saw(&c, !version && fh_facts_library(f, "libcuda.so.1")->valid == FH_ABSENT, info->source,
                         "no driver extension for NVIDIA") &&
             fh_case_saw(&c, true, "libcuda.so.1", "not found")) {
    fh_case_gpu(&c, FH_CONSISTENT, "flatpak has no copy of NVIDIA's driver library for this application");
  }
}

/* A snap sees the machine's nodes; what is not connected is refused by its device filter or its AppArmor profile. */
static void blame_snap(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_node *node;
  fh_case c = fh_case_open(judgement, cause);
  fh_case_saw_variable(&c, "SNAP_NAME");
  int refused_count = 0;
  for (int i = 0; (node = fh_nvidia_node_next(f, &i));)
    refused_count +=
        fh_case_saw(&c, node->is_char && (node->open_errno == EPERM || (node->open_errno == EACCES && node->dac_allows && !node->nodev)),
                    node->path, "%s", fh_errno_name(node->open_errno));
  if (refused_count)
    fh_case_gpu(&c, FH_CONSISTENT, "this snap may not open the GPU's device files: an interface is not connected");
  else if (fh_nvidia_numbered_present(f) > 0 &&
           fh_case_saw(&c, fh_facts_library(f, "libcuda.so.1")->valid == FH_ABSENT, "libcuda.so.1", "not found"))
    fh_case_gpu(&c, FH_POSSIBLE, "this snap may open the GPU and does not see the driver's library");
}

void fh_rule_flatpak_snap(fh_judgement *judgement, const fh_cause *cause) {
  if (!fh_gpu_in_question(judgement)) return;
  if (judgement->facts->where.platform == FH_PLATFORM_FLATPAK) blame_flatpak(judgement, cause);
  if (judgement->facts->where.platform == FH_PLATFORM_SNAP) blame_snap(judgement, cause);
}

/* ---- systemd -------------------------------------------------------------------------------------------------------------------- */

static void note_generated_code(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (saw_trial(&c, f->sandbox.exec_map, "trying to execute memory that was written") &&
      fh_case_saw(&c, true, f->where.platform_source, "%s", f->where.platform_name))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "this service may not generate code (MemoryDenyWriteExecute): programs that translate kernels fail");
}

void fh_rule_systemd_sandbox(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_case_saw(&c, f->where.platform == FH_PLATFORM_SYSTEMD_SERVICE, f->where.platform_source, "%s", f->where.platform_name)) return;
  fh_case devices = c;
  if (fh_gpu_in_question(judgement) &&
      fh_case_saw(&devices, has_own_dev(f), "/proc/self/mountinfo", "/dev is a tmpfs of this service (PrivateDevices=yes)") &&
      fh_case_saw(&devices, fh_is_true(f->nvidia.module_loaded), f->nvidia.module_loaded.source, "the machine's driver is loaded") &&
      fh_case_saw(&devices, fh_nvidia_nodes_absent(f), "/dev/nvidiactl, /dev/nvidia-uvm, /dev/nvidia0", "ENOENT"))
    fh_case_gpu(&devices, FH_CONSISTENT, "this service has a /dev of its own, without the GPU (PrivateDevices=yes)");
  else if (fh_gpu_in_question(judgement) && fh_case_refused_nodes(&c) > 0)
    fh_case_gpu(&c, fh_may_be_no_filter(f) ? FH_POSSIBLE : FH_CONSISTENT,
                "%s is refused (EPERM) by the device filter of this service (DevicePolicy, DeviceAllow)", c.evidence[1].source);
  note_generated_code(judgement, cause);
}
