/* Gathering facts: children run while files are read. SPDX-License-Identifier: Apache-2.0 */
#include "detect/facts.h"

#include <stdlib.h>
#include <string.h>

#include "detect/gather.h"

enum { NO_TICKET = -1, MAX_ICD_TICKETS = 64 };

/* ---- questions ------------------------------------------------------------------------------------------ */

static int ask(fh_gather *g, const char *question, const char *const *changes) {
  int ticket;
  return g->os->api->ask_start(g->os, question, changes, &ticket) == 0 ? ticket : NO_TICKET;
}

static bool collect(fh_gather *g, int ticket, fh_os_answer *out) {
  *out = (fh_os_answer){0};
  return ticket != NO_TICKET && g->os->api->ask_collect(g->os, ticket, out) == 0;
}

/* A node or library of CUDA, or somebody who wants one. */
static bool something_of_cuda(fh_gather *g) {
  static const char *const nodes[] = {"/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm", "/dev/dxg", "/dev/nvmap"};
  static const char *const variables[] = {"NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS"};
  const fh_facts *f = g->facts;
  if (fh_facts_library(f, "libcuda.so.1")->valid == FH_VALID) return true;
  for (int i = 0; i < f->libraries.elsewhere_count; i++)
    if (!strstr(f->libraries.elsewhere[i], "/stubs/")) return true; /* every toolkit has stubs */
  for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
    if (fh_facts_env(f, variables[i])) return true;
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
    if (fh_path_exists(g, nodes[i])) return true;
  return false;
}

static void init_cuda(fh_cuda_answer *answer) {
  *answer = (fh_cuda_answer){
      .wchan = "", .dlerrors = "", .library = "", .init_name = "", .init_code = -1, .count_code = -1, .count = -1, .version = -1};
}

/* CUDA_VISIBLE_DEVICES is to blame when the answer changes without it. */
static bool needs_second_question(const fh_facts *f) {
  enum { NO_DEVICE = 100 };
  const fh_cuda_answer *a = &f->nvidia.cuda;
  return fh_facts_env(f, "CUDA_VISIBLE_DEVICES") && a->valid == FH_VALID &&
         (a->count == 0 || a->init_code == NO_DEVICE || a->count_code == NO_DEVICE);
}

static void collect_cuda(fh_gather *g, int ticket) {
  static const char *const without[] = {"CUDA_VISIBLE_DEVICES", NULL};
  fh_facts_nvidia *n = &g->facts->nvidia;
  fh_os_answer answer;
  if (collect(g, ticket, &answer)) {
    fh_answer_read_cuda(g, &answer, &n->cuda);
    fh_os_answer_free(&answer);
  }
  if (needs_second_question(g->facts) && collect(g, ask(g, "cuda", without), &answer)) {
    fh_answer_read_cuda(g, &answer, &n->cuda_no_cvd);
    fh_os_answer_free(&answer);
  }
}

/* Nothing of it is here, so no child was spent on it: the search of the files is the answer. */
static void no_cuda(fh_gather *g) {
  const fh_library *lib = fh_facts_library(g->facts, "libcuda.so.1");
  if (lib->valid != FH_ABSENT) return;
  g->facts->nvidia.cuda.valid = FH_ABSENT;
  g->facts->nvidia.cuda.dlerrors = fh_arena_format(g->arena, "libcuda.so.1: not found in %d places", lib->searched_count);
}

/* ---- all of it -------------------------------------------------------------------------------------------- */

static fh_status begin(fh_os *os, fh_gather *g) {
  fh_facts_arena *arena = fh_arena_create();
  fh_facts *facts = arena ? fh_arena_alloc(arena, 1, sizeof *facts) : NULL;
  if (!facts) {
    fh_arena_destroy(arena);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for facts");
  }
  facts->arena = arena;
  *g = (fh_gather){.os = os, .facts = facts, .arena = arena};
  init_cuda(&facts->nvidia.cuda);
  init_cuda(&facts->nvidia.cuda_no_cvd);
  return FH_OK;
}

