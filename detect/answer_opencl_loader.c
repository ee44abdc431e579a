/* What an OpenCL loader shows: how many platforms and devices a program would see. SPDX-License-Identifier: Apache-2.0
 * Unlike the question about one .icd file this one goes through libOpenCL.so.1, with all drivers in one process. */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "detect/answer.h"

enum { MAX_PLATFORMS = 64 };

typedef cl_int(CL_API_CALL *platforms_fn)(cl_uint count, cl_platform_id *platforms, cl_uint *out_count);
typedef cl_int(CL_API_CALL *devices_fn)(cl_platform_id platform, cl_device_type type, cl_uint count, cl_device_id *devices,
                                        cl_uint *out_count);

static void say_error(const char *error) { fh_answer_say(json_pack("{s:o}", "error", fh_json_text(error))); }

static void say_path(void *symbol) {
  Dl_info info;
  char real[PATH_MAX];
  if (!dladdr(symbol, &info) || !info.dli_fname) return;
  fh_answer_say(json_pack("{s:o}", "library", fh_json_text(realpath(info.dli_fname, real) ? real : info.dli_fname)));
}

static cl_uint count_devices(devices_fn get_devices, const cl_platform_id *platforms, cl_uint count) {
  cl_uint all = 0;
  for (cl_uint i = 0; i < count && i < MAX_PLATFORMS; i++) {
    cl_uint here = 0;
    if (get_devices(platforms[i], CL_DEVICE_TYPE_ALL, 0, NULL, &here) == CL_SUCCESS) all += here;
  }
  return all;
}

/* path: of a loader; "": the one that programs find. */
void fh_answer_opencl_loader(const char *path) {
  fh_answer_calling("dlopen");
  void *handle = dlopen(*path ? path : "libOpenCL.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (!handle) {
    const char *error = dlerror();
    say_error(error ? error : "dlopen failed without a reason");
    return;
  }
  void *platforms_symbol = dlsym(handle, "clGetPlatformIDs"), *devices_symbol = dlsym(handle, "clGetDeviceIDs");
  if (!platforms_symbol || !devices_symbol) {
    say_error("clGetPlatformIDs or clGetDeviceIDs is not in this library");
    return;
  }
  say_path(platforms_symbol);
  platforms_fn get_platforms;
  devices_fn get_devices;
  memcpy(&get_platforms, &platforms_symbol, sizeof get_platforms); /* ISO C has no such conversion; POSIX has */
  memcpy(&get_devices, &devices_symbol, sizeof get_devices);
  cl_platform_id platforms[MAX_PLATFORMS];
  cl_uint count = 0;
  fh_answer_calling("clGetPlatformIDs");
  cl_int code = get_platforms(MAX_PLATFORMS, platforms, &count);
  if (code != CL_SUCCESS) count = 0;
  fh_answer_say(json_pack("{s:i,s:i,s:s}", "code", (int)code, "platforms", (int)count, "calling", "clGetDeviceIDs"));
  fh_answer_say(json_pack("{s:i}", "devices_shown", (int)count_devices(get_devices, platforms, count)));
}
