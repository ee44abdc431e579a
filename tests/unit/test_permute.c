/* permute: its tuned variants against the oracle, with and without stores past the caches. SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "kernels/permute/permute.h"
#include "tests/support/tuned.h"

enum { X, Y, RANK = 4 };

/* What the harness gives no parameters for: set before each call. */
static fh_value axes[RANK];
static bool past_caches;

static fh_status bind(const fh_view_desc *views, const fh_value *unused, fh_bound *out) {
  (void)unused;
  fh_status status = fh_contract_permute.bind(views, axes, out);
  if (!status && out->stage_count) out->stages[0].operands[FH_PERMUTE_STREAM].i = past_caches;
  return status;
}

static void reference(const fh_view_desc *views, void *const *data, const fh_value *unused) {
  (void)unused;
  fh_contract_permute.reference(views, data, axes);
}

static fh_kernel_contract contract;

typedef struct shape {
  int32_t rank;
  int64_t extents[RANK]; /* of x */
  int axes[RANK];
} shape;

/* Rows of x and of y are so much longer than what is used of them. */
static void describe(const shape *s, int64_t x_gap, int64_t y_gap, fh_view_desc views[2]) {
  fh_view_desc x = {.dtype = FH_F32, .rank = s->rank}, y = x;
  int64_t x_step = 1, y_step = 1;
  for (int i = s->rank - 1; i >= 0; i--) {
    x.shape[i] = s->extents[i];
    y.shape[i] = s->extents[s->axes[i]];
    x.strides[i] = x_step;
    y.strides[i] = y_step;
    x_step = x_step * x.shape[i] + (i == s->rank - 1 ? x_gap : 0);
    y_step = y_step * y.shape[i] + (i == s->rank - 1 ? y_gap : 0);
  }
  views[X] = x;
  views[Y] = y;
  for (int i = 0; i < RANK; i++) axes[i].i = i < s->rank ? s->axes[i] : i;
}

static void check(const shape *s, const fh_view_desc *views, bool at_end, size_t shift, const char *what) {
  for (int v = 0; v < contract.tuned_count; v++) {
    const fh_tuned *variant = &contract.tuned[v];
    if (!tuned_runs(variant)) continue;
    for (int past = 0; past < 2; past++) {
      past_caches = past;
      tuned_call call = tuned_call_make(&contract, views, at_end, shift);
      const char *wrong = tuned_call_check(&call, variant, tuned_pools[at_end]);
      if (wrong)
        fail_msg("%s: %d x %d x %d x %d by %d %d %d %d, %s%s: %s", fh_isa_name(variant->isa), (int)s->extents[0], (int)s->extents[1],
                 (int)s->extents[2], (int)s->extents[3], s->axes[0], s->axes[1], s->axes[2], s->axes[3], what,
                 past ? ", past the caches" : "", wrong);
      tuned_call_free(&call);
    }
  }
}

static void check_layouts(const shape *s) {
  fh_view_desc views[2];
  describe(s, 0, 0, views);
  check(s, views, true, 0, "compact");
  check(s, views, false, sizeof(float), "compact, one float behind a line");
  check(s, views, false, 1, "compact, at an odd address");
  describe(s, 1, 0, views);
  check(s, views, true, 0, "gaps in x");
  describe(s, 0, 1, views);
  check(s, views, true, 0, "gaps in y");
  describe(s, 5, 16, views);
  check(s, views, false, 0, "gaps in both");
  describe(s, 0, 0, views);
  for (int i = 0; i < s->rank; i++) views[X].strides[i] = -views[X].strides[i];
  check(s, views, true, 0, "x backwards");
  describe(s, 0, 0, views);
  views[Y].strides[0] = -views[Y].strides[0];
  if (s->rank > 1) views[X].strides[0] = -views[X].strides[0];
  check(s, views, true, 0, "slowest dimensions backwards");
}

/* Every pair of rows and columns up to two blocks of 16 and a rest. */
static void squares_of_all_sizes(void **state) {
  (void)state;
  for (int64_t rows = 1; rows <= 36; rows++) {
    for (int64_t columns = 1; columns <= 36; columns++) {
      const shape s = {2, {rows, columns}, {1, 0}};
      fh_view_desc views[2];
      describe(&s, columns % 3, rows % 2, views);
      check(&s, views, (rows + columns) % 2, 0, "gaps of up to two");
      describe(&s, 0, 0, views);
      check(&s, views, true, 0, "compact");
    }
  }
}

/* Several tiles and rests of them in each way. */
static void tiles(void **state) {
  (void)state;
  static const shape shapes[] = {
      {2, {200, 131}, {1, 0}},    {2, {577, 70}, {1, 0}},      {2, {64, 1100}, {1, 0}},     {2, {192, 192}, {1, 0}},
      {2, {2, 9001}, {1, 0}},     {2, {3, 9001}, {1, 0}},      {2, {4, 8500}, {1, 0}},      {2, {7, 8200}, {1, 0}},
      {2, {15, 8193}, {1, 0}},    {2, {9001, 2}, {1, 0}},      {2, {9001, 3}, {1, 0}},      {2, {8500, 4}, {1, 0}},
      {2, {1000, 7}, {1, 0}},     {2, {700, 15}, {1, 0}},      {3, {40, 90, 3}, {1, 0, 2}}, {3, {20, 90, 65}, {1, 0, 2}},
      {2, {2, 40000}, {0, 1}},    {3, {600, 3, 5}, {0, 2, 1}}, {3, {9, 33, 35}, {0, 2, 1}}, {4, {3, 33, 4, 18}, {3, 2, 1, 0}},
      {3, {3, 5, 90}, {2, 1, 0}},
  };
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_layouts(&shapes[i]);
}

/* One value read everywhere along a dimension. */
static void repeated_rows(void **state) {
  (void)state;
  const shape s = {2, {70, 50}, {1, 0}};
  fh_view_desc views[2];
  for (int dimension = 0; dimension < 2; dimension++) {
    describe(&s, 0, 0, views);
    views[X].strides[dimension] = 0;
    check(&s, views, true, 0, "stride 0");
  }
}

/* Records that overlap, each one element after the last: nothing lies behind them. */
static void overlapping_records(void **state) {
  (void)state;
  for (int64_t fields = 2; fields <= 5; fields++) {
    for (int64_t n = 1; n <= 50; n++) {
      const shape s = {2, {fields, n}, {0, 1}};
      fh_view_desc views[2];
      describe(&s, 0, 0, views);
      for (int64_t step = 1; step <= 3; step++) {
        views[X].strides[0] = 1;
        views[X].strides[1] = step;
        check(&s, views, true, 0, "overlapping records");
      }
    }
  }
}

int main(void) {
  contract = fh_contract_permute;
  contract.bind = bind;
  contract.reference = reference;
  const struct CMUnitTest tests[] = {cmocka_unit_test(squares_of_all_sizes), cmocka_unit_test(tiles), cmocka_unit_test(repeated_rows),
                                     cmocka_unit_test(overlapping_records)};
  return tuned_exit(&contract, cmocka_run_group_tests(tests, tuned_setup, tuned_teardown));
}
