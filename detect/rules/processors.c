/* Rules about how the processors are shown, and what may be done with them. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"
#include "detect/rules/rules.h"

bool fh_has_capability(const fh_facts *facts, int bit) { return facts->where.id_valid && (facts->where.id.cap_effective >> bit & 1); }

/* ---- imitated ------------------------------------------------------------------------------------------------------- */

/* /proc/cpuinfo is of another kind of processor than programs are told. */
static bool dialects_differ(const fh_facts *f) {
  const fh_fact_text *dialect = &f->cpu.cpuinfo_dialect, *machine = &f->where.machine;
  if (dialect->valid != FH_VALID || machine->valid != FH_VALID) return false;
  return (strcmp(dialect->value, "arm") == 0 && strcmp(machine->value, "x86_64") == 0) ||
         (strcmp(dialect->value, "x86") == 0 && strcmp(machine->value, "aarch64") == 0);
}

static bool is_text(const fh_fact_text *fact, const char *text) { return fact->valid == FH_VALID && strcmp(fact->value, text) == 0; }

static bool has_qemu_signature(const fh_facts *f) { return is_text(&f->cpu.hypervisor_vendor, "TCGTCGTCGTCG"); }
static bool is_rosetta(const fh_facts *f) { return is_text(&f->cpu.vendor, "VirtualApple"); }

bool fh_cpu_is_emulated(const fh_facts *facts) { return dialects_differ(facts) || has_qemu_signature(facts) || is_rosetta(facts); }

void fh_rule_emulated(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_cpu_is_emulated(f)) return;
  bool foreign =
      fh_case_saw(&c, dialects_differ(f), f->cpu.cpuinfo_dialect.source, "the fields of an %s processor", f->cpu.cpuinfo_dialect.value);
  fh_case_saw(&c, f->where.machine.valid == FH_VALID, f->where.machine.source, "%s", f->where.machine.value);
  bool qemu = fh_case_saw(&c, has_qemu_signature(f), f->cpu.hypervisor_vendor.source, "TCGTCGTCGTCG: QEMU translates every instruction");
  fh_case_saw(&c, is_rosetta(f), f->cpu.vendor.source, "VirtualApple: Rosetta translates every instruction");
  fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_PROVEN, NULL, "this %s program runs on %s, by translation",
                   f->where.machine.valid == FH_VALID ? f->where.machine.value : "",
                   foreign ? "another kind of processor"
                   : qemu  ? "a processor that QEMU imitates"
                           : "an Apple processor");
}

/* ---- covered ---------------------------------------------------------------------------------------------------------- */

void fh_rule_topology_hidden(fh_judgement *judgement, const fh_cause *cause) {
  static const char cpus[] = "/sys/devices/system/cpu";
  const fh_facts *f = judgement->facts;
  const fh_fact_bool *shown = &f->cpu.topology_shown;
  const fh_mount *mount = fh_mount_of(f, cpus);
  fh_case c = fh_case_open(judgement, cause);
  bool covered = mount && strcmp(mount->fstype, "sysfs") != 0;
  bool missing = shown->valid == FH_VALID && !shown->value, gone = shown->valid == FH_ABSENT && covered;
  if ((!missing && !gone) || (covered && strcmp(mount->fstype, "fuse.lxcfs") == 0)) return;
  fh_case_saw(&c, true, shown->source, "ENOENT");
  fh_case_saw(&c, covered, "/proc/self/mountinfo", "%s on %s", mount ? mount->fstype : "", mount ? mount->point : "");
  fh_case_saw(&c, f->cpu.affinity_count.valid == FH_VALID, f->cpu.affinity_count.source, "%lld CPUs may be used all the same",
              (long long)f->cpu.affinity_count.value);
  fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                   "cores and caches of the processor are hidden: libraries take every CPU for a core");
}

