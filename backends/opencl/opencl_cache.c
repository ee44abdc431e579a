/* Built OpenCL programs on disk. SPDX-License-Identifier: Apache-2.0
 *
 * One file per program: <cache_dir>/opencl-<hash of its key>.bin, made of a header, the key and the binary. The key is all
 * that the binary depends on (platform, device and driver with versions, options, kernel, hash of the text); it is compared
 * in full, so a hash collision is a miss and not a wrong program. A file that is not ours to trust, or is cut short or
 * changed, is left out and said. Files appear by rename, so a reader never sees half of one.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/opencl_internal.h"
#include "runtime/base/cache_file.h"
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

/* NULL and where the binary lies, or why the bytes are not a program for this key. */
static const char *parse(const char *bytes, size_t size, const char *key, const unsigned char **out_binary, size_t *out_size) {
  header h;
  if (size < sizeof h) return "it is cut short";
  memcpy(&h, bytes, sizeof h);
  size_t rest = size - sizeof h, key_bytes = strlen(key);
  if (memcmp(h.magic, MAGIC, sizeof MAGIC) != 0 || h.version != VERSION) return "it is no program of this version";
  if (h.key_bytes > rest || h.binary_bytes != rest - h.key_bytes || h.binary_bytes == 0) return "its sizes do not add up";
  if (fnv1a(FNV_START, bytes + sizeof h, rest) != h.checksum) return "its checksum is wrong";
  if (h.key_bytes != key_bytes || memcmp(bytes + sizeof h, key, key_bytes) != 0) return "it was made for another driver";
  *out_binary = (const unsigned char *)bytes + sizeof h + key_bytes;
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

/* A built program is code: it is taken only from a file that nobody else could have written. */
static const char *load(const fh_device *device, const char *path, const char *key, const char *options, cl_program *out_program) {
  char *bytes;
  size_t size, binary_size = 0;
  const unsigned char *binary = NULL;
  const char *why = fh_cache_file_read(path, MAX_FILE_BYTES, &bytes, &size);
  if (why || !bytes) return why;
  why = parse(bytes, size, key, &binary, &binary_size);
  if (!why) why = build(device, options, binary, binary_size, out_program);
  free(bytes);
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

/* NULL and the binary of the program's one device (caller frees), or why not. */
static const char *binary_of(const fh_device *device, cl_program program, unsigned char **out, size_t *out_size) {
  size_t size = 0;
  cl_int error = device->fn->clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL);
  if (error != CL_SUCCESS) return fh_opencl_error_name(error);
  if (size == 0) return "the driver gives no binary";
  if (size > MAX_FILE_BYTES - sizeof(header) - MAX_KEY_BYTES) return "the binary is too large";
  unsigned char *binary = malloc(size);
  if (!binary) return "no memory for the binary";
  error = device->fn->clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL);
  if (error != CL_SUCCESS) {
    free(binary);
    return fh_opencl_error_name(error);
  }
  *out = binary;
  *out_size = size;
  return NULL;
}

static const char *store(const fh_device *device, const char *path, const char *key, cl_program program) {
  if (strlen(key) > MAX_KEY_BYTES) return "its key is too long";
  unsigned char *binary = NULL;
  size_t size = 0;
  const char *why = binary_of(device, program, &binary, &size);
  if (why) return why;
  header h = {.version = VERSION, .key_bytes = (uint32_t)strlen(key), .binary_bytes = size};
  memcpy(h.magic, MAGIC, sizeof MAGIC);
  h.checksum = fnv1a(fnv1a(FNV_START, key, h.key_bytes), binary, size);
  why = fh_cache_file_write(path, (const fh_cache_part[]){{&h, sizeof h}, {key, h.key_bytes}, {binary, size}}, 3);
  free(binary);
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
