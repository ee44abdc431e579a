/* Sequences through the public calls: pieces against the whole, states kept or in place, what is refused.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 sanitize=address */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants stdarg, stddef, stdint and setjmp first */
#include <cmocka.h>

#include <foghorn/foghorn.h>

#include "tests/support/expect.h"

static fh_context *context;
static fh_queue *queue;

static int open_context(void **state) {
  (void)state;
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.policy = FH_CPU_ONLY, .threads = 2}, &context));
  queue = fh_context_queue(context);
  return 0;
}
static int close_context(void **state) {
  (void)state;
  fh_context_release(context);
  return 0;
}

static uint32_t random_state = 1;
static float uniform(void) {
  random_state = random_state * 1664525u + 1013904223u;
  return (float)(random_state >> 8) * 0x1p-23f - 1.0f;
}
static float *floats(int64_t count) {
  float *data = calloc((size_t)count + 1, sizeof *data);
  assert_non_null(data);
  return data;
}
static float *noise(int64_t count) {
  float *data = floats(count);
  for (int64_t i = 0; i < count; i++) data[i] = uniform();
  return data;
}

static fh_view wrap(const void *data, fh_dtype dtype, fh_shape shape, fh_access access) {
  fh_view view = {0};
  FH_EXPECT_OK(fh_view_wrap(context, data, dtype, shape, FH_ROW_MAJOR, access, &view));
  return view;
}
/* n indexes of dimension `dim` from `begin` on; takes the view. */
static fh_view cut(fh_view whole, int dim, int64_t begin, int64_t n) {
  fh_view part = {0};
  FH_EXPECT_OK(fh_view_slice(&whole, dim, begin, n, 1, &part));
  fh_view_release(&whole);
  return part;
}
static void release(fh_view *views, int count) {
  for (int i = 0; i < count; i++) fh_view_release(&views[i]);
}
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Pieces of all sizes, 1 among them. */
static const int64_t sizes[] = {1, 1, 2, 5, 3, 16, 17, 4, 64, 100, 1, 1100};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* ---- causal_conv1d ------------------------------------------------------------------------------------- */

enum { BATCH = 2, CHANNELS = 19, LENGTH = 1500, TAPS = 5 };

/* Samples [begin, begin + n) of all channels; channels lie side by side if `last`. */
static void convolve(const float *x, const float *weights, const float *bias, float *from, float *to, float *y, int64_t begin, int64_t n,
                     bool last) {
  const fh_shape shape = last ? FH_SHAPE(BATCH, LENGTH, CHANNELS) : FH_SHAPE(BATCH, CHANNELS, LENGTH);
  fh_view v[] = {cut(wrap(x, FH_F32, shape, FH_READ), last ? 1 : 2, begin, n),
                 wrap(weights, FH_F32, FH_SHAPE(CHANNELS, TAPS), FH_READ),
                 wrap(bias, FH_F32, FH_SHAPE(CHANNELS), FH_READ),
                 wrap(from, FH_F32, FH_SHAPE(BATCH, CHANNELS, TAPS - 1), FH_READ_WRITE),
                 wrap(to, FH_F32, FH_SHAPE(BATCH, CHANNELS, TAPS - 1), FH_READ_WRITE),
                 cut(wrap(y, FH_F32, shape, FH_WRITE), last ? 1 : 2, begin, n)};
  for (int i = 0; last && i < 6; i += 5) {
    fh_view apart = v[i];
    FH_EXPECT_OK(fh_view_transpose(&apart, 1, 2, &v[i]));
    fh_view_release(&apart);
  }
  FH_EXPECT_OK(fh_causal_conv1d(queue, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], true, NULL));
  FH_EXPECT_OK(fh_view_sync(&v[4]));
  FH_EXPECT_OK(fh_view_sync(&v[5]));
  release(v, 6);
}

