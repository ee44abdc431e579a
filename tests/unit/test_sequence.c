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

#include "tests/support/cpu_context.h"
#include "tests/support/noise.h"

static fh_queue *queue;

static int open_queue(void **state) {
  const int failed = open_context(state);
  queue = fh_context_queue(context);
  return failed;
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

/* ---- attention ----------------------------------------------------------------------------------------- */

enum { HEADS = 6, SHARED = 2, LONG = 150, DEPTH = 24 };

/* Queries [begin, begin + n) over the first begin + n keys. */
static void attend(const float *q, const float *k, const float *v, float *y, int64_t begin, int64_t n) {
  fh_view of[] = {cut(wrap(q, FH_F32, FH_SHAPE(1, HEADS, LONG, DEPTH), FH_READ), 2, begin, n),
                  cut(wrap(k, FH_F32, FH_SHAPE(1, SHARED, LONG, DEPTH), FH_READ), 2, 0, begin + n),
                  cut(wrap(v, FH_F32, FH_SHAPE(1, SHARED, LONG, DEPTH), FH_READ), 2, 0, begin + n),
                  cut(wrap(y, FH_F32, FH_SHAPE(1, HEADS, LONG, DEPTH), FH_WRITE), 2, begin, n)};
  FH_EXPECT_OK(fh_attention(queue, &of[0], &of[1], &of[2], &of[3], true, 0.3f, NULL));
  FH_EXPECT_OK(fh_view_sync(&of[3]));
  release(of, 4);
}

/* A prompt, a prompt in pieces, and steps have the same bits; what lies ahead may be NaN. */
static void steps_have_the_bits_of_the_prompt(void **state) {
  (void)state;
  float *q = noise(HEADS * LONG * DEPTH), *k = noise(SHARED * LONG * DEPTH), *v = noise(SHARED * LONG * DEPTH);
  float *whole = floats(HEADS * LONG * DEPTH), *pieces = floats(HEADS * LONG * DEPTH);
  attend(q, k, v, whole, 0, LONG);
  int64_t begin = 0;
  for (int i = 0; begin < LONG; i++) {
    const int64_t n = least(sizes[i % SIZES], LONG - begin);
    attend(q, k, v, pieces, begin, n);
    begin += n;
  }
  assert_memory_equal(whole, pieces, HEADS * LONG * DEPTH * sizeof *whole);

  enum { BROKEN = 100 };
  for (int h = 0; h < SHARED; h++) k[(h * LONG + BROKEN) * DEPTH] = v[(h * LONG + BROKEN) * DEPTH] = NAN;
  attend(q, k, v, pieces, 0, LONG);
  for (int i = 0; i < HEADS * LONG * DEPTH; i++) assert_true(i / DEPTH % LONG < BROKEN ? pieces[i] == whole[i] : isnan(pieces[i]));
  float *all[] = {q, k, v, whole, pieces};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* With one key the result is its value; without a score that differs it is the mean; queries before the first key give 0. */
static void attention_of_known_weights(void **state) {
  (void)state;
  static const float q[4] = {1, -2, 3, 0.5f}, k[2] = {0, 0}, v[2] = {4, 8};
  float y[4] = {-1, -1, -1, -1};
  fh_view of[] = {wrap(q, FH_F32, FH_SHAPE(1, 1, 4, 1), FH_READ), wrap(k, FH_F32, FH_SHAPE(1, 1, 2, 1), FH_READ),
                  wrap(v, FH_F32, FH_SHAPE(1, 1, 2, 1), FH_READ), wrap(y, FH_F32, FH_SHAPE(1, 1, 4, 1), FH_WRITE)};
  FH_EXPECT_OK(fh_attention(queue, &of[0], &of[1], &of[2], &of[3], true, 1, NULL));
  FH_EXPECT_OK(fh_view_sync(&of[3]));
  assert_true(y[0] == 0 && y[1] == 0 && y[2] == 4 && y[3] == 6);
  release(of, 4);
}

static void attention_refuses(void **state) {
  (void)state;
  float data[64] = {0}, y[64];
  fh_view q = wrap(data, FH_F32, FH_SHAPE(1, 4, 2, 8), FH_READ), k = wrap(data, FH_F32, FH_SHAPE(1, 3, 2, 8), FH_READ);
  fh_view v = wrap(data, FH_F32, FH_SHAPE(1, 2, 3, 8), FH_READ), two = wrap(data, FH_F32, FH_SHAPE(1, 2, 2, 8), FH_READ);
  fh_view out = wrap(y, FH_F32, FH_SHAPE(1, 4, 2, 8), FH_WRITE);
  fh_expect_fails(fh_attention(queue, &q, &k, &k, &out, false, 1, NULL), FH_INVALID_ARGUMENT,
                  "q has 4 heads and k has 3, expected a multiple");
  fh_expect_fails(fh_attention(queue, &q, &two, &v, &out, false, 1, NULL), FH_INVALID_ARGUMENT, "v has shape (1, 2, 3, 8)");
  fh_expect_fails(fh_attention(queue, &q, &two, &two, &out, false, NAN, NULL), FH_INVALID_ARGUMENT, "scale is nan");
  release((fh_view[]){q, k, v, two, out}, 5);
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

/* ---- sample -------------------------------------------------------------------------------------------- */

/* Draws from `rows` rows that are all the same n logits. */
static void draw_all(const float *logits, int64_t n, int64_t rows, const fh_sampling *how, int32_t *ids) {
  float *all = floats(rows * n);
  for (int64_t i = 0; i < rows * n; i++) all[i] = logits[i % n];
  fh_view v[] = {wrap(all, FH_F32, FH_SHAPE(rows, n), FH_READ), wrap(ids, FH_I32, FH_SHAPE(rows), FH_WRITE)};
  FH_EXPECT_OK(fh_sample(queue, &v[0], &v[1], how, NULL));
  FH_EXPECT_OK(fh_view_sync(&v[1]));
  release(v, 2);
  free(all);
}

/* The sum of (drawn - expected)^2 / expected over tokens whose probability is above 0; a token whose is 0 must not be drawn. */
static double chi_square(const int64_t *drawn, const double *probability, int n, int64_t draws) {
  double sum = 0;
  for (int i = 0; i < n; i++) {
    const double expected = probability[i] * (double)draws;
    if (expected > 0)
      sum += ((double)drawn[i] - expected) * ((double)drawn[i] - expected) / expected;
    else
      assert_int_equal(drawn[i], 0);
  }
  return sum;
}
static void softmax_of(const float *logits, int n, double temperature, double *probability) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += probability[i] = exp((double)logits[i] / temperature);
  for (int i = 0; i < n; i++) probability[i] /= sum;
}

enum { TOKENS = 20, DRAWS = 40000 };

static void count_draws(const float *logits, const fh_sampling *how, int64_t *drawn) {
  int32_t *ids = calloc(DRAWS, sizeof *ids);
  assert_non_null(ids);
  draw_all(logits, TOKENS, DRAWS, how, ids);
  memset(drawn, 0, TOKENS * sizeof *drawn);
  for (int i = 0; i < DRAWS; i++) {
    assert_in_range(ids[i], 0, TOKENS - 1);
    drawn[ids[i]]++;
  }
  free(ids);
}

/* 19 degrees of freedom: above 50.8 in one of 10 000 cases. Another temperature is told apart. */
static void draws_have_their_distribution(void **state) {
  (void)state;
  float logits[TOKENS];
  double right[TOKENS], wrong[TOKENS];
  int64_t drawn[TOKENS];
  for (int i = 0; i < TOKENS; i++) logits[i] = 1.5f * uniform();
  softmax_of(logits, TOKENS, 0.7, right);
  softmax_of(logits, TOKENS, 0.75, wrong);
  for (uint64_t seed = 1; seed <= 3; seed++) {
    count_draws(logits, &(fh_sampling){.temperature = 0.7f, .seed = seed}, drawn);
    assert_true(chi_square(drawn, right, TOKENS, DRAWS) < 50.8);
    assert_true(chi_square(drawn, wrong, TOKENS, DRAWS) > 50.8);
  }
  /* One row, call after call. */
  memset(drawn, 0, sizeof drawn);
  for (uint64_t offset = 0; offset < 4000; offset++) {
    int32_t id = -1;
    draw_all(logits, TOKENS, 1, &(fh_sampling){.temperature = 0.7f, .seed = 9, .offset = offset}, &id);
    assert_in_range(id, 0, TOKENS - 1);
    drawn[id]++;
  }
  assert_true(chi_square(drawn, right, TOKENS, 4000) < 50.8);
}

/* Probabilities 0.4, 0.3, 0.15, 0.1, 0.05, not in order: what is kept is drawn in its proportion, and nothing else. */
static void top_k_and_top_p_keep_the_most_likely(void **state) {
  (void)state;
  static const double p[5] = {0.1, 0.4, 0.05, 0.3, 0.15};
  static const struct {
    int64_t top_k;
    float top_p;
    double kept[5];
  } ways[] = {
      {2, 0, {0, 0.4, 0, 0.3, 0}},    {0, 0.699f, {0, 0.4, 0, 0.3, 0}}, {0, 0.701f, {0, 0.4, 0, 0.3, 0.15}},
      {3, 0.5f, {0, 0.4, 0, 0.3, 0}}, /* of 0.85 a half: 0.4 is too little */
      {4, 0.3f, {0, 0.4, 0, 0, 0}},   {1, 1, {0, 0.4, 0, 0, 0}},        {99, 1, {0.1, 0.4, 0.05, 0.3, 0.15}},
  };
  float logits[TOKENS];
  int64_t drawn[TOKENS];
  for (int i = 0; i < TOKENS; i++) logits[i] = i < 5 ? (float)log(p[i]) : -INFINITY;
  logits[7] = NAN;
  for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
    double probability[TOKENS] = {0}, sum = 0;
    for (int i = 0; i < 5; i++) sum += ways[w].kept[i];
    for (int i = 0; i < 5; i++) probability[i] = ways[w].kept[i] / sum;
    count_draws(logits, &(fh_sampling){1, ways[w].top_p, ways[w].top_k, 77, w}, drawn);
    assert_true(chi_square(drawn, probability, TOKENS, DRAWS) < 28.5); /* at most 4 degrees of freedom, one of 100 000 */
  }
}

/* Equals with the last that is kept stay, and the greedy choice is the first of equals. */
static void ties_stay(void **state) {
  (void)state;
  static const float logits[TOKENS] = {1, 5, 3, 5, 3, 3, 0};
  int64_t drawn[TOKENS];
  count_draws(logits, &(fh_sampling){.temperature = 100, .top_k = 3, .seed = 5}, drawn);
  for (int i = 0; i < TOKENS; i++) assert_true((drawn[i] > 0) == (logits[i] >= 3));
  count_draws(logits, &(fh_sampling){.seed = 5}, drawn);
  assert_int_equal(drawn[1], DRAWS);
}

/* Philox with the published answers; then equal logits, whose token is the upper bits of the word. */
static uint32_t philox(const uint32_t counter[4], const uint32_t key[2]) {
  uint32_t c[4], k[2] = {key[0], key[1]};
  memcpy(c, counter, sizeof c);
  for (int round = 0; round < 10; round++) {
    const uint64_t a = (uint64_t)c[0] * UINT32_C(0xd2511f53), b = (uint64_t)c[2] * UINT32_C(0xcd9e8d57);
    const uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};
    memcpy(c, next, sizeof c);
    k[0] += UINT32_C(0x9e3779b9);
    k[1] += UINT32_C(0xbb67ae85);
  }
  return c[0];
}

