/* The block texts of matmul, through the emulator of blocks: the bits of the kernel's text. SPDX-License-Identifier: Apache-2.0
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
#include "tests/fakes/block/block.h"
#include "tests/support/tuned.h"

typedef enum layout { BY_ROWS, BY_COLUMNS, PADDED, REVERSED, SPREAD, LAYOUTS } layout;

static fh_view_desc matrix(int64_t batch, int64_t rows, int64_t cols, layout how) {
  int64_t row = cols, col = 1, size = rows * cols;
  if (how == BY_COLUMNS) row = 1, col = rows;
  if (how == PADDED) row = (cols + 7) / 4 * 4, size = rows * row;
  if (how == REVERSED) row = -cols, col = -1;
  if (how == SPREAD) row = 2 * cols + 1, col = 2, size = rows * row;
  if (batch == 0) return (fh_view_desc){FH_F32, 2, {rows, cols}, {row, col}};
  return (fh_view_desc){FH_F32, 3, {batch, rows, cols}, {size, row, col}};
}

static void check(const fh_view_desc views[static 3], bool at_end, size_t shift, uint32_t depth) {
  if (tuned_left_out(5)) return;
  for (int v = 0; v < fh_contract_matmul.block_count; v++) {
    const fh_block_variant *variant = &fh_contract_matmul.blocks[v];
    tuned_call call = tuned_call_make(&fh_contract_matmul, views, at_end, shift);
    const char *wrong = tuned_call_check_block_within(&call, variant, depth);
    const int row = views[0].rank - 2;
    if (wrong)
      fail_msg("%s: m %d n %d k %d: %s", variant->name, (int)views[0].shape[row], (int)views[1].shape[row + 1],
               (int)views[0].shape[row + 1], wrong);
    tuned_call_free(&call);
  }
}

static void check_shape(int64_t batch, int64_t m, int64_t n, int64_t k, layout la, layout lb, layout lc) {
  const fh_view_desc views[] = {matrix(batch, m, k, la), matrix(batch, k, n, lb), matrix(batch, m, n, lc)};
  check(views, (m + n + k) % 2, 0, UINT32_MAX);
}

static void test_sizes(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{1, 1, 1},      {1, 1, 0},      {5, 7, 0},       {3, 5, 7},       {31, 33, 8},     {64, 64, 16},
                                      {65, 63, 9},    {127, 129, 17}, {128, 128, 128}, {129, 127, 15},  {1, 200, 300},   {257, 1, 31},
                                      {130, 260, 40}, {67, 71, 255},  {66, 70, 256},   {65, 129, 257},  {40, 130, 511},  {33, 65, 513},
                                      {7, 11, 1031},  {300, 40, 24},  {17, 300, 33},   {128, 256, 264}, {1040, 140, 10}, {2, 3, 770}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const int64_t *s = shapes[i];
    check_shape(0, s[0], s[1], s[2], BY_ROWS, BY_ROWS, BY_ROWS);
  }
}

static void test_layouts(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{70, 67, 37}, {132, 136, 36}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int i = 0; i < LAYOUTS * LAYOUTS; i++)
      check_shape(0, shapes[s][0], shapes[s][1], shapes[s][2], (layout)(i % LAYOUTS), (layout)(i / LAYOUTS),
                  (layout)((i + i / LAYOUTS) % LAYOUTS));
}

/* Elements lie on boundaries of their own size, and on no larger ones. */
static void test_offsets(void **state) {
  (void)state;
  for (size_t shift = 4; shift <= 20; shift += 4) {
    const fh_view_desc rows[] = {matrix(0, 68, 32, BY_ROWS), matrix(0, 32, 72, BY_ROWS), matrix(0, 68, 72, BY_ROWS)};
    const fh_view_desc columns[] = {matrix(0, 68, 36, BY_COLUMNS), matrix(0, 36, 72, BY_COLUMNS), matrix(0, 68, 72, BY_COLUMNS)};
    check(rows, false, shift, UINT32_MAX);
    check(columns, false, shift, UINT32_MAX);
  }
}

static void test_batches(void **state) {
  (void)state;
  static const int64_t shapes[][4] = {{1, 5, 6, 7}, {3, 65, 33, 9}, {2, 130, 101, 270}, {5, 16, 16, 0}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    const int64_t *d = shapes[s];
    for (int i = 0; i < 4; i++) {
      fh_view_desc views[] = {matrix(d[0], d[1], d[3], BY_ROWS), matrix(d[0], d[3], d[2], i == 3 ? BY_COLUMNS : BY_ROWS),
                              matrix(d[0], d[1], d[2], BY_ROWS)};
      if (i == 1) views[0].strides[0] = 0; /* one matrix for all */
      if (i == 2) views[1].strides[0] = 0;
      if (i == 3) views[0].strides[0] = -views[0].strides[0];
      check(views, i % 2, 0, i < 2 ? 1 : 2);
    }
  }
}