static void conv_in_pieces(void **state) {
  (void)state;
  enum { STATES = BATCH * CHANNELS * (TAPS - 1), ALL = BATCH * CHANNELS * LENGTH };
  float *x = noise(ALL), *turned = floats(ALL), *weights = noise(CHANNELS * TAPS), *bias = noise(CHANNELS);
  float *whole = floats(ALL), *pieces = floats(ALL), *kept = noise(STATES), *a = floats(STATES), *b = floats(STATES), *end = floats(STATES);
  convolve(x, weights, bias, kept, end, whole, 0, LENGTH, false);
  for (int t = 0; t < LENGTH; t++)
    for (int c = 0; c < BATCH * CHANNELS; c++) turned[(c / CHANNELS * LENGTH + t) * CHANNELS + c % CHANNELS] = x[c * LENGTH + t];
  /* In place, and from one state to another; channels apart and side by side. */
  for (int form = 0; form < 4; form++) {
    const bool in_place = form & 1, last = form & 2;
    float *from = a, *to = in_place ? a : b;
    memcpy(from, kept, STATES * sizeof *from);
    memset(pieces, 0, ALL * sizeof *pieces);
    int64_t begin = 0;
    for (int i = 0; begin < LENGTH; i++) {
      const int64_t n = least(sizes[i % SIZES], LENGTH - begin);
      convolve(last ? turned : x, weights, bias, from, to, pieces, begin, n, last);
      begin += n;
      float *written = to;
      to = from;
      from = written;
    }
    for (int i = 0; last && i < ALL; i++) {
      const int c = i / LENGTH, t = i % LENGTH;
      assert_true(whole[i] == pieces[(c / CHANNELS * LENGTH + t) * CHANNELS + c % CHANNELS]);
    }
    if (!last) assert_memory_equal(whole, pieces, ALL * sizeof *whole);
    assert_memory_equal(end, from, STATES * sizeof *end);
  }
  float *all[] = {x, turned, weights, bias, whole, pieces, kept, a, b, end};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void conv_refuses(void **state) {
  (void)state;
  float x[60] = {0}, y[60] = {0}, weights[12] = {0}, kept[24] = {0};
  fh_view v[] = {wrap(x, FH_F32, FH_SHAPE(2, 3, 10), FH_READ),         wrap(weights, FH_F32, FH_SHAPE(3, 4), FH_READ),
                 wrap(weights, FH_F32, FH_SHAPE(3), FH_READ),          wrap(kept, FH_F32, FH_SHAPE(2, 3, 3), FH_READ_WRITE),
                 wrap(kept, FH_F32, FH_SHAPE(2, 3, 4), FH_READ_WRITE), wrap(y, FH_F32, FH_SHAPE(2, 3, 10), FH_WRITE)};
  fh_expect_fails(fh_causal_conv1d(queue, &v[0], &v[1], &v[2], &v[4], &v[3], &v[5], false, NULL), FH_INVALID_ARGUMENT,
                  "state has shape (2, 3, 4), expected (batch, channels, k - 1) with k - 1 = 3 as in weights");
  fh_expect_fails(fh_causal_conv1d(queue, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], false, NULL), FH_INVALID_ARGUMENT, "next has shape");
  fh_expect_fails(fh_causal_conv1d(queue, &v[0], &v[1], &v[2], &v[3], NULL, &v[5], false, NULL), FH_INVALID_ARGUMENT, "next is NULL");
  release(v, 6);
}

/* ---- selective_scan ------------------------------------------------------------------------------------ */

enum { WIDTH = 21, STATES = 7, SAMPLES = 400 };

typedef struct model {
  float *u, *delta, *a, *b, *c, *skip, *bias, *gate;
} model;

static model model_new(void) {
  model m = {noise(SAMPLES * WIDTH),  noise(SAMPLES * WIDTH), noise(WIDTH * STATES), noise(SAMPLES * STATES),
             noise(SAMPLES * STATES), noise(WIDTH),           noise(WIDTH),          noise(SAMPLES * WIDTH)};
  for (int i = 0; i < WIDTH * STATES; i++) m.a[i] = -1.5f + m.a[i];
  return m;
}
static void model_free(model *m) {
  float *all[] = {m->u, m->delta, m->a, m->b, m->c, m->skip, m->bias, m->gate};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* Samples [begin, begin + n), cut into sequences at `offsets`; the status is the call's. */
static fh_status scan(const model *m, int64_t begin, int64_t n, const int64_t *offsets, int64_t sequences, float *from, float *to,
                      float *y) {
  fh_view v[] = {cut(wrap(m->u, FH_F32, FH_SHAPE(SAMPLES, WIDTH), FH_READ), 0, begin, n),
                 cut(wrap(m->delta, FH_F32, FH_SHAPE(SAMPLES, WIDTH), FH_READ), 0, begin, n),
                 wrap(m->a, FH_F32, FH_SHAPE(WIDTH, STATES), FH_READ),
                 cut(wrap(m->b, FH_F32, FH_SHAPE(SAMPLES, STATES), FH_READ), 0, begin, n),
                 cut(wrap(m->c, FH_F32, FH_SHAPE(SAMPLES, STATES), FH_READ), 0, begin, n),
                 wrap(m->skip, FH_F32, FH_SHAPE(WIDTH), FH_READ),
                 wrap(m->bias, FH_F32, FH_SHAPE(WIDTH), FH_READ),
                 cut(wrap(m->gate, FH_F32, FH_SHAPE(SAMPLES, WIDTH), FH_READ), 0, begin, n),
                 wrap(offsets, FH_I64, FH_SHAPE(sequences + 1), FH_READ),
                 wrap(from, FH_F32, FH_SHAPE(sequences, WIDTH, STATES), FH_READ_WRITE),
                 wrap(to, FH_F32, FH_SHAPE(sequences, WIDTH, STATES), FH_READ_WRITE),
                 cut(wrap(y, FH_F32, FH_SHAPE(SAMPLES, WIDTH), FH_WRITE), 0, begin, n)};
  fh_status status = fh_selective_scan(
      queue, &(fh_selective_scan_operands){&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9], &v[10], &v[11]}, NULL);
  if (!status) status = fh_view_sync(&v[10]);
  if (!status) status = fh_view_sync(&v[11]);
  release(v, 12);
  return status;
}

