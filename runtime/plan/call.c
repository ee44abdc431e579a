/* From the caller's views and parameters to a checked call. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/plan/bound.h"
#include "runtime/plan/plan.h"

/* ---- overlap ------------------------------------------------------------------------------------------- */

typedef struct span {
  uintptr_t low, high; /* bytes touched: [low, high) */
} span;

static span span_of(const fh_view *view) {
  int64_t size = (int64_t)fh_dtype_size(view->dtype), low = 0, high = size;
  for (int i = 0; i < view->rank; i++) {
    if (view->shape[i] == 0) return (span){0, 0};
    int64_t reach = (view->shape[i] - 1) * view->strides[i] * size;
    if (reach < 0) low += reach;
    if (reach > 0) high += reach;
  }
  uintptr_t first = (uintptr_t)view->buffer->host + (uintptr_t)view->offset;
  return (span){first + (uintptr_t)low, first + (uintptr_t)high};
}

static bool same_elements(const fh_view *a, const fh_view *b) {
  if (a->buffer->host + a->offset != b->buffer->host + b->offset || a->dtype != b->dtype || a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->shape[i] != b->shape[i] || (a->shape[i] > 1 && a->strides[i] != b->strides[i])) return false;
  return true;
}

/* A view as bytes: from its lowest address on, in steps of its largest stride, pieces of `inner` bytes. */
typedef struct pattern {
  int64_t outer, inner;
  uintptr_t low;
} pattern;

static pattern pattern_of(const fh_view *view) {
  int64_t size = (int64_t)fh_dtype_size(view->dtype), largest = 0;
  for (int i = 0; i < view->rank; i++) {
    if (view->shape[i] <= 1) continue;
    int64_t stride = llabs(view->strides[i]);
    if (stride > largest) largest = stride;
  }
  pattern p = {.outer = largest * size, .inner = size, .low = span_of(view).low};
  bool skipped = false;
  for (int i = 0; i < view->rank; i++) {
    if (view->shape[i] <= 1) continue;
    int64_t stride = llabs(view->strides[i]);
    if (!skipped && stride == largest) {
      skipped = true;
    } else {
      p.inner += (view->shape[i] - 1) * stride * size;
    }
  }
  return p;
}

/* Two pieces of one row-like pattern: same largest stride S, and inside one S they lie beside each other. True only when
 * that proves that no byte is shared. */
static bool beside(const fh_view *a, const fh_view *b) {
  pattern pa = pattern_of(a), pb = pattern_of(b);
  if (pa.outer == 0 || pa.outer != pb.outer) return false;
  int64_t distance = ((int64_t)(pb.low - pa.low) % pa.outer + pa.outer) % pa.outer;
  return pa.inner <= distance && distance + pb.inner <= pa.outer;
}

static bool overlap(const fh_view *a, const fh_view *b) {
  span sa = span_of(a), sb = span_of(b);
  if (sa.low >= sb.high || sb.low >= sa.high) return false;
  return !beside(a, b);
}

/* Every index its own address? A sufficient test; exotic layouts that fail it are refused as outputs. */
static bool injective(const fh_view *view) {
  int order[FH_MAX_RANK], count = 0;
  for (int i = 0; i < view->rank; i++) {
    if (view->shape[i] == 0) return true;
    if (view->shape[i] > 1) order[count++] = i;
  }
  for (int i = 1; i < count; i++)
    for (int j = i; j > 0 && llabs(view->strides[order[j]]) < llabs(view->strides[order[j - 1]]); j--) {
      int t = order[j];
      order[j] = order[j - 1];
      order[j - 1] = t;
    }
  int64_t reach = 1;
  for (int i = 0; i < count; i++) {
    int64_t stride = llabs(view->strides[order[i]]);
    if (stride < reach) return false;
    reach = stride * (view->shape[order[i]] - 1) + reach;
  }
  return true;
}

/* ---- copying ------------------------------------------------------------------------------------------- */

