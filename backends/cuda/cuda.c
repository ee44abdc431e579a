/* CUDA through the driver's own interface: the table, and what devices there are. SPDX-License-Identifier: Apache-2.0
 * Needs no toolkit, neither to build nor to run: the driver compiles the PTX that the build made from the kernel texts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cuda_internal.h"
#include "runtime/base/log.h"
#include "runtime/base/process.h"

extern const fh_backend_api fh_backend_cuda;

/* The process that called cuInit, 0 before: its children must not touch the driver. */
static _Atomic(pid_t) init_pid;

/* Arithmetic units for f32 per multiprocessor, by compute capability: a guess for the cost model. */
static int lanes_of(int capability) {
  switch (capability) {
    case 60:
    case 70:
    case 72:
    case 75:
    case 80:
      return 64;
    default:
      return 128;
  }
}

static int attribute(const fh_backend *backend, fh_cu_device device, fh_cu_attribute which) {
  int value = 0;
  return backend->driver.fn.cuDeviceGetAttribute(&value, which, device) == FH_CUDA_SUCCESS ? value : 0;
}

/* A slice of a GPU (MIG) has a name that says so, and a UUID of its own where the driver has the newer function. */
static void describe_uuid(const fh_backend *backend, fh_cu_device device, const char *name, char *out, size_t size) {
  unsigned char b[FH_CU_UUID_BYTES];
  const fh_cuda_functions *fn = &backend->driver.fn;
  fh_cu_result (*get)(fh_cu_uuid, fh_cu_device) = fn->cuDeviceGetUuid_v2 ? fn->cuDeviceGetUuid_v2 : fn->cuDeviceGetUuid;
  if (!get || get((fh_cu_uuid)(void *)b, device) != FH_CUDA_SUCCESS) return;
  snprintf(out, size, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", strstr(name, " MIG ") ? "MIG" : "GPU",
           b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* Shared memory above the usual 48 KiB must be asked for, function by function. */
static void describe_blocks(const fh_backend *backend, fh_cuda_found *found) {
  fh_block_limits *limits = &found->info.blocks;
  int usual = attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
  int asked = attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  limits->threads = (uint32_t)attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  limits->grid[0] = (uint32_t)attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X);
  limits->grid[1] = (uint32_t)attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y);
  limits->grid[2] = (uint32_t)attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z);
  limits->shared_bytes = (uint32_t)(asked > usual ? asked : usual);
  found->shared_unasked = (uint32_t)usual;
}

/* Priors from clocks and widths; newer drivers may not tell the clocks. */
static void guess_speed(const fh_backend *backend, fh_cuda_found *found) {
  fh_device_info *info = &found->info;
  double core_hz = 1e3 * attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  double memory_hz = 1e3 * attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
  int bus_bits = attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
  if (core_hz <= 0) core_hz = 1.5e9;
  info->peak_flops = core_hz * 2 * info->compute_units * lanes_of(info->capability);
  info->peak_bytes_per_s = memory_hz > 0 && bus_bits > 0 ? memory_hz * 2 * bus_bits / 8 : 3e11;
  info->link_bytes_per_s = 6e9; /* pageable host memory over PCIe */
  info->launch_s = 8e-6;
}

