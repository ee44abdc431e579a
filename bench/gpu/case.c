/* A kernel at one shape on one device. SPDX-License-Identifier: Apache-2.0 */
#include "bench/gpu/case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <foghorn/foghorn.h>

#include "bench/engine/workload.h"
#include "runtime/base/clock.h"
#include "runtime/plan/plan.h"

struct gpu_session {
  fh_context *context;
};

struct gpu_case {
  gpu_session *session;
  const fh_kernel *kernel;
  fh_workload workload;
  fh_operands operands;
  fh_view views[FH_MAX_VIEWS];
  const fh_view *view_list[FH_MAX_VIEWS];
  fh_param_value params[FH_MAX_PARAMS];
  char variant[48], why[240];
};

static void put_why(char *why, size_t size, fh_status take_status) {
  const char *message = fh_status_message(take_status);
  snprintf(why, size, "%.*s", (int)strcspn(message, "\n"), message);
  fh_status_free(take_status);
}

gpu_session *gpu_session_open(const char *device, int allow_fake, char *why, int size) {
  gpu_session *session = calloc(1, sizeof *session);
  const fh_context_options options = {.devices = device, .numerics = FH_BOUNDED, .allow_fake = allow_fake != 0};
  fh_status status = session ? fh_context_create(&options, &session->context) : FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
  if (!status) return session;
  put_why(why, (size_t)size, status);
  free(session);
  return NULL;
}

void gpu_session_close(gpu_session *session) {
  if (!session) return;
  fh_context_release(session->context);
  free(session);
}

/* ---- from a line of the list to operands ------------------------------------------------------------------------------- */

static const fh_kernel_image *find_image(const char *kernel) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++)
    if (strcmp(images[i].contract->name, kernel) == 0) return &images[i];
  return NULL;
}

/* "4096x128" at *at, compact; moves past it and the blank. False: there is none. */
static bool read_shape(const char **at, int64_t most_extent, fh_dtype dtype, fh_view_desc *out) {
  *out = (fh_view_desc){.dtype = dtype};
  for (;;) {
    char *end;
    const long long extent = strtoll(*at, &end, 10);
    if (end == *at || extent < 1 || out->rank == FH_MAX_RANK) return false;
    out->shape[out->rank++] = most_extent > 0 && extent > most_extent ? most_extent : extent;
    *at = end;
    if (*end != 'x') break;
    *at = end + 1;
  }
  *at += strspn(*at, " ");
  int64_t stride = 1;
  for (int32_t i = out->rank - 1; i >= 0; i--) {
    out->strides[i] = stride;
    stride *= out->shape[i];
  }
  return true;
}

static void read_scalars(const fh_kernel_contract *contract, const char *text, fh_case *out) {
  for (int i = 0; i < contract->scalar_count; i++) {
    char *end;
    double value = strtod(text, &end);
    if (end == text) value = contract->scalars[i].def;
    text = end;
    if (contract->scalars[i].type == 'i') {
      out->scalars[i].i = (int64_t)value;
    } else {
      out->scalars[i].f = value;
    }
  }
}

/* The label is the shape of the first two operands, which tells the cases apart. */
static fh_status read_spec(const gpu_case_spec *spec, int64_t most_extent, const fh_kernel_contract *contract, fh_case *out) {
  const char *at = spec->shapes;
  *out = (fh_case){0};
  for (int v = 0; v < contract->view_count; v++)
    if (!read_shape(&at, most_extent, contract->views[v].dtype, &out->views[v]))
      return FH_STATUS(FH_INTERNAL, "gpu_case_open: %s: \"%s\" has no shape for %s", spec->kernel, spec->shapes, contract->views[v].name);
  read_scalars(contract, spec->scalars, out);
  const char *first = strchr(spec->shapes, ' ');
  const size_t second = first ? strcspn(first + 1, " ") + 1 : 0;
  snprintf(out->label, sizeof out->label, "%.*s", (int)((first ? (size_t)(first - spec->shapes) : strlen(spec->shapes)) + second),
           spec->shapes);
  return FH_OK;
}