static void numbers_are_those_of_philox(void **state) {
  (void)state;
  static const uint32_t all_ones[] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}, zeros[4] = {0};
  static const uint32_t pi[] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0};
  assert_int_equal(philox(zeros, zeros), UINT32_C(0x6627e8d5));
  assert_int_equal(philox(all_ones, all_ones), UINT32_C(0x408f276d));
  assert_int_equal(philox(pi, pi + 4), UINT32_C(0xd16cfe09));
  enum { N = 4096, ROWS = 5 };
  static const uint64_t seeds[] = {0, 1, UINT64_C(0x299f31d0a4093822), UINT64_MAX},
                        offsets[] = {0, 7, UINT64_C(0x0370734413198a2e), UINT64_MAX};
  static const float equal[N] = {0};
  for (int s = 0; s < 4; s++) {
    for (int o = 0; o < 4; o++) {
      int32_t ids[ROWS];
      draw_all(equal, N, ROWS, &(fh_sampling){.temperature = 1, .seed = seeds[s], .offset = offsets[o]}, ids);
      for (uint32_t r = 0; r < ROWS; r++) {
        const uint32_t counter[] = {r, 0, (uint32_t)offsets[o], (uint32_t)(offsets[o] >> 32)};
        const uint32_t key[] = {(uint32_t)seeds[s], (uint32_t)(seeds[s] >> 32)};
        assert_int_equal(ids[r], philox(counter, key) >> 20);
      }
    }
  }
}

