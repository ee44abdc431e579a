/* Results that fit no cache are written past them: they are the bits of the same work in pieces that are not, and nothing beside them is
 * touched. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <foghorn/foghorn.h>

#include "kernels/rows.h"
#include "tests/support/cpu_context.h"

enum { WIDTH = 769, ROWS = 5462, PIECES = 2, EDGE = 64 };

typedef struct operands {
  float *x, *gamma, *beta, *whole, *parts; /* whole and parts have EDGE floats on either side that nobody may write */
} operands;

static fh_status normalise(const operands *o, int kernel, const fh_view *x, const fh_view *y) {
  fh_queue *queue = fh_context_queue(context);
  fh_view gamma, beta;
  FH_EXPECT_OK(fh_view_wrap(context, o->gamma, FH_F32, FH_SHAPE(WIDTH), FH_ROW_MAJOR, FH_READ, &gamma));
  FH_EXPECT_OK(fh_view_wrap(context, o->beta, FH_F32, FH_SHAPE(WIDTH), FH_ROW_MAJOR, FH_READ, &beta));
  fh_status status = kernel == 0   ? fh_layer_norm(queue, x, &gamma, &beta, y, 1e-5f, NULL)
                     : kernel == 1 ? fh_rms_norm(queue, x, &gamma, y, 1e-5f, NULL)
                     : kernel == 2 ? fh_l2_normalize(queue, x, y, 1e-12f, NULL)
                                   : fh_exp(queue, x, y, NULL);
  if (!status) status = fh_view_sync(y);
  fh_view_release(&gamma);
  fh_view_release(&beta);
  return status;
}

static void run(const operands *o, int kernel, const float *x, float *y, int64_t rows) {
  fh_view from, to;
  FH_EXPECT_OK(fh_view_wrap(context, x, FH_F32, FH_SHAPE(rows, WIDTH), FH_ROW_MAJOR, FH_READ, &from));
  FH_EXPECT_OK(fh_view_wrap(context, y, FH_F32, FH_SHAPE(rows, WIDTH), FH_ROW_MAJOR, x == y ? FH_READ_WRITE : FH_WRITE, &to));
  FH_EXPECT_OK(normalise(o, kernel, x == y ? &to : &from, &to));
  fh_view_release(&from);
  fh_view_release(&to);
}

static void untouched(const float *edge) {
  for (int i = 0; i < EDGE; i++) assert_true(edge[i] == -7.0f);
}

/* At the start of a line, one element past it, and in place. */
static void same_bits_as_in_pieces(void **state) {
  (void)state;
  const size_t count = (size_t)ROWS * WIDTH, bytes = (count + 2 * EDGE + 16) * sizeof(float) / 64 * 64 + 64;
  assert_true(fh_rows_stream((int64_t)count) && !fh_rows_stream((int64_t)count / PIECES));
  operands o = {aligned_alloc(64, bytes), aligned_alloc(64, 4096), aligned_alloc(64, 4096), aligned_alloc(64, bytes),
                aligned_alloc(64, bytes)};
  assert_true(o.x && o.gamma && o.beta && o.whole && o.parts);
  for (size_t i = 0; i < count; i++) o.x[i] = (float)((i * 2654435761u) >> 8 & 0xffff) * 0x1p-13f - 4.0f;
  for (int i = 0; i < WIDTH; i++) o.gamma[i] = 1.0f + (float)i * 0x1p-10f, o.beta[i] = (float)(i % 7);
  for (int kernel = 0; kernel < 4; kernel++) {
    for (int how = 0; how < 3; how++) {
      float *whole = o.whole + EDGE + how % 2, *parts = o.parts + EDGE + how % 2;
      for (size_t i = 0; i < bytes / sizeof(float); i++) o.whole[i] = o.parts[i] = -7.0f;
      if (how == 2) memcpy(whole, o.x, count * sizeof(float));
      run(&o, kernel, how == 2 ? whole : o.x, whole, ROWS);
      for (int p = 0; p < PIECES; p++) run(&o, kernel, o.x + count / PIECES * (size_t)p, parts + count / PIECES * (size_t)p, ROWS / PIECES);
      assert_memory_equal(whole, parts, count * sizeof(float));
      untouched(whole - EDGE);
      untouched(whole + count);
    }
  }
  float *const all[] = {o.x, o.gamma, o.beta, o.whole, o.parts};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Numbers and rows of one line, by a plain loop; y at the start of a line and one element past it. */
static void gathered_as_by_a_plain_loop(void **state) {
  (void)state;
  enum { COUNT = (16 << 18) + 37 * 16, TABLE = 1000, LINE = 16 };
  assert_true(fh_rows_stream(COUNT));
  const size_t bytes = (COUNT + 2 * EDGE + 16) * sizeof(float) / 64 * 64 + 64;
  float *x = malloc(TABLE * LINE * sizeof *x), *all = aligned_alloc(64, bytes);
  int32_t *ids = malloc(COUNT * sizeof *ids);
  assert_true(x && all && ids);
  for (int i = 0; i < TABLE * LINE; i++) x[i] = (float)i - 0.5f;
  for (int i = 0; i < COUNT; i++) ids[i] = (int32_t)((uint32_t)i * 2654435761u >> 8) % TABLE;
  for (int how = 0; how < 4; how++) {
    const int64_t d = how < 2 ? 1 : LINE, rows = COUNT / d;
    float *y = all + EDGE + how % 2;
    for (size_t i = 0; i < bytes / sizeof(float); i++) all[i] = -7.0f;
    fh_view X, IDS, Y;
    FH_EXPECT_OK(fh_view_wrap(context, x, FH_F32, FH_SHAPE(TABLE, d), FH_ROW_MAJOR, FH_READ, &X));
    FH_EXPECT_OK(fh_view_wrap(context, ids, FH_I32, FH_SHAPE(rows), FH_ROW_MAJOR, FH_READ, &IDS));
    FH_EXPECT_OK(fh_view_wrap(context, y, FH_F32, FH_SHAPE(rows, d), FH_ROW_MAJOR, FH_WRITE, &Y));
    FH_EXPECT_OK(fh_gather(fh_context_queue(context), &X, &IDS, &Y, NULL));
    FH_EXPECT_OK(fh_view_sync(&Y));
    for (int64_t i = 0; i < rows * d; i++)
      if (y[i] != x[ids[i / d] * d + i % d]) fail_msg("element %lld of rows of %lld", (long long)i, (long long)d);
    untouched(y - EDGE);
    untouched(y + COUNT);
    fh_view_release(&X);
    fh_view_release(&IDS);
    fh_view_release(&Y);
  }
  free(x);
  free(all);
  free(ids);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits_as_in_pieces), cmocka_unit_test(gathered_as_by_a_plain_loop)};
  return cmocka_run_group_tests(tests, open_context, close_context);
}
