/* The dialect: exp of what is negative against libm, lane arithmetic, the device texts, formal parameters, and results that are the
 * same on every architecture. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 sanitize=address
 * FOGHORN_DIALECT=long in the environment tries exp on every float below 0; test_maths.c has the other functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FH_DIALECT_ISA test
#define FH_DIALECT_SCALAR 1
#include "kernels/contracts.h"
#include "kernels/dialect/prelude_c.h"

#include "kernels/narrow.h"
#include "kernels/rows.h"
#include "runtime/plan/conformance.h"

/* ---- exp ---------------------------------------------------------------------------------------------- */

/* Distance of got from exact in units of the last place of exact, subnormal places counted as such. */
static double ulps(float got, double exact) {
  const double magnitude = fabs(exact);
  const int exponent = magnitude >= 0x1p-126 ? ilogb(magnitude) : -126;
  return fabs((double)got - exact) / ldexp(1.0, exponent - 23);
}

typedef struct error {
  double worst;
  float at;
} error;

/* What fh_exp_negative states, in ulp: it is at least 1 u of the result. */
static double negative_bound(float x) { return 4 + fabs((double)x) / 4; }

/* Every `step`-th float between two bit patterns of one sign: its error in ulp over scale(x). */
static error error_of(fh_vf (*f)(fh_vf), double (*scale)(float), uint32_t first, uint32_t last, uint32_t step) {
  error e = {0};
  for (uint64_t bits = first; bits <= last; bits += (uint64_t)step * FH_LANES) {
    float in[FH_LANES], out[FH_LANES];
    for (uint32_t l = 0; l < FH_LANES; l++) {
      const uint64_t b = bits + (uint64_t)l * step;
      in[l] = fh_f32_from_bits(b <= last ? (uint32_t)b : last);
    }
    fh_store_packed(out, f(fh_load_packed(in)));
    for (int l = 0; l < FH_LANES; l++) {
      const double exact = exp((double)in[l]);
      const double u = exact >= 0x1.ffffffp+127 && isinf(out[l]) ? 0 : ulps(out[l], exact) / scale(in[l]);
      if (u > e.worst) e = (error){u, in[l]};
    }
  }
  return e;
}

static fh_vf negative(fh_vf x) { return fh_exp_negative(x); }

static void exp_negative_is_accurate(void **state) {
  (void)state;
  const char *form = getenv("FOGHORN_DIALECT");
  const uint32_t step = form && strcmp(form, "long") == 0 ? 1 : 1009;
  const error fast = error_of(negative, negative_bound, fh_bits_from_f32(-0.0f), fh_bits_from_f32(-87.29f), step);
  print_message("exp_negative: %.4f of its bound at %.9g\n", fast.worst, (double)fast.at);
  assert_true(fast.worst < 1);
}

static float one_exp(fh_vf (*f)(fh_vf), float x) {
  float out[FH_LANES];
  fh_store_packed(out, f(fh_splat(x)));
  return out[FH_LANES - 1];
}

static void exp_negative_at_the_ends(void **state) {
  (void)state;
  assert_true(one_exp(negative, 0.0f) == 1.0f);
  assert_true(one_exp(negative, -INFINITY) == 0.0f);
  assert_true(one_exp(negative, -1e30f) == 0.0f);
  assert_true(isnan(one_exp(negative, NAN)));
}

/* ---- lanes -------------------------------------------------------------------------------------------- */

static void reductions_follow_the_tree(void **state) {
  (void)state;
  float v[FH_LANES], sum[FH_LANES];
  for (int l = 0; l < FH_LANES; l++) v[l] = 1.0f / (float)(3 * l + 1) * (l % 3 ? 1.0f : -1e4f);
  memcpy(sum, v, sizeof v);
  for (int half = 8; half > 0; half /= 2) {
    for (int l = 0; l < half; l++) sum[l] = sum[l] + sum[l + half];
  }
  assert_true(fh_sum_of(fh_load_packed(v)) == sum[0]);
  assert_true(fh_max_of(fh_load_packed(v)) == v[1]);
  assert_true(fh_min_of(fh_load_packed(v)) == v[0]);
}

static void min_max_keep_the_second(void **state) {
  (void)state;
  float out[FH_LANES];
  fh_store_packed(out, fh_max(fh_splat(1.0f), fh_splat(NAN)));
  assert_true(isnan(out[3]));
  fh_store_packed(out, fh_max(fh_splat(NAN), fh_splat(1.0f)));
  assert_true(out[3] == 1.0f);
  fh_store_packed(out, fh_min(fh_splat(0.0f), fh_splat(-0.0f)));
  assert_true(signbit(out[7]));
  fh_store_packed(out, fh_max(fh_splat(-0.0f), fh_splat(0.0f)));
  assert_false(signbit(out[7]));
}

