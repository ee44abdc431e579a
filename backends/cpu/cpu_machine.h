/* What the CPU backend needs to know of the machine. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BACKENDS_CPU_MACHINE_H_
#define FOGHORN_BACKENDS_CPU_MACHINE_H_

#include <foghorn/status.h>
#include <foghorn/types.h>

#include "detect/facts.h"

typedef struct fh_cpu_machine {
  char model[128];
  int usable_cpus;                   /* min(affinity, cpuset, quota), >= 1 */
  fh_isa best;                       /* strongest usable */
  const char *why_not[FH_ISA_COUNT]; /* NULL: usable; else the reason (static text) */
  uint64_t memory_bytes;             /* what this process may use at most */
  double hertz;                      /* a guess where the system does not say */
} fh_cpu_machine;

/* Looks at this machine, or takes what is known of it (facts; NULL: nothing). Fails only without memory. */
fh_status fh_cpu_machine_read(const fh_facts *facts, fh_cpu_machine *out_machine);

/* Bytes that the process may still take, now. */
fh_status fh_cpu_free_memory(uint64_t *out_bytes);

/* Caps the usable ISAs; -1: no cap. INVALID_ARGUMENT when the cap is not an ISA of this architecture. */
fh_status fh_cpu_machine_cap(fh_cpu_machine *machine, int cap);

/* f32 operations per second of one CPU at its best with this ISA: a guess for the first plan. */
double fh_cpu_peak_flops(const fh_cpu_machine *machine);

#endif /* FOGHORN_BACKENDS_CPU_MACHINE_H_ */
