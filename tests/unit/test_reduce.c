/* Reductions and rms_norm as a caller meets them. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "tests/support/cpu_context.h"

typedef fh_status (*reduction)(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event);

static fh_view wrap(const void *data, fh_dtype type, fh_shape shape, fh_order order, fh_access access) {
  fh_view v;
  FH_EXPECT_OK(fh_view_wrap(context, data, type, shape, order, access, &v));
  return v;
}

/* The result, of that type, of all of n elements. */
static void reduce_all(reduction call, const float *x, int64_t n, fh_dtype type, void *result) {
  fh_view from = wrap(x, FH_F32, FH_SHAPE(n), FH_ROW_MAJOR, FH_READ), to = wrap(result, type, FH_SHAPE(1), FH_ROW_MAJOR, FH_WRITE);
  FH_EXPECT_OK(call(fh_context_queue(context), &from, &to, NULL));
  FH_EXPECT_OK(fh_view_sync(&to));
  fh_view_release(&from);
  fh_view_release(&to);
}
static float of_all(reduction call, const float *x, int64_t n) {
  float result = -12345;
  reduce_all(call, x, n, FH_F32, &result);
  return result;
}
static int32_t place_in_all(reduction call, const float *x, int64_t n) {
  int32_t result = -1;
  reduce_all(call, x, n, FH_I32, &result);
  return result;
}

static void known_values(void **state) {
  (void)state;
  enum { N = 10000 };
  static float x[N];
  for (int i = 0; i < N; i++) x[i] = (float)(i % 100) - 40.0f; /* whole numbers: sums are exact */
  assert_true(of_all(fh_sum, x, N) == 95000.0f);
  assert_true(of_all(fh_mean, x, N) == 9.5f);
  assert_true(of_all(fh_sum_abs, x, N) == 259000.0f);
  assert_true(of_all(fh_min, x, N) == -40.0f);
  assert_true(of_all(fh_max, x, N) == 59.0f);
  assert_true(of_all(fh_max_abs, x, N) == 59.0f);
  assert_int_equal(place_in_all(fh_argmin, x, N), 0);
  assert_int_equal(place_in_all(fh_argmax, x, N), 99);
  const float three_four[] = {3, 0, -4};
  assert_true(of_all(fh_norm, three_four, 3) == 5.0f);
}

/* Each length to past the 64 lanes of a step, with the extreme at each place. */
static void every_place(void **state) {
  (void)state;
  float x[131];
  for (int64_t n = 1; n <= 131; n += n < 70 ? 1 : 20) {
    for (int64_t at = 0; at < n; at++) {
      for (int64_t i = 0; i < n; i++) x[i] = i < at ? 1.0f : 2.0f;
      x[at] = 7.0f;
      assert_int_equal(place_in_all(fh_argmax, x, n), at);
      assert_true(of_all(fh_max, x, n) == 7.0f);
      x[at] = NAN;
      assert_int_equal(place_in_all(fh_argmin, x, n), at);
      assert_true(isnan(of_all(fh_min, x, n)));
    }
  }
}

/* Infinities of both signs make the sum that looks for NaN one itself: that must not show. */
static void infinities_are_no_nan(void **state) {
  (void)state;
  float x[200] = {0};
  x[3] = INFINITY;
  x[150] = -INFINITY;
  assert_true(of_all(fh_max, x, 200) == INFINITY);
  assert_true(of_all(fh_min, x, 200) == -INFINITY);
  assert_int_equal(place_in_all(fh_argmin, x, 200), 150);
  assert_true(isnan(of_all(fh_sum, x, 200)));
  const float zeros[] = {-0.0f, 0.0f};
  assert_false(signbit(of_all(fh_min, zeros, 2)));
  assert_int_equal(place_in_all(fh_argmin, zeros, 2), 0);
}

/* ---- columns ---- */

