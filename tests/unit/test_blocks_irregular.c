/* The block texts of kernels on irregular data, through the emulator of blocks: the bits of the kernels' texts, for every skew.
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

#include "kernels/contracts.h"
#include "kernels/skew.h"
#include "tests/support/block_cases.h"

/* Compact at a boundary and off it, with values of every kind; elements and rows apart. */
static const block_layout layouts[] = {{1, 0, 0, true}, {1, 0, 4, false}, {3, 1, 8, false}};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, MOST = 80000 };

static void test_counts(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_bincount, MOST, layouts, LAYOUTS);
  block_cases_check_all(&fh_contract_histogram, MOST, layouts, LAYOUTS);
}

/* More places than a table has: ranges, the last of them short; and ids beyond all. */
static void test_ranges_of_counts(void **state) {
  (void)state;
  static const int64_t places[] = {8192, 8193, 20000, 131072};
  for (int i = 0; i < 4; i++) {
    const int64_t n = 3001, k = places[i];
    fh_case c = {.views = {fh_compact(FH_I32, 1, &n), fh_compact(FH_I32, 1, &k)}};
    *fh_case_skew(&c) = i % 2 ? FH_SKEW_WILD : FH_SKEW_ZIPF;
    snprintf(c.label, sizeof c.label, "%d places", (int)k);
    const char *wrong = block_case_check(&fh_contract_bincount, &fh_contract_bincount.blocks[0], &c, &layouts[0]);
    if (wrong) fail_msg("%s: %s", c.label, wrong);
  }
}

/* NULL as well where the data is such that another cut is for it. */
static const char *fits(const fh_kernel_contract *contract, const fh_case *c) {
  const char *wrong = block_case_check(contract, &contract->blocks[0], c, &layouts[1]);
  return wrong && strstr(wrong, "does not take") ? NULL : wrong;
}

/* Segments from none to many pieces, offsets and columns out of range. */
static void test_segments(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_csr_matvec, MOST, layouts, LAYOUTS);
  block_cases_check_all(&fh_contract_segment_sum, MOST, layouts, LAYOUTS);
}

/* Every length around a thread's, a warp's steps and a piece. */
static void test_lengths_of_segments(void **state) {
  (void)state;
  enum { SEGMENTS = 600 };
  for (int skew = 0; skew < FH_SKEWS; skew++) {
    const int64_t n = 40000, edges = SEGMENTS + 1, segments = SEGMENTS, columns = 300;
    fh_case sums = {.views = {fh_compact(FH_F32, 1, &n), fh_compact(FH_I64, 1, &edges), fh_compact(FH_F32, 1, &segments)}};
    fh_case products = {.views = {fh_compact(FH_F32, 1, &n), fh_compact(FH_I32, 1, &n), fh_compact(FH_I64, 1, &edges),
                                  fh_compact(FH_F32, 1, &columns), fh_compact(FH_F32, 1, &segments)}};
    *fh_case_skew(&sums) = *fh_case_skew(&products) = skew;
    const char *wrong = fits(&fh_contract_segment_sum, &sums);
    if (!wrong) wrong = fits(&fh_contract_csr_matvec, &products);
    if (wrong) fail_msg("%s: %s", fh_skew_names[skew], wrong);
  }
}

/* Added to what is there and from zero, whatever the skew. */
static void test_scatter_add(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_scatter_add, MOST, layouts, LAYOUTS);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts), cmocka_unit_test(test_ranges_of_counts),
                                     cmocka_unit_test(test_segments), cmocka_unit_test(test_scatter_add),
                                     cmocka_unit_test(test_lengths_of_segments)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
