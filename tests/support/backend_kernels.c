/* Kernels on a device, compared with the scalar build. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/backend_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One case: its call, and the memory of its views on the host (compact). */
typedef struct job {
  const fh_kernel_image *image;
  fh_case c;
  fh_bound bound;
  size_t bytes[FH_MAX_VIEWS];
  void *got[FH_MAX_VIEWS], *want[FH_MAX_VIEWS];
} job;

static int64_t elements_of(const fh_view_desc *view) {
  int64_t n = 1;
  for (int i = 0; i < view->rank; i++) n *= view->shape[i];
  return n;
}

static void fill_view(const job *j, int index, void *data) {
  const fh_kernel_contract *contract = j->image->contract;
  if (contract->views[index].role != FH_ROLE_OUT && contract->fill) {
    contract->fill(index, &j->c, data, 42 + (uint64_t)index);
    return;
  }
  uint64_t state = 0x9e3779b97f4a7c15u * (uint64_t)(index + 1);
  int64_t n = elements_of(&j->c.views[index]);
  for (int64_t i = 0; i < n; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    if (j->c.views[index].dtype == FH_F32)
      ((float *)data)[i] = (float)(int32_t)(state >> 32) * 0x1p-31f;
    else
      memset((char *)data + (size_t)i * fh_dtype_size(j->c.views[index].dtype), (int)(state >> 56), fh_dtype_size(j->c.views[index].dtype));
  }
}

static void job_end(job *j) {
  for (int i = 0; i < FH_MAX_VIEWS; i++) {
    free(j->got[i]);
    free(j->want[i]);
  }
}

static fh_status job_begin(const fh_kernel_image *image, const fh_case *c, job *j) {
  *j = (job){.image = image, .c = *c};
  FH_TRY(image->contract->bind(j->c.views, j->c.scalars, &j->bound));
  for (int i = 0; i < image->contract->view_count; i++) {
    j->bytes[i] = (size_t)elements_of(&j->c.views[i]) * fh_dtype_size(j->c.views[i].dtype);
    j->got[i] = malloc(j->bytes[i] + 1);
    j->want[i] = malloc(j->bytes[i] + 1);
    if (!j->got[i] || !j->want[i]) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for a case of %s", image->contract->name);
    fill_view(j, i, j->got[i]);
    memcpy(j->want[i], j->got[i], j->bytes[i]);
  }
  return FH_OK;
}

/* ---- the scalar build -------------------------------------------------------------------------------------------- */

static fh_status run_scalar(job *j) {
  void *temps[FH_MAX_TEMPS] = {NULL};
  fh_status status = FH_OK;
  for (int t = 0; t < j->bound.temp_count; t++)
    if (!(temps[t] = malloc(j->bound.temp_bytes[t] + 1))) status = FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for scratch");
  for (int s = 0; s < j->bound.stage_count && !status; s++) {
    const fh_stage *stage = &j->bound.stages[s];
    fh_slot slots[FH_MAX_OPERANDS];
    for (int i = 0; i < stage->operand_count; i++) {
      const fh_operand *o = &stage->operands[i];
      if (o->kind == FH_OPERAND_I64)
        slots[i].i = o->i;
      else if (o->kind == FH_OPERAND_F32)
        slots[i].f = o->f;
      else
        slots[i].p = (char *)(o->kind == FH_OPERAND_TEMP ? temps[o->index] : j->want[o->index]) + o->offset;
    }
    j->image->entries[stage->entry].cpu[FH_ISA_SCALAR](slots, 0, stage->items);
  }
  for (int t = 0; t < FH_MAX_TEMPS; t++) free(temps[t]);
  return status;
}

/* ---- the device ----------------------------------------------------------------------------------------------------- */

typedef struct on_device {
  const fh_backend_api *api;
  fh_device *device;
  fh_stream *stream;
  fh_memory *views[FH_MAX_VIEWS], *temps[FH_MAX_TEMPS];
  fh_executable *executables[FH_MAX_STAGES];
} on_device;

static void end_on_device(on_device *d) {
  if (d->stream) d->api->stream_close(d->stream);
  for (int i = 0; i < FH_MAX_VIEWS; i++) d->api->free(d->views[i]);
  for (int i = 0; i < FH_MAX_TEMPS; i++) d->api->free(d->temps[i]);
  for (int i = 0; i < FH_MAX_STAGES; i++)
    if (d->executables[i]) d->api->release(d->executables[i]);
}

static fh_status get_ready(const job *j, on_device *d) {
  FH_TRY(d->api->stream_open(d->device, &d->stream));
  for (int i = 0; i < j->image->contract->view_count; i++) FH_TRY(d->api->alloc(d->device, j->bytes[i], &d->views[i]));
  for (int t = 0; t < j->bound.temp_count; t++) FH_TRY(d->api->alloc(d->device, j->bound.temp_bytes[t], &d->temps[t]));
  for (int s = 0; s < j->bound.stage_count; s++) {
    const fh_recipe recipe = {.image = j->image, .entry = j->bound.stages[s].entry};
    FH_TRY(d->api->prepare(d->device, &recipe, &d->executables[s]));
  }
  return FH_OK;
}

static fh_command copy_of(fh_place from, fh_place to, size_t bytes) {
  return (fh_command){.kind = FH_COMMAND_COPY, .copy = {.from = from, .to = to, .bytes = bytes}};
}

