/* What the CPU backend needs to know of the machine. SPDX-License-Identifier: Apache-2.0 */
#include "backends/cpu/cpu_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_MAX = 1 << 20 };
static const double UNKNOWN_HERTZ = 2.5e9;

static bool of_this_architecture(fh_isa isa) {
#if defined(__x86_64__)
  return isa <= FH_ISA_AVX512;
#elif defined(__aarch64__)
  return isa == FH_ISA_SCALAR || isa == FH_ISA_NEON;
#else
  return isa == FH_ISA_SCALAR;
#endif
}

static const char *why_not(const fh_facts_cpu *cpu, fh_isa isa) {
  const fh_facts_isa *fact = &cpu->isa[isa];
  if (isa == FH_ISA_SCALAR) return NULL;
  if (!of_this_architecture(isa)) return "it is of another architecture";
  if (!fact->advertised) return "the CPU does not advertise it";
  if (!fact->enabled) return "the operating system does not save its registers (XCR0)";
  if (fact->proven.valid == FH_VALID && !fact->proven.value) return "a trial instruction failed";
  return NULL;
}

/* A number at the start of a small file; -1 when there is none. */
static double read_number(fh_os *os, const char *path) {
  char *text = NULL;
  size_t size = 0;
  if (os->api->read(os, path, READ_MAX, &text, &size) != 0) return -1;
  char *end = text;
  double value = strtod(text, &end);
  bool any = end != text;
  free(text);
  return any ? value : -1;
}

/* "cpu MHz" of /proc/cpuinfo; -1 when it is not said. */
static double cpuinfo_mhz(fh_os *os) {
  char *text = NULL;
  size_t size = 0;
  if (os->api->read(os, "/proc/cpuinfo", READ_MAX, &text, &size) != 0) return -1;
  const char *line = strstr(text, "cpu MHz");
  const char *colon = line ? strchr(line, ':') : NULL;
  double value = colon ? strtod(colon + 1, NULL) : -1;
  free(text);
  return value;
}

static double read_hertz(fh_os *os) {
  double khz = read_number(os, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
  if (khz > 0) return khz * 1e3;
  fh_os_cpuid leaf;
  if (os->api->cpuid(os, 0x16, 0, &leaf) == 0 && (leaf.ebx & 0xffff) >= 100) return (leaf.ebx & 0xffff) * 1e6;
  double mhz = cpuinfo_mhz(os);
  return mhz >= 100 ? mhz * 1e6 : UNKNOWN_HERTZ;
}

static uint64_t physical_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

static uint64_t allowed_memory(const fh_facts_memory *memory) {
  uint64_t total = memory->total.valid == FH_VALID && memory->total.value > 0 ? (uint64_t)memory->total.value : physical_memory();
  uint64_t limit = memory->limit.valid == FH_VALID && memory->limit.value > 0 ? (uint64_t)memory->limit.value : total;
  return limit < total ? limit : total;
}

static void take_facts(fh_cpu_machine *m, fh_os *os, const fh_facts *facts) {
  const fh_facts_cpu *cpu = &facts->cpu;
  bool named = cpu->model.valid == FH_VALID && cpu->model.value[0];
  snprintf(m->model, sizeof m->model, "%s", named ? cpu->model.value : "CPU");
  m->usable_cpus = cpu->usable.valid == FH_VALID && cpu->usable.value > 0 ? (int)cpu->usable.value : 1;
  for (int isa = 0; isa < FH_ISA_COUNT; isa++) {
    m->why_not[isa] = why_not(cpu, (fh_isa)isa);
    if (!m->why_not[isa]) m->best = (fh_isa)isa;
  }
  m->memory_bytes = allowed_memory(&facts->memory);
  m->hertz = read_hertz(os);
}

fh_status fh_cpu_machine_read(const fh_facts *facts, fh_cpu_machine *out_machine) {
  *out_machine = (fh_cpu_machine){0};
  fh_os *os = NULL;
  fh_facts *own = NULL;
  FH_TRY(fh_os_live(NULL, 0, &os));
  fh_status status = facts ? FH_OK : fh_facts_gather_cpu(os, &own);
  if (!status) take_facts(out_machine, os, facts ? facts : own);
  fh_facts_destroy(own);
  fh_os_destroy(os);
  return status;
}

/* MemAvailable, where the facts do not know what the process may still take. */
static uint64_t available_memory(void) {
  long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

fh_status fh_cpu_free_memory(uint64_t *out_bytes) {
  *out_bytes = 0;
  fh_os *os = NULL;
  fh_facts *facts = NULL;
  FH_TRY(fh_os_live(NULL, 0, &os));
  fh_status status = fh_facts_gather_cpu(os, &facts);
  if (!status) {
    const fh_fact_int *usable = &facts->memory.usable;
    *out_bytes = usable->valid == FH_VALID && usable->value >= 0 ? (uint64_t)usable->value : available_memory();
  }
  fh_facts_destroy(facts);
  fh_os_destroy(os);
  return status;
}

fh_status fh_cpu_machine_cap(fh_cpu_machine *machine, int cap) {
  if (cap < 0) return FH_OK;
  if (cap >= FH_ISA_COUNT || !of_this_architecture((fh_isa)cap))
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "cpu: the ISA cap \"%s\" is not an instruction set of this architecture\n  the strongest usable here is %s",
                     fh_isa_name((fh_isa)cap), fh_isa_name(machine->best));
  for (int isa = 0; isa < FH_ISA_COUNT; isa++) {
    if (isa > cap && !machine->why_not[isa]) machine->why_not[isa] = "the ISA cap excludes it (FOGHORN_ISA or the context's option)";
    if (!machine->why_not[isa]) machine->best = (fh_isa)isa;
  }
  return FH_OK;
}

double fh_cpu_peak_flops(const fh_cpu_machine *machine) {
  /* Operations per cycle. AVX-512 is counted as AVX2: many CPUs gain no f32 peak from it. */
  static const double per_cycle[FH_ISA_COUNT] = {4, 8, 32, 32, 16};
  return machine->hertz * per_cycle[machine->best];
}