/* Every reduction, by number: `result` gets what each row of x gives, floats or indices. */
enum { REDUCTIONS = 11 };
static void reduce_each_row(int number, const fh_view *x, void *result, int64_t rows) {
  static const reduction calls[] = {fh_sum, fh_mean, fh_norm, fh_sum_abs, fh_min, fh_max, fh_max_abs, fh_argmin, fh_argmax};
  enum { ARGMIN = 7, DOT = 9 };
  fh_view y = wrap(result, number == ARGMIN || number == ARGMIN + 1 ? FH_I32 : FH_F32, FH_SHAPE(rows), FH_ROW_MAJOR, FH_WRITE);
  fh_queue *queue = fh_context_queue(context);
  if (number < DOT)
    FH_EXPECT_OK(calls[number](queue, x, &y, NULL));
  else if (number == DOT)
    FH_EXPECT_OK(fh_dot(queue, x, x, &y, NULL));
  else
    FH_EXPECT_OK(fh_variance(queue, x, &y, 0, NULL));
  FH_EXPECT_OK(fh_view_sync(&y));
  fh_view_release(&y);
}

/* Whole numbers and fractions, and in every `odd`th place a NaN, an infinity or a zero of either sign; none where odd is 0. */
static float some_number(uint64_t *seed, int odd) {
  static const float specials[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f};
  *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  const uint32_t bits = (uint32_t)(*seed >> 32);
  return odd && bits % (uint32_t)odd == 0 ? specials[bits / (uint32_t)odd % 5] : (float)(int32_t)bits * 0x1p-20f;
}

static bool same(float a, float b) { return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0; }

/* The same numbers as rows, and as columns with `beside` more of them on both sides, give the same bits. */
static void check_columns(int64_t rows, int64_t d, int64_t beside, int odd) {
  const int64_t wide = rows + 2 * beside;
  float *in_rows = malloc((size_t)(rows * d) * sizeof(float)), *in_columns = malloc((size_t)(wide * d) * sizeof(float));
  float *of_rows = malloc((size_t)rows * sizeof(float)), *of_columns = malloc((size_t)rows * sizeof(float));
  assert_true(in_rows && in_columns && of_rows && of_columns);
  uint64_t seed = (uint64_t)(rows * d + beside);
  for (int64_t i = 0; i < wide * d; i++) in_columns[i] = 12345.0f;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t e = 0; e < d; e++) in_rows[r * d + e] = in_columns[e * wide + beside + r] = some_number(&seed, odd);

  fh_view x = wrap(in_rows, FH_F32, FH_SHAPE(rows, d), FH_ROW_MAJOR, FH_READ), columns;
  fh_view all = wrap(in_columns, FH_F32, FH_SHAPE(wide, d), FH_COL_MAJOR, FH_READ);
  FH_EXPECT_OK(fh_view_slice(&all, 0, beside, rows, 1, &columns));
  for (int number = 0; number < REDUCTIONS; number++) {
    reduce_each_row(number, &x, of_rows, rows);
    reduce_each_row(number, &columns, of_columns, rows);
    for (int64_t r = 0; r < rows; r++)
      if (!same(of_rows[r], of_columns[r]))
        fail_msg("reduction %d of row %lld of %lld x %lld, %lld beside: %a as a row, %a as a column", number, (long long)r, (long long)rows,
                 (long long)d, (long long)beside, (double)of_rows[r], (double)of_columns[r]);
  }
  fh_view *views[] = {&x, &all, &columns};
  for (size_t v = 0; v < 3; v++) fh_view_release(views[v]);
  free(in_rows);
  free(in_columns);
  free(of_rows);
  free(of_columns);
}

/* Few and many columns, next to each other and not; around a vector, a block of sums and of extremes; elements around the 64 running
 * values, the sets of them, and a chunk. */
