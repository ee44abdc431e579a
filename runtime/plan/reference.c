/* A kernel's reference as a variant: what a kernel that has no text yet is run by. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/plan/plan.h"

/* Is view v the same memory as an output of the call? */
static bool is_output_too(const fh_kernel_contract *contract, void *const *data, int v) {
  if (contract->views[v].role != FH_ROLE_IN) return false;
  for (int o = 0; o < contract->view_count; o++)
    if (contract->views[o].role != FH_ROLE_IN && data[o] == data[v]) return true;
  return false;
}

/* References read elements as such; a view may start at any byte. */
static bool is_aligned(const fh_view_desc *desc, const void *data) { return (uintptr_t)data % fh_dtype_size(desc->dtype) == 0; }

/* The view's elements and what lies between them, in memory of their alignment; *data becomes its first element there. */
static fh_status copy_view(const fh_view_desc *desc, void **data, void **out_copy) {
  int64_t first;
  const size_t size = fh_dtype_size(desc->dtype), bytes = (size_t)fh_conform_span(desc, &first) * size;
  if (bytes == 0) return FH_OK;
  *out_copy = malloc(bytes);
  if (!*out_copy)
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for %zu bytes: the reference works on copies in place and at odd addresses", bytes);
  memcpy(*out_copy, (char *)*data - (size_t)first * size, bytes);
  *data = (char *)*out_copy + (size_t)first * size;
  return FH_OK;
}

/* The elements alone: what lies between them may be another view's. */
static void copy_back(const fh_view_desc *desc, const char *from, char *to) {
  const int64_t size = (int64_t)fh_dtype_size(desc->dtype);
  int64_t count = 1;
  for (int i = 0; i < desc->rank; i++) count *= desc->shape[i];
  for (int64_t e = 0; e < count; e++) {
    int64_t place = 0, rest = e;
    for (int i = desc->rank - 1; i >= 0; i--) {
      place += rest % desc->shape[i] * desc->strides[i];
      rest /= desc->shape[i];
    }
    memcpy(to + place * size, from + place * size, (size_t)size);
  }
}

/* A reference reads inputs that its outputs do not change: in place, it gets a copy. */
fh_status fh_reference_run(const fh_call *call) {
  const fh_kernel_contract *contract = call->image->contract;
  void *host[FH_MAX_VIEWS] = {0}, *data[FH_MAX_VIEWS] = {0}, *copies[FH_MAX_VIEWS] = {0};
  fh_status status = FH_OK;
  for (int v = 0; v < call->view_count; v++) data[v] = host[v] = call->views[v].buffer->host + call->views[v].offset;
  for (int v = 0; v < call->view_count && !status; v++)
    if (is_output_too(contract, host, v) || !is_aligned(&call->descs[v], host[v]))
      status = copy_view(&call->descs[v], &data[v], &copies[v]);
  if (!status) contract->reference(call->descs, data, call->params);
  for (int v = 0; v < call->view_count; v++) {
    if (!status && copies[v] && contract->views[v].role != FH_ROLE_IN) copy_back(&call->descs[v], data[v], host[v]);
    free(copies[v]);
  }
  return status;
}
