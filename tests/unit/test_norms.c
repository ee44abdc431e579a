/* layer_norm, rms_norm, l2_normalize, softmax: their tuned variants give the bits of the texts.
 * SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=180
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "kernels/row_operands.h"
#include "tests/support/tuned.h"

static const fh_kernel_contract *const contracts[] = {&fh_contract_layer_norm, &fh_contract_rms_norm, &fh_contract_l2_normalize,
                                                      &fh_contract_softmax};
enum { KERNELS = sizeof contracts / sizeof *contracts };

/* What the harness has no parameters for: set before each test. */
static const fh_kernel_contract *own;

static fh_status bind(const fh_view_desc *views, const fh_value *unused, fh_bound *out) {
  (void)unused;
  return own->bind(views, &(fh_value){.f = 1e-3}, out);
}

/* The text in plain C. */
static void reference(const fh_view_desc *views, void *const *data, const fh_value *unused) {
  (void)unused;
  int count;
  const fh_kernel_image *image = fh_kernel_images(&count);
  while (image->contract != own) image++;
  fh_bound bound;
  fh_slot slots[FH_MAX_OPERANDS];
  assert_null(bind(views, NULL, &bound));
  tuned_slots(&bound.stages[0], data, slots);
  image->entries[0].cpu[FH_ISA_SCALAR](slots, 0, bound.stages[0].items);
}

typedef struct shape {
  int32_t rank;
  int64_t extents[3];
} shape;

/* Gaps behind the rows of x and of y; x_gap -d: the same row again and again. Outputs come last, inputs but x have d elements. */
static void describe(const shape *s, int64_t x_gap, int64_t y_gap, fh_view_desc *views) {
  fh_view_desc x = {.dtype = FH_F32, .rank = s->rank}, y;
  for (int i = 0; i < s->rank; i++) x.shape[i] = s->extents[i];
  y = x;
  int64_t x_step = 1, y_step = 1;
  for (int i = s->rank - 1; i >= 0; i--) {
    x.strides[i] = x_step;
    y.strides[i] = y_step;
    x_step = x_step * x.shape[i] + (i == s->rank - 1 ? x_gap : 0);
    y_step = y_step * y.shape[i] + (i == s->rank - 1 ? y_gap : 0);
  }
  const int last = own->view_count - 1;
  views[0] = x;
  for (int i = 1; i < last; i++) views[i] = (fh_view_desc){.dtype = FH_F32, .rank = 1, .shape = {x.shape[s->rank - 1]}, .strides = {1}};
  views[last] = y;
}

static void check(const shape *s, const fh_view_desc *views, bool at_end, size_t shift, const char *what) {
  fh_kernel_contract contract = *own;
  contract.bind = bind;
  contract.reference = reference;
  contract.compare = NULL; /* the same bits */
  for (int v = 0; v < contract.tuned_count; v++) {
    const fh_tuned *variant = &contract.tuned[v];
    if (!tuned_runs(variant)) continue;
    tuned_call call = tuned_call_make(&contract, views, at_end, shift);
    const char *wrong = tuned_call_check(&call, variant, tuned_pools[s->extents[0] % 2]);
    if (wrong)
      fail_msg("%s, %s: %d x %d x %d, %s: %s", own->name, fh_isa_name(variant->isa), (int)s->extents[0], (int)s->extents[1],
               (int)s->extents[2], what, wrong);
    tuned_call_free(&call);
  }
}

static void check_layouts(const shape *s) {
  fh_view_desc views[FH_MAX_VIEWS];
  const int64_t d = s->extents[s->rank - 1];
  describe(s, 0, 0, views);
  check(s, views, true, 0, "compact");
  check(s, views, false, 3 * sizeof(float), "compact, three floats behind a line");
  check(s, views, false, 1, "compact, at an odd address");
  describe(s, 3, 0, views);
  check(s, views, true, 0, "gaps in x");
  describe(s, 0, 5, views);
  check(s, views, true, 0, "gaps in y");
  describe(s, -d, 0, views);
  check(s, views, true, 0, "one row repeated");
  describe(s, 0, 0, views);
  views[own->view_count - 1].strides[0] *= s->rank > 1 ? -1 : 1;
  check(s, views, true, 0, "y backwards");
}

static void of_each_kernel(void (*test)(void)) {
  for (int k = 0; k < KERNELS; k++) {
    own = contracts[k];
    test();
  }
}

/* Short rows, and numbers of them around one and two blocks of 16. */
static void try_short(void) {
  for (int64_t d = 1; d <= 34; d++)
    for (int64_t rows = 1 + d % 3; rows <= 50; rows += 5) {
      const shape s = {2, {rows, d}};
      fh_view_desc views[FH_MAX_VIEWS];
      describe(&s, d % 2, rows % 2, views);
      check(&s, views, rows % 3, 0, "gaps of at most one");
      describe(&s, 0, 0, views);
      check(&s, views, d % 3, 0, "compact");
    }
}
static void short_rows(void **state) {
  (void)state;
  of_each_kernel(try_short);
}

/* Longer rows, too long ones, one row alone, three dimensions, each lying in every way. */
static void try_layouts(void) {
  static const shape shapes[] = {
      {1, {1}},       {1, {17}},      {1, {128}},     {2, {700, 3}},    {2, {333, 13}},   {2, {99, 16}},    {2, {53, 65}}, {2, {35, 79}},
      {2, {33, 127}}, {2, {70, 128}}, {3, {3, 5, 4}}, {3, {2, 19, 20}}, {3, {2, 19, 15}}, {3, {5, 1, 100}}, {2, {9, 257}},
  };
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_layouts(&shapes[i]);
}
static void layouts(void **state) {
  (void)state;
  of_each_kernel(try_layouts);
}

/* Elements that are not side by side are the text's, and so are long rows. */
static void other_rows_are_refused(void **state) {
  (void)state;
  for (int k = 0; k < KERNELS; k++) {
    own = contracts[k];
    for (int v = 0; v < own->view_count && own->tuned_count; v++) {
      fh_view_desc views[FH_MAX_VIEWS];
      describe(&(shape){2, {3, 5}}, 0, 0, views);
      views[v].strides[views[v].rank - 1] = 2;
      fh_bound bound;
      assert_null(bind(views, NULL, &bound));
      assert_non_null(own->tuned[0].unfit(&bound));
      describe(&(shape){2, {3, 129}}, 0, 0, views);
      assert_null(bind(views, NULL, &bound));
      assert_non_null(own->tuned[0].unfit(&bound));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(short_rows),
      cmocka_unit_test(layouts),
      cmocka_unit_test(other_rows_are_refused),
  };
  return tuned_exit(&fh_contract_layer_norm, cmocka_run_group_tests(tests, tuned_setup, tuned_teardown));
}
