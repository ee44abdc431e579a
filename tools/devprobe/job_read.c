/* The launches of a program, from its FOGHORN_TRACE, summed up against this machine's limits. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <foghorn/foghorn.h>

#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "tools/devprobe/job.h"

static const double sparse_from = 1.5; /* times as many bytes of lines as of elements: elements lie apart */

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

/* A number that sums and ratios can stand; anything else is 0. */
static double number_of(const json_t *line, const char *key) {
  const double value = json_number_value(json_object_get(line, key));
  return value >= 1 && value < 1e18 ? value : 0;
}

static bool copy_text(const json_t *line, const char *key, char *out, size_t size) {
  const char *text = json_string_value(json_object_get(line, key));
  if (!text) return false;
  snprintf(out, size, "%s", text);
  return true;
}

static bool launch_of(const char *text, size_t length, fh_job_launch *out) {
  json_t *line = json_loadb(text, length, 0, NULL);
  *out = (fh_job_launch){0};
  const bool whole = line && copy_text(line, "launch", out->label, sizeof out->label) &&
                     copy_text(line, "kernel", out->kernel, sizeof out->kernel) &&
                     copy_text(line, "ran", out->device, sizeof out->device) && json_is_integer(json_object_get(line, "ns")) &&
                     json_is_integer(json_object_get(line, "at_ns"));
  if (whole) {
    out->device[strcspn(out->device, "/")] = 0;
    out->at = 1e-9 * number_of(line, "at_ns");
    out->seconds = 1e-9 * number_of(line, "ns");
    out->operations = number_of(line, "operations");
    out->bytes = number_of(line, "bytes");
    out->elements_bytes = number_of(line, "elements_bytes");
    out->lines_bytes = number_of(line, "lines_bytes");
    out->threads = (int)fmin(number_of(line, "threads"), 1024);
  }
  json_decref(line);
  return whole;
}

static bool add_launch(fh_job_trace *trace, const fh_job_launch *launch) {
  if (trace->count == trace->capacity) {
    const int64_t wanted = trace->capacity ? 2 * trace->capacity : 256;
    fh_job_launch *grown = realloc(trace->launches, (size_t)wanted * sizeof *grown);
    if (!grown) return false;
    trace->launches = grown;
    trace->capacity = wanted;
  }
  trace->launches[trace->count++] = *launch;
  return true;
}

fh_status fh_job_read(const char *path, fh_job_trace *out_trace) {
  *out_trace = (fh_job_trace){0};
  FILE *file = fopen(path, "re");
  if (!file && errno == ENOENT) return FH_OK;
  if (!file) return FH_STATUS(FH_UNAVAILABLE, "%s: cannot be read: %s", path, strerror(errno));
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  bool room = true;
  while (room && (length = getline(&line, &capacity, file)) >= 0) {
    fh_job_launch launch;
    if (launch_of(line, (size_t)length, &launch))
      room = add_launch(out_trace, &launch);
    else
      out_trace->unread++;
  }
  free(line);
  fclose(file);
  if (room) return FH_OK;
  fh_job_trace_free(out_trace);
  return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the launches");
}

void fh_job_trace_free(fh_job_trace *trace) {
  free(trace->launches);
  *trace = (fh_job_trace){0};
}

/* ---- this machine ------------------------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Median over batches of the smallest launch there is. */
static fh_status measure_launch(double *out_seconds) {
  enum { BATCHES = 9, CALLS = 200 };
  double samples[BATCHES];
  float value = 1;
  fh_auto(fh_context) *context = NULL;
  fh_auto(fh_view) x = {0};
  FH_TRY(fh_context_create(&(fh_context_options){.devices = "cpu", .threads = 1}, &context));
  FH_TRY(fh_view_wrap(context, &value, FH_F32, FH_SHAPE(1), FH_ROW_MAJOR, FH_READ_WRITE, &x));
  for (int i = 0; i < BATCHES; i++) {
    const double start = fh_now_seconds();
    for (int j = 0; j < CALLS; j++) FH_TRY(fh_axpy(fh_context_queue(context), 0, &x, &x, NULL));
    samples[i] = (fh_now_seconds() - start) / CALLS;
  }
  qsort(samples, BATCHES, sizeof *samples, by_value);
  *out_seconds = samples[BATCHES / 2];
  return FH_OK;
}

/* As many threads as the launches had, and no more than there are processors. */
static fh_status measure_machine(const fh_job_trace *trace, fh_limits *out_limits) {
  int threads = 1;
  fh_pool *pool, *all;
  FH_TRY(fh_pool_shared(0, &all));
  for (int64_t i = 0; i < trace->count; i++) {
    const int had = trace->launches[i].threads ? trace->launches[i].threads : fh_pool_size(all);
    if (had > threads) threads = had;
  }
  fh_status status = fh_pool_shared(threads < fh_pool_size(all) ? threads : fh_pool_size(all), &pool);
  fh_pool_unshare(all);
  if (status) return status;
  status = fh_limits_measure(pool, out_limits);
  fh_pool_unshare(pool);
  return status;
}

/* ---- sums --------------------------------------------------------------------------------------------------------------- */

