/* Loading the CUDA driver library. SPDX-License-Identifier: Apache-2.0 */
#include "detect/drivers/cuda_driver.h"

#include <string.h>

/* libcuda.so alone is a toolkit's link-time name, often a stub: never first. The last is where WSL keeps the host's. */
const char *const fh_cuda_library_names[] = {"libcuda.so.1", "libcuda.so", "/usr/lib/wsl/lib/libcuda.so.1", NULL};

/* ISO C has no conversion from a data to a function pointer; POSIX promises that the bits are the same. */
static void store_symbol(void *function_pointer, void *symbol) { memcpy(function_pointer, &symbol, sizeof symbol); }

enum { need_optional = 0, need_required = 1 };

fh_status fh_cuda_driver_load(fh_cuda_driver *out_driver) {
  *out_driver = (fh_cuda_driver){0};
  fh_dynlib *library;
  FH_TRY(fh_dynlib_open(fh_cuda_library_names, &library));
  fh_cuda_driver driver = {.library = library, .fake = fh_dynlib_symbol(library, FH_CUDA_FAKE_MARK) != NULL};
#define FH_CUDA(need, type, name, params)                                  \
  {                                                                        \
    void *symbol = fh_dynlib_symbol(library, #name);                       \
    store_symbol(&driver.fn.name, symbol);                                 \
    if (!symbol && need_##need && !driver.missing) driver.missing = #name; \
  }
#include "detect/drivers/cuda_symbols.def"
#undef FH_CUDA
  *out_driver = driver;
  return FH_OK;
}

void fh_cuda_driver_close(fh_cuda_driver *driver) {
  fh_dynlib_close(driver->library);
  *driver = (fh_cuda_driver){0};
}

const char *fh_cuda_result_name(int code) {
  switch (code) {
#define FH_CUDA_RESULT(value, name) \
  case value:                       \
    return #name;
#include "detect/drivers/cuda_results.def"
#undef FH_CUDA_RESULT
    default:
      return "CUDA_ERROR_?";
  }
}
