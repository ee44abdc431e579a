/* A case with its data in memory. SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine/workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/host_memory.h"
#include "runtime/plan/conformance.h"

enum { SEED = 20 };

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static fh_status no_memory(const fh_workload *w, size_t bytes) {
  return FH_STATUS(FH_RESOURCE_EXHAUSTED, "bench: no memory for an operand of %zu bytes of %s %s", bytes, w->image->contract->name,
                   w->c.label);
}

static size_t count_of(const fh_view_desc *v) {
  size_t count = 1;
  for (int32_t i = 0; i < v->rank; i++) count *= (size_t)v->shape[i];
  return count;
}

static size_t dense_bytes(const fh_workload *w, int view) { return count_of(&w->c.views[view]) * fh_dtype_size(w->c.views[view].dtype); }

/* The same shape, row-major without gaps. */
static fh_view_desc compacted(const fh_view_desc *v) {
  fh_view_desc out = *v;
  int64_t stride = 1;
  for (int32_t i = v->rank - 1; i >= 0; i--) {
    out.strides[i] = stride;
    stride *= v->shape[i];
  }
  return out;
}

/* Strides of extents of one do not matter. */
static bool same_places(const fh_view_desc *a, const fh_view_desc *b) {
  for (int32_t i = 0; i < a->rank; i++)
    if (a->shape[i] > 1 && a->strides[i] != b->strides[i]) return false;
  return true;
}

static bool is_dense(const fh_workload *w, int view) { return same_places(&w->c.views[view], &w->compact.views[view]); }

bool fh_workload_is_output(const fh_workload *w, int view) { return w->image->contract->views[view].role != FH_ROLE_IN; }

static int view_count(const fh_workload *w) { return w->image->contract->view_count; }

/* ---- data -------------------------------------------------------------------------------------------------------- */

static fh_status fill(fh_workload *w, int view) {
  const fh_view_role role = w->image->contract->views[view].role;
  if (role == FH_ROLE_OUT) return FH_OK;
  const size_t bytes = dense_bytes(w, view);
  if (!(w->memory[view] = fh_host_alloc(w->bytes[view]))) return no_memory(w, w->bytes[view]);
  w->dense[view] = w->memory[view];
  if (!is_dense(w, view) && !(w->dense[view] = fh_host_alloc(bytes))) return no_memory(w, bytes);
  fh_conform_fill(w->image->contract, &w->compact, view, w->dense[view], SEED + (uint64_t)view);
  if (is_dense(w, view)) return FH_OK;
  memset(w->memory[view], 0, w->bytes[view]);
  fh_conform_scatter(&w->c.views[view], w->dense[view], w->memory[view] + w->offset[view]);
  return FH_OK;
}

fh_status fh_workload_open(const fh_kernel_image *image, const fh_case *c, fh_workload *out) {
  *out = (fh_workload){.image = image, .c = *c, .compact = *c};
  FH_TRY(image->contract->bind(c->views, c->scalars, &out->bound));
  if (out->bound.stage_count == 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "bench: %s %s is empty: there is nothing to measure", image->contract->name, c->label);
  fh_status status = FH_OK;
  for (int v = 0; v < image->contract->view_count && !status; v++) {
    int64_t first, span = fh_conform_span(&c->views[v], &first), size = (int64_t)fh_dtype_size(c->views[v].dtype);
    out->bytes[v] = (size_t)(span * size);
    out->offset[v] = (size_t)(first * size);
    out->compact.views[v] = compacted(&c->views[v]);
    status = fill(out, v);
  }
  if (status) fh_workload_close(out);
  return status;
}

void fh_workload_close(fh_workload *w) {
  for (int v = 0; v < FH_MAX_VIEWS; v++) {
    if (w->dense[v] != w->memory[v]) free(w->dense[v]);
    free(w->memory[v]);
    free(w->want[v]);
  }
  *w = (fh_workload){0};
}

/* ---- operands ------------------------------------------------------------------------------------------------------ */

fh_status fh_operands_open(const fh_workload *w, fh_operands *out) {
  *out = (fh_operands){0};
  for (int v = 0; v < view_count(w); v++) {
    char *memory = w->memory[v];
    if (fh_workload_is_output(w, v)) {
      if (!(memory = out->memory[v] = fh_host_alloc(w->bytes[v]))) {
        fh_operands_close(out);
        return no_memory(w, w->bytes[v]);
      }
      memset(memory, 0x5a, w->bytes[v]); /* its pages are there before anybody is timed */
    }
    out->data[v] = memory + w->offset[v];
  }
  fh_operands_reset(w, out);
  return FH_OK;
}

void fh_operands_reset(const fh_workload *w, fh_operands *operands) {
  for (int v = 0; v < view_count(w); v++)
    if (operands->memory[v] && w->memory[v]) memcpy(operands->memory[v], w->memory[v], w->bytes[v]);
}

void fh_operands_close(fh_operands *operands) {
  for (int v = 0; v < FH_MAX_VIEWS; v++) free(operands->memory[v]);
  *operands = (fh_operands){0};
}

/* ---- right or wrong -------------------------------------------------------------------------------------------------- */

bool fh_workload_is_cheap(const fh_workload *w) { return w->bound.flops <= 3e7 && w->bound.bytes <= 3e7; }

/* Memory for the results that are wanted; inputs stand in it too, because comparing may need them. */
static fh_status make_want(fh_workload *w) {
  for (int v = 0; v < view_count(w); v++) {
    if (!fh_workload_is_output(w, v)) continue;
    const size_t bytes = dense_bytes(w, v);
    if (!w->want[v] && !(w->want[v] = fh_host_alloc(bytes))) return no_memory(w, bytes);
    if (w->dense[v]) memcpy(w->want[v], w->dense[v], bytes);
  }
  return FH_OK;
}

