/* The block texts of kmeans_update and kmeans_step, and of kmeans_assign for few centroids, through the emulator of blocks.
 * SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120 sanitize=address cross=no
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cases.h"
#include "kernels/contracts.h"
#include "tests/support/block_cases.h"

static const block_layout layouts[] = {{1, 0, 0, true, false}, {1, 3, 4, false, false}, {3, 1, 8, false, false}};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, MOST = 100000 };

static const fh_block_variant *variant_of(const fh_kernel_contract *contract, const char *name) {
  for (int i = 0; i < contract->block_count; i++)
    if (strcmp(contract->blocks[i].name, name) == 0) return &contract->blocks[i];
  fail_msg("%s has no %s", contract->name, name);
  return NULL;
}

static void check(const fh_kernel_contract *contract, const char *variant, const fh_case *c, const block_layout *layout) {
  const char *wrong = block_case_check(contract, variant_of(contract, variant), c, layout);
  if (wrong) fail_msg("%s/%s %s: %s", contract->name, variant, c->label, wrong);
}

/* The contract's cases: half the rows in one cluster, and labels out of range. */
static void test_update(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_kmeans_update, MOST, layouts, LAYOUTS);
}

/* Several bands, several groups, several lists to a chunk, clusters without rows, a band of a single column. */
static void test_update_grids(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{2500, 129, 5}, {1200, 150, 80}, {3000, 9, 700}, {4500, 2, 1}, {1030, 128, 73}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const int64_t n = shapes[i][0], k = shapes[i][2], x[] = {n, shapes[i][1]}, sums[] = {k, shapes[i][1]};
    fh_case c = {.views = {fh_compact(FH_F32, 2, x), fh_compact(FH_I32, 1, &n), fh_compact(FH_F32, 2, sums), fh_compact(FH_I32, 1, &k)}};
    snprintf(c.label, sizeof c.label, "%d x %d, %d", (int)n, (int)x[1], (int)k);
    check(&fh_contract_kmeans_update, "chunks", &c, &layouts[0]);
  }
}

/* From centroids to counts in three launches. */
static fh_case step_case(int64_t n, int64_t d, int64_t k) {
  const int64_t x[] = {n, d}, c[] = {k, d};
  fh_case out = {.views = {fh_compact(FH_F32, 2, x), fh_compact(FH_F32, 2, c), fh_compact(FH_I32, 1, &n), fh_compact(FH_F32, 1, &n),
                           fh_compact(FH_F32, 2, c), fh_compact(FH_I32, 1, &k)}};
  snprintf(out.label, sizeof out.label, "%d x %d, %d", (int)n, (int)d, (int)k);
  return out;
}

static void test_few(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{1, 1, 1},    {33, 5, 3},     {31, 16, 16},  {64, 17, 17}, {100, 255, 10}, {70, 256, 2},
                                      {65, 257, 9}, {130, 784, 10}, {40, 300, 31}, {3, 0, 2},    {700, 20, 4}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const fh_case c = step_case(shapes[i][0], shapes[i][1], shapes[i][2]);
    for (int l = 0; l < LAYOUTS; l++) {
      check(&fh_contract_kmeans_assign, "few", &c, &layouts[l]);
      check(&fh_contract_kmeans_step, "few", &c, &layouts[l]);
    }
  }
}

/* Both in one look at a row: passes of every class, chunks that end within a tile, columns that are no multiple of anything. */
static void test_fused(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{33, 128, 3},   {100, 157, 1}, {130, 784, 10}, {70, 300, 17},
                                      {41, 1030, 12}, {700, 258, 5}, {90, 320, 31}};
  static const block_layout by_rows[] = {{1, 0, 0, true, false}, {1, 3, 4, false, false}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const fh_case c = step_case(shapes[i][0], shapes[i][1], shapes[i][2]);
    for (int l = 0; l < 2; l++) check(&fh_contract_kmeans_step, "fused", &c, &by_rows[l]);
  }
}

/* By tiles, too: labels and distances within the bounds of kmeans_assign, sums by the labels that were given. */
static void test_step(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_kmeans_step, MOST, layouts, LAYOUTS);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_update), cmocka_unit_test(test_update_grids), cmocka_unit_test(test_few),
                                     cmocka_unit_test(test_fused), cmocka_unit_test(test_step)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