/* A prompt in pieces and step by step, in place and not, has the bits and the state of the whole. */
static void scan_in_pieces(void **state) {
  (void)state;
  model m = model_new();
  float *kept = noise(WIDTH * STATES), *end = floats(WIDTH * STATES), *a = floats(WIDTH * STATES), *b = floats(WIDTH * STATES);
  float *whole = floats(SAMPLES * WIDTH), *pieces = floats(SAMPLES * WIDTH);
  FH_EXPECT_OK(scan(&m, 0, SAMPLES, (const int64_t[]){0, SAMPLES}, 1, kept, end, whole));
  for (int in_place = 0; in_place < 2; in_place++) {
    float *from = a, *to = in_place ? a : b;
    memcpy(from, kept, WIDTH * STATES * sizeof *from);
    int64_t begin = 0;
    for (int i = 0; begin < SAMPLES; i++) {
      const int64_t n = least(sizes[i % SIZES], SAMPLES - begin), offsets[] = {0, n};
      FH_EXPECT_OK(scan(&m, begin, n, offsets, 1, from, to, pieces));
      begin += n;
      float *written = to;
      to = from;
      from = written;
    }
    assert_memory_equal(whole, pieces, SAMPLES * WIDTH * sizeof *whole);
    assert_memory_equal(end, from, WIDTH * STATES * sizeof *end);
  }
  float *all[] = {kept, end, a, b, whole, pieces};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
  model_free(&m);
}

/* Sequences of many lengths in one call are what each is alone; an empty one passes its state on. */
static void packed_sequences_do_not_meet(void **state) {
  (void)state;
  enum { SEQUENCES = 6 };
  static const int64_t offsets[SEQUENCES + 1] = {0, 1, 1, 38, 39, 340, SAMPLES};
  model m = model_new();
  float *kept = noise(SEQUENCES * WIDTH * STATES), *end = floats(SEQUENCES * WIDTH * STATES), *one = floats(WIDTH * STATES);
  float *packed = floats(SAMPLES * WIDTH), *alone = floats(SAMPLES * WIDTH);
  FH_EXPECT_OK(scan(&m, 0, SAMPLES, offsets, SEQUENCES, kept, end, packed));
  for (int s = 0; s < SEQUENCES; s++) {
    const int64_t n = offsets[s + 1] - offsets[s], edges[] = {0, n};
    FH_EXPECT_OK(scan(&m, offsets[s], n, edges, 1, kept + (ptrdiff_t)s * WIDTH * STATES, one, alone));
    assert_memory_equal(one, end + (ptrdiff_t)s * WIDTH * STATES, WIDTH * STATES * sizeof *one);
  }
  assert_memory_equal(packed, alone, SAMPLES * WIDTH * sizeof *packed);
  assert_memory_equal(kept + WIDTH * STATES, end + WIDTH * STATES, WIDTH * STATES * sizeof *kept);
  float *all[] = {kept, end, one, packed, alone};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
  model_free(&m);
}

static void scan_refuses(void **state) {
  (void)state;
  model m = model_new();
  float *kept = floats(3 * WIDTH * STATES), *y = floats(SAMPLES * WIDTH);
  fh_expect_fails(scan(&m, 0, 10, (const int64_t[]){0, 7, 5, 10}, 3, kept, kept, y), FH_INVALID_ARGUMENT,
                  "offsets[2] is 5, expected 7 to 10");
  fh_expect_fails(scan(&m, 0, 10, (const int64_t[]){0, 7, 11, 11}, 3, kept, kept, y), FH_INVALID_ARGUMENT, "offsets[2] is 11");
  fh_expect_fails(scan(&m, 0, 10, (const int64_t[]){0, 7, 8, 9}, 3, kept, kept, y), FH_INVALID_ARGUMENT, "from 0 to 9, expected 0 to 10");
  fh_expect_fails(scan(&m, 0, 10, (const int64_t[]){1, 7, 8, 10}, 3, kept, kept, y), FH_INVALID_ARGUMENT, "from 1 to 10");
  fh_expect_fails(fh_selective_scan(queue, NULL, NULL), FH_INVALID_ARGUMENT, "operands is NULL");
  free(kept);
  free(y);
  model_free(&m);
}