static void wanted(const fh_workload *w, void *out[FH_MAX_VIEWS]) {
  for (int v = 0; v < FH_MAX_VIEWS; v++) out[v] = w->want[v] ? w->want[v] : w->dense[v];
}

fh_status fh_workload_ask_oracle(fh_workload *w) {
  void *data[FH_MAX_VIEWS];
  FH_TRY(make_want(w));
  wanted(w, data);
  w->image->contract->reference(w->compact.views, data, w->c.scalars);
  w->want_is_oracle = true;
  return FH_OK;
}

static void gather(const fh_workload *w, const fh_operands *operands, int view, char *out) {
  if (is_dense(w, view))
    memcpy(out, operands->data[view], dense_bytes(w, view));
  else
    fh_conform_gather(&w->c.views[view], operands->data[view], out);
}

void fh_workload_put(const fh_workload *w, int view, const char *dense, const fh_operands *operands) {
  fh_conform_scatter(&w->c.views[view], dense, operands->data[view]);
}

fh_status fh_workload_trust(fh_workload *w, const fh_operands *operands) {
  FH_TRY(make_want(w));
  for (int v = 0; v < view_count(w); v++)
    if (w->want[v]) gather(w, operands, v, w->want[v]);
  w->want_is_oracle = false;
  return FH_OK;
}

/* What somebody else's rounding may do to a sum of products of ordinary data; integers: the part that may differ, because two
 * neighbours may be equally near. */
static double default_tolerance(fh_dtype dtype) {
  switch (dtype) {
    case FH_BF16:
      return 0x1p-6;
    case FH_F16:
      return 0x1p-9;
    case FH_F64:
      return 1e-12;
    case FH_F32:
      return 1e-4;
    default:
      return 1e-3;
  }
}

static bool is_float(fh_dtype dtype) { return dtype == FH_F32 || dtype == FH_F64 || dtype == FH_F16 || dtype == FH_BF16; }

static bool agrees(const fh_workload *w, int view, const char *got, double tolerance, char *text, size_t size) {
  const fh_dtype dtype = w->c.views[view].dtype;
  const int64_t count = (int64_t)count_of(&w->c.views[view]);
  const bool real = is_float(dtype);
  double squares = 0, finite = 0, most = 0;
  int64_t differ = 0, worst = -1;
  for (int64_t i = 0; i < count; i++) {
    const double g = fh_conform_element(got, dtype, i), x = fh_conform_element(w->want[view], dtype, i), off = fabs(g - x);
    if (isfinite(x)) squares += x * x, finite++;
    if (g == x || (isnan(g) && isnan(x))) continue;
    differ++;
    if (worst >= 0 && !(off > most) && !isnan(off)) continue;
    if (worst >= 0 && isnan(most)) continue;
    worst = i;
    most = off;
  }
  if (tolerance == 0) tolerance = default_tolerance(dtype);
  const double rms = finite > 0 ? sqrt(squares / finite) : 0;
  const bool right = real ? differ == 0 || most <= tolerance * rms : (double)differ <= tolerance * (double)count;
  if (!right)
    snprintf(text, size, "%s differs in %.3g %% of its elements, most at element %lld: %.9g instead of %.9g",
             w->image->contract->views[view].name, 100 * (double)differ / (double)count, (long long)worst,
             fh_conform_element(got, dtype, worst), fh_conform_element(w->want[view], dtype, worst));
  return right;
}

fh_status fh_workload_check(const fh_workload *w, const fh_operands *operands, double tolerance, bool own, char *text, size_t size,
                            bool *out_right) {
  char *got[FH_MAX_VIEWS] = {0};
  void *all[FH_MAX_VIEWS], *want[FH_MAX_VIEWS];
  fh_status status = FH_OK;
  *out_right = true;
  wanted(w, want);
  wanted(w, all);
  for (int v = 0; v < view_count(w) && !status; v++) {
    if (!fh_workload_is_output(w, v)) continue;
    all[v] = got[v] = fh_host_alloc(dense_bytes(w, v));
    if (got[v])
      gather(w, operands, v, got[v]);
    else
      status = no_memory(w, dense_bytes(w, v));
  }
  if (!status && own && w->want_is_oracle) {
    *out_right = fh_conform_outputs(w->image, &w->compact, all, want, text, size);
  } else {
    for (int v = 0; v < view_count(w) && !status && *out_right; v++)
      if (got[v]) *out_right = agrees(w, v, got[v], tolerance, text, size);
  }
  for (int v = 0; v < FH_MAX_VIEWS; v++) free(got[v]);
  return status;
}

/* ---- traffic ------------------------------------------------------------------------------------------------------------ */

/* Elements that a view really has: a stride of 0 repeats one. */
static double storage(const fh_workload *w, int view) {
  const double dense = (double)dense_bytes(w, view);
  return dense < (double)w->bytes[view] ? dense : (double)w->bytes[view];
}

void fh_workload_traffic(const fh_workload *w, size_t *out_read, size_t *out_write, bool *out_in_place) {
  double write = 0;
  *out_in_place = false;
  for (int v = 0; v < view_count(w); v++) {
    if (fh_workload_is_output(w, v)) write += storage(w, v);
    *out_in_place |= w->image->contract->views[v].role == FH_ROLE_INOUT;
  }
  if (write > w->bound.bytes) write = w->bound.bytes;
  *out_write = (size_t)write;
  *out_read = (size_t)(w->bound.bytes - write);
}

double fh_workload_set(const fh_workload *w) {
  double bytes = 0;
  for (int v = 0; v < view_count(w); v++) bytes += storage(w, v);
  return bytes;
}
