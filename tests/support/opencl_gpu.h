/* Tests on the stand-in OpenCL GPU (tests/fakes/opencl): it is the only one whose loader finds it. SPDX-License-Identifier: Apache-2.0
 */
#ifndef FOGHORN_TESTS_SUPPORT_OPENCL_GPU_H_
#define FOGHORN_TESTS_SUPPORT_OPENCL_GPU_H_

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "detect/drivers/opencl_driver.h"

/* From here on loaders find the stand-in alone. False: there is none, or no loader, which is said, and main returns 77. */
static inline bool fh_use_opencl_gpu(void) {
  static const char vendors[] = FH_BINARY_DIR "/tests/fakes/opencl-vendors";
  if (access(vendors, R_OK) != 0) {
    printf("NOT RUN: this build has no stand-in OpenCL GPU: it wants clang, x86-64 and no sanitizer\n");
    return false;
  }
  setenv("OCL_ICD_VENDORS", vendors, 1);
  setenv("OPENCL_VENDOR_PATH", vendors, 1); /* of Khronos's loader */
  fh_opencl_driver driver;
  fh_status status = fh_opencl_driver_load(&driver);
  if (status) {
    printf("NOT RUN: no OpenCL loader: %s\n", fh_status_message(status));
    fh_status_free(status);
    return false;
  }
  fh_opencl_driver_close(&driver);
  return true;
}

#endif /* FOGHORN_TESTS_SUPPORT_OPENCL_GPU_H_ */
