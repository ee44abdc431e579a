/* A launch through OpenCL's own interface. SPDX-License-Identifier: Apache-2.0 */
#include "bench/gpu/raw_opencl.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bench/gpu/raw.h"
#include "runtime/base/clock.h"

/* The text of a failure lives until the next one. */
static const char *failed(const char *call, cl_int code) {
  static _Thread_local char text[128];
  snprintf(text, sizeof text, "%s: %s (%d)", call, fh_opencl_error_name((int)code), (int)code);
  return text;
}

#define CL_TRY(call, args)                                    \
  do {                                                        \
    const cl_int cl_code = launch->driver.fn.call args;       \
    if (cl_code != CL_SUCCESS) return failed(#call, cl_code); \
  } while (0)

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static const char *load_driver(raw_opencl_launch *launch) {
  fh_status status = fh_opencl_driver_load(&launch->driver);
  if (status) {
    fh_status_free(status);
    return "there is no OpenCL loader here";
  }
  return launch->driver.missing ? "the OpenCL loader lacks a function of OpenCL 1.2" : NULL;
}

/* Platforms in the loader's order, each with all its devices; one without any does not count. */
static const char *find_device(raw_opencl_launch *launch, int ordinal, cl_platform_id *out_platform) {
  enum { MOST = 64 };
  cl_platform_id platforms[MOST];
  cl_uint platform_count = 0;
  CL_TRY(clGetPlatformIDs, (MOST, platforms, &platform_count));
  for (cl_uint p = 0; p < platform_count && p < MOST; p++) {
    cl_device_id devices[MOST];
    cl_uint count = 0;
    if (launch->driver.fn.clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MOST, devices, &count) != CL_SUCCESS) continue;
    if (ordinal < (int)count && ordinal < MOST) {
      launch->device = devices[ordinal];
      *out_platform = platforms[p];
      return NULL;
    }
    ordinal -= (int)count;
  }
  return "OpenCL has no device of this number";
}

static const char *open_queue(raw_opencl_launch *launch, cl_platform_id platform) {
  const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
  cl_int code = CL_SUCCESS;
  launch->context = launch->driver.fn.clCreateContext(properties, 1, &launch->device, NULL, NULL, &code);
  if (!launch->context) return failed("clCreateContext", code);
  launch->queue = launch->driver.fn.clCreateCommandQueue(launch->context, launch->device, 0, &code);
  return launch->queue ? NULL : failed("clCreateCommandQueue", code);
}

static const char *build(raw_opencl_launch *launch) {
  const fh_kernel_image *image = raw_axpy_image();
  if (!image || !image->cl_source) return "this build has no OpenCL text";
  const char *text = image->cl_source;
  cl_device_type type = 0;
  cl_int code = CL_SUCCESS;
  CL_TRY(clGetDeviceInfo, (launch->device, CL_DEVICE_TYPE, sizeof type, &type, NULL));
  launch->program = launch->driver.fn.clCreateProgramWithSource(launch->context, 1, &text, NULL, &code);
  if (!launch->program) return failed("clCreateProgramWithSource", code);
  const char *options = type & CL_DEVICE_TYPE_CPU ? "-cl-std=CL1.2 -DFH_CPU_DEVICE" : "-cl-std=CL1.2";
  CL_TRY(clBuildProgram, (launch->program, 1, &launch->device, options, NULL, NULL));
  launch->kernel = launch->driver.fn.clCreateKernel(launch->program, "axpy", &code);
  return launch->kernel ? NULL : failed("clCreateKernel", code);
}

static const char *allocate(raw_opencl_launch *launch) {
  const cl_float zero = 0;
  cl_mem *const both[] = {&launch->x, &launch->y};
  for (int i = 0; i < 2; i++) {
    cl_int code = CL_SUCCESS;
    *both[i] = launch->driver.fn.clCreateBuffer(launch->context, CL_MEM_READ_WRITE, sizeof zero, NULL, &code);
    if (!*both[i]) return failed("clCreateBuffer", code);
    CL_TRY(clEnqueueFillBuffer, (launch->queue, *both[i], &zero, sizeof zero, 0, sizeof zero, 0, NULL, NULL));
  }
  return NULL;
}

/* By the convention of kernels/contract.h. */
static const char *set_operand(raw_opencl_launch *launch, const fh_operand *operand, cl_uint *next) {
  const cl_long offset = operand->offset;
  if (operand->kind == FH_OPERAND_I64) {
    CL_TRY(clSetKernelArg, (launch->kernel, (*next)++, sizeof operand->i, &operand->i));
  } else if (operand->kind == FH_OPERAND_F32) {
    CL_TRY(clSetKernelArg, (launch->kernel, (*next)++, sizeof operand->f, &operand->f));
  } else {
    CL_TRY(clSetKernelArg, (launch->kernel, (*next)++, sizeof(cl_mem), operand->index == 0 ? &launch->x : &launch->y));
    CL_TRY(clSetKernelArg, (launch->kernel, (*next)++, sizeof offset, &offset));
  }
  return NULL;
}

static const char *set_arguments(raw_opencl_launch *launch) {
  fh_bound bound;
  const char *why = raw_bind_axpy(&bound);
  if (why) return why;
  const fh_stage *stage = &bound.stages[0];
  cl_uint next = 0;
  launch->items = (size_t)stage->items;
  CL_TRY(clSetKernelArg, (launch->kernel, next++, sizeof stage->items, &stage->items));
  for (int i = 0; i < stage->operand_count && !why; i++) why = set_operand(launch, &stage->operands[i], &next);
  return why;
}

const char *raw_opencl_launch_open(int ordinal, raw_opencl_launch *out) {
  *out = (raw_opencl_launch){0};
  cl_platform_id platform = NULL;
  const char *why = load_driver(out);
  if (!why) why = find_device(out, ordinal, &platform);
  if (!why) why = open_queue(out, platform);
  if (!why) why = build(out);
  if (!why) why = allocate(out);
  if (!why) why = set_arguments(out);
  if (why) raw_opencl_launch_close(out);
  return why;
}

void raw_opencl_launch_close(raw_opencl_launch *launch) {
  const fh_opencl_functions *fn = &launch->driver.fn;
  if (launch->queue) (void)fn->clFinish(launch->queue);
  if (launch->x) (void)fn->clReleaseMemObject(launch->x);
  if (launch->y) (void)fn->clReleaseMemObject(launch->y);
  if (launch->kernel) (void)fn->clReleaseKernel(launch->kernel);
  if (launch->program) (void)fn->clReleaseProgram(launch->program);
  if (launch->queue) (void)fn->clReleaseCommandQueue(launch->queue);
  if (launch->context) (void)fn->clReleaseContext(launch->context);
  fh_opencl_driver_close(&launch->driver);
  *launch = (raw_opencl_launch){0};
}

/* ---- launching ----------------------------------------------------------------------------------------------------------- */

double raw_opencl_launch_sample(void *arg, long calls) {
  const raw_opencl_launch *l = arg;
  const double start = fh_now_seconds();
  for (long i = 0; i < calls; i++)
    if (l->driver.fn.clEnqueueNDRangeKernel(l->queue, l->kernel, 1, NULL, &l->items, NULL, 0, NULL, NULL) != CL_SUCCESS) return -1;
  return l->driver.fn.clFinish(l->queue) == CL_SUCCESS ? fh_now_seconds() - start : -1;
}
