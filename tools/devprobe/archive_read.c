/* Reading an archive that anybody may have made: gzip by zlib with a limit, tar by libarchive. SPDX-License-Identifier: Apache-2.0
 *
 * libarchive is loaded when an archive is read, as drivers are: devprobe starts without it and the two dozen libraries behind it. It
 * is given no compression to undo and no format but tar. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "detect/snapshot_recording.h"
#include "tools/devprobe/archive.h"

#if __has_include(<archive.h>)
#include <archive.h>
#include <archive_entry.h>
#include <dlfcn.h>
#define HAVE_LIBARCHIVE 1
#else
#define HAVE_LIBARCHIVE 0
#endif

enum { GZIP_ONLY = 16, WINDOW = 15, FIRST_BYTES = 64 * 1024 };

/* The same with the name of the archive before it. */
static fh_status named(const char *name, fh_status take_status) {
  if (fh_status_code(take_status) != FH_INVALID_ARGUMENT) return take_status;
  fh_status status = FH_STATUS(FH_INVALID_ARGUMENT, "%s: %s", name, fh_status_message(take_status));
  fh_status_free(take_status);
  return status;
}

static fh_status no_memory(const char *name) { return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: no memory for the archive", name); }

/* ---- gzip ------------------------------------------------------------------------------------------------------- */

typedef struct buffer {
  unsigned char *bytes;
  size_t size, capacity;
} buffer;

/* Room for more, up to one byte past the limit, so that too much is seen. */
static bool make_room(buffer *b, size_t limit) {
  if (b->size < b->capacity) return true;
  size_t capacity = b->capacity ? b->capacity * 2 : FIRST_BYTES;
  if (capacity > limit + 1) capacity = limit + 1;
  unsigned char *bytes = capacity > b->size ? realloc(b->bytes, capacity) : NULL;
  if (!bytes) return false;
  b->bytes = bytes;
  b->capacity = capacity;
  return true;
}

static bool is_gzip(const unsigned char *bytes, size_t size) { return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b; }

static bool all_zero(const unsigned char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (bytes[i]) return false;
  return true;
}

/* Inflates until the stream ends, is found wrong or grows too large. */
static fh_status inflate_all(const char *name, z_stream *z, buffer *out) {
  for (;;) {
    if (!make_room(out, FH_ARCHIVE_MAX_TAR_BYTES)) return no_memory(name);
    z->next_out = out->bytes + out->size;
    z->avail_out = (unsigned)(out->capacity - out->size);
    int result = inflate(z, Z_NO_FLUSH);
    out->size = out->capacity - z->avail_out;
    if (out->size > FH_ARCHIVE_MAX_TAR_BYTES)
      return FH_STATUS(FH_INVALID_ARGUMENT, "%s: unpacked it is more than the %d MiB that a snapshot may take", name,
                       FH_ARCHIVE_MAX_TAR_BYTES >> 20);
    if (result == Z_MEM_ERROR) return no_memory(name);
    if (result == Z_BUF_ERROR && z->avail_in == 0)
      return FH_STATUS(FH_INVALID_ARGUMENT, "%s: the archive is cut off: its gzip stream does not end", name);
    if (result != Z_OK && result != Z_STREAM_END)
      return FH_STATUS(FH_INVALID_ARGUMENT, "%s: the archive is damaged: gzip: %s", name, z->msg ? z->msg : "wrong data");
    if (result == Z_OK) continue;
    if (all_zero(z->next_in, z->avail_in)) return FH_OK; /* padding */
    if (!is_gzip(z->next_in, z->avail_in) || inflateReset(z) != Z_OK)
      return FH_STATUS(FH_INVALID_ARGUMENT, "%s: the archive is damaged: something stands behind its gzip stream", name);
  }
}

static fh_status gunzip(const char *name, const void *bytes, size_t size, buffer *out) {
  z_stream z = {.next_in = (unsigned char *)bytes, .avail_in = (unsigned)size}; /* only read */
  if (inflateInit2(&z, WINDOW + GZIP_ONLY) != Z_OK) return no_memory(name);
  fh_status status = inflate_all(name, &z, out);
  inflateEnd(&z);
  return status;
}

/* ---- tar ---------------------------------------------------------------------------------------------------------- */

#if HAVE_LIBARCHIVE

/* The functions of libarchive that are used. */
#define FUNCTIONS(X)                 \
  X(archive_read_new)                \
  X(archive_read_free)               \
  X(archive_read_support_format_tar) \
  X(archive_read_open_memory)        \
  X(archive_read_next_header)        \
  X(archive_read_data)               \
  X(archive_error_string)            \
  X(archive_format)                  \
  X(archive_entry_pathname)          \
  X(archive_entry_filetype)          \
  X(archive_entry_hardlink)          \
  X(archive_entry_size)              \
  X(archive_entry_size_is_set)       \
  X(archive_entry_sparse_count)

typedef struct libarchive {
#define X(name) __typeof__(name) *name;
  FUNCTIONS(X)
#undef X
} libarchive;

static fh_status load(libarchive *lib) {
  void *handle = dlopen("libarchive.so.13", RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return FH_STATUS(FH_UNAVAILABLE,
                     "archives are read by libarchive, which is not here (%s); install libarchive13, or unpack the archive with "
                     "tar and name the directory",
                     dlerror());
#define X(name)                                                      \
  *(void **)&lib->name = dlsym(handle, #name); /* as POSIX has it */ \
  if (!lib->name) return FH_STATUS(FH_UNAVAILABLE, "libarchive.so.13 has no function " #name);
  FUNCTIONS(X)
#undef X
  return FH_OK;
}

typedef struct reader {
  const libarchive *lib;
  struct archive *archive;
  const char *name;
  char prefix[FH_MEMBER_NAME_MAX + 2]; /* the folder that everything lies in, "snapshot/"; "" none, or not known yet */
  bool prefix_known;
  int entries;
  fh_members *members;
} reader;

static fh_status damaged(const reader *r, const char *what) {
  return FH_STATUS(FH_INVALID_ARGUMENT, "%s: the archive is damaged: %s", r->name, what);
}

static fh_status refuse(const reader *r, const char *entry, const char *what) {
  return FH_STATUS(FH_INVALID_ARGUMENT, "%s: '%.120s' %s; a snapshot has only plain files and folders", r->name, entry, what);
}

/* Archives have one folder that holds everything, or "./", or nothing before the names: the first file tells. */
static void learn_prefix(reader *r, const char *path) {
  const char *slash = strchr(path, '/');
  static const char *const tops[] = {"fs/", "answers/", "more/"};
  bool own = false;
  for (size_t i = 0; i < sizeof tops / sizeof tops[0]; i++) own = own || strncmp(path, tops[i], strlen(tops[i])) == 0;
  size_t length = slash && !own ? (size_t)(slash + 1 - path) : 0;
  if (length >= sizeof r->prefix) length = 0;
  memcpy(r->prefix, path, length);
  r->prefix[length] = 0;
  r->prefix_known = true;
}

static fh_status add_file(reader *r, const char *path, struct archive_entry *entry) {
  const libarchive *lib = r->lib;
  while (strncmp(path, "./", 2) == 0) path += 2;
  if (!r->prefix_known) learn_prefix(r, path);
  size_t prefix = strlen(r->prefix);
  if (strncmp(path, r->prefix, prefix) != 0) return refuse(r, path, "lies outside the folder that holds the other files");
  int64_t size = lib->archive_entry_size_is_set(entry) ? lib->archive_entry_size(entry) : -1;
  if (size < 0 || size > FH_MEMBER_MAX_BYTES) return refuse(r, path, "is larger than a file of a snapshot can be");
  char *bytes = malloc((size_t)size + 1);
  if (!bytes) return no_memory(r->name);
  la_ssize_t got = lib->archive_read_data(r->archive, bytes, (size_t)size);
  fh_status status =
      got == size ? named(r->name, fh_members_add(r->members, path + prefix, bytes, (size_t)size)) : damaged(r, "a file in it is cut off");
  free(bytes);
  return status;
}

static fh_status add_entry(reader *r, struct archive_entry *entry) {
  const libarchive *lib = r->lib;
  const char *path = lib->archive_entry_pathname(entry);
  if (!path || !*path) return damaged(r, "a file in it has no name, or one that is not plain ASCII");
  if (++r->entries > 2 * FH_MEMBERS_MAX) return damaged(r, "it holds more files and folders than a snapshot can");
  if (lib->archive_entry_hardlink(entry)) return refuse(r, path, "is a link");
  if (lib->archive_entry_sparse_count(entry)) return refuse(r, path, "is a sparse file");
  switch (lib->archive_entry_filetype(entry)) {
    case AE_IFDIR:
      return FH_OK;
    case AE_IFREG:
      return add_file(r, path, entry);
    case AE_IFLNK:
      return refuse(r, path, "is a link");
    default:
      return refuse(r, path, "is a device, pipe or socket");
  }
}

static fh_status read_entries(reader *r) {
  for (;;) {
    struct archive_entry *entry;
    int result = r->lib->archive_read_next_header(r->archive, &entry);
    if (result == ARCHIVE_EOF) return r->members->count ? FH_OK : damaged(r, "there is no file in it");
    if (result != ARCHIVE_OK) {
      const char *why = r->lib->archive_error_string(r->archive);
      return damaged(r, why ? why : "its tar headers are wrong");
    }
    FH_TRY(add_entry(r, entry));
  }
}

static fh_status untar(const char *name, const void *bytes, size_t size, fh_members *members) {
  libarchive lib;
  FH_TRY(load(&lib));
  reader r = {.lib = &lib, .name = name, .members = members, .archive = lib.archive_read_new()};
  if (!r.archive) return no_memory(name);
  fh_status status = FH_OK;
  if (lib.archive_read_support_format_tar(r.archive) != ARCHIVE_OK || lib.archive_read_open_memory(r.archive, bytes, size) != ARCHIVE_OK)
    status = FH_STATUS(FH_INVALID_ARGUMENT, "%s: not a tar archive", name);
  if (!status) status = read_entries(&r);
  lib.archive_read_free(r.archive);
  return status;
}

#else

static fh_status untar(const char *name, const void *bytes, size_t size, fh_members *members) {
  (void)bytes, (void)size, (void)members;
  return FH_STATUS(FH_UNIMPLEMENTED, "%s: this devprobe was built without libarchive: unpack the archive with tar and name the directory",
                   name);
}

#endif

fh_status fh_archive_unpack(const char *name, const void *bytes, size_t size, fh_members *out_members) {
  *out_members = (fh_members){0};
  if (size > FH_ARCHIVE_MAX_BYTES)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: larger than the %d MiB that a snapshot may take", name, FH_ARCHIVE_MAX_BYTES >> 20);
  if (!is_gzip(bytes, size)) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: not a gzipped tar archive, as devprobe snapshot writes it", name);
  buffer tar = {0};
  fh_status status = gunzip(name, bytes, size, &tar);
  if (!status) status = untar(name, tar.bytes, tar.size, out_members);
  free(tar.bytes);
  if (!status) status = named(name, fh_members_sort(out_members));
  if (status) fh_members_free(out_members);
  return status;
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

static fh_status read_file(const char *name, int fd, buffer *out) {
  for (;;) {
    if (!make_room(out, FH_ARCHIVE_MAX_BYTES)) return no_memory(name);
    ssize_t got = read(fd, out->bytes + out->size, out->capacity - out->size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: cannot be read: %s", name, strerror(errno));
    if (got == 0) return FH_OK;
    out->size += (size_t)got;
    if (out->size > FH_ARCHIVE_MAX_BYTES) return FH_OK; /* fh_archive_unpack says so */
  }
}

static fh_status open_archive(const char *name, int fd, fh_os **out_os) {
  buffer packed = {0};
  fh_members members = {0};
  fh_recording *recording = NULL;
  fh_status status = read_file(name, fd, &packed);
  if (!status) status = fh_archive_unpack(name, packed.bytes, packed.size, &members);
  free(packed.bytes);
  if (!status) status = fh_recording_read(&members, name, &recording);
  return status ? status : fh_os_replay(recording, out_os);
}

fh_status fh_snapshot_open(const char *path, fh_os **out_os) {
  *out_os = NULL;
  if (strcmp(path, "-") == 0) return open_archive("standard input", STDIN_FILENO, out_os);
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: cannot be opened as a snapshot: %s", path, strerror(errno));
  if (fstat(fd, &st) != 0) st.st_mode = 0;
  fh_status status = S_ISDIR(st.st_mode)   ? fh_os_directory(path, out_os)
                     : S_ISREG(st.st_mode) ? open_archive(path, fd, out_os)
                                           : FH_STATUS(FH_INVALID_ARGUMENT, "%s: neither a snapshot directory nor an archive", path);
  close(fd);
  return status;
}
