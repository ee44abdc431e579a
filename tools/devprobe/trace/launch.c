/* Starts a program under observation. SPDX-License-Identifier: Apache-2.0
 *
 * The child waits until it is observed, installs the filter itself and says how that went, waits again, and becomes the
 * program: so nothing of it is missed. PTRACE_SEIZE and not PTRACE_TRACEME: only so can stop signals and job control pass
 * through. If devprobe ends first, the program is killed: without its tracer the filter would make opening files fail. */
#include "tools/devprobe/trace/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "detect/parse.h"
#include "tools/devprobe/trace/arch.h"
#include "tools/devprobe/trace/filter.h"

enum { EXIT_CANNOT_RUN = 126, EXIT_NO_COMMAND = 127 }; /* as a shell says it */

/* What the child tells: first of the filter, then, when it is still there, why it could not become the program. */
typedef struct report {
  int error;
  bool no_new_privs;
} report;

typedef struct channels {
  int go[2], told[2];
} channels;

static bool take_byte(int fd) {
  char byte;
  ssize_t got;
  do got = read(fd, &byte, 1);
  while (got < 0 && errno == EINTR);
  return got == 1;
}

static bool take_report(int fd, report *out) {
  ssize_t got;
  do got = read(fd, out, sizeof *out);
  while (got < 0 && errno == EINTR);
  return got == (ssize_t)sizeof *out;
}

static bool tell(int fd, const void *bytes, size_t size) { return write(fd, bytes, size) == (ssize_t)size; }

/* ---- the child ---------------------------------------------------------------------------------------------- */

_Noreturn static void become(char *const *command, const sigset_t *signals, const channels *c) {
  close(c->go[1]);
  close(c->told[0]);
  report filter = {0}, end = {0};
  if (!take_byte(c->go[0])) _exit(EXIT_CANNOT_RUN);
  filter.error = fh_trace_filter_install(&filter.no_new_privs);
  if (!tell(c->told[1], &filter, sizeof filter) || !take_byte(c->go[0])) _exit(EXIT_CANNOT_RUN);
  close(c->go[0]);
  signal(SIGPIPE, SIG_DFL); /* devprobe ignores it, the program must not inherit that */
  sigprocmask(SIG_SETMASK, signals, NULL);
  execvp(command[0], command);
  end.error = errno;
  tell(c->told[1], &end, sizeof end);
  _exit(end.error == ENOENT ? EXIT_NO_COMMAND : EXIT_CANNOT_RUN);
}

/* ---- taking it under observation -------------------------------------------------------------------------------- */

static long read_setting(const char *path) {
  char text[32] = "";
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
  if (fd >= 0) close(fd);
  int64_t value = -1;
  return got > 0 && fh_parse_i64(text, &value) ? (long)value : -1;
}

static fh_status cannot_observe(int error) {
  static const char *const yama = "/proc/sys/kernel/yama/ptrace_scope";
  long scope = read_setting(yama);
  if (error == ENOSYS || error == EIO || error == EINVAL)
    return FH_STATUS(FH_UNIMPLEMENTED, "this kernel or emulator has no PTRACE_SEIZE (%s), so no program can be watched here",
                     strerror(error));
  if (scope >= 2)
    return FH_STATUS(FH_PERMISSION_DENIED, "watching a program is forbidden on this machine: %s is %ld (%s); %s", yama, scope,
                     strerror(error),
                     scope == 2 ? "run devprobe as root, or as root on the host: sysctl kernel.yama.ptrace_scope=1"
                                : "only a restart of the machine with another kernel.yama.ptrace_scope changes that");
  return FH_STATUS(FH_PERMISSION_DENIED,
                   "watching a program is forbidden here (ptrace: %s), most likely by a container's system call filter; allow it with "
                   "docker|podman run --cap-add=SYS_PTRACE, in Kubernetes with securityContext.capabilities.add: [SYS_PTRACE]",
                   strerror(error));
}

enum {
  OPTIONS = PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT |
            PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP
};

/* Stops the waiting child once, so that it goes on from system call to system call. */
static bool stop_at_all_calls(pid_t pid) {
  int status;
  if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0) return false;
  while (waitpid(pid, &status, __WALL) < 0)
    if (errno != EINTR) return false;
  return WIFSTOPPED(status) && ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0;
}

static fh_status observe(fh_trace_launch *launch, const channels *c) {
  report filter;
  if (ptrace(PTRACE_SEIZE, launch->pid, NULL, (long)OPTIONS) != 0) return cannot_observe(errno);
  if (!tell(c->go[1], "", 1) || !take_report(c->told[0], &filter))
    return FH_STATUS(FH_INTERNAL, "the child that was to become the program ended before it began");
  launch->all_calls = filter.error != 0;
  launch->no_new_privs = filter.no_new_privs;
  if (launch->all_calls && !stop_at_all_calls(launch->pid)) return cannot_observe(errno);
  if (!tell(c->go[1], "", 1)) return FH_STATUS(FH_INTERNAL, "the child that was to become the program ended before it began");
  return FH_OK;
}

/* ---- both ------------------------------------------------------------------------------------------------------- */

static bool open_channels(channels *c) {
  if (pipe2(c->go, O_CLOEXEC) != 0) return false;
  if (pipe2(c->told, O_CLOEXEC) == 0) return true;
  close(c->go[0]);
  close(c->go[1]);
  return false;
}

static void give_up(pid_t pid) {
  kill(pid, SIGKILL);
  while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR) continue;
}

fh_status fh_trace_launch_start(char *const *command, const sigset_t *signals, fh_trace_launch *out) {
  channels c;
  int count;
  *out = (fh_trace_launch){.report_fd = -1};
  fh_trace_syscalls(&count);
  if (!count) return FH_STATUS(FH_UNIMPLEMENTED, "trace knows the system calls of x86-64 and AArch64 only");
  if (!open_channels(&c)) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "a pipe for the traced program: %s", strerror(errno));
  out->pid = _Fork(); /* nothing but what is written here runs in the child: a thread that a handler starts there would stop it, observed */
  if (out->pid == 0) become(command, signals, &c);
  int error = errno;
  close(c.go[0]);
  close(c.told[1]);
  fh_status status =
      out->pid < 0 ? FH_STATUS(FH_RESOURCE_EXHAUSTED, "a process for the traced program: %s", strerror(error)) : observe(out, &c);
  close(c.go[1]);
  out->report_fd = c.told[0];
  if (!status) return FH_OK;
  if (out->pid > 0) give_up(out->pid);
  fh_trace_launch_end(out);
  return status;
}

int fh_trace_launch_end(fh_trace_launch *launch) {
  report end = {0};
  if (launch->report_fd < 0) return 0;
  if (!take_report(launch->report_fd, &end)) end.error = 0; /* the program began: the channel closed by itself */
  close(launch->report_fd);
  launch->report_fd = -1;
  return end.error;
}
