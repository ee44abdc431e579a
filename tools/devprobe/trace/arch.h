/* System calls of a traced program: which ones are watched, and how they are read on this processor. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_ARCH_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_ARCH_H_

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What a program does with a path. */
typedef enum fh_trace_deed { FH_DEED_OPEN, FH_DEED_LOOK, FH_DEED_EXEC } fh_trace_deed;

/* One watched system call. */
typedef struct fh_trace_syscall {
  int number;
  fh_trace_deed deed;
  int dir_arg; /* the argument that holds the directory's descriptor; -1: the current directory */
  int path_arg;
} fh_trace_syscall;

/* All of them; count 0: this processor is not supported. */
const fh_trace_syscall *fh_trace_syscalls(int *out_count);
const fh_trace_syscall *fh_trace_syscall_find(int64_t number); /* NULL: not watched */
/* How the kernel's filters name this processor. */
uint32_t fh_trace_audit_arch(void);

typedef struct fh_trace_registers {
  int64_t number;   /* of the system call */
  uint64_t args[6]; /* as they are at its entry */
  int64_t result;   /* at its exit; negative: -errno */
} fh_trace_registers;

/* Reads the registers of a stopped task. False: it is gone, or it runs 32-bit code, whose calls are numbered otherwise. */
bool fh_trace_registers_read(pid_t tid, fh_trace_registers *out);

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_ARCH_H_ */
