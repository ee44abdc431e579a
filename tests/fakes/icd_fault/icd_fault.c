/* A stand-in OpenCL vendor library that does as FH_FAKE_ICD says. SPDX-License-Identifier: Apache-2.0
 *   (empty)      one platform with one device
 *   none         no platform        no-devices   a platform without a device
 *   crash, illegal (an illegal instruction), exit, hang, stuck (in the kernel, state D)    in clIcdGetPlatformIDsKHR
 *   load-crash, load-exit, load-hang   while the library is loaded */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct _cl_platform_id {
  const cl_icd_dispatch *dispatch;
};
struct _cl_device_id {
  const cl_icd_dispatch *dispatch;
};

static bool is_told(const char *what) {
  const char *fault = getenv("FH_FAKE_ICD");
  return fault && strcmp(fault, what) == 0;
}

static void crash(void) {
  signal(SIGABRT, SIG_DFL); /* as LLVM does when two of it meet */
  abort();
}

/* An instruction that no processor has, for one that this processor lacks. */
static void run_illegal(void) {
#if defined(__x86_64__)
  __asm__ volatile("ud2");
#elif defined(__aarch64__)
  __asm__ volatile("udf #0");
#else
  raise(SIGILL);
#endif
}

/* As vfork does, holds the parent in state D until its child ends; the child has memory of its own. */
static void sleep_in_state_d(void) {
  if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL) == 0) {
    for (;;) pause();
  }
}

__attribute__((constructor)) static void on_load(void) {
  if (is_told("load-crash")) crash();
  if (is_told("load-exit")) exit(5);
  while (is_told("load-hang")) pause();
}

static cl_int give(const void *value, size_t value_size, size_t size, void *out, size_t *out_size) {
  if (out_size) *out_size = value_size;
  if (!out) return CL_SUCCESS;
  if (size < value_size) return CL_INVALID_VALUE;
  memcpy(out, value, value_size);
  return CL_SUCCESS;
}

static cl_int give_text(const char *text, size_t size, void *out, size_t *out_size) {
  return give(text, strlen(text) + 1, size, out, out_size);
}

static cl_int CL_API_CALL platform_info(cl_platform_id platform, cl_platform_info what, size_t size, void *out, size_t *out_size) {
  (void)platform;
  return give_text(what == CL_PLATFORM_VERSION ? "OpenCL 3.0 stand-in" : "Stand-in platform", size, out, out_size);
}

static cl_int CL_API_CALL device_info(cl_device_id device, cl_device_info what, size_t size, void *out, size_t *out_size) {
  (void)device;
  static const cl_device_type type = CL_DEVICE_TYPE_GPU;
  static const cl_ulong memory = 4096;
  static const cl_uint units = 3;
  switch (what) {
    case CL_DEVICE_TYPE:
      return give(&type, sizeof type, size, out, out_size);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
      return give(&memory, sizeof memory, size, out, out_size);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
      return give(&units, sizeof units, size, out, out_size);
    default:
      return give_text("stand-in", size, out, out_size);
  }
}

static cl_int CL_API_CALL device_ids(cl_platform_id platform, cl_device_type type, cl_uint count, cl_device_id *devices,
                                     cl_uint *out_count);

static const cl_icd_dispatch table = {.clGetPlatformInfo = platform_info, .clGetDeviceIDs = device_ids, .clGetDeviceInfo = device_info};
static struct _cl_platform_id the_platform = {&table};
static struct _cl_device_id the_device = {&table};

static cl_int CL_API_CALL device_ids(cl_platform_id platform, cl_device_type type, cl_uint count, cl_device_id *devices,
                                     cl_uint *out_count) {
  (void)platform, (void)type;
  if (is_told("no-devices")) return CL_DEVICE_NOT_FOUND;
  if (devices && count) devices[0] = &the_device;
  if (out_count) *out_count = 1;
  return CL_SUCCESS;
}

EXPORT cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint count, cl_platform_id *platforms, cl_uint *out_count) {
  if (is_told("crash")) crash();
  if (is_told("illegal")) run_illegal();
  if (is_told("exit")) exit(5);
  while (is_told("hang")) pause();
  while (is_told("stuck")) sleep_in_state_d();
  if (is_told("none")) return -1001;
  if (platforms && count) platforms[0] = &the_platform;
  if (out_count) *out_count = 1;
  return CL_SUCCESS;
}

EXPORT void *CL_API_CALL clGetExtensionFunctionAddress(const char *name) {
  cl_int(CL_API_CALL * function)(cl_uint, cl_platform_id *, cl_uint *) = clIcdGetPlatformIDsKHR;
  void *address = NULL;
  if (strcmp(name, "clIcdGetPlatformIDsKHR") == 0) memcpy(&address, &function, sizeof address);
  return address;
}
