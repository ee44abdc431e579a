/* The block texts of reductions, through the emulator of blocks: the bits of the kernels' texts. SPDX-License-Identifier: Apache-2.0
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

/* Compact at a boundary and off it, with values of every kind; rows apart; rows side by side. */
static const block_layout layouts[] = {
    {1, 0, 0, false, false}, {1, 0, 4, true, false}, {1, 5, 12, true, false}, {1, 0, 0, true, true}, {1, 3, 4, false, true}};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, MOST = 200000 };

/* Rows of d elements to one result each, or all of them to one. */
static fh_case rows_to(const fh_kernel_contract *contract, int64_t rows, int64_t d, bool all) {
  const int64_t x[] = {rows, d}, y = all ? 1 : rows;
  fh_case out = {0};
  const int last = contract->view_count - 1;
  for (int v = 0; v < last; v++) out.views[v] = fh_compact(FH_F32, 2, x);
  out.views[last] = fh_compact(contract->views[last].dtype, 1, &y);
  snprintf(out.label, sizeof out.label, "%d x %d%s", (int)rows, (int)d, all ? " all" : "");
  return out;
}

/* With the variants that take it. */
static void check(const fh_kernel_contract *contract, const fh_case *c) {
  int tried = 0;
  for (int l = 0; l < LAYOUTS; l++) {
    for (int b = 0; b < contract->block_count; b++) {
      const char *wrong = block_case_check(contract, &contract->blocks[b], c, &layouts[l]);
      if (wrong && strstr(wrong, "does not take")) continue;
      tried++;
      if (wrong) fail_msg("%s/%s %s, layout %d: %s", contract->name, contract->blocks[b].name, c->label, l, wrong);
    }
  }
  if (tried == 0) fail_msg("%s: no variant takes %s", contract->name, c->label);
}

/* One piece and its remainders, rows of several, all of many rows. */
static const struct {
  int64_t rows, d;
  bool all;
} shapes[] = {{1, 256, false},  {7, 271, false},  {5, 319, false},  {3, 1040, false},  {9, 4095, false}, {2, 4096, false},
              {3, 4097, false}, {2, 9000, false}, {70, 300, true},  {1, 40000, true},  {13, 5000, true}, {8, 64, false},
              {9, 4097, false}, {16, 700, true},  {33, 130, false}, {65, 1025, false}, {17, 8200, true}};

/* Every `step`-th of them. */
static void check_shapes(const fh_kernel_contract *contract, int64_t parameter, size_t first, size_t step) {
  for (size_t i = first; i < sizeof shapes / sizeof *shapes; i += step) {
    fh_case c = rows_to(contract, shapes[i].rows, shapes[i].d, shapes[i].all);
    c.scalars[0].i = parameter;
    check(contract, &c);
  }
}

static void test_reduce(void **state) {
  (void)state;
  enum { OPS = 7 };
  for (int op = 0; op < OPS; op++) check_shapes(&fh_contract_reduce, op, (size_t)op % 2, 2); /* sums and extremes of every shape */
  block_cases_check_all(&fh_contract_reduce, MOST, layouts, LAYOUTS);
}

static void test_dot(void **state) {
  (void)state;
  check_shapes(&fh_contract_dot, 0, 0, 1);
  block_cases_check_all(&fh_contract_dot, MOST, layouts, LAYOUTS);
}

/* Rows that registers hold, to their last element, and pieces of longer ones. */
static void test_variance(void **state) {
  (void)state;
  static const int64_t lengths[] = {256, 257, 1023, 1024, 1025, 3000, 4095, 4096};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    fh_case c = rows_to(&fh_contract_variance, 1 + (int64_t)i, lengths[i], false);
    c.scalars[0].i = (int64_t)i % 2;
    check(&fh_contract_variance, &c);
  }
  check_shapes(&fh_contract_variance, 1, 0, 1);
  block_cases_check_all(&fh_contract_variance, MOST, layouts, LAYOUTS);
}

/* Least and largest of every shape; short rows, a thread each, and columns of several parts. */
static void test_arg_extreme(void **state) {
  (void)state;
  for (int largest = 0; largest < 2; largest++) check_shapes(&fh_contract_arg_extreme, largest, 0, 1);
  static const int64_t rows[][2] = {{700, 3}, {300, 16}, {40, 31}, {9, 33}, {19, 100}, {20, 513}, {4100, 40}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fh_case c = rows_to(&fh_contract_arg_extreme, rows[i][0], rows[i][1], false);
    c.scalars[0].i = (int64_t)i % 2;
    check(&fh_contract_arg_extreme, &c);
  }
  block_cases_check_all(&fh_contract_arg_extreme, MOST, layouts, LAYOUTS);
}

/* Rows without a number, and with infinities, among those of the contract; a turned one is strided. */
static void test_sample(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_sample, 20000, layouts, 3);
  for (int k = 0; k < 4; k++) {
    const int64_t logits[] = {3, 9000 + k}, ids = 3;
    fh_case c = {.views = {fh_compact(FH_F32, 2, logits), fh_compact(FH_I32, 1, &ids)}};
    c.scalars[0].f = k % 2 ? 1 : 0.05;
    c.scalars[1].i = k < 2 ? 0 : 7;
    c.scalars[2].f = k == 1 ? 0.999 : 1;
    c.scalars[3].i = 11 * k;
    snprintf(c.label, sizeof c.label, "sample %d", k);
    check(&fh_contract_sample, &c);
  }
}

/* Pieces enough that their values are several rows themselves. */
static void test_many_pieces(void **state) {
  (void)state;
  fh_case c = rows_to(&fh_contract_reduce, 9001, 256, true);
  check(&fh_contract_reduce, &c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_reduce),      cmocka_unit_test(test_dot),    cmocka_unit_test(test_variance),
                                     cmocka_unit_test(test_arg_extreme), cmocka_unit_test(test_sample), cmocka_unit_test(test_many_pieces)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
