/* kmeans_assign: the contract's checks, and its tuned variants against the oracle. SPDX-License-Identifier: Apache-2.0
 *
 * test_assign_f64.c reads it again for doubles.
 * TEST: timeout=120
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "kernels/contracts.h"
#include "kernels/element.h"
#include "tests/support/tuned.h"

enum { X, C, LABELS, DISTANCES };
static const fh_kernel_contract *const contract = &FH_CONTRACT_OF(kmeans_assign);

typedef enum layout { ROWS, COLUMNS, PADDED, REVERSED, SPREAD, LAYOUTS } layout;

static fh_view_desc matrix(int64_t rows, int64_t cols, layout how) {
  int64_t row = cols, col = 1;
  if (how == COLUMNS) row = 1, col = rows;
  if (how == PADDED) row = cols + 3;
  if (how == REVERSED) row = -cols, col = 1;
  if (how == SPREAD) row = -(2 * cols + 1), col = 2;
  return (fh_view_desc){FH_ELEMENT, 2, {rows, cols}, {row, col}};
}

static void describe(fh_view_desc views[4], int64_t n, int64_t d, int64_t k, layout lx, layout lc, int64_t step) {
  views[X] = matrix(n, d, lx);
  views[C] = matrix(k, d, lc);
  views[LABELS] = (fh_view_desc){FH_I32, 1, {n}, {step}};
  views[DISTANCES] = (fh_view_desc){FH_ELEMENT, 1, {n}, {-step}};
}

/* Changes the operands of a compact call before it runs. */
typedef void change_fn(fh_element *x, fh_element *c, int64_t n, int64_t d, int64_t k);

static void check_all(const fh_view_desc *views, bool at_end, size_t shift, change_fn *change, const char *what) {
  if (sizeof(fh_wide) > sizeof(double) && tuned_left_out(3)) return; /* the oracle's long doubles are software there */
  for (int v = 0; v < contract->tuned_count; v++) {
    const fh_tuned *variant = &contract->tuned[v];
    if (!fh_isa_runs(variant->isa)) continue;
    tuned_call call = tuned_call_make(contract, views, at_end, shift);
    if (change) change(call.first[X], call.first[C], views[X].shape[0], views[X].shape[1], views[C].shape[0]);
    const char *wrong = tuned_call_check(&call, variant, tuned_pools[at_end]);
    if (wrong)
      fail_msg("%s: n %d d %d k %d, %s: %s", fh_isa_name(variant->isa), (int)views[X].shape[0], (int)views[X].shape[1],
               (int)views[C].shape[0], what, wrong);
    tuned_call_free(&call);
  }
}

/* The launch that goes through the rows: the last one. What prepares the centroids knows nothing of rows. */
static fh_block_shape rows_shape(const fh_block_variant *block, const fh_bound *bound, int multiprocessors) {
  fh_block_shape shape = {0};
  if (block->rest_count > 0)
    block->rest[block->rest_count - 1].shape(bound, multiprocessors, &shape);
  else
    block->shape(bound, multiprocessors, &shape);
  return shape;
}

/* However many rows there are, blocks are as many as a device can use: some count all their threads in 32 bits. */
static void blocks_of_many_rows(void **state) {
  (void)state;
  enum { MULTIPROCESSORS = 100, MANY = 1 << 29 };
  for (int b = 0; b < contract->block_count; b++) {
    fh_view_desc views[4];
    fh_bound bound;
    describe(views, MANY, 4, 8, ROWS, ROWS, 1);
    assert_null(contract->bind(views, NULL, &bound));
    assert_in_range(rows_shape(&contract->blocks[b], &bound, MULTIPROCESSORS).grid[0], MULTIPROCESSORS, 64 * MULTIPROCESSORS);
    describe(views, 3, 4, 8, ROWS, ROWS, 1);
    assert_null(contract->bind(views, NULL, &bound));
    assert_in_range(rows_shape(&contract->blocks[b], &bound, MULTIPROCESSORS).grid[0], 1, 3);
  }
}

static const int64_t sizes[] = {1, 2, 3, 5, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200};
enum { SIZE_COUNT = sizeof sizes / sizeof sizes[0] };

static void test_sizes(void **unused) {
  (void)unused;
  fh_view_desc views[4];
  for (int i = 0; i < SIZE_COUNT; i++) {
    for (int j = 0; j < SIZE_COUNT; j++) {
      describe(views, sizes[i], sizes[(5 * i + 3 * j) % SIZE_COUNT], sizes[j], ROWS, ROWS, 1);
      check_all(views, (i + j) % 2, 0, NULL, "compact");
    }
  }
  for (int64_t d = 0; d < 3; d++) {
    describe(views, 0, d, 3, ROWS, ROWS, 1);
    check_all(views, true, 0, NULL, "no rows");
    describe(views, 40, d, 20, ROWS, ROWS, 1);
    check_all(views, true, 0, NULL, "few dimensions");
  }
  describe(views, 1100, 24, 300, ROWS, ROWS, 1);
  check_all(views, true, 0, NULL, "several tasks");
}

