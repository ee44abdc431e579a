/* The functions of one argument against libm in double precision, and at their ends. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 sanitize=address
 *
 * The default tries some thousands of floats of every exponent and all around the points where a text changes its way. With
 * FOGHORN_MATHS=long in the environment (`sh tools/dev maths`) every float is tried: minutes on every processor of the machine. A name of
 * a function after the program's restricts it. The texts are exact, so the widest instruction set here stands for all; libm's own error,
 * under a unit of double precision and under three for gelu's product, is 2^-27 of the units counted here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/contract.h"
#include "kernels/narrow.h"
#include "tests/support/isa.h"

enum { BLOCK = 4096 };
typedef enum symmetry { NO_SYMMETRY, ODD, EVEN } symmetry;

static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
static double silu(double x) { return x < -1000 ? -0.0 : x * sigmoid(x); }
static double gelu(double x) { return x < -1000 ? -0.0 : 0.5 * x * erfc(-0.70710678118654752440 * x); }
static double gelu_tanh(double x) { return x < -1000 ? -0.0 : x * sigmoid(1.5957691216057307117 * (x + 0.044715 * x * x * x)); }

typedef struct function {
  const char *name;
  double (*exact)(double);
  symmetry symmetry; /* proven bit by bit, and then only positive floats are compared with libm */
  float breaks[6];   /* where the text changes its way; ended by 0 */
} function;

