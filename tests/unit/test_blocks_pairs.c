/* The block texts of pairwise_distance and kmeans_assign, through the emulator of blocks. SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120 sanitize=address
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "tests/fakes/block/block.h"
#include "tests/support/tuned.h"

typedef enum layout { BY_ROWS, BY_COLUMNS, PADDED, REVERSED, SPREAD, LAYOUTS } layout;

static fh_view_desc rows_of(int64_t rows, int64_t d, layout how) {
  int64_t row = d, col = 1;
  if (how == BY_COLUMNS) row = 1, col = rows;
  if (how == PADDED) row = d + 5;
  if (how == REVERSED) row = -d, col = -1;
  if (how == SPREAD) row = 3 * d + 1, col = 3;
  return (fh_view_desc){FH_F32, 2, {rows, d}, {row, col}};
}

static void check(const fh_kernel_contract *contract, const fh_view_desc *views, const fh_value *scalars, bool at_end, const char *what) {
  int tried = 0;
  for (int v = 0; v < contract->block_count; v++) {
    fh_bound bound;
    assert_null(contract->bind(views, scalars, &bound));
    if (contract->blocks[v].unfit(&bound)) continue;
    tried++;
    tuned_call call = tuned_call_make(contract, views, at_end, 4);
    call.scalars = scalars;
    const char *wrong = tuned_call_check_block(&call, &contract->blocks[v]);
    if (wrong)
      fail_msg("%s/%s %s: %d and %d rows of %d: %s", contract->name, contract->blocks[v].name, what, (int)views[0].shape[0],
               (int)views[1].shape[0], (int)views[0].shape[1], wrong);
    tuned_call_free(&call);
  }
  assert_true(tried > 0);
}

static void check_distances(int64_t m, int64_t n, int64_t d, layout x, layout y, layout out) {
  const fh_view_desc views[] = {rows_of(m, d, x), rows_of(n, d, y), rows_of(m, n, out)};
  for (int metric = 0; metric < 3; metric++) {
    const fh_value scalars[] = {{.i = metric}};
    check(&fh_contract_pairwise_distance, views, scalars, (m + n + d) % 2, (const char *[]){"l2", "dot", "cosine"}[metric]);
  }
}

static void test_distances(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{32, 32, 1},   {33, 47, 0},    {64, 65, 7},    {127, 129, 8},
                                      {129, 128, 9}, {130, 257, 31}, {260, 140, 40}, {40, 1100, 17}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    check_distances(shapes[i][0], shapes[i][1], shapes[i][2], BY_ROWS, BY_ROWS, BY_ROWS);
  for (int i = 0; i < LAYOUTS; i++) check_distances(70, 133, 19, (layout)i, (layout)((i + 1) % LAYOUTS), (layout)((i + 3) % LAYOUTS));
}

static void check_nearest(int64_t n, int64_t k, int64_t d, layout x, layout c, int step) {
  const fh_view_desc views[] = {rows_of(n, d, x), rows_of(k, d, c), {FH_I32, 1, {n}, {step}}, {FH_F32, 1, {n}, {step}}};
  check(&fh_contract_kmeans_assign, views, NULL, (n + k) % 2, "nearest");
}

static void test_nearest(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{1, 32, 1},    {5, 40, 0},     {127, 33, 7},   {128, 128, 8},
                                      {129, 129, 9}, {300, 257, 31}, {140, 500, 16}, {1000, 64, 3}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_nearest(shapes[i][0], shapes[i][1], shapes[i][2], BY_ROWS, BY_ROWS, 1);
  for (int i = 0; i < LAYOUTS; i++) check_nearest(150, 70, 19, (layout)i, (layout)((i + 2) % LAYOUTS), 1 + i % 2);
}

/* Equal centroids in all threads' parts of the tiles, rows and centroids of NaN, rows that overflow. */
static void test_nearest_of_equals(void **state) {
  (void)state;
  enum { N = 130, K = 300, D = 5 };
  const fh_view_desc views[] = {rows_of(N, D, BY_ROWS), rows_of(K, D, BY_ROWS), {FH_I32, 1, {N}, {1}}, {FH_F32, 1, {N}, {1}}};
  tuned_call call = tuned_call_make(&fh_contract_kmeans_assign, views, true, 0);
  float *x = call.first[0], *c = call.first[1];
  for (int j = 0; j < K; j++)
    for (int l = 0; l < D; l++) c[j * D + l] = c[j % 70 * D + l];
  for (int l = 0; l < D; l++) c[7 * D + l] = __builtin_nanf(""), c[77 * D + l] = __builtin_inff();
  for (int l = 0; l < D; l++) x[3 * D + l] = __builtin_nanf(""), x[128 * D + l] = 3e38f;
  assert_null(tuned_call_check_block(&call, &fh_contract_kmeans_assign.blocks[0]));
  const int32_t *labels = call.first[2];
  for (int i = 0; i < N; i++) assert_true(labels[i] >= 0 && labels[i] != 7 && (labels[i] < 70 || labels[i] % 70 == 7));
  assert_int_equal(labels[3], 0);
  tuned_call_free(&call);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_distances), cmocka_unit_test(test_nearest),
                                     cmocka_unit_test(test_nearest_of_equals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
