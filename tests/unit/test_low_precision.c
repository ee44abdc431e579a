/* Products of narrow types: the contracts' checks, and their tuned variants against the oracle. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 sanitize=address */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "kernels/narrow.h"
#include "kernels/product.h"
#include "tests/support/tuned.h"

/* The products: how they differ. */
static const struct product_kind {
  const fh_kernel_contract *contract;
  fh_dtype a, b, c;
  int64_t group;
} kinds[] = {{&fh_contract_matmul_i8, FH_U8, FH_I8, FH_I32, 4},
             {&fh_contract_matmul_bf16, FH_BF16, FH_BF16, FH_F32, 2},
             {&fh_contract_matmul_f16, FH_F16, FH_F16, FH_F32, 2},
             {&fh_contract_matmul_tf32, FH_F32, FH_F32, FH_F32, 1}};
enum { KINDS = sizeof kinds / sizeof *kinds, BROUGHT = 2 }; /* from BROUGHT on by matmul's tiles, which have a test of their own */
typedef struct product_kind product_kind;

typedef enum layout { ROWS, COLUMNS, PADDED_ROWS, REVERSED, SPREAD, PACKED_OR_ROWS, LAYOUTS } layout;
static const char *const layout_names[] = {"rows", "columns", "padded rows", "reversed", "spread", "packed"};

static fh_view_desc matrix(fh_dtype dtype, int64_t batch, int64_t rows, int64_t cols, layout how) {
  int64_t row = cols, col = 1, size = rows * cols;
  if (how == COLUMNS) row = 1, col = rows;
  if (how == PADDED_ROWS) row = cols + 3, size = rows * (cols + 3);
  if (how == REVERSED) row = -cols;
  if (how == SPREAD) row = 2 * cols + 1, col = 2, size = rows * row;
  if (batch == 0) return (fh_view_desc){dtype, 2, {rows, cols}, {row, col}};
  return (fh_view_desc){dtype, 3, {batch, rows, cols}, {size, row, col}};
}

static fh_view_desc weights(const product_kind *kind, int64_t k, int64_t n) {
  int64_t shape[4];
  fh_packed_shape(k, n, kind->group, shape);
  return fh_compact(kind->b, 4, shape);
}

static void check_everywhere(const product_kind *kind, const fh_view_desc *views, bool at_end, size_t shift, const char *what) {
  static int series;
  if (tuned_left_out(13) || (kind >= &kinds[BROUGHT] && ++series % 5)) return;
  for (int v = 0; v < kind->contract->tuned_count; v++) {
    const fh_tuned *variant = &kind->contract->tuned[v];
    if (!tuned_runs(variant)) continue;
    tuned_call call = tuned_call_make(kind->contract, views, at_end, shift);
    const char *wrong = tuned_call_check(&call, variant, tuned_pools[at_end]);
    const int row = views[0].rank - 2;
    if (wrong)
      fail_msg("%s %s/%s: m %d n %d k %d, %s: %s", kind->contract->name, fh_isa_name(variant->isa), variant->name, (int)views[2].shape[row],
               (int)views[2].shape[row + 1], (int)views[0].shape[row + 1], what, wrong);
    tuned_call_free(&call);
  }
}

static void check_shape(const product_kind *kind, const int64_t d[3], layout la, layout lb, layout lc, bool at_end, size_t shift) {
  const fh_view_desc views[] = {matrix(kind->a, 0, d[0], d[2], la),
                                lb == PACKED_OR_ROWS ? weights(kind, d[2], d[1]) : matrix(kind->b, 0, d[2], d[1], lb),
                                matrix(kind->c, 0, d[0], d[1], lc)};
  char what[96];
  snprintf(what, sizeof what, "a %s, b %s, c %s, offset %d", layout_names[la], layout_names[lb], layout_names[lc], (int)shift);
  check_everywhere(kind, views, at_end, shift, what);
}

static const int64_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129};
enum { SIZE_COUNT = sizeof sizes / sizeof sizes[0] };

/* Every size in every place, with b by rows, by columns and packed: all four ways of the tuned entries. */
static void every_size_is_right(void **unused) {
  (void)unused;
  for (int kind = 0; kind < KINDS; kind++)
    for (int i = 0; i < SIZE_COUNT; i++)
      for (int j = 0; j < SIZE_COUNT; j++) {
        const int64_t d[] = {sizes[i], sizes[j], sizes[(3 * i + 7 * j) % SIZE_COUNT]};
        for (int b = 0; b < 3; b++)
          check_shape(&kinds[kind], d, ROWS, b == 0 ? ROWS : b == 1 ? COLUMNS : PACKED_OR_ROWS, ROWS, (i + j) % 2, 0);
      }
}

