/* k-means: a k-means++ start and Lloyd's iterations, with two kernels and little else. SPDX-License-Identifier: Apache-2.0
 *
 * The device does what is n * k * d; the host does what is n or k * d, in a fixed order, so that the result depends
 * on nothing but what the kernels return: with FH_EXACT it is the same bits on every device.
 */
#include <foghorn/kmeans.h>

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <foghorn/kernels.h>
#include <foghorn/neighbours.h>

#include "algorithms/random.h"
#include "runtime/base/clock.h"

enum { DEFAULT_ITERATIONS = 300 };

/* What both halves work on. Host pointers are those of the views, valid after a map. */
typedef struct job {
  fh_queue *queue;
  fh_context *context;
  const fh_view *x;
  const float *x_data; /* element 0,0 */
  int64_t n, d;
  int k;
  fh_view centroids, labels, distances, sums, counts;
} job;

static float x_at(const job *j, int64_t row, int64_t column) { return j->x_data[row * j->x->strides[0] + column * j->x->strides[1]]; }

static void copy_row(const job *j, int64_t row, float *out) {
  for (int64_t l = 0; l < j->d; l++) out[l] = x_at(j, row, l);
}

/* ---- checks ------------------------------------------------------------------------------------------- */

static fh_status check_view(const char *call, const fh_view *x) {
  if (!x) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: x is NULL: expected a view of f32 rows, shape (n, d)", call);
  FH_TRY(fh_view_check(x));
  if (x->dtype != FH_F32 || x->rank != 2)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: x is %s of rank %d: expected f32 of rank 2, shape (n, d)", call, fh_dtype_name(x->dtype),
                     x->rank);
  if (x->shape[1] < 1) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: x has rows of no columns: expected d >= 1", call);
  if (x->shape[0] > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: x has %" PRId64 " rows: expected at most %d (sizes are i32)", call, x->shape[0], INT32_MAX);
  return FH_OK;
}

static fh_status check_k(const char *call, const fh_view *x, int k) {
  if (k < 1) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: k is %d: expected at least 1", call, k);
  if (k > x->shape[0])
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: k is %d, but x has only %" PRId64 " rows: expected k <= n", call, k, x->shape[0]);
  return FH_OK;
}

/* The place of the first NaN or infinity in a row; -1: none. The first loop is there to be vectorized. */
static int64_t bad_column(const float *row, int64_t d, int64_t stride) {
  unsigned bad = 0;
  for (int64_t l = 0; l < d; l++) bad |= !(fabsf(row[l * stride]) <= FLT_MAX);
  for (int64_t l = 0; bad && l < d; l++)
    if (!isfinite(row[l * stride])) return l;
  return -1;
}

static fh_status check_finite(const char *call, const char *what, const float *data, int64_t rows, int64_t d, int64_t row_stride,
                              int64_t stride) {
  for (int64_t i = 0; i < rows; i++) {
    int64_t column = bad_column(data + i * row_stride, d, stride);
    if (column >= 0)
      return FH_STATUS(FH_INVALID_ARGUMENT,
                       "%s: row %" PRId64 " of %s has %g in column %" PRId64 ": expected finite numbers\nnext: remove or fill such rows",
                       call, i, what, (double)data[i * row_stride + column * stride], column);
  }
  return FH_OK;
}

static fh_status job_open(const char *call, fh_queue *queue, const fh_view *x, int k, job *j) {
  *j = (job){.queue = queue, .x = x, .k = k};
  if (!queue) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: queue is NULL: expected fh_context_queue(context) or a queue of your own", call);
  if (fh_queue_captures(queue))
    return FH_STATUS(FH_FAILED_PRECONDITION,
                     "%s: the queue captures, and the call computes between its launches\nnext step: fh_queue_capture_end first", call);
  FH_TRY(check_view(call, x));
  FH_TRY(check_k(call, x, k));
  j->context = fh_queue_context(queue);
  j->n = x->shape[0];
  j->d = x->shape[1];
  void *data = NULL;
  FH_TRY(fh_view_map(x, FH_READ, &data));
  j->x_data = data;
  FH_TRY(check_finite(call, "x", j->x_data, j->n, j->d, x->strides[0], x->strides[1]));
  FH_TRY(fh_view_create(j->context, FH_I32, FH_SHAPE(j->n), FH_ROW_MAJOR, &j->labels));
  return fh_view_create(j->context, FH_F32, FH_SHAPE(j->n), FH_ROW_MAJOR, &j->distances);
}

static void job_close(job *j) {
  fh_view_release(&j->counts);
  fh_view_release(&j->sums);
  fh_view_release(&j->distances);
  fh_view_release(&j->labels);
  fh_view_release(&j->centroids);
}

