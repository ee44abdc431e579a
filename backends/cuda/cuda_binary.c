/* PTX made into loaded modules, and what the driver compiled kept on disk. SPDX-License-Identifier: Apache-2.0
 *
 * The driver compiles PTX when a module is loaded. Its own disk cache is bounded for all programs of a user together, may be switched off
 * and is seldom there in a container; ours keeps the cubin under fh_backend_options.cache_dir. The link interface is what gives a
 * cubin out. Whatever goes wrong with it, the PTX is loaded as it would be without a cache.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/build_cache.h"
#include "backends/cuda/cuda_internal.h"
#include "runtime/base/log.h"
#include "runtime/base/text.h"

enum { LOG_BYTES = 4096 };

/* Compiles and loads, with the context current. The driver's log goes into the message. */
static fh_status load_ptx(fh_device *device, const char *kernel, const char *ptx, fh_cu_module *out_module) {
  char log[LOG_BYTES] = "";
  fh_cu_jit_option options[] = {FH_CU_JIT_ERROR_LOG_BUFFER, FH_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, (void *)(uintptr_t)sizeof log}; /* the size travels in the pointer */
  fh_cu_result code = device->fn->cuModuleLoadDataEx(out_module, ptx, 2, options, values);
  if (code == FH_CUDA_ERROR_OUT_OF_MEMORY) { /* code needs memory too */
    pthread_mutex_lock(&device->lock);
    fh_cuda_give_back(device);
    pthread_mutex_unlock(&device->lock);
    code = device->fn->cuModuleLoadDataEx(out_module, ptx, 2, options, values);
  }
  if (code == FH_CUDA_SUCCESS) return FH_OK;
  log[sizeof log - 1] = 0;
  fh_status status = FH_CUDA_FAIL(device, code, "cuModuleLoadDataEx", "compiling %s for capability %d.%d", kernel,
                                  device->found->info.capability / 10, device->found->info.capability % 10);
  return log[0] ? fh_status_annotate(status, "log: %s", log) : status;
}

/* ---- the cache ----------------------------------------------------------------------------------------------------- */

typedef struct slot {
  const char *kernel;
  char *key, *path;
} slot;

/* Two devices of a kind share what was made for one. */
static char *key_of(const fh_device *device, const char *kernel, const char *ptx) {
  const fh_device_info *info = &device->found->info;
  fh_text key = {0};
  fh_text_add(&key, "foghorn %s\n%s %s\n%s %d\n%s %016" PRIx64 "\n", FH_VERSION, info->driver, device->backend->driver_file, info->name,
              info->capability, kernel, fh_build_hash(FH_HASH_START, ptx, strlen(ptx)));
  return fh_text_take(&key);
}

/* NULL and a module, or none when nothing is kept; else why what is kept is not used. */
static const char *load_kept(fh_device *device, const slot *at, fh_cu_module *out_module) {
  fh_build_cache_file file;
  const char *why = fh_build_cache_read(at->path, at->key, &file);
  if (why || !file.bytes) return why;
  fh_cu_result code = device->fn->cuModuleLoadDataEx(out_module, file.binary, 0, NULL, NULL);
  free(file.bytes);
  if (code == FH_CUDA_SUCCESS) return NULL;
  *out_module = NULL;
  return fh_cuda_result_name((int)code);
}

/* Compiles by a link of one text, keeps the result and loads it. NULL, or why there is none. */
static const char *link_and_keep(fh_device *device, const slot *at, const char *ptx, fh_cu_link link, fh_cu_module *out_module) {
  const fh_cuda_functions *fn = device->fn;
  void *cubin = NULL;
  size_t bytes = 0;
  fh_cu_result code = fn->cuLinkAddData_v2(link, FH_CU_JIT_INPUT_PTX, (void *)(uintptr_t)ptx, strlen(ptx) + 1, at->kernel, 0, NULL, NULL);
  if (code == FH_CUDA_SUCCESS) code = fn->cuLinkComplete(link, &cubin, &bytes);
  if (code == FH_CUDA_SUCCESS) code = fn->cuModuleLoadDataEx(out_module, cubin, 0, NULL, NULL);
  if (code == FH_CUDA_SUCCESS) return fh_build_cache_write(at->path, at->key, cubin, bytes);
  *out_module = NULL;
  return fh_cuda_result_name((int)code);
}

/* `target` 0: the device's own. */
static const char *compile_for(fh_device *device, const slot *at, const char *ptx, uintptr_t target, fh_cu_module *out_module) {
  fh_cu_link link = NULL;
  fh_cu_jit_option option = FH_CU_JIT_TARGET;
  void *value = (void *)target; /* the number travels in the pointer */
  fh_cu_result code = target ? device->fn->cuLinkCreate_v2(1, &option, &value, &link) : device->fn->cuLinkCreate_v2(0, NULL, NULL, &link);
  const char *why = code == FH_CUDA_SUCCESS ? link_and_keep(device, at, ptx, link, out_module) : fh_cuda_result_name((int)code);
  if (code == FH_CUDA_SUCCESS) (void)device->fn->cuLinkDestroy(link);
  return why;
}

/* The device's own target may be taken for sm_90, which has not all of sm_90a. */
static void compile_and_keep(fh_device *device, const slot *at, const char *ptx, fh_cu_module *out_module) {
  const char *why = compile_for(device, at, ptx, 0, out_module);
  if (why && !*out_module && strstr(ptx, "\n.target sm_90a")) why = compile_for(device, at, ptx, FH_CU_TARGET_COMPUTE_90A, out_module);
  if (why) fh_log(FH_LOG_INFO, "%s: kernel %s is not kept in %s: %s", device->found->info.id, at->kernel, device->backend->cache_dir, why);
}

static void load_by_cache(fh_device *device, const slot *at, const char *ptx, fh_cu_module *out_module) {
  const char *why = load_kept(device, at, out_module);
  if (why)
    fh_log(FH_LOG_WARN, "%s: the cached build %s is not used: %s; kernel %s is compiled anew", device->found->info.id, at->path, why,
           at->kernel);
  if (!*out_module) compile_and_keep(device, at, ptx, out_module);
}

static bool has_cache(const fh_device *device) {
  const fh_cuda_functions *fn = device->fn;
  return device->backend->cache_dir && fn->cuLinkCreate_v2 && fn->cuLinkAddData_v2 && fn->cuLinkComplete && fn->cuLinkDestroy;
}

fh_status fh_cuda_load_ptx(fh_device *device, const char *kernel, const char *ptx, fh_cu_module *out_module) {
  *out_module = NULL;
  if (has_cache(device)) {
    slot at = {.kernel = kernel, .key = key_of(device, kernel, ptx)};
    if (at.key) at.path = fh_build_cache_path(device->backend->cache_dir, "cuda", at.key);
    if (at.path) load_by_cache(device, &at, ptx, out_module);
    free(at.key);
    free(at.path);
  }
  return *out_module ? FH_OK : load_ptx(device, kernel, ptx, out_module);
}
