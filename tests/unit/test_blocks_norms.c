/* The block texts of the kernels that normalise rows, through the emulator of blocks: the bits of the kernels' texts.
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
#include "tests/support/tuned.h"

typedef struct norm {
  const fh_kernel_contract *contract;
  int weights;  /* views of d elements between x and y */
  int64_t most; /* elements of a row */
} norm;

static const norm norms[] = {{&fh_contract_layer_norm, 2, 4096},
                             {&fh_contract_rms_norm, 1, 4096},
                             {&fh_contract_l2_normalize, 0, 4096},
                             {&fh_contract_softmax, 0, 2048}};

static const char *run(const norm *n, tuned_call *call, int *out_tried) {
  const fh_value eps[] = {{.f = 1e-5}};
  const char *wrong = NULL;
  call->scalars = n->contract->scalar_count ? eps : NULL;
  for (int v = 0; v < n->contract->block_count && !wrong; v++) {
    fh_bound bound;
    assert_null(n->contract->bind(call->views, call->scalars, &bound));
    if (bound.stage_count == 0 || n->contract->blocks[v].unfit(&bound)) continue;
    ++*out_tried;
    wrong = tuned_call_check_block_within(call, &n->contract->blocks[v], 1);
  }
  call->scalars = NULL;
  return wrong;
}

static void check(const norm *n, int64_t n0, int64_t n1, int64_t d, int64_t pad) {
  const fh_view_desc rows = {FH_F32, 3, {n0, n1, d}, {n1 * (d + pad) + 2 * pad, d + pad, 1}}, weights = {FH_F32, 1, {d}, {1}};
  fh_view_desc views[4] = {rows, weights, weights, rows};
  views[1 + n->weights] = rows;
  tuned_call call = tuned_call_make(n->contract, views, d % 2, 4);
  int tried = 0;
  const char *wrong = run(n, &call, &tried);
  if (wrong) fail_msg("%s of %d x %d x %d: %s", n->contract->name, (int)n0, (int)n1, (int)d, wrong);
  if (tried != 1) fail_msg("%s of %d x %d x %d: %d variants fit, expected one", n->contract->name, (int)n0, (int)n1, (int)d, tried);
  tuned_call_free(&call);
}

static void test_lengths(void **state) {
  (void)state;
  static const int64_t lengths[] = {64,  65,  79,  80,  81,  95,   96,   97,   127,  128,  257,
                                    511, 512, 513, 527, 528, 1000, 1024, 1025, 2047, 2048, 4096};
  for (size_t k = 0; k < sizeof norms / sizeof *norms; k++)
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
      if (lengths[i] <= norms[k].most) check(&norms[k], 1, 1 + (int64_t)i % 11, lengths[i], 0);
  check(&norms[3], 2, 9, 32, 0);
  check(&norms[3], 2, 9, 47, 0);
}

static void test_layouts(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof norms / sizeof *norms; k++) {
    check(&norms[k], 3, 5, 100, 7);
    check(&norms[k], 2, 70, 130, 1);
    check(&norms[k], 700, 2, 66, 0); /* more rows than blocks have groups */
  }
}

/* NaN and infinities stay in their rows. */
static void test_strange_rows(void **state) {
  (void)state;
  enum { ROWS = 9, D = 150 };
  const fh_view_desc rows = {FH_F32, 2, {ROWS, D}, {D, 1}}, weights = {FH_F32, 1, {D}, {1}};
  for (size_t k = 0; k < sizeof norms / sizeof *norms; k++) {
    fh_view_desc views[4] = {rows, weights, weights, rows};
    views[1 + norms[k].weights] = rows;
    tuned_call call = tuned_call_make(norms[k].contract, views, true, 0);
    float *x = call.first[0];
    x[1 * D + 77] = __builtin_nanf("");
    x[3 * D + 149] = __builtin_inff();
    x[5 * D + 3] = -__builtin_inff();
    for (int i = 0; i < D; i++) x[6 * D + i] = -__builtin_inff(), x[7 * D + i] = -0.0f, x[8 * D + i] = 1e-30f;
    int tried = 0;
    const char *wrong = run(&norms[k], &call, &tried);
    if (wrong || tried != 1) fail_msg("%s: %s", norms[k].contract->name, wrong ? wrong : "no variant fits");
    tuned_call_free(&call);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_lengths), cmocka_unit_test(test_layouts), cmocka_unit_test(test_strange_rows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
