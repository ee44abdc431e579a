/* The block texts of attention, through the emulator of blocks: tiles have the bits of the kernel's text, the others keep the contract's
 * bound. SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=120 sanitize=address cross=no
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "tests/fakes/block/block.h"
#include "tests/support/tuned.h"

typedef struct shape {
  int batch, heads, kv_heads, queries, keys, d, dv, causal;
} shape;

/* Elements of a row side by side, then how the others lie. */
typedef enum layout { BY_HEADS, BY_QUERIES, PADDED, REVERSED, SPREAD, TURNED, LAYOUTS } layout;

static fh_view_desc view_of(int64_t batch, int64_t heads, int64_t rows, int64_t d, layout how) {
  fh_view_desc out = {FH_F32, 4, {batch, heads, rows, d}, {heads * rows * d, rows * d, d, 1}};
  int64_t *s = out.strides;
  if (how == BY_QUERIES) s[1] = d, s[2] = heads * d;
  if (how == PADDED) s[2] = d + 3, s[1] = rows * s[2] + 1, s[0] = heads * s[1] + 2;
  if (how == REVERSED)
    for (int i = 0; i < 4; i++) s[i] = -s[i];
  if (how == SPREAD)
    for (int i = 0; i < 4; i++) s[i] *= 3;
  if (how == TURNED) s[2] = 1, s[3] = rows;
  return out;
}

static tuned_call call_of(const shape *s, const layout how[4], bool at_end, size_t shift) {
  const fh_view_desc views[] = {
      view_of(s->batch, s->heads, s->queries, s->d, how[0]), view_of(s->batch, s->kv_heads, s->keys, s->d, how[1]),
      view_of(s->batch, s->kv_heads, s->keys, s->dv, how[2]), view_of(s->batch, s->heads, s->queries, s->dv, how[3])};
  return tuned_call_make(&fh_contract_attention, views, at_end, shift);
}

static int variant_of(const char *name) {
  for (int v = 0; v < fh_contract_attention.block_count; v++)
    if (strcmp(fh_contract_attention.blocks[v].name, name) == 0) return v;
  fail_msg("no variant %s", name);
  return -1;
}

/* Also where so few queries, or so many, make it unfit. */
static void run_one(tuned_call *call, const shape *s, int variant) {
  const fh_value scalars[] = {{.i = s->causal}, {.f = 0.3}};
  call->scalars = scalars;
  const char *wrong = tuned_call_check_block(call, &fh_contract_attention.blocks[variant]);
  call->scalars = NULL;
  if (wrong)
    fail_msg("%s of %dx%d/%d, %d by %d, d=%d dv=%d causal %d: %s", fh_contract_attention.blocks[variant].name, s->batch, s->heads,
             s->kv_heads, s->queries, s->keys, s->d, s->dv, s->causal, wrong);
  assert_int_equal(fake_block_conflicts(), 0);
}

/* Has the text of the variant place for such rows, and is it the one for them? */
static bool has_width(int variant, const shape *s) {
  const char *name = fh_contract_attention.blocks[variant].name;
  const bool mma = strncmp(name, "mma", 3) == 0, wide = s->dv > 64 || (mma && s->d > 64);
  return (strstr(name, "wide") != NULL) == wide && !(mma && s->d > 128);
}

/* All variants of the right width. */
static void run(tuned_call *call, const shape *s) {
  for (int v = 0; v < fh_contract_attention.block_count; v++)
    if (has_width(v, s)) run_one(call, s, v);
}

static void check(const shape *s, const layout how[4]) {
  tuned_call call = call_of(s, how, (s->keys + s->d) % 2, 4);
  run(&call, s);
  tuned_call_free(&call);
}