static void copy_stage(const fh_stage *stage, fh_stage *out) {
  memcpy(out, stage, offsetof(fh_stage, operands) + (size_t)stage->operand_count * sizeof stage->operands[0]);
}

static void copy_bound(const fh_bound *bound, fh_bound *out) {
  const size_t behind = offsetof(fh_bound, temp_bytes);
  memcpy(out, bound, offsetof(fh_bound, stages));
  for (int s = 0; s < bound->stage_count; s++) copy_stage(&bound->stages[s], &out->stages[s]);
  memcpy((char *)out + behind, (const char *)bound + behind, sizeof *bound - behind);
}

/* What stands before the views, and behind what is bound, is copied as it is: a member to come is not forgotten. */
void fh_call_copy(const fh_call *call, fh_call *out) {
  const size_t views = (size_t)call->view_count, behind = offsetof(fh_call, bound) + sizeof call->bound;
  memcpy(out, call, offsetof(fh_call, views));
  memcpy(out->views, call->views, views * sizeof call->views[0]);
  memcpy(out->descs, call->descs, views * sizeof call->descs[0]);
  memcpy(out->params, call->params, sizeof call->params);
  if (fh_kernel_is_built_in(call->image)) {
    copy_bound(&call->bound, &out->bound);
  } else {
    out->bound = call->bound; /* code of the program's own may look at all of it */
  }
  memcpy((char *)out + behind, (const char *)call + behind, sizeof *call - behind);
}

/* ---- binding ------------------------------------------------------------------------------------------- */

static fh_status check_view(const fh_context *context, const fh_kernel_contract *contract, int index, const fh_view *view) {
  const fh_view_param *param = &contract->views[index];
  fh_status status = fh_view_check(view);
  if (status) return fh_status_annotate(status, "in %s, operand %s", contract->name, param->name);
  /* A buffer's replicas are memory of its own context's devices, under that context's lock. */
  if (view->buffer->owner != context)
    return FH_STATUS(FH_INCOMPATIBLE,
                     "%s: %s is a view of another context than the queue's\nnext step: make it in the context that the queue is of",
                     contract->name, param->name);
  if (param->role == FH_ROLE_IN) return FH_OK;
  if (view->access == FH_READ)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "%s: %s is an output, but its view was wrapped with FH_READ\nnext step: wrap it with FH_WRITE or FH_READ_WRITE",
                     contract->name, param->name);
  if (!injective(view))
    return FH_STATUS(
        FH_INVALID_ARGUMENT,
        "%s: %s is an output whose strides let two indexes share one element\nnext step: give it strides that keep elements apart",
        contract->name, param->name);
  return FH_OK;
}

static fh_status check_overlaps(const fh_kernel_contract *contract, const fh_view *views) {
  for (int o = 0; o < contract->view_count; o++) {
    if (contract->views[o].role == FH_ROLE_IN) continue;
    for (int i = 0; i < contract->view_count; i++) {
      if (i == o || (contract->views[i].role != FH_ROLE_IN && i > o) || !overlap(&views[o], &views[i])) continue;
      if (contract->views[i].may_alias_output && same_elements(&views[o], &views[i])) continue;
      return FH_STATUS(FH_INCOMPATIBLE, "%s: %s overlaps %s in memory\nexpected separate memory%s\nnext step: copy one of them first",
                       contract->name, contract->views[o].name, contract->views[i].name,
                       contract->views[i].may_alias_output ? ", or the very same view for both (in place)" : "");
    }
  }
  return FH_OK;
}

/* Kernels of the build are tested with their texts; what a registered one fills is looked at each time. */
static fh_status check_cut(const fh_call *call) {
  if (fh_kernel_is_built_in(call->image)) return FH_OK;
  fh_status status = fh_bound_check(call->image, &call->bound);
  return status ? fh_status_annotate(status, "in %s", call->image->contract->name) : FH_OK;
}

fh_status fh_call_cut(fh_call *call) {
  FH_TRY(call->image->contract->bind(call->descs, call->params, &call->bound));
  return check_cut(call);
}

