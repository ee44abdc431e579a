/* Loading NVIDIA's management library. SPDX-License-Identifier: Apache-2.0
 * Nothing is called. That it works proves nothing of CUDA: it needs neither /dev/nvidia-uvm nor a context. */
#ifndef FOGHORN_DETECT_DRIVERS_NVML_DRIVER_H_
#define FOGHORN_DETECT_DRIVERS_NVML_DRIVER_H_

#include <stdbool.h>

#include "detect/drivers/nvml_api.h"
#include "runtime/base/dynlib.h"

typedef struct fh_nvml_driver {
  fh_nvml_functions fn; /* each may be NULL */
  fh_dynlib *library;
  bool fake; /* the library says that it is a stand-in */
} fh_nvml_driver;

/* Opens the library and resolves every symbol. NOT_FOUND, with each dlerror, when no library loads. It stays in the process. */
fh_status fh_nvml_driver_load(fh_nvml_driver *out_driver);

/* "NVML_ERROR_GPU_IS_LOST"; "NVML_ERROR_?" for a code that the table lacks. Static text. */
const char *fh_nvml_result_name(int code);

#endif /* FOGHORN_DETECT_DRIVERS_NVML_DRIVER_H_ */
