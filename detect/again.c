/* Counterfactuals: a question asked again with one thing changed. SPDX-License-Identifier: Apache-2.0
 *
 * Where the first answer leaves something to prove, the same question goes to another child in which one thing differs: a
 * variable, the way to a library, a limit. When the answer flips, that thing is the cause, and no rule of a vendor had to
 * be modelled to know it. All run side by side, in what is left of the one time limit. A row of the table is a question, the
 * change (which says itself whether there is anything to prove), and where the answer goes; rules ask for the outcome with
 * fh_case_flip (detect/rules/rules.h). */
#include <stddef.h>
#include <string.h>

#include "detect/answer_settings.h"
#include "detect/cuda_filter.h"
#include "detect/gather.h"

enum { MAX_CHANGES = 8, MAX_ALONE = 16 };
enum { STUB_LIBRARY = 34, NO_DEVICE = 100, OUT_OF_MEMORY = 2 };

/* Changes of a child's environment, "NAME" to unset and "NAME=value" to set. */
typedef struct changes {
  const char *list[MAX_CHANGES + 1]; /* NULL at the end */
  int count;                         /* 0: nothing to prove */
} changes;

static void add_change(changes *c, const char *change) {
  if (c->count < MAX_CHANGES) c->list[c->count++] = change;
}

/* ---- CUDA ---------------------------------------------------------------------------------------------------------- */

static bool gave_no_device(const fh_cuda_answer *a) {
  return a->valid == FH_VALID && (a->count == 0 || a->init_code == NO_DEVICE || a->count_code == NO_DEVICE);
}

static bool any_usable(const fh_cuda_answer *a) {
  for (int i = 0; i < a->device_count; i++)
    if (a->devices[i].usable) return true;
  return false;
}

/* The first answer came, and no device of it can be used. A driver that hangs is not asked again: it would hang again. */
static bool failed(const fh_cuda_answer *a) {
  return a->valid == FH_ABSENT || (a->valid == FH_VALID && !a->hung && !a->slow && !any_usable(a));
}

static bool has_code(const fh_cuda_answer *a, int code) {
  for (int i = 0; i < a->device_count; i++)
    if (a->devices[i].context_code == code) return true;
  return a->init_code == code || a->count_code == code;
}

/* Cards of different models, so that it matters which one an index means. */
static bool mixed_cards(const fh_facts *f) {
  int model = -1;
  for (int i = 0; i < f->pci.count; i++) {
    const fh_pci_device *gpu = &f->pci.devices[i];
    if (gpu->vendor != 0x10de || !gpu->is_gpu) continue;
    if (model >= 0 && gpu->device != model) return true;
    model = gpu->device;
  }
  return false;
}

/* The list hides every GPU, names more than are shown, or names by number what is not numbered as nvidia-smi does. */
static void without_filter(fh_gather *g, changes *c) {
  const fh_facts *f = g->facts;
  const fh_cuda_answer *a = &f->nvidia.cuda;
  const char *list = fh_facts_env(f, "CUDA_VISIBLE_DEVICES");
  fh_cuda_entry entries[FH_MAX_CUDA_ENTRIES];
  int count = fh_cuda_filter_parse(list, entries);
  if (!list || a->valid != FH_VALID) return;
  bool ordered = fh_facts_env(f, "CUDA_DEVICE_ORDER") != NULL;
  bool by_number = count > 0 && entries[0].kind == FH_CUDA_ENTRY_INDEX && !ordered && mixed_cards(f);
  if (gave_no_device(a) || (a->count >= 0 && a->count < count) || by_number) add_change(c, "CUDA_VISIBLE_DEVICES");
}

