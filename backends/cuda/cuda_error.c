/* What a code of the CUDA driver means to Foghorn. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cuda_internal.h"
#include "runtime/base/process.h"

typedef struct meaning {
  fh_cu_result code;
  fh_code status;
  bool kills;        /* the context, and with it all memory of the device in this process, is gone */
  const char *cause; /* NULL: it depends, see cause_of */
  const char *next;  /* what to do about it */
} meaning;

#define LOST_NEXT "the memory on the device is gone; Foghorn goes on elsewhere. See the kernel log (dmesg, NVRM: Xid)"
#define BUILD_NEXT "another variant is used; please report it with the log above"

/* Codes that are not here count as a fault of the call: INTERNAL, the device lives. */
static const meaning meanings[] = {
    {FH_CUDA_ERROR_INVALID_VALUE, FH_INTERNAL, false, "DRIVER-REFUSED", "please report it"},
    {FH_CUDA_ERROR_OUT_OF_MEMORY, FH_RESOURCE_EXHAUSTED, false, "OUT-OF-MEMORY", "use smaller pieces, or stop what else uses the device"},
    {FH_CUDA_ERROR_NOT_INITIALIZED, FH_UNAVAILABLE, false, NULL, "start the program anew; after a kernel update see devprobe"},
    {FH_CUDA_ERROR_DEINITIALIZED, FH_UNAVAILABLE, true, "DEVICE-LOST", "the process is ending: use no device from exit handlers"},
    {FH_CUDA_ERROR_STUB_LIBRARY, FH_UNAVAILABLE, false, "CU-STUB", "take the toolkit's stubs folder out of the library path"},
    {FH_CUDA_ERROR_DEVICE_UNAVAILABLE, FH_UNAVAILABLE, true, NULL, "see who uses the device (nvidia-smi), then nvidia-smi -c 0 or a reset"},
    {FH_CUDA_ERROR_NO_DEVICE, FH_UNAVAILABLE, false, NULL, "run devprobe: it tells why"},
    {FH_CUDA_ERROR_INVALID_DEVICE, FH_UNAVAILABLE, false, NULL, "run devprobe: it tells which devices there are"},
    {FH_CUDA_ERROR_DEVICE_NOT_LICENSED, FH_UNAVAILABLE, false, "NV-VGPU-LICENCE", "get a licence for the virtual GPU"},
    {FH_CUDA_ERROR_INVALID_IMAGE, FH_INCOMPATIBLE, false, "BUILD-FAILED", BUILD_NEXT},
    {FH_CUDA_ERROR_INVALID_CONTEXT, FH_UNAVAILABLE, true, "DEVICE-LOST", "another part of the process reset the device"},
    {FH_CUDA_ERROR_NO_BINARY_FOR_GPU, FH_INCOMPATIBLE, false, "CU-NO-KERNEL-IMAGE",
     "the GPU is older than the kernels of this build allow"},
    {FH_CUDA_ERROR_ECC_UNCORRECTABLE, FH_UNAVAILABLE, true, "NV-ECC-RESET-REQUIRED", "reset the GPU (nvidia-smi --gpu-reset) or reboot"},
    {FH_CUDA_ERROR_INVALID_PTX, FH_INCOMPATIBLE, false, "BUILD-FAILED", BUILD_NEXT},
    {FH_CUDA_ERROR_NVLINK_UNCORRECTABLE, FH_UNAVAILABLE, true, "DEVICE-LOST", LOST_NEXT},
    {FH_CUDA_ERROR_JIT_COMPILER_NOT_FOUND, FH_INCOMPATIBLE, false, "BUILD-FAILED",
     "the driver's libnvidia-ptxjitcompiler.so.1 is missing: install the whole driver, or pass it into the container"},
    {FH_CUDA_ERROR_UNSUPPORTED_PTX_VERSION, FH_INCOMPATIBLE, false, "CU-DRIVER-TOO-OLD", "install a newer driver"},
    {FH_CUDA_ERROR_JIT_COMPILATION_DISABLED, FH_INCOMPATIBLE, false, "BUILD-FAILED", "unset CUDA_DISABLE_PTX_JIT"},
    {FH_CUDA_ERROR_CONTAINED, FH_UNAVAILABLE, true, "DEVICE-LOST", LOST_NEXT},
    {FH_CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, FH_INCOMPATIBLE, false, "BUILD-FAILED", BUILD_NEXT},
    {FH_CUDA_ERROR_OPERATING_SYSTEM, FH_UNAVAILABLE, false, "CR-LANDLOCK-SECCOMP",
     "a sandbox (seccomp, Landlock) refuses what the driver needs"},
    {FH_CUDA_ERROR_NOT_FOUND, FH_INCOMPATIBLE, false, "BUILD-FAILED", BUILD_NEXT},
    {FH_CUDA_ERROR_ILLEGAL_ADDRESS, FH_UNAVAILABLE, true, "KERNEL-FAULT", LOST_NEXT},
    {FH_CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, FH_INCOMPATIBLE, false, "LAUNCH-RESOURCES", BUILD_NEXT},
    {FH_CUDA_ERROR_LAUNCH_TIMEOUT, FH_DEADLINE_EXCEEDED, true, "LAUNCH-TIMEOUT", "the display's watchdog stopped it: use smaller pieces"},
    {FH_CUDA_ERROR_CONTEXT_IS_DESTROYED, FH_UNAVAILABLE, true, "DEVICE-LOST", "another part of the process reset the device"},
    {FH_CUDA_ERROR_ASSERT, FH_UNAVAILABLE, true, "KERNEL-FAULT", LOST_NEXT},
    {FH_CUDA_ERROR_HARDWARE_STACK_ERROR, FH_UNAVAILABLE, true, "KERNEL-FAULT", LOST_NEXT},
    {FH_CUDA_ERROR_ILLEGAL_INSTRUCTION, FH_UNAVAILABLE, true, "KERNEL-FAULT", LOST_NEXT},
    {FH_CUDA_ERROR_MISALIGNED_ADDRESS, FH_UNAVAILABLE, true, "KERNEL-FAULT", LOST_NEXT},
    {FH_CUDA_ERROR_INVALID_ADDRESS_SPACE, FH_UNAVAILABLE, true, "KERNEL-FAULT", LOST_NEXT},
    {FH_CUDA_ERROR_INVALID_PC, FH_UNAVAILABLE, true, "KERNEL-FAULT", LOST_NEXT},
    {FH_CUDA_ERROR_LAUNCH_FAILED, FH_UNAVAILABLE, true, "KERNEL-FAULT", LOST_NEXT},
    {FH_CUDA_ERROR_TENSOR_MEMORY_LEAK, FH_UNAVAILABLE, true, "KERNEL-FAULT", LOST_NEXT},
    {FH_CUDA_ERROR_NOT_PERMITTED, FH_UNAVAILABLE, false, NULL, "run devprobe: it tells what is not permitted"},
    {FH_CUDA_ERROR_NOT_SUPPORTED, FH_INCOMPATIBLE, false, NULL, "run devprobe: virtual GPUs and Jetson lack some functions"},
    {FH_CUDA_ERROR_SYSTEM_NOT_READY, FH_UNAVAILABLE, false, "NV-FABRIC-802",
     "start nvidia-fabricmanager of the driver's own version on the host"},
    {FH_CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, FH_UNAVAILABLE, false, NULL, "make libcuda and the kernel module the same version"},
    {FH_CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, FH_UNAVAILABLE, false, "CU-COMPAT-804",
     "take the compat folder out of the library path"},
    {FH_CUDA_ERROR_MPS_CONNECTION_FAILED, FH_UNAVAILABLE, false, "NV-MPS-805", "start the MPS daemon, or remove its stale pipe directory"},
    {FH_CUDA_ERROR_MPS_RPC_FAILURE, FH_UNAVAILABLE, true, "NV-MPS-805", "restart the MPS daemon"},
    {FH_CUDA_ERROR_MPS_SERVER_NOT_READY, FH_UNAVAILABLE, false, "NV-MPS-805", "the MPS server starts anew: try later"},
    {FH_CUDA_ERROR_MPS_MAX_CLIENTS_REACHED, FH_UNAVAILABLE, false, "NV-MPS-805", "the MPS server has no room for another client"},
    {FH_CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED, FH_UNAVAILABLE, false, "NV-MPS-805", "the MPS server has no room for another connection"},
    {FH_CUDA_ERROR_MPS_CLIENT_TERMINATED, FH_UNAVAILABLE, true, "NV-MPS-805", "another client's fault ended this one too"},
    {FH_CUDA_ERROR_TIMEOUT, FH_DEADLINE_EXCEEDED, true, "LAUNCH-TIMEOUT", LOST_NEXT},
    {FH_CUDA_ERROR_EXTERNAL_DEVICE, FH_UNAVAILABLE, true, "DEVICE-LOST", LOST_NEXT},
    {FH_CUDA_ERROR_UNKNOWN, FH_UNAVAILABLE, true, NULL, "run devprobe: this is nearly always the nvidia-uvm module or its device node"},
};

