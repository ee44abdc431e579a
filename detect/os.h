/* The operating system as detection sees it: one small table, two forms. SPDX-License-Identifier: Apache-2.0
 *
 * Every fact is read through this table, never around it, so that any machine can be replayed
 * anywhere: the live form asks the kernel, the directory form reads a snapshot (its format is in
 * docs/snapshot-format.md). Functions return 0 or an errno value. Not thread-safe per object.
 */
#ifndef FOGHORN_DETECT_OS_H_
#define FOGHORN_DETECT_OS_H_

#include <sys/types.h>

#include <foghorn/status.h>
#include <foghorn/types.h>

typedef struct fh_os fh_os;

typedef struct fh_os_stat {
  mode_t mode; /* type and permission bits */
  uid_t uid;
  gid_t gid;
  unsigned rdev_major, rdev_minor;
  int64_t size;
  int64_t mtime; /* seconds since the epoch; 0 unknown */
} fh_os_stat;

/* The first bytes of a shared object, as far as a loader would care. */
typedef struct fh_os_elf {
  bool is_elf;     /* false: too short, or no magic */
  int bits;        /* 32 or 64 */
  int machine;     /* e_machine: 62 x86-64, 183 AArch64 */
  char soname[64]; /* "" when none */
  char interp[128];
  bool needs_glibc; /* DT_NEEDED libc.so.6 */
} fh_os_elf;

typedef struct fh_os_identity {
  unsigned uid, gid; /* effective */
  unsigned gids[64];
  int gid_count;
  uint64_t cap_effective;
  char machine[32]; /* uname -m */
  char release[96]; /* uname -r */
} fh_os_identity;

typedef struct fh_os_cpuid {
  uint32_t eax, ebx, ecx, edx;
} fh_os_cpuid;

/* A recorded or live answer of something that is not a file: a driver, hwloc, a trial run. */
typedef struct fh_os_answer {
  char *json;     /* the answer; freed by fh_os_answer_free */
  bool timed_out; /* killed at the limit */
  char state;     /* last seen /proc state of a child that timed out: 'D' hung, 'R' or 'S' slow; 0 unknown */
  char wchan[64]; /* where a hung child sleeps; "" unknown */
  int exit_code;  /* of the child; -1 when it did not exit by itself */
  int signal;     /* that ended it, or 0 */
  int64_t wall_ns;
} fh_os_answer;

typedef struct fh_os_api {
  void (*destroy)(fh_os *os);
  int (*stat)(fh_os *os, const char *path, bool follow, fh_os_stat *out);
  /* open(O_RDWR | O_CLOEXEC | O_NONBLOCK) and close again: the errno is the answer. */
  int (*try_open)(fh_os *os, const char *path);
  /* The whole of a small file, zero-terminated; EINVAL: a device, pipe or socket stands in its place. Past max bytes: EFBIG, and *out holds
   * the first max. Caller frees *out after 0 and after EFBIG. */
  int (*read)(fh_os *os, const char *path, size_t max, char **out, size_t *out_size);
  int (*readlink)(fh_os *os, const char *path, char *out, size_t size);
  /* Follows every link; *out is absolute. */
  int (*realpath)(fh_os *os, const char *path, char *out, size_t size);
  /* Names in a directory, sorted, without . and .. */
  int (*list)(fh_os *os, const char *path, char ***out_names, size_t *out_count);
  int (*elf)(fh_os *os, const char *path, fh_os_elf *out);
  const char *(*getenv)(fh_os *os, const char *name); /* NULL: unset; "" is a value */
  int (*identity)(fh_os *os, fh_os_identity *out);
  int (*affinity)(fh_os *os, char *out_list, size_t size);                    /* "0-3,8" */
  int (*cpuid)(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out); /* ENOSYS: not x86 */
  int (*xgetbv)(fh_os *os, uint64_t *out);                                    /* ENOSYS: OSXSAVE off */
  int (*hwcap)(fh_os *os, uint64_t *out_hwcap, uint64_t *out_hwcap2);
  /* Asks a question that needs a child process: "cuda", "opencl:<path of an .icd>", "isa", "topology".
   * `changes` is a NULL-terminated list of "NAME=value" to set or "NAME" to unset in the child, or NULL:
   * the same question with one thing changed. Several may be started before the first is collected. */
  int (*ask_start)(fh_os *os, const char *question, const char *const *changes, int *out_ticket);
  int (*ask_collect)(fh_os *os, int ticket, fh_os_answer *out);
  /* Why the last ask_start could not ask, for a person; NULL: no answer is recorded, which says nothing about the machine. Lives
   * until the next ask_start. May be left out (NULL): use fh_os_refusal. */
  const char *(*ask_refused)(fh_os *os);
} fh_os_api;

struct fh_os {
  const fh_os_api *api;
};

/* This machine. helper: the devprobe executable that answers questions in a child; NULL: found by
 * itself (FOGHORN_PROBE, then this program when it is devprobe, then beside the library). */
fh_status fh_os_live(const char *helper, int64_t timeout_ns, fh_os **out_os);
/* A snapshot directory: written by hand, or a recording (docs/snapshot-format.md). */
fh_status fh_os_directory(const char *path, fh_os **out_os);
void fh_os_destroy(fh_os *os);
const char *fh_os_refusal(fh_os *os); /* ask_refused; NULL where the table does not tell */
void fh_os_answer_free(fh_os_answer *answer);

#endif /* FOGHORN_DETECT_OS_H_ */
