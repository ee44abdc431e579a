/* System calls of a traced program, for x86-64 and AArch64. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/trace/arch.h"

#include <elf.h>
#include <linux/audit.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

/* AArch64 has only the calls that take a directory. */
static const fh_trace_syscall watched[] = {
#ifdef SYS_open
    {SYS_open, FH_DEED_OPEN, -1, 0},      {SYS_stat, FH_DEED_LOOK, -1, 0},     {SYS_lstat, FH_DEED_LOOK, -1, 0},
    {SYS_access, FH_DEED_LOOK, -1, 0},    {SYS_readlink, FH_DEED_LOOK, -1, 0},
#endif
    {SYS_openat, FH_DEED_OPEN, 0, 1},     {SYS_openat2, FH_DEED_OPEN, 0, 1},   {SYS_newfstatat, FH_DEED_LOOK, 0, 1},
    {SYS_statx, FH_DEED_LOOK, 0, 1},      {SYS_faccessat, FH_DEED_LOOK, 0, 1}, {SYS_faccessat2, FH_DEED_LOOK, 0, 1},
    {SYS_readlinkat, FH_DEED_LOOK, 0, 1}, {SYS_execve, FH_DEED_EXEC, -1, 0},   {SYS_execveat, FH_DEED_EXEC, 0, 1},
};
enum { WATCHED_COUNT = sizeof watched / sizeof watched[0] };

const fh_trace_syscall *fh_trace_syscalls(int *out_count) {
#if defined(__x86_64__) || defined(__aarch64__)
  *out_count = WATCHED_COUNT;
#else
  *out_count = 0;
#endif
  return watched;
}

const fh_trace_syscall *fh_trace_syscall_find(int64_t number) {
  for (int i = 0; i < WATCHED_COUNT; i++)
    if (watched[i].number == number) return &watched[i];
  return NULL;
}

uint32_t fh_trace_audit_arch(void) {
#if defined(__x86_64__)
  return AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  return AUDIT_ARCH_AARCH64;
#else
  return 0;
#endif
}

#if defined(__x86_64__)
static void decode(const struct user_regs_struct *r, fh_trace_registers *out) {
  *out = (fh_trace_registers){(int64_t)r->orig_rax, {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}, (int64_t)r->rax};
}
#elif defined(__aarch64__)
/* The first argument and the result share a register: an exit has no argument 0. */
static void decode(const struct user_regs_struct *r, fh_trace_registers *out) {
  *out = (fh_trace_registers){
      (int64_t)r->regs[8], {r->regs[0], r->regs[1], r->regs[2], r->regs[3], r->regs[4], r->regs[5]}, (int64_t)r->regs[0]};
}
#endif

bool fh_trace_registers_read(pid_t tid, fh_trace_registers *out) {
#if defined(__x86_64__) || defined(__aarch64__)
  struct user_regs_struct registers;
  struct iovec whole = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &whole) != 0 || whole.iov_len != sizeof registers) return false;
  decode(&registers, out);
  return true;
#else
  (void)tid;
  (void)out;
  return false;
#endif
}
