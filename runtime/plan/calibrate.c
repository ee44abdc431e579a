/* Measuring this machine for its profile. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/plan/calibrate.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/plan/profile.h"

/* A median of few runs orders variants that differ by a tenth; the profile is refined by what real launches take. */
enum { RUNS = 7, LEAST_RUNS = 3 };
static const double slice = 0.03;   /* seconds for one variant of one size, when it has its least runs */
static const double slowest = 0.25; /* predicted seconds beyond which a variant is not tried: it would not be chosen */
static const double most_bytes = 256.0 * (1 << 20);

/* ---- what to measure ------------------------------------------------------------------------------------------ */

typedef struct job {
  int kernel; /* its slot */
  fh_case c;
  fh_bound bound;
  double work; /* seconds on a machine of 10 GFLOP/s and 10 GB/s: only to put them in order */
} job;

typedef struct jobs {
  job *items;
  int count, capacity;
} jobs;

static bool has_bucket(const jobs *all, int kernel, int bucket) {
  for (int i = 0; i < all->count; i++)
    if (all->items[i].kernel == kernel && fh_cost_bucket(&all->items[i].bound) == bucket) return true;
  return false;
}

static fh_status add(jobs *all, const job *one) {
  if (all->count == all->capacity) {
    int more = all->capacity ? 2 * all->capacity : 64;
    job *items = realloc(all->items, (size_t)more * sizeof *items);
    if (!items) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "calibration: no memory");
    all->items = items;
    all->capacity = more;
  }
  all->items[all->count++] = *one;
  return FH_OK;
}

static fh_status add_kernel(jobs *all, int kernel, const fh_kernel_contract *contract) {
  job one = {.kernel = kernel};
  for (int i = 0; contract->bench_at ? contract->bench_at(i, &one.c) : contract->case_at(i, &one.c); i++) {
    FH_TRY(contract->bind(one.c.views, one.c.scalars, &one.bound));
    if (one.bound.stage_count == 0 || one.bound.bytes > most_bytes) continue;
    if (has_bucket(all, kernel, fh_cost_bucket(&one.bound))) continue;
    one.work = (one.bound.flops + one.bound.bytes) * 1e-10;
    FH_TRY(add(all, &one));
  }
  return FH_OK;
}

static int quick_first(const void *a, const void *b) {
  double x = ((const job *)a)->work, y = ((const job *)b)->work;
  return (x > y) - (x < y);
}

static fh_status list_jobs(fh_context *context, const char *kernel, jobs *out) {
  int found = 0;
  for (int slot = 0; slot < fh_kernel_slots(); slot++) {
    const fh_kernel_image *image = fh_kernel_in(slot);
    fh_plan_kernel *used;
    if (!image || (kernel && strcmp(kernel, image->contract->name) != 0)) continue;
    FH_TRY(fh_plan_kernel_of(context, image, &used));
    found++;
    FH_TRY(add_kernel(out, slot, image->contract));
  }
  if (!found) return FH_STATUS(FH_INVALID_ARGUMENT, "calibration: there is no kernel '%s'", kernel ? kernel : "");
  if (out->count) qsort(out->items, (size_t)out->count, sizeof *out->items, quick_first);
  return FH_OK;
}

/* ---- one size --------------------------------------------------------------------------------------------------- */

static fh_status make_view(fh_context *context, const fh_kernel_contract *contract, const job *j, int v, fh_view *out) {
  fh_shape shape = {.rank = j->c.views[v].rank};
  memcpy(shape.extents, j->c.views[v].shape, sizeof shape.extents);
  FH_TRY(fh_view_create(context, j->c.views[v].dtype, shape, FH_ROW_MAJOR, out));
  void *data;
  FH_TRY(fh_view_map(out, FH_WRITE, &data));
  if (contract->views[v].role != FH_ROLE_OUT) fh_conform_fill(contract, &j->c, v, data, UINT64_C(0x666f67) + (uint64_t)v);
  return FH_OK;
}

