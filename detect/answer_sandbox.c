/* What the sandbox around this process allows, tried out. SPDX-License-Identifier: Apache-2.0
 *
 * The CUDA driver makes files in memory, writes the names of its threads, maps memory that it executes and talks to its nodes by
 * ioctl. Each is tried alone and harmlessly; a filter that kills instead of refusing ends only this child. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "detect/answer.h"

static int try_memfd(void) {
  int fd = (int)syscall(SYS_memfd_create, "foghorn", 0U);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

/* Writes back the name that this thread has. */
static int try_comm(void) {
  char path[64], name[32];
  snprintf(path, sizeof path, "/proc/self/task/%ld/comm", syscall(SYS_gettid));
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  ssize_t size = read(fd, name, sizeof name);
  int error = size < 0 || write(fd, name, (size_t)size) < 0 ? errno : 0;
  close(fd);
  return error;
}

/* Memory that is first written and then executed, as every translator of kernels needs it. */
static int try_exec_map(void) {
  size_t size = (size_t)sysconf(_SC_PAGESIZE);
  void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return errno;
  memset(page, 0, size);
  int error = mprotect(page, size, PROT_READ | PROT_EXEC) == 0 ? 0 : errno;
  munmap(page, size);
  return error;
}

/* A request of NVIDIA's kind on a pipe: ENOTTY says that the call itself went through. */
static int try_ioctl(void) {
  enum { NVIDIA_REQUESTS = 'F', CARD_INFO = 200 };
  int pipe_fds[2], unused = 0;
  if (pipe(pipe_fds) != 0) return errno;
  /* not ioctl(), whose request is an int in musl and a long in glibc */
  int error = syscall(SYS_ioctl, pipe_fds[0], _IOWR(NVIDIA_REQUESTS, CARD_INFO, int), &unused) == 0 ? 0 : errno;
  close(pipe_fds[0]);
  close(pipe_fds[1]);
  return error == ENOTTY || error == EINVAL ? 0 : error;
}

void fh_answer_sandbox(const char *none) {
  (void)none;
  static const struct {
    const char *call;
    int (*attempt)(void);
  } trials[] = {{"memfd_create", try_memfd}, {"comm", try_comm}, {"exec_map", try_exec_map}, {"ioctl", try_ioctl}};
  for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
    fh_answer_calling(trials[i].call);
    fh_answer_say(json_pack("{s:i}", trials[i].call, trials[i].attempt()));
  }
}
