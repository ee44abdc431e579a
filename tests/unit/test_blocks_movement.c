/* The block texts of kernels that move memory, through the emulator of blocks: the bits of the kernels' texts.
 * SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120 sanitize=address cross=no
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/cases.h"
#include "kernels/contracts.h"
#include "tests/support/block_cases.h"

/* Compact at a boundary and off it, with values of every kind; rows apart; elements apart. */
static const block_layout layouts[] = {
    {1, 0, 0, true, false}, {1, 0, 4, false, false}, {1, 0, 8, true, false}, {1, 5, 12, false, false}, {3, 1, 4, false, false}};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, MOST = 200000 };

static void test_axpy(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_axpy, MOST, layouts, LAYOUTS);
}

static void test_convert(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_convert, MOST, layouts, LAYOUTS);
}

static void test_permute(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_permute, MOST, layouts, LAYOUTS);
}

static void check_plane(int64_t ni, int64_t nj) {
  const fh_kernel_contract *contract = &fh_contract_permute;
  const fh_case c = {.views = {fh_compact(FH_F32, 2, (int64_t[]){nj, ni}), fh_compact(FH_F32, 2, (int64_t[]){ni, nj})},
                     .scalars = {{.i = 1}, {.i = 0}, {.i = 2}, {.i = 3}}};
  const char *wrong = block_case_check(contract, &contract->blocks[0], &c, &layouts[0]);
  if (wrong) fail_msg("permute/%s, planes of %d x %d: %s", contract->blocks[0].name, (int)ni, (int)nj, wrong);
}

/* Both ends of every power of two that a side of a tile can be, against one another. */
static void test_permute_sides(void **state) {
  (void)state;
  enum { LEAST = 1024, LARGEST = 100000 }; /* the variant takes no smaller planes */
  static const int64_t extents[] = {2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 256, 257, 1030};
  for (size_t i = 0; i < FH_LENGTH(extents); i++)
    for (size_t j = 0; j < FH_LENGTH(extents); j++)
      if (extents[i] * extents[j] >= LEAST && extents[i] * extents[j] <= LARGEST) check_plane(extents[i], extents[j]);
}

static void test_gather(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_gather, MOST, layouts, LAYOUTS);
}

static void test_images(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_u8_to_f32_nchw, MOST, layouts, LAYOUTS);
}

/* Several tiles both ways, more than there are blocks. */
static void check_weights(fh_dtype dtype, int64_t k, int64_t n, const block_layout *layout) {
  const fh_kernel_contract *contract = &fh_contract_pack_weights;
  const int64_t group = 4 / (int64_t)fh_dtype_size(dtype);
  fh_case c = {.views = {fh_compact(dtype, 2, (int64_t[]){k, n}),
                         fh_compact(dtype, 4, (int64_t[]){(n + 31) / 32, (k + group - 1) / group, 32, group})}};
  const fh_block_variant *variant = &contract->blocks[group == 4 ? 0 : group == 2 ? 1 : 2];
  const char *wrong = block_case_check(contract, variant, &c, layout);
  if (wrong) fail_msg("pack_weights/%s, %d x %d%s: %s", variant->name, (int)k, (int)n, layout->turned ? ", turned" : "", wrong);
}

static void test_pack_weights_tiles(void **state) {
  (void)state;
  static const block_layout ways[] = {{1, 0, 0, true, false}, {1, 0, 0, false, true}};
  static const fh_dtype types[] = {FH_I8, FH_BF16, FH_F32};
  for (size_t t = 0; t < FH_LENGTH(types); t++)
    for (size_t w = 0; w < FH_LENGTH(ways); w++) {
      check_weights(types[t], 304, 300, &ways[w]);
      check_weights(types[t], 67, 260, &ways[w]);
      check_weights(types[t], 1104, 40, &ways[w]);
    }
}

/* Weights whose columns lie side by side are packed by columns; those off a boundary by elements. */
static void test_pack_weights(void **state) {
  (void)state;
  static const block_layout layouts_of_weights[] = {{1, 0, 0, true, false},  {1, 0, 4, false, false}, {1, 5, 12, false, false},
                                                    {3, 1, 4, false, false}, {1, 0, 0, false, true},  {1, 16, 0, false, true}};
  block_cases_check_all(&fh_contract_pack_weights, MOST, layouts_of_weights, FH_LENGTH(layouts_of_weights));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_axpy),         cmocka_unit_test(test_convert),
                                     cmocka_unit_test(test_permute),      cmocka_unit_test(test_permute_sides),
                                     cmocka_unit_test(test_gather),       cmocka_unit_test(test_images),
                                     cmocka_unit_test(test_pack_weights), cmocka_unit_test(test_pack_weights_tiles)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
