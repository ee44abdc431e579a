/* The device through the driver's own interface. SPDX-License-Identifier: Apache-2.0 */
#include "bench/gpu/raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/gpu/case.h"
#include "bench/gpu/limits_ptx.h" /* of the build: limits_ptx, limits_ptx_missing */
#include "kernels/contract.h"
#include "runtime/base/clock.h"

enum { READ_BLOCK = 256, READ_BLOCKS_PER_UNIT = 8, FMA_BLOCK = 256, FMA_BLOCKS_PER_UNIT = 8, FMA_TURNS = 1 << 15, FMA_CHAINS = 16 };

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

/* The text of a failure lives until the next one. */
static const char *failed(const char *call, fh_cu_result code) {
  static _Thread_local char text[128];
  snprintf(text, sizeof text, "%s: %s (%u)", call, fh_cuda_result_name((int)code), code);
  return text;
}

#define RAW_TRY(call, args)                                          \
  do {                                                               \
    const fh_cu_result raw_code = device->driver.fn.call args;       \
    if (raw_code != FH_CUDA_SUCCESS) return failed(#call, raw_code); \
  } while (0)

static const char *load_driver(raw_device *device, bool allow_fake) {
  fh_status status = fh_cuda_driver_load(&device->driver);
  if (status) {
    fh_status_free(status);
    return "there is no CUDA driver library here";
  }
  if (device->driver.missing) return "the CUDA driver library lacks a function that every driver since CUDA 11.0 has";
  if (device->driver.fake && !allow_fake) return "the CUDA driver library is a stand-in: --fake accepts it";
  return NULL;
}

static const char *open_context(raw_device *device, int ordinal) {
  RAW_TRY(cuInit, (0));
  RAW_TRY(cuDeviceGet, (&device->device, ordinal));
  RAW_TRY(cuDevicePrimaryCtxRetain, (&device->context, device->device));
  RAW_TRY(cuCtxPushCurrent_v2, (device->context));
  RAW_TRY(cuStreamCreate, (&device->stream, FH_CU_STREAM_NON_BLOCKING));
  RAW_TRY(cuDeviceGetAttribute, (&device->multiprocessors, FH_CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device->device));
  return NULL;
}

/* The stand-in runs the library's own kernels alone, and a build may lack PTX: then these two limits are not known. */
static void load_limits(raw_device *device) {
  const char *why = limits_ptx_missing;
  fh_cu_result code = FH_CUDA_SUCCESS;
  if (device->driver.fake) why = "the stand-in driver runs no kernels but the library's";
  if (!why && (code = device->driver.fn.cuModuleLoadDataEx(&device->limits, limits_ptx, 0, NULL, NULL)) != FH_CUDA_SUCCESS)
    why = failed("cuModuleLoadDataEx of the limits' kernels", code);
  if (!why && (device->driver.fn.cuModuleGetFunction(&device->read, device->limits, "limit_read") != FH_CUDA_SUCCESS ||
               device->driver.fn.cuModuleGetFunction(&device->fma, device->limits, "limit_fma") != FH_CUDA_SUCCESS))
    why = "the limits' kernels are not in their module";
  if (why) device->limits = NULL;
  snprintf(device->why_no_limits, sizeof device->why_no_limits, "%s", why ? why : "");
}

const char *raw_open(int ordinal, bool allow_fake, raw_device *device) {
  *device = (raw_device){0};
  const char *why = load_driver(device, allow_fake);
  if (!why) why = open_context(device, ordinal);
  if (why) {
    raw_close(device);
    return why;
  }
  *(void **)&device->host_alloc = fh_dynlib_symbol(device->driver.library, "cuMemHostAlloc");
  *(void **)&device->host_free = fh_dynlib_symbol(device->driver.library, "cuMemFreeHost");
  load_limits(device);
  return NULL;
}

int raw_ordinal_of(const char *device) {
  const char *number = strchr(device, ':');
  return number ? (int)strtol(number + 1, NULL, 10) : 0;
}

void raw_close(raw_device *device) {
  const fh_cuda_functions *fn = &device->driver.fn;
  if (device->limits) (void)fn->cuModuleUnload(device->limits);
  if (device->stream) (void)fn->cuStreamDestroy_v2(device->stream);
  if (device->context) {
    (void)fn->cuCtxPopCurrent_v2(&device->context);
    (void)fn->cuDevicePrimaryCtxRelease_v2(device->device);
  }
  fh_cuda_driver_close(&device->driver);
  *device = (raw_device){0};
}

bool raw_finish(const raw_device *device) { return device->driver.fn.cuStreamSynchronize(device->stream) == FH_CUDA_SUCCESS; }

/* ---- memory and the link ----------------------------------------------------------------------------------------------------- */

static const char *allocate(raw_traffic *t) {
  const raw_device *device = t->device;
  RAW_TRY(cuMemAlloc_v2, (&t->from, t->bytes));
  RAW_TRY(cuMemAlloc_v2, (&t->to, t->bytes));
  if (t->pinned && (!t->device->host_alloc || !t->device->host_free)) return "this driver library has no cuMemHostAlloc";
  if (t->pinned) {
    const fh_cu_result code = t->device->host_alloc(&t->host, t->bytes, 0);
    if (code != FH_CUDA_SUCCESS) return failed("cuMemHostAlloc", code);
  } else if (!(t->host = malloc(t->bytes))) {
    return "no host memory";
  }
  return NULL;
}

/* Random bits, with finite numbers in them: memory of zeros may be moved faster than data is. */
static void fill(char *host, size_t bytes) {
  uint64_t seed = 7;
  for (size_t i = 0; i + 8 <= bytes; i += 8) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    const uint64_t word = (seed & 0x3fffffff3fffffffu) | 0x3000000030000000u;
    memcpy(host + i, &word, sizeof word);
  }
}

