/* devprobe run kmeans: the job on each device, and what was decided. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/random.h"
#include "runtime/base/clock.h"
#include "tools/devprobe/run.h"

enum { DEMO_ROWS = 20000, DEMO_COLUMNS = 64, DEMO_BLOBS = 32, MAX_TIMES = 1 << 16 };

/* ---- made-up data ------------------------------------------------------------------------------------- */

/* Roughly normal, from additions only: the same on every machine, which log and cos are not. */
static double bell(uint64_t *random) {
  double sum = -6;
  for (int i = 0; i < 12; i++) sum += fh_random_unit(random);
  return sum;
}

fh_status fh_run_demo_data(fh_dataset *out_dataset) {
  fh_dataset data = {.n = DEMO_ROWS, .d = DEMO_COLUMNS, .data = malloc(sizeof(float) * DEMO_ROWS * DEMO_COLUMNS)};
  if (!data.data) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the made-up data");
  snprintf(data.format, sizeof data.format, "made up: %d blobs of uneven sizes", DEMO_BLOBS);
  float centers[DEMO_BLOBS][DEMO_COLUMNS];
  uint64_t random = 1;
  for (int b = 0; b < DEMO_BLOBS; b++)
    for (int l = 0; l < DEMO_COLUMNS; l++) centers[b][l] = (float)(4 * bell(&random));
  for (int64_t i = 0; i < DEMO_ROWS; i++) {
    double u = fh_random_unit(&random);
    int blob = (int)(u * u * DEMO_BLOBS);
    for (int l = 0; l < DEMO_COLUMNS; l++) data.data[i * DEMO_COLUMNS + l] = centers[blob][l] + (float)bell(&random);
  }
  *out_dataset = data;
  return FH_OK;
}

/* ---- one run ------------------------------------------------------------------------------------------ */

typedef struct clock_book {
  const char *device;
  int k;
  double seconds[MAX_TIMES];
  int count;
} clock_book;

