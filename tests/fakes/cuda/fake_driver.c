/* The stand-in CUDA driver: the exported functions, each as strict as the vendor's manual. SPDX-License-Identifier: Apache-2.0
 * Long: one short function for each of the driver's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_call.h"

/* Foghorn refuses a library that exports this, unless it is told otherwise. */
extern EXPORT const char foghorn_fake_driver[];
const char foghorn_fake_driver[] = "a stand-in for tests";

static pid_t init_pid; /* that called cuInit; 0: nobody; guarded by fake_lock */

bool fake_initialised(void) {
  pthread_mutex_lock(&fake_lock);
  bool yes = init_pid == getpid();
  pthread_mutex_unlock(&fake_lock);
  return yes;
}

/* ---- driver and devices --------------------------------------------------------------------------------------------------- */

/* A driver keeps a range of addresses to itself from the start. */
static bool can_reserve(uint64_t bytes) {
  void *range = bytes ? mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) : NULL;
  if (range == MAP_FAILED) return false;
  if (bytes) munmap(range, bytes);
  return true;
}

static bool finds_mps_pipe(void) {
  const char *folder = getenv("CUDA_MPS_PIPE_DIRECTORY");
  char path[4096];
  snprintf(path, sizeof path, "%s/control", folder && *folder ? folder : "/tmp/nvidia-mps");
  return access(path, F_OK) == 0;
}

