/* Reductions and k-means of f64: what f32 could not hold comes out right. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "tests/support/cpu_context.h"

enum { N = 10000 };
static const double BASE = 0x1p+38; /* whole numbers from here on: no float holds two that follow each other */

typedef fh_status (*reduction)(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

static fh_view wrap(const void *data, fh_dtype type, fh_shape shape, fh_access access) {
  fh_view v;
  FH_EXPECT_OK(fh_view_wrap(context, data, type, shape, FH_ROW_MAJOR, access, &v));
  return v;
}

static void finish(const fh_view *out, fh_view *const *all, size_t count) {
  FH_EXPECT_OK(fh_view_sync(out));
  for (size_t i = 0; i < count; i++) fh_view_release(all[i]);
}
#define FINISH(out, ...) finish(out, (fh_view *const[]){__VA_ARGS__}, sizeof((fh_view *[]){__VA_ARGS__}) / sizeof(fh_view *))

static void reduce(reduction call, const double *x, int64_t n, fh_dtype type, void *result) {
  fh_view from = wrap(x, FH_F64, FH_SHAPE(n), FH_READ), to = wrap(result, type, FH_SHAPE(1), FH_WRITE);
  FH_EXPECT_OK(call(fh_context_queue(context), &from, &to, NULL));
  FINISH(&to, &from, &to);
}
static double of_all(reduction call, const double *x, int64_t n) {
  double result = -12345;
  reduce(call, x, n, FH_F64, &result);
  return result;
}
static int32_t place(reduction call, const double *x, int64_t n) {
  int32_t result = -1;
  reduce(call, x, n, FH_I32, &result);
  return result;
}

static void known_values(void **state) {
  (void)state;
  static double x[N];
  for (int i = 0; i < N; i++) x[i] = BASE + i;
  x[4321] = BASE - 1, x[77] = BASE + N;
  const double sum = N * BASE + (double)N * (N - 1) / 2 - 4321 - 1 - 77 + N; /* below 2^53: exact */
  assert_true(of_all(fh_sum, x, N) == sum);
  assert_true(of_all(fh_mean, x, N) == sum / N);
  assert_true(of_all(fh_min, x, N) == BASE - 1);
  assert_true(of_all(fh_max, x, N) == BASE + N);
  assert_true(of_all(fh_max_abs, x, N) == BASE + N);
  assert_int_equal(place(fh_argmin, x, N), 4321);
  assert_int_equal(place(fh_argmax, x, N), 77);
  const double three_four[] = {3e100, 0, -4e100}; /* the squares pass the range of f32 */
  assert_true(fabs(of_all(fh_norm, three_four, 3) / 5e100 - 1) < 1e-15);
  assert_true(fabs(of_all(fh_sum_abs, three_four, 3) / 7e100 - 1) < 1e-15);
}

static void variance_far_from_zero(void **state) {
  (void)state;
  static double x[N];
  double y = -1;
  for (int i = 0; i < N; i++) x[i] = BASE + i;
  fh_view from = wrap(x, FH_F64, FH_SHAPE(N), FH_READ), to = wrap(&y, FH_F64, FH_SHAPE(1), FH_WRITE);
  FH_EXPECT_OK(fh_variance(fh_context_queue(context), &from, &to, 0, NULL));
  FINISH(&to, &from, &to);
  const double expected = ((double)N * N - 1) / 12;
  assert_true(fabs(y - expected) < 1e-6 * expected);
}

/* Over columns, 16 of them in the lanes and some more; a column's dot is that of its copy as a row, bit for bit. */
static void columns_are_rows(void **state) {
  (void)state;
  enum { ROWS = 37, COLUMNS = 21 };
  static double x[ROWS * COLUMNS], turned[COLUMNS * ROWS];
  double by_columns[COLUMNS], by_rows[COLUMNS];
  for (int r = 0; r < ROWS; r++)
    for (int c = 0; c < COLUMNS; c++) turned[c * ROWS + r] = x[r * COLUMNS + c] = sin(r * 3.0 + c);
  fh_view strided, rows = wrap(turned, FH_F64, FH_SHAPE(COLUMNS, ROWS), FH_READ);
  FH_EXPECT_OK(fh_view_wrap(context, x, FH_F64, FH_SHAPE(COLUMNS, ROWS), FH_COL_MAJOR, FH_READ, &strided));
  fh_view z = wrap(by_columns, FH_F64, FH_SHAPE(COLUMNS), FH_WRITE), w = wrap(by_rows, FH_F64, FH_SHAPE(COLUMNS), FH_WRITE);
  FH_EXPECT_OK(fh_dot(fh_context_queue(context), &strided, &strided, &z, NULL));
  FH_EXPECT_OK(fh_dot(fh_context_queue(context), &rows, &rows, &w, NULL));
  FH_EXPECT_OK(fh_view_sync(&z));
  FINISH(&w, &strided, &rows, &z, &w);
  assert_memory_equal(by_columns, by_rows, sizeof by_rows);
  for (int c = 0; c < COLUMNS; c++) {
    double expected = 0;
    for (int r = 0; r < ROWS; r++) expected += turned[c * ROWS + r] * turned[c * ROWS + r];
    assert_true(fabs(by_rows[c] - expected) < 1e-13);
  }
}

static void types_must_agree(void **state) {
  (void)state;
  double x[4] = {1, 2, 3, 4};
  float y[4] = {0};
  fh_view wide = wrap(x, FH_F64, FH_SHAPE(4), FH_READ), narrow = wrap(y, FH_F32, FH_SHAPE(4), FH_READ);
  fh_view to_wide = wrap(x, FH_F64, FH_SHAPE(1), FH_WRITE), to_narrow = wrap(y, FH_F32, FH_SHAPE(1), FH_WRITE);
  fh_expect_fails(fh_sum(fh_context_queue(context), &wide, &to_narrow, NULL), FH_INVALID_ARGUMENT, "expected f64");
  fh_expect_fails(fh_sum(fh_context_queue(context), &narrow, &to_wide, NULL), FH_INVALID_ARGUMENT, "expected f32");
  fh_view *const views[] = {&wide, &narrow, &to_wide, &to_narrow};
  for (size_t i = 0; i < sizeof views / sizeof *views; i++) fh_view_release(views[i]);
}

typedef struct clusters {
  double x[8], c[4], distances[4], sums[4];
  int32_t labels[4], counts[2];
  fh_view x_view, c_view, labels_view, distances_view, sums_view, counts_view;
} clusters;

/* Four rows about two centroids that are one number to f32. */
static void open_clusters(clusters *k) {
  const double near = 1, far = 1 + 0x1p-40;
  *k = (clusters){.x = {near, near, far, far, far, near + 0x1p-41, near, near}, .c = {near, near, far, far}};
  k->x_view = wrap(k->x, FH_F64, FH_SHAPE(4, 2), FH_READ);
  k->c_view = wrap(k->c, FH_F64, FH_SHAPE(2, 2), FH_READ);
  k->labels_view = wrap(k->labels, FH_I32, FH_SHAPE(4), FH_WRITE);
  k->distances_view = wrap(k->distances, FH_F64, FH_SHAPE(4), FH_WRITE);
  k->sums_view = wrap(k->sums, FH_F64, FH_SHAPE(2, 2), FH_WRITE);
  k->counts_view = wrap(k->counts, FH_I32, FH_SHAPE(2), FH_WRITE);
}

static fh_status step(clusters *k) {
  return fh_kmeans_step(fh_context_queue(context), &k->x_view, &k->c_view, &k->labels_view, &k->distances_view, &k->sums_view,
                        &k->counts_view, NULL);
}

static void close_clusters(clusters *k) {
  FINISH(&k->sums_view, &k->x_view, &k->c_view, &k->labels_view, &k->distances_view, &k->sums_view, &k->counts_view);
}

static void clusters_closer_than_a_float(void **state) {
  (void)state;
  clusters k;
  open_clusters(&k);
  FH_EXPECT_OK(step(&k));
  FH_EXPECT_OK(fh_view_sync(&k.labels_view));
  FH_EXPECT_OK(fh_view_sync(&k.counts_view));
  FH_EXPECT_OK(fh_view_sync(&k.distances_view));
  close_clusters(&k);
  const int32_t expected[] = {0, 1, 1, 0};
  assert_memory_equal(k.labels, expected, sizeof expected);
  assert_int_equal(k.counts[0], 2);
  assert_int_equal(k.counts[1], 2);
  assert_true(k.distances[2] == 0x1p-82);
  assert_true(k.sums[0] == 2 && k.sums[2] == 2 + 0x1p-39 && k.sums[3] == 2 + 0x1.8p-40);
}

static void a_row_without_a_place_is_named(void **state) {
  (void)state;
  clusters k;
  open_clusters(&k);
  k.x[5] = NAN;
  fh_expect_fails(step(&k), FH_INVALID_ARGUMENT, "row 2 of x has nan in column 1");
  close_clusters(&k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_values),     cmocka_unit_test(variance_far_from_zero),       cmocka_unit_test(columns_are_rows),
      cmocka_unit_test(types_must_agree), cmocka_unit_test(clusters_closer_than_a_float), cmocka_unit_test(a_row_without_a_place_is_named),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