/* Without bias and gate, one state: y = exp(delta a) state + delta u b with c = 1 and skip = 0. */
static void a_state_may_grow(void **state) {
  (void)state;
  static const float powers[] = {0, 1, 50, 88, 89, 100, 1000, -200};
  static const float one = 1, zero = 0, from = 1;
  static const int64_t offsets[] = {0, 1};
  for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
    float to = -1, y = -1;
    fh_view v[] = {wrap(&zero, FH_F32, FH_SHAPE(1, 1), FH_READ),      wrap(&one, FH_F32, FH_SHAPE(1, 1), FH_READ),
                   wrap(&powers[i], FH_F32, FH_SHAPE(1, 1), FH_READ), wrap(&one, FH_F32, FH_SHAPE(1, 1), FH_READ),
                   wrap(&zero, FH_F32, FH_SHAPE(1), FH_READ),         wrap(offsets, FH_I64, FH_SHAPE(2), FH_READ),
                   wrap(&from, FH_F32, FH_SHAPE(1, 1, 1), FH_READ),   wrap(&to, FH_F32, FH_SHAPE(1, 1, 1), FH_WRITE),
                   wrap(&y, FH_F32, FH_SHAPE(1, 1), FH_WRITE)};
    const fh_selective_scan_operands o = {.u = &v[0],
                                          .delta = &v[1],
                                          .a = &v[2],
                                          .b = &v[3],
                                          .c = &v[3],
                                          .skip = &v[4],
                                          .offsets = &v[5],
                                          .state = &v[6],
                                          .next = &v[7],
                                          .y = &v[8]};
    FH_EXPECT_OK(fh_selective_scan(queue, &o, NULL));
    FH_EXPECT_OK(fh_view_sync(&v[7]));
    FH_EXPECT_OK(fh_view_sync(&v[8]));
    const double exact = exp((double)powers[i]);
    if (powers[i] > 88.5f)
      assert_true(isinf(y) && y > 0);
    else
      assert_true(fabs((double)y - exact) <= 0x1p-18 * exact + 0x1p-125);
    assert_true(y == to);
    release(v, 9);
  }
}

/* ---- embedding ----------------------------------------------------------------------------------------- */

static void embedding_scales_rows(void **state) {
  (void)state;
  enum { ROWS = 11, D = 37, N = 9 };
  static const int32_t ids[N] = {0, 10, 3, 3, 7, 1, 0, 9, 2}, bad[N] = {0, 1, 2, 3, -1, 5, 11, 7, 8};
  float *table = noise(ROWS * D), *y = floats(N * D);
  fh_view v[] = {wrap(table, FH_F32, FH_SHAPE(ROWS, D), FH_READ), wrap(ids, FH_I32, FH_SHAPE(N), FH_READ),
                 wrap(y, FH_F32, FH_SHAPE(N, D), FH_WRITE), wrap(bad, FH_I32, FH_SHAPE(N), FH_READ)};
  FH_EXPECT_OK(fh_embedding(queue, &v[0], &v[1], 22.5f, &v[2], NULL));
  FH_EXPECT_OK(fh_view_sync(&v[2]));
  for (int i = 0; i < N * D; i++) assert_true(y[i] == 22.5f * table[ids[i / D] * D + i % D]);
  FH_EXPECT_OK(fh_gather(queue, &v[0], &v[1], &v[2], NULL));
  FH_EXPECT_OK(fh_view_sync(&v[2]));
  for (int i = 0; i < N * D; i++) assert_true(y[i] == table[ids[i / D] * D + i % D]);
  fh_expect_fails(fh_embedding(queue, &v[0], &v[3], 1, &v[2], NULL), FH_INVALID_ARGUMENT, "ids[4] is -1, expected 0 to 10");
  fh_expect_fails(fh_embedding(queue, &v[0], &v[1], INFINITY, &v[2], NULL), FH_INVALID_ARGUMENT, "scale is inf");
  release(v, 4);
  free(table);
  free(y);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(conv_in_pieces),        cmocka_unit_test(conv_refuses),
      cmocka_unit_test(scan_in_pieces),        cmocka_unit_test(packed_sequences_do_not_meet),
      cmocka_unit_test(scan_refuses),          cmocka_unit_test(a_state_may_grow),
      cmocka_unit_test(embedding_scales_rows),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