static fh_status run_batch(const job *j, on_device *d) {
  fh_command commands[2 * FH_MAX_VIEWS + FH_MAX_STAGES];
  fh_launch_operand operands[FH_MAX_STAGES][FH_MAX_OPERANDS];
  int count = 0, views = j->image->contract->view_count;
  for (int i = 0; i < views; i++)
    commands[count++] = copy_of((fh_place){.host = j->got[i]}, (fh_place){.memory = d->views[i]}, j->bytes[i]);
  for (int s = 0; s < j->bound.stage_count; s++) {
    const fh_stage *stage = &j->bound.stages[s];
    for (int i = 0; i < stage->operand_count; i++) {
      const fh_operand *o = &stage->operands[i];
      operands[s][i] = (fh_launch_operand){.kind = o->kind};
      if (o->kind == FH_OPERAND_I64)
        operands[s][i].i = o->i;
      else if (o->kind == FH_OPERAND_F32)
        operands[s][i].f = o->f;
      else
        operands[s][i].place =
            (fh_place){.memory = o->kind == FH_OPERAND_TEMP ? d->temps[o->index] : d->views[o->index], .offset = o->offset};
    }
    commands[count++] = (fh_command){.kind = FH_COMMAND_LAUNCH,
                                     .launch = {.executable = d->executables[s],
                                                .items = stage->items,
                                                .flops_per_item = stage->flops_per_item,
                                                .operands = operands[s],
                                                .operand_count = stage->operand_count,
                                                .bound = &j->bound}};
  }
  for (int i = 0; i < views; i++)
    commands[count++] = copy_of((fh_place){.memory = d->views[i]}, (fh_place){.host = j->got[i]}, j->bytes[i]);
  fh_point point;
  FH_TRY(d->api->submit(d->stream, commands, count, &point));
  return d->api->wait(d->stream, point, 60000000000);
}

static fh_status run_on_device(const fh_backend_api *api, fh_device *device, const job *j) {
  on_device d = {.api = api, .device = device};
  fh_status status = get_ready(j, &d);
  if (!status) status = run_batch(j, &d);
  end_on_device(&d);
  return status;
}

/* ---- judging ---------------------------------------------------------------------------------------------------------- */

static bool same_bits(const job *j, int view, int64_t *out_index) {
  size_t size = fh_dtype_size(j->c.views[view].dtype);
  int64_t n = elements_of(&j->c.views[view]);
  for (int64_t i = 0; i < n; i++) {
    const char *got = (char *)j->got[view] + (size_t)i * size, *want = (char *)j->want[view] + (size_t)i * size;
    if (memcmp(got, want, size) == 0) continue;
    if (j->c.views[view].dtype == FH_F32 && isnan(*(const float *)got) && isnan(*(const float *)want)) continue;
    *out_index = i;
    return false;
  }
  return true;
}

static void judge_exact(const job *j, fh_kernel_score *score) {
  for (int v = 0; v < j->image->contract->view_count; v++) {
    int64_t at;
    if (same_bits(j, v, &at)) continue;
    score->wrong++;
    if (score->first[0]) return;
    const char *name = j->image->contract->views[v].name;
    if (j->c.views[v].dtype == FH_F32)
      snprintf(score->first, sizeof score->first, "%s: %s[%lld] is %.9g, the scalar build says %.9g", j->c.label, name, (long long)at,
               (double)((float *)j->got[v])[at], (double)((float *)j->want[v])[at]);
    else
      snprintf(score->first, sizeof score->first, "%s: %s[%lld] differs from the scalar build", j->c.label, name, (long long)at);
    return;
  }
}

static bool within_bound(const fh_kernel_contract *contract, const job *j) {
  for (int v = 0; v < contract->view_count; v++) {
    if (j->c.views[v].dtype != FH_F32 || contract->views[v].role == FH_ROLE_IN) continue;
    for (int64_t i = 0; i < elements_of(&j->c.views[v]); i++) {
      double got = (double)((float *)j->got[v])[i], want = (double)((float *)j->want[v])[i];
      if (!(fabs(got - want) <= contract->bound_rel * fabs(want) + contract->bound_abs) && !(isnan(got) && isnan(want)) && got != want)
        return false;
    }
  }
  return true;
}

static void judge_bounded(const job *j, fh_kernel_score *score) {
  const fh_kernel_contract *contract = j->image->contract;
  const char *why = contract->compare ? contract->compare(&j->c, j->got, j->want)
                                      : (within_bound(contract, j) ? NULL : "outside the bound of the contract");
  if (!why) return;
  score->wrong++;
  if (!score->first[0]) snprintf(score->first, sizeof score->first, "%s: %s", j->c.label, why);
}

static fh_status run_case(const fh_backend_api *api, fh_device *device, const fh_kernel_image *image, const fh_case *c,
                          fh_kernel_score *score) {
  job j;
  bool exact = image->contract->dialect_numerics == FH_EXACT;
  fh_status status = job_begin(image, c, &j);
  if (!status) status = run_on_device(api, device, &j);
  if (!status && exact)
    status = run_scalar(&j);
  else if (!status)
    image->contract->reference(j.c.views, j.want, j.c.scalars);
  if (!status) {
    score->cases++;
    if (exact)
      judge_exact(&j, score);
    else
      judge_bounded(&j, score);
  }
  job_end(&j);
  return status;
}

fh_status fh_run_kernel_cases(const fh_backend_api *api, fh_device *device, const fh_kernel_image *image, int most,
                              fh_kernel_score *out_score) {
  *out_score = (fh_kernel_score){0};
  fh_case c;
  for (int i = 0; i < most; i++) {
    memset(&c, 0, sizeof c);
    if (!image->contract->case_at(i, &c)) break;
    FH_TRY(run_case(api, device, image, &c, out_score));
  }
  return FH_OK;
}
