/* Products whose operands are packed into panels first, through the emulator of blocks: any strides, what is rounded, which calls they
 * take. SPDX-License-Identifier: Apache-2.0 TEST: timeout=120 sanitize=address cross=no */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "kernels/product_panels.h"
#include "tests/support/tuned.h"

/* A product, its variants of wide and of narrow tiles, and how many of its operands lie anywhere: both, or b alone. */
typedef struct product {
  const fh_kernel_contract *contract;
  const char *wide, *narrow;
  int64_t group;
  bool both;
} product;

static const product tf32 = {&fh_contract_matmul_tf32, "wgmma", "wgmma_small", 1, true};
static const product i8 = {&fh_contract_matmul_i8, "wgmma_packed", "wgmma_packed_small", 4, false};

static const product rounded = {&fh_contract_matmul_tf32, "mma_packed", "mma_packed", 1, true}; /* test_blocks_narrow has its shapes */
static const product by_mma = {&fh_contract_matmul_tf32, "mma", "mma", 1, true};                /* for what these have in common */

static const fh_block_variant *variant_of(const product *p, bool wide) {
  const fh_block_variant *all = p->contract->blocks;
  for (int v = 0; v < p->contract->block_count; v++)
    if (strcmp(all[v].name, wide ? p->wide : p->narrow) == 0) return &all[v];
  fail_msg("%s has no variant %s", p->contract->name, wide ? p->wide : p->narrow);
  return NULL;
}

static fh_case case_of(const product *p, const int64_t s[static 4], fh_product_form form) {
  const fh_view_param *views = p->contract->views;
  return fh_product_case(s, views[0].dtype, views[1].dtype, views[2].dtype, p->group, form);
}

/* What does not pay must still be right: only what no tensor map describes is left out. */
static const char *a_has_no_map(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  const fh_tensor_side a = fh_tensor_side_a(op);
  return fh_tensor_side_unfit(&a, op[FH_PRODUCT_K].i, 1, false);
}

static void check_call(const product *p, const fh_case *c, const tuned_call *call, bool wide) {
  fh_block_variant variant = *variant_of(p, wide);
  fh_bound bound;
  assert_null(p->contract->bind(c->views, NULL, &bound));
  if (!p->both) {
    variant.unfit = a_has_no_map;
    assert_null(a_has_no_map(&bound));
  }
  const char *wrong = tuned_call_check_block(call, &variant);
  if (wrong) fail_msg("%s %s: %s", variant.entry, c->label, wrong);
}

static void check(const product *p, const fh_case *c, bool wide, bool at_end, size_t shift) {
  tuned_call call = tuned_call_make(p->contract, c->views, at_end, shift);
  check_call(p, c, &call, wide);
  tuned_call_free(&call);
}

/* ---- how operands lie ------------------------------------------------------------------------------------------------------ */

typedef enum layout { ROWS, COLUMNS, ROWS_ODD, COLUMNS_ODD, COLUMNS_BY_FOUR, APART, BACKWARDS, LAYOUTS } layout;

static void lay(fh_view_desc *v, layout how) {
  const int row = v->rank - 2, col = row + 1;
  const int64_t rows = v->shape[row], cols = v->shape[col];
  static const int64_t pads[LAYOUTS] = {[ROWS_ODD] = 1, [COLUMNS_ODD] = 1};
  const bool turned = how == COLUMNS || how == COLUMNS_ODD || how == COLUMNS_BY_FOUR;
  int64_t near = 1, far = (turned ? rows : cols) + pads[how];
  if (how == COLUMNS_BY_FOUR) far = (rows + 3) / 4 * 4 + 4;
  if (how == APART) near = 3, far = 3 * cols + 2;
  v->strides[turned ? row : col] = near;
  v->strides[turned ? col : row] = how == BACKWARDS ? -far : far;
  if (row) v->strides[0] = far * (turned ? cols : rows) + (how == APART);
}

/* Around the edges of panels, of tiles and of stages of k, and more stages than the ring has. Bytes of a lie along k, on boundaries of 16.
 */
static void test_layouts(void **state) {
  (void)state;
  static const int64_t shapes[][4] = {{0, 16, 16, 16}, {0, 33, 66, 64}, {2, 130, 20, 48}, {0, 40, 260, 144}, {0, 24, 36, 1040}};
  for (int s = 0; s < FH_LENGTH(shapes); s++)
    for (int how = 0; how < LAYOUTS; how++) {
      fh_case of_numbers = case_of(&tf32, shapes[s], FH_PRODUCT_PLAIN), of_bytes = case_of(&i8, shapes[s], FH_PRODUCT_PLAIN);
      lay(&of_numbers.views[0], (layout)((how + s) % LAYOUTS));
      lay(&of_numbers.views[1], (layout)how);
      lay(&of_bytes.views[1], (layout)how);
      check(&tf32, &of_numbers, (how + s) % 2, false, 0);
      check(&i8, &of_bytes, (how + s) % 2, false, 0);
    }
}