static fh_status wrap(gpu_case *c) {
  const fh_workload *w = &c->workload;
  const fh_kernel_contract *contract = w->image->contract;
  for (int v = 0; v < contract->view_count; v++) {
    const fh_view_desc *desc = &w->c.views[v];
    const bool written = fh_workload_is_output(w, v);
    fh_shape shape = {.rank = desc->rank};
    memcpy(shape.extents, desc->shape, sizeof shape.extents);
    FH_TRY(fh_view_wrap(c->session->context, c->operands.data[v], desc->dtype, shape, FH_ROW_MAJOR, written ? FH_READ_WRITE : FH_READ,
                        &c->views[v]));
    c->view_list[v] = &c->views[v];
  }
  for (int i = 0; i < contract->scalar_count; i++) {
    if (contract->scalars[i].type == 'i') {
      c->params[i].i = w->c.scalars[i].i;
    } else {
      c->params[i].f = w->c.scalars[i].f;
    }
  }
  return FH_OK;
}

static fh_status open_case(gpu_case *c, const gpu_case_spec *spec, int64_t most_extent) {
  fh_case described;
  const fh_kernel_image *image = find_image(spec->kernel);
  if (!image) return FH_STATUS(FH_NOT_FOUND, "gpu_case_open: this build has no kernel %s", spec->kernel);
  FH_TRY(read_spec(spec, most_extent, image->contract, &described));
  FH_TRY(fh_kernel_find(spec->kernel, &c->kernel));
  FH_TRY(fh_workload_open(image, &described, &c->workload));
  FH_TRY(fh_operands_open(&c->workload, &c->operands));
  return wrap(c);
}

gpu_case *gpu_case_open(gpu_session *session, const gpu_case_spec *spec, int64_t most_extent, char *why, int size) {
  gpu_case *c = calloc(1, sizeof *c);
  if (!c) {
    snprintf(why, (size_t)size, "out of memory");
    return NULL;
  }
  c->session = session;
  fh_status status = open_case(c, spec, most_extent);
  if (!status) return c;
  put_why(why, (size_t)size, status);
  gpu_case_close(c);
  return NULL;
}

void gpu_case_close(gpu_case *c) {
  if (!c) return;
  for (int v = 0; v < FH_MAX_VIEWS; v++) fh_view_release(&c->views[v]);
  fh_operands_close(&c->operands);
  fh_workload_close(&c->workload);
  free(c);
}

/* ---- running ------------------------------------------------------------------------------------------------------------- */

static fh_queue *queue_of(const gpu_case *c) { return fh_context_queue(c->session->context); }
static const fh_kernel_contract *contract_of(const gpu_case *c) { return c->workload.image->contract; }

static fh_status launch(const gpu_case *c) {
  return fh_launch(queue_of(c), c->kernel, c->view_list, contract_of(c)->view_count, c->params, contract_of(c)->scalar_count, NULL);
}

static uint64_t elsewhere(const gpu_case *c) {
  fh_counters counters;
  fh_context_counters(c->session->context, &counters);
  return counters.executed_elsewhere + counters.replayed;
}

/* A launch that another device ran in this one's place has no time that means anything. */
static bool good(gpu_case *c, fh_status take_status, uint64_t elsewhere_before) {
  if (!take_status && elsewhere(c) != elsewhere_before)
    take_status = FH_STATUS(FH_UNAVAILABLE, "%s ran on another device in this one's place", contract_of(c)->name);
  if (take_status) put_why(c->why, sizeof c->why, take_status);
  return take_status == NULL;
}

double gpu_case_sample(gpu_case *c, long calls) {
  const uint64_t before = elsewhere(c);
  fh_status status = FH_OK;
  const double start = fh_now_seconds();
  for (long i = 0; i < calls && !status; i++) status = launch(c);
  if (!status) status = fh_queue_finish(queue_of(c));
  const double took = fh_now_seconds() - start;
  return good(c, status, before) ? took : -1;
}

double gpu_case_sample_host(gpu_case *c, long calls) {
  const uint64_t before = elsewhere(c);
  fh_status status = FH_OK;
  double took = 0;
  for (long done = 0; done < calls && !status; done += GPU_BURST) {
    const double start = fh_now_seconds();
    for (long i = done; i < calls && i < done + GPU_BURST && !status; i++) status = launch(c);
    took += fh_now_seconds() - start;
    if (!status) status = fh_queue_finish(queue_of(c));
  }
  return good(c, status, before) ? took : -1;
}