void fh_rule_lxcfs_view(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_cpu *cpu = &judgement->facts->cpu;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_case_saw(&c, cpu->cpuinfo_cpus.valid == FH_VALID && cpu->online.valid == FH_VALID && cpu->cpuinfo_cpus.value != cpu->online.value,
                   cpu->cpuinfo_cpus.source, "%lld CPUs, written by LXCFS", (long long)cpu->cpuinfo_cpus.value))
    return;
  fh_case_saw(&c, true, cpu->online.source, "%lld CPUs", (long long)cpu->online.value);
  fh_case_saw(&c, cpu->affinity_count.valid == FH_VALID, cpu->affinity_count.source, "%lld CPUs", (long long)cpu->affinity_count.value);
  fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL, "/proc/cpuinfo tells %lld CPUs, /sys tells %lld",
                   (long long)cpu->cpuinfo_cpus.value, (long long)cpu->online.value);
}

/* ---- invented, or shared ------------------------------------------------------------------------------------------------- */

/* As many sockets as CPUs, in a virtual machine. Two of two is common, and nothing is lost by it. */
static bool is_invented(const fh_facts *f) {
  enum { FEW = 2 };
  const fh_facts_cpu *cpu = &f->cpu;
  return fh_is_true(f->where.hypervisor) && cpu->packages.valid == FH_VALID && cpu->online.valid == FH_VALID && cpu->online.value > FEW &&
         cpu->packages.value == cpu->online.value;
}

void fh_rule_vm_topology(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_case_saw(&c, is_invented(f), f->cpu.packages.source, "%lld packages", (long long)f->cpu.packages.value)) return;
  fh_case_saw(&c, true, f->cpu.online.source, "%lld CPUs", (long long)f->cpu.online.value);
  fh_case_saw(&c, true, f->where.hypervisor.source, "a virtual machine");
  fh_case_saw(&c, f->cpu.numa_nodes.valid == FH_VALID, f->cpu.numa_nodes.source, "%lld memory nodes", (long long)f->cpu.numa_nodes.value);
  fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL, "%lld virtual CPUs are shown as %lld sockets: which share a core is unknown",
                   (long long)f->cpu.online.value, (long long)f->cpu.packages.value);
}

/* The number at the start of a variable ("16", "4,2"); 0: none. */
static long threads_of(const fh_facts *f, const char *name) {
  const char *value = fh_facts_env(f, name);
  long threads = value ? strtol(value, NULL, 10) : 0;
  return threads > 0 ? threads : 0;
}

/* Keeps the variables that ask for more than so many threads; the largest of them, 0: none. */
static long asked_threads(fh_case *c, int64_t cores) {
  static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"};
  long most = 0;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    long threads = threads_of(c->facts, names[i]);
    if (fh_case_saw(c, threads > cores, names[i], "%ld", threads) && threads > most) most = threads;
  }
  return most;
}

void fh_rule_smt_count(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_cpu *cpu = &judgement->facts->cpu;
  const fh_fact_int *cores = &cpu->cores_allowed, *fast = &cpu->fast_cores_allowed;
  fh_case c = fh_case_open(judgement, cause);
  if (is_invented(judgement->facts) || cpu->affinity_count.valid != FH_VALID || cores->valid != FH_VALID) return;
  bool shared = fh_case_saw(&c, cores->value < cpu->affinity_count.value, cores->source, "%lld cores behind %lld CPUs",
                            (long long)cores->value, (long long)cpu->affinity_count.value);
  bool mixed =
      fh_case_saw(&c, cpu->core_kinds.valid == FH_VALID && fast->valid == FH_VALID && fast->value > 0 && fast->value < cores->value,
                  fast->source, "%lld of %lld cores are fast ones", (long long)fast->value, (long long)cores->value);
  int64_t best = mixed ? fast->value : cores->value;
  long asked = shared || mixed ? asked_threads(&c, best) : 0;
  if (asked)
    fh_case_conclude(&c, FH_SEVERITY_WARNING, FH_CONSISTENT, NULL, "%ld threads are asked for, %lld %scores are there for them", asked,
                     (long long)best, mixed ? "fast " : "");
  else if (mixed && !threads_of(judgement->facts, "OMP_NUM_THREADS"))
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "fast and slow cores: numerical work is often fastest on the %lld fast ones", (long long)best);
}

/* ---- system calls that a sandbox refuses --------------------------------------------------------------------------------- */

static bool is_error(const fh_fact_int *trial, int error) { return trial->valid == FH_VALID && trial->value == error; }