fh_cu_result cuInit(unsigned int flags) {
  BEGIN(cuInit);
  FAIL_IF(flags != 0, FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(!can_reserve(fake_get_settings()->addresses), FH_CUDA_ERROR_OUT_OF_MEMORY);
  FAIL_IF(fake_device_count() == 0, FH_CUDA_ERROR_NO_DEVICE);
  FAIL_IF(fake_get_settings()->mps && finds_mps_pipe(), FH_CUDA_ERROR_MPS_CONNECTION_FAILED);
  FAIL_IF(fake_bad_device_is_visible(), FH_CUDA_ERROR_UNKNOWN);
  pthread_mutex_lock(&fake_lock);
  if (init_pid && init_pid != getpid()) FINISH(FH_CUDA_ERROR_NOT_INITIALIZED); /* a fork */
  init_pid = getpid();
  FINISH(FH_CUDA_SUCCESS);
}

fh_cu_result cuDriverGetVersion(int *version) {
  BEGIN(cuDriverGetVersion);
  FAIL_IF(!version, FH_CUDA_ERROR_INVALID_VALUE);
  *version = fake_get_settings()->version;
  return fake_end(&call, FH_CUDA_SUCCESS);
}

fh_cu_result cuGetErrorName(fh_cu_result code, const char **name) {
  BEGIN(cuGetErrorName);
  FAIL_IF(!name, FH_CUDA_ERROR_INVALID_VALUE);
  switch (code) {
#define FH_CUDA_RESULT(value, text) \
  case value:                       \
    *name = #text;                  \
    break;
#include "detect/drivers/cuda_results.def"
#undef FH_CUDA_RESULT
    default:
      *name = NULL;
      RETURN(FH_CUDA_ERROR_INVALID_VALUE);
  }
  return fake_end(&call, FH_CUDA_SUCCESS);
}

fh_cu_result cuDeviceGetCount(int *count) {
  BEGIN(cuDeviceGetCount);
  NEED_INIT;
  FAIL_IF(!count, FH_CUDA_ERROR_INVALID_VALUE);
  *count = fake_device_count();
  return fake_end(&call, FH_CUDA_SUCCESS);
}

fh_cu_result cuDeviceGet(fh_cu_device *device, int ordinal) {
  BEGIN(cuDeviceGet);
  NEED_INIT;
  FAIL_IF(!device, FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(!fake_device_exists(ordinal), FH_CUDA_ERROR_INVALID_DEVICE);
  *device = ordinal;
  return fake_end(&call, FH_CUDA_SUCCESS);
}

fh_cu_result cuDeviceGetName(char *name, int size, fh_cu_device device) {
  BEGIN(cuDeviceGetName);
  NEED_INIT;
  FAIL_IF(!name || size <= 0, FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(!fake_device_exists(device), FH_CUDA_ERROR_INVALID_DEVICE);
  snprintf(name, (size_t)size, "FAKE GPU %d%s (stand-in driver)", device, fake_get_settings()->mig ? " MIG 1g.5gb" : "");
  return fake_end(&call, FH_CUDA_SUCCESS);
}

static bool attribute_of(fh_cu_attribute attribute, int *out_value) {
  const fake_settings *s = fake_get_settings();
  switch (attribute) {
    case FH_CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *out_value = 1024;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X:
      *out_value = INT32_MAX;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case FH_CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z:
      *out_value = UINT16_MAX;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
      *out_value = FAKE_SHARED_BYTES;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      *out_value = fake_shared_optin(s->capability);
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      *out_value = 32;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
    case FH_CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
      *out_value = 1000000;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *out_value = s->multiprocessors;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_INTEGRATED:
      *out_value = 0;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_COMPUTE_MODE:
      *out_value = s->compute_mode;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
      *out_value = 256;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
      *out_value = 2048;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
    case FH_CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
      *out_value = 1;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
      *out_value = s->pools;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *out_value = s->capability / 10;
      return true;
    case FH_CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *out_value = s->capability % 10;
      return true;
    default:
      return false;
  }
}

fh_cu_result cuDeviceGetAttribute(int *value, fh_cu_attribute attribute, fh_cu_device device) {
  BEGIN(cuDeviceGetAttribute);
  NEED_INIT;
  FAIL_IF(!fake_device_exists(device), FH_CUDA_ERROR_INVALID_DEVICE);
  FAIL_IF(!value || !attribute_of(attribute, value), FH_CUDA_ERROR_INVALID_VALUE);
  return fake_end(&call, FH_CUDA_SUCCESS);
}

fh_cu_result cuDeviceGetPCIBusId(char *text, int size, fh_cu_device device) {
  BEGIN(cuDeviceGetPCIBusId);
  NEED_INIT;
  FAIL_IF(!text || size < 13, FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(!fake_device_exists(device), FH_CUDA_ERROR_INVALID_DEVICE);
  snprintf(text, (size_t)size, "0000:%02X:00.0", device + 1);
  return fake_end(&call, FH_CUDA_SUCCESS);
}

fh_cu_result cuDeviceTotalMem_v2(size_t *bytes, fh_cu_device device) {
  BEGIN(cuDeviceTotalMem_v2);
  NEED_INIT;
  FAIL_IF(!bytes, FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(!fake_device_exists(device), FH_CUDA_ERROR_INVALID_DEVICE);
  *bytes = fake_get_settings()->memory;
  return fake_end(&call, FH_CUDA_SUCCESS);
}

static void uuid_of(fh_cu_uuid uuid, fh_cu_device device) {
  unsigned char bytes[FH_CU_UUID_BYTES] = "FAKE-FAKE-FAKE-";
  bytes[FH_CU_UUID_BYTES - 1] = (unsigned char)device;
  memcpy(uuid, bytes, sizeof bytes);
}

fh_cu_result cuDeviceGetUuid(fh_cu_uuid uuid, fh_cu_device device) {
  BEGIN(cuDeviceGetUuid);
  NEED_INIT;
  FAIL_IF(!uuid, FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(!fake_device_exists(device), FH_CUDA_ERROR_INVALID_DEVICE);
  uuid_of(uuid, device);
  return fake_end(&call, FH_CUDA_SUCCESS);
}

fh_cu_result cuDeviceGetUuid_v2(fh_cu_uuid uuid, fh_cu_device device) {
  BEGIN(cuDeviceGetUuid_v2);
  NEED_INIT;
  FAIL_IF(!uuid, FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(!fake_device_exists(device), FH_CUDA_ERROR_INVALID_DEVICE);
  uuid_of(uuid, device);
  return fake_end(&call, FH_CUDA_SUCCESS);
}

/* ---- contexts ---------------------------------------------------------------------------------------------------------------- */

fh_cu_result cuDevicePrimaryCtxRetain(fh_cu_context *out_context, fh_cu_device device) {
  BEGIN(cuDevicePrimaryCtxRetain);
  NEED_INIT;
  FAIL_IF(!out_context, FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(!fake_device_exists(device), FH_CUDA_ERROR_INVALID_DEVICE);
  FAIL_IF(fake_get_settings()->compute_mode == FH_CU_COMPUTEMODE_PROHIBITED, FH_CUDA_ERROR_DEVICE_UNAVAILABLE);
  pthread_mutex_lock(&fake_lock);
  fh_cu_context context = fake_primary(device);
  if (context->poison) FINISH(context->poison);
  context->device = device;
  context->retained++;
  *out_context = context;
  FINISH(FH_CUDA_SUCCESS);
}

fh_cu_result cuDevicePrimaryCtxRelease_v2(fh_cu_device device) {
  BEGIN(cuDevicePrimaryCtxRelease_v2);
  NEED_INIT;
  FAIL_IF(!fake_device_exists(device), FH_CUDA_ERROR_INVALID_DEVICE);
  pthread_mutex_lock(&fake_lock);
  fh_cu_context context = fake_primary(device);
  if (!context->retained) FINISH(FH_CUDA_ERROR_INVALID_CONTEXT);
  if (--context->retained == 0) fake_context_clear(context);
  FINISH(FH_CUDA_SUCCESS);
}

/* What another library of the process may do: everything of the context ends under whoever uses it. */
EXPORT fh_cu_result cuDevicePrimaryCtxReset_v2(fh_cu_device device);
fh_cu_result cuDevicePrimaryCtxReset_v2(fh_cu_device device) {
  if (!fake_initialised() || !fake_device_exists(device)) return FH_CUDA_ERROR_INVALID_DEVICE;
  pthread_mutex_lock(&fake_lock);
  fake_context_clear(fake_primary(device));
  fake_primary(device)->retained = 0;
  pthread_mutex_unlock(&fake_lock);
  return FH_CUDA_SUCCESS;
}

static bool is_retained(fh_cu_context context) {
  bool known = false;
  pthread_mutex_lock(&fake_lock);
  for (int i = 0; i < FAKE_MAX_DEVICES; i++) known |= context == fake_primary(i) && context->retained;
  pthread_mutex_unlock(&fake_lock);
  return known;
}

/* A context that a script has destroyed has nothing under way: destroying one waits for its work, or ends it. */
static void end_work_of(fh_cu_context context) {
  if (!is_retained(context)) return;
  pthread_mutex_lock(&fake_lock);
  fake_context_wait(context);
  pthread_mutex_unlock(&fake_lock);
}

fh_cu_result cuCtxPushCurrent_v2(fh_cu_context context) {
  fake_call call = fake_begin(FAKE_cuCtxPushCurrent_v2);
  if (call.answered) {
    if (call.answer == FH_CUDA_ERROR_INVALID_CONTEXT) end_work_of(context);
    RETURN(call.answer);
  }
  NEED_INIT;
  const bool known = is_retained(context);
  FAIL_IF(!known, FH_CUDA_ERROR_INVALID_CONTEXT);
  return fake_end(&call, fake_push(context) ? FH_CUDA_SUCCESS : FH_CUDA_ERROR_INVALID_VALUE);
}

fh_cu_result cuCtxPopCurrent_v2(fh_cu_context *context) {
  BEGIN(cuCtxPopCurrent_v2);
  NEED_INIT;
  fh_cu_context popped = fake_pop();
  FAIL_IF(!popped, FH_CUDA_ERROR_INVALID_CONTEXT);
  if (context) *context = popped;
  return fake_end(&call, FH_CUDA_SUCCESS);
}

/* ---- memory -------------------------------------------------------------------------------------------------------------------- */

fh_cu_result cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes) {
  BEGIN(cuMemGetInfo_v2);
  FAIL_IF(!free_bytes || !total_bytes, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  *total_bytes = fake_get_settings()->memory;
  *free_bytes = fake_free_bytes(context);
  FINISH(FH_CUDA_SUCCESS);
}

fh_cu_result cuMemAlloc_v2(fh_cu_ptr *memory, size_t bytes) {
  BEGIN(cuMemAlloc_v2);
  FAIL_IF(!memory, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  NEED_NO_CAPTURE;
  FINISH(fake_alloc(context, bytes, memory));
}

/* As the driver's, it waits for what is under way. */
fh_cu_result cuMemFree_v2(fh_cu_ptr memory) {
  BEGIN(cuMemFree_v2);
  NEED_CONTEXT;
  NEED_NO_CAPTURE;
  fake_context_wait(context);
  const fake_allocation *known = fake_allocation_find(context, memory);
  fake_allocation *allocation = known && !known->pool ? fake_allocation_take(context, memory) : NULL;
  pthread_mutex_unlock(&fake_lock);
  if (!allocation) {
    fake_complain("cuMemFree: 0x%llx is not the start of an allocation", memory);
    RETURN(FH_CUDA_ERROR_INVALID_VALUE);
  }
  fake_allocation_free(allocation);
  return fake_end(&call, FH_CUDA_SUCCESS);
}

/* With the lock held. The default stream is not offered: nothing here should use it. */
/* While launches are captured nothing else may be asked of the stream: the graph is of no use after that. */
static bool spoils(fake_stream *stream, const char *what) {
  fake_graph *graph = fake_stream_capture(stream);
  if (!graph) return false;
  fake_complain("%s on a stream whose launches are captured", what);
  fake_graph_spoil(graph);
  return true;
}

static fh_cu_result queue(fh_cu_context context, fh_cu_stream handle, const fake_command *command) {
  fake_stream *stream = fake_object_find(handle, FAKE_STREAM, context);
  if (!stream) return FH_CUDA_ERROR_INVALID_HANDLE;
  return spoils(stream, "a copy") ? FH_CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : fake_stream_queue(stream, command);
}

static bool is_host(const char *what, const void *pointer) {
  if (pointer && !fake_is_device_address(pointer)) return true;
  fake_complain("%s: %p is no host memory", what, pointer);
  return false;
}

static char *need_device(fh_cu_context context, const char *what, fh_cu_ptr address, size_t bytes) {
  char *host = fake_translate(context, address, bytes);
  if (!host) fake_complain("%s: [0x%llx, +%zu) is not inside device memory of this context", what, address, bytes);
  return host;
}

fh_cu_result cuMemcpyHtoDAsync_v2(fh_cu_ptr to, const void *from, size_t bytes, fh_cu_stream stream) {
  BEGIN(cuMemcpyHtoDAsync_v2);
  FAIL_IF(!is_host("cuMemcpyHtoDAsync", from), FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  char *target = need_device(context, "cuMemcpyHtoDAsync", to, bytes);
  if (!target) FINISH(FH_CUDA_ERROR_INVALID_VALUE);
  FINISH(queue(context, stream, &(fake_command){.kind = FAKE_COPY, .act = call.late, .to = target, .from = from, .bytes = bytes}));
}

fh_cu_result cuMemcpyDtoHAsync_v2(void *to, fh_cu_ptr from, size_t bytes, fh_cu_stream stream) {
  BEGIN(cuMemcpyDtoHAsync_v2);
  FAIL_IF(!is_host("cuMemcpyDtoHAsync", to), FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  const char *source = need_device(context, "cuMemcpyDtoHAsync", from, bytes);
  if (!source) FINISH(FH_CUDA_ERROR_INVALID_VALUE);
  FINISH(queue(context, stream, &(fake_command){.kind = FAKE_COPY, .act = call.late, .to = to, .from = source, .bytes = bytes}));
}

fh_cu_result cuMemcpyDtoDAsync_v2(fh_cu_ptr to, fh_cu_ptr from, size_t bytes, fh_cu_stream stream) {
  BEGIN(cuMemcpyDtoDAsync_v2);
  NEED_CONTEXT;
  const char *source = need_device(context, "cuMemcpyDtoDAsync", from, bytes);
  char *target = need_device(context, "cuMemcpyDtoDAsync", to, bytes);
  if (!source || !target) FINISH(FH_CUDA_ERROR_INVALID_VALUE);
  FINISH(queue(context, stream, &(fake_command){.kind = FAKE_COPY, .act = call.late, .to = target, .from = source, .bytes = bytes}));
}

fh_cu_result cuMemsetD8Async(fh_cu_ptr to, unsigned char value, size_t bytes, fh_cu_stream stream) {
  BEGIN(cuMemsetD8Async);
  NEED_CONTEXT;
  char *target = need_device(context, "cuMemsetD8Async", to, bytes);
  if (!target) FINISH(FH_CUDA_ERROR_INVALID_VALUE);
  FINISH(queue(context, stream, &(fake_command){.kind = FAKE_SET, .act = call.late, .to = target, .value = value, .bytes = bytes}));
}

/* ---- memory pools and pinned memory ------------------------------------------------------------------------------------------- */

fh_cu_result cuMemPoolCreate(fh_cu_pool *pool, fh_cu_pool_props_ptr opaque) {
  BEGIN(cuMemPoolCreate);
  NEED_INIT;
  fh_cu_pool_props props;
  FAIL_IF(!pool || !opaque, FH_CUDA_ERROR_INVALID_VALUE);
  memcpy(&props, (const void *)opaque, sizeof props);
  FAIL_IF(props.allocation_type != FH_CU_MEM_ALLOCATION_TYPE_PINNED || props.location_type != FH_CU_MEM_LOCATION_TYPE_DEVICE ||
              !fake_device_exists(props.location_id),
          FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(!fake_get_settings()->pools, FH_CUDA_ERROR_NOT_SUPPORTED);
  pthread_mutex_lock(&fake_lock);
  FINISH(fake_pool_create(fake_primary(props.location_id), pool));
}

/* Takes the lock and finds the pool, which belongs to a device and needs no context. */
#define NEED_POOL                                                                                                                      \
  NEED_INIT;                                                                                                                           \
  fake_pool *pool = NULL;                                                                                                              \
  pthread_mutex_lock(&fake_lock);                                                                                                      \
  for (int device = 0; device < FAKE_MAX_DEVICES && !pool; device++) pool = fake_object_find(handle, FAKE_POOL, fake_primary(device)); \
  if (!pool) FINISH(FH_CUDA_ERROR_INVALID_VALUE)

fh_cu_result cuMemPoolDestroy(fh_cu_pool handle) {
  BEGIN(cuMemPoolDestroy);
  NEED_POOL;
  FINISH(fake_pool_destroy(pool));
}

fh_cu_result cuMemPoolSetAttribute(fh_cu_pool handle, fh_cu_pool_attribute attribute, void *value) {
  BEGIN(cuMemPoolSetAttribute);
  FAIL_IF(!value, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_POOL;
  FINISH(fake_pool_set(pool, attribute, value));
}

fh_cu_result cuMemPoolGetAttribute(fh_cu_pool handle, fh_cu_pool_attribute attribute, void *value) {
  BEGIN(cuMemPoolGetAttribute);
  FAIL_IF(!value, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_POOL;
  FINISH(fake_pool_get(pool, attribute, value));
}

fh_cu_result cuMemPoolSetAccess(fh_cu_pool handle, fh_cu_access_ptr opaque, size_t count) {
  BEGIN(cuMemPoolSetAccess);
  FAIL_IF(!opaque || count != 1, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_POOL;
  FINISH(fake_pool_open(pool, (const fh_cu_access *)(const void *)opaque));
}

fh_cu_result cuMemPoolTrimTo(fh_cu_pool handle, size_t bytes_to_keep) {
  BEGIN(cuMemPoolTrimTo);
  NEED_POOL;
  fake_pool_trim(pool, bytes_to_keep);
  FINISH(FH_CUDA_SUCCESS);
}

fh_cu_result cuMemAllocFromPoolAsync(fh_cu_ptr *memory, size_t bytes, fh_cu_pool handle, fh_cu_stream stream_handle) {
  BEGIN(cuMemAllocFromPoolAsync);
  FAIL_IF(!memory, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  fake_pool *pool = fake_object_find(handle, FAKE_POOL, context);
  fake_stream *stream = fake_object_find(stream_handle, FAKE_STREAM, context);
  if (!pool) FINISH(FH_CUDA_ERROR_INVALID_VALUE);
  if (!stream) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  FINISH(fake_pool_alloc(pool, context, bytes, stream, memory));
}

fh_cu_result cuMemFreeAsync(fh_cu_ptr memory, fh_cu_stream stream_handle) {
  BEGIN(cuMemFreeAsync);
  NEED_CONTEXT;
  fake_allocation *allocation = fake_allocation_find(context, memory);
  fake_stream *stream = fake_object_find(stream_handle, FAKE_STREAM, context);
  if (!stream) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  if (!allocation || !allocation->pool || allocation->freed) {
    fake_complain("cuMemFreeAsync: 0x%llx is not the start of an allocation of a pool", memory);
    FINISH(FH_CUDA_ERROR_INVALID_VALUE);
  }
  allocation->freed = true;
  FINISH(fake_stream_queue(stream, &(fake_command){.kind = FAKE_FREE, .allocation = allocation}));
}

fh_cu_result cuMemHostAlloc(void **host, size_t bytes, unsigned int flags) {
  BEGIN(cuMemHostAlloc);
  FAIL_IF(!host || flags, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  NEED_NO_CAPTURE;
  FINISH(fake_pin_new(context, bytes, host));
}

fh_cu_result cuMemFreeHost(void *host) {
  BEGIN(cuMemFreeHost);
  NEED_CONTEXT;
  NEED_NO_CAPTURE;
  FINISH(fake_pin_free(host));
}

fh_cu_result cuPointerGetAttribute(void *value, fh_cu_pointer_attribute attribute, fh_cu_ptr pointer) {
  BEGIN(cuPointerGetAttribute);
  FAIL_IF(!value, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  fake_pin pin = {0};
  const bool of_host = fake_pin_find((const void *)(uintptr_t)pointer, &pin);
  const unsigned type = of_host ? FH_CU_MEMORYTYPE_HOST : FH_CU_MEMORYTYPE_DEVICE;
  if (!of_host && !fake_translate(context, pointer, 1)) FINISH(FH_CUDA_ERROR_INVALID_VALUE);
  if (attribute == FH_CU_POINTER_ATTRIBUTE_MEMORY_TYPE)
    memcpy(value, &type, sizeof type);
  else if (of_host && attribute == FH_CU_POINTER_ATTRIBUTE_RANGE_START_ADDR)
    memcpy(value, &pin.host, sizeof pin.host);
  else if (of_host && attribute == FH_CU_POINTER_ATTRIBUTE_RANGE_SIZE)
    memcpy(value, &pin.bytes, sizeof pin.bytes);
  else if (of_host && attribute == FH_CU_POINTER_ATTRIBUTE_BUFFER_ID)
    memcpy(value, &pin.id, sizeof pin.id);
  else
    FINISH(FH_CUDA_ERROR_INVALID_VALUE);
  FINISH(FH_CUDA_SUCCESS);
}

fh_cu_result cuMemHostRegister_v2(void *host, size_t bytes, unsigned int flags) {
  BEGIN(cuMemHostRegister_v2);
  FAIL_IF(flags & ~(unsigned)FH_CU_MEMHOSTREGISTER_PORTABLE, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  NEED_NO_CAPTURE;
  FINISH(fake_pin_register(context, host, bytes));
}

fh_cu_result cuMemHostUnregister(void *host) {
  BEGIN(cuMemHostUnregister);
  NEED_CONTEXT;
  NEED_NO_CAPTURE;
  FINISH(fake_pin_unregister(host));
}

/* ---- modules and launches ------------------------------------------------------------------------------------------------------ */

typedef struct jit_log {
  char *text;
  size_t size;
} jit_log;

/* False for an option that the stand-in does not know. */
static bool read_options(unsigned count, const fh_cu_jit_option *options, void **values, jit_log *out) {
  *out = (jit_log){0};
  if (count && (!options || !values)) return false;
  for (unsigned i = 0; i < count; i++) {
    if (options[i] == FH_CU_JIT_ERROR_LOG_BUFFER)
      out->text = values[i];
    else if (options[i] == FH_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
      out->size = (size_t)(uintptr_t)values[i];
    else if (options[i] == FH_CU_JIT_TARGET && (uintptr_t)values[i] == FH_CU_TARGET_COMPUTE_90A)
      (void)values; /* which texts fit the device is looked at when they are added */
    else
      return false;
  }
  if (!out->text) out->size = 0;
  return true;
}

fh_cu_result cuModuleLoadDataEx(fh_cu_module *out_module, const void *image, unsigned int option_count, fh_cu_jit_option *options,
                                void **values) {
  BEGIN(cuModuleLoadDataEx);
  FAIL_IF(!out_module || !image, FH_CUDA_ERROR_INVALID_VALUE);
  jit_log log;
  FAIL_IF(!read_options(option_count, options, values, &log), FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  FINISH(fake_module_load(context, image, log.text, log.size, out_module));
}

fh_cu_result cuLinkCreate_v2(unsigned int option_count, fh_cu_jit_option *options, void **values, fh_cu_link *link) {
  BEGIN(cuLinkCreate_v2);
  jit_log log;
  FAIL_IF(!link || !read_options(option_count, options, values, &log), FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  FINISH(fake_link_create(context, log.text, log.size, link));
}

fh_cu_result cuLinkAddData_v2(fh_cu_link handle, fh_cu_jit_input type, void *data, size_t bytes, const char *name,
                              unsigned int option_count, fh_cu_jit_option *options, void **values) {
  BEGIN(cuLinkAddData_v2);
  (void)name;
  FAIL_IF(type != FH_CU_JIT_INPUT_PTX || !data || option_count || options || values, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  fake_link *link = fake_object_find(handle, FAKE_LINK, context);
  FINISH(link ? fake_link_add(link, data, bytes) : FH_CUDA_ERROR_INVALID_HANDLE);
}

fh_cu_result cuLinkComplete(fh_cu_link handle, void **cubin, size_t *bytes) {
  BEGIN(cuLinkComplete);
  FAIL_IF(!cubin || !bytes, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  fake_link *link = fake_object_find(handle, FAKE_LINK, context);
  FINISH(link ? fake_link_complete(link, cubin, bytes) : FH_CUDA_ERROR_INVALID_HANDLE);
}

fh_cu_result cuLinkDestroy(fh_cu_link handle) {
  BEGIN(cuLinkDestroy);
  NEED_CONTEXT;
  fake_link *link = fake_object_find(handle, FAKE_LINK, context);
  if (!link) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  fake_link_destroy(link);
  FINISH(FH_CUDA_SUCCESS);
}

fh_cu_result cuModuleUnload(fh_cu_module handle) {
  BEGIN(cuModuleUnload);
  NEED_CONTEXT;
  fake_module *module = fake_object_find(handle, FAKE_MODULE, context);
  if (!module) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  fake_context_wait(context);
  fake_module_unload(module);
  FINISH(FH_CUDA_SUCCESS);
}

fh_cu_result cuModuleGetFunction(fh_cu_function *function, fh_cu_module handle, const char *name) {
  BEGIN(cuModuleGetFunction);
  FAIL_IF(!function || !name, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  fake_module *module = fake_object_find(handle, FAKE_MODULE, context);
  if (!module) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  *function = fake_module_function(module, name);
  FINISH(*function ? FH_CUDA_SUCCESS : FH_CUDA_ERROR_NOT_FOUND);
}

fh_cu_result cuFuncGetAttribute(int *value, fh_cu_function_attribute attribute, fh_cu_function handle) {
  BEGIN(cuFuncGetAttribute);
  FAIL_IF(!value, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  const fake_function *function = fake_object_find(handle, FAKE_FUNCTION, context);
  if (!function) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  FINISH(fake_function_attribute(function, attribute, value) ? FH_CUDA_SUCCESS : FH_CUDA_ERROR_INVALID_VALUE);
}

fh_cu_result cuFuncSetAttribute(fh_cu_function handle, fh_cu_function_attribute attribute, int value) {
  BEGIN(cuFuncSetAttribute);
  NEED_CONTEXT;
  fake_function *function = fake_object_find(handle, FAKE_FUNCTION, context);
  if (!function) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  FINISH(fake_function_set(function, attribute, value));
}

/* ---- streams and events ------------------------------------------------------------------------------------------------------------ */

fh_cu_result cuStreamCreate(fh_cu_stream *stream, unsigned int flags) {
  BEGIN(cuStreamCreate);
  FAIL_IF(!stream || flags > FH_CU_STREAM_NON_BLOCKING, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  FINISH(fake_stream_create(context, stream));
}

fh_cu_result cuStreamDestroy_v2(fh_cu_stream handle) {
  BEGIN(cuStreamDestroy_v2);
  NEED_CONTEXT;
  fake_stream *stream = fake_object_find(handle, FAKE_STREAM, context);
  if (!stream) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  fake_stream_destroy(stream);
  FINISH(FH_CUDA_SUCCESS);
}

fh_cu_result cuStreamSynchronize(fh_cu_stream handle) {
  BEGIN(cuStreamSynchronize);
  NEED_CONTEXT;
  fake_stream *stream = fake_object_find(handle, FAKE_STREAM, context);
  if (!stream) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  if (spoils(stream, "cuStreamSynchronize")) FINISH(FH_CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  fake_stream_wait(stream);
  fake_pools_settle(context);
  FINISH(context->poison);
}

fh_cu_result cuStreamWaitEvent(fh_cu_stream stream_handle, fh_cu_event event_handle, unsigned int flags) {
  BEGIN(cuStreamWaitEvent);
  FAIL_IF(flags, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  fake_stream *stream = fake_object_find(stream_handle, FAKE_STREAM, context);
  fake_event *event = fake_object_find(event_handle, FAKE_EVENT, context);
  if (!event || !stream) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  if (spoils(stream, "cuStreamWaitEvent")) FINISH(FH_CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  FINISH(fake_event_wait(event, stream));
}

fh_cu_result cuEventCreate(fh_cu_event *event, unsigned int flags) {
  BEGIN(cuEventCreate);
  FAIL_IF(!event || (flags & ~(unsigned)FH_CU_EVENT_DISABLE_TIMING), FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  FINISH(fake_event_create(context, event));
}

fh_cu_result cuEventDestroy_v2(fh_cu_event handle) {
  BEGIN(cuEventDestroy_v2);
  NEED_CONTEXT;
  fake_event *event = fake_object_find(handle, FAKE_EVENT, context);
  if (!event) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  fake_event_destroy(event);
  FINISH(FH_CUDA_SUCCESS);
}

fh_cu_result cuEventRecord(fh_cu_event handle, fh_cu_stream stream_handle) {
  BEGIN(cuEventRecord);
  NEED_CONTEXT;
  fake_event *event = fake_object_find(handle, FAKE_EVENT, context);
  fake_stream *stream = fake_object_find(stream_handle, FAKE_STREAM, context);
  if (!event || !stream) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  if (spoils(stream, "cuEventRecord")) FINISH(FH_CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  FINISH(fake_event_record(event, stream));
}

fh_cu_result cuEventQuery(fh_cu_event handle) {
  BEGIN(cuEventQuery);
  NEED_CONTEXT;
  NEED_NO_CAPTURE;
  const fake_event *event = fake_object_find(handle, FAKE_EVENT, context);
  if (!event) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  FINISH(fake_event_reached(event) ? FH_CUDA_SUCCESS : FH_CUDA_ERROR_NOT_READY);
}

/* ---- graphs ------------------------------------------------------------------------------------------------------------------------ */

fh_cu_result cuThreadExchangeStreamCaptureMode(fh_cu_capture_mode *mode) {
  BEGIN(cuThreadExchangeStreamCaptureMode);
  NEED_INIT;
  FAIL_IF(!mode || *mode > FH_CU_STREAM_CAPTURE_MODE_RELAXED, FH_CUDA_ERROR_INVALID_VALUE);
  *mode = fake_capture_exchange(*mode);
  RETURN(FH_CUDA_SUCCESS);
}

fh_cu_result cuStreamBeginCapture_v2(fh_cu_stream handle, fh_cu_capture_mode mode) {
  BEGIN(cuStreamBeginCapture_v2);
  FAIL_IF(mode > FH_CU_STREAM_CAPTURE_MODE_RELAXED, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  fake_stream *stream = fake_object_find(handle, FAKE_STREAM, context);
  if (!stream) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  if (fake_stream_capture(stream)) FINISH(FH_CUDA_ERROR_ILLEGAL_STATE);
  fake_graph *graph = NULL;
  fh_cu_result code = fake_graph_create(context, mode, &graph);
  if (code == FH_CUDA_SUCCESS) fake_stream_set_capture(stream, graph);
  FINISH(code);
}

fh_cu_result cuStreamEndCapture(fh_cu_stream handle, fh_cu_graph *graph) {
  BEGIN(cuStreamEndCapture);
  FAIL_IF(!graph, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  fake_stream *stream = fake_object_find(handle, FAKE_STREAM, context);
  if (!stream) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  *graph = fake_stream_capture(stream);
  if (!*graph) FINISH(FH_CUDA_ERROR_ILLEGAL_STATE);
  fake_stream_set_capture(stream, NULL);
  fake_graph_end_capture(*graph);
  if (!fake_graph_is_spoiled(*graph)) FINISH(FH_CUDA_SUCCESS);
  fake_graph_destroy(*graph);
  *graph = NULL;
  FINISH(FH_CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

fh_cu_result cuGraphInstantiateWithFlags(fh_cu_graph_exec *exec, fh_cu_graph handle, unsigned long long flags) {
  BEGIN(cuGraphInstantiateWithFlags);
  FAIL_IF(!exec || flags, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  const fake_graph *graph = fake_object_find(handle, FAKE_GRAPH, context);
  if (!graph) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  FINISH(fake_graph_instantiate(graph, exec));
}

fh_cu_result cuGraphLaunch(fh_cu_graph_exec handle, fh_cu_stream stream_handle) {
  BEGIN(cuGraphLaunch);
  NEED_CONTEXT;
  const fake_graph_exec *exec = fake_object_find(handle, FAKE_GRAPH_EXEC, context);
  fake_stream *stream = fake_object_find(stream_handle, FAKE_STREAM, context);
  if (!exec || !stream) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  if (spoils(stream, "cuGraphLaunch")) FINISH(FH_CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  FINISH(fake_graph_launch(exec, stream, call.late));
}

fh_cu_result cuGraphExecDestroy(fh_cu_graph_exec handle) {
  BEGIN(cuGraphExecDestroy);
  NEED_CONTEXT;
  fake_graph_exec *exec = fake_object_find(handle, FAKE_GRAPH_EXEC, context);
  if (!exec) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  fake_graph_exec_destroy(exec);
  FINISH(FH_CUDA_SUCCESS);
}

fh_cu_result cuGraphDestroy(fh_cu_graph handle) {
  BEGIN(cuGraphDestroy);
  NEED_CONTEXT;
  fake_graph *graph = fake_object_find(handle, FAKE_GRAPH, context);
  if (!graph) FINISH(FH_CUDA_ERROR_INVALID_HANDLE);
  fake_graph_destroy(graph);
  FINISH(FH_CUDA_SUCCESS);
}

/* ---- from one device to another ---------------------------------------------------------------------------------------------------- */

fh_cu_result cuDeviceCanAccessPeer(int *can, fh_cu_device device, fh_cu_device peer) {
  BEGIN(cuDeviceCanAccessPeer);
  NEED_INIT;
  FAIL_IF(!can, FH_CUDA_ERROR_INVALID_VALUE);
  FAIL_IF(!fake_device_exists(device) || !fake_device_exists(peer), FH_CUDA_ERROR_INVALID_DEVICE);
  *can = fake_get_settings()->peers && device != peer;
  RETURN(FH_CUDA_SUCCESS);
}

fh_cu_result cuCtxEnablePeerAccess(fh_cu_context peer, unsigned int flags) {
  BEGIN(cuCtxEnablePeerAccess);
  FAIL_IF(!peer || flags, FH_CUDA_ERROR_INVALID_VALUE);
  NEED_CONTEXT;
  if (!peer->retained || peer == context) FINISH(FH_CUDA_ERROR_INVALID_CONTEXT);
  if (!fake_get_settings()->peers) FINISH(FH_CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
  const bool again = context->peers >> peer->device & 1;
  context->peers |= UINT32_C(1) << peer->device;
  FINISH(again ? FH_CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED : FH_CUDA_SUCCESS);
}

/* A driver copies by way of the host, slowly and without a word, from a pool that is not open to the other device. */
static void complain_of_detour(fh_cu_context to, const char *source) {
  const fake_allocation *allocation = fake_allocation_at(source);
  if (allocation && allocation->pool && !fake_pool_is_open(allocation->pool, to->device))
    fake_complain("cuMemcpyPeerAsync from a pool that is not open to device %d", (int)to->device);
}

/* A source that is still written would be a race: the other device's streams must be idle. */
fh_cu_result cuMemcpyPeerAsync(fh_cu_ptr to, fh_cu_context to_context, fh_cu_ptr from, fh_cu_context from_context, size_t bytes,
                               fh_cu_stream stream) {
  BEGIN(cuMemcpyPeerAsync);
  FAIL_IF(!to_context || !from_context, FH_CUDA_ERROR_INVALID_CONTEXT);
  NEED_CONTEXT;
  char *target = need_device(to_context, "cuMemcpyPeerAsync", to, bytes),
       *source = need_device(from_context, "cuMemcpyPeerAsync", from, bytes);
  if (!target || !source) FINISH(FH_CUDA_ERROR_INVALID_VALUE);
  if (from_context->poison) FINISH(from_context->poison);
  complain_of_detour(context, source);
  if (fake_context_is_busy(from_context)) fake_complain("cuMemcpyPeerAsync from a device that is at work");
  FINISH(queue(context, stream, &(fake_command){.kind = FAKE_COPY, .act = call.late, .to = target, .from = source, .bytes = bytes}));
}
