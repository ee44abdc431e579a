/* Built OpenCL programs on disk. SPDX-License-Identifier: Apache-2.0
 *
 * One file per program: <cache_dir>/opencl-<hash of its key>.bin, made of a header, the key and the binary. The key is all
 * that the binary depends on (platform, device and driver with versions, options, kernel, hash of the text); it is compared
 * in full, so a hash collision is a miss and not a wrong program. A file that is not ours to trust, or is cut short or
 * changed, is left out and said. Files appear by rename, so a reader never sees half of one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/opencl/opencl_internal.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

enum { MAX_FILE_BYTES = 256 << 20, MAX_KEY_BYTES = 8192 };

typedef struct header {
  char magic[8];
  uint32_t version, key_bytes;
  uint64_t binary_bytes, checksum; /* FNV-1a of key and binary */
} header;

static const char MAGIC[8] = "FHCLBIN";
enum { VERSION = 1 };

typedef struct file {
  char *bytes;
  size_t size;
} file;

static uint64_t fnv1a(uint64_t hash, const void *data, size_t size) {
  const unsigned char *bytes = data;
  for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
  return hash;
}
static const uint64_t FNV_START = UINT64_C(0xcbf29ce484222325);

/* ---- names --------------------------------------------------------------------------------------------------- */

static char *key_of(const fh_device *device, const fh_kernel_image *image, const char *options) {
  fh_text key = {0};
  fh_text_add(&key, "foghorn %s\n%s%s\n%s %d %016" PRIx64 "\n", FH_VERSION, device->found->key, options, image->contract->name,
              image->contract->version, image->hash);
  return fh_text_take(&key);
}

static char *path_of(const fh_device *device, const char *key) {
  fh_text path = {0};
  fh_text_add(&path, "%s/opencl-%016" PRIx64 ".bin", device->backend->cache_dir, fnv1a(FNV_START, key, strlen(key)));
  return fh_text_take(&path);
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

/* A built program is code: it is taken only from a file that nobody else could have written. NULL, or why not. */
static const char *mistrust(const struct stat *st) {
  if (!S_ISREG(st->st_mode)) return "it is not a regular file";
  if (st->st_uid != geteuid()) return "it belongs to another user";
  if (st->st_mode & (S_IWGRP | S_IWOTH)) return "others may write it";
  if (st->st_size < (off_t)sizeof(header)) return "it is cut short";
  if (st->st_size > MAX_FILE_BYTES) return "it is too large";
  return NULL;
}

static const char *read_all(int fd, file *out) {
  size_t have = 0;
  while (have < out->size) {
    ssize_t got = read(fd, out->bytes + have, out->size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return strerror(errno);
    if (got == 0) return "it is cut short";
    have += (size_t)got;
  }
  return NULL;
}

/* NULL and the bytes, or why not. */
static const char *read_file(int fd, file *out) {
  struct stat st;
  if (fstat(fd, &st) != 0) return strerror(errno);
  const char *why = mistrust(&st);
  if (why) return why;
  out->size = (size_t)st.st_size;
  out->bytes = malloc(out->size);
  return out->bytes ? read_all(fd, out) : "no memory to read it";
}

/* NULL and where the binary lies, or why the bytes are not a program for this key. */
static const char *parse(const file *f, const char *key, const unsigned char **out_binary, size_t *out_size) {
  header h;
  if (!f->bytes || f->size < sizeof h) return "it is cut short";
  memcpy(&h, f->bytes, sizeof h);
  size_t rest = f->size - sizeof h, key_bytes = strlen(key);
  if (memcmp(h.magic, MAGIC, sizeof MAGIC) != 0 || h.version != VERSION) return "it is no program of this version";
  if (h.key_bytes > rest || h.binary_bytes != rest - h.key_bytes || h.binary_bytes == 0) return "its sizes do not add up";
  if (fnv1a(FNV_START, f->bytes + sizeof h, rest) != h.checksum) return "its checksum is wrong";
  if (h.key_bytes != key_bytes || memcmp(f->bytes + sizeof h, key, key_bytes) != 0) return "it was made for another driver";
  *out_binary = (const unsigned char *)f->bytes + sizeof h + key_bytes;
  *out_size = (size_t)h.binary_bytes;
  return NULL;
}

/* NULL and a built program, or why the driver refuses the binary. */
static const char *build(const fh_device *device, const char *options, const unsigned char *binary, size_t size, cl_program *out_program) {
  const fh_opencl_functions *fn = device->fn;
  cl_int error = CL_SUCCESS, binary_status = CL_SUCCESS;
  cl_program program = fn->clCreateProgramWithBinary(device->context, 1, &device->found->handle, &size, &binary, &binary_status, &error);
  if (!program) return fh_opencl_error_name(error);
  if (error == CL_SUCCESS) error = binary_status;
  if (error == CL_SUCCESS) error = fn->clBuildProgram(program, 1, &device->found->handle, options, NULL, NULL);
  if (error != CL_SUCCESS) {
    fn->clReleaseProgram(program);
    return fh_opencl_error_name(error);
  }
  *out_program = program;
  return NULL;
}

static const char *load(const fh_device *device, const char *path, const char *key, const char *options, cl_program *out_program) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return errno == ENOENT ? NULL : strerror(errno);
  file f = {0};
  const unsigned char *binary = NULL;
  size_t size = 0;
  const char *why = read_file(fd, &f);
  if (!why) why = parse(&f, key, &binary, &size);
  if (!why) why = build(device, options, binary, size, out_program);
  free(f.bytes);
  close(fd);
  return why;
}

cl_program fh_cl_cache_load(fh_device *device, const fh_kernel_image *image, const char *options) {
  if (!device->backend->cache_dir) return NULL;
  cl_program program = NULL;
  char *key = key_of(device, image, options);
  char *path = key ? path_of(device, key) : NULL;
  const char *why = path ? load(device, path, key, options, &program) : NULL;
  if (why) fh_log(FH_LOG_WARN, "opencl: the cached program %s is not used: %s; kernel %s is built anew", path, why, image->contract->name);
  free(key);
  free(path);
  return program;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

/* NULL and the binary of the program's one device, or why not. */
static const char *binary_of(const fh_device *device, cl_program program, file *out) {
  size_t size = 0;
  cl_int error = device->fn->clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL);
  if (error != CL_SUCCESS) return fh_opencl_error_name(error);
  if (size == 0) return "the driver gives no binary";
  if (size > MAX_FILE_BYTES - sizeof(header) - MAX_KEY_BYTES) return "the binary is too large";
  out->size = size;
  out->bytes = malloc(size);
  if (!out->bytes) return "no memory for the binary";
  error = device->fn->clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof out->bytes, &out->bytes, NULL);
  return error == CL_SUCCESS ? NULL : fh_opencl_error_name(error);
}

