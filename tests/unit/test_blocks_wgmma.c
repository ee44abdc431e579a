/* Products on the tensor cores of compute capability 9.0, through the emulator of blocks: which calls they take, and that they are right.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 sanitize=address cross=no */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backends/check.h"
#include "kernels/contracts.h"
#include "kernels/narrow.h"
#include "kernels/product_tensors.h"
#include "tests/fakes/block/block.h"
#include "tests/support/tuned.h"

static const fh_kernel_contract *const bf16 = &fh_contract_matmul_bf16;

static const fh_block_variant *variant_of(const fh_kernel_contract *contract, const char *name) {
  for (int v = 0; v < contract->block_count; v++)
    if (strcmp(contract->blocks[v].name, name) == 0) return &contract->blocks[v];
  fail_msg("%s has no variant %s", contract->name, name);
  return NULL;
}

/* How an operand lies: by rows, or by columns, with so many elements between its lines, on a boundary of 16 bytes. */
static void lay(fh_view_desc *view, bool turned, int64_t pad) {
  const int row = view->rank - 2, near = turned ? row : row + 1, far = turned ? row + 1 : row;
  view->strides[near] = 1;
  view->strides[far] = (view->shape[near] + 7) / 8 * 8 + 8 * pad;
  if (row) view->strides[0] = view->strides[far] * view->shape[far];
}

static fh_case make_case(const int64_t s[static 4], int layout, int64_t pad) {
  fh_case c = fh_product_case(s, FH_BF16, FH_BF16, FH_F32, 2, FH_PRODUCT_PLAIN);
  lay(&c.views[0], layout & 1, pad);
  lay(&c.views[1], layout & 2, pad);
  return c;
}

static fh_bound bound_of(const fh_case *c) {
  fh_bound bound;
  assert_null(bf16->bind(c->views, c->scalars, &bound));
  return bound;
}

/* It takes the call, for all but its number of tiles, and gives what the contract wants. */
static void check_call(const fh_case *c, tuned_call *call, const char *name) {
  const fh_bound bound = bound_of(c);
  const fh_block_variant *narrow = variant_of(bf16, "wgmma_small");
  fh_block_variant variant = *variant_of(bf16, name);
  assert_null(narrow->unfit(&bound));
  variant.unfit = narrow->unfit;
  const char *wrong = tuned_call_check_block(call, &variant);
  if (wrong) fail_msg("%s %s: %s", variant.entry, c->label, wrong);
}

static void check(const fh_case *c, const char *name) {
  tuned_call call = tuned_call_make(bf16, c->views, false, 0);
  check_call(c, &call, name);
  tuned_call_free(&call);
}

/* Around the edges of tiles, atoms and stages, and more stages than the ring has; operands by rows and by columns. */
static void test_sizes(void **state) {
  (void)state;
  static const int64_t shapes[][4] = {{0, 16, 16, 1},    {0, 16, 16, 16},   {0, 63, 65, 64},  {0, 128, 128, 128}, {0, 128, 256, 72},
                                      {0, 129, 257, 65}, {0, 40, 300, 448}, {3, 17, 40, 520}, {0, 130, 72, 1000}};
  for (int i = 0; i < FH_LENGTH(shapes); i++)
    for (int layout = 0; layout < 4; layout++) {
      const fh_case c = make_case(shapes[i], layout, i % 2);
      check(&c, (i + layout) % 2 ? "wgmma" : "wgmma_small");
    }
}

/* More tiles than blocks: the ring goes on from one to the next, and the bands of tiles end in a narrower one. */
static void test_many_tiles(void **state) {
  (void)state;
  const int64_t shape[] = {0, 2200, 520, 16}, batch[] = {5, 130, 260, 80};
  const fh_case tall = make_case(shape, 0, 0), batched = make_case(batch, 3, 1);
  check(&tall, "wgmma");
  check(&batched, "wgmma_small");
}

static void test_shared_matrices(void **state) {
  (void)state;
  for (int v = 0; v < 2; v++) {
    fh_case c = make_case((const int64_t[]){3, 40, 48, 72}, v, 0);
    c.views[v].strides[0] = 0;
    check(&c, "wgmma_small");
  }
}

/* Results anywhere: by columns, apart, backwards, at odd places. */
static void test_results(void **state) {
  (void)state;
  for (int how = 0; how < 4; how++) {
    fh_case c = make_case((const int64_t[]){0, 70, 90, 40}, how, 0);
    int64_t *s = c.views[2].strides;
    if (how == 0) s[0] = 1, s[1] = 70;
    if (how == 1) s[0] = 91, s[1] = 1;
    if (how == 2) s[0] = -90, s[1] = 1;
    if (how == 3) s[0] = 300, s[1] = 3;
    check(&c, how % 2 ? "wgmma" : "wgmma_small");
  }
}

