/* matmul_fused: the contract's checks; its results are compared by the conformance tests. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "kernels/matmul_fused/matmul_fused.h"
#include "kernels/rows.h"

extern const fh_kernel_contract fh_contract_matmul_fused;

static fh_view_desc matrix(int64_t rows, int64_t cols) { return fh_compact(FH_F32, 2, (const int64_t[]){rows, cols}); }

static fh_status bind(const fh_view_desc *views, int64_t activation, fh_bound *out) {
  const fh_value scalars[] = {{.i = activation}};
  return fh_contract_matmul_fused.bind(views, scalars, out);
}

static void refused(const fh_view_desc *views, int64_t activation, const char *part) {
  fh_bound bound;
  fh_status status = bind(views, activation, &bound);
  assert_non_null(status);
  if (!strstr(fh_status_message(status), part)) fail_msg("%s", fh_status_message(status));
  fh_status_free(status);
}

static void test_addend(void **unused) {
  (void)unused;
  fh_view_desc views[] = {matrix(3, 4), matrix(4, 5), fh_compact(FH_F32, 1, (const int64_t[]){5}), matrix(3, 5)};
  fh_bound bound;
  assert_null(bind(views, 1, &bound));
  const fh_operand *op = bound.stages[0].operands;
  assert_int_equal(bound.stages[0].operand_count, FH_MATMUL_FUSED_SLOTS);
  assert_int_equal(op[FH_MATMUL_C].index, 3);
  assert_int_equal(op[FH_MATMUL_D].index, 2);
  assert_int_equal(op[FH_MATMUL_D_STRIDES + 1].i, 0); /* every row the same */
  assert_int_equal(op[FH_MATMUL_D_STRIDES + 2].i, 1);
  views[2] = matrix(3, 5);
  views[2].strides[0] = 1, views[2].strides[1] = 0; /* a bias of rows */
  assert_null(bind(views, 0, &bound));
  assert_int_equal(op[FH_MATMUL_D_STRIDES + 1].i, 1);
  assert_int_equal(op[FH_MATMUL_D_STRIDES + 2].i, 0);
}

static void test_refusals(void **unused) {
  (void)unused;
  fh_view_desc views[] = {matrix(3, 4), matrix(4, 5), fh_compact(FH_F32, 1, (const int64_t[]){3}), matrix(3, 5)};
  refused(views, 0, "n = 5");
  views[2] = matrix(5, 3);
  refused(views, 0, "equal shapes");
  views[2] = matrix(3, 5);
  refused(views, 2, "activation is 2");
  refused(views, -1, "activation is -1");
  views[1] = matrix(5, 5);
  refused(views, 0, "fh_matmul_fused: b has shape");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_addend), cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
