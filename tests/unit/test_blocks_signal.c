/* The block texts of filters, scans and transforms, through the emulator of blocks: the bits of the kernels' texts.
 * SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120 sanitize=address cross=no
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernels/cases.h"
#include "kernels/contracts.h"
#include "tests/support/block_cases.h"

/* Compact at a boundary and off it, with values of every kind; elements and rows apart; the last two dimensions turned. */
static const block_layout layouts[] = {{1, 0, 0, true, false}, {1, 3, 4, false, false}, {3, 1, 8, false, false}, {1, 0, 4, false, true}};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, MOST = 40000 };

static void test_scans(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_selective_scan, MOST, layouts, LAYOUTS);
}

/* Rows and channels, taps around a multiple of four, states longer than a sequence. */
static void test_filters(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_causal_conv1d, MOST, layouts, LAYOUTS);
  block_cases_check_all(&fh_contract_fir, MOST, layouts, LAYOUTS);
  block_cases_check_all(&fh_contract_resample, MOST, layouts, LAYOUTS);
}

/* Every radix, odd lengths, padding of both kinds. */
static void test_transforms(void **state) {
  (void)state;
  block_cases_check_all(&fh_contract_fft, MOST, layouts, LAYOUTS);
  block_cases_check_all(&fh_contract_stft, MOST, layouts, LAYOUTS);
  block_cases_check_all(&fh_contract_log_mel, MOST, layouts, LAYOUTS);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_scans), cmocka_unit_test(test_filters), cmocka_unit_test(test_transforms)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
