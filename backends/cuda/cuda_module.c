/* CUDA kernels: the PTX of the build made into functions by the driver. SPDX-License-Identifier: Apache-2.0
 * One module per kernel and device, loaded on first use and kept until the device closes. */
#include <stdlib.h>

#include "backends/check.h"
#include "backends/cuda/cuda_internal.h"

/* With the context current and the lock held. */
static fh_status find_module(fh_device *device, const fh_kernel_image *image, fh_cu_module *out_module) {
  for (const fh_cuda_module *m = device->modules; m; m = m->next) {
    if (m->image != image) continue;
    *out_module = m->handle;
    return FH_OK;
  }
  fh_cuda_module *module = calloc(1, sizeof *module);
  if (!module) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no host memory for a CUDA module");
  fh_status status = fh_cuda_load_ptx(device, image->contract->name, image->ptx, &module->handle);
  if (status) {
    free(module);
    return status;
  }
  module->image = image;
  module->next = device->modules;
  device->modules = module;
  *out_module = module->handle;
  return FH_OK;
}

void fh_cuda_unload_modules(fh_device *device, bool entered) {
  while (device->modules) {
    fh_cuda_module *module = device->modules;
    device->modules = module->next;
    if (entered) (void)device->fn->cuModuleUnload(module->handle);
    free(module);
  }
}

static fh_status check_recipe(const fh_device *device, const fh_recipe *recipe) {
  FH_TRY(fh_check_recipe(recipe));
  const char *kernel = recipe->image->contract->name;
  if (recipe->tuned) return FH_STATUS(FH_INCOMPATIBLE, "%s: %s/%s is a CPU variant", device->found->info.id, kernel, recipe->tuned->name);
  if (!recipe->image->ptx)
    return FH_STATUS(FH_UNAVAILABLE, "%s was not built for CUDA: %s", kernel,
                     recipe->image->ptx_missing ? recipe->image->ptx_missing : "the build has no PTX of it");
  if (device->found->info.capability < FH_CUDA_MIN_CAPABILITY)
    return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "CU-NO-KERNEL-IMAGE", "%s has compute capability %d.%d; the kernels of this build need %d.%d",
                           device->found->info.id, device->found->info.capability / 10, device->found->info.capability % 10,
                           FH_CUDA_MIN_CAPABILITY / 10, FH_CUDA_MIN_CAPABILITY % 10);
  return FH_OK;
}

/* Threads of a block: fewer than the usual when a kernel needs many registers. */
static fh_status set_geometry(fh_device *device, fh_executable *executable) {
  int threads = 0;
  fh_cu_result code = device->fn->cuFuncGetAttribute(&threads, FH_CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, executable->function);
  if (code != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(device, code, "cuFuncGetAttribute", "asking about %s", executable->entry->entry);
  int block = FH_CUDA_BLOCK;
  while (block > threads && block > FH_CUDA_LANES * 2) block /= 2;
  /* The grid strides over the items: enough blocks to fill the device several times over, so that uneven items balance. */
  const fh_cuda_found *found = device->found;
  int resident = (found->resident_threads > block ? found->resident_threads : 2048) / block;
  int units = found->info.compute_units > 0 ? found->info.compute_units : 1;
  executable->block = (unsigned)block;
  executable->max_grid = (unsigned)(units * resident) * 8u;
  return FH_OK;
}

static fh_status make_ready(fh_device *device, const fh_recipe *recipe, fh_executable *executable) {
  fh_cu_module module = NULL;
  FH_TRY(find_module(device, recipe->image, &module));
  fh_cu_result code = device->fn->cuModuleGetFunction(&executable->function, module, executable->entry->entry);
  if (code != FH_CUDA_SUCCESS)
    return FH_CUDA_FAIL(device, code, "cuModuleGetFunction", "looking for the entry %s", executable->entry->entry);
  return set_geometry(device, executable);
}

fh_status fh_cuda_prepare(fh_device *device, const fh_recipe *recipe, fh_executable **out_executable) {
  *out_executable = NULL;
  FH_TRY(check_recipe(device, recipe));
  fh_executable *executable = calloc(1, sizeof *executable);
  if (!executable) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no host memory for an executable");
  executable->device = device;
  executable->entry = &recipe->image->entries[recipe->entry];
  fh_status status = fh_cuda_enter(device);
  if (!status) {
    pthread_mutex_lock(&device->lock);
    status = make_ready(device, recipe, executable);
    pthread_mutex_unlock(&device->lock);
    fh_cuda_leave(device);
  }
  if (status) {
    free(executable);
    return status;
  }
  *out_executable = executable;
  return FH_OK;
}

void fh_cuda_release(fh_executable *executable) { free(executable); /* the module stays for the next */ }
