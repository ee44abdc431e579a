/* What an OpenCL code means to Foghorn. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "backends/opencl/opencl_internal.h"
#include "runtime/base/process.h"

static const char MEMORY_NEXT[] = "less data at a time, or another device, may do";
static const char BUILD_NEXT[] = "another variant is used; please report it with the compiler's words above";
static const char LOST_NEXT[] = "work goes on elsewhere; see the kernel log (dmesg) for the device";
static const char OURS_NEXT[] = "please report it";

typedef struct meaning {
  cl_int error;
  fh_code code;
  const char *cause;
  const char *next;
} meaning;

/* Codes that are not here count as a fault of the call: INTERNAL. */
static const meaning meanings[] = {
    {CL_MEM_OBJECT_ALLOCATION_FAILURE, FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY", MEMORY_NEXT},
    {CL_OUT_OF_RESOURCES, FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY", MEMORY_NEXT},
    {CL_OUT_OF_HOST_MEMORY, FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY", MEMORY_NEXT},
    {CL_INVALID_BUFFER_SIZE, FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY", MEMORY_NEXT},
    {CL_DEVICE_NOT_FOUND, FH_UNAVAILABLE, "DEVICE-LOST", LOST_NEXT},
    {CL_DEVICE_NOT_AVAILABLE, FH_UNAVAILABLE, "DEVICE-LOST", LOST_NEXT},
    {CL_INVALID_CONTEXT, FH_UNAVAILABLE, "DEVICE-LOST", LOST_NEXT},
    {CL_INVALID_COMMAND_QUEUE, FH_UNAVAILABLE, "DEVICE-LOST", LOST_NEXT},
    {-9999, FH_UNAVAILABLE, "KERNEL-FAULT", LOST_NEXT}, /* NVIDIA: a kernel reached outside of its buffers */
    {CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, FH_ABORTED, NULL, "an earlier command of the stream failed"},
    {CL_COMPILER_NOT_AVAILABLE, FH_INCOMPATIBLE, "BUILD-FAILED", BUILD_NEXT},
    {CL_BUILD_PROGRAM_FAILURE, FH_INCOMPATIBLE, "BUILD-FAILED", BUILD_NEXT},
    {CL_COMPILE_PROGRAM_FAILURE, FH_INCOMPATIBLE, "BUILD-FAILED", BUILD_NEXT},
    {CL_LINK_PROGRAM_FAILURE, FH_INCOMPATIBLE, "BUILD-FAILED", BUILD_NEXT},
    {CL_INVALID_BINARY, FH_INCOMPATIBLE, "BUILD-FAILED", BUILD_NEXT},
    {CL_INVALID_BUILD_OPTIONS, FH_INCOMPATIBLE, "BUILD-FAILED", BUILD_NEXT},
    {CL_INVALID_PROGRAM_EXECUTABLE, FH_INCOMPATIBLE, "BUILD-FAILED", BUILD_NEXT},
    {CL_INVALID_KERNEL_NAME, FH_INCOMPATIBLE, "BUILD-FAILED", BUILD_NEXT},
};

static meaning meaning_of(cl_int error) {
  for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
    if (meanings[i].error == error) return meanings[i];
  return (meaning){error, FH_INTERNAL, "DRIVER-REFUSED", OURS_NEXT};
}

fh_status fh_cl_fail(cl_int error, const char *call, const char *file, int line, const char *format, ...) {
  char what[FH_CL_TEXT];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  meaning m = meaning_of(error);
  return fh_status_make(m.code, file, line, m.cause, "opencl: %s failed: %s gave %s (%d)\n  %s", what, call, fh_opencl_error_name(error),
                        (int)error, m.next);
}

bool fh_cl_may_call(const fh_backend *backend) { return backend->pid == fh_process_id(); }

fh_status fh_cl_same_process(const fh_backend *backend) {
  if (fh_cl_may_call(backend)) return FH_OK;
  return FH_STATUS(FH_FAILED_PRECONDITION,
                   "opencl: this process was forked after OpenCL had been opened, which no driver survives\n"
                   "  create the context in the child, or start the child with exec");
}
