/* Distances, nearest rows and the k-means step through the public calls. SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120
 * What conformance cannot ask: sizes at which the rows are shared among threads, ties across their borders, messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include <foghorn/foghorn.h>

#include "tests/support/expect.h"

static uint32_t state = 1;

static float uniform(void) {
  state = state * 1664525u + 1013904223u;
  return (float)(int32_t)state * 0x1p-31f;
}

static float *random_rows(int64_t n, int64_t d) {
  float *rows = malloc((size_t)(n * d + 1) * sizeof *rows);
  assert_non_null(rows);
  for (int64_t i = 0; i < n * d; i++) rows[i] = uniform();
  return rows;
}

static fh_context *open_cpu(int threads) {
  fh_context *context;
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.policy = FH_CPU_ONLY, .threads = threads}, &context));
  return context;
}

static fh_view wrap(fh_context *context, void *data, fh_dtype type, int64_t rows, int64_t cols, fh_access access) {
  fh_view view;
  FH_EXPECT_OK(fh_view_wrap(context, data, type, FH_SHAPE(rows, cols), FH_ROW_MAJOR, access, &view));
  return view;
}

/* ---- topk ------------------------------------------------------------------------------------------ */

typedef struct found {
  float *values;
  int32_t *indexes;
} found;

static fh_status search(fh_context *context, fh_metric metric, float *q, float *x, int64_t m, int64_t n, int64_t d, int64_t k, found *out) {
  out->values = calloc((size_t)(m * k), sizeof(float));
  out->indexes = calloc((size_t)(m * k), sizeof(int32_t));
  assert_true(out->values && out->indexes);
  fh_view views[] = {wrap(context, q, FH_F32, m, d, FH_READ), wrap(context, x, FH_F32, n, d, FH_READ),
                     wrap(context, out->values, FH_F32, m, k, FH_WRITE), wrap(context, out->indexes, FH_I32, m, k, FH_WRITE)};
  fh_status status = fh_topk(fh_context_queue(context), metric, &views[0], &views[1], &views[2], &views[3], NULL);
  if (!status) status = fh_queue_finish(fh_context_queue(context));
  for (int i = 0; i < 4; i++) fh_view_release(&views[i]);
  return status;
}

static void free_found(found *f) {
  free(f->values);
  free(f->indexes);
}

/* Small whole numbers: distances are exact, so the answer is one, ties and all; many rows are equal. */
static void nearest_by_hand(const float *q, const float *x, int64_t n, int64_t d, fh_metric metric, int64_t k, float *values,
                            int32_t *indexes) {
  const float sign = metric == FH_METRIC_DOT ? -1 : 1;
  for (int64_t i = 0; i < k; i++) values[i] = sign * INFINITY, indexes[i] = -1;
  for (int64_t row = 0; row < n; row++) {
    float value = 0;
    for (int64_t l = 0; l < d; l++) {
      const float difference = q[l] - x[row * d + l];
      value += metric == FH_METRIC_DOT ? q[l] * x[row * d + l] : difference * difference;
    }
    int64_t at = k;
    while (at > 0 && sign * values[at - 1] > sign * value) at--;
    for (int64_t i = k - 1; i > at; i--) values[i] = values[i - 1], indexes[i] = indexes[i - 1];
    if (at < k) values[at] = value, indexes[at] = (int32_t)row;
  }
}

static void ties_and_threads(void **unused) {
  (void)unused;
  static const struct {
    int64_t m, n, d, k;
  } shapes[] = {{1, 40000, 5, 10}, {3, 70000, 9, 100}, {8, 40000, 24, 10}, {33, 20000, 12, 7}, {300, 1500, 6, 13}, {2, 50, 4, 60}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    const int64_t m = shapes[s].m, n = shapes[s].n, d = shapes[s].d, k = shapes[s].k;
    float *q = random_rows(m, d), *x = random_rows(n, d), *values = malloc((size_t)k * sizeof *values);
    int32_t *indexes = malloc((size_t)k * sizeof *indexes);
    assert_true(values && indexes);
    for (int64_t i = 0; i < m * d; i++) q[i] = floorf(3 * q[i]);
    for (int64_t i = 0; i < n * d; i++) x[i] = floorf(3 * x[i]);
    for (int threads = 1; threads <= 3; threads++) {
      for (fh_metric metric = FH_METRIC_L2; metric <= FH_METRIC_DOT; metric++) {
        fh_context *context = open_cpu(threads);
        found f;
        FH_EXPECT_OK(search(context, metric, q, x, m, n, d, k, &f));
        for (int64_t i = 0; i < m; i++) {
          nearest_by_hand(q + i * d, x, n, d, metric, k, values, indexes);
          assert_memory_equal(f.indexes + i * k, indexes, (size_t)k * sizeof *indexes);
          for (int64_t j = 0; j < k; j++) assert_true(f.values[i * k + j] == values[j]);
        }
        free_found(&f);
        fh_context_release(context);
      }
    }
    free(q), free(x), free(values), free(indexes);
  }
}