static void test_layouts(void **unused) {
  (void)unused;
  static const int64_t shapes[][3] = {{5, 7, 3}, {33, 31, 15}, {70, 17, 30}, {300, 40, 21}};
  fh_view_desc views[4];
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    for (int i = 0; i < LAYOUTS * LAYOUTS; i++) {
      char what[64];
      describe(views, shapes[s][0], shapes[s][1], shapes[s][2], (layout)(i % LAYOUTS), (layout)(i / LAYOUTS), 1 + i % 3);
      snprintf(what, sizeof what, "layouts %d and %d", i % LAYOUTS, i / LAYOUTS);
      check_all(views, i % 2, 0, NULL, what);
    }
  }
}

static void test_byte_offsets(void **unused) {
  (void)unused;
  fh_view_desc views[4];
  for (size_t shift = 1; shift < 64; shift += shift < 8 ? 1 : 5) {
    describe(views, 45, 19, 11, shift % 2 ? ROWS : COLUMNS, shift % 3 ? ROWS : COLUMNS, 1);
    check_all(views, false, shift, NULL, "unaligned");
  }
}

/* ---- data that is hard for norms and products ---------------------------------------------------- */

/* FAR: its square's rounding hides what lies a hundredth apart. HUGE_SCALE: squares overflow. TINY_SCALE: squares are denormal. */
#ifdef FH_OF_DOUBLES
static const fh_element FAR = 1e9, HUGE_SCALE = 1e300, TINY_SCALE = 1e-161;
#else
static const fh_element FAR = 1e4f, HUGE_SCALE = 1e30f, TINY_SCALE = 1e-22f;
#endif
static const fh_element HUNDREDTH = (fh_element)0.01;

static void far_from_zero(fh_element *x, fh_element *c, int64_t n, int64_t d, int64_t k) {
  for (int64_t i = 0; i < n * d; i++) x[i] = FAR + HUNDREDTH * x[i];
  for (int64_t i = 0; i < k * d; i++) c[i] = FAR + HUNDREDTH * c[i];
}

/* Pairs of centroids close together, the pairs far apart, rows next to a centroid. */
static void tight_pairs(fh_element *x, fh_element *c, int64_t n, int64_t d, int64_t k) {
  for (int64_t j = 0; j < k; j++) {
    for (int64_t i = 0; i < d; i++) c[j * d + i] = FAR * (fh_element)((j / 2 * 7 + i * 3) % 11) / 10 + HUNDREDTH * c[j * d + i];
  }
  for (int64_t r = 0; r < n; r++) {
    for (int64_t i = 0; i < d; i++) x[r * d + i] = c[r % k * d + i] + HUNDREDTH / 3 * x[r * d + i];
  }
}

static void rows_on_centroids(fh_element *x, fh_element *c, int64_t n, int64_t d, int64_t k) {
  for (int64_t r = 0; r < n; r++) memcpy(x + r * d, c + r * 5 % k * d, (size_t)d * sizeof *x);
}

static void equal_centroids(fh_element *x, fh_element *c, int64_t n, int64_t d, int64_t k) {
  (void)x, (void)n;
  for (int64_t j = 0; j < k; j++) memmove(c + j * d, c + j % 5 * d, (size_t)d * sizeof *c);
}

static void all_equal(fh_element *x, fh_element *c, int64_t n, int64_t d, int64_t k) {
  for (int64_t i = 0; i < n * d; i++) x[i] = (fh_element)3.25;
  for (int64_t i = 0; i < k * d; i++) c[i] = (fh_element)3.25;
}

static void huge(fh_element *x, fh_element *c, int64_t n, int64_t d, int64_t k) {
  for (int64_t i = 0; i < n * d; i++) x[i] *= HUGE_SCALE;
  for (int64_t i = 0; i < k * d; i++) c[i] *= HUGE_SCALE;
  for (int64_t r = 0; r < n; r += 2) memcpy(x + r * d, c + r % k * d, (size_t)d * sizeof *x);
}

static void tiny(fh_element *x, fh_element *c, int64_t n, int64_t d, int64_t k) {
  for (int64_t i = 0; i < n * d; i++) x[i] *= TINY_SCALE;
  for (int64_t i = 0; i < k * d; i++) c[i] *= TINY_SCALE;
}

static void not_finite(fh_element *x, fh_element *c, int64_t n, int64_t d, int64_t k) {
  static const fh_element bad[] = {NAN, INFINITY, -INFINITY};
  for (int64_t r = 0; r < n; r += 4) x[r * d + r % d] = bad[r / 4 % 3];
  for (int64_t j = 0; j < k; j += 3) c[j * d + j % d] = bad[j / 3 % 3];
}