/* Steps of k that fill no panel, no chunk and no word; nothing past an operand's end is read. */
static void test_odd_ends(void **state) {
  (void)state;
  static const int64_t k[] = {1, 3, 5, 31, 33, 67};
  for (int i = 0; i < FH_LENGTH(k); i++) {
    const int64_t shape[] = {0, 17, 31, k[i]};
    for (int form = 0; form < FH_PRODUCT_FORMS; form++) {
      const fh_case c = case_of(&tf32, shape, (fh_product_form)form);
      check(&tf32, &c, i % 2, true, 0);
      fh_case bytes = case_of(&i8, shape, (fh_product_form)form);
      bytes.views[0].strides[0] = 80;
      check(&i8, &bytes, i % 2, false, 0);
    }
  }
}

/* Packed weights, whole and in part, and operands that begin anywhere. */
static void test_packed_and_shifted(void **state) {
  (void)state;
  static const int64_t shapes[][4] = {{0, 20, 64, 128}, {3, 16, 100, 160}};
  for (int s = 0; s < FH_LENGTH(shapes); s++)
    for (int wide = 0; wide < 2; wide++) {
      const fh_case packed = case_of(&i8, shapes[s], FH_PRODUCT_PACKED), numbers = case_of(&tf32, shapes[s], FH_PRODUCT_PACKED);
      check(&i8, &packed, wide, false, 0);
      check(&tf32, &numbers, wide, false, 0);
      for (size_t shift = 4; shift < 16; shift += 4) {
        const fh_case plain = case_of(&tf32, shapes[s], shift == 8 ? FH_PRODUCT_TRANSPOSED : FH_PRODUCT_PLAIN);
        check(&tf32, &plain, wide, false, shift);
      }
    }
}

/* b of bytes that begins anywhere, beside an a that its map asks to begin on a boundary. */
static void test_shifted_bytes(void **state) {
  (void)state;
  for (size_t shift = 1; shift < 4; shift++) {
    const fh_case c = case_of(&i8, (const int64_t[]){0, 32, 64, 128}, FH_PRODUCT_PLAIN);
    tuned_call call = tuned_call_make(&fh_contract_matmul_i8, c.views, false, 0),
               odd = tuned_call_make(&fh_contract_matmul_i8, c.views, false, shift);
    void *const whole = call.first[1];
    call.first[1] = odd.first[1];
    check_call(&i8, &c, &call, shift % 2);
    call.first[1] = whole;
    tuned_call_free(&call);
    tuned_call_free(&odd);
  }
}

/* More tiles than blocks, more panels than blocks of the launch in front, and matrices that all products share. */
static void test_many_tiles_and_shared_matrices(void **state) {
  (void)state;
  const fh_case tall = case_of(&tf32, (const int64_t[]){0, 2200, 260, 16}, FH_PRODUCT_PLAIN);
  check(&tf32, &tall, true, false, 0);
  check(&rounded, &tall, true, false, 0);
  const fh_case bytes = case_of(&i8, (const int64_t[]){6, 130, 136, 144}, FH_PRODUCT_PLAIN);
  check(&i8, &bytes, false, false, 0);
  for (int v = 0; v < 2; v++) {
    fh_case c = case_of(&tf32, (const int64_t[]){3, 40, 48, 72}, v ? FH_PRODUCT_TRANSPOSED : FH_PRODUCT_PLAIN);
    fh_case of_bytes = case_of(&i8, (const int64_t[]){3, 40, 48, 80}, FH_PRODUCT_PLAIN);
    c.views[v].strides[0] = of_bytes.views[v].strides[0] = 0;
    check(&tf32, &c, v, false, 0);
    check(&rounded, &c, v, false, 0);
    check(&i8, &of_bytes, v, false, 0);
  }
}

/* Bits that tf32 has no room for are rounded away from zero at a half, whatever the numbers beside them; what is no number stays so, also
 * where only those bits tell it from an infinity. */
static void test_rounding(void **state) {
  (void)state;
  static const uint32_t odd[] = {0x7f800001, 0x7f800000, 0xff800000, 0x3f801000, 0xbf800fff, 0x3f803000, 0x7f7fffff, 0x00000001};
  for (int i = 0; i < FH_LENGTH(odd); i++) {
    fh_case c = case_of(&tf32, (const int64_t[]){0, 40, 36, 40}, FH_PRODUCT_PLAIN);
    lay(&c.views[0], i % 2 ? COLUMNS : ROWS);
    lay(&c.views[1], i / 2 % 2 ? COLUMNS : ROWS);
    tuned_call call = tuned_call_make(&fh_contract_matmul_tf32, c.views, false, 0);
    memcpy(call.first[0], &odd[i], sizeof odd[i]);
    memcpy((float *)call.first[1] + 5 * c.views[1].strides[0] + 3 * c.views[1].strides[1], &odd[i], sizeof odd[i]);
    check_call(&tf32, &c, &call, i % 2);
    check_call(&rounded, &c, &call, false);
    check_call(&by_mma, &c, &call, false);
    tuned_call_free(&call);
  }
}

