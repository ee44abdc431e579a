/* Facts of the CPU until detection gathers them: whoever lands fh_os_live and fh_facts_gather_cpu deletes this file.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "detect/facts.h"

static int no_read(fh_os *os, const char *path, size_t max, char **out, size_t *out_size) {
  (void)os, (void)path, (void)max, (void)out, (void)out_size;
  return ENOENT;
}
static int no_cpuid(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  (void)os, (void)leaf, (void)subleaf, (void)out;
  return ENOSYS;
}
static const fh_os_api api = {.read = no_read, .cpuid = no_cpuid};
static fh_os os_now = {&api};

fh_status fh_os_live(const char *helper, int64_t timeout_ns, fh_os **out_os) {
  (void)helper, (void)timeout_ns;
  *out_os = &os_now;
  return FH_OK;
}
void fh_os_destroy(fh_os *os) { (void)os; }

fh_status fh_facts_gather_cpu(fh_os *os, fh_facts **out_facts) {
  (void)os;
  *out_facts = calloc(1, sizeof **out_facts);
  if (!*out_facts) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for facts");
  fh_facts_cpu *cpu = &(*out_facts)->cpu;
  cpu_set_t mask;
  cpu->usable = (fh_fact_int){sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1, FH_VALID, "sched_getaffinity"};
  cpu->model = (fh_fact_text){"CPU", FH_VALID, ""};
  cpu->isa[FH_ISA_SCALAR].advertised = true;
#if defined(__x86_64__)
  cpu->isa[FH_ISA_SSE42].advertised = __builtin_cpu_supports("sse4.2") != 0;
  cpu->isa[FH_ISA_AVX2].advertised = __builtin_cpu_supports("x86-64-v3") != 0;
  cpu->isa[FH_ISA_AVX512].advertised = __builtin_cpu_supports("x86-64-v4") != 0;
#elif defined(__aarch64__)
  cpu->isa[FH_ISA_NEON].advertised = true;
#endif
  for (int i = 0; i < FH_ISA_COUNT; i++) cpu->isa[i].enabled = cpu->isa[i].advertised;
  return FH_OK;
}
void fh_facts_destroy(fh_facts *facts) { free(facts); }