static fh_status make_call(fh_context *context, const fh_kernel_image *image, const job *j, fh_call *out) {
  *out = (fh_call){.image = image, .kernel = j->kernel, .view_count = image->contract->view_count, .bound = j->bound};
  memcpy(out->params, j->c.scalars, sizeof(fh_value) * (size_t)image->contract->scalar_count);
  for (int v = 0; v < out->view_count; v++) {
    out->descs[v] = j->c.views[v];
    FH_TRY(make_view(context, image->contract, j, v, &out->views[v]));
  }
  return FH_OK;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The median of a few runs after one that warms up; 0: it failed, and the failure is dealt with. */
static double time_candidate(fh_queue *queue, fh_candidate *candidate, const fh_call *call) {
  double seconds[RUNS], begin = fh_now_seconds();
  int runs = 0;
  for (int i = -1; i < RUNS; i++) {
    double start = fh_now_seconds();
    fh_status status = fh_execute(queue, candidate, call);
    if (!status) status = fh_queue_settle(queue, candidate->device);
    if (status) {
      fh_status_free(fh_recover(queue->context, candidate, candidate->device, status));
      return 0;
    }
    if (i >= 0) seconds[runs++] = fh_now_seconds() - start;
    if (runs >= LEAST_RUNS && fh_now_seconds() - begin > slice) break;
  }
  qsort(seconds, (size_t)runs, sizeof *seconds, by_value);
  return seconds[runs / 2];
}

static bool worth_trying(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call) {
  fh_verdict verdict = fh_candidate_judge(queue, candidate, call);
  return verdict.reason.code == FH_REASON_NONE && verdict.seconds < slowest;
}

static bool all_floats(const fh_call *call) {
  bool floats = true;
  for (int v = 0; v < call->view_count; v++) floats = floats && call->descs[v].dtype == FH_F32;
  return floats;
}

/* The device's arithmetic, as far as a kernel of floats reached it. */
static void note_rate(fh_plan_device *device, const fh_call *call, double seconds) {
  const double rate = seconds > 0 && all_floats(call) ? call->bound.flops / seconds : 0;
  if (rate > device->reached.flops) device->reached.flops = rate;
}

/* Returns how many variants were timed. */
static int time_all(fh_queue *queue, const fh_call *call) {
  int timed = 0;
  fh_plan_kernel *kernel = fh_plan_kernel_in(queue->context, call->kernel);
  for (int i = 0; i < kernel->count; i++) {
    fh_candidate *candidate = &kernel->candidates[i];
    if (!worth_trying(queue, candidate, call)) continue;
    fh_candidate_test(queue, candidate);
    if (candidate->test != FH_TEST_PASSED) continue;
    queue->probing = true;
    double seconds = time_candidate(queue, candidate, call);
    queue->probing = false;
    fh_candidate_calibrate(candidate, fh_cost_bucket(&call->bound), seconds);
    note_rate(&queue->context->devices[candidate->device], call, seconds);
    timed += seconds > 0;
  }
  return timed;
}

static fh_status measure(fh_queue *queue, const fh_kernel_image *image, const job *j, int *out_timed) {
  fh_call call;
  fh_status status = make_call(queue->context, image, j, &call);
  if (!status) *out_timed = time_all(queue, &call);
  for (int v = 0; v < call.view_count; v++) fh_view_release(&call.views[v]);
  return status;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

static fh_status measure_jobs(fh_queue *queue, const jobs *all, const fh_calibration_options *options, fh_calibration *out) {
  bool *seen = calloc((size_t)fh_kernel_slots(), sizeof *seen);
  if (!seen) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "calibration: no memory");
  fh_status status = FH_OK;
  double begin = fh_now_seconds();
  int i = 0;
  for (; i < all->count && !status; i++) {
    double gone = (fh_now_seconds() - begin) / options->seconds;
    if (gone >= 1 || (options->stop && options->stop(options->user))) break;
    const job *j = &all->items[i];
    int timed = 0;
    const fh_kernel_image *image = fh_plan_kernel_in(queue->context, j->kernel)->image;
    if (options->progress) options->progress(options->user, image->contract->name, gone);
    status = measure(queue, image, j, &timed);
    if (timed && !seen[j->kernel]) seen[j->kernel] = true, out->kernels++;
    out->sizes += timed > 0;
    out->times += timed;
  }
  out->left_out = all->count - i;
  free(seen);
  return status;
}

/* A device that fails here is left out, as in any launch. */
static fh_status measure_links(fh_queue *queue, const fh_calibration_options *options, fh_calibration *out) {
  static const double part = 0.05; /* of the time, for each */
  static const double enough = 0.4;
  const double seconds = options->seconds * part < enough ? options->seconds * part : enough;
  for (int d = 0; d < queue->context->device_count; d++) {
    const fh_plan_device *device = &queue->context->devices[d];
    if (!device->allowed || device->info.host_memory || (options->stop && options->stop(options->user))) continue;
    if (options->progress) options->progress(options->user, device->info.id, 0);
    bool measured; /* and not only known from the profile before */
    fh_status status = fh_link_measure(queue, d, seconds, &measured);
    if (fh_status_code(status) == FH_RESOURCE_EXHAUSTED) {
      fh_status_free(status);
    } else if (status) {
      FH_TRY(fh_recover(queue->context, NULL, d, status));
    }
    out->links += measured;
  }
  return FH_OK;
}

fh_status fh_calibrate(fh_context *context, const fh_calibration_options *options, fh_calibration *out_calibration) {
  *out_calibration = (fh_calibration){0};
  jobs all = {0};
  fh_status status = list_jobs(context, options->kernel, &all);
  fh_context_lock(context);
  fh_profile_use(context); /* what is not measured now is kept */
  if (!status) status = measure_links(fh_context_queue(context), options, out_calibration);
  if (!status) status = measure_jobs(fh_context_queue(context), &all, options, out_calibration);
  fh_context_unlock(context);
  free(all.items);
  return status;
}
