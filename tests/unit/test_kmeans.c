/* k-means against a plain reference, over even, skewed and degenerate data, and on every instruction set here.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants stdarg, stddef, stdint and setjmp first */
#include <cmocka.h>

#include <foghorn/foghorn.h>

#include "tests/support/expect.h"

/* ---- data -------------------------------------------------------------------------------------------- */

static uint32_t random_state;
static double uniform(void) {
  random_state = random_state * 1664525u + 1013904223u;
  return (random_state >> 8) * 0x1p-24;
}

typedef enum shape { EVEN, ZIPF, GIANT, DUPLICATES, FEW_DISTINCT } shape;

/* Which blob row i belongs to. */
static int blob_of(shape s, int64_t i, int blobs) {
  if (s == GIANT) return i % 10 ? 0 : (int)(i / 10 % blobs);
  if (s == ZIPF) return (int)(blobs * pow(uniform(), 3));
  return (int)(i % blobs);
}

static float *make_rows(shape s, int64_t n, int64_t d, int blobs) {
  float *x = malloc((size_t)(n * d) * sizeof *x);
  assert_non_null(x);
  random_state = 1;
  for (int64_t i = 0; i < n; i++) {
    int blob = blob_of(s, i, blobs);
    double width = s == FEW_DISTINCT || (s == DUPLICATES && i % 3 == 0) ? 0 : 1;
    for (int64_t l = 0; l < d; l++)
      x[i * d + l] = (float)(20.0 * ((blob * 7 + l * 3) % 11) + 40.0 * (blob == l) + width * (uniform() - 0.5));
  }
  return x;
}

/* ---- reference ------------------------------------------------------------------------------------------ */

static double distance(const float *a, const float *b, int64_t d) {
  double sum = 0;
  for (int64_t l = 0; l < d; l++) sum += ((double)a[l] - b[l]) * ((double)a[l] - b[l]);
  return sum;
}

static int nearest(const float *row, const float *c, int k, int64_t d) {
  int best = 0;
  for (int j = 1; j < k; j++)
    if (distance(row, c + j * d, d) < distance(row, c + best * d, d)) best = j;
  return best;
}

/* Lloyd without the treatment of empty clusters; the inertia of the last labels and centroids. */
static double reference(const float *x, int64_t n, int64_t d, int k, float *c, int iterations, int32_t *labels) {
  double *sums = malloc((size_t)k * (size_t)d * sizeof *sums), inertia = 0;
  int64_t *counts = malloc((size_t)k * sizeof *counts);
  assert_true(sums && counts);
  for (int it = 0; it <= iterations; it++) {
    memset(sums, 0, (size_t)k * (size_t)d * sizeof *sums);
    memset(counts, 0, (size_t)k * sizeof *counts);
    inertia = 0;
    for (int64_t i = 0; i < n; i++) {
      labels[i] = nearest(x + i * d, c, k, d);
      inertia += distance(x + i * d, c + labels[i] * d, d);
      counts[labels[i]]++;
      for (int64_t l = 0; l < d; l++) sums[labels[i] * d + l] += x[i * d + l];
    }
    for (int j = 0; it < iterations && j < k; j++)
      for (int64_t l = 0; counts[j] && l < d; l++) c[j * d + l] = (float)(sums[j * d + l] / (double)counts[j]);
  }
  free(sums);
  free(counts);
  return inertia;
}

/* ---- what always holds ------------------------------------------------------------------------------------ */

static void check_result(const float *x, const fh_kmeans_result *r) {
  double inertia = 0;
  int64_t total = 0;
  for (int64_t i = 0; i < r->n; i++) {
    assert_in_range(r->labels[i], 0, r->k - 1);
    const float *row = x + i * r->d;
    double own = distance(row, r->centroids + r->labels[i] * r->d, r->d);
    double best = distance(row, r->centroids + nearest(row, r->centroids, r->k, r->d) * r->d, r->d);
    if (own > best * (1 + 1e-4) + 1e-6) fail_msg("row %lld: its centroid is %g away, another %g", (long long)i, own, best);
    inertia += own;
  }
  for (int j = 0; j < r->k; j++) total += r->sizes[j];
  assert_int_equal(total, r->n);
  if (fabs(inertia - r->inertia) > 1e-4 * inertia + 1e-6) fail_msg("inertia %.9g, recomputed %.9g", r->inertia, inertia);
}

typedef struct bench {
  fh_context *context;
  fh_queue *queue;
  fh_view view;
  float *x;
} bench;