static void sample_refuses(void **state) {
  (void)state;
  static const float logits[6] = {0}, nothing[2] = {-INFINITY, NAN};
  int32_t ids[2];
  fh_view v[] = {wrap(logits, FH_F32, FH_SHAPE(2, 3), FH_READ), wrap(ids, FH_I32, FH_SHAPE(2), FH_WRITE),
                 wrap(logits, FH_F32, FH_SHAPE(2, 0), FH_READ)};
  fh_expect_fails(fh_sample(queue, &v[0], &v[1], &(fh_sampling){.temperature = -1}, NULL), FH_INVALID_ARGUMENT, "temperature is -1");
  fh_expect_fails(fh_sample(queue, &v[0], &v[1], &(fh_sampling){.temperature = NAN}, NULL), FH_INVALID_ARGUMENT, "temperature is nan");
  fh_expect_fails(fh_sample(queue, &v[0], &v[1], &(fh_sampling){.top_p = 1.5f}, NULL), FH_INVALID_ARGUMENT, "top_p is 1.5");
  fh_expect_fails(fh_sample(queue, &v[0], &v[1], &(fh_sampling){.top_k = -2}, NULL), FH_INVALID_ARGUMENT, "top_k is -2");
  fh_expect_fails(fh_sample(queue, &v[2], &v[1], &(fh_sampling){0}, NULL), FH_INVALID_ARGUMENT, "logits has 0 columns");
  fh_expect_fails(fh_sample(queue, &v[0], &v[1], NULL, NULL), FH_INVALID_ARGUMENT, "how is NULL");
  release(v, 3);
  draw_all(nothing, 2, 1, &(fh_sampling){.temperature = 1}, ids);
  assert_int_equal(ids[0], -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(conv_in_pieces),
      cmocka_unit_test(conv_refuses),
      cmocka_unit_test(scan_in_pieces),
      cmocka_unit_test(packed_sequences_do_not_meet),
      cmocka_unit_test(scan_refuses),
      cmocka_unit_test(a_state_may_grow),
      cmocka_unit_test(steps_have_the_bits_of_the_prompt),
      cmocka_unit_test(attention_of_known_weights),
      cmocka_unit_test(attention_refuses),
      cmocka_unit_test(embedding_scales_rows),
      cmocka_unit_test(draws_have_their_distribution),
      cmocka_unit_test(top_k_and_top_p_keep_the_most_likely),
      cmocka_unit_test(ties_stay),
      cmocka_unit_test(numbers_are_those_of_philox),
      cmocka_unit_test(sample_refuses),
  };
  return cmocka_run_group_tests(tests, open_queue, close_context);
}
