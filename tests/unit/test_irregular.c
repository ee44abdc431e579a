/* Irregular data through the public calls: what is refused and how, what the data decides, and that a cut changes no bit.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 sanitize=address */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <foghorn/foghorn.h>

#include "tests/support/cpu_context.h"

static fh_view wrap(const void *data, fh_dtype dtype, fh_shape shape, fh_access access) {
  fh_view view = {0};
  assert_null(fh_view_wrap(context, (void *)(uintptr_t)data, dtype, shape, FH_ROW_MAJOR, access, &view));
  return view;
}

static void refused(fh_status status, const char *part, const char *other) {
  assert_non_null(status);
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  if (!strstr(fh_status_message(status), part) || !strstr(fh_status_message(status), other)) fail_msg("%s", fh_status_message(status));
  fh_status_free(status);
}

static float noise(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) * 0x1p-23f - 1.0f;
}

static char *decision(const char *name, const fh_view *const *views, int count, const fh_param_value *params, int param_count) {
  const fh_kernel *kernel;
  char *text = NULL;
  assert_null(fh_kernel_find(name, &kernel));
  assert_null(fh_explain(fh_context_queue(context), kernel, views, count, params, param_count, false, &text));
  return text;
}

static void says(const char *name, const fh_view *const *views, int count, const fh_param_value *params, int param_count,
                 const char *what) {
  char *text = decision(name, views, count, params, param_count);
  if (!strstr(text, what)) fail_msg("expected \"%s\" in\n%s", what, text);
  free(text);
}

/* ---- refusals ---------------------------------------------------------------------------------------------- */

static void bad_ids_are_named(void **state) {
  (void)state;
  fh_queue *queue = fh_context_queue(context);
  float x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, y[12] = {0};
  int32_t counts[4];
  const int32_t high[] = {0, 3, 1, 4, 9}, low[] = {0, 1, -7, 0, 0};
  const int64_t edges[] = {0, 2, 5};
  fh_auto(fh_view) X = wrap(x, FH_F32, FH_SHAPE(4, 3), FH_READ), IDS = wrap(high, FH_I32, FH_SHAPE(4), FH_READ);
  fh_auto(fh_view) LOW = wrap(low, FH_I32, FH_SHAPE(4), FH_READ), Y = wrap(y, FH_F32, FH_SHAPE(4, 3), FH_READ_WRITE);
  fh_auto(fh_view) COUNTS = wrap(counts, FH_I32, FH_SHAPE(4), FH_WRITE), VALUES = wrap(x, FH_F32, FH_SHAPE(5), FH_READ);
  fh_auto(fh_view) COLUMNS = wrap(high, FH_I32, FH_SHAPE(5), FH_READ), EDGES = wrap(edges, FH_I64, FH_SHAPE(3), FH_READ);
  fh_auto(fh_view) VECTOR_SUMS = wrap(y, FH_F32, FH_SHAPE(4), FH_READ_WRITE);
  fh_auto(fh_view) VECTOR = wrap(x, FH_F32, FH_SHAPE(4), FH_READ), SUMS = wrap(y, FH_F32, FH_SHAPE(2), FH_WRITE);
  refused(fh_gather(queue, &X, &IDS, &Y, NULL), "fh_gather: ids[3] is 4, expected 0 to 3", "1 of 4");
  refused(fh_gather(queue, &X, &LOW, &Y, NULL), "ids[2] is -7", "what x has");
  refused(fh_scatter_add(queue, &X, &IDS, &Y, NULL), "fh_scatter_add: ids[3] is 4", "what y has");
  refused(fh_scatter_sum(queue, &X, &LOW, &Y, NULL), "ids[2] is -7", "expected 0 to 3");
  refused(fh_bincount(queue, &IDS, NULL, &COUNTS, NULL), "fh_bincount: ids[3] is 4", "what counts has");
  refused(fh_bincount(queue, &IDS, &VECTOR, &VECTOR_SUMS, NULL), "ids[3] is 4", "in fh_bincount with weights");
  refused(fh_csr_matvec(queue, &VALUES, &COLUMNS, &EDGES, &VECTOR, &SUMS, NULL), "columns[3] is 4, expected 0 to 3", "2 of 5");
  for (int i = 0; i < 12; i++) assert_true(y[i] == 0); /* refused means nothing ran */
}

static void ids_of_nothing_are_refused(void **state) {
  (void)state;
  float y[2] = {0};
  const int32_t ids[] = {0, 0};
  fh_auto(fh_view) X = wrap(y, FH_F32, FH_SHAPE(0), FH_READ), IDS = wrap(ids, FH_I32, FH_SHAPE(2), FH_READ);
  fh_auto(fh_view) Y = wrap(y, FH_F32, FH_SHAPE(2), FH_WRITE);
  refused(fh_gather(fh_context_queue(context), &X, &IDS, &Y, NULL), "ids has 2 elements", "x is empty");
}