const char *raw_traffic_open(raw_device *device, size_t bytes, bool pinned, raw_traffic *out) {
  *out = (raw_traffic){.device = device, .bytes = bytes, .pinned = pinned};
  const char *why = allocate(out);
  if (why) {
    raw_traffic_close(out);
    return why;
  }
  fill(out->host, bytes);
  (void)raw_to_device(out, 1);
  return NULL;
}

void raw_traffic_close(raw_traffic *t) {
  if (!t->device) return;
  if (t->from) (void)t->device->driver.fn.cuMemFree_v2(t->from);
  if (t->to) (void)t->device->driver.fn.cuMemFree_v2(t->to);
  if (!t->pinned) {
    free(t->host);
  } else if (t->host) {
    (void)t->device->host_free(t->host);
  }
  *t = (raw_traffic){0};
}

double raw_copy(void *arg, long calls) {
  const raw_traffic *t = arg;
  const double start = fh_now_seconds();
  for (long i = 0; i < calls; i++)
    if (t->device->driver.fn.cuMemcpyDtoDAsync_v2(t->to, t->from, t->bytes, t->device->stream) != FH_CUDA_SUCCESS) return -1;
  return raw_finish(t->device) ? fh_now_seconds() - start : -1;
}

double raw_read(void *arg, long calls) {
  raw_traffic *t = arg;
  long long vectors = (long long)(t->bytes / 16);
  void *params[] = {&t->from, &vectors, &t->to};
  const unsigned blocks = (unsigned)t->device->multiprocessors * READ_BLOCKS_PER_UNIT;
  const double start = fh_now_seconds();
  for (long i = 0; i < calls; i++)
    if (t->device->driver.fn.cuLaunchKernel(t->device->read, blocks, 1, 1, READ_BLOCK, 1, 1, 0, t->device->stream, params, NULL) !=
        FH_CUDA_SUCCESS)
      return -1;
  return raw_finish(t->device) ? fh_now_seconds() - start : -1;
}

double raw_to_device(void *arg, long calls) {
  const raw_traffic *t = arg;
  const double start = fh_now_seconds();
  for (long i = 0; i < calls; i++)
    if (t->device->driver.fn.cuMemcpyHtoDAsync_v2(t->from, t->host, t->bytes, t->device->stream) != FH_CUDA_SUCCESS ||
        !raw_finish(t->device))
      return -1;
  return fh_now_seconds() - start;
}

double raw_to_host(void *arg, long calls) {
  const raw_traffic *t = arg;
  const double start = fh_now_seconds();
  for (long i = 0; i < calls; i++)
    if (t->device->driver.fn.cuMemcpyDtoHAsync_v2(t->host, t->from, t->bytes, t->device->stream) != FH_CUDA_SUCCESS ||
        !raw_finish(t->device))
      return -1;
  return fh_now_seconds() - start;
}

/* ---- arithmetic ---------------------------------------------------------------------------------------------------------------- */

double raw_fma_operations(const raw_device *device) {
  return 2.0 * FMA_CHAINS * FMA_TURNS * FMA_BLOCK * FMA_BLOCKS_PER_UNIT * device->multiprocessors;
}

double raw_fma(void *arg, long calls) {
  raw_device *device = arg;
  long long turns = FMA_TURNS;
  float x = 0.999f, y = 0.001f;
  fh_cu_ptr nowhere = 0; /* the store is never reached */
  void *params[] = {&turns, &x, &y, &nowhere};
  const unsigned blocks = (unsigned)device->multiprocessors * FMA_BLOCKS_PER_UNIT;
  const double start = fh_now_seconds();
  for (long i = 0; i < calls; i++)
    if (device->driver.fn.cuLaunchKernel(device->fma, blocks, 1, 1, FMA_BLOCK, 1, 1, 0, device->stream, params, NULL) != FH_CUDA_SUCCESS)
      return -1;
  return raw_finish(device) ? fh_now_seconds() - start : -1;
}

