/* Rules about what was granted to a container or job, against what is here. SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "detect/arena.h"
#include "detect/gather.h"
#include "detect/parse.h"
#include "detect/rules/rules.h"

static const char device_files_dir[] = "/var/run/nvidia-container-devices";

static bool in_pod(const fh_facts *f) { return f->where.platform == FH_PLATFORM_KUBERNETES; }

/* ---- more than was granted ----------------------------------------------------------------------------------- */

/* A list that names single GPUs, as a grant does. */
static bool names_single_gpus(const char *list) { return list && list[0] && list[0] != '/' && !fh_word_in(list, ",", "all"); }

static int count_items(const char *list) {
  int count = 1;
  for (; *list; list++) count += *list == ',';
  return count;
}

/* GPUs that work here; -1: not known. */
static int gpus_seen(const fh_facts *f) {
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  return cuda->valid == FH_VALID && !cuda->fake && cuda->count >= 0 ? cuda->count : -1;
}

static void saw_privileged(fh_case *c) {
  enum { CAP_SYS_ADMIN_BIT = 21, CAP_SYS_RAWIO_BIT = 17 };
  const fh_os_identity *id = &c->facts->where.id;
  bool all = c->facts->where.id_valid && (id->cap_effective >> CAP_SYS_ADMIN_BIT & 1) && (id->cap_effective >> CAP_SYS_RAWIO_BIT & 1);
  fh_case_saw(c, all && c->facts->where.container, "/proc/self/status", "CapEff %llx: a privileged container, which is given every device",
              (unsigned long long)id->cap_effective);
}

static void warn_of_more(fh_case *c, int granted, const char *by) {
  int seen = gpus_seen(c->facts);
  if (granted < 0 || !fh_case_saw(c, seen > granted, "CUDA driver", "%d GPU%s", seen, seen == 1 ? "" : "s")) return;
  saw_privileged(c);
  fh_case_conclude(c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "%d GPU%s can be used here, %d %s granted (%s)", seen, seen == 1 ? "" : "s",
                   granted, granted == 1 ? "was" : "were", by);
}

void fh_rule_k8s_all_leak(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *list = fh_facts_env(f, "NVIDIA_VISIBLE_DEVICES"), *mark = fh_toolkit_mark(f);
  const fh_fact_int *files = &f->sandbox.device_files;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_case_saw(&c, in_pod(f), f->where.platform_source, "%s", f->where.platform_name)) return;
  if (fh_case_saw(&c, files->valid == FH_VALID, files->source, "%lld GPU(s) granted by the device plugin", (long long)files->value))
    warn_of_more(&c, (int)files->value, device_files_dir);
  else if (names_single_gpus(list) && fh_env_asks_for_gpus(f) && fh_case_saw_variable(&c, "NVIDIA_VISIBLE_DEVICES"))
    warn_of_more(&c, count_items(list), "NVIDIA_VISIBLE_DEVICES");
  else if (files->valid == FH_ABSENT && fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "all") &&
           fh_case_saw(&c, true, "NVIDIA_VISIBLE_DEVICES", "all: a value of the image; a device plugin would have named the GPUs") &&
           fh_case_saw(&c, mark != NULL, mark, "NVIDIA's runtime acted on it"))
    warn_of_more(&c, 0, "no resource nvidia.com/gpu");
}

/* GPUs of this node in a Slurm job or step; -1: not a job with a list. The list of a job is that of its first node; what Slurm
 * counts on this node may be more. */
static int granted_by_slurm(const fh_facts *f, const char **out_name) {
  static const char *const names[] = {"SLURM_STEP_GPUS", "SLURM_JOB_GPUS"};
  const char *on_node = fh_facts_env(f, "SLURM_GPUS_ON_NODE");
  int64_t counted = 0;
  if (!on_node || !fh_parse_i64(on_node, &counted) || counted > FH_CPULIST_MAX) counted = 0;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const char *list = fh_facts_env(f, names[i]);
    int count = list && list[0] ? fh_cpulist_count(list) : -1;
    *out_name = names[i];
    if (count > 0) return counted > count ? (int)counted : count;
  }
  return -1;
}

void fh_rule_more_than_granted(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *list = fh_facts_env(f, "NVIDIA_VISIBLE_DEVICES"), *name;
  int by_slurm = granted_by_slurm(f, &name);
  fh_case c = fh_case_open(judgement, cause);
  if (in_pod(f)) return;
  if (by_slurm > 0 && fh_case_saw_variable(&c, name))
    warn_of_more(&c, by_slurm, name);
  else if (fh_container_by_engine(f) && names_single_gpus(list) && fh_env_asks_for_gpus(f) && fh_toolkit_mark(f) &&
           fh_case_saw_variable(&c, "NVIDIA_VISIBLE_DEVICES"))
    warn_of_more(&c, count_items(list), "NVIDIA_VISIBLE_DEVICES");
}