static void test_shapes(void **state) {
  (void)state;
  static const shape shapes[] = {
      {1, 1, 1, 16, 1, 1, 1, 0},       {1, 1, 1, 64, 64, 8, 64, 0},    {2, 1, 1, 17, 65, 9, 3, 1},     {1, 2, 2, 65, 63, 7, 65, 0},
      {1, 2, 1, 70, 70, 16, 64, 1},    {1, 4, 2, 40, 130, 33, 20, 1},  {1, 6, 2, 11, 200, 15, 128, 1}, {1, 1, 1, 130, 67, 64, 64, 1},
      {2, 2, 2, 150, 129, 24, 100, 0}, {1, 1, 1, 140, 20, 5, 33, 1},   {1, 3, 1, 129, 150, 12, 64, 1}, {1, 1, 1, 20, 0, 4, 5, 0},
      {1, 8, 1, 3, 300, 40, 40, 1},    {1, 2, 2, 64, 128, 130, 16, 0}, {1, 8, 2, 1, 700, 64, 64, 1},   {2, 6, 2, 3, 390, 33, 20, 1},
      {1, 1, 1, 5, 1000, 128, 128, 1}, {1, 2, 1, 15, 257, 40, 70, 0},  {1, 1, 1, 9, 3, 5, 5, 1},       {1, 1, 1, 40, 100, 100, 31, 1},
  };
  static const layout compact[4] = {BY_HEADS, BY_HEADS, BY_HEADS, BY_HEADS};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check(&shapes[i], compact);
}

static void test_layouts(void **state) {
  (void)state;
  for (int i = 0; i < LAYOUTS; i++) {
    const layout how[4] = {(layout)i, (layout)((i + 1) % LAYOUTS), (layout)((i + 3) % LAYOUTS), (layout)((i + 4) % LAYOUTS)};
    check(&(shape){2, 4, 2, 33, 70, 19, i % 2 ? 70 : 30, i % 2}, how);
    check(&(shape){1, 2, 1, 60, 64, 16, 64, 0}, (const layout[4]){(layout)i, (layout)i, (layout)i, (layout)i});
  }
}

/* A value that a query does not see, and memory behind the last key, are not touched; scores that are NaN or infinite stay in their rows.
 */
static void run_strange(int variant) {
  enum { N = 75, D = 10, DV = 20 };
  static const layout compact[4] = {BY_HEADS, BY_HEADS, BY_HEADS, BY_HEADS};
  const shape s = {1, 1, 1, N, N, D, DV, 1};
  if (!has_width(variant, &s)) return;
  tuned_call call = call_of(&s, compact, true, 0);
  float *q = call.first[0], *k = call.first[1], *v = call.first[2];
  v[70 * DV + 3] = __builtin_nanf("");
  v[30 * DV + 5] = __builtin_inff();
  run_one(&call, &s, variant);
  const float *y = call.first[3];
  for (int i = 0; i < N; i++) {
    assert_int_equal(y[i * DV + 3] != y[i * DV + 3], i >= 70);
    assert_int_equal(__builtin_isfinite(y[i * DV + 5]), i < 30);
  }
  q[20 * D] = __builtin_nanf("");
  k[40 * D + 2] = __builtin_inff();
  for (int e = 0; e < D; e++) q[50 * D + e] = 3e38f, k[60 * D + e] = -3e38f, q[12 * D + e] = -0.0f;
  for (int i = 0; i < DV; i++) v[i] = -1e-44f;
  run_one(&call, &s, variant);
  for (int i = 0; i < N; i++)
    if (i < 30 && i != 20) assert_true(__builtin_isfinite(y[i * DV + 7]));
  tuned_call_free(&call);
}
/* What every row sees of the values is in every row, also where the last tile of keys is a part of one. */
static void run_seen_by_all(int variant, const shape *s) {
  static const layout compact[4] = {BY_HEADS, BY_HEADS, BY_HEADS, BY_HEADS};
  if (!has_width(variant, s)) return;
  tuned_call call = call_of(s, compact, true, 0);
  float *v = call.first[2];
  v[7 * s->dv + 3] = __builtin_nanf("");
  v[8 * s->dv + 5] = __builtin_inff();
  run_one(&call, s, variant);
  const float *y = call.first[3];
  for (int i = 0; i < s->queries; i++) {
    assert_true(y[i * s->dv + 3] != y[i * s->dv + 3]);
    assert_false(__builtin_isfinite(y[i * s->dv + 5]));
    assert_true(__builtin_isfinite(y[i * s->dv + 4]));
  }
  tuned_call_free(&call);
}
static void test_strange_numbers(void **state) {
  (void)state;
  static const shape seen_by_all[] = {{1, 1, 1, 64, 65, 10, 20, 0}, {1, 1, 1, 20, 19, 10, 20, 0}, {1, 1, 1, 1, 70, 10, 20, 1}};
  for (int v = 0; v < fh_contract_attention.block_count; v++) {
    run_strange(v);
    for (size_t i = 0; i < sizeof seen_by_all / sizeof *seen_by_all; i++) run_seen_by_all(v, &seen_by_all[i]);
  }
}

