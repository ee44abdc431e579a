/* Loading the OpenCL loader. SPDX-License-Identifier: Apache-2.0 */
#include "detect/drivers/opencl_driver.h"

#include <string.h>

const char *const fh_opencl_library_names[] = {"libOpenCL.so.1", "libOpenCL.so", NULL};

/* ISO C has no conversion from a data to a function pointer; POSIX promises that the bits are the same. */
static void store_symbol(void *function_pointer, void *symbol) { memcpy(function_pointer, &symbol, sizeof symbol); }

enum { need_optional = 0, need_required = 1 };

fh_status fh_opencl_driver_load(fh_opencl_driver *out_driver) {
  *out_driver = (fh_opencl_driver){0};
  fh_dynlib *library;
  FH_TRY(fh_dynlib_open(fh_opencl_library_names, &library));
  fh_opencl_driver driver = {.library = library};
#define FH_OPENCL(need, type, name, params)                                \
  {                                                                        \
    void *symbol = fh_dynlib_symbol(library, #name);                       \
    store_symbol(&driver.fn.name, symbol);                                 \
    if (!symbol && need_##need && !driver.missing) driver.missing = #name; \
  }
#include "detect/drivers/opencl_symbols.def"
#undef FH_OPENCL
  *out_driver = driver;
  return FH_OK;
}

void fh_opencl_driver_close(fh_opencl_driver *driver) {
  fh_dynlib_close(driver->library);
  *driver = (fh_opencl_driver){0};
}

const char *fh_opencl_error_name(int code) {
  switch (code) {
#define FH_OPENCL_ERROR(value, name) \
  case value:                        \
    return #name;
#include "detect/drivers/opencl_errors.def"
#undef FH_OPENCL_ERROR
    default:
      return "CL_ERROR_?";
  }
}