/* ---- one launch ------------------------------------------------------------------------------------------------------------------ */

const fh_kernel_image *raw_axpy_image(void) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++)
    if (strcmp(images[i].contract->name, "axpy") == 0) return &images[i];
  return NULL;
}

enum { AXPY_VIEWS = 2 };

const char *raw_bind_axpy(fh_bound *out) {
  const fh_view_desc one = {.dtype = FH_F32, .rank = 1, .shape = {1}, .strides = {1}};
  const fh_view_desc views[AXPY_VIEWS] = {one, one};
  const fh_value scalars[] = {{.f = 1}};
  fh_status status = raw_axpy_image()->contract->bind(views, scalars, out);
  if (!status) return NULL;
  fh_status_free(status);
  return "axpy cannot be bound to one element";
}

/* What a backend does with a bound stage, for a stage without scratch (backends/cuda/cuda_stream.c). */
typedef struct raw_arguments {
  fh_bound bound;
  fh_cu_ptr pointers[FH_MAX_OPERANDS];
  long long offsets[FH_MAX_OPERANDS];
  void *list[1 + 2 * FH_MAX_OPERANDS];
} raw_arguments;

static void take_arguments(raw_launch *launch, raw_arguments *out) {
  fh_stage *stage = &out->bound.stages[0];
  int count = 0;
  out->list[count++] = &stage->items;
  for (int i = 0; i < stage->operand_count; i++) {
    fh_operand *operand = &stage->operands[i];
    if (operand->kind == FH_OPERAND_I64) {
      out->list[count++] = &operand->i;
    } else if (operand->kind == FH_OPERAND_F32) {
      out->list[count++] = &operand->f;
    } else {
      out->pointers[i] = operand->index == 0 ? launch->x : launch->y;
      out->offsets[i] = operand->offset;
      out->list[count++] = &out->pointers[i];
      out->list[count++] = &out->offsets[i];
    }
  }
}

static const char *load_axpy(raw_launch *launch) {
  const raw_device *device = launch->device;
  const fh_kernel_image *image = raw_axpy_image();
  if (!image || !image->ptx) return "this build has no PTX";
  RAW_TRY(cuModuleLoadDataEx, (&launch->module, image->ptx, 0, NULL, NULL));
  RAW_TRY(cuModuleGetFunction, (&launch->function, launch->module, "axpy"));
  RAW_TRY(cuMemAlloc_v2, (&launch->x, sizeof(float)));
  RAW_TRY(cuMemAlloc_v2, (&launch->y, sizeof(float)));
  RAW_TRY(cuMemsetD8Async, (launch->x, 0, sizeof(float), device->stream));
  RAW_TRY(cuMemsetD8Async, (launch->y, 0, sizeof(float), device->stream));
  return NULL;
}

static const char *bind_axpy(raw_launch *launch) {
  if (!(launch->arguments = calloc(1, sizeof *launch->arguments))) return "out of memory";
  const char *why = raw_bind_axpy(&launch->arguments->bound);
  if (!why) take_arguments(launch, launch->arguments);
  return why;
}

const char *raw_launch_open(raw_device *device, raw_launch *out) {
  *out = (raw_launch){.device = device};
  const char *why = load_axpy(out);
  if (!why) why = bind_axpy(out);
  if (why) raw_launch_close(out);
  return why;
}

void raw_launch_close(raw_launch *launch) {
  if (!launch->device) return;
  const fh_cuda_functions *fn = &launch->device->driver.fn;
  if (launch->x) (void)fn->cuMemFree_v2(launch->x);
  if (launch->y) (void)fn->cuMemFree_v2(launch->y);
  if (launch->module) (void)fn->cuModuleUnload(launch->module);
  free(launch->arguments);
  *launch = (raw_launch){0};
}

static bool launch_some(const raw_launch *l, long calls) {
  for (long i = 0; i < calls; i++)
    if (l->device->driver.fn.cuLaunchKernel(l->function, 1, 1, 1, READ_BLOCK, 1, 1, 0, l->device->stream, l->arguments->list, NULL) !=
        FH_CUDA_SUCCESS)
      return false;
  return true;
}

double raw_launch_sample(void *arg, long calls) {
  const raw_launch *l = arg;
  const double start = fh_now_seconds();
  return launch_some(l, calls) && raw_finish(l->device) ? fh_now_seconds() - start : -1;
}

double raw_launch_sample_host(void *arg, long calls) {
  const raw_launch *l = arg;
  double took = 0;
  for (long done = 0; done < calls; done += GPU_BURST) {
    const double start = fh_now_seconds();
    if (!launch_some(l, calls - done < GPU_BURST ? calls - done : GPU_BURST)) return -1;
    took += fh_now_seconds() - start;
    if (!raw_finish(l->device)) return -1;
  }
  return took;
}