/* A file that may be the driver's own library: for this processor, with contents, no stub, and not the one that failed. */
static bool may_be_the_driver(fh_gather *g, const char *path) {
  const char *name = strrchr(path, '/');
  const fh_library *used = fh_facts_library(g->facts, "libcuda.so.1");
  fh_library library;
  if (!name || strcmp(name, "/libcuda.so.1") != 0) return false;
  fh_library_find(g, path, &library);
  return library.valid == FH_VALID && library.size > 0 && library.elf.is_elf && !library.stub && !library.compat &&
         strcmp(library.real_path, used->real_path) != 0;
}

static void other_library(fh_gather *g, changes *c) {
  const fh_facts *f = g->facts;
  if (!failed(&f->nvidia.cuda)) return;
  for (int i = 0; i < f->libraries.elsewhere_count; i++) {
    const char *path = f->libraries.elsewhere[i], *before = fh_facts_env(f, "LD_LIBRARY_PATH");
    if (!may_be_the_driver(g, path)) continue;
    int folder = (int)(strrchr(path, '/') - path);
    add_change(c, fh_arena_format(g->arena, "LD_LIBRARY_PATH=%.*s%s%s", folder, path, before && *before ? ":" : "", before ? before : ""));
    return;
  }
}

/* A driver that crashes at the sight of a device, and not without. */
static void all_hidden(fh_gather *g, changes *c) {
  if (g->facts->where.platform == FH_PLATFORM_WSL && g->facts->nvidia.cuda.crashed) add_change(c, "CUDA_VISIBLE_DEVICES=");
}

/* Of RLIMIT_AS a process may raise the soft limit up to the hard one. */
static void more_addresses(fh_gather *g, changes *c) {
  const fh_facts_limits *limits = &g->facts->limits;
  bool may_rise = limits->address_space_hard.valid == FH_ABSENT ||
                  (limits->address_space_hard.valid == FH_VALID && limits->address_space_hard.value > limits->address_space.value);
  if (limits->address_space.valid == FH_VALID && may_rise && has_code(&g->facts->nvidia.cuda, OUT_OF_MEMORY))
    add_change(c, FH_ANSWER_MORE_ADDRESSES "=1");
}

/* ---- AMD and Intel -------------------------------------------------------------------------------------------------- */

static int count_of(const fh_runtime_answer *a, const char *type) {
  int count = 0;
  for (int i = 0; i < a->device_count; i++) count += strcmp(a->devices[i].type, type) == 0;
  return count;
}

static bool answered_at_all(const fh_runtime_answer *a) { return a->valid == FH_VALID && !a->hung && !a->slow; }

static void without_rocr_filter(fh_gather *g, changes *c) {
  const fh_runtime_answer *a = &g->facts->amd.hsa;
  if (fh_facts_env(g->facts, "ROCR_VISIBLE_DEVICES") && answered_at_all(a) && count_of(a, "gpu") == 0)
    add_change(c, "ROCR_VISIBLE_DEVICES");
}

static void without_ze_mask(fh_gather *g, changes *c) {
  const fh_runtime_answer *a = &g->facts->intel.level_zero;
  const char *mask = fh_facts_env(g->facts, "ZE_AFFINITY_MASK");
  if (mask && *mask && answered_at_all(a) && count_of(a, "gpu") == 0) add_change(c, "ZE_AFFINITY_MASK");
}

/* Without a pipe the driver goes to the card itself. */
static void without_mps(fh_gather *g, changes *c) {
  enum { FIRST_OF_MPS = 805, LAST_OF_MPS = 809 };
  for (int code = FIRST_OF_MPS; code <= LAST_OF_MPS; code++)
    if (has_code(&g->facts->nvidia.cuda, code)) {
      add_change(c, "CUDA_MPS_PIPE_DIRECTORY=/nonexistent");
      return;
    }
}

static void read_cuda(fh_gather *g, const fh_os_answer *answer, void *into) { fh_answer_read_cuda(g, answer, into); }

/* ---- arithmetic ------------------------------------------------------------------------------------------------------ */

