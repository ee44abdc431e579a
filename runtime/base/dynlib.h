/* Libraries loaded at run time, with every reason kept. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BASE_DYNLIB_H_
#define FOGHORN_BASE_DYNLIB_H_

#include <foghorn/status.h>

typedef struct fh_dynlib fh_dynlib;

/* Opens the first of `names` (NULL-terminated) that loads, locally and with all symbols bound late.
 * When none does: NOT_FOUND with the dlerror of each, one per line. */
fh_status fh_dynlib_open(const char *const *names, fh_dynlib **out_library);
/* NULL: not exported. */
void *fh_dynlib_symbol(const fh_dynlib *library, const char *name);
/* The name that loaded, and the file the loader took for it ("" unknown). */
const char *fh_dynlib_name(const fh_dynlib *library);
const char *fh_dynlib_path(const fh_dynlib *library);
/* dlerror texts of the names that failed before one loaded, one per line; "" none. */
const char *fh_dynlib_errors(const fh_dynlib *library);
/* Frees the handle; the library itself stays loaded (drivers do not survive dlclose). NULL is allowed. */
void fh_dynlib_close(fh_dynlib *library);

#endif /* FOGHORN_BASE_DYNLIB_H_ */
