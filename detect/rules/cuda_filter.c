/* Rules about CUDA_VISIBLE_DEVICES and the numbering of GPUs. SPDX-License-Identifier: Apache-2.0 */
#include "detect/cuda_filter.h"

#include <string.h>

#include "detect/rules/rules.h"

static const char variable[] = "CUDA_VISIBLE_DEVICES", without_variable[] = "without CUDA_VISIBLE_DEVICES";

static fh_flip unfiltered(const fh_facts *f) { return fh_cuda_flip(f, FH_CUDA_UNFILTERED); }

/* The driver works and shows no device. */
static bool no_device(fh_case *c) {
  const fh_cuda_answer *cuda = &c->facts->nvidia.cuda;
  return cuda->valid == FH_VALID &&
         (fh_case_saw(c, cuda->init_code == 100, "cuInit", "100 CUDA_ERROR_NO_DEVICE") ||
          fh_case_saw(c, cuda->init_code == 0 && (cuda->count_code == 100 || cuda->count == 0), "cuDeviceGetCount", "no device"));
}

void fh_rule_cvd_empty(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_gpu_in_question(judgement) && unfiltered(f) != FH_FLIP_SAME &&
      fh_case_saw(&c, fh_env_is(f, variable, ""), variable, "(set to nothing)") && no_device(&c))
    fh_case_gpu(&c, fh_case_flip(&c, unfiltered(f), without_variable, FH_POSSIBLE),
                "CUDA_VISIBLE_DEVICES is set and empty: it hides every GPU");
}

/* ---- a list that ends too early ------------------------------------------------------------------------------------- */

/* The list hides GPUs because of one entry. */
typedef struct cut {
  const char *list;
  fh_cuda_entry entries[FH_MAX_CUDA_ENTRIES];
  int count;
  const fh_cuda_entry *end; /* the entry to blame */
  int place;                /* of it, from 1 */
  bool all;                 /* nothing is left, else the first ones work */
} cut;

static const fh_cuda_answer *all_devices(const fh_facts *f) {
  const fh_cuda_answer *all = &f->nvidia.cuda_again[FH_CUDA_UNFILTERED];
  return all->valid == FH_VALID && all->count > 0 ? all : NULL;
}

/* With every GPU known, the entry that names none, several or one twice; else of an empty result the first. */
static const fh_cuda_entry *blamed_entry(const fh_facts *f, const cut *list) {
  const fh_cuda_answer *all = all_devices(f);
  const fh_cuda_entry *end = all ? fh_cuda_filter_end(list->entries, list->count, all) : NULL;
  return end ? end : list->all ? &list->entries[0] : NULL;
}

static bool list_is_cut(fh_case *c, cut *out) {
  const fh_facts *f = c->facts;
  const fh_cuda_answer *cuda = &f->nvidia.cuda;
  *out = (cut){.list = fh_facts_env(f, variable)};
  out->count = fh_cuda_filter_parse(out->list, out->entries);
  if (!out->count || cuda->valid != FH_VALID) return false;
  out->all = fh_gpu_in_question(c->judgement) && unfiltered(f) != FH_FLIP_SAME && no_device(c);
  bool part = cuda->count > 0 && cuda->count < out->count && unfiltered(f) == FH_FLIP_FLIPPED;
  if (!out->all && !part) return false;
  out->end = blamed_entry(f, out);
  if (!out->end) return false;
  out->place = (int)(out->end - out->entries) + 1;
  fh_case_saw(c, true, variable, "%s", out->list);
  return fh_case_saw(c, true, "entry to blame", "%d: '%.*s'", out->place, out->end->size, out->end->text);
}

static void conclude_cut(fh_case *c, const cut *list, fh_confidence most, const char *why) {
  const fh_facts *f = c->facts;
  fh_confidence confidence = fh_case_flip(c, unfiltered(f), without_variable, FH_POSSIBLE);
  if (confidence > most) confidence = most;
  if (list->all)
    fh_case_gpu(c, confidence, "CUDA_VISIBLE_DEVICES=%s names no GPU that is here: '%.*s' %s", list->list, list->end->size, list->end->text,
                why);
  else
    fh_case_conclude(c, FH_SEVERITY_WARNING, confidence, "cuda",
                     "CUDA_VISIBLE_DEVICES=%s shows %d GPU%s: entry %d, '%.*s', %s, and ends the list", list->list, f->nvidia.cuda.count,
                     f->nvidia.cuda.count == 1 ? "" : "s", list->place, list->end->size, list->end->text, why);
}

/* ---- whose entry it is ------------------------------------------------------------------------------------------------ */

/* A batch system or the like that sets the variable for its jobs; NULL: no sign of one. */
static const char *scheduler_mark(const fh_facts *f) {
  static const char *const marks[] = {"SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_JOB_ID", "RAY_JOB_ID",
                                      "PBS_JOBID",      "LSB_JOBID",       "_CONDOR_SLOT"};
  for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
    if (fh_facts_env(f, marks[i])) return marks[i];
  return NULL;
}

static bool is_text(const fh_cuda_entry *entry, const char *text) {
  return (size_t)entry->size == strlen(text) && strncmp(entry->text, text, (size_t)entry->size) == 0;
}

/* Entries that job schedulers write: numbers of the whole machine, and a word for "this job has no GPU". */
static bool could_be_inherited(const fh_facts *f, const cut *list) {
  return scheduler_mark(f) && (list->end->kind == FH_CUDA_ENTRY_INDEX || is_text(list->end, "NoDevFiles"));
}