/* A fresh process that makes tiny numbers zero was told to by an object loaded with it: is it one of LD_PRELOAD? */
static void without_preload(fh_gather *g, changes *c) {
  const fh_fact_bool *flushes = &g->facts->process.flushes_denormals;
  const char *preload = fh_facts_env(g->facts, "LD_PRELOAD");
  if (flushes->valid == FH_VALID && flushes->value && preload && *preload) add_change(c, "LD_PRELOAD");
}

/* ---- the table ------------------------------------------------------------------------------------------------------- */

static const struct counterfactual {
  unsigned what; /* the FH_GATHER_ bit that the question belongs to */
  const char *question;
  void (*change)(fh_gather *g, changes *c); /* leaves *c empty when there is nothing to prove */
  fh_answer_reader *read;
  size_t into; /* in fh_facts */
} table[] = {
    {FH_GATHER_CUDA, "cuda", without_filter, read_cuda, offsetof(fh_facts, nvidia.cuda_again[FH_CUDA_UNFILTERED])},
    {FH_GATHER_CUDA, "cuda", other_library, read_cuda, offsetof(fh_facts, nvidia.cuda_again[FH_CUDA_OTHER_LIBRARY])},
    {FH_GATHER_TRIALS, "process", without_preload, fh_process_read_again, 0},
    {FH_GATHER_CUDA, "cuda", all_hidden, read_cuda, offsetof(fh_facts, nvidia.cuda_again[FH_CUDA_HIDDEN])},
    {FH_GATHER_CUDA, "cuda", more_addresses, read_cuda, offsetof(fh_facts, nvidia.cuda_again[FH_CUDA_MORE_ADDRESSES])},
    {FH_GATHER_CUDA, "cuda", without_mps, read_cuda, offsetof(fh_facts, nvidia.cuda_again[FH_CUDA_WITHOUT_MPS])},
    {FH_GATHER_HSA, "hsa", without_rocr_filter, fh_runtime_read, offsetof(fh_facts, amd.hsa_unfiltered)},
    {FH_GATHER_ZE, "level-zero", without_ze_mask, fh_runtime_read, offsetof(fh_facts, intel.level_zero_unmasked)},
};

/* ---- one GPU at a time ------------------------------------------------------------------------------------------------ */

/* Of several GPUs one may keep the driver from starting at all. */
static void ask_each_alone(fh_gather *g) {
  fh_facts_nvidia *n = &g->facts->nvidia;
  const fh_cuda_answer *a = &n->cuda;
  bool all_fail = a->valid == FH_VALID && failed(a) && a->device_count == 0 && a->init_code != STUB_LIBRARY;
  if (!all_fail || n->listed_count < 2) return;
  n->alone = fh_arena_alloc(g->arena, (size_t)n->listed_count, sizeof *n->alone);
  for (int i = 0; n->alone && i < n->listed_count && n->alone_count < MAX_ALONE; i++) {
    if (!*n->listed[i].uuid) continue;
    fh_cuda_alone *alone = &n->alone[n->alone_count++];
    *alone = (fh_cuda_alone){.pci = n->listed[i].pci, .uuid = n->listed[i].uuid};
    fh_cuda_answer_init(&alone->answer);
    const char *only[] = {fh_arena_format(g->arena, "CUDA_VISIBLE_DEVICES=%s", alone->uuid), NULL};
    fh_ask(g, fh_arena_format(g->arena, "cuda:%s", alone->pci), only, read_cuda, &alone->answer);
  }
}

void fh_ask_again(fh_gather *g, unsigned what) {
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    const struct counterfactual *row = &table[i];
    changes c = {0};
    if (what & row->what) row->change(g, &c);
    if (c.count) fh_ask(g, row->question, c.list, row->read, (char *)g->facts + row->into);
  }
  if (what & FH_GATHER_CUDA) ask_each_alone(g);
  if (what & FH_GATHER_OPENCL) fh_ask_opencl_again(g);
}