/* What is no number stays in its row and column: nothing of a tile's rest, or of k's, meets it. */
static void test_no_numbers(void **state) {
  (void)state;
  static const uint16_t odd[] = {0x7fc0, 0x7f80, 0xff80, 0x0001};
  for (int i = 0; i < FH_LENGTH(odd); i++) {
    const fh_case c = make_case((const int64_t[]){0, 72, 80, 40}, i, 0);
    tuned_call call = tuned_call_make(bf16, c.views, false, 0);
    ((uint16_t *)call.first[0])[0] = odd[i];
    ((uint16_t *)call.first[1])[5 * c.views[1].strides[0] + 3 * c.views[1].strides[1]] = odd[i];
    check_call(&c, &call, i % 2 ? "wgmma" : "wgmma_small");
    tuned_call_free(&call);
  }
}

/* f16 in both forms, bytes in the one that they have. */
static void check_type(const fh_kernel_contract *contract, int64_t group, const int64_t *shape, fh_product_form form, const char *name) {
  const fh_view_param *views = contract->views;
  const fh_case c = fh_product_case(shape, views[0].dtype, views[1].dtype, views[2].dtype, group, form);
  fh_bound bound;
  assert_null(contract->bind(c.views, c.scalars, &bound));
  fh_block_variant variant = *variant_of(contract, name);
  variant.unfit = variant_of(contract, "wgmma_small")->unfit;
  assert_null(variant.unfit(&bound));
  tuned_call call = tuned_call_make(contract, c.views, false, 0);
  const char *wrong = tuned_call_check_block(&call, &variant);
  if (wrong) fail_msg("%s %s: %s", variant.entry, c.label, wrong);
  tuned_call_free(&call);
}

static void test_other_types(void **state) {
  (void)state;
  static const int64_t shapes[][4] = {{0, 16, 16, 16}, {0, 130, 264, 144}, {3, 40, 80, 560}};
  for (int i = 0; i < FH_LENGTH(shapes); i++)
    for (int wide = 0; wide < 2; wide++) {
      const char *name = wide ? "wgmma" : "wgmma_small";
      check_type(&fh_contract_matmul_f16, 2, shapes[i], wide ? FH_PRODUCT_PLAIN : FH_PRODUCT_TRANSPOSED, name);
      check_type(&fh_contract_matmul_i8, 4, shapes[i], FH_PRODUCT_TRANSPOSED, name);
    }
}

/* ---- what conformance shows on a device ----------------------------------------------------------------------------------------- */

enum { GROUP_ROWS = 64, BOX_COLUMNS = 64, MOST_MULTIPROCESSORS = 132 };
enum {
  EVERY_PRODUCT = 1,   /* of a stage has numbers in it */
  LAST_STAGE = 2,      /* is behind others and not full */
  RING_GOES_ROUND = 4, /* in one tile */
  SECOND_GROUP = 8,
  SECOND_BOX = 16,
  SECOND_TILE = 32,  /* of a block */
  TILES_OF_BOTH = 64 /* rows and columns */
};

/* A variant: columns of a tile, stages of its ring and numbers of one along k; the forms of operands that it takes. */
typedef struct reached {
  const fh_kernel_contract *contract;
  const char *name;
  int64_t cols, stages, stage;
  int forms; /* bit f: that form, with a turned where f & 1 and b where f & 2 */
} reached;

static int reach_of(const reached *of, const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  const int64_t m = op[FH_PRODUCT_M].i, n = op[FH_PRODUCT_N].i, k = op[FH_PRODUCT_K].i, steps = fh_divide_up(k, of->stage);
  return (k >= of->stage ? EVERY_PRODUCT : 0) | (k > of->stage && k % of->stage ? LAST_STAGE : 0) |
         (steps > of->stages ? RING_GOES_ROUND : 0) | (m > GROUP_ROWS ? SECOND_GROUP : 0) | (n > BOX_COLUMNS ? SECOND_BOX : 0) |
         (fh_tensor_tiles(bound, of->cols) > MOST_MULTIPROCESSORS ? SECOND_TILE : 0) |
         (m > FH_TENSOR_ROWS && n > of->cols ? TILES_OF_BOTH : 0);
}