/* ---- kernels ------------------------------------------------------------------------------------------ */

static fh_status set_centroids(job *j, const float *values, int64_t count) {
  void *data = NULL;
  FH_TRY(fh_view_map(&j->centroids, FH_WRITE, &data));
  memcpy(data, values, (size_t)count * sizeof(float));
  return FH_OK;
}

static fh_status wait_and_map(fh_event event, const fh_view *view, void **out_data) {
  FH_TRY(fh_event_wait(event, FH_FOREVER));
  return fh_view_map(view, FH_READ, out_data);
}

/* Nearest centroids of all rows; *out_distances on the host. Distances that do not fit a float mean the data do not. */
static fh_status assign(job *j, fh_event *out_event) {
  return fh_kmeans_assign(j->queue, j->x, &j->centroids, &j->labels, &j->distances, out_event);
}

static fh_status overflow_at(const char *call, int64_t row) {
  return FH_STATUS(FH_INVALID_ARGUMENT,
                   "%s: the squared distance of row %" PRId64 " to its centroid does not fit f32 (3.4e38)\nnext: scale the data down", call,
                   row);
}

/* ---- k-means++ ---------------------------------------------------------------------------------------- */

/* Lowers each row's distance to the nearest chosen row; the sum in row order. */
static fh_status lower(const char *call, const float *distances, int64_t n, float *nearest, double *out_sum) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!(distances[i] <= FLT_MAX)) return overflow_at(call, i);
    if (distances[i] < nearest[i]) nearest[i] = distances[i];
    sum += nearest[i];
  }
  *out_sum = sum;
  return FH_OK;
}

/* The row where the running sum passes u * sum; any row when all are chosen already (fewer distinct rows than k). */
static int64_t draw_row(const float *nearest, int64_t n, double sum, double u) {
  if (!(sum > 0)) return (int64_t)(u * (double)n);
  double target = u * sum, running = 0;
  int64_t last = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!(nearest[i] > 0)) continue;
    running += nearest[i];
    last = i;
    if (running > target) break;
  }
  return last;
}

static fh_status start_rows(const char *call, job *j, uint64_t seed, float *nearest, float *out_start) {
  uint64_t random = seed;
  int64_t row = (int64_t)(fh_random_unit(&random) * (double)j->n);
  for (int64_t i = 0; i < j->n; i++) nearest[i] = FLT_MAX;
  for (int c = 0;; c++) {
    float *chosen = out_start + (int64_t)c * j->d;
    copy_row(j, row, chosen);
    if (c + 1 == j->k) return FH_OK;
    FH_TRY(set_centroids(j, chosen, j->d));
    fh_event event;
    FH_TRY(assign(j, &event));
    void *distances = NULL;
    FH_TRY(wait_and_map(event, &j->distances, &distances));
    nearest[row] = 0; /* whatever rounding says: it must not be drawn again while others can */
    double sum = 0;
    FH_TRY(lower(call, distances, j->n, nearest, &sum));
    row = draw_row(nearest, j->n, sum, fh_random_unit(&random));
  }
}

static fh_status start_with(const char *call, job *j, uint64_t seed, float *out_start) {
  FH_TRY(fh_view_create(j->context, FH_F32, FH_SHAPE(1, j->d), FH_ROW_MAJOR, &j->centroids));
  float *nearest = malloc((size_t)j->n * sizeof *nearest);
  if (!nearest) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: no memory for %" PRId64 " distances", call, j->n);
  fh_status status = start_rows(call, j, seed, nearest, out_start);
  free(nearest);
  fh_view_release(&j->centroids);
  return status;
}

fh_status fh_kmeans_start(fh_queue *queue, const fh_view *x, int k, uint64_t seed, float *out_start) {
  if (!out_start) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kmeans_start: out_start is NULL: expected room for k x d floats");
  job j;
  fh_status status = job_open("fh_kmeans_start", queue, x, k, &j);
  if (!status) status = start_with("fh_kmeans_start", &j, seed, out_start);
  job_close(&j);
  return status;
}

/* ---- Lloyd -------------------------------------------------------------------------------------------- */

/* One iteration's results on the host. */
typedef struct step {
  const int32_t *labels;
  const float *distances;
  double inertia;
} step;

/* The sum of squared distances, in row order. */
static fh_status add_up(const float *distances, int64_t n, double *out_inertia) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!(distances[i] <= FLT_MAX)) return overflow_at("fh_kmeans", i);
    sum += distances[i];
  }
  *out_inertia = sum;
  return FH_OK;
}

