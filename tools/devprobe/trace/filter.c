/* The filter that stops a traced program at a few system calls only. SPDX-License-Identifier: Apache-2.0
 * A compute loop makes none of these calls, and the rest passes after a dozen comparisons in the kernel. */
#include "tools/devprobe/trace/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/devprobe/trace/arch.h"

enum { MAX_CALLS = 32, MAX_STEPS = MAX_CALLS + 5 };

/* Calls of another instruction set (32-bit code, x32) have other numbers: they pass unseen. */
static unsigned short write_program(struct sock_filter steps[MAX_STEPS]) {
  int count;
  const fh_trace_syscall *calls = fh_trace_syscalls(&count);
  unsigned short n = 0;
  if (count > MAX_CALLS) count = MAX_CALLS;
  steps[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  steps[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, fh_trace_audit_arch(), 0, (unsigned char)(count + 1));
  steps[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (int i = 0; i < count; i++)
    steps[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i].number, (unsigned char)(count - i), 0);
  steps[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  steps[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
  return n;
}

/* Older kernels slow a filtered program down against speculation, unless asked not to; the oldest do not know the question. */
static int install(const struct sock_fprog *program) {
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, program) == 0) return 0;
  if (errno == EINVAL && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) == 0) return 0;
  return errno;
}

int fh_trace_filter_install(bool *out_no_new_privs) {
  struct sock_filter steps[MAX_STEPS];
  struct sock_fprog program = {.len = write_program(steps), .filter = steps};
  *out_no_new_privs = false;
  int error = install(&program);
  if (error != EACCES) return error;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  *out_no_new_privs = true;
  return install(&program);
}