static void columns_change_no_bit(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{8, 1, 0},     {16, 2, 0},   {37, 3, 0},    {100, 7, 3},   {1500, 9, 0},   {33, 16, 0},
                                      {50, 17, 0},   {64, 63, 0},  {64, 64, 5},   {15, 65, 0},   {16, 127, 0},   {17, 129, 1},
                                      {64, 320, 0},  {65, 319, 0}, {255, 257, 0}, {256, 256, 0}, {257, 1000, 0}, {300, 700, 9},
                                      {1040, 70, 0}, {9, 4097, 0}, {24, 4096, 2}, {37, 5003, 0}, {272, 4200, 0}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    check_columns(shapes[i][0], shapes[i][1], shapes[i][2], 0);
    check_columns(shapes[i][0], shapes[i][1], shapes[i][2], 3);
    check_columns(shapes[i][0], shapes[i][1], shapes[i][2], 500);
  }
}

/* Short rows taken together have the order of a row by itself. */
static void short_rows_change_no_bit(void **state) {
  (void)state;
  enum { ROWS = 41, WIDE = 20 };
  static float x[ROWS * WIDE];
  for (int64_t d = 1; d <= WIDE; d++) {
    uint64_t seed = (uint64_t)d;
    for (int64_t i = 0; i < ROWS * WIDE; i++) x[i] = some_number(&seed, d % 4 == 3 ? 5 : 0);
    fh_view wide = wrap(x, FH_F32, FH_SHAPE(ROWS, WIDE), FH_ROW_MAJOR, FH_READ), rows;
    FH_EXPECT_OK(fh_view_slice(&wide, 1, 0, d, 1, &rows));
    for (int number = 0; number < REDUCTIONS; number++) {
      float together[ROWS], alone;
      reduce_each_row(number, &rows, together, ROWS);
      for (int64_t r = 0; r < ROWS; r++) {
        fh_view row;
        FH_EXPECT_OK(fh_view_slice(&rows, 0, r, 1, 1, &row));
        reduce_each_row(number, &row, &alone, 1);
        fh_view_release(&row);
        if (!same(together[r], alone)) fail_msg("reduction %d of row %lld, %lld long", number, (long long)r, (long long)d);
      }
    }
    fh_view_release(&rows);
    fh_view_release(&wide);
  }
}

/* A variance far from 0: the textbook sum of squares less the square of the sum has no digit left here. */
static void variance_far_from_zero(void **state) {
  (void)state;
  enum { N = 20001 };
  static float x[N];
  for (int i = 0; i < N; i++) x[i] = 4096.0f + (float)(i % 2);
  const int64_t n = N;
  float result = 0;
  fh_view from = wrap(x, FH_F32, FH_SHAPE(n), FH_ROW_MAJOR, FH_READ), to = wrap(&result, FH_F32, FH_SHAPE(1), FH_ROW_MAJOR, FH_WRITE);
  FH_EXPECT_OK(fh_variance(fh_context_queue(context), &from, &to, 0, NULL));
  FH_EXPECT_OK(fh_view_sync(&to));
  assert_true(fabs((double)result - 0.25) < 1e-4);
  fh_expect_fails(fh_variance(fh_context_queue(context), &from, &to, N, NULL), FH_INVALID_ARGUMENT, "ddof");
  fh_view_release(&from);
  fh_view_release(&to);
}

static void nothing_to_reduce(void **state) {
  (void)state;
  float result = 1;
  fh_view from = wrap(&result, FH_F32, FH_SHAPE(0, 3), FH_ROW_MAJOR, FH_READ),
          to = wrap(&result, FH_F32, FH_SHAPE(1), FH_ROW_MAJOR, FH_WRITE);
  fh_queue *queue = fh_context_queue(context);
  fh_expect_fails(fh_mean(queue, &from, &to, NULL), FH_INVALID_ARGUMENT, "fh_mean: x has shape (0, 3)");
  fh_expect_fails(fh_max(queue, &from, &to, NULL), FH_INVALID_ARGUMENT, "no element");
  fh_expect_fails(fh_variance(queue, &from, &to, 0, NULL), FH_INVALID_ARGUMENT, "no element");
  FH_EXPECT_OK(fh_norm(queue, &from, &to, NULL));
  FH_EXPECT_OK(fh_view_sync(&to));
  assert_true(result == 0);
  result = 1;
  fh_view_release(&from);
  fh_view_release(&to);
  assert_true(of_all(fh_sum, &result, 0) == 0);
}