/* ---- what the build made of the texts ------------------------------------------------------------------ */

static void formals_match_bind(void **state) {
  (void)state;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++) {
    const fh_kernel_contract *contract = images[i].contract;
    assert_int_equal(images[i].entry_count, contract->entry_count);
    for (int e = 0; e < images[i].entry_count; e++) assert_string_equal(images[i].entries[e].entry, contract->entries[e]);
    fh_case c;
    for (int k = 0; contract->case_at(k, &c); k++) {
      fh_bound bound;
      assert_null(contract->bind(c.views, c.scalars, &bound));
      for (int s = 0; s < bound.stage_count; s++) {
        const fh_entry_image *entry = &images[i].entries[bound.stages[s].entry];
        assert_int_equal(bound.stages[s].operand_count, entry->param_count);
        assert_true(bound.stages[s].items > 0);
        for (int o = 0; o < entry->param_count; o++) {
          const fh_operand_kind kind = bound.stages[s].operands[o].kind, formal = entry->params[o].kind;
          const bool scratch = kind == FH_OPERAND_TEMP && formal < FH_OPERAND_I64; /* may stand for any pointer */
          if (kind != formal && !scratch) print_message("%s: %s\n", entry->entry, entry->params[o].name);
          assert_true(kind == formal || scratch);
        }
      }
    }
  }
}

static int count_of_params(const char *ptx, const char *entry) {
  char name[80];
  snprintf(name, sizeof name, ".entry %s(", entry);
  const char *at = strstr(ptx, name);
  if (!at) return -1;
  const char *end = strchr(at, ')');
  int params = 0;
  while ((at = strstr(at, ".param")) && at < end) {
    params++;
    at++;
  }
  return params;
}

/* One instruction with f32 operands: the rounding must be stated, and nothing approximate used, nor fused by the compiler: what
 * fh_fma asks for is "fma.rn". */
static bool instruction_is_exact(const char *op) {
  static const char *const rounded[] = {"add.f32", "sub.f32", "mul.f32", "div.f32", "sqrt.f32", "rcp.f32"};
  if (strstr(op, ".ftz") || strstr(op, ".approx") || strstr(op, ".full")) return false;
  if (!strstr(op, ".f32")) return true;
  if (strcmp(op, "fma.rn.f32") == 0) return true;
  if (strncmp(op, "fma", 3) == 0 || strncmp(op, "mad", 3) == 0 || strncmp(op, "ex2", 3) == 0 || strncmp(op, "rsqrt", 5) == 0) return false;
  for (size_t i = 0; i < sizeof rounded / sizeof *rounded; i++) {
    if (strcmp(op, rounded[i]) == 0) return false;
  }
  return true;
}

static void ptx_rounds_each_operation(void **state) {
  (void)state;
  int count, built = 0;
  const fh_kernel_image *images = fh_kernel_images(&count);
  assert_false(instruction_is_exact("fma.rn.ftz.f32"));
  assert_false(instruction_is_exact("mad.f32"));
  assert_false(instruction_is_exact("add.f32"));
  assert_false(instruction_is_exact("div.full.f32"));
  assert_true(instruction_is_exact("add.rn.f32"));
  for (int i = 0; i < count; i++) {
    if (!images[i].ptx) {
      assert_non_null(images[i].ptx_missing);
      print_message("NOT RUN: %s: %s\n", images[i].contract->name, images[i].ptx_missing);
      continue;
    }
    built++;
    assert_non_null(strstr(images[i].ptx, ".version 6.0\n"));
    assert_non_null(strstr(images[i].ptx, ".target sm_60\n"));
    for (int e = 0; e < images[i].entry_count; e++) {
      const fh_entry_image *entry = &images[i].entries[e];
      int expected = 1;
      for (int p = 0; p < entry->param_count; p++)
        expected += entry->params[p].kind == FH_OPERAND_I64 || entry->params[p].kind == FH_OPERAND_F32 ? 1 : 2;
      assert_int_equal(count_of_params(images[i].ptx, entry->entry), expected);
    }
    char op[64];
    for (const char *line = images[i].ptx; line; line = strchr(line, '\n')) {
      line++;
      if (sscanf(line, " %63[a-z0-9._]", op) == 1 && !instruction_is_exact(op)) fail_msg("%s: %s", images[i].contract->name, op);
    }
  }
  if (built == 0) {
    print_message("NOT RUN: this build has no PTX\n");
    skip();
  }
}