static bench open_bench(const fh_context_options *options, float *take_x, int64_t n, int64_t d) {
  bench b = {.x = take_x};
  FH_EXPECT_OK(fh_context_create(options, &b.context));
  b.queue = fh_context_queue(b.context);
  FH_EXPECT_OK(fh_view_wrap(b.context, b.x, FH_F32, FH_SHAPE(n, d), FH_ROW_MAJOR, FH_READ, &b.view));
  return b;
}

static void close_bench(bench *b) {
  fh_view_release(&b->view);
  fh_context_release(b->context);
  free(b->x);
}

static const fh_context_options cpu_only = {.policy = FH_CPU_ONLY};

/* ---- tests ------------------------------------------------------------------------------------------------ */

static void against_reference(shape s, int64_t n, int64_t d, int blobs) {
  bench b = open_bench(&cpu_only, make_rows(s, n, d, blobs), n, d);
  float *start = malloc((size_t)blobs * (size_t)d * sizeof *start);
  int32_t *labels = malloc((size_t)n * sizeof *labels);
  assert_true(start && labels);
  FH_EXPECT_OK(fh_kmeans_start(b.queue, &b.view, blobs, 3, start));
  fh_kmeans_result r;
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = blobs, .start = start}, &r));
  check_result(b.x, &r);
  assert_true(r.converged);
  double want = reference(b.x, n, d, blobs, start, r.iterations, labels);
  if (r.empty_reseeded == 0) {
    if (fabs(r.inertia - want) > 1e-3 * want) fail_msg("shape %d: inertia %.9g, reference %.9g", s, r.inertia, want);
    assert_memory_equal(r.labels, labels, (size_t)n * sizeof *labels);
  }
  fh_kmeans_result_free(&r);
  free(start);
  free(labels);
  close_bench(&b);
}

static void shapes(void **state) {
  (void)state;
  for (int s = EVEN; s <= DUPLICATES; s++) {
    against_reference((shape)s, 997, 17, 5);
    against_reference((shape)s, 600, 1, 3);
    against_reference((shape)s, 400, 40, 12);
  }
}

static void more_clusters_than_rows_differ(void **state) {
  (void)state;
  bench b = open_bench(&cpu_only, make_rows(FEW_DISTINCT, 90, 6, 4), 90, 6);
  fh_kmeans_result r;
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = 9, .seed = 1}, &r));
  check_result(b.x, &r);
  int used = 0;
  for (int j = 0; j < 9; j++) used += r.sizes[j] > 0;
  assert_int_equal(used, 4);
  assert_true(r.converged && r.inertia == 0 && r.empty_reseeded == 0);
  fh_kmeans_result_free(&r);
  close_bench(&b);
}

static void one_cluster_and_one_each(void **state) {
  (void)state;
  bench b = open_bench(&cpu_only, make_rows(EVEN, 50, 5, 5), 50, 5);
  fh_kmeans_result r;
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = 1}, &r));
  check_result(b.x, &r);
  for (int l = 0; l < 5; l++) {
    double mean = 0;
    for (int i = 0; i < 50; i++) mean += b.x[i * 5 + l] / 50.0;
    assert_true(fabs(mean - (double)r.centroids[l]) < 1e-4);
  }
  assert_int_equal(r.sizes[0], 50);
  fh_kmeans_result_free(&r);
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = 50}, &r));
  check_result(b.x, &r);
  for (int j = 0; j < 50; j++) assert_int_equal(r.sizes[j], 1);
  assert_true(r.inertia == 0);
  fh_kmeans_result_free(&r);
  close_bench(&b);
}

/* Three centroids so far off that they get nothing: each receives the then farthest row. */
static void empty_clusters(void **state) {
  (void)state;
  bench b = open_bench(&cpu_only, make_rows(EVEN, 300, 4, 4), 300, 4);
  float start[4 * 4] = {0};
  for (int i = 4; i < 16; i++) start[i] = 1e6f + (float)i;
  fh_kmeans_result r, again;
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = 4, .start = start}, &r));
  check_result(b.x, &r);
  assert_true(r.empty_reseeded >= 3);
  for (int j = 0; j < 4; j++) assert_true(r.sizes[j] > 0);
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = 4, .start = start}, &again));
  assert_memory_equal(r.centroids, again.centroids, sizeof start);
  assert_memory_equal(r.labels, again.labels, 300 * sizeof(int32_t));
  fh_kmeans_result_free(&r);
  fh_kmeans_result_free(&again);
  close_bench(&b);
}