/* Not one float of scratch for each of very many empty rows. */
static void many_empty_rows_cost_nothing(void **state) {
  (void)state;
  const int64_t many = INT64_C(1) << 58;
  float result = 1;
  fh_view from = wrap(&result, FH_F32, FH_SHAPE(many, 0), FH_ROW_MAJOR, FH_READ),
          to = wrap(&result, FH_F32, FH_SHAPE(1), FH_ROW_MAJOR, FH_WRITE);
  FH_EXPECT_OK(fh_sum(fh_context_queue(context), &from, &to, NULL));
  FH_EXPECT_OK(fh_view_sync(&to));
  assert_true(result == 0);
  result = 1;
  FH_EXPECT_OK(fh_dot(fh_context_queue(context), &from, &from, &to, NULL));
  FH_EXPECT_OK(fh_view_sync(&to));
  assert_true(result == 0);
  fh_view_release(&from);
  fh_view_release(&to);
}

static void shapes_must_fit(void **state) {
  (void)state;
  float x[12] = {0}, y[5];
  fh_view from = wrap(x, FH_F32, FH_SHAPE(3, 4), FH_ROW_MAJOR, FH_READ), to = wrap(y, FH_F32, FH_SHAPE(4), FH_ROW_MAJOR, FH_WRITE);
  fh_expect_fails(fh_sum(fh_context_queue(context), &from, &to, NULL), FH_INVALID_ARGUMENT, "y has shape (4)");
  fh_expect_fails(fh_argmax(fh_context_queue(context), &from, &to, NULL), FH_INVALID_ARGUMENT, "expected i32");
  fh_view_release(&from);
  fh_view_release(&to);
}

static void rms_norm_of_a_row(void **state) {
  (void)state;
  float x[] = {1, -1, 2, -2, 1, 1, -2, 0}, gamma[] = {1, 1, 1, 1, 2, 2, 2, 2}, y[8]; /* the mean square is 2 */
  fh_view from = wrap(x, FH_F32, FH_SHAPE(8), FH_ROW_MAJOR, FH_READ), scale = wrap(gamma, FH_F32, FH_SHAPE(8), FH_ROW_MAJOR, FH_READ);
  fh_view to = wrap(y, FH_F32, FH_SHAPE(8), FH_ROW_MAJOR, FH_WRITE);
  FH_EXPECT_OK(fh_rms_norm(fh_context_queue(context), &from, &scale, &to, 0.0f, NULL));
  FH_EXPECT_OK(fh_view_sync(&to));
  for (int i = 0; i < 8; i++) assert_true(fabs((double)y[i] - (double)x[i] / sqrt(2) * (double)gamma[i]) < 1e-6);
  fh_expect_fails(fh_rms_norm(fh_context_queue(context), &from, &scale, &to, -1.0f, NULL), FH_INVALID_ARGUMENT, "eps");
  fh_view *views[] = {&from, &scale, &to};
  for (size_t v = 0; v < 3; v++) fh_view_release(views[v]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_values),
      cmocka_unit_test(every_place),
      cmocka_unit_test(infinities_are_no_nan),
      cmocka_unit_test(columns_change_no_bit),
      cmocka_unit_test(short_rows_change_no_bit),
      cmocka_unit_test(variance_far_from_zero),
      cmocka_unit_test(nothing_to_reduce),
      cmocka_unit_test(many_empty_rows_cost_nothing),
      cmocka_unit_test(shapes_must_fit),
      cmocka_unit_test(rms_norm_of_a_row),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
