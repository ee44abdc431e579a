/* The block text of topk, through the emulator of blocks: the bits of the kernel's text, and so its order among equals.
 * SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120 sanitize=address cross=no
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "tests/support/tuned.h"

typedef enum layout { BY_ROWS, BY_COLUMNS, PADDED, REVERSED, LAYOUTS } layout;
enum { L2, DOT };

static fh_view_desc rows_of(fh_dtype dtype, int64_t rows, int64_t d, layout how) {
  int64_t row = d, col = 1;
  if (how == BY_COLUMNS) row = 1, col = rows;
  if (how == PADDED) row = d + 5;
  if (how == REVERSED) row = -d, col = -1;
  return (fh_view_desc){dtype, 2, {rows, d}, {row, col}};
}

static tuned_call call_of(int64_t m, int64_t n, int64_t d, int64_t k, layout how) {
  const fh_view_desc views[] = {rows_of(FH_F32, m, d, how), rows_of(FH_F32, n, d, (how + 1) % LAYOUTS), rows_of(FH_F32, m, k, how),
                                rows_of(FH_I32, m, k, (how + 2) % LAYOUTS)};
  return tuned_call_make(&fh_contract_topk, views, (m + k) % 2, 4);
}

static void run(tuned_call *call, int metric, const char *what) {
  const fh_value scalars[] = {{.i = metric}};
  fh_bound bound;
  call->scalars = scalars;
  assert_null(fh_contract_topk.bind(call->views, scalars, &bound));
  assert_null(fh_contract_topk.blocks[0].unfit(&bound));
  const char *wrong = tuned_call_check_block(call, &fh_contract_topk.blocks[0]);
  if (wrong)
    fail_msg("%s, %s: %d queries, %d rows of %d, k = %d: %s", what, metric == DOT ? "dot" : "l2", (int)call->views[0].shape[0],
             (int)call->views[1].shape[0], (int)call->views[0].shape[1], (int)call->views[2].shape[1], wrong);
  call->scalars = NULL;
}

static void check(int64_t m, int64_t n, int64_t d, int64_t k, int metric, layout how) {
  tuned_call call = call_of(m, n, d, k, how);
  run(&call, metric, "uniform");
  tuned_call_free(&call);
}

static void test_shapes(void **state) {
  (void)state;
  check(32, 2048, 1, 1, L2, BY_ROWS);
  check(33, 2603, 19, 33, L2, BY_ROWS);
  check(129, 2100, 3, 3, L2, BY_ROWS);
  check(32, 2048, 5, 128, DOT, BY_ROWS);
}

/* Few queries, against rows that lie side by side, and are narrow or wide; chunks of all sizes. */
static const fh_block_variant *few_of(const fh_bound *bound) {
  for (int i = 1; i < fh_contract_topk.block_count; i++)
    if (!fh_contract_topk.blocks[i].unfit(bound)) return &fh_contract_topk.blocks[i];
  fail_msg("no variant for few queries fits");
  return NULL;
}

static void check_few(const char *name, int64_t m, int64_t n, int64_t d, int64_t k, int metric, layout of_rows) {
  const fh_view_desc views[] = {rows_of(FH_F32, m, d, (of_rows + 1) % LAYOUTS), rows_of(FH_F32, n, d, of_rows),
                                rows_of(FH_F32, m, k, (of_rows + 2) % LAYOUTS), rows_of(FH_I32, m, k, of_rows)};
  const fh_value scalars[] = {{.i = metric}};
  tuned_call call = tuned_call_make(&fh_contract_topk, views, (m + k) % 2, 4);
  float *x = call.first[1];
  for (int64_t i = 0; i < n * d / 2; i += 97) x[i] = i % 5 ? 1e19f : i % 2 ? __builtin_nanf("") : -__builtin_inff();
  fh_bound bound;
  call.scalars = scalars;
  assert_null(fh_contract_topk.bind(call.views, scalars, &bound));
  const fh_block_variant *variant = few_of(&bound);
  assert_string_equal(variant->name, name);
  const char *wrong = tuned_call_check_block(&call, variant);
  if (wrong) fail_msg("%s: %d queries, %d rows of %d, k = %d: %s", name, (int)m, (int)n, (int)d, (int)k, wrong);
  call.scalars = NULL;
  tuned_call_free(&call);
}

static void test_few_queries(void **state) {
  (void)state;
  check_few("one", 1, 1, 1, 1, L2, BY_ROWS);
  check_few("one", 1, 2603, 19, 33, L2, BY_ROWS);
  check_few("one", 1, 7001, 64, 10, DOT, PADDED);
  check_few("one", 1, 1030, 65, 128, L2, PADDED);
  check_few("few", 2, 129, 0, 3, DOT, BY_ROWS);
  check_few("few", 8, 1700, 320, 12, L2, PADDED);
  check_few("few", 5, 140, 300, 128, DOT, BY_ROWS);
  check_few("some", 9, 2100, 32, 5, L2, BY_ROWS);
  check_few("some", 16, 600, 257, 40, DOT, PADDED);
  check_few("some", 31, 1290, 48, 7, L2, PADDED);
}