static const meaning *meaning_of(const fh_device *device, fh_cu_result code) {
  /* Once the device has worked, the catch-all code is no fault of the set-up. */
  static const meaning lost = {FH_CUDA_ERROR_UNKNOWN, FH_UNAVAILABLE, true, "DEVICE-LOST", LOST_NEXT};
  if (code == FH_CUDA_ERROR_UNKNOWN && device && device->context) return &lost;
  static const meaning other = {0, FH_INTERNAL, false, "DRIVER-REFUSED", "please report it"};
  for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
    if (meanings[i].code == code) return &meanings[i];
  return &other;
}

static bool hides_all_devices(const char *visible) { return visible && (!*visible || strcmp(visible, "-1") == 0); }

/* Only what the code and what is at hand can tell; more is the work of detection. NULL: it cannot be known here. */
static const char *cause_of(const fh_backend *backend, const fh_device *device, const meaning *m) {
  if (m->cause) return m->cause;
  switch (m->code) {
    case FH_CUDA_ERROR_NO_DEVICE:
      return hides_all_devices(getenv("CUDA_VISIBLE_DEVICES")) ? "CU-CVD-EMPTY" : NULL;
    case FH_CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
      return backend->driver.library && strstr(fh_dynlib_path(backend->driver.library), "/compat/") ? "CU-COMPAT-803"
                                                                                                    : "NV-VERSION-MISMATCH";
    case FH_CUDA_ERROR_DEVICE_UNAVAILABLE:
      return device && device->found->compute_mode != FH_CU_COMPUTEMODE_DEFAULT ? "NV-EXCLUSIVE-MODE" : NULL;
    default:
      return NULL;
  }
}