static bool has_filter(fh_case *c) {
  const fh_fact_int *seccomp = &c->facts->where.seccomp;
  return fh_case_saw(c, seccomp->valid == FH_VALID && seccomp->value == 2, seccomp->source, "Seccomp: 2, a filter");
}

void fh_rule_threads_eperm(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts_process *p = &judgement->facts->process;
  fh_case c = fh_case_open(judgement, cause);
  bool clone3 = fh_case_saw(&c, is_error(&p->clone3, EPERM), p->clone3.source, "EPERM; a kernel that knows it says EINVAL");
  if (fh_case_saw(&c, is_error(&p->thread, EPERM), p->thread.source, "EPERM")) {
    has_filter(&c);
    fh_case_conclude(&c, FH_SEVERITY_WARNING, clone3 ? FH_PROVEN : FH_CONSISTENT, NULL,
                     "no program here can start a thread: a filter refuses it");
  } else if (clone3 && fh_case_saw(&c, is_error(&p->thread, 0), p->thread.source, "works: the C library here uses an older call") &&
             has_filter(&c)) {
    fh_case_conclude(&c, FH_SEVERITY_INFO, FH_CONSISTENT, NULL,
                     "programs with a newer C library cannot start threads here: a filter refuses clone3");
  }
}

static int64_t most_nodes(const fh_facts_cpu *cpu) {
  int64_t nodes = cpu->nodes_online.valid == FH_VALID ? cpu->nodes_online.value : 0;
  return cpu->numa_nodes.valid == FH_VALID && cpu->numa_nodes.value > nodes ? cpu->numa_nodes.value : nodes;
}

void fh_rule_numa_seccomp(fh_judgement *judgement, const fh_cause *cause) {
  enum { CAP_SYS_NICE_BIT = 23 };
  const fh_facts *f = judgement->facts;
  const fh_fact_int *trials[] = {&f->process.mbind, &f->process.set_mempolicy, &f->process.get_mempolicy};
  bool refused = false;
  fh_case c = fh_case_open(judgement, cause);
  if (most_nodes(&f->cpu) < 2) return; /* with one node there is nothing to place */
  for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
    refused |= fh_case_saw(&c, is_error(trials[i], EPERM), trials[i]->source, "EPERM");
  if (!refused) return;
  fh_case_saw(&c, true, f->cpu.nodes_online.valid == FH_VALID ? f->cpu.nodes_online.source : f->cpu.numa_nodes.source, "%lld memory nodes",
              (long long)most_nodes(&f->cpu));
  bool filter = has_filter(&c);
  fh_case_saw(&c, f->where.id_valid && !fh_has_capability(f, CAP_SYS_NICE_BIT), "CapEff", "without SYS_NICE");
  fh_case_conclude(&c, FH_SEVERITY_INFO, filter ? FH_PROVEN : FH_CONSISTENT, NULL,
                   "programs cannot choose the memory node that they use: a filter refuses it");
}

/* ---- arithmetic ------------------------------------------------------------------------------------------------------------ */

void fh_rule_denormals(fh_judgement *judgement, const fh_cause *cause) {
  const fh_facts *f = judgement->facts;
  const fh_facts_process *p = &f->process;
  const char *preload = fh_facts_env(f, "LD_PRELOAD");
  fh_case c = fh_case_open(judgement, cause);
  if (!fh_case_saw(&c, fh_is_true(p->flushes_denormals), p->flushes_denormals.source, "tiny numbers become zero (FTZ, DAZ)")) return;
  bool named = fh_case_saw(&c, preload && preload[0], "LD_PRELOAD", "%s", preload ? preload : "");
  bool flipped = named && fh_case_saw(&c, p->flushes_without_preload.valid == FH_VALID && !p->flushes_without_preload.value,
                                      "asked again without LD_PRELOAD", "tiny numbers stay what they are");
  fh_case_conclude(&c, FH_SEVERITY_WARNING, flipped ? FH_PROVEN : FH_CONSISTENT, NULL, "%s makes tiny numbers zero in every program",
                   flipped ? "an object of LD_PRELOAD" : "an object that is loaded into programs");
}
