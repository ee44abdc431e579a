/* The block texts of products of narrow types, through the emulator of blocks. SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=240 sanitize=address
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "kernels/product.h"
#include "tests/fakes/block/block.h"
#include "tests/support/tuned.h"

typedef struct subject {
  const fh_kernel_contract *contract;
  int64_t group; /* values of k in a word */
} subject;

static const subject bf16 = {&fh_contract_matmul_bf16, 2}, i8 = {&fh_contract_matmul_i8, 4}, f16 = {&fh_contract_matmul_f16, 2},
                     tf32 = {&fh_contract_matmul_tf32, 1};

static fh_case make_case(const subject *s, int64_t batch, int64_t m, int64_t n, int64_t k, fh_product_form form) {
  const fh_view_param *views = s->contract->views;
  return fh_product_case((const int64_t[]){batch, m, n, k}, views[0].dtype, views[1].dtype, views[2].dtype, s->group, form);
}

static void check(const subject *s, const fh_case *c, bool at_end, size_t shift, uint32_t depth) {
  if (tuned_left_out(5)) return;
  for (int v = 0; v < s->contract->block_count; v++) {
    if (strcmp(s->contract->blocks[v].name, "split") == 0) continue; /* "mma" in parts: test_split */
    tuned_call call = tuned_call_make(s->contract, c->views, at_end, shift);
    const char *wrong = tuned_call_check_block_within(&call, &s->contract->blocks[v], depth);
    if (wrong) fail_msg("%s %s: %s", s->contract->blocks[v].entry, c->label, wrong);
    assert_int_equal(fake_block_conflicts(), 0); /* whatever the layout: what the places of chunks are for */
    tuned_call_free(&call);
  }
}

/* Around the edges of tiles, panels (32 or 64 values of k) and stages; b by rows, by columns and packed. */
static void check_sizes(const subject *s) {
  static const int64_t shapes[][4] = {{0, 1, 1, 1},       {0, 3, 5, 0},      {0, 7, 11, 3},  {0, 16, 8, 16},     {0, 31, 33, 17},
                                      {0, 64, 32, 64},    {0, 127, 129, 65}, {0, 40, 72, 8}, {0, 128, 128, 128}, {0, 129, 127, 33},
                                      {0, 130, 260, 104}, {0, 24, 136, 200}, {0, 5, 3, 515}, {3, 17, 40, 48},    {0, 1040, 16, 16},
                                      {2, 65, 33, 2},     {0, 72, 40, 264}};
  for (int i = 0; i < FH_LENGTH(shapes); i++)
    for (int form = 0; form < FH_PRODUCT_FORMS; form++) {
      const int64_t *d = shapes[i];
      const fh_case c = make_case(s, d[0], d[1], d[2], d[3], (fh_product_form)form);
      check(s, &c, i % 2, 0, UINT32_MAX);
    }
}

static void test_sizes_bf16(void **state) {
  (void)state;
  check_sizes(&bf16);
}
static void test_sizes_i8(void **state) {
  (void)state;
  check_sizes(&i8);
}
static void test_sizes_f16(void **state) {
  (void)state;
  check_sizes(&f16);
}
static void test_sizes_tf32(void **state) {
  (void)state;
  check_sizes(&tf32);
}

static void turn(fh_view_desc *view) {
  const int row = view->rank - 2;
  view->strides[row] = 1, view->strides[row + 1] = view->shape[row];
}

static void spread(fh_view_desc *view) {
  const int row = view->rank - 2;
  view->strides[row + 1] = 3, view->strides[row] = 3 * view->shape[row + 1] + 5;
}

static void reverse(fh_view_desc *view) {
  const int row = view->rank - 2;
  view->strides[row] = -view->strides[row], view->strides[row + 1] = -view->strides[row + 1];
}

/* a and c by columns, padded apart, backwards; b in each form. On a boundary of 16 bytes, and on none that is larger than an element. */
static void check_layouts(const subject *s) {
  static void (*const change[])(fh_view_desc *view) = {turn, spread, reverse};
  for (int i = 0; i < FH_LENGTH(change); i++)
    for (int form = 0; form < FH_PRODUCT_FORMS; form++)
      for (size_t shift = 0; shift <= 16; shift += shift ? 12 : 4) {
        fh_case c = make_case(s, 0, 72, 80, 96, (fh_product_form)form);
        change[i](&c.views[0]);
        change[i](&c.views[2]);
        check(s, &c, false, shift, UINT32_MAX);
        if (form != FH_PRODUCT_PACKED) change[i](&c.views[1]);
        check(s, &c, true, 0, UINT32_MAX);
      }
}