void fh_rule_cvd_baduuid(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  cut list;
  if (!list_is_cut(&c, &list) || list.end->kind != FH_CUDA_ENTRY_UUID) return;
  const fh_cuda_answer *all = all_devices(f);
  for (int i = 0; all && i < all->device_count; i++)
    fh_case_saw(&c, true, "GPUs that are here", "%s %s", all->devices[i].uuid, all->devices[i].name);
  bool several = all && fh_cuda_entry_matches(list.end, all) > 1;
  conclude_cut(&c, &list, FH_PROVEN, several ? "is the beginning of several UUIDs" : "is the UUID of another GPU");
}

void fh_rule_cvd_mig(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  cut list;
  if (!list_is_cut(&c, &list) || list.end->kind != FH_CUDA_ENTRY_MIG || !list.all) return;
  bool old_style = list.end->size > 8 && strncmp(list.end->text, "MIG-GPU-", 8) == 0;
  fh_case_saw(&c, f->nvidia.nvrm_version.valid == FH_VALID, f->nvidia.nvrm_version.source, "%s", f->nvidia.nvrm_version.value);
  conclude_cut(&c, &list, FH_PROVEN,
               old_style ? "is written as drivers before 470 named a slice of a GPU" : "is no slice (MIG device) that is here");
}

void fh_rule_cvd_inherited(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  cut list;
  if (!list_is_cut(&c, &list) || !could_be_inherited(f, &list)) return;
  const char *mark = scheduler_mark(f), *value = fh_facts_env(f, mark);
  fh_case_saw(&c, true, mark, "%s", value);
  fh_case_saw(&c, f->where.container, f->where.platform_source, "%s: GPUs are counted from 0 again", f->where.platform_name);
  /* That the list is to blame can be proven; that the scheduler wrote it only when its own list is the same. */
  fh_confidence most = strcmp(value, list.list) == 0 ? FH_PROVEN : FH_CONSISTENT;
  conclude_cut(&c, &list, most,
               list.end->kind == FH_CUDA_ENTRY_INDEX ? "is a number that the job's scheduler gave, of the whole machine"
                                                     : "is what a scheduler writes for a job without a GPU");
}

void fh_rule_cvd_truncated(fh_judgement *judgement, const fh_cause *cause) {
  fh_case c = fh_case_open(judgement, cause);
  cut list;
  if (!list_is_cut(&c, &list) || could_be_inherited(judgement->facts, &list)) return;
  const fh_cuda_answer *all = all_devices(judgement->facts);
  if (list.end->kind == FH_CUDA_ENTRY_INDEX && all && fh_cuda_entry_matches(list.end, all) == 1)
    conclude_cut(&c, &list, FH_PROVEN, "names a GPU a second time");
  else if (list.end->kind == FH_CUDA_ENTRY_INDEX)
    conclude_cut(&c, &list, FH_PROVEN, "is past the last GPU");
  else if (list.end->kind == FH_CUDA_ENTRY_OTHER)
    conclude_cut(&c, &list, FH_PROVEN, "is no GPU");
}

/* ---- which GPU a number means ---------------------------------------------------------------------------------------- */

/* How many GPUs of an answer come before this one on the PCI bus; -1 when an address is unknown. */
static int pci_rank(const fh_cuda_answer *all, int device) {
  int rank = 0;
  for (int i = 0; i < all->device_count; i++) {
    const char *pci = all->devices[i].pci;
    if (!pci || !*pci) return -1;
    rank += strcmp(pci, all->devices[device].pci) < 0;
  }
  return rank;
}

/* CUDA's numbers of all GPUs: asked without the filter where there is one. */
static const fh_cuda_answer *numbered(const fh_facts *f) {
  const fh_cuda_answer *all = fh_facts_env(f, variable) ? all_devices(f) : &f->nvidia.cuda;
  return all && all->valid == FH_VALID && !all->fake && all->count == all->device_count && all->device_count > 1 ? all : NULL;
}

/* The GPUs that this process is given by number, as the first entry of the list, or else number 0. */
static int first_number(const fh_facts *f) {
  fh_cuda_entry entries[FH_MAX_CUDA_ENTRIES];
  const char *list = fh_facts_env(f, variable);
  if (!list) return 0;
  return fh_cuda_filter_parse(list, entries) > 0 && entries[0].kind == FH_CUDA_ENTRY_INDEX && entries[0].index < FH_MAX_CUDA_ENTRIES
             ? (int)entries[0].index
             : -1;
}

void fh_rule_order(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_cuda_answer *all = numbered(f);
  int number = first_number(f), rank = all && number >= 0 && number < all->device_count ? pci_rank(all, number) : -1;
  fh_case c = fh_case_open(judgement, cause);
  if (rank < 0 || rank == number || fh_env_is(f, "CUDA_DEVICE_ORDER", "PCI_BUS_ID")) return;
  for (int i = 0; i < all->device_count; i++)
    fh_case_saw(&c, true, all->devices[i].pci, "%s: number %d of CUDA, %d of nvidia-smi", all->devices[i].name, i, pci_rank(all, i));
  fh_case_saw(&c, !fh_facts_env(f, "CUDA_DEVICE_ORDER"), "CUDA_DEVICE_ORDER", "not set: the fastest GPU comes first");
  fh_case_conclude(&c, FH_SEVERITY_INFO, FH_PROVEN, NULL, "GPU %d of CUDA is %s (%s), which is number %d of nvidia-smi", number,
                   all->devices[number].name, all->devices[number].pci, rank);
}
