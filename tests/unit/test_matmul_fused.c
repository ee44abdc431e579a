/* matmul_fused: the contract's checks, and its activations bit by bit; its sums are compared by the conformance tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <foghorn/foghorn.h>

#include "kernels/contracts.h"
#include "kernels/matmul_fused/matmul_fused.h"
#include "kernels/rows.h"
#include "tests/support/cpu_context.h"

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
  refused(views, FH_ACTIVATION_TANH + 1, "activation is 7");
  refused(views, -1, "activation is -1");
  views[1] = matrix(5, 5);
  refused(views, 0, "fh_matmul_fused: b has shape");
}

/* A product over nothing is 0, so the result is f(d): that of the function of this name, bit by bit, at the ends of its range too. */
static void test_activations_have_the_bits_of_their_functions(void **unused) {
  (void)unused;
  enum { M = 3, N = 67 };
  static fh_status (*const functions[])(fh_queue *, const fh_view *, const fh_view *, fh_event *) = {
      [FH_ACTIVATION_GELU] = fh_gelu,
      [FH_ACTIVATION_GELU_TANH] = fh_gelu_tanh,
      [FH_ACTIVATION_SILU] = fh_silu,
      [FH_ACTIVATION_SIGMOID] = fh_sigmoid,
      [FH_ACTIVATION_TANH] = fh_tanh};
  static const float ends[] = {INFINITY, -INFINITY, NAN, 0x1p-149f, -0x1p-140f, 3e38f, -3e38f, 88.7f, -88.7f, -103.9f};
  float d[M * N], fused[M * N], alone[M * N], nothing[1] = {0};
  for (int i = 0; i < M * N; i++) d[i] = i % 20 < 10 ? ends[i % 20] : (float)(i - M * N / 2) * 0.13f;
  fh_view a, b, d_view, c, y;
  FH_EXPECT_OK(fh_view_wrap(context, nothing, FH_F32, FH_SHAPE(M, 0), FH_ROW_MAJOR, FH_READ, &a));
  FH_EXPECT_OK(fh_view_wrap(context, nothing, FH_F32, FH_SHAPE(0, N), FH_ROW_MAJOR, FH_READ, &b));
  FH_EXPECT_OK(fh_view_wrap(context, d, FH_F32, FH_SHAPE(M, N), FH_ROW_MAJOR, FH_READ, &d_view));
  FH_EXPECT_OK(fh_view_wrap(context, fused, FH_F32, FH_SHAPE(M, N), FH_ROW_MAJOR, FH_WRITE, &c));
  FH_EXPECT_OK(fh_view_wrap(context, alone, FH_F32, FH_SHAPE(M, N), FH_ROW_MAJOR, FH_WRITE, &y));
  for (int f = FH_ACTIVATION_GELU; f <= FH_ACTIVATION_TANH; f++) {
    FH_EXPECT_OK(fh_matmul_fused(fh_context_queue(context), &a, &b, &d_view, &c, (fh_activation)f, NULL));
    FH_EXPECT_OK(functions[f](fh_context_queue(context), &d_view, &y, NULL));
    FH_EXPECT_OK(fh_view_sync(&c));
    FH_EXPECT_OK(fh_view_sync(&y));
    for (int i = 0; i < M * N; i++)
      if (!(isnan(fused[i]) && isnan(alone[i])) && memcmp(&fused[i], &alone[i], sizeof fused[i]) != 0)
        fail_msg("activation %d of %a: %a in the product, %a alone", f, (double)d[i], (double)fused[i], (double)alone[i]);
  }
  fh_view *const views[] = {&a, &b, &d_view, &c, &y};
  for (size_t v = 0; v < sizeof views / sizeof *views; v++) fh_view_release(views[v]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_addend),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test_setup_teardown(test_activations_have_the_bits_of_their_functions, open_context, close_context),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
