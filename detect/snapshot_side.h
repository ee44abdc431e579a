/* The side files of a snapshot: what a plain directory tree cannot hold. SPDX-License-Identifier: Apache-2.0
 * docs/snapshot-format.md describes them. */
#ifndef FOGHORN_DETECT_SNAPSHOT_SIDE_H_
#define FOGHORN_DETECT_SNAPSHOT_SIDE_H_

#include "detect/os.h"

enum { FH_SIDE_MAX_BYTES = 4096, FH_SIDE_LINK_MAX = 1024 };

typedef struct fh_side {
  char type; /* 'c' 'b' 'f' 'd' 'l', 'a' absent; 0: not said */
  bool has_rdev, has_mode, has_uid, has_gid, has_size, has_elf;
  unsigned rdev_major, rdev_minor;
  unsigned mode, uid, gid;
  int64_t size, mtime;
  int open_errno, stat_errno; /* 0: none */
  fh_os_elf elf;
  char link[FH_SIDE_LINK_MAX]; /* "" none */
} fh_side;

/* Reads the text of a file named <something>.stat. 0: a side file. ENOENT: not one (its first word is not a known
 * key with a value: cpu.stat of a cgroup, say). EINVAL: a side file with a fault, told in problem. */
int fh_side_parse(const char *text, fh_side *out, char *problem, size_t problem_size);

#endif /* FOGHORN_DETECT_SNAPSHOT_SIDE_H_ */
