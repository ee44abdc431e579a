/* The operating-system table over this machine. SPDX-License-Identifier: Apache-2.0 */
#include "detect/os_live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "detect/elf.h"
#include "detect/parse.h"

typedef struct live {
  fh_os os;
  fh_children *children;
  fh_helper helper;
  char refused[PATH_MAX + 256]; /* why the last question was not asked; "" it was */
} live;

static const int64_t default_timeout_ns = 10LL * 1000 * 1000 * 1000;

/* ---- files ----------------------------------------------------------------------------------------------- */

static int live_stat(fh_os *os, const char *path, bool follow, fh_os_stat *out) {
  (void)os;
  struct stat st;
  if ((follow ? stat(path, &st) : lstat(path, &st)) != 0) return errno;
  *out = (fh_os_stat){
      .mode = st.st_mode,
      .uid = st.st_uid,
      .gid = st.st_gid,
      .rdev_major = major(st.st_rdev),
      .rdev_minor = minor(st.st_rdev),
      .size = st.st_size,
      .mtime = st.st_mtim.tv_sec,
  };
  return 0;
}

/* A driver may hang in open: character devices are opened by a child, except the kernel's own (/dev/null and its kin). */
static int live_try_open(fh_os *os, const char *path) {
  struct stat st;
  if (stat(path, &st) != 0) return errno;
  enum { MAJOR_MEM = 1 };
  if (S_ISCHR(st.st_mode) && major(st.st_rdev) != MAJOR_MEM) return fh_children_open_node(((live *)os)->children, path);
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

/* Opens a file for reading. An image may have a link to anything in a file's place: a device could hold us, or do something. */
static int open_file(const char *path, int *out_fd) {
  struct stat st;
  if (stat(path, &st) != 0) return errno;
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return EINVAL;
  *out_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  return *out_fd < 0 ? errno : 0;
}

static int live_read(fh_os *os, const char *path, size_t max, char **out, size_t *out_size) {
  (void)os;
  int fd, wrong = open_file(path, &fd);
  if (wrong) return wrong;
  size_t size = 0, capacity = 4096;
  char *data = malloc(capacity + 1);
  int error = data ? 0 : ENOMEM;
  while (!error) {
    if (size == capacity) {
      char *more = capacity <= SIZE_MAX / 4 ? realloc(data, capacity * 2 + 1) : NULL;
      if (!more) {
        error = ENOMEM;
        break;
      }
      data = more;
      capacity *= 2;
    }
    ssize_t got = read(fd, data + size, capacity - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) error = errno;
    if (got <= 0) break;
    size += (size_t)got;
    if (size > max) error = EFBIG;
  }
  close(fd);
  if (error && error != EFBIG) {
    free(data);
    return error;
  }
  if (size > max) size = max;
  data[size] = 0;
  *out = data;
  if (out_size) *out_size = size;
  return error;
}

static int live_readlink(fh_os *os, const char *path, char *out, size_t size) {
  (void)os;
  ssize_t length = readlink(path, out, size);
  if (length < 0) return errno;
  if ((size_t)length >= size) return ENAMETOOLONG;
  out[length] = 0;
  return 0;
}

static int live_realpath(fh_os *os, const char *path, char *out, size_t size) {
  (void)os;
  char real[PATH_MAX];
  if (!realpath(path, real)) return errno;
  return (size_t)snprintf(out, size, "%s", real) < size ? 0 : ENAMETOOLONG;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* More than any folder of a healthy machine holds; /proc with all its processes is the largest. */
enum { MAX_NAMES = 1 << 20 };

static int live_list(fh_os *os, const char *path, char ***out_names, size_t *out_count) {
  (void)os;
  DIR *dir = opendir(path);
  if (!dir) return errno;
  char **names = NULL;
  size_t count = 0, capacity = 0;
  int error = 0;
  for (struct dirent *entry; !error && (errno = 0, entry = readdir(dir));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (count == MAX_NAMES) {
      error = E2BIG;
      break;
    }
    if (count == capacity) {
      capacity = capacity ? capacity * 2 : 64;
      char **more = realloc(names, capacity * sizeof *more);
      if (!more) {
        error = ENOMEM;
        break;
      }
      names = more;
    }
    names[count] = strdup(entry->d_name);
    if (!names[count]) {
      error = ENOMEM;
    } else {
      count++;
    }
  }
  if (!error) error = errno;
  closedir(dir);
  if (error) {
    for (size_t i = 0; i < count; i++) free(names[i]);
    free(names);
    return error;
  }
  if (count) qsort(names, count, sizeof *names, by_name);
  *out_names = names;
  *out_count = count;
  return 0;
}

static int live_elf(fh_os *os, const char *path, fh_os_elf *out) {
  (void)os;
  int fd, wrong = open_file(path, &fd);
  if (wrong) return wrong;
  struct stat st;
  int error = fstat(fd, &st) != 0 ? errno : S_ISREG(st.st_mode) ? 0 : EINVAL;
  if (!error) fh_elf_parse_fd(fd, out);
  close(fd);
  return error;
}

/* ---- identity ---------------------------------------------------------------------------------------------- */

static const char *live_getenv(fh_os *os, const char *name) {
  (void)os;
  return getenv(name);
}

static uint64_t effective_capabilities(void) {
  char *text = NULL;
  uint64_t caps = 0;
  if (live_read(NULL, "/proc/self/status", 64 * 1024, &text, NULL) != 0) return 0;
  size_t size;
  const char *value = fh_key_value(text, "CapEff", ':', &size);
  char word[32];
  if (value && size < sizeof word) {
    memcpy(word, value, size);
    word[size] = 0;
    fh_parse_hex(word, &caps);
  }
  free(text);
  return caps;
}

static int live_identity(fh_os *os, fh_os_identity *out) {
  (void)os;
  struct utsname name;
  if (uname(&name) != 0) return errno;
  *out = (fh_os_identity){.uid = geteuid(), .gid = getegid(), .cap_effective = effective_capabilities()};
  snprintf(out->machine, sizeof out->machine, "%.*s", (int)sizeof out->machine - 1, name.machine);
  snprintf(out->release, sizeof out->release, "%.*s", (int)sizeof out->release - 1, name.release);
  gid_t groups[NGROUPS_MAX > 4096 ? 4096 : NGROUPS_MAX];
  int count = getgroups((int)(sizeof groups / sizeof groups[0]), groups);
  const int room = (int)(sizeof out->gids / sizeof out->gids[0]);
  for (int i = 0; i < count && out->gid_count < room; i++) out->gids[out->gid_count++] = groups[i];
  return 0;
}

static int live_affinity(fh_os *os, char *out_list, size_t size) {
  (void)os;
  const size_t bytes = CPU_ALLOC_SIZE(FH_CPULIST_MAX);
  cpu_set_t *set = CPU_ALLOC(FH_CPULIST_MAX);
  if (!set) return ENOMEM;
  int error = sched_getaffinity(0, bytes, set) != 0 ? errno : 0;
  size_t used = 0;
  out_list[0] = 0;
  for (int cpu = 0; !error && cpu < FH_CPULIST_MAX; cpu++) {
    if (!CPU_ISSET_S((size_t)cpu, bytes, set)) continue;
    int last = cpu;
    while (last + 1 < FH_CPULIST_MAX && CPU_ISSET_S((size_t)last + 1, bytes, set)) last++;
    int length = last > cpu ? snprintf(out_list + used, size - used, "%s%d-%d", used ? "," : "", cpu, last)
                            : snprintf(out_list + used, size - used, "%s%d", used ? "," : "", cpu);
    if (length < 0 || (size_t)length >= size - used) error = ENAMETOOLONG;
    used += (size_t)length;
    cpu = last;
  }
  CPU_FREE(set);
  return error;
}

/* ---- processor ------------------------------------------------------------------------------------------------ */

#if defined(__x86_64__)
static int live_cpuid(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  (void)os;
  __cpuid_count(leaf, subleaf, out->eax, out->ebx, out->ecx, out->edx);
  return 0;
}

static int live_xgetbv(fh_os *os, uint64_t *out) {
  (void)os;
  enum { OSXSAVE = 1 << 27 };
  uint32_t eax, ebx, ecx, edx;
  __cpuid(1, eax, ebx, ecx, edx);
  if (!(ecx & OSXSAVE)) return ENOSYS;
  __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  *out = (uint64_t)edx << 32 | eax;
  return 0;
}
#else
static int live_cpuid(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  (void)os, (void)leaf, (void)subleaf, (void)out;
  return ENOSYS;
}

static int live_xgetbv(fh_os *os, uint64_t *out) {
  (void)os, (void)out;
  return ENOSYS;
}
#endif

static int live_hwcap(fh_os *os, uint64_t *out_hwcap, uint64_t *out_hwcap2) {
  (void)os;
  *out_hwcap = getauxval(AT_HWCAP);
  *out_hwcap2 = getauxval(AT_HWCAP2);
  return 0;
}

/* ---- questions -------------------------------------------------------------------------------------------------- */

static int live_ask_start(fh_os *os, const char *question, const char *const *changes, int *out_ticket) {
  live *l = (live *)os;
  l->refused[0] = 0;
  if (l->helper.no_drivers[0] && !fh_answer_knows(question)) {
    snprintf(l->refused, sizeof l->refused, "%s", l->helper.no_drivers);
    return ENOTSUP;
  }
  int error = fh_children_start(l->children, question, changes, out_ticket);
  const char *program = l->helper.path[0] ? l->helper.path : "a child process";
  if (error) snprintf(l->refused, sizeof l->refused, "%s cannot be started: %s", program, strerror(error));
  return error;
}

static const char *live_ask_refused(fh_os *os) { return ((live *)os)->refused[0] ? ((live *)os)->refused : NULL; }

static int live_ask_collect(fh_os *os, int ticket, fh_os_answer *out) { return fh_children_collect(((live *)os)->children, ticket, out); }

static void live_destroy(fh_os *os) {
  fh_children_destroy(((live *)os)->children);
  free(os);
}

static const fh_os_api live_api = {
    .destroy = live_destroy,
    .stat = live_stat,
    .try_open = live_try_open,
    .read = live_read,
    .readlink = live_readlink,
    .realpath = live_realpath,
    .list = live_list,
    .elf = live_elf,
    .getenv = live_getenv,
    .identity = live_identity,
    .affinity = live_affinity,
    .cpuid = live_cpuid,
    .xgetbv = live_xgetbv,
    .hwcap = live_hwcap,
    .ask_start = live_ask_start,
    .ask_collect = live_ask_collect,
    .ask_refused = live_ask_refused,
};

/* ---- opening -------------------------------------------------------------------------------------------------------- */

fh_status fh_os_live(const char *helper, int64_t timeout_ns, fh_os **out_os) {
  *out_os = NULL;
  if (helper && access(helper, X_OK) != 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_os_live: helper %s cannot be run: %s", helper, strerror(errno));
  live *l = calloc(1, sizeof *l);
  if (l && helper)
    snprintf(l->helper.path, sizeof l->helper.path, "%s", helper);
  else if (l)
    fh_helper_find(&l->helper);
  if (l) l->children = fh_children_create(l->helper.path, timeout_ns > 0 ? timeout_ns : default_timeout_ns);
  if (!l || !l->children) {
    free(l);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the operating-system table");
  }
  l->os.api = &live_api;
  *out_os = &l->os;
  return FH_OK;
}