/* The types in "matmul f32 3x4 f32 4x5": every second word. */
static fh_peak peak_of(const char *label) {
  fh_dtype inputs[2];
  int count = 0;
  const char *at = strchr(label, ' ');
  while (at && count < 2) {
    for (int type = FH_F32; type <= FH_I64; type++) {
      const size_t length = strlen(fh_dtype_name((fh_dtype)type));
      if (strncmp(at + 1, fh_dtype_name((fh_dtype)type), length) == 0 && at[1 + length] == ' ') {
        inputs[count++] = (fh_dtype)type;
        break;
      }
    }
    at = strchr(at + 1, ' ');
    if (at) at = strchr(at + 1, ' ');
  }
  return fh_peak_of(inputs, count);
}

static fh_job_kernel *kernel_of(fh_job *job, const fh_job_launch *launch) {
  for (int i = 0; i < job->kernel_count; i++)
    if (strcmp(job->kernels[i].name, launch->kernel) == 0 && strcmp(job->kernels[i].device, launch->device) == 0) return &job->kernels[i];
  fh_job_kernel *grown = realloc(job->kernels, (size_t)(job->kernel_count + 1) * sizeof *grown);
  if (!grown) return NULL;
  job->kernels = grown;
  fh_job_kernel *kernel = &grown[job->kernel_count++];
  *kernel = (fh_job_kernel){0};
  snprintf(kernel->name, sizeof kernel->name, "%s", launch->kernel);
  snprintf(kernel->device, sizeof kernel->device, "%s", launch->device);
  return kernel;
}

static void add_to(fh_job_kernel *kernel, const fh_job_launch *launch, const fh_limits *limits, double launch_seconds) {
  kernel->launches++;
  kernel->seconds += launch->seconds;
  if (launch->seconds >= kernel->longest) {
    kernel->longest = launch->seconds;
    snprintf(kernel->slowest, sizeof kernel->slowest, "%s", launch->label);
  }
  const double peak = limits->flops[peak_of(launch->label)];
  const double apart = launch->elements_bytes > 0 ? fmax(1, launch->lines_bytes / launch->elements_bytes) : 1;
  const double moved = launch->bytes * apart; /* as the data lie */
  const fh_level *level = fh_limits_level(limits, moved);
  const double compute = peak > 0 ? launch->operations / peak : 0, memory = level->copy > 0 ? moved / level->copy : 0;
  kernel->compute_seconds += compute;
  kernel->memory_seconds += memory;
  kernel->limit_seconds += fmax(compute, memory);
  if (launch->lines_bytes < sparse_from * launch->elements_bytes || launch->elements_bytes <= 0) return;
  kernel->sparse_launches++;
  kernel->sparse_seconds += launch->seconds;
  kernel->sparse_elements_bytes += launch->elements_bytes;
  kernel->sparse_lines_bytes += launch->lines_bytes;
  kernel->dense_seconds +=
      fh_job_dense_seconds(launch->seconds, launch->lines_bytes, fh_limits_level(limits, launch->lines_bytes)->read, launch->elements_bytes,
                           fh_limits_level(limits, launch->elements_bytes)->read, fmax(compute, launch_seconds));
}

static int by_start(const void *a, const void *b) {
  const double x = ((const fh_job_launch *)a)->at, y = ((const fh_job_launch *)b)->at;
  return (x > y) - (x < y);
}

static int by_seconds(const void *a, const void *b) {
  const double x = ((const fh_job_kernel *)a)->seconds, y = ((const fh_job_kernel *)b)->seconds;
  return (x < y) - (x > y);
}

/* Seconds in which at least one launch ran. Launches come by their start. */
static double covered(const fh_job_trace *trace) {
  double sum = 0, until = 0;
  for (int64_t i = 0; i < trace->count; i++) {
    const double start = fmax(trace->launches[i].at, until), end = trace->launches[i].at + trace->launches[i].seconds;
    if (end <= start) continue;
    sum += end - start;
    until = end;
  }
  return sum;
}

fh_status fh_job_sum(fh_job_trace *trace, const fh_job_end *end, fh_job *out_job) {
  *out_job = (fh_job){.wall = end->wall, .processor = end->processor, .read_bytes = end->read_bytes, .written_bytes = end->written_bytes};
  if (trace->count == 0) return FH_OK;
  fh_limits limits;
  FH_TRY(measure_machine(trace, &limits));
  FH_TRY(measure_launch(&out_job->launch_seconds));
  const fh_level *dram = &limits.levels[FH_LEVEL_COUNT - 1];
  out_job->copy_rate = fmax(dram->copy, dram->stream);
  qsort(trace->launches, (size_t)trace->count, sizeof *trace->launches, by_start);
  out_job->kernel_seconds = covered(trace);
  for (int64_t i = 0; i < trace->count; i++) {
    fh_job_kernel *kernel = kernel_of(out_job, &trace->launches[i]);
    if (!kernel) {
      fh_job_free(out_job);
      return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the kernels");
    }
    add_to(kernel, &trace->launches[i], &limits, out_job->launch_seconds);
  }
  qsort(out_job->kernels, (size_t)out_job->kernel_count, sizeof *out_job->kernels, by_seconds);
  return FH_OK;
}

void fh_job_free(fh_job *job) {
  free(job->kernels);
  *job = (fh_job){0};
}
