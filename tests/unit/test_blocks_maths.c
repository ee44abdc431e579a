/* The block texts of the functions of one argument, through the emulator of blocks: the bits of the kernels' texts.
 * SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120 sanitize=address
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "tests/support/tuned.h"

static const fh_kernel_contract *const functions[] = {&fh_contract_exp,  &fh_contract_log,  &fh_contract_tanh, &fh_contract_sigmoid,
                                                      &fh_contract_silu, &fh_contract_gelu, &fh_contract_erf,  &fh_contract_gelu_tanh,
                                                      &fh_contract_sin,  &fh_contract_cos};

/* Every exponent and either sign, infinities, and what is no number. */
static void fill(float *x, int64_t n, bool positive) {
  for (int64_t i = 0; i < n; i++) {
    const uint32_t bits = (uint32_t)(i * 2654435761u) ^ (uint32_t)(i * 40503u << 16);
    if (i % 3 == 0) memcpy(&x[i], &bits, sizeof bits);
    if (i % 3 != 0) x[i] *= (float)(1 << i % 7);
    if (positive && x[i] < 0) x[i] = -x[i];
    if (x[i] != x[i]) x[i] = __builtin_nanf("");
  }
}

static void check(int64_t n, size_t shift) {
  const fh_view_desc views[] = {{FH_F32, 1, {n}, {1}}, {FH_F32, 1, {n}, {1}}};
  for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
    const fh_kernel_contract *contract = functions[k];
    assert_int_equal(contract->block_count, 1);
    tuned_call call = tuned_call_make(contract, views, false, shift);
    fill(call.first[0], n, contract == &fh_contract_log);
    const char *wrong = tuned_call_check_block(&call, &contract->blocks[0]);
    if (wrong) fail_msg("%s of %d, %d bytes off: %s", contract->name, (int)n, (int)shift, wrong);
    tuned_call_free(&call);
  }
}

static void test_lengths(void **state) {
  (void)state;
  static const int64_t lengths[] = {1, 3, 4, 5, 1009, 2048, 2051, 4100, 70001};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) check(lengths[i], 0);
}

static void test_offsets(void **state) {
  (void)state;
  for (size_t shift = 4; shift <= 16; shift += 4) check(1500, shift);
}

/* One row with a stride is not for it, nor are rows that lie apart. */
static void test_unfit(void **state) {
  (void)state;
  static const fh_view_desc views[][2] = {{{FH_F32, 1, {9}, {2}}, {FH_F32, 1, {9}, {1}}},
                                          {{FH_F32, 1, {9}, {1}}, {FH_F32, 1, {9}, {-1}}},
                                          {{FH_F32, 2, {9, 4}, {5, 1}}, {FH_F32, 2, {9, 4}, {4, 1}}}};
  for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
    fh_bound bound;
    assert_null(fh_contract_exp.bind(views[i], NULL, &bound));
    assert_non_null(fh_contract_exp.blocks[0].unfit(&bound));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_lengths), cmocka_unit_test(test_offsets), cmocka_unit_test(test_unfit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