static fh_status describe_device(const fh_backend *backend, int ordinal, int version, fh_cuda_found *found) {
  const fh_cuda_functions *fn = &backend->driver.fn;
  fh_device_info *info = &found->info;
  fh_cu_result code;
  size_t bytes = 0;
  *found = (fh_cuda_found){0};
  snprintf(info->id, sizeof info->id, "cuda:%d", ordinal);
#define ASK(call, args)                          \
  if ((code = fn->call args) != FH_CUDA_SUCCESS) \
  return fh_cuda_fail(backend, NULL, code, #call, __FILE__, __LINE__, "asking about cuda:%d", ordinal)
  ASK(cuDeviceGet, (&found->handle, ordinal));
  ASK(cuDeviceGetName, (info->name, (int)sizeof info->name, found->handle));
  ASK(cuDeviceTotalMem_v2, (&bytes, found->handle));
#undef ASK
  info->name[sizeof info->name - 1] = 0;
  if (fn->cuDeviceGetPCIBusId(info->pci, (int)sizeof info->pci, found->handle) != FH_CUDA_SUCCESS) info->pci[0] = 0;
  describe_uuid(backend, found->handle, info->name, info->uuid, sizeof info->uuid);
  snprintf(info->driver, sizeof info->driver, "CUDA %d.%d %s", version / 1000, version % 1000 / 10,
           strrchr(fh_dynlib_path(backend->driver.library), '/') ? strrchr(fh_dynlib_path(backend->driver.library), '/') + 1 : "");
  info->kind = FH_DEVICE_GPU;
  info->fake = backend->driver.fake;
  info->exact = true; /* the PTX states rounding, denormals and contraction itself */
  info->address_alignment = sizeof(double);
  info->memory_bytes = bytes;
  info->compute_units = attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  info->capability = 10 * attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
                     attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  found->compute_mode = attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_COMPUTE_MODE);
  found->resident_threads = attribute(backend, found->handle, FH_CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
  describe_blocks(backend, found);
  guess_speed(backend, found);
  return FH_OK;
}

static void destroy(fh_backend *backend) {
  if (!backend) return;
  fh_cuda_library_close(&backend->library);
  fh_cuda_driver_close(&backend->driver);
  free(backend->devices);
  free(backend->cache_dir);
  free(backend);
}

static fh_status load_driver(fh_backend *backend, bool allow_fake) {
  fh_status status = fh_cuda_driver_load(&backend->driver);
  if (status) {
    fh_status named = FH_STATUS_CAUSE(fh_status_code(status) == FH_NOT_FOUND ? FH_UNAVAILABLE : fh_status_code(status), "CU-NO-LIBCUDA",
                                      "the CUDA driver library cannot be loaded:\n%s", fh_status_message(status));
    fh_status_free(status);
    return named;
  }
  const char *path = fh_dynlib_path(backend->driver.library);
  if (backend->driver.missing)
    return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "CU-DRIVER-TOO-OLD",
                           "%s does not export %s: a driver older than CUDA 11.0, or no NVIDIA driver at all\nnext: install a newer driver",
                           path, backend->driver.missing);
  if (backend->driver.fake && !allow_fake)
    return FH_STATUS(FH_FAILED_PRECONDITION,
                     "%s is a stand-in for tests, not a CUDA driver, and this program did not allow one\n"
                     "next: take its folder out of LD_LIBRARY_PATH",
                     path);
  return FH_OK;
}

static fh_status init_driver(fh_backend *backend) {
  pid_t self = fh_process_id(), before = atomic_load(&init_pid);
  if (before && before != self)
    return FH_STATUS_CAUSE(FH_UNAVAILABLE, "CU-FORK-AFTER-INIT",
                           "this process (%d) is a fork of one (%d) that had already started CUDA, which no driver survives\n"
                           "next: fork before CUDA is used, or start the child with exec",
                           (int)self, (int)before);
  fh_cu_result code = backend->driver.fn.cuInit(0);
  if (code != FH_CUDA_SUCCESS)
    return fh_cuda_fail(backend, NULL, code, "cuInit", __FILE__, __LINE__, "starting %s", fh_dynlib_path(backend->driver.library));
  atomic_store(&init_pid, self);
  backend->pid = self;
  return FH_OK;
}