static void bad_offsets_are_named(void **state) {
  (void)state;
  static const struct {
    int64_t edges[4];
    const char *part, *other;
  } all[] = {{{0, 3, 2, 5}, "offsets[2] is 2", "expected 3 to 5"},
             {{-1, 0, 2, 5}, "offsets[0] is -1", "expected 0 to 5"},
             {{0, 1, 2, 6}, "offsets[3] is 6", "expected 2 to 5"},
             {{0, INT64_MAX, INT64_MIN, 5}, "offsets[1] is 9223372036854775807", "expected 0 to 5"}};
  float x[5] = {1, 2, 3, 4, 5}, y[3];
  fh_auto(fh_view) X = wrap(x, FH_F32, FH_SHAPE(5), FH_READ), Y = wrap(y, FH_F32, FH_SHAPE(3), FH_WRITE);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    fh_auto(fh_view) EDGES = wrap(all[i].edges, FH_I64, FH_SHAPE(4), FH_READ);
    refused(fh_segment_sum(fh_context_queue(context), &X, &EDGES, &Y, NULL), all[i].part, all[i].other);
  }
  fh_auto(fh_view) SHORT = wrap(all[0].edges, FH_I64, FH_SHAPE(3), FH_READ);
  refused(fh_segment_sum(fh_context_queue(context), &X, &SHORT, &Y, NULL), "offsets has 3 elements, expected 4", "one more than");
}

/* The look takes ids by sixteen and offsets by four: one that is bad is seen wherever it stands. */
static void a_bad_one_is_seen_anywhere(void **state) {
  (void)state;
  enum { N = 37, LIMIT = 5 };
  static const int32_t bad_ids[] = {-1, LIMIT, INT32_MIN, INT32_MAX};
  static const int64_t bad_offsets[] = {-1, N + 1, INT64_MIN, INT64_MAX, (int64_t)1 << 62};
  const float x[N] = {0};
  float y[N];
  fh_queue *queue = fh_context_queue(context);
  fh_auto(fh_view) FEW = wrap(x, FH_F32, FH_SHAPE(LIMIT), FH_READ), X = wrap(x, FH_F32, FH_SHAPE(N), FH_READ);
  fh_auto(fh_view) Y = wrap(y, FH_F32, FH_SHAPE(N), FH_WRITE);
  for (int at = 0; at <= N; at++) {
    int32_t ids[N];
    int64_t edges[N + 1];
    for (int i = 0; i < N; i++) ids[i] = i % LIMIT;
    for (int i = 0; i <= N; i++) edges[i] = i;
    char where[32];
    for (size_t b = 0; at < N && b < sizeof bad_ids / sizeof *bad_ids; b++) {
      ids[at] = bad_ids[b];
      fh_auto(fh_view) IDS = wrap(ids, FH_I32, FH_SHAPE(N), FH_READ);
      snprintf(where, sizeof where, "ids[%d] is %d", at, bad_ids[b]);
      refused(fh_gather(queue, &FEW, &IDS, &Y, NULL), where, "expected 0 to 4");
    }
    for (size_t b = 0; b < sizeof bad_offsets / sizeof *bad_offsets; b++) {
      edges[at] = bad_offsets[b];
      fh_auto(fh_view) EDGES = wrap(edges, FH_I64, FH_SHAPE(N + 1), FH_READ);
      snprintf(where, sizeof where, "offsets[%d] is %lld", at, (long long)bad_offsets[b]);
      refused(fh_segment_sum(queue, &X, &EDGES, &Y, NULL), where, "expected");
    }
  }
  const int64_t around[] = {0, (int64_t)1 << 62, INT64_MIN, -((int64_t)1 << 62), 0}; /* each 2^62 after the one before */
  fh_auto(fh_view) AROUND = wrap(around, FH_I64, FH_SHAPE(5), FH_READ), FOUR = wrap(y, FH_F32, FH_SHAPE(4), FH_WRITE);
  refused(fh_segment_sum(queue, &X, &AROUND, &FOUR, NULL), "offsets[1] is", "expected 0 to 37");
}

static void bad_ranges_are_named(void **state) {
  (void)state;
  float x[3] = {0};
  int32_t counts[2];
  fh_auto(fh_view) X = wrap(x, FH_F32, FH_SHAPE(3), FH_READ), COUNTS = wrap(counts, FH_I32, FH_SHAPE(2), FH_WRITE);
  refused(fh_histogram(fh_context_queue(context), &X, 1, 1, &COUNTS, NULL), "low is 1 and high 1", "low < high");
  refused(fh_histogram(fh_context_queue(context), &X, -3e38f, 3e38f, &COUNTS, NULL), "difference", "finite");
}

