/* The live operating-system table until detection lands its own (weak: that one wins). SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/utsname.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "detect/os.h"

static void no_destroy(fh_os *os) { (void)os; }
static int no_stat(fh_os *os, const char *path, bool follow, fh_os_stat *out) {
  return (void)os, (void)path, (void)follow, (void)out, ENOSYS;
}
static int no_open(fh_os *os, const char *path) { return (void)os, (void)path, ENOSYS; }
static int no_read(fh_os *os, const char *path, size_t max, char **out, size_t *size) {
  return (void)os, (void)path, (void)max, (void)out, (void)size, ENOSYS;
}
static int no_link(fh_os *os, const char *path, char *out, size_t size) { return (void)os, (void)path, (void)out, (void)size, ENOSYS; }
static int no_list(fh_os *os, const char *path, char ***out, size_t *count) {
  return (void)os, (void)path, *out = NULL, *count = 0, ENOSYS;
}
static int no_elf(fh_os *os, const char *path, fh_os_elf *out) { return (void)os, (void)path, (void)out, ENOSYS; }
static const char *no_env(fh_os *os, const char *name) { return (void)os, (void)name, NULL; }
static int live_identity(fh_os *os, fh_os_identity *out) {
  struct utsname u;
  (void)os;
  *out = (fh_os_identity){0};
  if (uname(&u) != 0) return errno;
  snprintf(out->machine, sizeof out->machine, "%.31s", u.machine);
  snprintf(out->release, sizeof out->release, "%s", u.release);
  return 0;
}
static int live_affinity(fh_os *os, char *out, size_t size) {
  cpu_set_t mask;
  (void)os;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return errno;
  snprintf(out, size, "0-%d", CPU_COUNT(&mask) - 1);
  return 0;
}
static int live_cpuid(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  (void)os;
#if defined(__x86_64__)
  __cpuid_count(leaf, subleaf, out->eax, out->ebx, out->ecx, out->edx);
  return 0;
#else
  return (void)leaf, (void)subleaf, (void)out, ENOSYS;
#endif
}
static int live_xgetbv(fh_os *os, uint64_t *out) {
  (void)os;
#if defined(__x86_64__)
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  *out = (uint64_t)high << 32 | low;
  return 0;
#else
  return (void)out, ENOSYS;
#endif
}
static int no_hwcap(fh_os *os, uint64_t *a, uint64_t *b) { return (void)os, (void)a, (void)b, ENOSYS; }
static int no_ask(fh_os *os, const char *question, const char *const *changes, int *out) {
  return (void)os, (void)question, (void)changes, (void)out, ENOENT;
}
static int no_collect(fh_os *os, int ticket, fh_os_answer *out) { return (void)os, (void)ticket, (void)out, ENOENT; }

static const fh_os_api api = {no_destroy, no_stat,       no_open,       no_read,    no_link,     no_link,  no_list, no_elf,
                              no_env,     live_identity, live_affinity, live_cpuid, live_xgetbv, no_hwcap, no_ask,  no_collect};
static fh_os os_now = {&api};

__attribute__((weak)) fh_status fh_os_live(const char *helper, int64_t timeout_ns, fh_os **out_os) {
  (void)helper, (void)timeout_ns;
  *out_os = &os_now;
  return FH_OK;
}
