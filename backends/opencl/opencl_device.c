/* OpenCL devices: context and memory. SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdlib.h>

#include "backends/check.h"
#include "backends/opencl/opencl_internal.h"

static fh_status check_usable(const fh_cl_found *found) {
  const fh_device_info *info = &found->info;
  if (!found->available) return FH_STATUS(FH_UNAVAILABLE, "opencl: %s (%s) says that it is not available", info->id, info->name);
  if (found->refused) return FH_STATUS(FH_INCOMPATIBLE, "opencl: %s (%s) is not used: %s", info->id, info->name, found->refused);
  if (!found->little_endian) return FH_STATUS(FH_INCOMPATIBLE, "opencl: %s (%s) is big-endian", info->id, info->name);
  return FH_OK;
}

fh_status fh_cl_device_open(fh_backend *backend, int index, fh_device **out_device) {
  *out_device = NULL;
  FH_TRY(fh_check_device_index("opencl", index, backend->device_count));
  FH_TRY(fh_cl_same_process(backend));
  const fh_cl_found *found = &backend->devices[index];
  FH_TRY(check_usable(found));
  fh_device *device = calloc(1, sizeof *device);
  if (!device) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "opencl: no memory to open %s", found->info.id);
  device->backend = backend;
  device->found = found;
  device->fn = &backend->driver.fn;
  device->enqueue_items = FH_CL_ENQUEUE_ITEMS;
  const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)found->platform, 0};
  cl_int error = CL_SUCCESS;
  device->context = device->fn->clCreateContext(properties, 1, &found->handle, NULL, NULL, &error);
  if (!device->context) {
    free(device);
    return FH_CL_FAIL(error, "clCreateContext", "opening %s (%s)", found->info.id, found->info.name);
  }
  pthread_mutex_init(&device->lock, NULL);
  *out_device = device;
  return FH_OK;
}

void fh_cl_device_close(fh_device *device) {
  if (!device) return;
  fh_cl_release_programs(device);
  if (fh_cl_may_call(device->backend)) device->fn->clReleaseContext(device->context);
  pthread_mutex_destroy(&device->lock);
  free(device);
}

/* OpenCL has no question for it: what the device has, less what we took. Other processes are not seen. */
fh_status fh_cl_query_free_memory(fh_device *device, uint64_t *out_bytes) {
  uint64_t total = device->found->info.memory_bytes, ours = atomic_load(&device->allocated);
  *out_bytes = total > ours ? total - ours : 0;
  return FH_OK;
}

static fh_status check_size(const fh_device *device, size_t bytes) {
  const fh_cl_found *found = device->found;
  if (!found->max_alloc || bytes <= found->max_alloc) return FH_OK;
  return FH_STATUS(FH_RESOURCE_EXHAUSTED, "opencl: %zu bytes are more than %s gives in one piece (%zu)\n  %s", bytes, found->info.id,
                   found->max_alloc, "less data at a time, or another device, may do");
}

fh_status fh_cl_alloc(fh_device *device, size_t bytes, fh_memory **out_memory) {
  *out_memory = NULL;
  FH_TRY(fh_cl_same_process(device->backend));
  FH_TRY(check_size(device, bytes));
  fh_memory *memory = calloc(1, sizeof *memory);
  if (!memory) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "opencl: no memory for the handle of an allocation");
  /* Host-accessible memory where the device shares it: copies then move data once. */
  cl_mem_flags flags = CL_MEM_READ_WRITE | (device->found->shares_host_memory ? (cl_mem_flags)CL_MEM_ALLOC_HOST_PTR : 0);
  cl_int error = CL_SUCCESS;
  memory->handle = device->fn->clCreateBuffer(device->context, flags, bytes ? bytes : 1, NULL, &error);
  if (!memory->handle) {
    free(memory);
    return FH_CL_FAIL(error, "clCreateBuffer", "allocating %zu bytes on %s", bytes, device->found->info.id);
  }
  memory->device = device;
  memory->bytes = bytes;
  atomic_fetch_add(&device->allocated, bytes);
  *out_memory = memory;
  return FH_OK;
}

/* A driver that cannot have it so says no, or copies: right, but nothing gained. A failure is no failure of the launch. */
fh_status fh_cl_alias(fh_device *device, const void *host, size_t bytes, fh_memory **out_memory) {
  *out_memory = NULL;
  FH_TRY(fh_cl_same_process(device->backend));
  const fh_cl_found *found = device->found;
  const size_t boundary = found->info.alias_alignment;
  if (!boundary || !bytes || (uintptr_t)host % boundary || (found->max_alloc && bytes > found->max_alloc)) return FH_OK;
  if (boundary == FH_CL_GPU_ALIAS && bytes % FH_CL_CPU_ALIAS) return FH_OK;
  fh_memory *memory = calloc(1, sizeof *memory);
  if (!memory) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "opencl: no memory for the handle of an alias");
  cl_int error = CL_SUCCESS;
  *memory = (fh_memory){.device = device, .bytes = bytes, .alias = true};
  /* The driver wants a pointer to what may change; read-only, it does not. */
  memory->handle =
      device->fn->clCreateBuffer(device->context, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, bytes, (void *)(uintptr_t)host, &error);
  if (memory->handle)
    *out_memory = memory;
  else
    free(memory);
  return FH_OK;
}

void fh_cl_free(fh_memory *memory) {
  if (!memory) return;
  if (fh_cl_may_call(memory->device->backend)) memory->device->fn->clReleaseMemObject(memory->handle);
  if (!memory->alias) atomic_fetch_sub(&memory->device->allocated, memory->bytes);
  free(memory);
}

void *fh_cl_map(fh_memory *memory) {
  (void)memory;
  return NULL; /* host_memory is false */
}
