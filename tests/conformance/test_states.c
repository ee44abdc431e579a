/* Kernels that go on from a state: variants that do not copy it are caught, and offsets that lie are harmless.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 sanitize=address */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/skew.h"
#include "runtime/plan/conformance.h"
#include "tests/support/isa.h"

static const fh_kernel_image *image_of(const char *name) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++)
    if (strcmp(images[i].contract->name, name) == 0) return &images[i];
  fail_msg("no kernel is named %s", name);
  return NULL;
}

static int view_of(const fh_kernel_contract *contract, const char *name) {
  int v = 0;
  while (strcmp(contract->views[v].name, name) != 0) v++;
  return v;
}

/* ---- states ------------------------------------------------------------------------------------------ */

typedef enum fault {
  NONE,
  READS_NEXT,   /* takes what lies in the next state for a copy of the state */
  WRITES_STATE, /* leaves the next state where the state is */
  UPDATES_TWICE /* goes on from a state that is updated already: the same, but where both are one */
} fault;

/* The operand of view `from` is that of view `to`. */
static void redirect(fh_bound *bound, int from, int to) {
  for (int s = 0; s < bound->stage_count; s++)
    for (int o = 0; o < bound->stages[s].operand_count; o++) {
      fh_operand *op = &bound->stages[s].operands[o];
      if (op->kind <= FH_OPERAND_INOUT && op->index == from) op->index = to;
    }
}

static fh_status run_faulty(void *arg, const fh_conform_call *call) {
  const fault what = *(const fault *)arg;
  const int state = view_of(call->image->contract, "state"), next = view_of(call->image->contract, "next");
  fh_isa scalar = FH_ISA_SCALAR;
  fh_bound bound = *call->bound;
  fh_conform_call wrong = *call;
  wrong.bound = &bound;
  if (what == READS_NEXT) redirect(&bound, state, next);
  if (what == WRITES_STATE) redirect(&bound, next, state);
  if (what == UPDATES_TWICE) FH_TRY(fh_conform_run_dialect(&scalar, &wrong));
  return fh_conform_run_dialect(&scalar, &wrong);
}

static void uncopied_states_are_caught(void **state) {
  (void)state;
  static const char *const names[] = {"causal_conv1d", "selective_scan"};
  static const char *const expected[] = {"", "plain C gives", "is written, with state, an input of the contract", ", in place"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    for (fault what = NONE; what <= UPDATES_TWICE; what++) {
      const fh_conform_options options = {.guard = true, .cases = 1};
      const fh_conform_variant variant = {"faulty", FH_EXACT, 1, run_faulty, &what, NULL};
      fh_conform_report report;
      assert_null(fh_conform(image_of(names[i]), &variant, &options, &report));
      print_message("%s: %s\n", names[i], report.verdict == FH_CONFORM_PASS ? "pass" : report.text);
      assert_int_equal(report.verdict, what == NONE ? FH_CONFORM_PASS : FH_CONFORM_FAIL);
      assert_non_null(strstr(report.text, expected[what]));
    }
  }
}

/* ---- offsets ----------------------------------------------------------------------------------------- */

static void (*ordinary_fill)(int index, const fh_case *c, void *data, uint64_t seed);

static void fill_wild(int index, const fh_case *c, void *data, uint64_t seed) {
  const fh_view_desc *v = &c->views[index];
  if (v->dtype == FH_I64)
    fh_skew_offsets(FH_SKEW_WILD, data, v->shape[0] - 1, c->views[0].shape[0], seed);
  else
    ordinary_fill(index, c, data, seed);
}
/* No result is defined. */
static const char *accept(const fh_case *c, void *const *got, void *const *want) {
  (void)c;
  (void)got;
  (void)want;
  return NULL;
}

/* Forbidden pages lie around every operand, and the bytes between its elements are looked at. */
static void wild_offsets_touch_nothing_else(void **state) {
  (void)state;
  const fh_kernel_image *scan = image_of("selective_scan");
  fh_kernel_contract contract = *scan->contract;
  fh_kernel_image image = *scan;
  ordinary_fill = contract.fill;
  contract.fill = fill_wild;
  contract.compare = accept;
  image.contract = &contract;
  for (fh_isa isa = FH_ISA_SCALAR; isa < FH_ISA_COUNT; isa++) {
    if (!fh_isa_runs(isa)) continue;
    const fh_conform_options options = {.guard = true};
    const fh_conform_variant variant = {fh_isa_name(isa), FH_BOUNDED, 1, fh_conform_run_dialect, &isa, NULL};
    fh_conform_report report;
    assert_null(fh_conform(&image, &variant, &options, &report));
    if (report.verdict != FH_CONFORM_PASS) fail_msg("%s", report.text);
    assert_true(report.runs > 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(uncopied_states_are_caught),
      cmocka_unit_test(wild_offsets_touch_nothing_else),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
