/* The device through the driver's own interface, with nothing of Foghorn in between: the limits that the rest is held to.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_GPU_RAW_H_
#define FOGHORN_BENCH_GPU_RAW_H_

#include "detect/drivers/cuda_driver.h"
#include "kernels/contract.h"

typedef struct raw_device {
  fh_cuda_driver driver;
  fh_cu_device device;
  fh_cu_context context;
  fh_cu_stream stream;
  int multiprocessors;
  fh_cu_module limits;      /* NULL: why_no_limits */
  fh_cu_function read, fma; /* of it */
  char why_no_limits[200];
  fh_cu_result (*host_alloc)(void **memory, size_t bytes, unsigned int flags); /* NULL: this driver has no pinned memory */
  fh_cu_result (*host_free)(void *memory);
} raw_device;

/* The device of this ordinal; its primary context is current in the calling thread until raw_close. NULL, or why not. */
const char *raw_open(int ordinal, bool allow_fake, raw_device *out_device);
void raw_close(raw_device *device);
/* 1 of "cuda:1"; 0 where there is no number. */
int raw_ordinal_of(const char *device);
bool raw_finish(const raw_device *device);

/* What is timed: each gives the seconds of `calls` calls, negative where the driver refuses. `arg` is a raw_traffic. */
typedef struct raw_traffic {
  raw_device *device;
  fh_cu_ptr from, to;
  void *host;
  size_t bytes;
  bool pinned;
} raw_traffic;
/* Memory for it: `bytes` twice on the device, once on the host. NULL, or why not. */
const char *raw_traffic_open(raw_device *device, size_t bytes, bool pinned, raw_traffic *out_traffic);
void raw_traffic_close(raw_traffic *traffic);
double raw_copy(void *arg, long calls);      /* within the device; bytes are read and written */
double raw_read(void *arg, long calls);      /* by limit_read */
double raw_to_device(void *arg, long calls); /* one after another, each waited for */
double raw_to_host(void *arg, long calls);

/* Multiply-adds: raw_fma_operations of them in a call. */
double raw_fma(void *device, long calls);
double raw_fma_operations(const raw_device *device);

/* The kernel of all launches here; NULL: the build has none. Bound to one element: NULL, or why not. */
const fh_kernel_image *raw_axpy_image(void);
const char *raw_bind_axpy(fh_bound *out_bound);

/* One kernel of Foghorn's on one element, launched by the driver alone. */
typedef struct raw_launch {
  raw_device *device;
  fh_cu_module module;
  fh_cu_function function;
  fh_cu_ptr x, y;
  struct raw_arguments *arguments;
} raw_launch;
const char *raw_launch_open(raw_device *device, raw_launch *out_launch);
void raw_launch_close(raw_launch *launch);
double raw_launch_sample(void *arg, long calls);      /* with the wait for the last */
double raw_launch_sample_host(void *arg, long calls); /* without it, in bursts as gpu_case_sample_host */

#endif /* FOGHORN_BENCH_GPU_RAW_H_ */
