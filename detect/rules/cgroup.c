/* Rules about control groups and limits: CPU time, CPU sets, memory, tasks. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/parse.h"
#include "detect/rules/rules.h"

int64_t fh_cpus_shown(const fh_facts *facts) {
  const fh_facts_cpu *cpu = &facts->cpu;
  int64_t shown = cpu->affinity_count.valid == FH_VALID ? cpu->affinity_count.value : 0;
  if (cpu->cpuset_count.valid == FH_VALID && (!shown || cpu->cpuset_count.value < shown)) shown = cpu->cpuset_count.value;
  return shown;
}

static bool quota_binds(fh_case *c, bool ancestor) {
  const fh_facts_cpu *cpu = &c->facts->cpu;
  int64_t shown = fh_cpus_shown(c->facts);
  if (cpu->quota_cpus.valid != FH_VALID || cpu->quota_from_ancestor != ancestor ||
      !fh_case_saw(c, cpu->quota_cpus.value < shown, cpu->quota_level ? cpu->quota_level : cpu->quota_cpus.source,
                   "CPU time of at most %lld CPUs", (long long)cpu->quota_cpus.value))
    return false;
  fh_case_saw(c, true, cpu->affinity_count.source, "%lld CPUs shown to programs", (long long)shown);
  fh_case_saw(c, cpu->throttled.valid == FH_VALID, cpu->throttled.source, "nr_throttled %lld", (long long)cpu->throttled.value);
  return true;
}

void fh_rule_quota_oversub(fh_judgement *judgement, const fh_cause *cause) {
  fh_case c = fh_case_open(judgement, cause);
  if (quota_binds(&c, false))
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "%lld threads would be throttled: use %lld",
                     (long long)fh_cpus_shown(c.facts), (long long)c.facts->cpu.quota_cpus.value);
}

void fh_rule_quota_ancestor(fh_judgement *judgement, const fh_cause *cause) {
  fh_case c = fh_case_open(judgement, cause);
  if (quota_binds(&c, true))
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "%lld threads would be throttled by a parent group: use %lld",
                     (long long)fh_cpus_shown(c.facts), (long long)c.facts->cpu.quota_cpus.value);
}

void fh_rule_cpuset_narrow(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_cpu *cpu = &judgement->facts->cpu;
  int64_t shown = fh_cpus_shown(judgement->facts);
  bool by_group = cpu->cpuset_count.valid == FH_VALID && cpu->cpuset_count.value == shown;
  fh_case c = fh_case_open(judgement, cause);
  if (shown > 0 && fh_case_saw(&c, cpu->online.valid == FH_VALID && shown < cpu->online.value, cpu->online.source,
                               "%lld CPUs in the machine", (long long)cpu->online.value)) {
    fh_case_saw(&c, cpu->cpuset.valid == FH_VALID, cpu->cpuset.source, "%s", cpu->cpuset.value);
    fh_case_saw(&c, cpu->affinity.valid == FH_VALID, cpu->affinity.source, "%s", cpu->affinity.value);
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL, "%lld of %lld CPUs may be used, set by %s", (long long)shown,
                     (long long)cpu->online.value, by_group ? "the control group (cpuset)" : "a parent process (taskset, a scheduler)");
  }
}

void fh_rule_mem_misread(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_memory *memory = &judgement->facts->memory;
  const double GiB = 1024.0 * 1024 * 1024;
  fh_case c = fh_case_open(judgement, cause);
  if (memory->limit.valid == FH_VALID && memory->total.valid == FH_VALID &&
      fh_case_saw(&c, memory->limit.value < memory->total.value, memory->limit_level ? memory->limit_level : memory->limit.source,
                  "limit %lld bytes", (long long)memory->limit.value) &&
      fh_case_saw(&c, true, memory->total.source, "MemTotal %lld bytes", (long long)memory->total.value))
    fh_case_conclude(&c, memory->limit.value < memory->total.value - memory->total.value / 10 ? FH_SEVERITY_WARNING : FH_SEVERITY_INFO,
                     FH_CONSISTENT, NULL, "%.1f GiB of memory may be used, /proc/meminfo shows %.1f GiB", (double)memory->limit.value / GiB,
                     (double)memory->total.value / GiB);
}

void fh_rule_v1_v2_hybrid(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_cgroup *cgroup = &judgement->facts->cgroup;
  fh_case c = fh_case_open(judgement, cause);
  if (fh_case_saw(&c, cgroup->mode == FH_CGROUP_HYBRID, cgroup->self.source, "both forms of control groups")) {
    fh_case_saw(&c, cgroup->cpu_controller != NULL, "cpu", "cgroup %s", cgroup->cpu_controller ? cgroup->cpu_controller : "");
    fh_case_saw(&c, cgroup->memory_controller != NULL, "memory", "cgroup %s", cgroup->memory_controller ? cgroup->memory_controller : "");
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "cgroup v1 and v2 are both in use: tools that read one of them miss limits");
  }
}

/* Nearly full, and mostly of what can be dropped. */
static bool is_full_of_cache(const fh_cgroup_level *level) {
  int64_t limit = level->memory_limit, used = level->memory_used, cache = level->memory_inactive_file;
  return limit > 0 && used >= limit - limit / 10 && cache >= used / 2;
}