static const function functions[] = {
    {"exp", exp, NO_SYMMETRY, {-104.0f, 89.0f, 88.72283f, -87.33654f, -103.97208f}},
    {"log", log, NO_SYMMETRY, {0x1p-126f, 0.70710678f, 1.4142135f, 1.0f}},
    {"tanh", tanh, ODD, {0.55f, 10.0f, 9.01f}},
    {"sigmoid", sigmoid, NO_SYMMETRY, {-104.0f, -103.97208f, -87.33654f, 17.0f}},
    {"silu", silu, NO_SYMMETRY, {-150.0f, -108.6f, -87.33654f, -200.0f, 17.0f}},
    {"gelu", gelu, NO_SYMMETRY, {0.7f, -0.7f, -15.0f, 15.0f, -14.3f}},
    {"gelu_tanh", gelu_tanh, NO_SYMMETRY, {-12.0f, 12.0f, -10.4f}},
    {"erf", erf, ODD, {0.85f, 4.0f, 3.92f}},
    {"sin", sin, ODD, {0x1p17f, 0.78539816f, 3.1415927f}},
    {"cos", cos, EVEN, {0x1p17f, 0.78539816f, 1.5707964f}},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static const char *only; /* a function's name, or NULL for all */

static bool wanted(const function *f) { return !only || strcmp(only, f->name) == 0; }

/* ---- the entry under test ------------------------------------------------------------------------------- */

typedef struct subject {
  const function *function;
  fh_items_fn entry;
  double bound; /* ulp */
  fh_slot slots[FH_MAX_OPERANDS];
} subject;

static subject subject_of(const function *f) {
  int count;
  const fh_kernel_image *image = fh_kernel_images(&count);
  while (strcmp(image->contract->name, f->name) != 0) image++;
  static const fh_isa widest[] = {FH_ISA_AVX512, FH_ISA_AVX2, FH_ISA_NEON, FH_ISA_SSE42, FH_ISA_SCALAR};
  int i = 0;
  while (!fh_isa_runs(widest[i])) i++;
  subject s = {.function = f, .entry = image->entries[0].cpu[widest[i]], .bound = image->contract->bound_rel * 0x1p23 - 0.5};
  const fh_view_desc row = {FH_F32, 1, {BLOCK}, {1}};
  fh_bound bound;
  assert_null(image->contract->bind((fh_view_desc[]){row, row}, NULL, &bound));
  assert_int_equal(bound.stages[0].items, 1);
  for (int o = 0; o < bound.stages[0].operand_count; o++) s.slots[o].i = bound.stages[0].operands[o].i;
  return s;
}

static void evaluate(const subject *s, const float in[BLOCK], float out[BLOCK]) {
  fh_slot slots[FH_MAX_OPERANDS];
  memcpy(slots, s->slots, sizeof slots);
  slots[0].cp = in;
  slots[1].p = out;
  s->entry(slots, 0, 1);
}

static float value(const char *name, float x) {
  const function *f = functions;
  while (strcmp(f->name, name) != 0) f++;
  const subject s = subject_of(f);
  static float in[BLOCK], out[BLOCK];
  for (int i = 0; i < BLOCK; i++) in[i] = x;
  evaluate(&s, in, out);
  assert_int_equal(fh_bits_from_f32(out[0]), fh_bits_from_f32(out[BLOCK - 1]));
  return out[0];
}

/* ---- errors ------------------------------------------------------------------------------------------------ */

typedef struct error {
  double worst; /* ulp; infinite where the kind is wrong: a NaN, an infinity, the sign of zero */
  float at;
} error;

static double ulps(float got, double exact) {
  const float rounded = (float)exact;
  if (isnan(exact)) return isnan(got) ? 0 : (double)INFINITY;
  if (isinf(rounded)) { /* too large for a float: infinity, or the largest float where that is nearer than an ulp */
    if (isinf(exact) || isinf(got)) return got == rounded ? 0 : (double)INFINITY;
  }
  if (exact == 0 && (got != 0 || !signbit(got) != !signbit(exact))) return (double)INFINITY;
  if (isnan(got) || isinf(got))
    return isinf(got) && fabs(exact) > 0x1.fffffep+127 && !signbit(got) == !signbit(exact) ? 0 : (double)INFINITY;
  uint64_t bits;
  memcpy(&bits, &exact, sizeof bits);
  int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
  if (exponent < -126) exponent = -126;
  bits = (uint64_t)(1023 + 23 - exponent) << 52;
  double scale;
  memcpy(&scale, &bits, sizeof scale);
  return fabs((double)got - exact) * scale;
}

static void note(error *e, double u, float x) {
  if (!(u <= e->worst)) *e = (error){u, x};
}

/* BLOCK floats from `first` on, `step` apart as bit patterns; past 2^32 - 1 it begins again. */
static void try_block(const subject *s, uint64_t first, uint32_t step, error *e) {
  float in[BLOCK], out[BLOCK];
  for (uint32_t i = 0; i < BLOCK; i++) in[i] = fh_f32_from_bits((uint32_t)(first + (uint64_t)i * step));
  evaluate(s, in, out);
  for (int i = 0; i < BLOCK; i++) note(e, ulps(out[i], s->function->exact((double)in[i])), in[i]);
  if (s->function->symmetry == NO_SYMMETRY) return;
  float mirrored[BLOCK];
  for (int i = 0; i < BLOCK; i++) in[i] = -in[i];
  evaluate(s, in, mirrored);
  const uint32_t sign = s->function->symmetry == ODD ? 0x80000000u : 0;
  for (int i = 0; i < BLOCK; i++)
    if (!isnan(out[i]) && fh_bits_from_f32(mirrored[i]) != (fh_bits_from_f32(out[i]) ^ sign)) note(e, (double)INFINITY, in[i]);
}

static uint64_t floats_of(const subject *s) { return s->function->symmetry == NO_SYMMETRY ? UINT64_C(1) << 32 : UINT64_C(1) << 31; }

/* True when the bound is kept; the caller asserts when all functions have had their turn. */
static bool judge(const subject *s, error e, const char *how) {
  print_message("%-10s %.4f ulp at %a (%.9g), bound %.2f, %s\n", s->function->name, e.worst, (double)e.at, (double)e.at, s->bound, how);
  fflush(stdout);
  return e.worst < s->bound;
}

static void errors_keep_their_bounds(void **state) {
  (void)state;
  int broken = 0;
  for (const function *f = functions; f < functions + FUNCTIONS; f++) {
    if (!wanted(f)) continue;
    const subject s = subject_of(f);
    error e = {0};
    const uint32_t step = 1031; /* a prime: 2 blocks of each exponent */
    for (uint64_t first = 0; first < floats_of(&s); first += (uint64_t)step * BLOCK) try_block(&s, first, step, &e);
    for (const float *b = f->breaks; *b; b++) try_block(&s, fh_bits_from_f32(*b) - BLOCK / 2, 1, &e);
    try_block(&s, 0, 1, &e);
    try_block(&s, 0x7f800000u - BLOCK / 2, 1, &e);
    try_block(&s, 0x007ff800u, 1, &e);
    broken += !judge(&s, e, "some of the floats");
  }
  assert_int_equal(broken, 0);
}

/* ---- all floats ---------------------------------------------------------------------------------------------- */

typedef struct sweep {
  const subject *subject;
  _Atomic uint64_t next;
  pthread_mutex_t lock;
  error error;
} sweep;

enum { SHARE = 1 << 20 }; /* floats that a thread takes at once */

static void *sweep_run(void *arg) {
  sweep *w = arg;
  error mine = {0};
  const uint64_t all = floats_of(w->subject);
  for (;;) {
    const uint64_t first = atomic_fetch_add(&w->next, SHARE);
    if (first >= all) break;
    if (first % (all / 16) == 0 && isatty(STDERR_FILENO))
      fprintf(stderr, "\r%s: %d/16 ", w->subject->function->name, (int)(first / (all / 16)));
    for (uint64_t b = first; b < first + SHARE; b += BLOCK) try_block(w->subject, b, 1, &mine);
  }
  pthread_mutex_lock(&w->lock);
  note(&w->error, mine.worst, mine.at);
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

static void all_floats_keep_the_bounds(void **state) {
  (void)state;
  const char *form = getenv("FOGHORN_MATHS");
  if (!form || strcmp(form, "long") != 0) {
    print_message("NOT RUN: FOGHORN_MATHS=long tries all 2^32 floats for minutes\n");
    skip();
  }
  enum { MOST = 64 };
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  int broken = 0;
  const int threads = online < 1 ? 1 : online < MOST ? (int)online : MOST;
  for (const function *f = functions; f < functions + FUNCTIONS; f++) {
    if (!wanted(f)) continue;
    const subject s = subject_of(f);
    sweep w = {.subject = &s, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t ids[MOST];
    for (int i = 0; i < threads; i++) assert_int_equal(pthread_create(&ids[i], NULL, sweep_run, &w), 0);
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    if (isatty(STDERR_FILENO)) fputs("\r", stderr);
    broken += !judge(&s, w.error, "all floats");
  }
  assert_int_equal(broken, 0);
}

/* ---- the ends -------------------------------------------------------------------------------------------------- */

static void is(const char *name, float x, float want) {
  const float got = value(name, x);
  if (isnan(want) ? !isnan(got) : fh_bits_from_f32(got) != fh_bits_from_f32(want))
    fail_msg("%s(%a) is %a, expected %a", name, (double)x, (double)got, (double)want);
}

static void ends_are_right(void **state) {
  (void)state;
  static const struct {
    const char *name;
    float x, want;
  } ends[] = {
      {"exp", 0.0f, 1.0f},
      {"exp", -INFINITY, 0.0f},
      {"exp", INFINITY, INFINITY},
      {"exp", 88.73f, INFINITY},
      {"exp", -103.9f, 0x1p-149f},
      {"exp", -105.0f, 0.0f},
      {"log", 1.0f, 0.0f},
      {"log", 0.0f, -INFINITY},
      {"log", -0.0f, -INFINITY},
      {"log", -1.0f, NAN},
      {"log", -INFINITY, NAN},
      {"log", INFINITY, INFINITY},
      {"log", -0x1p-149f, NAN},
      {"tanh", -0.0f, -0.0f},
      {"tanh", INFINITY, 1.0f},
      {"tanh", -INFINITY, -1.0f},
      {"tanh", 0x1p-149f, 0x1p-149f},
      {"sigmoid", 0.0f, 0.5f},
      {"sigmoid", INFINITY, 1.0f},
      {"sigmoid", -INFINITY, 0.0f},
      {"silu", -0.0f, -0.0f},
      {"silu", 0.0f, 0.0f},
      {"silu", INFINITY, INFINITY},
      {"silu", -INFINITY, -0.0f},
      {"silu", 0x1.fffffep+127f, 0x1.fffffep+127f},
      {"gelu", -0.0f, -0.0f},
      {"gelu", 0.0f, 0.0f},
      {"gelu", INFINITY, INFINITY},
      {"gelu", -INFINITY, -0.0f},
      {"gelu_tanh", -0.0f, -0.0f},
      {"gelu_tanh", INFINITY, INFINITY},
      {"gelu_tanh", -INFINITY, -0.0f},
      {"erf", -0.0f, -0.0f},
      {"erf", INFINITY, 1.0f},
      {"erf", -INFINITY, -1.0f},
      {"sin", -0.0f, -0.0f},
      {"sin", INFINITY, NAN},
      {"sin", -INFINITY, NAN},
      {"sin", 0x1p-149f, 0x1p-149f},
      {"cos", -0.0f, 1.0f},
      {"cos", INFINITY, NAN},
      {"cos", -INFINITY, NAN},
  };
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) is(ends[i].name, ends[i].x, ends[i].want);
  for (int f = 0; f < FUNCTIONS; f++) is(functions[f].name, NAN, NAN);
}

/* What needs the most bits of 2 / pi among all floats, and a lane that is large beside lanes that are small. */
static void large_angles_are_reduced(void **state) {
  (void)state;
  static const float hard[] = {0x1.f9cbe2p+7f, 0x1.6b5442p+124f, 0x1.fffffep+127f, 16367173.0f * 0x1p+72f, 0x1p+17f, 0x1p+100f};
  const subject s = subject_of(&functions[8]), c = subject_of(&functions[9]);
  for (size_t i = 0; i < sizeof hard / sizeof *hard; i++) {
    float in[BLOCK], out[BLOCK], alone[BLOCK];
    for (int k = 0; k < BLOCK; k++) in[k] = (float)k * 0.37f;
    evaluate(&s, in, alone);
    in[5] = hard[i];
    evaluate(&s, in, out);
    assert_true(ulps(out[5], sin((double)hard[i])) < s.bound);
    assert_true(ulps(value("cos", hard[i]), cos((double)hard[i])) < c.bound);
    for (int k = 0; k < BLOCK; k++)
      if (k != 5) assert_int_equal(fh_bits_from_f32(out[k]), fh_bits_from_f32(alone[k]));
  }
}

int main(int argc, char **argv) {
  if (argc > 1) only = argv[1];
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(errors_keep_their_bounds),
      cmocka_unit_test(ends_are_right),
      cmocka_unit_test(large_angles_are_reduced),
      cmocka_unit_test(all_floats_keep_the_bounds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