/* A device has no files: what a text includes stands before it, and its guard is defined there. */
static bool includes_are_guarded(const char *text) {
  for (const char *at = strstr(text, "\n#include"); at; at = strstr(at + 1, "\n#include")) {
    const char *line = at;
    while (line > text && line[-1] != '\n') line--;
    char guard[80], define[100];
    if (sscanf(line, "#ifndef %79[A-Z0-9_]", guard) != 1) return false;
    snprintf(define, sizeof define, "\n#define %s\n", guard);
    const char *defined = strstr(text, define);
    if (!defined || defined > at) return false;
  }
  return true;
}

static void texts_are_whole(void **state) {
  (void)state;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++) {
    assert_non_null(strstr(images[i].cl_source, "#pragma OPENCL FP_CONTRACT OFF"));
    assert_true(includes_are_guarded(images[i].cl_source));
    for (int e = 0; e < images[i].entry_count; e++) {
      char entry[80], made[80], streaming[80], map[80], renamed[80];
      snprintf(entry, sizeof entry, "_ENTRY(%s)", images[i].entries[e].entry); /* FH_ENTRY, or a macro that ends in it */
      snprintf(made, sizeof made, "_ENTRY(%s,", images[i].entries[e].entry);
      snprintf(streaming, sizeof streaming, "FH_ENTRY_STREAMING(%s)", images[i].entries[e].entry);
      snprintf(map, sizeof map, "FH_MAP(%s,", images[i].entries[e].entry);
      snprintf(renamed, sizeof renamed, " %s\n", images[i].entries[e].entry); /* #define ENTRY RENAMED: a text that is read twice */
      assert_true(strstr(images[i].cl_source, entry) || strstr(images[i].cl_source, made) || strstr(images[i].cl_source, streaming) ||
                  strstr(images[i].cl_source, map) || strstr(images[i].cl_source, renamed));
    }
    for (int j = 0; j < i; j++) assert_true(images[i].hash != images[j].hash);
  }
}

/* ---- the same bits on every architecture ----------------------------------------------------------------- */

/* A digest of a kernel's outputs over its cases, made from every run of plain C. */
typedef struct digest {
  uint64_t value;
} digest;

static fh_status run_and_digest(void *arg, const fh_conform_call *call) {
  digest *d = arg;
  fh_isa scalar = FH_ISA_SCALAR;
  FH_TRY(fh_conform_run_dialect(&scalar, call));
  for (int v = 0; v < call->image->contract->view_count; v++) {
    if (call->image->contract->views[v].role == FH_ROLE_IN) continue;
    const unsigned char *bytes = call->places[v].memory;
    for (size_t i = 0; i + 4 <= call->places[v].bytes; i += 4) {
      float f;
      memcpy(&f, bytes + i, sizeof f);
      const uint32_t word = isnan(f) && call->views[v].dtype == FH_F32 ? 0x7fc00000u : fh_bits_from_f32(f);
      d->value = (d->value ^ word) * UINT64_C(0x100000001b3); /* FNV-1a by words */
    }
  }
  return FH_OK;
}

/* Taken on x86-64. A change of a kernel's arithmetic, its cases or its layouts changes them; nothing else may. */
static const struct {
  const char *kernel;
  uint64_t digest;
} golden[] = {
    {"axpy", UINT64_C(0xf63bdfc36a0ecfe0)},           {"l2_normalize", UINT64_C(0x50b3ba9b317b8832)},
    {"layer_norm", UINT64_C(0xf4e13e08be3fcf91)},     {"softmax", UINT64_C(0x016a35649e51376d)},
    {"u8_to_f32_nchw", UINT64_C(0x0553992e111885c9)}, {"kmeans_update", UINT64_C(0x418f8851dea855cc)},
};

static void results_are_the_same_everywhere(void **state) {
  (void)state;
  int count, wrong = 0;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (size_t g = 0; g < sizeof golden / sizeof *golden; g++) {
    const fh_kernel_image *image = images;
    while (strcmp(image->contract->name, golden[g].kernel) != 0) image++;
    digest d = {UINT64_C(0xcbf29ce484222325)};
    const fh_conform_variant variant = {"digest", FH_EXACT, 1, run_and_digest, &d, NULL};
    const fh_conform_options options = {.guard = false};
    fh_conform_report report;
    assert_null(fh_conform(image, &variant, &options, &report));
    assert_int_equal(report.verdict, FH_CONFORM_PASS);
    if (d.value == golden[g].digest) continue;
    print_message("{\"%s\", UINT64_C(0x%016" PRIx64 ")} is the digest here\n", golden[g].kernel, d.value);
    wrong++;
  }
  assert_int_equal(wrong, 0);
}