static fh_status collect(job *j, fh_event event, step *out) {
  void *labels = NULL, *distances = NULL;
  FH_TRY(wait_and_map(event, &j->labels, &labels));
  FH_TRY(fh_view_map(&j->distances, FH_READ, &distances));
  out->labels = labels;
  out->distances = distances;
  return add_up(distances, j->n, &out->inertia);
}

/* The row farthest from its centroid that is not alone in its cluster and not taken yet; the lowest of equals. -1: none
 * is away from its centroid at all. */
static int64_t farthest_row(const step *s, int64_t n, const int32_t *counts, const unsigned char *taken) {
  int64_t best = -1;
  float distance = 0;
  for (int64_t i = 0; i < n; i++) {
    if (s->distances[i] > distance && !taken[i] && counts[s->labels[i]] > 1) {
      distance = s->distances[i];
      best = i;
    }
  }
  return best;
}

/* Gives each empty cluster, lowest first, the farthest row, which its old cluster loses. */
static fh_status fill_empty(const job *j, const step *s, float *sums, int32_t *counts, int *out_filled) {
  unsigned char *taken = NULL;
  for (int c = 0; c < j->k; c++) {
    if (counts[c]) continue;
    if (!taken) taken = calloc((size_t)j->n, 1);
    if (!taken) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_kmeans: no memory for %" PRId64 " marks", j->n);
    int64_t row = farthest_row(s, j->n, counts, taken);
    if (row < 0) break;
    taken[row] = 1;
    int64_t from = s->labels[row];
    for (int64_t l = 0; l < j->d; l++) sums[from * j->d + l] -= x_at(j, row, l);
    counts[from]--;
    copy_row(j, row, sums + (int64_t)c * j->d);
    counts[c] = 1;
    (*out_filled)++;
  }
  free(taken);
  return FH_OK;
}

/* New centroids from sums and counts; a cluster that stays empty keeps its own. Returns the squared shift. */
static double move_centroids(const job *j, const float *sums, const int32_t *counts, float *centroids) {
  double shift = 0;
  for (int64_t c = 0; c < j->k; c++) {
    if (!counts[c]) continue;
    for (int64_t l = 0; l < j->d; l++) {
      float mean = (float)((double)sums[c * j->d + l] / counts[c]);
      double moved = (double)mean - (double)centroids[c * j->d + l];
      shift += moved * moved;
      centroids[c * j->d + l] = mean;
    }
  }
  return shift;
}

static fh_status update(job *j, const step *s, float *centroids, fh_kmeans_result *result, double *out_shift) {
  void *sums = NULL, *counts = NULL;
  FH_TRY(fh_view_map(&j->sums, FH_READ_WRITE, &sums));
  FH_TRY(fh_view_map(&j->counts, FH_READ_WRITE, &counts));
  FH_TRY(fill_empty(j, s, sums, counts, &result->empty_reseeded));
  *out_shift = move_centroids(j, sums, counts, centroids);
  return FH_OK;
}

/* The mean over columns of their variance, in double, two passes. */
static fh_status mean_variance(const job *j, double *out_variance) {
  double *mean = calloc((size_t)j->d, sizeof *mean), sum = 0;
  if (!mean) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_kmeans: no memory for %" PRId64 " column means", j->d);
  for (int64_t i = 0; i < j->n; i++)
    for (int64_t l = 0; l < j->d; l++) mean[l] += x_at(j, i, l);
  for (int64_t l = 0; l < j->d; l++) mean[l] /= (double)j->n;
  for (int64_t i = 0; i < j->n; i++)
    for (int64_t l = 0; l < j->d; l++) sum += (x_at(j, i, l) - mean[l]) * (x_at(j, i, l) - mean[l]);
  free(mean);
  *out_variance = sum / (double)j->n / (double)j->d;
  return FH_OK;
}

/* Labels and distances that belong to the centroids as they are now. */
static fh_status settle(job *j, fh_kmeans_result *result) {
  FH_TRY(set_centroids(j, result->centroids, (int64_t)j->k * j->d));
  fh_event event;
  FH_TRY(assign(j, &event));
  step s;
  FH_TRY(collect(j, event, &s));
  result->inertia = s.inertia;
  memcpy(result->labels, s.labels, (size_t)j->n * sizeof(int32_t));
  return FH_OK;
}

/* *out_same: no label changed, so the centroids are the means of their clusters
 * already and nothing moves. */
