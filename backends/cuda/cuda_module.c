/* CUDA kernels: the PTX of the build made into functions by the driver. SPDX-License-Identifier: Apache-2.0
 * One module per text and device, loaded on first use and kept until the device closes. */
#include <stdlib.h>

#include "backends/check.h"
#include "backends/cuda/cuda_internal.h"
#include "backends/library.h"

/* NULL: not loaded yet. With the lock held. */
static fh_cuda_module *find_module(const fh_device *device, const char *ptx) {
  fh_cuda_module *m = device->modules;
  while (m && m->ptx != ptx) m = m->next;
  return m;
}

/* Takes a module that was loaded; where another thread was faster, that one's is used and ours ends. */
static fh_cu_module keep_module(fh_device *device, fh_cuda_module *module) {
  pthread_mutex_lock(&device->lock);
  fh_cuda_module *other = find_module(device, module->ptx);
  if (!other) {
    module->next = device->modules;
    device->modules = module;
  }
  pthread_mutex_unlock(&device->lock);
  if (!other) return module->handle;
  (void)device->fn->cuModuleUnload(module->handle);
  free(module);
  return other->handle;
}

/* A compiler takes its time: others allocate and free meanwhile, so the lock is not held. With the context current. */
static fh_status load_module(fh_device *device, const fh_cuda_code *from, fh_cu_module *out_module) {
  pthread_mutex_lock(&device->lock);
  const fh_cuda_module *loaded = find_module(device, from->ptx);
  pthread_mutex_unlock(&device->lock);
  if (loaded) {
    *out_module = loaded->handle;
    return FH_OK;
  }
  fh_cuda_module *module = calloc(1, sizeof *module);
  if (!module) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no host memory for a CUDA module");
  module->ptx = from->ptx;
  fh_status status = fh_cuda_load_ptx(device, from->name, from->ptx, &module->handle);
  if (status) {
    free(module);
    return status;
  }
  *out_module = keep_module(device, module);
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

static fh_status not_built(const char *kernel, const char *why) {
  return FH_STATUS(FH_UNAVAILABLE, "%s was not built for CUDA: %s", kernel, why ? why : "the build has no PTX of it");
}

static fh_status check_capability(const fh_device *device, const fh_recipe *recipe) {
  const fh_block_variant *block = recipe->block;
  const int have = device->found->info.capability, need = block ? block->capability : FH_CUDA_MIN_CAPABILITY;
  const bool only = block && block->only;
  if (only ? have == need : have >= need) return FH_OK;
  if (block)
    return FH_STATUS(FH_INCOMPATIBLE, "%s/%s of %s needs %scompute capability %d.%d, this is %d.%d", device->found->info.id, block->name,
                     recipe->image->contract->name, only ? "exactly " : "", need / 10, need % 10, have / 10, have % 10);
  return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "CU-NO-KERNEL-IMAGE", "%s has compute capability %d.%d; the kernels of this build need %d.%d",
                         device->found->info.id, have / 10, have % 10, need / 10, need % 10);
}

/* The text that a recipe wants on this device. */
static fh_status find_code(const fh_device *device, const fh_recipe *recipe, fh_cuda_code *out_code) {
  const fh_kernel_image *image = recipe->image;
  const char *kernel = image->contract->name;
  if (recipe->tuned) return FH_STATUS(FH_INCOMPATIBLE, "%s: %s/%s is a CPU variant", device->found->info.id, kernel, recipe->tuned->name);
  *out_code = (fh_cuda_code){kernel, image->ptx};
  const char *why = image->ptx_missing;
  if (recipe->block) {
    const fh_block_image *text = fh_block_image_of(image, recipe->block);
    if (!text) return not_built(recipe->block->text, "the kernel's folder has no such text");
    *out_code = (fh_cuda_code){text->text, text->ptx};
    why = text->missing;
  }
  if (!out_code->ptx) return not_built(out_code->name, why);
  FH_TRY(check_capability(device, recipe));
  return fh_cuda_check_tensors(device, recipe->block);
}

static fh_status ask(fh_device *device, const fh_executable *executable, fh_cu_function_attribute what, int *out_value) {
  fh_cu_result code = device->fn->cuFuncGetAttribute(out_value, what, executable->function);
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(device, code, "cuFuncGetAttribute", "asking about %s", executable->name);
}

/* Threads of a block: fewer than the usual when a kernel needs many registers. */
static fh_status set_geometry(fh_device *device, fh_executable *executable) {
  int threads = 0;
  FH_TRY(ask(device, executable, FH_CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &threads));
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

/* What a function for blocks may have beside what its text declares; the shape comes with each launch. */
static fh_status set_block_limits(fh_device *device, fh_executable *executable) {
  int threads = 0, shared = 0;
  FH_TRY(ask(device, executable, FH_CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &threads));
  FH_TRY(ask(device, executable, FH_CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, &shared));
  const uint32_t usual = device->found->shared_unasked;
  executable->block = (unsigned)threads;
  executable->shared_static = (uint32_t)shared;
  atomic_store(&executable->shared_given, usual > (uint32_t)shared ? usual - (uint32_t)shared : 0);
  return FH_OK;
}

static fh_status make_ready(fh_device *device, const fh_recipe *recipe, fh_executable *executable) {
  fh_cuda_code from = {NULL, NULL};
  fh_cu_module module = NULL;
  if (fh_is_library_variant(recipe->block)) {
    FH_TRY(check_capability(device, recipe));
    return fh_cuda_prepare_product(device, recipe, executable);
  }
  FH_TRY(find_code(device, recipe, &from));
  FH_TRY(load_module(device, &from, &module));
  fh_cu_result code = device->fn->cuModuleGetFunction(&executable->function, module, executable->name);
  if (code != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(device, code, "cuModuleGetFunction", "looking for the entry %s", executable->name);
  return executable->variant ? set_block_limits(device, executable) : set_geometry(device, executable);
}

fh_status fh_cuda_prepare(fh_device *device, const fh_recipe *recipe, fh_executable **out_executable) {
  *out_executable = NULL;
  FH_TRY(fh_check_recipe(recipe));
  fh_executable *executable = calloc(1, sizeof *executable);
  if (!executable) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no host memory for an executable");
  executable->device = device;
  executable->entry = &recipe->image->entries[recipe->entry];
  executable->variant = recipe->block;
  executable->step = recipe->step;
  executable->name = recipe->block ? fh_block_step_of(recipe->block, recipe->step).entry : executable->entry->entry;
  fh_status status = fh_cuda_enter(device);
  if (!status) {
    status = make_ready(device, recipe, executable);
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