/* Rows that come again and again, in all chunks. */
static void test_few_queries_of_equal_rows(void **state) {
  (void)state;
  enum { N = 5000, D = 2 };
  const fh_view_desc views[] = {rows_of(FH_F32, 3, D, BY_ROWS), rows_of(FH_F32, N, D, BY_ROWS), rows_of(FH_F32, 3, 20, BY_ROWS),
                                rows_of(FH_I32, 3, 20, BY_ROWS)};
  tuned_call call = tuned_call_make(&fh_contract_topk, views, 0, 4);
  const fh_value scalars[] = {{.i = L2}};
  float *x = call.first[1];
  for (int i = 0; i < N * D; i++) x[i] = (float)(i / D % 7 == 0 ? i % D : i / D % 32);
  fh_bound bound;
  call.scalars = scalars;
  assert_null(fh_contract_topk.bind(call.views, scalars, &bound));
  assert_null(tuned_call_check_block(&call, few_of(&bound)));
  call.scalars = NULL;
  tuned_call_free(&call);
}

static void test_layouts(void **state) {
  (void)state;
  for (int how = 1; how < LAYOUTS; how += 2) check(32, 2049, 9, 2, how % 2 ? L2 : DOT, (layout)how);
}

/* Far from the origin, where |x|^2 + |y|^2 - 2 x y has few digits of the distance. */
static void test_far_away(void **state) {
  (void)state;
  tuned_call call = call_of(32, 2048, 6, 9, BY_ROWS);
  float *q = call.first[0];
  for (int i = 0; i < 32 * 6; i++) q[i] += 40.0f;
  float *x = call.first[1];
  for (int e = 0; e < 6; e++)
    for (int i = 0; i < 2048; i++) x[(int64_t)i * call.views[1].strides[0] + e * call.views[1].strides[1]] += 40.0f;
  run(&call, L2, "far from the origin");
  tuned_call_free(&call);
}

/* Rows that come again and again: the lowest are taken, in every chunk and in all. */
static void test_equal_rows(void **state) {
  (void)state;
  enum { N = 2048, D = 2 };
  tuned_call call = call_of(32, N, D, 5, REVERSED); /* x by rows */
  float *x = call.first[1];
  for (int i = 0; i < N * D; i++) x[i] = (float)(i / D % 7 == 0 ? i % D : i / D % 32);
  run(&call, L2, "equal rows");
  tuned_call_free(&call);
}

/* What has no distance is no neighbour; too few that have one leave places empty; sums that overflow in the quick way alone are looked at.
 */
static void test_strange_rows(void **state) {
  (void)state;
  enum { N = 2060, D = 3, M = 32 };
  tuned_call call = call_of(M, N, D, 12, REVERSED);
  float *q = call.first[0], *x = call.first[1]; /* q lies backwards */
  for (int i = 0; i < N; i++) {
    if (i % 5 == 0) x[i * D] = __builtin_nanf("");
    if (i % 7 == 0) x[i * D + 1] = i % 2 ? __builtin_inff() : -__builtin_inff();
    if (i % 11 == 0) x[i * D + 2] = 1.5e19f;
    if (i % 13 == 0) x[i * D] = x[i * D + 1] = 1e-30f;
  }
  q[0] = __builtin_nanf("");
  q[-3] = 1.5e19f;
  q[-9] = 3e38f;
  run(&call, L2, "strange rows");
  for (int i = 5; i < N; i++) x[i * D] = __builtin_nanf("");
  run(&call, DOT, "five rows");
  tuned_call_free(&call);
}

static void test_unfit(void **state) {
  (void)state;
  static const int64_t cases[][5] = {
      {32, 2048, 4, 10, 1}, {31, 5000, 4, 10, 0}, {64, 2047, 4, 10, 0}, {64, 5000, 4, 129, 0}, {64, 5000, 70000, 9, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const int64_t *c = cases[i];
    const fh_view_desc views[] = {rows_of(FH_F32, c[0], c[2], BY_ROWS), rows_of(FH_F32, c[1], c[2], BY_ROWS),
                                  rows_of(FH_F32, c[0], c[3], BY_ROWS), rows_of(FH_I32, c[0], c[3], BY_ROWS)};
    fh_bound bound;
    assert_null(fh_contract_topk.bind(views, NULL, &bound));
    assert_int_equal(fh_contract_topk.blocks[0].unfit(&bound) == NULL, c[4]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shapes),       cmocka_unit_test(test_few_queries), cmocka_unit_test(test_few_queries_of_equal_rows),
      cmocka_unit_test(test_layouts),      cmocka_unit_test(test_far_away),    cmocka_unit_test(test_equal_rows),
      cmocka_unit_test(test_strange_rows), cmocka_unit_test(test_unfit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