/* ---- results ------------------------------------------------------------------------------------------------- */

static void small_examples(void **state) {
  (void)state;
  fh_queue *queue = fh_context_queue(context);
  const float x[] = {1, 2, 4, 8, 16, 32};
  const int32_t ids[] = {2, 0, 2, 2, 0, 1};
  const int64_t edges[] = {0, 2, 2, 6};
  float y[3] = {100, 100, 100}, picked[6];
  int32_t counts[3];
  fh_auto(fh_view) X = wrap(x, FH_F32, FH_SHAPE(6), FH_READ), IDS = wrap(ids, FH_I32, FH_SHAPE(6), FH_READ);
  fh_auto(fh_view) EDGES = wrap(edges, FH_I64, FH_SHAPE(4), FH_READ), Y = wrap(y, FH_F32, FH_SHAPE(3), FH_READ_WRITE);
  fh_auto(fh_view) COUNTS = wrap(counts, FH_I32, FH_SHAPE(3), FH_WRITE), PICKED = wrap(picked, FH_F32, FH_SHAPE(6), FH_WRITE);
  fh_auto(fh_view) TABLE = wrap(x, FH_F32, FH_SHAPE(3), FH_READ);

  assert_null(fh_scatter_add(queue, &X, &IDS, &Y, NULL));
  assert_true(y[0] == 118 && y[1] == 132 && y[2] == 113);
  assert_null(fh_scatter_sum(queue, &X, &IDS, &Y, NULL));
  assert_true(y[0] == 18 && y[1] == 32 && y[2] == 13);
  assert_null(fh_segment_sum(queue, &X, &EDGES, &Y, NULL));
  assert_true(y[0] == 3 && y[1] == 0 && y[2] == 60);
  assert_null(fh_csr_matvec(queue, &X, &IDS, &EDGES, &TABLE, &Y, NULL)); /* columns ids, x = 1, 2, 4 */
  assert_true(y[0] == 1 * 4 + 2 * 1 && y[1] == 0 && y[2] == 4 * 4 + 8 * 4 + 16 * 1 + 32 * 2);
  assert_null(fh_bincount(queue, &IDS, NULL, &COUNTS, NULL));
  assert_true(counts[0] == 2 && counts[1] == 1 && counts[2] == 3);
  assert_null(fh_bincount(queue, &IDS, &X, &Y, NULL));
  assert_true(y[0] == 18 && y[1] == 32 && y[2] == 13);
  assert_null(fh_gather(queue, &TABLE, &IDS, &PICKED, NULL));
  for (int i = 0; i < 6; i++) assert_true(picked[i] == x[ids[i]]);
  assert_null(fh_histogram(queue, &X, 0, 16, &COUNTS, NULL)); /* thirds: 1 2 4 | 8 | 16, and 32 in none */
  assert_true(counts[0] == 3 && counts[1] == 1 && counts[2] == 1);
}

/* One segment that has nearly all terms, and the same terms among others of its length: the cut differs, the bits do not. */
static void a_split_changes_no_bit(void **state) {
  (void)state;
  enum { HEAVY = 200003, LIGHT = 37, SEGMENTS = 9 };
  enum { N = HEAVY + (SEGMENTS - 1) * LIGHT };
  float *x = malloc(N * sizeof *x), whole[SEGMENTS], alone[1];
  assert_non_null(x);
  uint32_t seed = 7;
  for (int i = 0; i < N; i++) x[i] = noise(&seed);
  int64_t edges[SEGMENTS + 1] = {0};
  for (int i = 0; i < SEGMENTS; i++) edges[i + 1] = edges[i] + (i == 4 ? HEAVY : LIGHT);
  fh_auto(fh_view) X = wrap(x, FH_F32, FH_SHAPE(N), FH_READ), EDGES = wrap(edges, FH_I64, FH_SHAPE(SEGMENTS + 1), FH_READ);
  fh_auto(fh_view) Y = wrap(whole, FH_F32, FH_SHAPE(SEGMENTS), FH_WRITE), ONE = wrap(alone, FH_F32, FH_SHAPE(1), FH_WRITE);
  const fh_view *views[] = {&X, &EDGES, &Y};
  says("segment_sum", views, 3, NULL, 0, "data: 9 segments, longest 200003");
  says("segment_sum", views, 3, NULL, 0, "split into windows of 4096");
  assert_null(fh_segment_sum(fh_context_queue(context), &X, &EDGES, &Y, NULL));
  for (int i = 0; i < SEGMENTS; i++) {
    const int64_t own[] = {edges[i], edges[i + 1]};
    fh_auto(fh_view) OWN = wrap(own, FH_I64, FH_SHAPE(2), FH_READ);
    assert_null(fh_segment_sum(fh_context_queue(context), &X, &OWN, &ONE, NULL));
    assert_memory_equal(&whole[i], alone, sizeof alone);
  }
  for (int i = 0; i <= SEGMENTS; i++) edges[i] = (int64_t)i * LIGHT;
  says("segment_sum", views, 3, NULL, 0, "0 empty: even, ");
  free(x);
}

