/* The files of a snapshot in memory. SPDX-License-Identifier: Apache-2.0 */
#include "detect/snapshot_members.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 64 };

static fh_status no_memory(void) { return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for a snapshot"); }

bool fh_member_name_is_safe(const char *name) {
  size_t length = strlen(name);
  if (length == 0 || length > FH_MEMBER_NAME_MAX) return false;
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '\\') return false;
  for (const char *part = name;; part++) {
    size_t size = strcspn(part, "/");
    if (size == 0 || (size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.')) return false;
    part += size;
    if (!*part) return true;
  }
}

static bool make_room(fh_members *members) {
  if (members->count < members->capacity) return true;
  size_t capacity = members->capacity ? members->capacity * 2 : 64;
  fh_member *items = realloc(members->items, capacity * sizeof *items);
  if (!items) return false;
  members->items = items;
  members->capacity = capacity;
  return true;
}

fh_status fh_members_add(fh_members *members, const char *name, const void *bytes, size_t size) {
  if (!fh_member_name_is_safe(name))
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "'%.120s' cannot be the name of a file in a snapshot: expected a relative path of at most %d bytes "
                     "without . and .. and control characters",
                     name, FH_MEMBER_NAME_MAX);
  if (size > FH_MEMBER_MAX_BYTES || members->total + size > FH_MEMBERS_MAX_BYTES || members->count == FH_MEMBERS_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "'%s' is too much: a snapshot has at most %d files, %d MiB each and %d MiB together", name,
                     FH_MEMBERS_MAX, FH_MEMBER_MAX_BYTES >> 20, FH_MEMBERS_MAX_BYTES >> 20);
  if (!make_room(members)) return no_memory();
  fh_member *m = &members->items[members->count];
  *m = (fh_member){.name = strdup(name), .bytes = malloc(size + 1), .size = size};
  if (!m->name || !m->bytes) {
    free(m->name);
    free(m->bytes);
    return no_memory();
  }
  if (size) memcpy(m->bytes, bytes, size);
  m->bytes[size] = 0;
  members->count++;
  members->total += size;
  return FH_OK;
}

static int by_name(const void *a, const void *b) { return strcmp(((const fh_member *)a)->name, ((const fh_member *)b)->name); }

/* Of sorted names the folder of another need not stand right before it ("a", "a.b", "a/b"), so each folder is looked up. */
static const char *folder_that_is_a_file(const fh_members *members, const char *name) {
  char folder[FH_MEMBER_NAME_MAX + 1];
  for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
    memcpy(folder, name, (size_t)(slash - name));
    folder[slash - name] = 0;
    const fh_member *file = fh_members_find(members, folder);
    if (file) return file->name;
  }
  return NULL;
}

fh_status fh_members_sort(fh_members *members) {
  if (members->count) qsort(members->items, members->count, sizeof *members->items, by_name);
  for (size_t i = 0; i < members->count; i++) {
    const char *name = members->items[i].name, *folder = folder_that_is_a_file(members, name);
    if (i && strcmp(name, members->items[i - 1].name) == 0) return FH_STATUS(FH_INVALID_ARGUMENT, "'%s' is there twice", name);
    if (folder) return FH_STATUS(FH_INVALID_ARGUMENT, "'%s' is a file, and a folder of '%s'", folder, name);
  }
  return FH_OK;
}

const fh_member *fh_members_find(const fh_members *members, const char *name) {
  const fh_member key = {.name = (char *)name}; /* only read */
  return members->count ? bsearch(&key, members->items, members->count, sizeof key, by_name) : NULL;
}

void fh_members_free(fh_members *members) {
  for (size_t i = 0; i < members->count; i++) {
    free(members->items[i].name);
    free(members->items[i].bytes);
  }
  free(members->items);
  *members = (fh_members){0};
}

/* ---- from a directory ---------------------------------------------------------------------------------- */

