/* Loading NVIDIA's management library. SPDX-License-Identifier: Apache-2.0 */
#include "detect/drivers/nvml_driver.h"

#include <string.h>

/* ISO C has no conversion from a data to a function pointer; POSIX promises that the bits are the same. */
static void store_symbol(void *function_pointer, void *symbol) { memcpy(function_pointer, &symbol, sizeof symbol); }

fh_status fh_nvml_driver_load(fh_nvml_driver *out_driver) {
  static const char *const names[] = {"libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1", NULL};
  *out_driver = (fh_nvml_driver){0};
  fh_dynlib *library;
  FH_TRY(fh_dynlib_open(names, &library));
  fh_nvml_driver driver = {.library = library, .fake = fh_dynlib_symbol(library, FH_NVML_FAKE_MARK) != NULL};
#define FH_NVML(name, params) store_symbol(&driver.fn.name, fh_dynlib_symbol(library, #name));
#include "detect/drivers/nvml_symbols.def"
#undef FH_NVML
  *out_driver = driver;
  return FH_OK;
}

const char *fh_nvml_result_name(int code) {
  switch (code) {
#define FH_NVML_RESULT(value, name) \
  case value:                       \
    return #name;
#include "detect/drivers/nvml_results.def"
#undef FH_NVML_RESULT
    default:
      return "NVML_ERROR_?";
  }
}