void fh_rule_mem_pagecache(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_cgroup *cgroup = &judgement->facts->cgroup;
  const double GiB = 1024.0 * 1024 * 1024;
  for (int i = 0; i < cgroup->level_count; i++) {
    const fh_cgroup_level *level = &cgroup->levels[i];
    fh_case c = fh_case_open(judgement, cause);
    if (!fh_case_saw(&c, is_full_of_cache(level), level->path, "%lld of %lld bytes used", (long long)level->memory_used,
                     (long long)level->memory_limit))
      continue;
    fh_case_saw(&c, true, level->path, "inactive_file %lld bytes: files that can be dropped", (long long)level->memory_inactive_file);
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "%.1f GiB of the %.1f GiB in use are file cache, which makes room when needed",
                     (double)level->memory_inactive_file / GiB, (double)level->memory_used / GiB);
    return;
  }
}

/* ---- tasks ----------------------------------------------------------------------------------------------------------- */

/* The level with the least room for more tasks; NULL: no limit is known. */
static const fh_cgroup_level *fullest_level(const fh_facts *f, int64_t *out_room) {
  const fh_cgroup_level *fullest = NULL;
  for (int i = 0; i < f->cgroup.level_count; i++) {
    const fh_cgroup_level *level = &f->cgroup.levels[i];
    int64_t used = level->pids_current > 0 ? level->pids_current : 0, room = level->pids_max > used ? level->pids_max - used : 0;
    if (level->pids_max < 0 || (fullest && room >= *out_room)) continue;
    fullest = level;
    *out_room = room;
  }
  return fullest;
}

/* The control group has no room for a thread per CPU. */
static bool group_is_full(fh_case *c, int64_t wanted) {
  int64_t room = 0;
  const fh_cgroup_level *level = fullest_level(c->facts, &room);
  if (!level || room >= wanted) return false;
  if (level->pids_current >= 0)
    return fh_case_saw(c, true, level->path, "pids.max %lld, pids.current %lld", (long long)level->pids_max,
                       (long long)level->pids_current);
  return fh_case_saw(c, true, level->path, "pids.max %lld", (long long)level->pids_max);
}

/* The user has not: root and the like are not counted. */
static bool user_is_full(fh_case *c, int64_t wanted) {
  enum { CAP_SYS_ADMIN_BIT = 21, CAP_SYS_RESOURCE_BIT = 24 };
  const fh_facts *f = c->facts;
  const fh_fact_int *tasks = &f->limits.tasks;
  if (!f->where.id_valid || f->where.id.uid == 0 || fh_has_capability(f, CAP_SYS_ADMIN_BIT) || fh_has_capability(f, CAP_SYS_RESOURCE_BIT))
    return false;
  return fh_case_saw(c, tasks->valid == FH_VALID && tasks->value < wanted, tasks->source, "Max processes %lld, of user %u",
                     (long long)tasks->value, f->where.id.uid);
}

void fh_rule_pids_limit(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  int64_t wanted = fh_cpus_shown(f);
  fh_case c = fh_case_open(judgement, cause);
  bool refused = f->process.thread.valid == FH_VALID && f->process.thread.value == EAGAIN;
  if (refused && wanted < 1) wanted = 1;
  bool group = group_is_full(&c, wanted), user = !group && user_is_full(&c, wanted);
  bool addresses = refused && !group && !user &&
                   fh_case_saw(&c, f->limits.address_space.valid == FH_VALID, f->limits.address_space.source,
                               "Max address space %lld bytes", (long long)f->limits.address_space.value);
  if (!group && !user && !refused) return;
  fh_case_saw(&c, wanted > 0, f->cpu.affinity_count.source, "%lld CPUs, for which programs start as many threads", (long long)wanted);
  fh_case_saw(&c, refused, f->process.thread.source, "EAGAIN");
  fh_case_conclude(&c, FH_SEVERITY_WARNING,
                   refused && group             ? FH_PROVEN
                   : group || user || addresses ? FH_CONSISTENT
                                                : FH_POSSIBLE,
                   NULL, "%s no room for a thread per CPU",
                   group       ? "the control group's limit on tasks leaves"
                   : user      ? "the user's limit on processes (ulimit -u) leaves"
                   : addresses ? "the limit on address space (ulimit -v) leaves"
                               : "starting a thread is refused: a limit leaves");
}

/* ---- locked memory ----------------------------------------------------------------------------------------------------- */

/* A card that wants memory locked was passed in. */
static const fh_node *rdma_node(const fh_facts *f) {
  static const char prefix[] = "/dev/infiniband/";
  for (int i = 0; i < f->nodes.count; i++)
    if (f->nodes.nodes[i].valid == FH_VALID && strncmp(f->nodes.nodes[i].path, prefix, sizeof(prefix) - 1) == 0) return &f->nodes.nodes[i];
  return NULL;
}

void fh_rule_memlock(fh_judgement *judgement, const fh_cause *cause) {
  enum { CAP_IPC_LOCK_BIT = 14 };
  static const int64_t little = INT64_C(1) << 30;
  const fh_facts *f = judgement->facts;
  const fh_fact_int *limit = &f->limits.locked_memory, *trial = &f->process.lock_over_limit;
  const fh_node *node = rdma_node(f);
  fh_case c = fh_case_open(judgement, cause);
  if (!node || (trial->valid == FH_VALID && trial->value == 0) || fh_has_capability(f, CAP_IPC_LOCK_BIT)) return;
  if (!fh_case_saw(&c, limit->valid == FH_VALID && limit->value < little, limit->source, "Max locked memory %lld bytes",
                   (long long)limit->value) ||
      !fh_case_saw(&c, true, node->path, "a card that needs locked memory"))
    return;
  bool tried = fh_case_saw(&c, trial->valid == FH_VALID, trial->source, "%s", fh_errno_name((int)trial->value));
  fh_case_conclude(&c, FH_SEVERITY_WARNING, tried ? FH_PROVEN : FH_CONSISTENT, NULL,
                   "only %lld KiB of memory may be locked, and a network card here needs locked buffers", (long long)(limit->value / 1024));
}