static fh_status iterate(job *j, fh_kmeans_result *result, bool *out_same, double *out_shift) {
  FH_TRY(set_centroids(j, result->centroids, (int64_t)j->k * j->d));
  fh_event done;
  FH_TRY(fh_kmeans_step(j->queue, j->x, &j->centroids, &j->labels, &j->distances, &j->sums, &j->counts, &done));
  step s;
  FH_TRY(collect(j, done, &s));
  result->inertia = s.inertia;
  size_t bytes = (size_t)j->n * sizeof(int32_t);
  *out_same = result->iterations > 0 && memcmp(result->labels, s.labels, bytes) == 0;
  if (*out_same) return FH_OK;
  memcpy(result->labels, s.labels, bytes);
  return update(j, &s, result->centroids, result, out_shift);
}

static fh_status lloyd(job *j, const fh_kmeans_options *options, fh_kmeans_result *result) {
  int limit = options->max_iterations ? options->max_iterations : DEFAULT_ITERATIONS;
  double enough = -1;
  if (options->tolerance > 0) {
    FH_TRY(mean_variance(j, &enough));
    enough *= options->tolerance;
  }
  double start = fh_now_seconds();
  bool same = false, going = true;
  while (going && !result->converged && result->iterations < limit) {
    double before = fh_now_seconds(), shift = 0;
    FH_TRY(iterate(j, result, &same, &shift));
    result->iterations++;
    result->converged = same || shift <= enough;
    if (options->progress) going = options->progress(options->user, result->iterations, result->inertia, fh_now_seconds() - before);
  }
  result->seconds_iterations = fh_now_seconds() - start;
  return same ? FH_OK : settle(j, result);
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static fh_status check_options(const fh_kmeans_options *options, const fh_kmeans_result *out_result) {
  if (!options || !out_result) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kmeans: %s is NULL", options ? "out_result" : "options");
  if (options->max_iterations < 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kmeans: max_iterations is %d: expected 0 (default, %d) or more", options->max_iterations,
                     DEFAULT_ITERATIONS);
  if (!(options->tolerance >= 0) || isinf(options->tolerance))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kmeans: tolerance is %g: expected a finite number >= 0", options->tolerance);
  return FH_OK;
}

static fh_status make_room(job *j, fh_kmeans_result *result) {
  result->n = j->n;
  result->d = j->d;
  result->k = j->k;
  result->labels = malloc((size_t)j->n * sizeof(int32_t));
  result->centroids = calloc((size_t)j->k * (size_t)j->d, sizeof(float));
  result->sizes = calloc((size_t)j->k, sizeof(int32_t));
  if (!result->labels || !result->centroids || !result->sizes)
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_kmeans: no memory for the result of n=%" PRId64 " d=%" PRId64 " k=%d", j->n, j->d, j->k);
  return FH_OK;
}

static fh_status choose_start(job *j, const fh_kmeans_options *options, fh_kmeans_result *result) {
  if (options->start) {
    FH_TRY(check_finite("fh_kmeans", "start", options->start, j->k, j->d, j->d, 1));
    memcpy(result->centroids, options->start, (size_t)j->k * (size_t)j->d * sizeof(float));
    return FH_OK;
  }
  double before = fh_now_seconds();
  FH_TRY(start_with("fh_kmeans", j, options->seed, result->centroids));
  result->seconds_start = fh_now_seconds() - before;
  return FH_OK;
}

static fh_status run(job *j, const fh_kmeans_options *options, fh_kmeans_result *result) {
  FH_TRY(make_room(j, result));
  FH_TRY(choose_start(j, options, result));
  FH_TRY(fh_view_create(j->context, FH_F32, FH_SHAPE(j->k, j->d), FH_ROW_MAJOR, &j->centroids));
  FH_TRY(fh_view_create(j->context, FH_F32, FH_SHAPE(j->k, j->d), FH_ROW_MAJOR, &j->sums));
  FH_TRY(fh_view_create(j->context, FH_I32, FH_SHAPE(j->k), FH_ROW_MAJOR, &j->counts));
  FH_TRY(lloyd(j, options, result));
  for (int64_t i = 0; i < j->n; i++) result->sizes[result->labels[i]]++;
  return FH_OK;
}

fh_status fh_kmeans(fh_queue *queue, const fh_view *x, const fh_kmeans_options *options, fh_kmeans_result *out_result) {
  if (out_result) *out_result = (fh_kmeans_result){0};
  FH_TRY(check_options(options, out_result));
  job j;
  fh_kmeans_result result = {0};
  fh_status status = job_open("fh_kmeans", queue, x, options->k, &j);
  if (!status) status = run(&j, options, &result);
  job_close(&j);
  if (status) {
    fh_kmeans_result_free(&result);
    return status;
  }
  *out_result = result;
  return FH_OK;
}

void fh_kmeans_result_free(fh_kmeans_result *result) {
  if (!result) return;
  free(result->labels);
  free(result->centroids);
  free(result->sizes);
  *result = (fh_kmeans_result){0};
}