static void test_layouts_bf16(void **state) {
  (void)state;
  check_layouts(&bf16);
}
static void test_layouts_i8(void **state) {
  (void)state;
  check_layouts(&i8);
}
static void test_layouts_tf32(void **state) {
  (void)state;
  check_layouts(&tf32);
}

/* Pointers of inputs that are on boundaries of their elements alone; the results stay on theirs. */
static void test_odd_offsets(void **state) {
  (void)state;
  for (int form = 0; form < FH_PRODUCT_FORMS; form++)
    for (int which = 0; which < 3; which++) {
      const subject *s = which == 0 ? &bf16 : which == 1 ? &i8 : &f16;
      fh_case c = make_case(s, 0, 40, 48, 64, (fh_product_form)form);
      tuned_call call = tuned_call_make(s->contract, c.views, false, 4);
      const size_t element = fh_dtype_size(c.views[0].dtype);
      for (int v = 0; v < 2; v++) {
        char *first = call.first[v];
        memmove(first - element, first, 1000);
        call.first[v] = first - element;
      }
      const char *wrong = tuned_call_check_block(&call, &s->contract->blocks[0]);
      if (wrong) fail_msg("%s %s: %s", s->contract->blocks[0].entry, c.label, wrong);
      tuned_call_free(&call);
    }
}

static void test_batches(void **state) {
  (void)state;
  static const subject *const all[] = {&bf16, &i8, &f16, &tf32};
  for (int i = 0; i < 4 * FH_LENGTH(all); i++) {
    const subject *s = all[i / 4];
    fh_case c = make_case(s, 3, 40, 24, 80, i % 4 == 3 ? FH_PRODUCT_PACKED : i % 2 ? FH_PRODUCT_TRANSPOSED : FH_PRODUCT_PLAIN);
    if (i % 4 == 1) c.views[0].strides[0] = 0; /* one matrix for all */
    if (i % 4 == 2) c.views[1].strides[0] = -c.views[1].strides[0];
    check(s, &c, i % 2, 0, i % 2 ? 1 : 2);
  }
}

/* Sums of i32 wrap, and the largest products do not saturate. */
static void test_extremes(void **state) {
  (void)state;
  fh_case c = make_case(&i8, 0, 17, 16, 96, FH_PRODUCT_TRANSPOSED);
  tuned_call call = tuned_call_make(i8.contract, c.views, false, 0);
  memset(call.first[0], 0xff, 17 * 96);
  memset(call.first[1], 0x80, 16 * 96);
  assert_null(tuned_call_check_block(&call, &i8.contract->blocks[0]));
  assert_int_equal(((int32_t *)call.first[2])[0], -255 * 128 * 96);
  tuned_call_free(&call);
}

/* Infinities, NaN, the largest and the smallest, and what is half way between two numbers of tf32: round the edge of a tile. Not the NaN of
 * 32 ones: a text keeps it, and an element of such bits counts as not written. */
static void test_special_values(void **state) {
  (void)state;
  static const uint16_t f16s[] = {0x7c00, 0xfc00, 0x7fff, 0x7bff, 0x0001, 0x83ff, 0x8000, 0x3c01};
  static const uint32_t tf32s[] = {0x7f800000, 0xff800000, 0x7fffffff, 0xfffffffe, 0x3f801000, 0xbf801000, 0x00000fff, 0x3f800fff};
  for (int i = 0; i < 4 * FH_PRODUCT_FORMS; i++) {
    const subject *s = i % 2 ? &tf32 : &f16;
    const fh_case c = make_case(s, 0, 131, 67, 37, (fh_product_form)(i / 4));
    tuned_call call = tuned_call_make(s->contract, c.views, false, 0);
    for (int e = 0; e < 8; e++) {
      /* Each in a row of its own, and in the second turn in a column. */
      const int64_t row = (e * 19) % 131, at = i / 2 % 2 ? (int64_t)e * 64 + 3 : row * 37 + e;
      if (i % 2)
        ((uint32_t *)call.first[i / 2 % 2])[at] = tf32s[e];
      else
        ((uint16_t *)call.first[i / 2 % 2])[at] = f16s[e];
    }
    for (int v = 0; v < s->contract->block_count; v++) {
      const char *wrong = tuned_call_check_block(&call, &s->contract->blocks[v]);
      if (wrong) fail_msg("%s %s: %s", s->contract->blocks[v].entry, c.label, wrong);
    }
    tuned_call_free(&call);
  }
}

