/* Loading AMD's HSA runtime and Level Zero. SPDX-License-Identifier: Apache-2.0
 * Done in a child that answers a question, and nowhere else. Nothing is called. */
#ifndef FOGHORN_DETECT_DRIVERS_RUNTIME_DRIVER_H_
#define FOGHORN_DETECT_DRIVERS_RUNTIME_DRIVER_H_

#include <stdbool.h>

#include "detect/drivers/runtime_api.h"
#include "runtime/base/dynlib.h"

typedef struct fh_runtime_driver {
  fh_dynlib *library;
  const char *missing; /* the first symbol that is not exported; NULL: none */
  bool fake;           /* the library says that it is a stand-in */
} fh_runtime_driver;

/* Opens the library and resolves every function. NOT_FOUND, with each dlerror, when no library loads. A missing symbol is
 * not an error here: see `missing`. The library stays in the process. */
fh_status fh_hsa_driver_load(fh_runtime_driver *out_driver, fh_hsa_functions *out_functions);
fh_status fh_ze_driver_load(fh_runtime_driver *out_driver, fh_ze_functions *out_functions);

/* "HSA_STATUS_ERROR_OUT_OF_RESOURCES" from our own table; "?" for a code that it lacks. Static text. */
const char *fh_hsa_result_name(unsigned code);
const char *fh_ze_result_name(unsigned code);

#endif /* FOGHORN_DETECT_DRIVERS_RUNTIME_DRIVER_H_ */