/* ---- names of GPUs that lead to none ----------------------------------------------------------------------------- */

static size_t digits_at(const char *text, size_t size) {
  size_t count = 0;
  while (count < size && isdigit((unsigned char)text[count])) count++;
  return count;
}

static bool is_uuid(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (!isxdigit((unsigned char)text[i]) && text[i] != '-') return false;
  return size > 0;
}

static bool is_past_the_last(const char *index, int here) {
  int64_t number = 0;
  return here > 0 && fh_take_i64(&index, &number) && number >= here;
}

/* What is wrong with one name of a list; NULL: nothing that can be told from its looks. */
static const char *wrong_with(const fh_facts *f, const char *name, size_t size) {
  size_t digits = digits_at(name, size);
  int here = f->pci.valid == FH_VALID && f->pci.unread == 0 && fh_is_false(f->pci.masked) ? fh_nvidia_gpu_count(f) : 0;
  if (size == 0) return "an empty name in the list";
  if (digits == size) return is_past_the_last(name, here) ? "an index past the last GPU of this machine" : NULL;
  if (digits && name[digits] == ':' && digits + 1 < size && digits_at(name + digits + 1, size - digits - 1) == size - digits - 1)
    return NULL;
  if (memchr(name, '=', size)) return NULL; /* a whole name of a CDI device */
  if (size > 8 && memcmp(name, "MIG-GPU-", 8) == 0) return "a name of a GPU slice as drivers before 470 gave it";
  if (size > 4 && (memcmp(name, "GPU-", 4) == 0 || memcmp(name, "MIG-", 4) == 0) && is_uuid(name + 4, size - 4)) return NULL;
  return "neither an index nor a UUID (GPU-..., MIG-...)";
}

bool fh_named_gpus_missing(const fh_facts *f) {
  const char *list = fh_facts_env(f, "NVIDIA_VISIBLE_DEVICES");
  return fh_container_by_engine(f) && fh_env_asks_for_gpus(f) && names_single_gpus(list) && fh_toolkit_mark(f) &&
         fh_nvidia_numbered_present(f) == 0 && fh_facts_node(f, "/dev/nvidia0")->valid == FH_ABSENT;
}

void fh_rule_nvd_bad_id(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const char *list = fh_facts_env(f, "NVIDIA_VISIBLE_DEVICES");
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || !fh_container_by_engine(f) || !fh_env_asks_for_gpus(f) || strcmp(list, device_files_dir) == 0 ||
      fh_word_in(list, ",", "all") || fh_nvidia_numbered_present(f) > 0 || fh_facts_node(f, "/dev/nvidia0")->valid != FH_ABSENT)
    return;
  fh_case_saw_variable(&c, "NVIDIA_VISIBLE_DEVICES");
  const char *first = NULL;
  for (const char *at = list;; at++) {
    size_t size = strcspn(at, ",");
    const char *wrong = wrong_with(f, at, size), *name = fh_arena_text_size(judgement->arena, at, size);
    if (fh_case_saw(&c, wrong != NULL, "this name", "'%s': %s", name, wrong ? wrong : "") && !first) first = name;
    at += size;
    if (!*at) break;
  }
  fh_case_saw(&c, true, "/dev/nvidia0", "ENOENT, and no other card");
  if (first)
    fh_case_gpu(&c, FH_CONSISTENT, "NVIDIA_VISIBLE_DEVICES names '%s', which is no GPU of this machine", first);
  else if (fh_named_gpus_missing(f))
    fh_case_gpu(&c, FH_CONSISTENT, "NVIDIA_VISIBLE_DEVICES=%s was acted on, and none of these GPUs came in: the names fit no card", list);
}

/* ---- compose ---------------------------------------------------------------------------------------------------------- */

/* The name of a volume of Docker's that is mounted here and is made of two names, as compose makes them; NULL: none. */
static const char *composed_volume(fh_judgement *judgement, const char *project) {
  static const char folder[] = "/docker/volumes/";
  const fh_facts *f = judgement->facts;
  for (int i = 0; i < f->mount_count; i++) {
    const char *at = strstr(f->mounts[i].root, folder);
    if (!at) continue;
    at += sizeof(folder) - 1;
    size_t size = strcspn(at, "/"), prefix = project ? strlen(project) : 0;
    bool fits = project ? size > prefix && strncmp(at, project, prefix) == 0 && at[prefix] == '_' : memchr(at, '_', size) != NULL;
    if (fits && strncmp(at + size, "/_data", 6) == 0) return fh_arena_text_size(judgement->arena, at, size);
  }
  return NULL;
}