static void every_layout_is_right(void **unused) {
  (void)unused;
  static const int64_t shapes[][3] = {{1, 70, 37}, {3, 7, 90}, {33, 31, 65}, {70, 3, 33}, {17, 130, 40}};
  for (int kind = 0; kind < KINDS; kind++)
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
      for (int i = 0; i < LAYOUTS * LAYOUTS * LAYOUTS; i++) {
        const layout la = (layout)(i % LAYOUTS), lb = (layout)(i / LAYOUTS % LAYOUTS), lc = (layout)(i / LAYOUTS / LAYOUTS);
        if (la != PACKED_OR_ROWS && lc != PACKED_OR_ROWS) check_shape(&kinds[kind], shapes[s], la, lb, lc, i % 2, 0);
      }
}

static void every_offset_is_right(void **unused) {
  (void)unused;
  static const int64_t shapes[][3] = {{1, 100, 67}, {5, 9, 130}, {29, 50, 37}, {40, 160, 35}};
  for (int kind = 0; kind < KINDS; kind++)
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
      for (size_t shift = 1; shift < 64; shift += shift < 8 ? 1 : 5)
        for (int b = 0; b < 3; b++)
          check_shape(&kinds[kind], shapes[s], ROWS, b == 0 ? ROWS : b == 1 ? COLUMNS : PACKED_OR_ROWS, ROWS, false, shift);
}

/* More than one block in every direction: passes of 512 words of k, 2048 rows, 128 panels; strips of 2048 columns. */
static void every_block_is_right(void **unused) {
  (void)unused;
  static const int64_t shapes[][3] = {{20, 41, 4100}, {2100, 35, 20}, {130, 4200, 9},  {30, 700, 70},
                                      {2, 4500, 33},  {2300, 1, 513}, {200, 200, 2100}};
  for (int kind = 0; kind < KINDS; kind++)
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
      for (int i = 0; i < 4; i++)
        check_shape(&kinds[kind], shapes[s], i & 1 ? COLUMNS : ROWS,
                    i == 3  ? PACKED_OR_ROWS
                    : i & 2 ? COLUMNS
                            : ROWS,
                    i == 1 ? COLUMNS : ROWS, i & 1, 0);
}

static void every_batch_is_right(void **unused) {
  (void)unused;
  static const int64_t shapes[][4] = {{1, 5, 6, 7}, {3, 17, 33, 9}, {7, 16, 16, 16}, {2, 3, 300, 70}, {5, 1, 9, 200}};
  for (int kind = 0; kind < KINDS; kind++)
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
      for (int i = 0; i < 5; i++) {
        const product_kind *x = &kinds[kind];
        const int64_t *d = shapes[s];
        fh_view_desc views[] = {matrix(x->a, d[0], d[1], d[3], ROWS), matrix(x->b, d[0], d[3], d[2], i == 3 ? COLUMNS : ROWS),
                                matrix(x->c, d[0], d[1], d[2], ROWS)};
        if (i == 1) views[0].strides[0] = 0; /* one matrix for all */
        if (i == 2) views[1].strides[0] = 0;
        if (i == 3) views[0].strides[0] = -views[0].strides[0];
        if (i == 4) views[1] = weights(x, d[3], d[2]);
        check_everywhere(x, views, i % 2, 0, "batched");
      }
}

/* The largest products there are: 16 bits saturate on them. */
static void bytes_do_not_saturate(void **unused) {
  (void)unused;
  enum { K = 1027 };
  const product_kind *kind = &kinds[0];
  for (int form = 0; form < 3; form++)
    for (int64_t m = 1; m <= 29; m += 28)
      for (int sign = 0; sign < 2; sign++)
        for (int v = 0; v < kind->contract->tuned_count; v++) {
          if (!tuned_runs(&kind->contract->tuned[v])) continue;
          const fh_view_desc views[] = {matrix(FH_U8, 0, m, K, ROWS),
                                        form == 2 ? weights(kind, K, 33) : matrix(FH_I8, 0, K, 33, form ? COLUMNS : ROWS),
                                        matrix(FH_I32, 0, m, 33, ROWS)};
          tuned_call call = tuned_call_make(kind->contract, views, false, 0);
          memset(call.first[0], 255, (size_t)(m * K));
          memset(call.first[1], sign ? 127 : 128, form == 2 ? (size_t)(2 * 257 * 32 * 4) : 33 * K);
          assert_null(tuned_call_check(&call, &kind->contract->tuned[v], tuned_pools[0]));
          assert_int_equal(((int32_t *)call.first[2])[m * 33 - 1], K * 255 * (sign ? 127 : -128));
          tuned_call_free(&call);
        }
}