static void rows_that_are_no_neighbours(void **unused) {
  (void)unused;
  enum { N = 100, D = 20, K = 5 };
  fh_context *context = open_cpu(1);
  float *x = random_rows(N, D), *q = random_rows(1, D);
  for (int i = 0; i < N; i++) x[i * D + i % D] = i % 2 ? NAN : i % 4 ? INFINITY : -INFINITY;
  for (int l = 0; l < D; l++) x[70 * D + l] = q[l], x[31 * D + l] = q[l];
  found f;
  FH_EXPECT_OK(search(context, FH_METRIC_L2, q, x, 1, N, D, K, &f));
  assert_int_equal(f.indexes[0], 31);
  assert_int_equal(f.indexes[1], 70);
  assert_true(f.values[0] == 0 && f.values[1] == 0);
  for (int j = 2; j < K; j++) assert_true(f.indexes[j] == -1 && f.values[j] == INFINITY);
  free_found(&f);
  for (int i = 0; i < N * D; i++) x[i] = NAN;
  FH_EXPECT_OK(search(context, FH_METRIC_DOT, q, x, 1, N, D, K, &f));
  for (int j = 0; j < K; j++) assert_true(f.indexes[j] == -1 && f.values[j] == -INFINITY);
  free_found(&f);
  free(x), free(q);
  fh_context_release(context);
}

static void refusals(void **unused) {
  (void)unused;
  fh_context *context = open_cpu(1);
  fh_queue *queue = fh_context_queue(context);
  float x[12] = {0}, out[9] = {0};
  int32_t indexes[9] = {0};
  fh_view a = wrap(context, x, FH_F32, 3, 4, FH_READ), b = wrap(context, x, FH_F32, 4, 3, FH_READ);
  fh_view o = wrap(context, out, FH_F32, 3, 3, FH_WRITE), i = wrap(context, indexes, FH_I32, 3, 3, FH_WRITE);
  const fh_code bad = FH_INVALID_ARGUMENT;
  fh_expect_fails(fh_topk(queue, FH_METRIC_COSINE, &a, &a, &o, &i, NULL), bad, "metric is 2");
  fh_expect_fails(fh_topk(queue, (fh_metric)-1, &a, &a, &o, &i, NULL), bad, "metric is");
  fh_expect_fails(fh_topk(queue, FH_METRIC_L2, &a, &b, &o, &i, NULL), bad, "x has shape (4, 3)");
  fh_expect_fails(fh_topk(queue, FH_METRIC_L2, &a, &a, &i, &i, NULL), bad, "values has type i32");
  fh_expect_fails(fh_pairwise_distance(queue, (fh_metric)3, &a, &a, &o, NULL), bad, "metric is 3");
  fh_expect_fails(fh_pairwise_distance(queue, FH_METRIC_L2, &a, &b, &o, NULL), bad, "y has shape (4, 3)");
  fh_view *const views[] = {&a, &b, &o, &i};
  for (size_t v = 0; v < sizeof views / sizeof *views; v++) fh_view_release(views[v]);
  fh_context_release(context);
}

/* ---- pairs ----------------------------------------------------------------------------------------- */

/* Sizes with several blocks and tasks; a column-major result; no distance of a row to itself but 0. */
static void pairs_of_many(void **unused) {
  (void)unused;
  enum { M = 301, N = 1203, D = 70 };
  float *x = random_rows(M, D), *y = random_rows(N, D), *out = malloc(sizeof(float) * M * N);
  assert_non_null(out);
  memcpy(y + 17 * D, x + 200 * D, D * sizeof *x);
  for (int threads = 1; threads <= 2; threads++) {
    for (int turned = 0; turned < 2; turned++) {
      fh_context *context = open_cpu(threads);
      fh_view a = wrap(context, x, FH_F32, M, D, FH_READ), b = wrap(context, y, FH_F32, N, D, FH_READ), o;
      FH_EXPECT_OK(fh_view_wrap(context, out, FH_F32, FH_SHAPE(M, N), turned ? FH_COL_MAJOR : FH_ROW_MAJOR, FH_WRITE, &o));
      memset(out, 0xff, sizeof(float) * M * N);
      FH_EXPECT_OK(fh_pairwise_distance(fh_context_queue(context), FH_METRIC_L2, &a, &b, &o, NULL));
      FH_EXPECT_OK(fh_view_sync(&o));
      for (int i = 0; i < M; i++) {
        for (int j = 0; j < N; j++) {
          double want = 0;
          for (int l = 0; l < D; l++) want += pow((double)x[i * D + l] - (double)y[j * D + l], 2);
          const double got = (double)out[turned ? j * M + i : i * N + j];
          if (!(fabs(got - want) <= (D + 4) * 0x1p-23 * want)) fail_msg("%d %d: %g, expected %g", i, j, got, want);
        }
      }
      fh_view_release(&a), fh_view_release(&b), fh_view_release(&o);
      fh_context_release(context);
    }
  }
  free(x), free(y), free(out);
}

/* ---- the k-means step -------------------------------------------------------------------------------- */

typedef struct clusters {
  fh_view x, c, labels, distances, sums, counts;
} clusters;

