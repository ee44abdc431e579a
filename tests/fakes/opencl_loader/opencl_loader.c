/* A stand-in OpenCL loader that looks for drivers where there are none. SPDX-License-Identifier: Apache-2.0 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#define EXPORT __attribute__((visibility("default")))
enum { PLATFORM_NOT_FOUND = -1001 };

EXPORT cl_int CL_API_CALL clGetPlatformIDs(cl_uint count, cl_platform_id *platforms, cl_uint *out_count) {
  (void)count, (void)platforms;
  if (out_count) *out_count = 0;
  return PLATFORM_NOT_FOUND;
}

EXPORT cl_int CL_API_CALL clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint count, cl_device_id *devices,
                                         cl_uint *out_count) {
  (void)platform, (void)type, (void)count, (void)devices, (void)out_count;
  return CL_INVALID_PLATFORM;
}