fh_status fh_cuda_fail(const fh_backend *backend, fh_device *device, fh_cu_result code, const char *call, const char *file, int line,
                       const char *format, ...) {
  const meaning *m = meaning_of(device, code);
  if (device && m->kills) {
    fh_cu_result alive = FH_CUDA_SUCCESS;
    atomic_compare_exchange_strong(&device->dead, &alive, code);
  }
  char what[256];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  const char *name = fh_cuda_result_name((int)code), *own = NULL;
  if (strcmp(name, "CUDA_ERROR_?") == 0 && backend->driver.fn.cuGetErrorName && backend->driver.fn.cuGetErrorName(code, &own) == 0 && own)
    name = own; /* newer than our table */
  return fh_status_make(m->status, file, line, cause_of(backend, device, m), "%s%s%s: %s failed with %s (%u)\nnext: %s", what,
                        device ? " on " : "", device ? device->found->info.id : "", call, name, code, m->next);
}

fh_status fh_cuda_alive(const fh_device *device) {
  fh_cu_result dead = atomic_load(&device->dead);
  if (!dead) return FH_OK;
  const meaning *m = meaning_of(device, dead);
  const char *cause = cause_of(device->backend, device, m);
  return FH_STATUS_CAUSE(FH_UNAVAILABLE, cause, "%s was lost earlier with %s (%u) and takes no more work in this process\nnext: %s",
                         device->found->info.id, fh_cuda_result_name((int)dead), dead, m->next);
}

fh_status fh_cuda_was_reset(fh_device *device) {
  fh_cu_result alive = FH_CUDA_SUCCESS;
  atomic_compare_exchange_strong(&device->dead, &alive, FH_CUDA_ERROR_CONTEXT_IS_DESTROYED);
  return fh_cuda_alive(device);
}

bool fh_cuda_same_process(const fh_backend *backend) { return backend->pid == fh_process_id(); }