/* The sum of a row is -0 after what it sees; 0 times what it does not see must not turn that into +0. */
static void test_signs_of_zero(void **state) {
  (void)state;
  enum { N = 70, DV = 4, ROW = 5 };
  static const layout compact[4] = {BY_HEADS, BY_HEADS, BY_HEADS, BY_HEADS};
  const shape s = {1, 1, 1, N, N, 1, DV, 1};
  tuned_call call = call_of(&s, compact, false, 0);
  float *q = call.first[0], *k = call.first[1], *v = call.first[2];
  for (int i = 0; i < N; i++) q[i] = 1.0f, k[i] = i == 0 ? 0.0f : i == 1 ? 4.0f : -400.0f; /* weights 0.3, 1 and then 0 */
  for (int i = 0; i < N * DV; i++) v[i] = i < DV ? -1e-45f : i < 2 * DV ? -0.0f : i / DV <= ROW ? -1.0f : 1.0f;
  run_one(&call, &s, variant_of("tiles"));
  const float *y = call.first[3];
  for (int c = 0; c < DV; c++) assert_true(y[ROW * DV + c] == 0.0f && __builtin_signbit(y[ROW * DV + c]));
  tuned_call_free(&call);
}

static void test_unfit(void **state) {
  (void)state;
  static const struct {
    shape of;
    const char *fits[3]; /* sorts of variants */
  } cases[] = {{{1, 12, 12, 512, 512, 64, 64, 0}, {"tiles", "mma"}},
               {{1, 16, 4, 100, 100, 128, 128, 0}, {"tiles_wide", "mma_wide"}},
               {{1, 16, 1, 1, 4096, 64, 65, 1}, {"tiles_wide", "split_wide", "mma_wide"}},
               {{1, 4, 4, 70, 70, 65, 64, 0}, {"tiles", "mma_wide"}},
               {{1, 4, 4, 70, 70, 129, 64, 0}, {"tiles"}},
               {{1, 32, 8, 1, 4096, 128, 128, 1}, {"split_wide"}},
               {{1, 12, 12, 15, 100, 16, 16, 1}, {"split"}},
               {{1, 1, 1, 64, INT32_MAX - 128, 8, 8, 0}, {"tiles", "split", "mma"}},
               {{1, 1, 1, 64, INT32_MAX - 64, 8, 8, 0}, {NULL}}, /* the first number behind the last tile would be no int */
               {{1, 1, 1, 64, 64, 64, 129, 0}, {NULL}}};
  static const fh_value scalars[] = {{.i = 0}, {.f = 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const shape *s = &cases[i].of;
    const fh_view_desc views[] = {view_of(s->batch, s->heads, s->queries, s->d, 0), view_of(s->batch, s->kv_heads, s->keys, s->d, 0),
                                  view_of(s->batch, s->kv_heads, s->keys, s->dv, 0), view_of(s->batch, s->heads, s->queries, s->dv, 0)};
    fh_bound bound;
    assert_null(fh_contract_attention.bind(views, scalars, &bound));
    for (int v = 0; v < fh_contract_attention.block_count; v++) {
      const fh_block_variant *variant = &fh_contract_attention.blocks[v];
      bool expected = false;
      for (int f = 0; f < 3; f++) expected = expected || (cases[i].fits[f] && strcmp(cases[i].fits[f], variant->name) == 0);
      assert_int_equal(variant->unfit(&bound) == NULL, expected);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_layouts), cmocka_unit_test(test_strange_numbers),
                                     cmocka_unit_test(test_signs_of_zero), cmocka_unit_test(test_unfit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
