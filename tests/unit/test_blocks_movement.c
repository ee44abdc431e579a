/* The block texts of kernels that move memory, through the emulator of blocks: the bits of the kernels' texts.
 * SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120 sanitize=address
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "tests/support/block_cases.h"

/* Compact at a boundary and off it, with values of every kind; rows apart; elements apart. */
static const block_layout layouts[] = {{1, 0, 0, true}, {1, 0, 4, false}, {1, 0, 8, true}, {1, 5, 12, false}, {3, 1, 4, false}};
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

static void test_gather(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_gather, MOST, layouts, LAYOUTS);
}

static void test_images(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_u8_to_f32_nchw, MOST, layouts, LAYOUTS);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_axpy), cmocka_unit_test(test_convert), cmocka_unit_test(test_permute),
                                     cmocka_unit_test(test_gather), cmocka_unit_test(test_images)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