static void no_finite_centroid(fh_element *x, fh_element *c, int64_t n, int64_t d, int64_t k) {
  (void)x, (void)n;
  for (int64_t j = 0; j < k; j++) c[j * d] = j % 2 ? NAN : INFINITY;
}

static void test_hard_data(void **unused) {
  (void)unused;
  static const struct {
    change_fn *change;
    const char *name;
  } kinds[] = {{far_from_zero, "far from zero"},
               {tight_pairs, "tight pairs"},
               {rows_on_centroids, "rows on centroids"},
               {equal_centroids, "equal centroids"},
               {all_equal, "all equal"},
               {huge, "huge"},
               {tiny, "tiny"},
               {not_finite, "not finite"},
               {no_finite_centroid, "no finite centroid"}};
  static const int64_t shapes[][3] = {{5, 3, 4}, {200, 16, 10}, {131, 65, 40}, {90, 784, 33}};
  fh_view_desc views[4];
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
      describe(views, shapes[s][0], shapes[s][1], shapes[s][2], ROWS, ROWS, 1);
      check_all(views, s % 2, 0, kinds[i].change, kinds[i].name);
    }
  }
}

/* The check itself can fail. */
static void test_compare(void **unused) {
  (void)unused;
  fh_element x[] = {0, 0, 5, 5}, c[] = {0, 0, 5, 5, 0, 0};
  int32_t labels[] = {0, 1}, good_labels[] = {0, 1};
  fh_element distances[] = {0, 0}, good_distances[] = {0, 0};
  fh_case one = {0};
  describe(one.views, 2, 2, 3, ROWS, ROWS, 1);
  one.views[DISTANCES].strides[0] = 1;
  void *got[] = {x, c, labels, distances}, *want[] = {x, c, good_labels, good_distances};
  assert_null(contract->compare(&one, got, want));
  labels[0] = 2; /* as near, but not the lowest */
  assert_non_null(contract->compare(&one, got, want));
  labels[0] = 3;
  assert_non_null(contract->compare(&one, got, want));
  labels[0] = 1;
  assert_non_null(contract->compare(&one, got, want));
  labels[0] = 0, distances[1] = HUNDREDTH;
  assert_non_null(contract->compare(&one, got, want));
}

static void expect_refusal(const fh_view_desc *views, const char *operand, const char *part) {
  assert_null(tuned_refusal(contract, views, operand, part));
}

static void test_bind(void **unused) {
  (void)unused;
  fh_view_desc good[4], bad[4];
  fh_bound bound;
  describe(good, 9, 4, 3, ROWS, ROWS, 1);
  assert_null(contract->bind(good, NULL, &bound));
  assert_int_equal(bound.stage_count, 1);
  assert_int_equal(bound.stages[0].items, 9);
  assert_int_equal(bound.stages[0].operand_count, 13);
  for (int v = 0; v < contract->tuned_count; v++) assert_null(contract->tuned[v].unfit(&bound));
  memcpy(bad, good, sizeof bad), bad[X] = matrix(9, 1 << 21, ROWS), bad[C] = matrix(3, 1 << 21, ROWS);
  assert_null(contract->bind(bad, NULL, &bound));
  for (int v = 0; v < contract->tuned_count; v++) assert_non_null(contract->tuned[v].unfit(&bound));
  memcpy(bad, good, sizeof bad), bad[C] = matrix(3, 5, ROWS);
  expect_refusal(bad, "c has shape (3, 5)", "d = 4");
  memcpy(bad, good, sizeof bad), bad[C] = matrix(0, 4, ROWS);
  expect_refusal(bad, "c has 0 rows", "expected 1");
  memcpy(bad, good, sizeof bad), bad[LABELS].dtype = FH_I64;
  expect_refusal(bad, "labels has type i64", "expected i32");
  memcpy(bad, good, sizeof bad), bad[DISTANCES].shape[0] = 8;
  expect_refusal(bad, "distances has shape (8)", "n = 9");
  memcpy(bad, good, sizeof bad), bad[LABELS].strides[0] = 0;
  expect_refusal(bad, "labels is written", "stride 0");
  memcpy(bad, good, sizeof bad), bad[X].rank = 1;
  expect_refusal(bad, "x has 1 dimensions", "(n, d)");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_of_many_rows), cmocka_unit_test(test_bind),    cmocka_unit_test(test_compare),
      cmocka_unit_test(test_sizes),          cmocka_unit_test(test_layouts), cmocka_unit_test(test_byte_offsets),
      cmocka_unit_test(test_hard_data),
  };
  return tuned_exit(contract, cmocka_run_group_tests(tests, tuned_setup, tuned_teardown));
}
