/* What this process may do: threads, memory placement, locked memory, arithmetic. SPDX-License-Identifier: Apache-2.0
 * Sandboxes answer these system calls in their own way, and nothing but trying tells. Each trial undoes itself, takes no more
 * than one thread and touches no page, as other programs live in the same limits. */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "detect/answer.h"
#include "detect/parse.h"

/* error: 0 for a call that worked, else its errno. */
static void say_error(const char *name, int error) { fh_answer_say(json_pack("{s:s}", name, error ? fh_errno_name(error) : "ok")); }

static int error_of(long result) { return result < 0 ? errno : 0; }

/* ---- arithmetic ------------------------------------------------------------------------------------------------- */

/* Set before main() only by an object that was loaded with us. */
static void say_denormals(void) {
#if defined(__x86_64__)
  enum { DENORMALS_ARE_ZERO = 1 << 6, FLUSH_TO_ZERO = 1 << 15 };
  unsigned control = __builtin_ia32_stmxcsr();
  fh_answer_say(
      json_pack("{s:b,s:b}", "flush_to_zero", control & FLUSH_TO_ZERO ? 1 : 0, "denormals_are_zero", control & DENORMALS_ARE_ZERO ? 1 : 0));
#elif defined(__aarch64__)
  const unsigned long flush_to_zero = 1ul << 24; /* of inputs and results */
  unsigned long control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  fh_answer_say(json_pack("{s:b}", "flush_to_zero", control & flush_to_zero ? 1 : 0));
#endif
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

static void *do_nothing(void *argument) { return argument; }

static void say_threads(void) {
  pthread_t thread;
#ifdef SYS_clone3
  fh_answer_calling("clone3");
  say_error("clone3", error_of(syscall(SYS_clone3, NULL, 0))); /* without arguments: EINVAL from a kernel that knows it */
#endif
  fh_answer_calling("pthread_create");
  int error = pthread_create(&thread, NULL, do_nothing, NULL);
  if (!error) pthread_join(thread, NULL);
  say_error("thread", error);
}

/* ---- memory placement --------------------------------------------------------------------------------------------- */

/* Each in a form that changes nothing. */
static void say_memory_policy(void) {
  int mode;
  fh_answer_calling("get_mempolicy");
  say_error("get_mempolicy", error_of(syscall(SYS_get_mempolicy, &mode, NULL, 0UL, NULL, 0UL)));
  fh_answer_calling("set_mempolicy");
  say_error("set_mempolicy", error_of(syscall(SYS_set_mempolicy, 0, NULL, 0UL)));
  fh_answer_calling("mbind");
  say_error("mbind", error_of(syscall(SYS_mbind, NULL, 0UL, 0, NULL, 0UL, 0U)));
}

/* ---- locked memory -------------------------------------------------------------------------------------------------- */

/* One page more than the limit allows, locked "on fault": the kernel counts, and fetches nothing. */
static void say_locked_memory(void) {
  enum { LOCK_ON_FAULT = 1 };
  const rlim_t most = (rlim_t)1 << 32;
  struct rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > most) return;
  size_t size = (size_t)limit.rlim_cur + (size_t)sysconf(_SC_PAGESIZE);
  void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return;
#ifdef SYS_mlock2
  fh_answer_calling("mlock2");
  say_error("lock_over_limit", error_of(syscall(SYS_mlock2, pages, size, LOCK_ON_FAULT)));
#endif
  munmap(pages, size);
}

void fh_answer_process(const char *none) {
  (void)none;
  say_denormals();
  say_threads();
  say_memory_policy();
  say_locked_memory();
}