/* Views and descriptions beyond view_count, and what bind() has not written, are never looked at: clearing 7 KiB took a tenth of a short
 * launch. Code of the program's own may rely on a bound call that begins with zeros. */
static void begin(const fh_kernel_image *image, int view_count, fh_call *out) {
  out->image = image;
  out->kernel = fh_kernel_slot(image);
  out->view_count = view_count;
  out->note[0] = '\0';
  out->begun_ns = 0;
  out->elsewhere = out->part = out->flows = false;
  out->ran = NULL;
  out->resident = 0;
  out->bound.stage_count = out->bound.temp_count = 0;
  if (!fh_kernel_is_built_in(image)) memset(&out->bound, 0, sizeof out->bound);
}

fh_status fh_call_bind(fh_context *context, const fh_kernel *kernel, const fh_view *const *views, int view_count,
                       const fh_param_value *params, int param_count, fh_call *out_call) {
  if (!kernel) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_launch: kernel is NULL");
  const fh_kernel_image *image = fh_kernel_image_of(kernel);
  fh_plan_kernel *variants;
  FH_TRY(fh_plan_kernel_of(context, image, &variants)); /* before any of its code runs */
  const fh_kernel_contract *contract = image->contract;
  if (view_count != contract->view_count || !views)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: expected %d views, found %d", contract->name, contract->view_count, views ? view_count : 0);
  if (param_count != contract->scalar_count || (param_count > 0 && !params))
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: expected %d parameters, found %d", contract->name, contract->scalar_count,
                     params ? param_count : 0);
  begin(image, view_count, out_call);
  for (int i = 0; i < view_count; i++) {
    if (!views[i]) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: the view %s is NULL", contract->name, contract->views[i].name);
    FH_TRY(check_view(context, contract, i, views[i]));
    out_call->views[i] = *views[i];
    fh_view_desc *desc = &out_call->descs[i];
    desc->dtype = views[i]->dtype;
    desc->rank = views[i]->rank;
    memcpy(desc->shape, views[i]->shape, sizeof desc->shape);
    memcpy(desc->strides, views[i]->strides, sizeof desc->strides);
  }
  for (int i = 0; i < param_count; i++) {
    if (contract->scalars[i].type == 'i') {
      out_call->params[i].i = params[i].i;
    } else {
      out_call->params[i].f = params[i].f;
    }
  }
  FH_TRY(fh_call_cut(out_call));
  return check_overlaps(contract, out_call->views);
}

fh_status fh_call_inspect(fh_context *context, fh_call *call, bool describe) {
  const fh_kernel_contract *contract = call->image->contract;
  if (!contract->inspect || call->bound.stage_count == 0) return FH_OK;
  const void *data[FH_MAX_VIEWS] = {0};
  for (int i = 0; i < call->view_count; i++) {
    if (!(contract->inspects >> i & 1)) continue;
    fh_buffer *buffer = call->views[i].buffer;
    FH_TRY(fh_buffer_to_host(context, buffer));
    data[i] = buffer->host + call->views[i].offset;
  }
  FH_TRY(contract->inspect(call->descs, data, call->params, &call->bound, describe ? call->note : NULL));
  return check_cut(call);
}

void fh_call_label(const fh_call *call, char *out, size_t size) {
  int n = snprintf(out, size, "%s", call->image->contract->name);
  for (int i = 0; i < call->view_count && n > 0 && (size_t)n < size; i++) {
    if (call->image->contract->views[i].role != FH_ROLE_IN && i > 0) break; /* the inputs say it all */
    n += snprintf(out + n, size - (size_t)n, " %s", fh_dtype_name(call->descs[i].dtype));
    for (int d = 0; d < call->descs[i].rank && (size_t)n < size; d++)
      n += snprintf(out + n, size - (size_t)n, "%s%lld", d ? "x" : " ", (long long)call->descs[i].shape[d]);
  }
}
