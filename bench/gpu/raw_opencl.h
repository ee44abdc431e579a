/* A launch through OpenCL's own interface, with nothing of Foghorn in between. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_GPU_RAW_OPENCL_H_
#define FOGHORN_BENCH_GPU_RAW_OPENCL_H_

#include "detect/drivers/opencl_driver.h"
#include "kernels/contract.h"

/* One kernel of Foghorn's on one element; its arguments are set once. */
typedef struct raw_opencl_launch {
  fh_opencl_driver driver;
  cl_device_id device;
  cl_context context;
  cl_command_queue queue;
  cl_program program;
  cl_kernel kernel;
  cl_mem x, y;
  size_t items;
} raw_opencl_launch;

/* On the device of this number among those of all platforms, as Foghorn counts them. NULL, or why not. */
const char *raw_opencl_launch_open(int ordinal, raw_opencl_launch *out_launch);
void raw_opencl_launch_close(raw_opencl_launch *launch);
/* Seconds of `calls` launches and the wait for the last; negative where the driver refuses. */
double raw_opencl_launch_sample(void *arg, long calls);

#endif /* FOGHORN_BENCH_GPU_RAW_OPENCL_H_ */
