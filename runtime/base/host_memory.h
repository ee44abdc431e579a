/* Memory of the host for data. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BASE_HOST_MEMORY_H_
#define FOGHORN_BASE_HOST_MEMORY_H_

#include <stddef.h>

enum { FH_HOST_ALIGN = 64 }; /* a cache line */

/* `bytes` bytes, their contents undefined, at a multiple of FH_HOST_ALIGN; at least one line. From 4 MiB on the system is asked for huge
 * pages. NULL without memory. End it with free(). */
void *fh_host_alloc(size_t bytes);

#endif /* FOGHORN_BASE_HOST_MEMORY_H_ */
