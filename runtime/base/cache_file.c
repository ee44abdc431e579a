/* Files of a cache folder. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

bool fh_cache_folder(char *out, size_t size) {
  const char *set = getenv("FOGHORN_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  int n = 0;
  out[0] = 0;
  if (set) {
    n = snprintf(out, size, "%s", set); /* "" switches the cache off */
  } else if (xdg && *xdg) {
    n = snprintf(out, size, "%s/foghorn", xdg);
  } else if (home && *home) {
    n = snprintf(out, size, "%s/.cache/foghorn", home);
  }
  if (n < 0 || (size_t)n >= size) out[0] = 0; /* a cut path would be another path */
  return out[0] != 0;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

static const char *mistrust(const struct stat *st, size_t most) {
  if (!S_ISREG(st->st_mode)) return "it is not a regular file";
  if (st->st_uid != geteuid()) return "it belongs to another user";
  if (st->st_mode & (S_IWGRP | S_IWOTH)) return "others may write it";
  if (st->st_size < 0 || (size_t)st->st_size > most) return "it is too large";
  return NULL;
}

static const char *read_all(int fd, char *bytes, size_t size) {
  for (size_t have = 0; have < size;) {
    ssize_t got = read(fd, bytes + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return strerror(errno);
    if (got == 0) return "it is cut short";
    have += (size_t)got;
  }
  return NULL;
}

static const char *read_open(int fd, size_t most, char **out, size_t *out_size) {
  struct stat st;
  if (fstat(fd, &st) != 0) return strerror(errno);
  const char *why = mistrust(&st, most);
  if (why) return why;
  size_t size = (size_t)st.st_size;
  char *bytes = malloc(size + 1);
  if (!bytes) return "no memory to read it";
  why = read_all(fd, bytes, size);
  if (why) {
    free(bytes);
    return why;
  }
  bytes[size] = 0;
  *out = bytes;
  *out_size = size;
  return NULL;
}

const char *fh_cache_file_read(const char *path, size_t most, char **out, size_t *out_size) {
  *out = NULL;
  *out_size = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return errno == ENOENT ? NULL : strerror(errno);
  const char *why = read_open(fd, most, out, out_size);
  close(fd);
  return why;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static const char *write_all(int fd, const char *bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t wrote = write(fd, bytes + done, size - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return strerror(errno);
    done += (size_t)wrote;
  }
  return NULL;
}

/* The folders that lead to the file; one that cannot be made shows when the file is opened. */
static void make_folders(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    mkdir(path, 0700);
    *slash = '/';
  }
}

static bool name_temporary(const char *path, char temporary[static PATH_SIZE]) {
  static _Atomic unsigned serial;
  const int length = snprintf(temporary, PATH_SIZE, "%s.%ld.%u", path, (long)getpid(), atomic_fetch_add(&serial, 1));
  return length >= 0 && length < PATH_SIZE;
}

/* Opens a new file beside the path, and makes the folders that lead there. A name may be taken: by a process of another container with the
 * number of this one, or by what such a one left when it was killed. *out_why: why it returns -1. */
static int open_temporary(const char *path, char temporary[static PATH_SIZE], const char **out_why) {
  enum { NAMES = 1000 };
  int fd = -1;
  for (int i = 0; i < NAMES; i++) {
    if (!name_temporary(path, temporary)) {
      *out_why = "its path is too long";
      return -1;
    }
    if (i == 0) make_folders(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 || errno != EEXIST) break;
  }
  if (fd < 0) *out_why = strerror(errno);
  return fd;
}

const char *fh_cache_file_write(const char *path, const fh_cache_part *parts, int part_count) {
  char temporary[PATH_SIZE];
  const char *why = NULL;
  const int fd = open_temporary(path, temporary, &why);
  if (fd < 0) return why;
  for (int i = 0; i < part_count && !why; i++) why = write_all(fd, parts[i].bytes, parts[i].size);
  if (close(fd) != 0 && !why) why = strerror(errno);
  if (!why && rename(temporary, path) != 0) why = strerror(errno);
  if (why) unlink(temporary);
  return why;
}

const char *fh_cache_file_writable(const char *path) {
  char temporary[PATH_SIZE];
  struct stat st;
  const char *why = NULL;
  if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) return strerror(EISDIR);
  const int fd = open_temporary(path, temporary, &why);
  if (fd < 0) return why;
  close(fd);
  unlink(temporary);
  return NULL;
}