/* Texts are never NULL, whatever was not read. */
static void fill_texts(fh_facts *f) {
  fh_fact_text *texts[] = {
      &f->where.kernel,       &f->where.machine,
      &f->cpu.vendor,         &f->cpu.model,
      &f->cpu.flags,          &f->cpu.affinity,
      &f->cpu.cpuset,         &f->cpu.kernel_cmdline,
      &f->cgroup.self,        &f->cgroup.device_rules,
      &f->nodes.proc_devices, &f->nvidia.nvrm_version,
      &f->opencl.vendors_dir, &f->opencl.vendors_override,
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (!texts[i]->value) texts[i]->value = "";
    if (!texts[i]->source) texts[i]->source = "";
  }
  fh_fact_int *numbers[] = {
      &f->where.seccomp, &f->cpu.family,     &f->cpu.model_number, &f->cpu.online,         &f->cpu.affinity_count, &f->cpu.cpuset_count,
      &f->cpu.usable,    &f->cpu.quota_cpus, &f->cpu.throttled,    &f->cpu.packages,       &f->cpu.cores,          &f->cpu.numa_nodes,
      &f->cpu.l1d_bytes, &f->cpu.l2_bytes,   &f->cpu.l3_bytes,     &f->memory.total,       &f->memory.available,   &f->memory.limit,
      &f->memory.used,   &f->memory.usable,  &f->nvidia.uvm_major, &f->nvidia.gpus_listed,
  };
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    if (!numbers[i]->source) numbers[i]->source = "";
  fh_fact_bool *truths[] = {
      &f->where.hypervisor,   &f->where.user_namespace, &f->where.no_new_privs,    &f->where.musl,
      &f->where.glibc,        &f->cpu.ancestors_hidden, &f->cpu.amx.proven,        &f->pci.masked,
      &f->nvidia.open_module, &f->nvidia.module_loaded, &f->nvidia.uvm_registered, &f->nvidia.gpu_excluded,
  };
  for (size_t i = 0; i < sizeof truths / sizeof truths[0]; i++)
    if (!truths[i]->source) truths[i]->source = "";
  for (int i = 0; i < FH_ISA_COUNT; i++)
    if (!f->cpu.isa[i].proven.source) f->cpu.isa[i].proven.source = "";
  if (!f->where.platform_name) f->where.platform_name = "unknown";
  if (!f->where.platform_source) f->where.platform_source = "";
}

static fh_status finish(fh_gather *g, fh_facts **out_facts) {
  fill_texts(g->facts);
  if (fh_arena_failed(g->arena)) {
    fh_arena_destroy(g->arena);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory while gathering facts");
  }
  *out_facts = g->facts;
  return FH_OK;
}

/* What both kinds of gathering need; `whole` adds what costs more than a CPU-only caller wants to spend. */
static void gather_self(fh_gather *g, bool whole) {
  fill_texts(g->facts); /* a fact that cannot be read is an empty text from the start */
  fh_gather_mounts(g);
  fh_gather_identity(g);
  fh_gather_cgroup(g);
  fh_gather_cpu(g, whole);
  fh_gather_memory(g);
}

fh_status fh_facts_gather(fh_os *os, unsigned what, fh_facts **out_facts) {
  *out_facts = NULL;
  fh_gather gather, *g = &gather;
  FH_TRY(begin(os, g));
  fh_facts *f = g->facts;
  int topology = what & FH_GATHER_TRIALS ? ask(g, "topology", NULL) : NO_TICKET;
  int isa = what & FH_GATHER_TRIALS ? ask(g, "isa", NULL) : NO_TICKET;
  int cuda = NO_TICKET, icds[MAX_ICD_TICKETS], icd_count = 0;

  fh_gather_environment(g);
  gather_self(g, true);
  fh_gather_icd_files(g);
  if (what & FH_GATHER_OPENCL) {
    for (; icd_count < f->opencl.count && icd_count < MAX_ICD_TICKETS; icd_count++) {
      const fh_icd *icd = &f->opencl.icds[icd_count];
      icds[icd_count] = *icd->library ? ask(g, fh_arena_format(g->arena, "opencl:%s", icd->file), NULL) : NO_TICKET;
    }
  }
  fh_gather_pci(g);
  fh_gather_libraries(g);
  bool ask_cuda = (what & FH_GATHER_CUDA) && something_of_cuda(g);
  if (ask_cuda) cuda = ask(g, "cuda", NULL);
  fh_gather_platform(g);
  fh_gather_node_numbers(g);
  fh_gather_nodes(g);
  fh_gather_nvidia(g);

  fh_os_answer answer;
  if (ask_cuda) collect_cuda(g, cuda);
  if ((what & FH_GATHER_CUDA) && !ask_cuda) no_cuda(g);
  for (int i = 0; i < icd_count; i++) {
    if (!collect(g, icds[i], &answer)) continue;
    fh_answer_read_icd(g, &answer, &f->opencl.icds[i]);
    fh_os_answer_free(&answer);
  }
  if (collect(g, isa, &answer)) {
    fh_answer_read_isa(g, &answer);
    fh_os_answer_free(&answer);
  }
  if (collect(g, topology, &answer)) {
    fh_answer_read_topology(g, &answer);
    fh_os_answer_free(&answer);
  }
  return finish(g, out_facts);
}

fh_status fh_facts_gather_cpu(fh_os *os, fh_facts **out_facts) {
  *out_facts = NULL;
  fh_gather g;
  FH_TRY(begin(os, &g));
  gather_self(&g, false);
  return finish(&g, out_facts);
}

void fh_facts_destroy(fh_facts *facts) {
  if (facts) fh_arena_destroy(facts->arena); /* the facts live in it too */
}