typedef struct watch {
  int calls, stop_after;
  double last;
  bool rose;
} watch;

static bool look(void *user, int iteration, double inertia, double seconds) {
  watch *w = user;
  assert_int_equal(iteration, ++w->calls);
  assert_true(seconds >= 0);
  w->rose |= w->calls > 1 && inertia > w->last * (1 + 1e-5);
  w->last = inertia;
  return w->calls != w->stop_after;
}

static void progress_and_limits(void **state) {
  (void)state;
  bench b = open_bench(&cpu_only, make_rows(EVEN, 2000, 8, 1), 2000, 8); /* one cube: nothing falls into place at once */
  watch w = {0};
  fh_kmeans_options options = {.k = 7, .seed = 5, .progress = look, .user = &w};
  fh_kmeans_result r;
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &options, &r));
  assert_true(r.converged && !w.rose && w.calls == r.iterations && r.iterations > 2);
  double best = r.inertia;
  fh_kmeans_result_free(&r);

  w = (watch){.stop_after = 2};
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &options, &r));
  assert_int_equal(r.iterations, 2);
  assert_false(r.converged);
  check_result(b.x, &r); /* labels and inertia belong to the centroids although it was stopped */
  assert_true(r.inertia >= best);
  fh_kmeans_result_free(&r);

  options = (fh_kmeans_options){.k = 7, .seed = 5, .max_iterations = 1};
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &options, &r));
  assert_int_equal(r.iterations, 1);
  check_result(b.x, &r);
  fh_kmeans_result_free(&r);

  options = (fh_kmeans_options){.k = 7, .seed = 5, .tolerance = 0.5};
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &options, &r));
  assert_true(r.converged);
  check_result(b.x, &r);
  fh_kmeans_result_free(&r);
  close_bench(&b);
}

static void start_rows(void **state) {
  (void)state;
  enum { N = 200, D = 3, K = 4 };
  bench b = open_bench(&cpu_only, make_rows(EVEN, N, D, K), N, D);
  float start[K * D], again[K * D];
  for (uint64_t seed = 0; seed < 30; seed++) { /* blobs far apart: D^2 sampling takes one row of each */
    FH_EXPECT_OK(fh_kmeans_start(b.queue, &b.view, K, seed, start));
    unsigned seen = 0;
    for (int j = 0; j < K; j++) {
      int64_t row = 0;
      while (row < N && memcmp(b.x + row * D, start + j * D, sizeof(float) * D) != 0) row++;
      assert_true(row < N); /* a row of x */
      seen |= 1u << row % K;
    }
    if (seen != (1u << K) - 1) fail_msg("seed %d: a blob was left out (%x)", (int)seed, seen);
  }
  FH_EXPECT_OK(fh_kmeans_start(b.queue, &b.view, K, 29, again));
  assert_memory_equal(start, again, sizeof start);
  close_bench(&b);
}

static void any_strides(void **state) {
  (void)state;
  enum { N = 120, D = 6, K = 5 };
  bench b = open_bench(&cpu_only, make_rows(ZIPF, N, D, K), N, D);
  float *turned = malloc(sizeof(float) * N * D);
  assert_non_null(turned);
  for (int i = 0; i < N; i++)
    for (int l = 0; l < D; l++) turned[l * N + i] = b.x[i * D + l];
  fh_view view;
  FH_EXPECT_OK(fh_view_wrap(b.context, turned, FH_F32, FH_SHAPE(N, D), FH_COL_MAJOR, FH_READ, &view));
  fh_kmeans_options options = {.k = K, .seed = 2};
  fh_kmeans_result r, t;
  FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &options, &r));
  FH_EXPECT_OK(fh_kmeans(b.queue, &view, &options, &t));
  check_result(b.x, &t);
  assert_true(fabs(r.inertia - t.inertia) <= 1e-5 * r.inertia);
  assert_memory_equal(r.labels, t.labels, N * sizeof(int32_t));
  fh_kmeans_result_free(&r);
  fh_kmeans_result_free(&t);
  fh_view_release(&view);
  free(turned);
  close_bench(&b);
}