/* ---- bad arguments ------------------------------------------------------------------------------------------ */

static void refused(fh_status status, const char *part) {
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  if (!strstr(fh_status_message(status), part)) fail_msg("\"%s\" lacks \"%s\"", fh_status_message(status), part);
  fh_status_free(status);
}

static fh_view_desc f32(int32_t rank, int64_t a, int64_t b) { return fh_compact(FH_F32, rank, (int64_t[]){a, b}); }

static void bad_arguments_are_named(void **state) {
  (void)state;
  fh_bound bound;
  fh_value eps = {.f = 1e-5};
  refused(fh_contract_softmax.bind((fh_view_desc[]){f32(2, 3, 4), f32(2, 3, 5)}, NULL, &bound), "shape (3, 5)");
  refused(fh_contract_softmax.bind((fh_view_desc[]){f32(2, 3, 4), f32(1, 12, 0)}, NULL, &bound), "equal shapes");
  fh_view_desc wrong_type = f32(2, 3, 4);
  wrong_type.dtype = FH_F64;
  refused(fh_contract_softmax.bind((fh_view_desc[]){wrong_type, f32(2, 3, 4)}, NULL, &bound), "x has type f64, expected f32");
  refused(fh_contract_layer_norm.bind((fh_view_desc[]){f32(2, 3, 4), f32(1, 4, 0), f32(1, 5, 0), f32(2, 3, 4)}, &eps, &bound), "beta");
  eps.f = -1;
  refused(fh_contract_layer_norm.bind((fh_view_desc[]){f32(2, 3, 4), f32(1, 4, 0), f32(1, 4, 0), f32(2, 3, 4)}, &eps, &bound), "eps is -1");
  eps.f = (double)NAN;
  refused(fh_contract_l2_normalize.bind((fh_view_desc[]){f32(2, 3, 4), f32(2, 3, 4)}, &eps, &bound), "eps is");
  const int64_t images[] = {1, 4, 4, 3};
  const fh_view_desc x = fh_compact(FH_U8, 4, images), same = fh_compact(FH_F32, 4, images);
  refused(fh_contract_u8_to_f32_nchw.bind((fh_view_desc[]){x, f32(1, 3, 0), f32(1, 3, 0), same}, NULL, &bound), "(n, c, h, w)");
  const int64_t n = 7, k = 2;
  const fh_view_desc labels = fh_compact(FH_I32, 1, &n), counts = fh_compact(FH_I32, 1, &k);
  refused(fh_contract_kmeans_update.bind((fh_view_desc[]){f32(2, 6, 4), labels, f32(2, 2, 4), counts}, NULL, &bound), "labels");
  refused(fh_contract_kmeans_update.bind((fh_view_desc[]){f32(2, 7, 4), labels, f32(2, 2, 5), counts}, NULL, &bound), "sums");
  fh_view_desc stuck = f32(2, 3, 4);
  stuck.strides[0] = 0;
  refused(fh_contract_axpy.bind((fh_view_desc[]){f32(2, 3, 4), stuck}, &eps, &bound), "stride 0");
}

/* Scratch stays small and there is work for many threads, whatever the shape. */
static void update_plans_are_balanced(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{100000, 64, 256}, {60000, 784, 10}, {1000000, 16, 64}, {100000, 128, 1024}, {5000000, 2, 3}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const int64_t n = shapes[i][0], d = shapes[i][1], k = shapes[i][2];
    const fh_view_desc views[] = {f32(2, n, d), fh_compact(FH_I32, 1, &n), f32(2, k, d), fh_compact(FH_I32, 1, &k)};
    fh_bound bound;
    assert_null(fh_contract_kmeans_update.bind(views, NULL, &bound));
    assert_true(bound.temp_bytes[0] <= 16u << 20);
    assert_true(bound.stages[0].items >= 64);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exp_negative_is_accurate),
      cmocka_unit_test(exp_negative_at_the_ends),
      cmocka_unit_test(reductions_follow_the_tree),
      cmocka_unit_test(min_max_keep_the_second),
      cmocka_unit_test(formals_match_bind),
      cmocka_unit_test(ptx_rounds_each_operation),
      cmocka_unit_test(texts_are_whole),
      cmocka_unit_test(results_are_the_same_everywhere),
      cmocka_unit_test(bad_arguments_are_named),
      cmocka_unit_test(update_plans_are_balanced),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
