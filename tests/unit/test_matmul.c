/* matmul: the contract's checks, and its tuned variants against the oracle. SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120 sanitize=address
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

#include "kernels/contracts.h"
#include "tests/support/tuned.h"

/* ---- operands ------------------------------------------------------------------------------------ */

/* How a matrix lies in memory. */
typedef enum layout { ROWS, COLUMNS, PADDED_ROWS, REVERSED_ROWS, REVERSED_COLUMNS, SPREAD, LAYOUTS } layout;

static const char *const layout_names[] = {"rows", "columns", "padded rows", "reversed rows", "reversed columns", "spread"};

static fh_view_desc matrix(int64_t batch, int64_t rows, int64_t cols, layout how) {
  int64_t row = cols, col = 1, size = rows * cols;
  if (how == COLUMNS) row = 1, col = rows;
  if (how == PADDED_ROWS) row = cols + 3, size = rows * (cols + 3);
  if (how == REVERSED_ROWS) row = -cols;
  if (how == REVERSED_COLUMNS) col = -1;
  if (how == SPREAD) row = 2 * cols + 1, col = 2, size = rows * row;
  if (batch == 0) return (fh_view_desc){FH_F32, 2, {rows, cols}, {row, col}};
  return (fh_view_desc){FH_F32, 3, {batch, rows, cols}, {size, row, col}};
}

static void check_everywhere(const fh_view_desc *a, const fh_view_desc *b, const fh_view_desc *c, bool at_end, size_t shift,
                             const char *what) {
  if (tuned_left_out(5)) return;
  const fh_view_desc views[] = {*a, *b, *c};
  for (int v = 0; v < fh_contract_matmul.tuned_count; v++) {
    const fh_tuned *variant = &fh_contract_matmul.tuned[v];
    if (!fh_isa_runs(variant->isa)) continue;
    tuned_call call = tuned_call_make(&fh_contract_matmul, views, at_end, shift);
    const char *wrong = tuned_call_check(&call, variant, tuned_pools[at_end]);
    int row = a->rank - 2;
    if (wrong)
      fail_msg("%s: m %d n %d k %d, %s: %s", fh_isa_name(variant->isa), (int)a->shape[row], (int)b->shape[row + 1], (int)a->shape[row + 1],
               what, wrong);
    tuned_call_free(&call);
  }
}

/* ---- tests --------------------------------------------------------------------------------------- */

static const int64_t sizes[] = {0, 1, 2, 3, 5, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200};
enum { SIZE_COUNT = sizeof sizes / sizeof sizes[0] };

/* Every size in every place, the other two walking through the list. */
static void test_sizes(void **unused) {
  (void)unused;
  for (int i = 0; i < SIZE_COUNT; i++) {
    for (int j = 0; j < SIZE_COUNT; j++) {
      int64_t m = sizes[i], n = sizes[j], k = sizes[(3 * i + 7 * j) % SIZE_COUNT];
      fh_view_desc a = matrix(0, m, k, ROWS), b = matrix(0, k, n, ROWS), c = matrix(0, m, n, ROWS);
      check_everywhere(&a, &b, &c, (i + j) % 2, 0, "compact");
    }
  }
}

static void test_layouts(void **unused) {
  (void)unused;
  static const int64_t shapes[][3] = {{5, 7, 3}, {33, 31, 65}, {17, 130, 40}, {129, 100, 127}};
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    const int64_t *d = shapes[s];
    for (int i = 0; i < LAYOUTS * LAYOUTS * LAYOUTS; i++) {
      layout la = (layout)(i % LAYOUTS), lb = (layout)(i / LAYOUTS % LAYOUTS), lc = (layout)(i / LAYOUTS / LAYOUTS);
      if (d[0] > 100 && (la + lb + lc) % 3) continue; /* the large one: a third of the combinations */
      fh_view_desc a = matrix(0, d[0], d[2], la), b = matrix(0, d[2], d[1], lb), c = matrix(0, d[0], d[1], lc);
      char what[80];
      snprintf(what, sizeof what, "a %s, b %s, c %s", layout_names[la], layout_names[lb], layout_names[lc]);
      check_everywhere(&a, &b, &c, i % 2, 0, what);
    }
  }
}

static void test_byte_offsets(void **unused) {
  (void)unused;
  for (size_t shift = 1; shift < 64; shift += shift < 8 ? 1 : 5) {
    fh_view_desc a = matrix(0, 29, 37, shift % 2 ? ROWS : COLUMNS), b = matrix(0, 37, 50, ROWS), c = matrix(0, 29, 50, ROWS);
    check_everywhere(&a, &b, &c, false, shift, "unaligned");
    a = matrix(0, 110, 101, ROWS), b = matrix(0, 101, 103, shift % 2 ? COLUMNS : ROWS), c = matrix(0, 110, 103, ROWS);
    if (shift < 8) check_everywhere(&a, &b, &c, false, shift, "unaligned, packed");
  }
}

