/* Every backend of the build, from backends.def. SPDX-License-Identifier: Apache-2.0 */
#include "backends/backend.h"

#define FH_BACKEND(name) extern const fh_backend_api fh_backend_##name;
#include "backends/backends.def"
#undef FH_BACKEND

static const fh_backend_api *const backends[] = {
#define FH_BACKEND(name) &fh_backend_##name,
#include "backends/backends.def"
#undef FH_BACKEND
};

const fh_backend_api *const *fh_backends(int *out_count) {
  *out_count = (int)(sizeof backends / sizeof backends[0]);
  return backends;
}