static void put(const product_kind *kind, void *data, int64_t i, float value) {
  if (kind->a == FH_F32) ((float *)data)[i] = value;
  if (kind->a == FH_BF16) ((uint16_t *)data)[i] = fh_bf16_from_f32(value);
  if (kind->a == FH_F16) ((uint16_t *)data)[i] = fh_f16_from_f32(value);
}

/* NaN and infinity appear where the oracle has them; what lies past k and n in packed weights is never used. */
static void check_special_values(const product_kind *kind) {
  for (int form = 0; form < 4; form++) /* the last: packed, and so wide that rows of a are packed, too */
    for (int v = 0; v < kind->contract->tuned_count; v++) {
      if (!tuned_runs(&kind->contract->tuned[v])) continue;
      const int n = form == 3 ? 163 : 35, panels = (n + 31) / 32;
      const fh_view_desc views[] = {matrix(kind->a, 0, 30, 33, ROWS),
                                    form >= 2 ? weights(kind, 33, n) : matrix(kind->b, 0, 33, n, form ? COLUMNS : ROWS),
                                    matrix(FH_F32, 0, 30, n, ROWS)};
      tuned_call call = tuned_call_make(kind->contract, views, true, 0);
      const int group = (int)kind->group, words = (33 + group - 1) / group;
      put(kind, call.first[0], 2 * 33 + 5, NAN);
      put(kind, call.first[0], 29 * 33 + 32, INFINITY);
      if (form >= 2)
        for (int j = 0; j < 32 * panels; j++) /* the element past k of the last word, and all of the columns past n */
          for (int l = 0; l < words * group; l++)
            if (l >= 33 || j >= n) put(kind, call.first[1], ((j / 32 * words + l / group) * 32 + j % 32) * group + l % group, NAN);
      assert_null(tuned_call_check(&call, &kind->contract->tuned[v], tuned_pools[0]));
      const fh_case as_case = {.views = {views[0], views[1], views[2]}};
      ((float *)call.first[2])[0] += 1e-3f; /* the check itself can fail */
      assert_non_null(kind->contract->compare(&as_case, call.first, call.first));
      tuned_call_free(&call);
    }
}

static void special_values_stay_in_place(void **unused) {
  (void)unused;
  for (int kind = 1; kind < KINDS; kind++) check_special_values(&kinds[kind]);
}

enum { BROUGHT_M = 19, BROUGHT_N = 37, BROUGHT_K = 531 };

/* The largest, the smallest and ties; `plain` gets what they are rounded to. */
static void bring(const product_kind *kind, const tuned_call *call, const tuned_call *plain, int which, int i) {
  static const float f16s[] = {65504, -65504, 0x1p-24f, 0x1.8p-15f, 1.0009765625f, -0.0f};
  static const float tf32s[] = {0x1.002p0f, -0x1.002p0f, 0x1.002002p0f, 0x1.001ffep0f, 0x1.ffep126f, 0x1.8p-137f, -0.0f};
  static const float rounded[] = {0x1.004p0f, -0x1.004p0f, 0x1.004p0f, 1, 0x1p127f, 0x1p-136f, -0.0f};
  const bool f16 = kind->a == FH_F16;
  int place = (i * 5 + which) % (which ? 4 : f16 ? 6 : 7);
  if (!f16 && place == 4 && i >= BROUGHT_K) place = 3; /* the largest in one row alone, which it sends to infinity */
  put(kind, call->first[which], i, f16 ? f16s[place] : tf32s[place]);
  ((float *)plain->first[which])[i] = f16 ? f16s[place] : rounded[place];
}

