/* Runs a kernel's case straight through a backend's table. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/kernel_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/check.h"

/* ---- data --------------------------------------------------------------------------------------------------- */

static size_t view_bytes(const fh_view_desc *view) {
  size_t bytes = fh_dtype_size(view->dtype);
  for (int32_t i = 0; i < view->rank; i++) bytes *= (size_t)view->shape[i];
  return bytes;
}

static uint64_t next_random(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return *state >> 33;
}

static void fill_random(const fh_view_desc *view, void *data, size_t bytes, uint64_t seed) {
  if (view->dtype == FH_F32) {
    for (size_t i = 0; i < bytes / 4; i++) ((float *)data)[i] = (float)next_random(&seed) / (float)(1u << 30) - 1.0f;
  } else {
    for (size_t i = 0; i < bytes; i++) ((uint8_t *)data)[i] = (uint8_t)next_random(&seed);
  }
}

void fh_case_data_make(const fh_kernel_contract *contract, const fh_case *c, uint64_t seed, fh_case_data *out) {
  *out = (fh_case_data){0};
  for (int i = 0; i < contract->view_count; i++) {
    out->bytes[i] = view_bytes(&c->views[i]);
    out->views[i] = calloc(1, out->bytes[i] + 1);
    assert_non_null(out->views[i]);
    if (contract->views[i].role == FH_ROLE_OUT) continue;
    if (contract->fill)
      contract->fill(i, c, out->views[i], seed);
    else
      fill_random(&c->views[i], out->views[i], out->bytes[i], seed + (uint64_t)i);
  }
}

void fh_case_data_free(fh_case_data *data) {
  for (int i = 0; i < FH_MAX_VIEWS; i++) free(data->views[i]);
  *data = (fh_case_data){0};
}

/* ---- the run ------------------------------------------------------------------------------------------------ */

typedef struct run {
  const fh_backend_fixture *fixture;
  const fh_kernel_image *image;
  fh_isa isa;
  fh_bound bound;
  fh_case_data *data;
  fh_memory *views[FH_MAX_VIEWS], *temps[FH_MAX_TEMPS];
  fh_stream *stream;
} run;

static fh_status copy_views(run *r, bool in) {
  fh_command commands[FH_MAX_VIEWS];
  int count = 0;
  for (int i = 0; i < r->image->contract->view_count; i++) {
    fh_place device = {.memory = r->views[i]}, host = {.host = r->data->views[i]};
    commands[count++] =
        (fh_command){.kind = FH_COMMAND_COPY, .copy = {.from = in ? host : device, .to = in ? device : host, .bytes = r->data->bytes[i]}};
  }
  return fh_backend_run(r->fixture->api, r->stream, commands, count);
}

static fh_status allocate(run *r) {
  const fh_backend_api *api = r->fixture->api;
  for (int i = 0; i < r->image->contract->view_count; i++) FH_TRY(api->alloc(r->fixture->device, r->data->bytes[i], &r->views[i]));
  for (int i = 0; i < r->bound.temp_count; i++) FH_TRY(api->alloc(r->fixture->device, r->bound.temp_bytes[i], &r->temps[i]));
  return api->stream_open(r->fixture->device, &r->stream);
}

static fh_launch_operand operand_of(const run *r, const fh_operand *operand) {
  fh_launch_operand out = {.kind = operand->kind};
  if (operand->kind == FH_OPERAND_I64) {
    out.i = operand->i;
  } else if (operand->kind == FH_OPERAND_F32) {
    out.f = operand->f;
  } else {
    bool temp = operand->kind == FH_OPERAND_TEMP;
    out.place = (fh_place){.memory = temp ? r->temps[operand->index] : r->views[operand->index], .offset = operand->offset};
  }
  return out;
}

static fh_status run_stage(run *r, const fh_stage *stage) {
  const fh_backend_api *api = r->fixture->api;
  fh_launch_operand operands[FH_MAX_OPERANDS];
  for (int i = 0; i < stage->operand_count; i++) operands[i] = operand_of(r, &stage->operands[i]);
  fh_executable *executable = NULL;
  FH_TRY(api->prepare(r->fixture->device, &(fh_recipe){.image = r->image, .entry = stage->entry, .isa = r->isa}, &executable));
  fh_command command = {.kind = FH_COMMAND_LAUNCH,
                        .launch = {.executable = executable,
                                   .items = stage->items,
                                   .flops_per_item = stage->flops_per_item,
                                   .operands = operands,
                                   .operand_count = stage->operand_count,
                                   .bound = &r->bound}};
  fh_status status = fh_backend_run(api, r->stream, &command, 1);
  api->release(executable);
  return status;
}

static fh_status run_all(run *r) {
  FH_TRY(allocate(r));
  FH_TRY(copy_views(r, true));
  for (int i = 0; i < r->bound.stage_count; i++) FH_TRY(run_stage(r, &r->bound.stages[i]));
  return copy_views(r, false);
}

fh_status fh_case_run(const fh_backend_fixture *fixture, const fh_kernel_image *image, fh_isa isa, const fh_case *c, fh_case_data *data) {
  run r = {.fixture = fixture, .image = image, .isa = isa, .data = data};
  FH_TRY(image->contract->bind(c->views, c->scalars, &r.bound));
  fh_status status = run_all(&r);
  fixture->api->stream_close(r.stream);
  for (int i = 0; i < FH_MAX_VIEWS; i++) fixture->api->free(r.views[i]);
  for (int i = 0; i < FH_MAX_TEMPS; i++) fixture->api->free(r.temps[i]);
  return status;
}

const fh_kernel_image *fh_case_image(const char *kernel) {
  int count = 0;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++)
    if (strcmp(images[i].contract->name, kernel) == 0) return &images[i];
  fail_msg("the build has no kernel %s", kernel);
  return NULL;
}