static bool note_iteration(void *user, int iteration, double inertia, double seconds) {
  (void)inertia;
  clock_book *book = user;
  if (book->count < MAX_TIMES) book->seconds[book->count++] = seconds;
  fh_cli_progress_update("k-means k=%d on %s, iteration %d", book->k, book->device, iteration);
  return true;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int compare_sizes(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static void fill_row(fh_kmeans_result *result, clock_book *book, fh_run_row *row) {
  row->iterations = result->iterations;
  row->empty_reseeded = result->empty_reseeded;
  row->converged = result->converged;
  row->inertia = result->inertia;
  row->seconds = result->seconds_iterations / result->iterations;
  qsort(book->seconds, (size_t)book->count, sizeof book->seconds[0], compare_doubles);
  row->seconds_median = book->count ? book->seconds[book->count / 2] : row->seconds;
  qsort(result->sizes, (size_t)result->k, sizeof result->sizes[0], compare_sizes);
  row->size_min = result->sizes[0];
  row->size_median = result->sizes[result->k / 2];
  row->size_max = result->sizes[result->k - 1];
}

/* ---- the decision --------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static void say_time(double seconds, char out[24]) { snprintf(out, 24, seconds < 1 ? "%.3g ms" : "%.0f ms", seconds * 1e3); }

/* "predicted 4.1 ms (measured), then opencl:0 31 ms; not cuda:0: rejected ..." */
static void explain_row(const json_t *decision, fh_run_row *row) {
  const json_t *candidates = json_object_get(decision, "candidates");
  char time[24];
  int used = 0, others = 0;
  snprintf(row->variant, sizeof row->variant, "%s", text_of(decision, "chosen"));
  row->why[0] = 0;
  size_t index;
  json_t *c;
  json_array_foreach(candidates, index, c) {
    say_time(json_number_value(json_object_get(c, "predicted_seconds")), time);
    const char *kind = text_of(c, "prediction");
    if (strstr(kind, "guess")) kind = "a guess";
    bool may = json_is_true(json_object_get(c, "may_run"));
    if (json_is_true(json_object_get(c, "chosen"))) {
      used = snprintf(row->why, sizeof row->why, "predicted %s (%s)", time, kind);
    } else if (may && others++ == 0 && used < (int)sizeof row->why) {
      used += snprintf(row->why + used, sizeof row->why - (size_t)used, "; next %s %s (%s)", text_of(c, "variant"), time, kind);
    }
  }
}

/* Where a kernel really ran, by the context's own account. */
static void executed_on(const json_t *report, const char *kernel, char *out, size_t size) {
  size_t index, used = 0;
  json_t *work;
  out[0] = 0;
  json_array_foreach(json_object_get(report, "work"), index, work) {
    if (strcmp(text_of(work, "kernel"), kernel) != 0 || json_integer_value(json_object_get(work, "executed")) == 0) continue;
    int added = snprintf(out + used, size - used, "%s%s", used ? "+" : "", text_of(work, "device"));
    if (added < 0 || used + (size_t)added >= size) return;
    used += (size_t)added;
  }
}

static json_t *parse_and_free(char *text) {
  json_t *value = text ? json_loads(text, 0, NULL) : NULL;
  free(text);
  return value;
}

static fh_status account(fh_context *context, const fh_run *run, int k, fh_run_row *row) {
  const fh_kernel *assign = NULL;
  FH_TRY(fh_kernel_find("kmeans_assign", &assign));
  fh_view_spec specs[4] = {{FH_F32, FH_SHAPE(run->data.n, run->data.d)},
                           {FH_F32, FH_SHAPE(k, run->data.d)},
                           {FH_I32, FH_SHAPE(run->data.n)},
                           {FH_F32, FH_SHAPE(run->data.n)}};
  char *text = NULL;
  FH_TRY(fh_explain_shapes(fh_context_queue(context), assign, specs, 4, NULL, 0, true, &text));
  row->decision = parse_and_free(text);
  explain_row(row->decision, row);
  FH_TRY(fh_report(context, true, &text));
  json_t *report = parse_and_free(text);
  executed_on(report, "kmeans_assign", row->executed, sizeof row->executed);
  json_decref(report);
  fh_counters counters;
  fh_context_counters(context, &counters);
  row->elsewhere = counters.executed_elsewhere;
  return FH_OK;
}

/* ---- devices -------------------------------------------------------------------------------------------- */

static fh_status open_device(const fh_run *run, const char *device, fh_context **out_context) {
  fh_context_options options = {
      .devices = *device ? device : NULL, .numerics = run->numerics, .allow_fake = run->cli->given[FH_OPT_ALLOW_FAKE] > 0};
  return fh_context_create(&options, out_context);
}

static fh_status view_data(const fh_run *run, fh_context *context, fh_view *out_view) {
  return fh_view_wrap(context, run->data.data, FH_F32, FH_SHAPE(run->data.n, run->data.d), FH_ROW_MAJOR, FH_READ, out_view);
}

static fh_status make_start(fh_run *run, int k_index, fh_context *context, const fh_view *x, const char *device, float **out_start) {
  int k = run->ks[k_index];
  float *start = calloc((size_t)k * (size_t)run->data.d, sizeof *start);
  if (!start) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for %d centroids", k);
  fh_cli_progress_update("k-means++ k=%d on %s", k, *device ? device : "the planner's device");
  double before = fh_now_seconds();
  fh_status status = fh_kmeans_start(fh_context_queue(context), x, k, (uint64_t)run->seed, start);
  run->seconds_start[k_index] = fh_now_seconds() - before;
  snprintf(run->start_device[k_index], sizeof run->start_device[0], "%s", *device ? device : "the planner's device");
  if (status) {
    free(start);
    return status;
  }
  *out_start = start;
  return FH_OK;
}

static fh_status run_kmeans(const fh_run *run, int k, fh_context *context, const fh_view *x, const float *start, fh_run_row *row) {
  clock_book *book = calloc(1, sizeof *book);
  if (!book) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "out of memory");
  book->device = row->device;
  book->k = k;
  fh_kmeans_options options = {.k = k, .max_iterations = (int)run->iterations, .start = start, .progress = note_iteration, .user = book};
  fh_kmeans_result result;
  fh_status status = fh_kmeans(fh_context_queue(context), x, &options, &result);
  if (!status) {
    fill_row(&result, book, row);
    fh_kmeans_result_free(&result);
    status = account(context, run, k, row);
  }
  free(book);
  return status;
}

/* One device: makes the start when there is none yet. */
static fh_status run_device(fh_run *run, int k_index, const char *device, float **start, fh_run_row *row) {
  fh_context *context = NULL;
  fh_view x = {0};
  FH_TRY(open_device(run, device, &context));
  fh_status status = view_data(run, context, &x);
  if (!status && !*start) status = make_start(run, k_index, context, &x, device, start);
  if (!status) status = run_kmeans(run, run->ks[k_index], context, &x, *start, row);
  fh_view_release(&x);
  fh_context_release(context);
  return status;
}

/* A device that was named must work; one of --all-devices that fails is a row that says why. */
fh_status fh_run_devices(fh_run *run, int k_index, float **out_start) {
  *out_start = NULL;
  for (int i = 0; i < run->devices.count; i++) {
    fh_run_row *row = &run->rows[run->row_count];
    *row = (fh_run_row){.k = run->ks[k_index]};
    snprintf(row->device, sizeof row->device, "%s", *run->devices.ids[i] ? run->devices.ids[i] : "planner");
    fh_status status = run_device(run, k_index, run->devices.ids[i], out_start, row);
    if (status && (run->devices.count == 1 || fh_status_code(status) == FH_INVALID_ARGUMENT)) return status;
    snprintf(row->not_run, sizeof row->not_run, "%s", status ? fh_status_message(status) : "");
    fh_status_free(status);
    run->row_count++;
  }
  return FH_OK;
}