static const char *write_all(int fd, const void *data, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t wrote = write(fd, (const char *)data + done, size - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return strerror(errno);
    done += (size_t)wrote;
  }
  return NULL;
}

static const char *write_file(int fd, const char *key, const file *binary) {
  header h = {.version = VERSION, .key_bytes = (uint32_t)strlen(key), .binary_bytes = binary->size};
  memcpy(h.magic, MAGIC, sizeof MAGIC);
  h.checksum = fnv1a(fnv1a(FNV_START, key, h.key_bytes), binary->bytes, binary->size);
  const char *why = write_all(fd, &h, sizeof h);
  if (!why) why = write_all(fd, key, h.key_bytes);
  if (!why) why = write_all(fd, binary->bytes, binary->size);
  return why;
}

/* The cache folder and what leads to it. NULL, or why not. */
static const char *make_folders(const char *path) {
  char *copy = strdup(path);
  if (!copy) return "no memory";
  for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    int failed = mkdir(copy, 0700) != 0 && errno != EEXIST;
    *slash = '/';
    if (failed) break;
  }
  int failed = mkdir(copy, 0700) != 0 && errno != EEXIST;
  free(copy);
  return failed ? strerror(errno) : NULL;
}

static const char *write_and_rename(const char *path, const char *temporary, const char *key, const file *binary) {
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return strerror(errno);
  const char *why = write_file(fd, key, binary);
  if (close(fd) != 0 && !why) why = strerror(errno);
  if (!why && rename(temporary, path) != 0) why = strerror(errno);
  if (why) unlink(temporary);
  return why;
}

static const char *store(const fh_device *device, const char *path, const char *key, cl_program program) {
  static _Atomic unsigned serial;
  char temporary[4096];
  int length = snprintf(temporary, sizeof temporary, "%s.%ld.%u", path, (long)getpid(), atomic_fetch_add(&serial, 1));
  if (length < 0 || length >= (int)sizeof temporary) return "its path is too long";
  if (strlen(key) > MAX_KEY_BYTES) return "its key is too long";
  file binary = {0};
  const char *why = binary_of(device, program, &binary);
  if (!why) why = make_folders(device->backend->cache_dir);
  if (!why) why = write_and_rename(path, temporary, key, &binary);
  free(binary.bytes);
  return why;
}

void fh_cl_cache_store(fh_device *device, const fh_kernel_image *image, const char *options, cl_program program) {
  if (!device->backend->cache_dir) return;
  char *key = key_of(device, image, options);
  char *path = key ? path_of(device, key) : NULL;
  const char *why = path ? store(device, path, key, program) : "no memory";
  if (why) fh_log(FH_LOG_INFO, "opencl: kernel %s is not kept in %s: %s", image->contract->name, device->backend->cache_dir, why);
  free(key);
  free(path);
}