/* Sums that end as -0, and infinities beside the edge: what pads a tile must not touch them. */
static void test_signs_and_infinities(void **state) {
  (void)state;
  const fh_view_desc views[] = {matrix(0, 70, 13, BY_ROWS), matrix(0, 13, 66, BY_ROWS), matrix(0, 70, 66, BY_ROWS)};
  for (int v = 0; v < fh_contract_matmul.block_count; v++) {
    tuned_call call = tuned_call_make(&fh_contract_matmul, views, true, 0);
    float *a = call.first[0], *b = call.first[1];
    for (int l = 0; l < 13; l++) a[3 * 13 + l] = l == 12 ? -0x1p-126f : -0x1p-149f, b[l * 66 + 5] = 0x1p-140f;
    a[69 * 13 + 12] = __builtin_inff();
    b[12 * 66 + 65] = __builtin_nanf("");
    assert_null(tuned_call_check_block(&call, &fh_contract_matmul.blocks[v]));
    assert_true(__builtin_signbit(((float *)call.first[2])[3 * 66 + 5]));
    tuned_call_free(&call);
  }
}

/* Parameters of the texts are those of the dialect's entry by order and kind, whatever they call them, and scratch where the variant has
 * some. */
static void check_parameters(const fh_entry_image *text, const char *name, bool has_scratch) {
  const fake_block_entry *entry = fake_block_find(name);
  assert_non_null(entry);
  assert_int_equal(entry->param_count, text->param_count + has_scratch);
  for (int p = 0; p < text->param_count; p++) {
    if (strcmp(entry->params[p].name, "unused") == 0) continue; /* a pointer that the stages of the text share, and these do not */
    assert_int_equal(entry->params[p].kind, text->params[p].kind);
  }
  if (has_scratch) assert_int_equal(entry->params[text->param_count].kind, FH_OPERAND_TEMP);
}

static void test_parameters(void **state) {
  (void)state;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++) {
    for (int v = 0; v < images[i].contract->block_count; v++) {
      const fh_block_variant *variant = &images[i].contract->blocks[v];
      check_parameters(&images[i].entries[0], variant->entry, variant->scratch_bytes != NULL);
      for (int s = 0; s < variant->rest_count; s++)
        check_parameters(&images[i].entries[0], variant->rest[s].entry, variant->scratch_bytes != NULL);
    }
  }
}

/* Few rows and few columns against blocks of k: with one, two and many, at an edge of them, and on either side of a panel. */
static void test_thin(void **state) {
  (void)state;
  static const int64_t shapes[][3] = {{1, 300, 520}, {8, 129, 257}, {3, 128, 256}, {130, 5, 300}, {257, 8, 33},
                                      {1, 1, 1031},  {9, 200, 31},  {200, 9, 290}, {7, 1000, 32}, {1, 127, 0}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int i = 0; i < LAYOUTS; i++)
      check_shape(s % 3 ? 0 : 2, shapes[s][0], shapes[s][1], shapes[s][2], (layout)((i + (int)s) % LAYOUTS), (layout)i,
                  (layout)((i + 2 * (int)s) % LAYOUTS));
}

/* matmul_fused: every activation, an addend for each column or for each element, at any strides. */
static void check_fused(const fh_view_desc views[static 4], int64_t activation, uint32_t depth) {
  if (tuned_left_out(5)) return;
  const fh_value scalars[FH_MAX_PARAMS] = {{.i = activation}};
  for (int v = 0; v < fh_contract_matmul_fused.block_count; v++) {
    const fh_block_variant *variant = &fh_contract_matmul_fused.blocks[v];
    tuned_call call = tuned_call_make(&fh_contract_matmul_fused, views, activation % 2, 0);
    call.scalars = scalars;
    const char *wrong = tuned_call_check_block_within(&call, variant, depth);
    if (wrong) fail_msg("%s: activation %d: %s", variant->entry, (int)activation, wrong);
    tuned_call_free(&call);
  }
}

static void test_fused(void **state) {
  (void)state;
  static const int64_t shapes[][4] = {{0, 70, 67, 37}, {0, 3, 5, 0}, {2, 131, 20, 260}, {0, 1, 200, 9}};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (int activation = 0; activation < 7; activation++) {
      const int64_t *d = shapes[s];
      fh_view_desc views[] = {matrix(d[0], d[1], d[3], BY_ROWS), matrix(d[0], d[3], d[2], (layout)(activation % LAYOUTS)),
                              matrix(d[0], d[1], d[2], (layout)((activation + (int)s) % LAYOUTS)),
                              matrix(d[0], d[1], d[2], (layout)(activation / 2 % LAYOUTS))};
      if (activation % 2) views[2] = (fh_view_desc){FH_F32, 1, {d[2]}, {activation == 3 ? -2 : 1}};
      check_fused(views, activation, activation == 1 ? 1 : UINT32_MAX);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parameters), cmocka_unit_test(test_sizes),   cmocka_unit_test(test_layouts),
      cmocka_unit_test(test_offsets),    cmocka_unit_test(test_batches), cmocka_unit_test(test_signs_and_infinities),
      cmocka_unit_test(test_thin),       cmocka_unit_test(test_fused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