/* ---- which calls ------------------------------------------------------------------------------------------------------------------ */

static void expect_unfit(const product *p, const fh_case *c, bool wide, const char *part) {
  fh_bound bound;
  assert_null(p->contract->bind(c->views, NULL, &bound));
  const char *why = variant_of(p, wide)->unfit(&bound);
  if (!part) {
    if (why) fail_msg("%s: %s", c->label, why);
  } else if (!why || !strstr(why, part)) {
    fail_msg("expected \"%s\" in: %s", part, why ? why : "(it fits)");
  }
}

static void test_unfit(void **state) {
  (void)state;
  fh_case c = case_of(&tf32, (const int64_t[]){0, 256, 256, 64}, FH_PRODUCT_PLAIN);
  expect_unfit(&tf32, &c, false, NULL);
  expect_unfit(&tf32, &c, true, "fewer than 96 tiles");
  c.views[0].strides[0] = -77, c.views[0].strides[1] = 3;
  expect_unfit(&tf32, &c, false, NULL);
  c = case_of(&tf32, (const int64_t[]){0, 64, 64, 64}, FH_PRODUCT_PLAIN);
  expect_unfit(&tf32, &c, false, "fewer than 524288");
  c = case_of(&tf32, (const int64_t[]){0, 8, 6400, 6400}, FH_PRODUCT_PACKED);
  expect_unfit(&tf32, &c, false, "fewer than 9 rows");
  expect_unfit(&rounded, &c, false, "at most 128 rows");
  c = case_of(&tf32, (const int64_t[]){3, 129, 129, 0}, FH_PRODUCT_PLAIN);
  expect_unfit(&rounded, &c, false, "nothing to pack");
  c = case_of(&tf32, (const int64_t[]){0, 129, 129, 1}, FH_PRODUCT_PACKED);
  expect_unfit(&rounded, &c, false, NULL);
  c = case_of(&i8, (const int64_t[]){0, 256, 256, 64}, FH_PRODUCT_PACKED);
  expect_unfit(&i8, &c, false, NULL);
  c.views[0].strides[0] = 65;
  expect_unfit(&i8, &c, false, "multiple of 16 bytes");
  c = case_of(&i8, (const int64_t[]){0, 256, 256, 64}, FH_PRODUCT_TRANSPOSED);
  expect_unfit(&i8, &c, false, "need not be packed");
  c.views[1].strides[1] = 65; /* no map brings it */
  expect_unfit(&i8, &c, false, NULL);
}

/* Panels of 16 KiB: 128 lines by 32 numbers or 128 bytes, for mma half of them; a matrix that all share is packed once. */
static void test_scratch(void **state) {
  (void)state;
  enum { PANEL = 16 << 10, FEW = 2 };
  fh_bound bound;
  fh_block_shape shape;
  fh_case c = case_of(&tf32, (const int64_t[]){3, 129, 257, 33}, FH_PRODUCT_PLAIN);
  assert_null(tf32.contract->bind(c.views, NULL, &bound));
  assert_int_equal(variant_of(&tf32, false)->scratch_bytes(&bound, 0), 3 * (2 * 2 + 3 * 2) * PANEL);
  assert_int_equal(variant_of(&tf32, true)->scratch_bytes(&bound, 0), 3 * (2 * 2 + 4 * 2) * PANEL);
  variant_of(&tf32, true)->shape(&bound, FEW, &shape);
  assert_int_equal(shape.grid[0], FEW * FH_PANELS_BLOCKS);
  variant_of(&tf32, true)->shape(&bound, 0, &shape);
  assert_int_equal(shape.grid[0], 3 * (2 * 2 + 4 * 2));
  assert_int_equal(variant_of(&rounded, true)->scratch_bytes(&bound, 0), 3 * (2 * 3 + 3 * 3) * PANEL / 2);
  c.views[0].strides[0] = 0;
  assert_null(tf32.contract->bind(c.views, NULL, &bound));
  assert_int_equal(variant_of(&rounded, true)->scratch_bytes(&bound, 0), (2 * 3 + 3 * 3 * 3) * PANEL / 2);
  c = case_of(&i8, (const int64_t[]){3, 129, 257, 160}, FH_PRODUCT_PLAIN);
  c.views[1].strides[0] = 0;
  assert_null(i8.contract->bind(c.views, NULL, &bound));
  assert_int_equal(variant_of(&i8, false)->scratch_bytes(&bound, 0), 3 * 2 * PANEL);
  assert_int_equal(variant_of(&i8, true)->scratch_bytes(&bound, 0), 4 * 2 * PANEL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layouts),       cmocka_unit_test(test_odd_ends),
      cmocka_unit_test(test_shifted_bytes), cmocka_unit_test(test_packed_and_shifted),
      cmocka_unit_test(test_rounding),      cmocka_unit_test(test_many_tiles_and_shared_matrices),
      cmocka_unit_test(test_unfit),         cmocka_unit_test(test_scratch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
