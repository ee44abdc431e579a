/* Gathering facts: children run while files are read. SPDX-License-Identifier: Apache-2.0 */
#include "detect/facts.h"

#include "detect/gather.h"

static fh_status begin(fh_os *os, fh_gather *g) {
  fh_facts_arena *arena = fh_arena_create();
  fh_facts *facts = arena ? fh_arena_alloc(arena, 1, sizeof *facts) : NULL;
  if (!facts) {
    fh_arena_destroy(arena);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for facts");
  }
  facts->arena = arena;
  *g = (fh_gather){.os = os, .facts = facts, .arena = arena};
  fh_cuda_answer_init(&facts->nvidia.cuda);
  fh_nvml_answer_init(&facts->nvidia.nvml);
  for (int i = 0; i < FH_CUDA_AGAIN_COUNT; i++) fh_cuda_answer_init(&facts->nvidia.cuda_again[i]);
  fh_runtime_answer *runtimes[] = {&facts->amd.hsa, &facts->amd.hsa_unfiltered, &facts->intel.level_zero,
                                   &facts->intel.level_zero_unmasked};
  for (size_t i = 0; i < sizeof runtimes / sizeof runtimes[0]; i++) fh_runtime_answer_init(runtimes[i]);
  facts->drm.dangling_link = facts->amd.hsa_in_rocm = facts->amd.blas_dir = "";
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
      &f->where.gid_map,      &f->amd.module_version,
      &f->amd.rocm_version,
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (!texts[i]->value) texts[i]->value = "";
    if (!texts[i]->source) texts[i]->source = "";
  }
  fh_fact_int *numbers[] = {
      &f->where.seccomp,
      &f->cpu.family,
      &f->cpu.model_number,
      &f->cpu.online,
      &f->cpu.affinity_count,
      &f->cpu.cpuset_count,
      &f->cpu.usable,
      &f->cpu.quota_cpus,
      &f->cpu.throttled,
      &f->cpu.packages,
      &f->cpu.cores,
      &f->cpu.numa_nodes,
      &f->cpu.l1d_bytes,
      &f->cpu.l2_bytes,
      &f->cpu.l3_bytes,
      &f->memory.total,
      &f->memory.available,
      &f->memory.limit,
      &f->memory.used,
      &f->memory.usable,
      &f->nvidia.uvm_major,
      &f->nvidia.gpus_listed,
      &f->limits.address_space,
      &f->limits.address_space_hard,
      &f->where.overflow_gid,
  };
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    if (!numbers[i]->source) numbers[i]->source = "";
  fh_fact_bool *truths[] = {
      &f->where.hypervisor,     &f->where.user_namespace,  &f->where.no_new_privs,  &f->where.musl, &f->where.glibc,
      &f->where.gcompat,        &f->cpu.ancestors_hidden,  &f->cpu.amx.proven,      &f->pci.masked, &f->nvidia.open_module,
      &f->nvidia.module_loaded, &f->nvidia.uvm_registered, &f->nvidia.gpu_excluded, &f->amd.module, &f->amd.dxcore,
      &f->amd.rocdxg,           &f->amd.whole_dev,         &f->intel.i915,          &f->intel.xe,   &f->intel.npu_module,
      &f->intel.npu_firmware,
  };
  for (size_t i = 0; i < sizeof truths / sizeof truths[0]; i++)
    if (!truths[i]->source) truths[i]->source = "";
  for (int i = 0; i < FH_ISA_COUNT; i++)
    if (!f->cpu.isa[i].proven.source) f->cpu.isa[i].proven.source = "";
  for (int i = 0; i < FH_FEATURE_COUNT; i++)
    if (!f->cpu.feature[i].proven.source) f->cpu.feature[i].proven.source = "";
  fh_cl_loader *loaders[] = {&f->opencl.loader, &f->opencl.loader_unsteered, &f->opencl.loader_system};
  for (size_t i = 0; i < sizeof loaders / sizeof loaders[0]; i++) {
    if (!loaders[i]->library) loaders[i]->library = "";
    if (!loaders[i]->error) loaders[i]->error = "";
  }
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

/* Children answer while files are read. */
static void gather_all(fh_gather *g, unsigned what) {
  if (what & FH_GATHER_TRIALS) {
    fh_ask_topology(g);
    fh_ask_isa(g);
    fh_ask_process(g);
  }
  fh_gather_environment(g);
  gather_self(g, true);
  fh_gather_cpu_view(g);
  fh_gather_icd_files(g);
  if (what & FH_GATHER_OPENCL) fh_ask_icds(g);
  fh_gather_pci(g);
  fh_gather_libraries(g);
  if (what & FH_GATHER_CUDA) {
    fh_ask_cuda(g);
    fh_ask_nvml(g);
  }
  fh_gather_drm(g);
  fh_gather_amd(g);
  fh_gather_intel(g);
  if (what & FH_GATHER_HSA) fh_ask_hsa(g);
  if (what & FH_GATHER_ZE) fh_ask_level_zero(g);
  fh_gather_platform(g);
  fh_gather_limits(g);
  fh_gather_node_numbers(g);
  fh_gather_nodes(g);
  fh_gather_nvidia(g);
  fh_gather_nvidia_host(g);
  fh_gather_wsl(g);
  fh_gather_jetson(g);
  fh_gather_cloud(g);
  fh_gather_sandbox(g);
  fh_gather_engines(g);
  fh_collect(g);

  fh_ask_again(g, what);
  fh_gather_programs(g); /* while they answer */
  if (what & FH_GATHER_CUDA) fh_ask_sandbox(g);
  fh_collect(g);
}

fh_status fh_facts_gather(fh_os *os, unsigned what, fh_facts **out_facts) {
  *out_facts = NULL;
  fh_gather g;
  FH_TRY(begin(os, &g));
  gather_all(&g, what);
  return finish(&g, out_facts);
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