const char *gpu_case_why(const gpu_case *c) { return c->why; }

/* The host's copy of everything that is written becomes the newest. */
static fh_status touch(const gpu_case *c) {
  for (int v = 0; v < contract_of(c)->view_count; v++) {
    void *data;
    if (fh_workload_is_output(&c->workload, v)) FH_TRY(fh_view_map(&c->views[v], FH_READ_WRITE, &data));
  }
  return FH_OK;
}

/* NaN in floats, a number that no kernel gives in integers: an element that is not written is seen. */
static void poison(gpu_case *c) {
  for (int v = 0; v < contract_of(c)->view_count; v++)
    if (contract_of(c)->views[v].role == FH_ROLE_OUT) memset(c->operands.memory[v], 0xff, c->workload.bytes[v]);
}

int gpu_case_run_once(gpu_case *c) {
  const uint64_t before = elsewhere(c);
  fh_status status = touch(c);
  if (!status) {
    fh_operands_reset(&c->workload, &c->operands);
    poison(c);
    status = launch(c);
  }
  for (int v = 0; v < contract_of(c)->view_count && !status; v++)
    if (fh_workload_is_output(&c->workload, v)) status = fh_view_sync(&c->views[v]);
  return good(c, status, before) ? 0 : -1;
}

double gpu_case_sample_to_device(gpu_case *c) {
  fh_status status = touch(c);
  const double start = fh_now_seconds();
  if (!status) status = launch(c);
  if (!status) status = fh_queue_finish(queue_of(c));
  const double took = fh_now_seconds() - start;
  return good(c, status, elsewhere(c)) ? took : -1;
}

double gpu_case_sample_to_host(gpu_case *c) {
  fh_status status = launch(c);
  if (!status) status = fh_queue_finish(queue_of(c));
  const double start = fh_now_seconds();
  for (int v = 0; v < contract_of(c)->view_count && !status; v++)
    if (fh_workload_is_output(&c->workload, v)) status = fh_view_sync(&c->views[v]);
  const double took = fh_now_seconds() - start;
  return good(c, status, elsewhere(c)) ? took : -1;
}

/* ---- what it is -------------------------------------------------------------------------------------------------------------- */

const void *gpu_case_data(const gpu_case *c, int view) { return c->operands.data[view]; }
int gpu_case_view_count(const gpu_case *c) { return contract_of(c)->view_count; }
const char *gpu_case_view_name(const gpu_case *c, int view) { return contract_of(c)->views[view].name; }
const char *gpu_case_view_dtype(const gpu_case *c, int view) { return fh_dtype_name(c->workload.c.views[view].dtype); }

int gpu_case_view_shape(const gpu_case *c, int view, int64_t *extents) {
  const fh_view_desc *desc = &c->workload.c.views[view];
  memcpy(extents, desc->shape, (size_t)desc->rank * sizeof *extents);
  return desc->rank;
}

double gpu_case_scalar(const gpu_case *c, int index) {
  const fh_value *value = &c->workload.c.scalars[index];
  return contract_of(c)->scalars[index].type == 'i' ? (double)value->i : value->f;
}

double gpu_case_operations(const gpu_case *c) { return c->workload.bound.flops; }
double gpu_case_bytes(const gpu_case *c) { return c->workload.bound.bytes; }

const char *gpu_case_variant(gpu_case *c) {
  fh_call call;
  fh_status status = fh_call_bind(c->session->context, c->kernel, c->view_list, contract_of(c)->view_count, c->params,
                                  contract_of(c)->scalar_count, &call);
  if (status) {
    fh_status_free(status);
    return "";
  }
  fh_context_lock(c->session->context);
  const fh_plan plan = fh_plan_make(queue_of(c), &call);
  snprintf(c->variant, sizeof c->variant, "%s", plan.chosen ? plan.chosen->name : "");
  fh_context_unlock(c->session->context);
  return c->variant;
}
