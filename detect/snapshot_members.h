/* The files of a snapshot in memory: names and bytes. SPDX-License-Identifier: Apache-2.0
 * An archive and a directory are two ways to hold them. */
#ifndef FOGHORN_DETECT_SNAPSHOT_MEMBERS_H_
#define FOGHORN_DETECT_SNAPSHOT_MEMBERS_H_

#include <stdbool.h>
#include <stddef.h>

#include <foghorn/status.h>

/* What a snapshot may take, so that a hostile one cannot fill memory. A name has at most so many bytes, which
 * fit a tar header together with the folder of an archive. */
enum {
  FH_MEMBERS_MAX = 20000,
  FH_MEMBER_NAME_MAX = 88,
  FH_MEMBER_MAX_BYTES = 16 << 20,
  FH_MEMBERS_MAX_BYTES = 64 << 20,
};

typedef struct fh_member {
  char *name;  /* relative, without dots: "fs/proc/version" */
  char *bytes; /* zero-terminated beyond size */
  size_t size;
} fh_member;

typedef struct fh_members {
  fh_member *items; /* sorted by name after fh_members_sort */
  size_t count, capacity, total;
} fh_members;

/* A name that stays inside a snapshot, whole on every file system: no empty, "." or ".." part, no control character, not too
 * long. */
bool fh_member_name_is_safe(const char *name);
/* Copies. INVALID_ARGUMENT: an unsafe name, or more than a snapshot may take. */
fh_status fh_members_add(fh_members *members, const char *name, const void *bytes, size_t size);
/* INVALID_ARGUMENT when two have one name, or one is a folder of another. */
fh_status fh_members_sort(fh_members *members);
/* Of sorted members; NULL: none. */
const fh_member *fh_members_find(const fh_members *members, const char *name);
void fh_members_free(fh_members *members);

/* All files below a directory, sorted. Links are not followed and anything but files and directories is refused. */
fh_status fh_members_read_directory(int directory, const char *name, fh_members *out_members);
/* Makes the directory, which must not exist, and the files in it, readable for their owner only. */
fh_status fh_members_write_directory(const fh_members *members, const char *path);

#endif /* FOGHORN_DETECT_SNAPSHOT_MEMBERS_H_ */
