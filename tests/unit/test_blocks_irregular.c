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
static const block_layout layouts[] = {{1, 0, 0, true, false}, {1, 0, 4, false, false}, {3, 1, 8, false, false}};
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

/* With each variant that takes it, one at least. */
static void check(const fh_kernel_contract *contract, const fh_case *c) {
  int tried = 0;
  for (int b = 0; b < contract->block_count; b++) {
    const char *wrong = block_case_check(contract, &contract->blocks[b], c, &layouts[1]);
    if (wrong && strstr(wrong, "does not take")) continue;
    if (wrong) fail_msg("%s/%s %s, %s: %s", contract->name, contract->blocks[b].name, c->label, fh_skew_names[fh_skew_of(c)], wrong);
    tried++;
  }
  if (tried == 0) fail_msg("%s: no variant takes %s, %s", contract->name, c->label, fh_skew_names[fh_skew_of(c)]);
}

/* d 0: single numbers. */
static fh_case sums_of(int64_t n, int64_t segments, int64_t d, fh_skew skew) {
  const int64_t edges = segments + 1, x[] = {n, d}, y[] = {segments, d};
  const int32_t rank = d ? 2 : 1;
  fh_case c = {.views = {fh_compact(FH_F32, rank, x), fh_compact(FH_I64, 1, &edges), fh_compact(FH_F32, rank, y)}};
  *fh_case_skew(&c) = skew;
  snprintf(c.label, sizeof c.label, "%d to %d, d=%d", (int)n, (int)segments, (int)d);
  return c;
}
static fh_case products_of(int64_t n, int64_t rows, fh_skew skew) {
  const int64_t edges = rows + 1, columns = 300;
  fh_case c = {.views = {fh_compact(FH_F32, 1, &n), fh_compact(FH_I32, 1, &n), fh_compact(FH_I64, 1, &edges),
                         fh_compact(FH_F32, 1, &columns), fh_compact(FH_F32, 1, &rows)}};
  *fh_case_skew(&c) = skew;
  snprintf(c.label, sizeof c.label, "%d to %d", (int)n, (int)rows);
  return c;
}

/* Segments from none to many pieces, offsets and columns out of range. */
static void test_segments(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_csr_matvec, MOST, layouts, LAYOUTS);
  block_cases_check_all(&fh_contract_segment_sum, MOST, layouts, LAYOUTS);
}

/* Lengths around a thread's, a warp's steps and a piece. */
static void test_lengths_of_segments(void **state) {
  (void)state;
  for (int skew = 0; skew < FH_SKEWS; skew++) {
    static const int64_t segments[] = {70, 600, 3000};
    for (int i = 0; i < 3; i++) {
      const fh_case sums = sums_of(40000, segments[i], 0, skew), products = products_of(40000, segments[i], skew);
      check(&fh_contract_segment_sum, &sums);
      check(&fh_contract_csr_matvec, &products);
    }
  }
}

/* One segment has nearly everything beside many that are short or empty: more pieces than a thread joins, and windows of segments alone. */
static void test_skew_of_segments(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    const fh_case sums = sums_of(160001, 9000, 0, i ? FH_SKEW_EQUAL : FH_SKEW_HEAVY);
    const fh_case products = products_of(150000, 20000, i ? FH_SKEW_EQUAL : FH_SKEW_HEAVY);
    check(&fh_contract_segment_sum, &sums);
    check(&fh_contract_csr_matvec, &products);
  }
}

/* Rows of few numbers, of as many as a block has threads, and of bands. */
static void test_skew_of_rows(void **state) {
  (void)state;
  static const int64_t widths[] = {2, 3, 31, 100, 255, 256, 257, 520};
  for (int skew = 0; skew < FH_SKEWS; skew++) {
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
      if (skew == FH_SKEW_WILD) continue; /* for a text of the other cut alone */
      const fh_case c = sums_of((int64_t)skew < 4 && i < 3 ? 20000 / widths[i] : 700, 23, widths[i], skew);
      check(&fh_contract_segment_sum, &c);
    }
  }
}

/* Added to what is there and from zero, whatever the skew. */
static void test_scatter_add(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_scatter_add, MOST, layouts, LAYOUTS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_counts),      cmocka_unit_test(test_ranges_of_counts),    cmocka_unit_test(test_segments),
      cmocka_unit_test(test_scatter_add), cmocka_unit_test(test_lengths_of_segments), cmocka_unit_test(test_skew_of_segments),
      cmocka_unit_test(test_skew_of_rows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
