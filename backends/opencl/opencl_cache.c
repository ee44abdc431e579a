/* Built OpenCL programs on disk: what the key of one is, and how the driver takes and gives the binary. SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/build_cache.h"
#include "backends/opencl/opencl_internal.h"
#include "backends/opencl/opencl_lanes.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

enum { MAX_BINARY_BYTES = 256 << 20 };

static char *key_of(const fh_device *device, const fh_cl_code *code, const char *options) {
  const char *prelude = code->lanes == FH_CL_VECTORS ? "" : fh_cl_lanes_prelude();
  fh_text key = {0};
  fh_text_add(&key, "foghorn %s\n%s%s\n%s %d %016" PRIx64 " %016" PRIx64 "\n", FH_VERSION, device->found->key, options, code->name,
              code->image->contract->version, code->image->hash, fh_build_hash(FH_HASH_START, prelude, strlen(prelude)));
  return fh_text_take(&key);
}

static char *path_of(const fh_device *device, const char *key) {
  return key ? fh_build_cache_path(device->backend->cache_dir, "opencl", key) : NULL;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

/* NULL and a built program, or why the driver refuses the binary. */
static const char *build(const fh_device *device, const char *options, const fh_build_cache_file *file, cl_program *out_program) {
  const fh_opencl_functions *fn = device->fn;
  const unsigned char *binary = file->binary;
  cl_int error = CL_SUCCESS, binary_status = CL_SUCCESS;
  cl_program program =
      fn->clCreateProgramWithBinary(device->context, 1, &device->found->handle, &file->binary_bytes, &binary, &binary_status, &error);
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
  fh_build_cache_file file;
  const char *why = fh_build_cache_read(path, key, &file);
  if (why || !file.bytes) return why;
  why = build(device, options, &file, out_program);
  free(file.bytes);
  return why;
}

cl_program fh_cl_cache_load(fh_device *device, const fh_cl_code *code, const char *options) {
  if (!device->backend->cache_dir) return NULL;
  cl_program program = NULL;
  char *key = key_of(device, code, options);
  char *path = path_of(device, key);
  const char *why = path ? load(device, path, key, options, &program) : NULL;
  if (why) fh_log(FH_LOG_WARN, "opencl: the cached program %s is not used: %s; kernel %s is built anew", path, why, code->name);
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
  if (size > MAX_BINARY_BYTES) return "the binary is too large";
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
  unsigned char *binary = NULL;
  size_t size = 0;
  const char *why = binary_of(device, program, &binary, &size);
  if (why) return why;
  why = fh_build_cache_write(path, key, binary, size);
  free(binary);
  return why;
}

void fh_cl_cache_store(fh_device *device, const fh_cl_code *code, const char *options, cl_program program) {
  if (!device->backend->cache_dir) return;
  char *key = key_of(device, code, options);
  char *path = path_of(device, key);
  const char *why = path ? store(device, path, key, program) : "no memory";
  if (why) fh_log(FH_LOG_INFO, "opencl: kernel %s is not kept in %s: %s", code->name, device->backend->cache_dir, why);
  free(key);
  free(path);
}