/* A row whose last piece is short, alone (the split cut) and among rows of its length (the even one): products of a short piece are added
 * as those of a long one. */
static void a_split_of_products_changes_no_bit(void **state) {
  (void)state;
  enum { ROW = 4 * 4096 + 20, ROWS = 65, COLUMNS = 1000 };
  float *values = malloc((size_t)ROW * ROWS * sizeof *values), x[COLUMNS], among[ROWS], alone[1];
  int32_t *columns = malloc((size_t)ROW * ROWS * sizeof *columns);
  int64_t edges[ROWS + 1] = {0};
  assert_true(values && columns);
  uint32_t seed = 5;
  for (int i = 0; i < COLUMNS; i++) x[i] = noise(&seed);
  for (int i = 0; i < ROW * ROWS; i++) values[i] = noise(&seed), columns[i] = (int32_t)((int64_t)i * 7919 % COLUMNS);
  for (int i = 0; i < ROWS; i++) edges[i + 1] = edges[i] + ROW;
  fh_auto(fh_view) V = wrap(values, FH_F32, FH_SHAPE(ROW * ROWS), FH_READ), C = wrap(columns, FH_I32, FH_SHAPE(ROW * ROWS), FH_READ);
  fh_auto(fh_view) V1 = wrap(values, FH_F32, FH_SHAPE(ROW), FH_READ), C1 = wrap(columns, FH_I32, FH_SHAPE(ROW), FH_READ);
  fh_auto(fh_view) E = wrap(edges, FH_I64, FH_SHAPE(ROWS + 1), FH_READ), E1 = wrap(edges, FH_I64, FH_SHAPE(2), FH_READ);
  fh_auto(fh_view) X = wrap(x, FH_F32, FH_SHAPE(COLUMNS), FH_READ), Y = wrap(among, FH_F32, FH_SHAPE(ROWS), FH_WRITE);
  fh_auto(fh_view) Y1 = wrap(alone, FH_F32, FH_SHAPE(1), FH_WRITE);
  const fh_view *one[] = {&V1, &C1, &E1, &X, &Y1}, *all[] = {&V, &C, &E, &X, &Y};
  says("csr_matvec", one, 5, NULL, 0, "split into windows of 4096");
  says("csr_matvec", all, 5, NULL, 0, "even, ");
  assert_null(fh_csr_matvec(fh_context_queue(context), &V, &C, &E, &X, &Y, NULL));
  assert_null(fh_csr_matvec(fh_context_queue(context), &V1, &C1, &E1, &X, &Y1, NULL));
  assert_memory_equal(&among[0], alone, sizeof alone);
  free(values);
  free(columns);
}

static void runs_change_no_bit(void **state) {
  (void)state;
  enum { N = 30000, M = 5000 };
  float *x = malloc(N * sizeof *x), *kept = calloc(M, sizeof *kept), *plain = calloc(M, sizeof *plain);
  int32_t *ids = malloc(N * sizeof *ids);
  assert_true(x && kept && plain && ids);
  uint32_t seed = 3;
  for (int i = 0; i < N; i++) x[i] = noise(&seed), ids[i] = i / 100 * 7 % M;
  fh_auto(fh_view) X = wrap(x, FH_F32, FH_SHAPE(N), FH_READ), IDS = wrap(ids, FH_I32, FH_SHAPE(N), FH_READ);
  fh_auto(fh_view) Y = wrap(kept, FH_F32, FH_SHAPE(M), FH_READ_WRITE);
  const fh_view *views[] = {&X, &IDS, &Y};
  const fh_param_value fresh[] = {{.i = 0}};
  says("scatter_add", views, 3, fresh, 1, "runs in a register");
  assert_null(fh_scatter_add(fh_context_queue(context), &X, &IDS, &Y, NULL));
  for (int i = 0; i < N; i++) plain[ids[i]] += x[i];
  assert_memory_equal(kept, plain, M * sizeof *kept); /* in place and in order: a plain loop's bits */
  free(x);
  free(kept);
  free(plain);
  free(ids);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bad_ids_are_named),      cmocka_unit_test(ids_of_nothing_are_refused),
      cmocka_unit_test(bad_offsets_are_named),  cmocka_unit_test(a_bad_one_is_seen_anywhere),
      cmocka_unit_test(bad_ranges_are_named),   cmocka_unit_test(small_examples),
      cmocka_unit_test(a_split_changes_no_bit), cmocka_unit_test(a_split_of_products_changes_no_bit),
      cmocka_unit_test(runs_change_no_bit),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