static void check_brought(const product_kind *kind, const fh_tuned *tuned) {
  enum { M = BROUGHT_M, N = BROUGHT_N, K = BROUGHT_K };
  const fh_view_desc views[] = {matrix(kind->a, 0, M, K, ROWS), matrix(kind->b, 0, K, N, ROWS), matrix(FH_F32, 0, M, N, ROWS)};
  const fh_view_desc wide[] = {matrix(FH_F32, 0, M, K, ROWS), matrix(FH_F32, 0, K, N, ROWS), matrix(FH_F32, 0, M, N, ROWS)};
  tuned_call call = tuned_call_make(kind->contract, views, true, 0), plain = tuned_call_make(&fh_contract_matmul, wide, true, 0);
  for (int i = 0; i < M * K; i++) bring(kind, &call, &plain, 0, i);
  for (int i = 0; i < K * N; i++) bring(kind, &call, &plain, 1, i);
  assert_null(tuned_call_check(&call, tuned, tuned_pools[1]));
  for (int w = 0; w < fh_contract_matmul.tuned_count; w++)
    if (fh_contract_matmul.tuned[w].isa == tuned->isa) assert_null(tuned_call_check(&plain, &fh_contract_matmul.tuned[w], tuned_pools[0]));
  assert_memory_equal(call.first[2], plain.first[2], M * N * sizeof(float));
  tuned_call_free(&plain);
  tuned_call_free(&call);
}

/* The entries of f16 and tf32 give the bits that matmul gives for what their operands are rounded to. */
static void brought_operands_are_exact(void **unused) {
  (void)unused;
  for (int kind = BROUGHT; kind < KINDS; kind++)
    for (int v = 0; v < kinds[kind].contract->tuned_count; v++)
      if (tuned_runs(&kinds[kind].contract->tuned[v])) check_brought(&kinds[kind], &kinds[kind].contract->tuned[v]);
}

static void expect_refusal(const fh_kernel_contract *contract, const fh_view_desc *views, const char *operand, const char *part) {
  assert_null(tuned_refusal(contract, views, operand, part));
}

static void bad_arguments_are_named(void **unused) {
  (void)unused;
  for (int i = 0; i < KINDS; i++) {
    const product_kind *kind = &kinds[i];
    const fh_view_desc good[3] = {matrix(kind->a, 0, 3, 8, ROWS), matrix(kind->b, 0, 8, 5, ROWS), matrix(kind->c, 0, 3, 5, ROWS)};
    fh_view_desc bad[3];
    fh_bound bound;
    assert_null(kind->contract->bind(good, NULL, &bound));
    assert_int_equal(bound.stage_count, 1);
    assert_int_equal(bound.stages[0].operand_count, FH_PRODUCT_SLOTS);
    assert_true(bound.flops == 2.0 * 3 * 8 * 5);
    memcpy(bad, good, sizeof bad), bad[1] = weights(kind, 8, 5);
    assert_null(kind->contract->bind(bad, NULL, &bound));
    memcpy(bad, good, sizeof bad), bad[1] = weights(kind, 16, 5);
    expect_refusal(kind->contract, bad, "expected packed weights", "k = 8 as in a and n = 5");
    memcpy(bad, good, sizeof bad), bad[1] = matrix(kind->b, 0, 5, 8, ROWS);
    expect_refusal(kind->contract, bad, "b has shape (5, 8)", "k = 8");
    memcpy(bad, good, sizeof bad), bad[2] = matrix(kind->c, 0, 5, 3, ROWS);
    expect_refusal(kind->contract, bad, "c has shape (5, 3)", "m = 3");
    memcpy(bad, good, sizeof bad), bad[0].dtype = FH_F64;
    expect_refusal(kind->contract, bad, "a has type f64", fh_dtype_name(kind->a));
    memcpy(bad, good, sizeof bad), bad[2].strides[0] = 0;
    expect_refusal(kind->contract, bad, "c is written", "stride 0");
    memcpy(bad, good, sizeof bad), bad[1] = matrix(kind->b, 2, 8, 5, ROWS);
    expect_refusal(kind->contract, bad, "b has shape (2, 8, 5)", "batch");
    memcpy(bad, good, sizeof bad), bad[0].shape[0] = bad[2].shape[0] = INT64_MAX / 4;
    expect_refusal(kind->contract, bad, "a has shape", "more elements");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bad_arguments_are_named),    cmocka_unit_test(every_size_is_right),
      cmocka_unit_test(every_layout_is_right),      cmocka_unit_test(every_offset_is_right),
      cmocka_unit_test(every_block_is_right),       cmocka_unit_test(every_batch_is_right),
      cmocka_unit_test(bytes_do_not_saturate),      cmocka_unit_test(special_values_stay_in_place),
      cmocka_unit_test(brought_operands_are_exact),
  };
  return tuned_exit(&fh_contract_matmul_i8, cmocka_run_group_tests(tests, tuned_setup, tuned_teardown));
}