bool fh_started_by_compose(const fh_facts *f) {
  return f->where.platform == FH_PLATFORM_DOCKER && fh_facts_env(f, "COMPOSE_PROJECT_NAME") != NULL;
}

void fh_rule_compose_reservation(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  bool sure = fh_started_by_compose(f);
  const char *volume = composed_volume(judgement, fh_facts_env(f, "COMPOSE_PROJECT_NAME"));
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || f->where.platform != FH_PLATFORM_DOCKER || (!sure && !volume) ||
      fh_env_is(f, "NVIDIA_VISIBLE_DEVICES", "void") || fh_passed_over(f))
    return;
  fh_case_saw_variable(&c, "COMPOSE_PROJECT_NAME");
  fh_case_saw(&c, volume != NULL, "/proc/self/mountinfo", "the volume %s, named as compose names them", volume);
  if (!fh_case_host_has_gpu(&c, &confidence) || !fh_case_nothing_injected(&c)) return;
  fh_case_saw_variable(&c, "NVIDIA_VISIBLE_DEVICES");
  fh_case_gpu(&c, sure ? confidence : FH_POSSIBLE, "docker compose started this container, and its file reserves no GPU for the service");
}

/* ---- by design, or one level further out --------------------------------------------------------------------------------- */

bool fh_passed_over(const fh_facts *f) { return fh_is_true(f->sandbox.building) || fh_is_true(f->sandbox.nested); }

void fh_rule_build_time(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) ||
      !fh_case_saw(&c, fh_is_true(f->sandbox.building), f->sandbox.building.source, "a step of an image build") ||
      !fh_case_host_has_gpu(&c, &confidence) || !fh_case_nothing_injected(&c))
    return;
  /* What an image says about GPUs is meant for its containers; only the user can ask for one now. */
  fh_severity severity = judgement->expects[FH_NVIDIA_GPU].level == FH_EXPECT_USER ? FH_SEVERITY_ERROR : FH_SEVERITY_WARNING;
  fh_case_conclude(&c, severity, confidence, fh_family_in_words(FH_NVIDIA_GPU)->device,
                   "an image is being built here, and builds are given no GPU");
}

/* The inner engine would hand on what the outer one did not give. */
static void warn_of_inner_engine(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_mount *cover = fh_mount_at(f, "/proc/driver/nvidia");
  int here = fh_nvidia_gpu_count(f);
  fh_case c = fh_case_open(judgement, cause);
  if (fh_case_saw(&c, fh_is_true(f->sandbox.inner_engine), f->sandbox.inner_engine.source, "a container engine of its own runs in here") &&
      fh_case_saw(&c, cover && strcmp(cover->fstype, "tmpfs") == 0, "/proc/driver/nvidia", "covered: it lists the granted GPUs only") &&
      fh_case_saw(&c, f->nvidia.gpus_listed.valid == FH_VALID && f->nvidia.gpus_listed.value < here, "/sys/bus/pci/devices",
                  "%d NVIDIA GPUs, of which %lld were granted", here, (long long)f->nvidia.gpus_listed.value))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "containers started in here get a GPU only when they ask for one by its UUID");
}

void fh_rule_nested(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_confidence confidence;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && fh_container_by_engine(f) && !in_pod(f) && !fh_is_true(f->sandbox.building) &&
      fh_case_saw(&c, fh_is_true(f->sandbox.nested), f->sandbox.nested.source, "a container inside another one") &&
      fh_case_host_has_gpu(&c, &confidence) && fh_case_nothing_injected(&c))
    fh_case_gpu(&c, confidence, "the GPU was not passed on into this inner container");
  else
    warn_of_inner_engine(judgement, cause);
}

/* ---- Slurm -------------------------------------------------------------------------------------------------------------------- */

bool fh_slurm_without_gpu(const fh_facts *f) {
  const char *on_node = fh_facts_env(f, "SLURM_GPUS_ON_NODE"), *name;
  bool none = !on_node || !on_node[0] || strcmp(on_node, "0") == 0;
  return fh_facts_env(f, "SLURM_JOB_ID") && none && granted_by_slurm(f, &name) < 0;
}

void fh_rule_slurm_no_gpu(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_gpu_in_question(judgement) || !fh_slurm_without_gpu(f)) return;
  fh_case_saw_variable(&c, "SLURM_JOB_ID");
  fh_case_saw(&c, true, "SLURM_JOB_GPUS, SLURM_STEP_GPUS, SLURM_GPUS_ON_NODE", "not set: the job was given no GPU");
  int refused = fh_case_refused_cards(&c);
  if (refused > 0 && refused == fh_nvidia_numbered_present(f))
    fh_case_gpu_by_choice(&c, FH_CONSISTENT, "this Slurm job was given no GPU, so the device filter of the job refuses every card");
}