static clusters open_clusters(fh_context *context, float *x, float *c, int64_t n, int64_t d, int64_t k) {
  clusters v = {.x = wrap(context, x, FH_F32, n, d, FH_READ), .c = wrap(context, c, FH_F32, k, d, FH_READ)};
  FH_EXPECT_OK(fh_view_create(context, FH_I32, FH_SHAPE(n), FH_ROW_MAJOR, &v.labels));
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(n), FH_ROW_MAJOR, &v.distances));
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(k, d), FH_ROW_MAJOR, &v.sums));
  FH_EXPECT_OK(fh_view_create(context, FH_I32, FH_SHAPE(k), FH_ROW_MAJOR, &v.counts));
  return v;
}

static void close_clusters(clusters *v) {
  fh_view *const views[] = {&v->x, &v->c, &v->labels, &v->distances, &v->sums, &v->counts};
  for (size_t i = 0; i < sizeof views / sizeof *views; i++) fh_view_release(views[i]);
}

static void *host(const fh_view *view) {
  void *data;
  FH_EXPECT_OK(fh_view_map(view, FH_READ, &data));
  return data;
}

/* Sums and counts are the bits of fh_kmeans_update on the same labels, on any number of threads; equal centroids do not share rows. */
static void step_is_assign_and_update(void **unused) {
  (void)unused;
  static const int64_t shapes[][3] = {{7, 5, 3}, {5000, 20, 9}, {20011, 33, 40}, {3000, 7, 400}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    const int64_t n = shapes[s][0], d = shapes[s][1], k = shapes[s][2];
    float *x = random_rows(n, d), *c = random_rows(k, d);
    memcpy(c + (k - 1) * d, c, (size_t)d * sizeof *c);
    for (int threads = 1; threads <= 3; threads++) {
      fh_context *context = open_cpu(threads);
      clusters v = open_clusters(context, x, c, n, d, k);
      fh_view sums, counts;
      FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(k, d), FH_ROW_MAJOR, &sums));
      FH_EXPECT_OK(fh_view_create(context, FH_I32, FH_SHAPE(k), FH_ROW_MAJOR, &counts));
      FH_EXPECT_OK(fh_kmeans_step(fh_context_queue(context), &v.x, &v.c, &v.labels, &v.distances, &v.sums, &v.counts, NULL));
      FH_EXPECT_OK(fh_kmeans_update(fh_context_queue(context), &v.x, &v.labels, &sums, &counts, NULL));
      assert_memory_equal(host(&v.sums), host(&sums), (size_t)(k * d) * sizeof(float));
      assert_memory_equal(host(&v.counts), host(&counts), (size_t)k * sizeof(int32_t));
      assert_int_equal(((const int32_t *)host(&counts))[k - 1], 0);
      fh_view_release(&sums), fh_view_release(&counts);
      close_clusters(&v);
      fh_context_release(context);
    }
    free(x), free(c);
  }
}

static void rows_that_are_refused(void **unused) {
  (void)unused;
  enum { N = 900, D = 11, K = 6 };
  fh_context *context = open_cpu(1);
  fh_queue *queue = fh_context_queue(context);
  float *x = random_rows(N, D), *c = random_rows(K, D);
  const fh_code bad = FH_INVALID_ARGUMENT;
  for (int where = 0; where < N; where += 449) {
    const float was = x[where * D + 4];
    x[where * D + 4] = where ? NAN : -INFINITY;
    clusters v = open_clusters(context, x, c, N, D, K);
    char expected[64];
    snprintf(expected, sizeof expected, "row %d of x has %s in column 4", where, where ? "nan" : "-inf");
    fh_expect_fails(fh_kmeans_assign(queue, &v.x, &v.c, &v.labels, &v.distances, NULL), bad, expected);
    fh_expect_fails(fh_kmeans_step(queue, &v.x, &v.c, &v.labels, &v.distances, &v.sums, &v.counts, NULL), bad, expected);
    fh_event event;
    FH_EXPECT_OK(fh_kmeans_assign(queue, &v.x, &v.c, &v.labels, &v.distances, &event));
    FH_EXPECT_OK(fh_event_wait(event, FH_FOREVER));
    fh_expect_fails(fh_kmeans_check(&v.x, &v.distances), bad, expected);
    close_clusters(&v);
    x[where * D + 4] = was;
  }
  x[5] = 3e30f; /* finite, but its distance is not: no fault of the row */
  clusters v = open_clusters(context, x, c, N, D, K);
  FH_EXPECT_OK(fh_kmeans_assign(queue, &v.x, &v.c, &v.labels, &v.distances, NULL));
  fh_expect_fails(fh_kmeans_check(&v.x, &v.x), bad, "both f32 or both f64");
  fh_expect_fails(fh_kmeans_check(NULL, &v.distances), bad, "x is NULL");
  close_clusters(&v);
  free(x), free(c);
  fh_context_release(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ties_and_threads), cmocka_unit_test(rows_that_are_no_neighbours), cmocka_unit_test(refusals),
      cmocka_unit_test(pairs_of_many),    cmocka_unit_test(step_is_assign_and_update),   cmocka_unit_test(rows_that_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