/* More than one block in every direction: 512 steps, 2048 rows, 4096 columns. */
static void test_blocks(void **unused) {
  (void)unused;
  static const int64_t shapes[][3] = {{37, 41, 1100}, {2100, 35, 60}, {30, 4200, 35}, {60, 4200, 33}, {1, 4500, 33}, {2300, 1, 513}};
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    const int64_t *d = shapes[s];
    for (int i = 0; i < 4; i++) {
      fh_view_desc a = matrix(0, d[0], d[2], i & 1 ? COLUMNS : ROWS), b = matrix(0, d[2], d[1], i & 2 ? COLUMNS : ROWS);
      fh_view_desc c = matrix(0, d[0], d[1], i == 1 ? COLUMNS : ROWS);
      check_everywhere(&a, &b, &c, i & 1, 0, "several blocks");
    }
  }
}

static void test_batches(void **unused) {
  (void)unused;
  static const int64_t shapes[][4] = {{1, 5, 6, 7}, {3, 17, 33, 9}, {7, 16, 16, 16}, {2, 130, 101, 99}, {0, 4, 4, 4}, {2, 270, 260, 258}};
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    const int64_t *d = shapes[s];
    for (int i = 0; i < 4; i++) {
      fh_view_desc a = matrix(d[0], d[1], d[3], ROWS), b = matrix(d[0], d[3], d[2], i == 3 ? COLUMNS : ROWS),
                   c = matrix(d[0], d[1], d[2], ROWS);
      a.rank = b.rank = c.rank = 3;
      a.shape[0] = b.shape[0] = c.shape[0] = d[0];
      if (d[0] == 0) a.shape[1] = c.shape[1] = 4, a.shape[2] = b.shape[1] = b.shape[2] = c.shape[2] = 4;
      if (i == 1) a.strides[0] = 0; /* one matrix for all */
      if (i == 2) b.strides[0] = 0;
      if (i == 3) a.strides[0] = -a.strides[0];
      check_everywhere(&a, &b, &c, i % 2, 0, "batched");
    }
  }
}

/* NaN and infinity appear where the oracle has them and nowhere else. */
static void test_not_finite(void **unused) {
  (void)unused;
  fh_view_desc a = matrix(0, 30, 33, ROWS), b = matrix(0, 33, 35, ROWS), c = matrix(0, 30, 35, ROWS);
  for (int v = 0; v < fh_contract_matmul.tuned_count; v++) {
    const fh_tuned *variant = &fh_contract_matmul.tuned[v];
    if (!fh_isa_runs(variant->isa)) continue;
    const fh_view_desc views[] = {a, b, c};
    tuned_call call = tuned_call_make(&fh_contract_matmul, views, true, 0);
    ((float *)call.first[0])[2 * 33 + 5] = NAN;
    ((float *)call.first[0])[29 * 33 + 32] = INFINITY;
    ((float *)call.first[1])[7 * 35 + 34] = -INFINITY;
    ((float *)call.first[1])[0] = 1e-42f;
    assert_null(tuned_call_check(&call, variant, tuned_pools[0]));
    fh_case as_case = {.views = {a, b, c}};
    ((float *)call.first[2])[0] += 1e-3f; /* the check itself can fail */
    assert_non_null(fh_contract_matmul.compare(&as_case, call.first, call.first));
    tuned_call_free(&call);
  }
}

static void expect_refusal(const fh_view_desc *views, const char *operand, const char *part) {
  assert_null(tuned_refusal(&fh_contract_matmul, views, operand, part));
}

static void test_bind(void **unused) {
  (void)unused;
  fh_view_desc good[3] = {matrix(0, 3, 4, ROWS), matrix(0, 4, 5, ROWS), matrix(0, 3, 5, ROWS)}, bad[3];
  fh_bound bound;
  assert_null(fh_contract_matmul.bind(good, NULL, &bound));
  assert_int_equal(bound.stage_count, 1);
  assert_int_equal(bound.stages[0].items, 3);
  assert_int_equal(bound.stages[0].operand_count, 16);
  assert_true(bound.flops == 2.0 * 3 * 4 * 5);

  memcpy(bad, good, sizeof bad), bad[1] = matrix(0, 5, 4, ROWS);
  expect_refusal(bad, "b has shape (5, 4)", "k = 4");
  memcpy(bad, good, sizeof bad), bad[2] = matrix(0, 5, 3, ROWS);
  expect_refusal(bad, "c has shape (5, 3)", "m = 3");
  memcpy(bad, good, sizeof bad), bad[0].dtype = FH_I32;
  expect_refusal(bad, "a has type i32", "expected f32");
  memcpy(bad, good, sizeof bad), bad[1].rank = 1;
  expect_refusal(bad, "b has 1 dimensions", "(k, n)");
  memcpy(bad, good, sizeof bad), bad[2].strides[0] = 0;
  expect_refusal(bad, "c is written", "stride 0");
  memcpy(bad, good, sizeof bad), bad[1] = matrix(2, 4, 5, ROWS);
  expect_refusal(bad, "b has shape (2, 4, 5)", "batch");
  memcpy(bad, good, sizeof bad), bad[0].shape[0] = bad[2].shape[0] = INT64_MAX / 4;
  expect_refusal(bad, "a has shape", "more elements");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bind),   cmocka_unit_test(test_sizes),   cmocka_unit_test(test_layouts),    cmocka_unit_test(test_byte_offsets),
      cmocka_unit_test(test_blocks), cmocka_unit_test(test_batches), cmocka_unit_test(test_not_finite),
  };
  return tuned_exit(&fh_contract_matmul, cmocka_run_group_tests(tests, tuned_setup, tuned_teardown));
}