static void bad_arguments(void **state) {
  (void)state;
  bench b = open_bench(&cpu_only, make_rows(EVEN, 20, 3, 2), 20, 3);
  fh_kmeans_result r;
  memset(&r, 0x5a, sizeof r); /* a failure leaves zeros, which fh_kmeans_result_free may be given */
  fh_kmeans_options two = {.k = 2};
  const fh_code bad = FH_INVALID_ARGUMENT;
  fh_expect_fails(fh_kmeans(NULL, &b.view, &two, &r), bad, "queue is NULL");
  fh_expect_fails(fh_kmeans(b.queue, NULL, &two, &r), bad, "x is NULL");
  fh_expect_fails(fh_kmeans(b.queue, &b.view, NULL, &r), bad, "options is NULL");
  fh_expect_fails(fh_kmeans(b.queue, &b.view, &two, NULL), bad, "out_result is NULL");
  fh_expect_fails(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = 0}, &r), bad, "k is 0");
  fh_expect_fails(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = 21}, &r), bad, "only 20 rows");
  fh_expect_fails(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = 2, .max_iterations = -1}, &r), bad, "max_iterations");
  fh_expect_fails(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = 2, .tolerance = NAN}, &r), bad, "tolerance");
  fh_expect_fails(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = 1, .start = (float[]){0, INFINITY, 0}}, &r), bad,
                  "row 0 of start has inf in column 1");
  fh_expect_fails(fh_kmeans_start(b.queue, &b.view, 2, 0, NULL), bad, "out_start is NULL");
  b.x[17 * 3 + 2] = NAN;
  fh_expect_fails(fh_kmeans(b.queue, &b.view, &two, &r), bad, "row 17 of x has nan in column 2");
  b.x[17 * 3 + 2] = -INFINITY;
  fh_expect_fails(fh_kmeans(b.queue, &b.view, &two, &r), bad, "row 17 of x has -inf in column 2");
  b.x[17 * 3 + 2] = 3e38f; /* finite, but its square is not */
  fh_expect_fails(fh_kmeans(b.queue, &b.view, &two, &r), bad, "scale the data down");
  assert_null(r.labels);
  fh_kmeans_result_free(&r);

  fh_view flat;
  FH_EXPECT_OK(fh_view_wrap(b.context, b.x, FH_F32, FH_SHAPE(60), FH_ROW_MAJOR, FH_READ, &flat));
  fh_expect_fails(fh_kmeans(b.queue, &flat, &two, &r), bad, "rank 1");
  fh_view_release(&flat);
  close_bench(&b);
}

/* FH_EXACT: the same bits on every instruction set that runs here. */
static void exact_everywhere(void **state) {
  (void)state;
  enum { N = 701, D = 37, K = 11 };
  static const char *const isas[] = {"scalar", "sse42", "avx2", "avx512", "neon"};
  fh_kmeans_result first = {0};
  int ran = 0;
  for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
    fh_context *context = NULL;
    fh_status status = fh_context_create(&(fh_context_options){.policy = FH_CPU_ONLY, .numerics = FH_EXACT, .isa = isas[i]}, &context);
    if (status) {
      print_message("%s: not here: %s\n", isas[i], fh_status_message(status));
      fh_status_free(status);
      continue;
    }
    fh_context_release(context);
    bench b = open_bench(&(fh_context_options){.policy = FH_CPU_ONLY, .numerics = FH_EXACT, .isa = isas[i], .threads = 1 + (int)i % 3},
                         make_rows(ZIPF, N, D, K), N, D);
    fh_kmeans_result r;
    FH_EXPECT_OK(fh_kmeans(b.queue, &b.view, &(fh_kmeans_options){.k = K, .seed = 9}, &r));
    check_result(b.x, &r);
    if (ran++) {
      assert_int_equal(r.iterations, first.iterations);
      assert_memory_equal(r.labels, first.labels, N * sizeof(int32_t));
      assert_memory_equal(r.centroids, first.centroids, sizeof(float) * K * D);
      assert_memory_equal(&r.inertia, &first.inertia, sizeof(double));
      fh_kmeans_result_free(&r);
    } else {
      first = r;
    }
    close_bench(&b);
  }
  assert_true(ran > 0);
  fh_kmeans_result_free(&first);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes),
      cmocka_unit_test(more_clusters_than_rows_differ),
      cmocka_unit_test(one_cluster_and_one_each),
      cmocka_unit_test(empty_clusters),
      cmocka_unit_test(progress_and_limits),
      cmocka_unit_test(start_rows),
      cmocka_unit_test(any_strides),
      cmocka_unit_test(bad_arguments),
      cmocka_unit_test(exact_everywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