static bool takes(const reached *of, fh_case c, int form, fh_bound *out_bound) {
  for (int v = 0; v < 2; v++) {
    const int row = c.views[v].rank - 2;
    if (form >> v & 1) c.views[v].strides[row] = 1, c.views[v].strides[row + 1] = c.views[v].shape[row];
  }
  assert_null(of->contract->bind(c.views, c.scalars, out_bound));
  return out_bound->stage_count > 0 && !variant_of(of->contract, of->name)->unfit(out_bound);
}

/* What all forms that the variant has reach together, of the first `most` cases of which some form fits. Bytes lie along k: of a by rows,
 * of b by columns. */
static int reach(const reached *of, int most) {
  int all[4] = {0}, taken = 0;
  fh_case c;
  for (int i = 0; taken < most && of->contract->case_at(i, &c); i++) {
    bool any = false;
    for (int form = 0; form < 4; form++) {
      fh_bound bound;
      if (!takes(of, c, form, &bound)) continue;
      all[form] |= reach_of(of, &bound);
      any = true;
    }
    taken += any;
  }
  int reached_by_all = ~0;
  for (int form = 0; form < 4; form++)
    if (of->forms >> form & 1) reached_by_all &= all[form];
  return reached_by_all;
}

static void test_cases_reach_all(void **state) {
  (void)state;
  enum { ALL = 15, B_TURNED = 4, BY_ROWS = 1 }; /* bytes of a lie along k */
  static const reached variants[] = {{&fh_contract_matmul_bf16, "wgmma", FH_TENSOR_WIDE, 4, 64, ALL},
                                     {&fh_contract_matmul_f16, "wgmma", FH_TENSOR_WIDE, 4, 64, ALL},
                                     {&fh_contract_matmul_tf32, "wgmma", FH_TENSOR_WIDE, 4, 32, ALL},
                                     {&fh_contract_matmul_i8, "wgmma", FH_TENSOR_WIDE, 4, 128, B_TURNED},
                                     {&fh_contract_matmul_i8, "wgmma_packed", FH_TENSOR_WIDE, 4, 128, BY_ROWS},
                                     {&fh_contract_matmul_bf16, "wgmma_small", FH_TENSOR_NARROW, 6, 64, ALL},
                                     {&fh_contract_matmul_f16, "wgmma_small", FH_TENSOR_NARROW, 6, 64, ALL},
                                     {&fh_contract_matmul_tf32, "wgmma_small", FH_TENSOR_NARROW, 6, 32, ALL},
                                     {&fh_contract_matmul_i8, "wgmma_small", FH_TENSOR_NARROW, 6, 128, B_TURNED},
                                     {&fh_contract_matmul_i8, "wgmma_packed_small", FH_TENSOR_NARROW, 6, 128, BY_ROWS}};
  const int tested = EVERY_PRODUCT | LAST_STAGE | RING_GOES_ROUND | SECOND_GROUP | SECOND_BOX | SECOND_TILE;
  for (int i = 0; i < FH_LENGTH(variants); i++) {
    const int wanted = tested | (variants[i].cols == FH_TENSOR_NARROW ? TILES_OF_BOTH : 0);
    assert_int_equal(reach(&variants[i], INT32_MAX), wanted);
    assert_int_equal(reach(&variants[i], 5), wanted); /* before the first use */
  }
}

/* ---- what it does not take ------------------------------------------------------------------------------------------------------ */

static void expect_unfit(const fh_case *c, const char *name, const char *part) {
  const fh_bound bound = bound_of(c);
  const char *why = variant_of(bf16, name)->unfit(&bound);
  if (!why || !strstr(why, part)) fail_msg("expected \"%s\" in: %s", part, why ? why : "(it fits)");
}

static void expect_fits(const fh_case *c, const char *name) {
  const fh_bound bound = bound_of(c);
  const char *why = variant_of(bf16, name)->unfit(&bound);
  if (why) fail_msg("%s: %s", c->label, why);
}