/* Parts of k, of as many panels and of unlike ones, the last not whole. Of four multiprocessors, for which the emulator stands, each gets a
 * part of one tile or of two, and three products stay whole. */
static void test_split(void **state) {
  (void)state;
  static const subject *const all[] = {&bf16, &i8, &f16, &tf32};
  static const int64_t shapes[][4] = {{0, 17, 24, 35}, {0, 130, 16, 19}, {3, 16, 24, 16}};
  for (int i = 0; i < FH_LENGTH(all) * FH_LENGTH(shapes); i++) {
    const int64_t *d = shapes[i / FH_LENGTH(all)];
    const subject *s = all[i % FH_LENGTH(all)];
    for (int form = 0; form < FH_PRODUCT_FORMS; form++) {
      fh_case c = make_case(s, d[0], d[1], d[2], d[3] * 16 * s->group + (form ? 3 : 0), (fh_product_form)form);
      if (form == 1) turn(&c.views[0]), turn(&c.views[2]);
      const fh_block_variant *split = &s->contract->blocks[1];
      assert_string_equal(split->name, "split");
      fh_bound bound;
      fh_block_shape shape;
      assert_null(s->contract->bind(c.views, c.scalars, &bound));
      assert_null(split->unfit(&bound));
      split->shape(&bound, 4, &shape);
      assert_int_equal(shape.grid[1], d[0] ? 1 : d[1] > 128 ? 2 : 4);
      tuned_call call = tuned_call_make(s->contract, c.views, form % 2, form == 2 ? 12 : 0);
      const char *wrong = tuned_call_check_block_within(&call, split, UINT32_MAX);
      if (wrong) fail_msg("%s %s: %s", split->entry, c.label, wrong);
      assert_int_equal(fake_block_conflicts(), 0);
      tuned_call_free(&call);
    }
  }
}

/* Few rows, blocks of k and what is left of one, panels and what is left of one; b in each form, c in any. */
static void test_thin(void **state) {
  (void)state;
  static const subject *const all[] = {&bf16, &i8, &f16, &tf32};
  static const int64_t shapes[][4] = {{0, 1, 300, 520}, {0, 8, 129, 257},  {2, 3, 128, 256},
                                      {0, 9, 64, 31},   {0, 2, 160, 1033}, {0, 5, 33, 0}};
  for (int i = 0; i < FH_LENGTH(shapes); i++)
    for (int form = 0; form < FH_PRODUCT_FORMS; form++)
      for (int which = 0; which < FH_LENGTH(all); which++) {
        const int64_t *d = shapes[i];
        const subject *s = all[which];
        fh_case c = make_case(s, d[0], d[1], d[2], d[3], (fh_product_form)form);
        if (i % 2) turn(&c.views[0]), turn(&c.views[2]);
        check(s, &c, i % 2, 0, i % 3 ? UINT32_MAX : 1);
      }
}

/* So many products that k stays whole: more of it than has its rows in shared memory at a time, and more rows than an instruction takes. */
static void test_thin_chunks(void **state) {
  (void)state;
  enum { PRODUCTS = 33 };
  const fh_block_variant *variant = &i8.contract->blocks[i8.contract->block_count - 1];
  assert_string_equal(variant->name, "mma_thin");
  for (int form = 0; form < FH_PRODUCT_FORMS; form++) {
    const fh_case c = make_case(&i8, PRODUCTS, form ? 3 : 17, 68, 1096, (fh_product_form)form);
    fh_bound bound;
    fh_block_shape shape;
    assert_null(i8.contract->bind(c.views, c.scalars, &bound));
    variant->shape(&bound, 4, &shape);
    assert_int_equal(shape.grid[1], 1);
    tuned_call call = tuned_call_make(i8.contract, c.views, form % 2, 0);
    const char *wrong = tuned_call_check_block(&call, variant);
    if (wrong) fail_msg("%s %s: %s", variant->entry, c.label, wrong);
    tuned_call_free(&call);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes_bf16),     cmocka_unit_test(test_sizes_i8),     cmocka_unit_test(test_sizes_f16),
      cmocka_unit_test(test_sizes_tf32),     cmocka_unit_test(test_layouts_bf16), cmocka_unit_test(test_layouts_tf32),
      cmocka_unit_test(test_special_values), cmocka_unit_test(test_thin),         cmocka_unit_test(test_layouts_i8),
      cmocka_unit_test(test_odd_offsets),    cmocka_unit_test(test_batches),      cmocka_unit_test(test_extremes),
      cmocka_unit_test(test_split),          cmocka_unit_test(test_thin_chunks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
