/* Loading the CUDA driver library. SPDX-License-Identifier: Apache-2.0
 * Detection (in its child) and the CUDA backend load through here, so that they cannot disagree. Nothing is called. */
#ifndef FOGHORN_DETECT_DRIVERS_CUDA_DRIVER_H_
#define FOGHORN_DETECT_DRIVERS_CUDA_DRIVER_H_

#include <stdbool.h>

#include "detect/drivers/cuda_api.h"
#include "runtime/base/dynlib.h"

typedef struct fh_cuda_driver {
  fh_cuda_functions fn; /* optional ones may be NULL */
  fh_dynlib *library;
  const char *missing; /* the first required symbol that is not exported; NULL: none */
  bool fake;           /* the library says that it is a stand-in */
} fh_cuda_driver;

/* Where the driver is looked for, in order; NULL-terminated. */
extern const char *const fh_cuda_library_names[];

/* Opens the library and resolves every symbol. NOT_FOUND, with each dlerror, when no library loads. A missing symbol is
 * not an error here: see `missing`. End with fh_cuda_driver_close. */
fh_status fh_cuda_driver_load(fh_cuda_driver *out_driver);
/* Forgets the handle; the library stays in the process. A zeroed driver is allowed. */
void fh_cuda_driver_close(fh_cuda_driver *driver);

/* "CUDA_ERROR_LAUNCH_FAILED" from our own table; "CUDA_ERROR_?" for a code that it lacks. Static text. */
const char *fh_cuda_result_name(int code);

#endif /* FOGHORN_DETECT_DRIVERS_CUDA_DRIVER_H_ */