/* A device that cannot be asked is left out and said so: it must not hide the others. */
static fh_status find_devices(fh_backend *backend) {
  const fh_cuda_functions *fn = &backend->driver.fn;
  int count = 0, version = 0;
  fh_cu_result code = fn->cuDeviceGetCount(&count);
  if (code == FH_CUDA_SUCCESS && count <= 0) code = FH_CUDA_ERROR_NO_DEVICE;
  if (code != FH_CUDA_SUCCESS) return fh_cuda_fail(backend, NULL, code, "cuDeviceGetCount", __FILE__, __LINE__, "counting devices");
  if (fn->cuDriverGetVersion(&version) != FH_CUDA_SUCCESS) version = 0;
  backend->devices = calloc((size_t)count, sizeof *backend->devices);
  if (!backend->devices) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for %d CUDA devices", count);
  for (int i = 0; i < count; i++) {
    fh_status status = describe_device(backend, i, version, &backend->devices[backend->device_count]);
    if (!status)
      backend->device_count++;
    else if (count == 1)
      return status;
    else
      fh_log(FH_LOG_WARN, "cuda:%d is left out: %s", i, fh_status_message(status));
    fh_status_free(status);
  }
  return FH_OK;
}

/* "libcuda.so.550.54.14" behind the links of "libcuda.so.1". */
static void name_driver_file(fh_backend *backend) {
  const char *path = fh_dynlib_path(backend->driver.library);
  char *real = realpath(path, NULL);
  const char *slash = strrchr(real ? real : path, '/');
  snprintf(backend->driver_file, sizeof backend->driver_file, "%s", slash ? slash + 1 : path);
  free(real);
}

static fh_status keep_options(fh_backend *backend, const fh_backend_options *options) {
  name_driver_file(backend);
  if (!options || !options->cache_dir) return FH_OK;
  backend->cache_dir = strdup(options->cache_dir);
  return backend->cache_dir ? FH_OK : FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the CUDA backend");
}

static fh_status open_backend(const fh_backend_options *options, fh_backend **out_backend) {
  *out_backend = NULL;
  fh_backend *backend = calloc(1, sizeof *backend);
  if (!backend) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the CUDA backend");
  pthread_mutex_init(&backend->library.lock, NULL);
  fh_status status = load_driver(backend, options && options->allow_fake);
  if (!status) status = keep_options(backend, options);
  if (!status) status = init_driver(backend);
  if (!status) status = find_devices(backend);
  if (status) {
    destroy(backend);
    return status;
  }
  *out_backend = backend;
  return FH_OK;
}

static int enumerate(const fh_backend *backend, fh_device_info *out_infos, int capacity) {
  for (int i = 0; i < backend->device_count && i < capacity; i++) out_infos[i] = backend->devices[i].info;
  return backend->device_count;
}

/* A child has shown that some device gives a context; nothing less is proof. */
static bool present(const fh_facts *facts) {
  const fh_cuda_answer *answer = &facts->nvidia.cuda;
  if (answer->valid != FH_VALID || answer->init_code != 0) return false;
  for (int i = 0; i < answer->device_count; i++)
    if (answer->devices[i].usable) return true;
  return false;
}

const fh_backend_api fh_backend_cuda = {
    .destroy = destroy,
    .name = "cuda",
    .abi = FH_BACKEND_ABI,
    .present = present,
    .open = open_backend,
    .enumerate = enumerate,
    .device_open = fh_cuda_device_open,
    .device_close = fh_cuda_device_close,
    .query_free_memory = fh_cuda_query_free_memory,
    .alloc = fh_cuda_alloc,
    .free = fh_cuda_free,
    .map = fh_cuda_map,
    .prepare = fh_cuda_prepare,
    .release = fh_cuda_release,
    .stream_open = fh_cuda_stream_open,
    .stream_close = fh_cuda_stream_close,
    .submit = fh_cuda_submit,
    .poll = fh_cuda_poll,
    .wait = fh_cuda_wait,
    .pin = fh_cuda_pin,
    .unpin = fh_cuda_unpin,
    .reaches = fh_cuda_reaches,
    .replay = fh_cuda_replay,
    .replay_end = fh_cuda_replay_end,
    .trim = fh_cuda_trim,
    .lacks_library = fh_cuda_lacks_library,
};
