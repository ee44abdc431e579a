/* A folder that a test fills. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/folder.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "folder: %s: %s\n", what, strerror(errno));
  exit(1);
}

void folder_make(folder *f) {
  const char *base = getenv("TMPDIR");
  int length = snprintf(f->path, sizeof f->path, "%s/foghorn-test-XXXXXX", base && *base ? base : "/tmp");
  need(length > 0 && (size_t)length < sizeof f->path, "the temporary directory has too long a name");
  need(mkdtemp(f->path) != NULL, f->path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
  (void)st, (void)type, (void)where;
  return remove(path);
}

void folder_remove(folder *f) { nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

const char *folder_at(const folder *f, const char *name) {
  static char paths[4][PATH_MAX];
  static unsigned next;
  char *path = paths[next++ % 4];
  need(snprintf(path, PATH_MAX, "%s/%s", f->path, name) < PATH_MAX, "the name is too long");
  return path;
}

static void make_parents(char *path, size_t from) {
  for (char *slash = strchr(path + from, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    need(mkdir(path, 0755) == 0 || errno == EEXIST, path);
    *slash = '/';
  }
}

static void full_path(const folder *f, const char *name, char *out) {
  need(snprintf(out, PATH_MAX, "%s/%s", f->path, name) < PATH_MAX, "the name is too long");
  make_parents(out, strlen(f->path) + 1);
}

void folder_put_bytes(const folder *f, const char *name, const void *bytes, size_t size) {
  char path[PATH_MAX];
  full_path(f, name, path);
  FILE *file = fopen(path, "wb");
  need(file != NULL, path);
  need(fwrite(bytes, 1, size, file) == size, path);
  need(fclose(file) == 0, path);
}

void folder_put(const folder *f, const char *name, const char *text) { folder_put_bytes(f, name, text, strlen(text)); }

void folder_mkdir(const folder *f, const char *name) {
  char path[PATH_MAX];
  full_path(f, name, path);
  need(mkdir(path, 0755) == 0 || errno == EEXIST, path);
}

void folder_link(const folder *f, const char *name, const char *target) {
  char path[PATH_MAX];
  full_path(f, name, path);
  need(symlink(target, path) == 0, path);
}
