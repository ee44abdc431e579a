/* Loading the OpenCL loader. SPDX-License-Identifier: Apache-2.0
 * Nothing is called here; the first clGetPlatformIDs loads every vendor's driver into the process. */
#ifndef FOGHORN_DETECT_DRIVERS_OPENCL_DRIVER_H_
#define FOGHORN_DETECT_DRIVERS_OPENCL_DRIVER_H_

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_ext.h>

#include "runtime/base/dynlib.h"

typedef struct fh_opencl_functions {
#define FH_OPENCL(need, type, name, params) type(CL_API_CALL *name) params;
#include "detect/drivers/opencl_symbols.def"
#undef FH_OPENCL
} fh_opencl_functions;

typedef struct fh_opencl_driver {
  fh_opencl_functions fn;
  fh_dynlib *library;
  const char *missing; /* the first required symbol that is not exported; NULL: none */
} fh_opencl_driver;

/* Where the loader is looked for, in order; NULL-terminated. */
extern const char *const fh_opencl_library_names[];

/* Opens the library and resolves every symbol. NOT_FOUND, with each dlerror, when no library loads. A missing symbol is
 * not an error here: see `missing`. End with fh_opencl_driver_close. */
fh_status fh_opencl_driver_load(fh_opencl_driver *out_driver);
/* Forgets the handle; the library stays in the process. A zeroed driver is allowed. */
void fh_opencl_driver_close(fh_opencl_driver *driver);

/* "CL_BUILD_PROGRAM_FAILURE"; "CL_ERROR_?" for a code that the table lacks. Static text. */
const char *fh_opencl_error_name(int code);

#endif /* FOGHORN_DETECT_DRIVERS_OPENCL_DRIVER_H_ */
