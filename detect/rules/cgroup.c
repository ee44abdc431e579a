/* Rules about control groups: CPU time, CPU sets, memory. SPDX-License-Identifier: Apache-2.0 */
#include "detect/rules/rules.h"

/* CPUs that programs see: the smaller of affinity and cpuset; 0: unknown. */
static int64_t cpus_shown(const fh_facts_cpu *cpu) {
  int64_t shown = cpu->affinity_count.valid == FH_VALID ? cpu->affinity_count.value : 0;
  if (cpu->cpuset_count.valid == FH_VALID && (!shown || cpu->cpuset_count.value < shown)) shown = cpu->cpuset_count.value;
  return shown;
}

static bool quota_binds(fh_case *c, bool ancestor) {
  const fh_facts_cpu *cpu = &c->facts->cpu;
  int64_t shown = cpus_shown(cpu);
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
                     (long long)cpus_shown(&c.facts->cpu), (long long)c.facts->cpu.quota_cpus.value);
}

void fh_rule_quota_ancestor(fh_judgement *judgement, const fh_cause *cause) {
  fh_case c = fh_case_open(judgement, cause);
  if (quota_binds(&c, true))
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "%lld threads would be throttled by a parent group: use %lld",
                     (long long)cpus_shown(&c.facts->cpu), (long long)c.facts->cpu.quota_cpus.value);
}

void fh_rule_cpuset_narrow(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_cpu *cpu = &judgement->facts->cpu;
  int64_t shown = cpus_shown(cpu);
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
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "%.1f GiB of memory may be used, /proc/meminfo shows %.1f GiB",
                     (double)memory->limit.value / GiB, (double)memory->total.value / GiB);
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