/* Reads an open file of a known size; what it grows by meanwhile is not looked at. */
static fh_status add_open_file(fh_members *members, const char *name, int fd, size_t size) {
  if (size > FH_MEMBER_MAX_BYTES) return fh_members_add(members, name, NULL, size); /* says what is wrong */
  char *bytes = malloc(size + 1);
  if (!bytes) return no_memory();
  size_t have = 0;
  int error = 0;
  while (have < size) {
    ssize_t got = read(fd, bytes + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) error = errno;
    if (got <= 0) break;
    have += (size_t)got;
  }
  fh_status status =
      error ? FH_STATUS(FH_INVALID_ARGUMENT, "'%s' cannot be read: %s", name, strerror(error)) : fh_members_add(members, name, bytes, have);
  free(bytes);
  return status;
}

static fh_status add_folder(fh_members *members, int take_fd, const char *prefix, int depth);

static fh_status add_entry(fh_members *members, int dir, const char *prefix, const char *entry, int depth) {
  char name[FH_MEMBER_NAME_MAX + NAME_MAX + 2];
  struct stat st;
  snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "/" : "", entry);
  if (strlen(name) > FH_MEMBER_NAME_MAX) return fh_members_add(members, name, NULL, 0); /* says what is wrong */
  int fd = openat(dir, entry, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "'%s' cannot be opened as a file or folder of a snapshot: %s", name, strerror(errno));
  if (fstat(fd, &st) != 0) st.st_mode = 0;
  if (S_ISDIR(st.st_mode)) return add_folder(members, fd, name, depth + 1);
  fh_status status = S_ISREG(st.st_mode) ? add_open_file(members, name, fd, (size_t)st.st_size)
                                         : FH_STATUS(FH_INVALID_ARGUMENT, "'%s' is neither a file nor a folder", name);
  close(fd);
  return status;
}

static fh_status add_folder(fh_members *members, int take_fd, const char *prefix, int depth) {
  DIR *dir = depth <= MAX_DEPTH ? fdopendir(take_fd) : NULL;
  if (!dir) {
    close(take_fd);
    return FH_STATUS(FH_INVALID_ARGUMENT, "'%s' cannot be listed, or lies too deep", prefix);
  }
  fh_status status = FH_OK;
  for (struct dirent *entry; !status && (entry = readdir(dir));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      status = add_entry(members, take_fd, prefix, entry->d_name, depth);
  closedir(dir);
  return status;
}

fh_status fh_members_read_directory(int directory, const char *name, fh_members *out_members) {
  *out_members = (fh_members){0};
  int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: cannot be read as a snapshot directory: %s", name, strerror(errno));
  fh_status status = add_folder(out_members, fd, "", 0);
  if (!status) status = fh_members_sort(out_members);
  if (status) fh_members_free(out_members);
  return status;
}

/* ---- into a directory ------------------------------------------------------------------------------------ */

static int make_folders(int root, const char *name) {
  char folder[FH_MEMBER_NAME_MAX + 1];
  for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
    memcpy(folder, name, (size_t)(slash - name));
    folder[slash - name] = 0;
    if (mkdirat(root, folder, 0700) != 0 && errno != EEXIST) return errno;
  }
  return 0;
}

static int write_member(int root, const fh_member *member) {
  int error = make_folders(root, member->name);
  int fd = error ? -1 : openat(root, member->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return error ? error : errno;
  for (size_t done = 0; !error && done < member->size;) {
    ssize_t wrote = write(fd, member->bytes + done, member->size - done);
    if (wrote < 0 && errno != EINTR) error = errno;
    if (wrote > 0) done += (size_t)wrote;
  }
  if (close(fd) != 0 && !error) error = errno;
  return error;
}

fh_status fh_members_write_directory(const fh_members *members, const char *path) {
  if (mkdir(path, 0700) != 0) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: cannot be made: %s", path, strerror(errno));
  int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error = root < 0 ? errno : 0;
  size_t i = 0;
  for (; !error && i < members->count; i++) error = write_member(root, &members->items[i]);
  if (root >= 0) close(root);
  if (error) return FH_STATUS(FH_UNAVAILABLE, "%s/%s: cannot be written: %s", path, i ? members->items[i - 1].name : "", strerror(error));
  return FH_OK;
}
