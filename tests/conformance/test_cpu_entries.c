/* Every dialect entry on every instruction set of this machine, without a backend. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=240 sanitize=address
 * The first cases of each kernel, where nearly every mistake shows; conformance/test_verify tries them all.
 * FOGHORN_CONFORM=long in the environment: all cases here too, and every byte offset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/plan/conformance.h"
#include "tests/support/isa.h"

static void conforms(fh_isa isa) {
  if (!fh_isa_runs(isa)) {
    print_message("NOT RUN: this processor has no %s\n", fh_isa_name(isa));
    skip();
  }
  const char *form = getenv("FOGHORN_CONFORM");
  const bool thorough = form && strcmp(form, "long") == 0, emulated = getenv("FH_EMULATED") != NULL;
  if (emulated) print_message("NOT RUN: all but the first 8 cases of each kernel, which would take an hour under an emulator\n");
  const fh_conform_options options = {.guard = true, .cases = emulated ? 8 : thorough ? 0 : 12, .thorough = thorough};
  int count, failed = 0;
  const fh_kernel_image *images = fh_kernel_images(&count);
  assert_true(count > 0);
  for (int i = 0; i < count; i++) {
    const fh_conform_variant variant = {fh_isa_name(isa), images[i].contract->dialect_numerics, 1, fh_conform_run_dialect, &isa, NULL};
    fh_conform_report report;
    assert_null(fh_conform(&images[i], &variant, &options, &report));
    print_message("%-16s %-7s %5d runs  %s\n", images[i].contract->name, variant.name, report.runs,
                  report.verdict == FH_CONFORM_PASS ? "pass" : report.text);
    failed += report.verdict != FH_CONFORM_PASS;
  }
  assert_int_equal(failed, 0);
}

static void scalar_conforms(void **state) {
  (void)state;
  conforms(FH_ISA_SCALAR);
}
static void sse42_conforms(void **state) {
  (void)state;
  conforms(FH_ISA_SSE42);
}
static void avx2_conforms(void **state) {
  (void)state;
  conforms(FH_ISA_AVX2);
}
static void avx512_conforms(void **state) {
  (void)state;
  conforms(FH_ISA_AVX512);
}
static void neon_conforms(void **state) {
  (void)state;
  conforms(FH_ISA_NEON);
}

/* The procedure must see what it claims to see: variants that are wrong in one way each. */
typedef enum fault { ONE_BIT, SMALL_ERROR, STRAY_WRITE, INPUT_WRITE, ONE_TURNED, REFUSED, NOT_BUILT } fault;

static fh_status run_faulty(void *arg, const fh_conform_call *call) {
  const fault what = *(const fault *)arg;
  if (what == REFUSED) return FH_STATUS(FH_INCOMPATIBLE, "this device cannot");
  if (what == NOT_BUILT) return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "BUILD-FAILED", "no such function");
  fh_isa scalar = FH_ISA_SCALAR;
  FH_TRY(fh_conform_run_dialect(&scalar, call));
  const fh_view_desc *v = &call->views[1];
  const fh_conform_place *x = &call->places[0], *y = &call->places[1];
  char *first = (char *)y->memory + y->offset;
  float value;
  memcpy(&value, first, sizeof value);
  if (what == ONE_BIT) *first ^= 1;
  value *= 1.001f;
  if (what == SMALL_ERROR) memcpy(first, &value, sizeof value);
  if (what == STRAY_WRITE && v->strides[1] == 1 && v->strides[0] > v->shape[1]) first[v->shape[1] * 4] = 0; /* behind a row */
  if (what == ONE_TURNED && (call->views[0].strides[1] == 1) != (v->strides[1] == 1)) *first ^= 1;
  if (what == INPUT_WRITE && x->memory != y->memory) *((char *)x->memory + x->offset) ^= 1;
  return FH_OK;
}

static void faults_are_seen(void **state) {
  (void)state;
  static const char *const expected[] = {"plain C gives",       "the oracle says",    "a byte between",  "an input was",
                                         "odd matrices turned", "this device cannot", "no such function"};
  int count;
  const fh_kernel_image *image = fh_kernel_images(&count);
  while (strcmp(image->contract->name, "softmax") != 0) image++;
  for (fault what = ONE_BIT; what <= NOT_BUILT; what++) {
    const fh_conform_options options = {.guard = what % 2 == 0, .cases = 1};
    const fh_conform_variant variant = {"faulty", what == SMALL_ERROR ? FH_BOUNDED : FH_EXACT, 4, run_faulty, &what, NULL};
    fh_conform_report report;
    assert_null(fh_conform(image, &variant, &options, &report));
    print_message("%s\n", report.text);
    assert_int_equal(report.verdict, what == REFUSED ? FH_CONFORM_UNSUPPORTED : FH_CONFORM_FAIL);
    assert_non_null(strstr(report.text, expected[what]));
  }
}

/* A bind() that does not fill what the text declares is told before anything runs. */
static void wrong_operands_are_seen(void **state) {
  (void)state;
  static const struct {
    fh_operand_kind kind; /* of the second parameter */
    int missing;
    const char *expected;
  } faults[] = {
      {FH_OPERAND_I64, 0, "with OUT, its text says I64"}, {FH_OPERAND_IN, 0, "says IN"}, {FH_OPERAND_OUT, 1, "has 10 parameters"}};
  int count;
  const fh_kernel_image *softmax = fh_kernel_images(&count);
  while (strcmp(softmax->contract->name, "softmax") != 0) softmax++;
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    fh_param params[FH_MAX_OPERANDS];
    fh_entry_image entry = softmax->entries[0];
    fh_kernel_image image = *softmax;
    memcpy(params, entry.params, (size_t)entry.param_count * sizeof *params);
    params[1].kind = faults[i].kind;
    entry.params = params;
    entry.param_count -= faults[i].missing;
    image.entries = &entry;
    fh_isa scalar = FH_ISA_SCALAR;
    const fh_conform_options options = {.cases = 1};
    const fh_conform_variant variant = {"scalar", FH_EXACT, 1, fh_conform_run_dialect, &scalar, NULL};
    fh_conform_report report;
    assert_null(fh_conform(&image, &variant, &options, &report));
    print_message("%s\n", report.text);
    assert_int_equal(report.verdict, FH_CONFORM_FAIL);
    assert_non_null(strstr(report.text, faults[i].expected));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(faults_are_seen), cmocka_unit_test(wrong_operands_are_seen), cmocka_unit_test(scalar_conforms),
      cmocka_unit_test(sse42_conforms),  cmocka_unit_test(avx2_conforms),           cmocka_unit_test(avx512_conforms),
      cmocka_unit_test(neon_conforms),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