static void test_unfit(void **state) {
  (void)state;
  const int64_t shape[] = {0, 64, 64, 64};
  fh_case c = make_case(shape, 0, 0);
  expect_unfit(&c, "wgmma", "fewer than 96 tiles");
  c.views[0].strides[0] = 65;
  expect_unfit(&c, "wgmma_small", "multiple of 16 bytes");
  c.views[0].strides[0] = 56;
  expect_unfit(&c, "wgmma_small", "overlap");
  c.views[0].strides[0] = 128, c.views[0].strides[1] = 2;
  expect_unfit(&c, "wgmma_small", "neither along k nor across");
  c = make_case(shape, 0, 0);
  c.views[1].strides[0] = -64;
  expect_unfit(&c, "wgmma_small", "overlap");
  c = make_case((const int64_t[]){0, 8, 64, 64}, 0, 0);
  expect_unfit(&c, "wgmma_small", "fewer than 9 rows");
  c = make_case((const int64_t[]){0, 64, 64, 0}, 0, 0);
  expect_unfit(&c, "wgmma_small", "k is 0");
  c = make_case((const int64_t[]){2, 64, 64, 64}, 0, 0);
  c.views[0].strides[0] = 64 * 64 + 4;
  expect_unfit(&c, "wgmma_small", "matrices of a batch are not");
  for (int v = 0; v < 2; v++) { /* windows of one long matrix, then lines of both in turn */
    c = make_case((const int64_t[]){2, 64, 64, 64}, 0, 0);
    c.views[v].strides[0] = 63 * c.views[v].strides[1];
    expect_unfit(&c, "wgmma_small", "matrices of a batch overlap");
    c.views[v].strides[0] = 64, c.views[v].strides[1] = 128;
    expect_fits(&c, "wgmma_small");
    c.views[v].strides[0] = 56;
    expect_unfit(&c, "wgmma_small", "matrices of a batch overlap");
  }
  c = fh_product_case(shape, FH_BF16, FH_BF16, FH_F32, 2, FH_PRODUCT_PACKED);
  expect_unfit(&c, "wgmma_small", "packed");
}

/* No instruction turns bytes. */
static void test_unfit_bytes(void **state) {
  (void)state;
  const fh_kernel_contract *const i8 = &fh_contract_matmul_i8;
  const fh_case c = fh_product_case((const int64_t[]){0, 64, 64, 64}, FH_U8, FH_I8, FH_I32, 4, FH_PRODUCT_PLAIN);
  fh_bound bound;
  assert_null(i8->bind(c.views, c.scalars, &bound));
  assert_non_null(strstr(variant_of(i8, "wgmma_small")->unfit(&bound), "not contiguous along k"));
}

static void test_misplaced(void **state) {
  (void)state;
  const fh_case c = make_case((const int64_t[]){0, 64, 64, 64}, 0, 0);
  const fh_bound bound = bound_of(&c);
  const fh_block_variant *variant = variant_of(bf16, "wgmma_small");
  assert_null(fh_block_misplaced(variant, &bound, (const int64_t[FH_MAX_VIEWS]){16, 48, 4}));
  assert_non_null(fh_block_misplaced(variant, &bound, (const int64_t[FH_MAX_VIEWS]){2, 0, 0}));
  assert_non_null(fh_block_misplaced(variant, &bound, (const int64_t[FH_MAX_VIEWS]){0, 8, 0}));
  assert_null(fh_block_misplaced(&bf16->blocks[0], &bound, (const int64_t[FH_MAX_VIEWS]){2, 2, 0}));
}

/* Lines along k, or turned; one matrix for a whole batch. */
static void test_maps(void **state) {
  (void)state;
  fh_case c = make_case((const int64_t[]){3, 100, 200, 72}, 2, 1);
  c.views[1].strides[0] = 0;
  const fh_bound bound = bound_of(&c);
  fh_tensor_map maps[2];
  variant_of(bf16, "wgmma")->maps(&bound, maps);
  const fh_tensor_map a = {FH_PRODUCT_A, 3, FH_BF16, 128, {72, 100, 3}, {2, 2 * 80, 2 * 80 * 100}, {64, 128, 1}};
  const fh_tensor_map b = {FH_PRODUCT_B, 3, FH_BF16, 128, {72, 200, 1}, {2, 2 * 80, 2 * 80 * 200}, {64, 256, 1}};
  assert_memory_equal(&maps[0], &a, sizeof a);
  assert_memory_equal(&maps[1], &b, sizeof b);
  lay(&c.views[1], false, 0);
  const fh_bound turned = bound_of(&c);
  variant_of(bf16, "wgmma")->maps(&turned, maps);
  assert_int_equal(maps[1].extent[0], 200);
  assert_int_equal(maps[1].extent[1], 72);
  assert_int_equal(maps[1].extent[2], 3);
  assert_int_equal(maps[1].box[1], 64);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes),           cmocka_unit_test(test_many_tiles),  cmocka_unit_test(test_shared_matrices),
      cmocka_unit_test(test_results),         cmocka_unit_test(test_no_numbers),  cmocka_unit_test(test_unfit),
      cmocka_unit_test(test_other_types),     cmocka_unit_test(test_misplaced),   cmocka_unit_test(test_maps),
      cmocka_unit_test(test_cases_reach_all), cmocka_unit_test(test_unfit_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
