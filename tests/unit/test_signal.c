/* Signals through the public calls: tables, pieces against the whole, what a filter does to a tone, refusals.
 * SPDX-License-Identifier: Apache-2.0 */
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

static const double PI = 3.14159265358979323846;

static fh_queue *queue;

static int open_queue(void **state) {
  const int failed = open_context(state);
  queue = fh_context_queue(context);
  return failed;
}

static void fill(float *data, int64_t count) {
  for (int64_t i = 0; i < count; i++) data[i] = uniform();
}
static float *floats(int64_t count) {
  float *data = calloc((size_t)count + 1, sizeof *data);
  assert_non_null(data);
  return data;
}

/* Columns [begin, begin + n) of a row-major matrix. */
static fh_view columns(const float *data, int64_t rows, int64_t width, int64_t begin, int64_t n, fh_access access) {
  fh_view whole = {0}, part = {0};
  FH_EXPECT_OK(fh_view_wrap(context, data, FH_F32, FH_SHAPE(rows, width), FH_ROW_MAJOR, access, &whole));
  FH_EXPECT_OK(fh_view_slice(&whole, 1, begin, n, 1, &part));
  fh_view_release(&whole);
  return part;
}
static fh_view wrap(const void *data, fh_dtype dtype, fh_shape shape, fh_access access) {
  fh_view view = {0};
  FH_EXPECT_OK(fh_view_wrap(context, data, dtype, shape, FH_ROW_MAJOR, access, &view));
  return view;
}
static void release(fh_view *views, int count) {
  for (int i = 0; i < count; i++) fh_view_release(&views[i]);
}

/* ---- tables ---------------------------------------------------------------------------------------- */

static void roots_lie_on_the_circle(void **state) {
  (void)state;
  static const int64_t lengths[] = {1, 2, 3, 4, 5, 12, 400, 405, 512};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    const int64_t n = lengths[i];
    float *table = floats(2 * n);
    FH_EXPECT_OK(fh_fft_table(n, table));
    for (int64_t j = 0; j < n; j++) {
      assert_true(fabs((double)table[2 * j] - cos(2 * PI * (double)j / (double)n)) <= 0x1p-24);
      assert_true(fabs((double)table[2 * j + 1] + sin(2 * PI * (double)j / (double)n)) <= 0x1p-24);
    }
    free(table);
  }
  float unused[2];
  fh_expect_fails(fh_fft_table(7, unused), FH_INVALID_ARGUMENT, "n is 7");
  fh_expect_fails(fh_fft_table(0, unused), FH_INVALID_ARGUMENT, "n is 0");
  fh_expect_fails(fh_fft_table(INT64_C(1) << 17, unused), FH_INVALID_ARGUMENT, "n is 131072");
}

static void a_hann_window_sums_to_half_its_length(void **state) {
  (void)state;
  float w[64];
  double sum = 0;
  FH_EXPECT_OK(fh_hann_window(40, 64, w));
  for (int i = 0; i < 64; i++) sum += (double)w[i];
  assert_true(fabs(sum - 20) < 1e-5);
  assert_true(w[11] == 0 && w[12] == 0 && w[32] == 1 && w[52] == 0);
  fh_expect_fails(fh_hann_window(65, 64, w), FH_INVALID_ARGUMENT, "65");
}

/* The points of the scales are known: 1000 hertz are 15 mel (Slaney) and 1000 mel but for 0.02 (HTK). */
static void mel_bands_are_triangles(void **state) {
  (void)state;
  for (int form = FH_MEL_SLANEY; form <= FH_MEL_HTK; form++) {
    const fh_mel_options o = {.sample_rate = 16000, .n = 4000, .mels = 29, .form = (fh_mel_form)form};
    int64_t width;
    FH_EXPECT_OK(fh_mel_width(&o, &width));
    int32_t bands[58];
    float *weights = floats(29 * width);
    FH_EXPECT_OK(fh_mel_filters(&o, width, bands, weights));
    bool full = false;
    for (int m = 0; m < 29; m++) {
      double area = 0, peak = 0;
      for (int64_t k = 0; k < width; k++) {
        const double w = (double)weights[m * width + k];
        assert_true(w >= 0 && (k < bands[2 * m + 1]) == (w > 0));
        area += 4.0 * w; /* hertz per bin */
        peak = fmax(peak, w);
      }
      full |= bands[2 * m + 1] == width;
      assert_true(bands[2 * m] + bands[2 * m + 1] <= 2001);
      if (form == FH_MEL_SLANEY) assert_true(fabs(area - 1) < 0.01);
      if (form == FH_MEL_HTK) assert_true(peak <= 1 && peak > 0.93);
    }
    assert_true(full);
    fh_expect_fails(fh_mel_filters(&o, width - 1, bands, weights), FH_INVALID_ARGUMENT, "width");
    free(weights);
  }
  /* Two bands from 0 to 2000 hertz: the middle of the first is a third of the way in mel. */
  const double top = 15 + log(2.0) * 27 / log(6.4), third = top / 3 * 200 / 3;
  const fh_mel_options o = {.sample_rate = 4000, .n = 4000, .mels = 2, .form = FH_MEL_SLANEY};
  int64_t width;
  int32_t bands[4];
  FH_EXPECT_OK(fh_mel_width(&o, &width));
  float *weights = floats(2 * width);
  FH_EXPECT_OK(fh_mel_filters(&o, width, bands, weights));
  int64_t best = 0;
  for (int64_t k = 0; k < width; k++) best = weights[k] > weights[best] ? k : best;
  assert_true(fabs((double)(bands[0] + best) - third) <= 1);
  assert_int_equal(bands[2], (int32_t)floor(third) + 1);
  free(weights);
  fh_expect_fails(fh_mel_width(&(fh_mel_options){.sample_rate = 8000, .n = 400, .mels = 40, .high = 4001}, &width), FH_INVALID_ARGUMENT,
                  "half the rate");
  const double wrong[][2] = {{INFINITY, 0}, {NAN, 0}, {8000, NAN}, {8000, -1}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    fh_expect_fails(fh_mel_width(&(fh_mel_options){.sample_rate = wrong[i][0], .n = 400, .mels = 40, .high = wrong[i][1]}, &width),
                    FH_INVALID_ARGUMENT, "half the rate");
  fh_expect_fails(fh_mel_width(NULL, &width), FH_INVALID_ARGUMENT, "options is NULL");
}

/* ---- spectra --------------------------------------------------------------------------------------- */

/* A tone shows in the band that holds its frequency, in every frame. */
static void a_tone_lies_in_its_band(void **state) {
  (void)state;
  enum { N = 400, HOP = 160, MELS = 40, SAMPLES = 8000, FRAMES = 1 + SAMPLES / HOP };
  const double tone = 1234;
  const fh_mel_options o = {.sample_rate = 16000, .n = N, .mels = MELS, .form = FH_MEL_SLANEY};
  int64_t width;
  FH_EXPECT_OK(fh_mel_width(&o, &width));
  int32_t bands[2 * MELS];
  float *weights = floats(MELS * width), *x = floats(SAMPLES), *y = floats(MELS * FRAMES), window[N], table[2 * N];
  FH_EXPECT_OK(fh_mel_filters(&o, width, bands, weights));
  FH_EXPECT_OK(fh_hann_window(N, N, window));
  FH_EXPECT_OK(fh_fft_table(N, table));
  for (int i = 0; i < SAMPLES; i++) x[i] = (float)(0.3 * sin(2 * PI * tone * i / 16000));
  fh_view v[] = {wrap(x, FH_F32, FH_SHAPE(1, SAMPLES), FH_READ),        wrap(window, FH_F32, FH_SHAPE(N), FH_READ),
                 wrap(table, FH_F32, FH_SHAPE(2 * N), FH_READ),         wrap(bands, FH_I32, FH_SHAPE(MELS, 2), FH_READ),
                 wrap(weights, FH_F32, FH_SHAPE(MELS, width), FH_READ), wrap(y, FH_F32, FH_SHAPE(1, MELS, FRAMES), FH_WRITE)};
  FH_EXPECT_OK(fh_log_mel(queue, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], HOP, FH_PAD_REFLECT, 1e-10, 10, NULL));
  FH_EXPECT_OK(fh_view_sync(&v[5]));
  for (int f = 3; f < FRAMES - 3; f++) {
    int best = 0;
    for (int m = 0; m < MELS; m++) best = y[m * FRAMES + f] > y[best * FRAMES + f] ? m : best;
    const double from = bands[2 * best] * 40.0 - 40, to = from + (bands[2 * best + 1] + 1) * 40.0;
    assert_true(from < tone && tone < to);
    assert_true(y[(MELS - 1) * FRAMES + f] < y[best * FRAMES + f] - 60); /* decibels, 6 kHz away */
  }
  fh_expect_fails(fh_log_mel(queue, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], HOP, FH_PAD_NONE, 1e-10, 1, NULL), FH_INVALID_ARGUMENT,
                  "at most 48");
  fh_expect_fails(fh_log_mel(queue, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], 0, FH_PAD_NONE, 1e-10, 1, NULL), FH_INVALID_ARGUMENT,
                  "hop is 0");
  fh_expect_fails(fh_log_mel(queue, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], HOP, FH_PAD_REFLECT, 0, 1, NULL), FH_INVALID_ARGUMENT,
                  "floor is 0");
  release(v, 6);
  free(weights);
  free(x);
  free(y);
}

static void lengths_with_other_factors_are_refused(void **state) {
  (void)state;
  float x[14] = {0}, table[28] = {0}, y[16] = {0};
  fh_view v[] = {wrap(x, FH_F32, FH_SHAPE(1, 14), FH_READ), wrap(table, FH_F32, FH_SHAPE(28), FH_READ),
                 wrap(y, FH_F32, FH_SHAPE(1, 8, 2), FH_WRITE)};
  fh_expect_fails(fh_fft(queue, &v[0], &v[1], &v[2], NULL), FH_INVALID_ARGUMENT, "n = 14");
  release(v, 3);
}

/* Few rows of some lengths share their lanes, many have one each; the bits may not depend on it. */
static void a_row_alone_has_the_bits_of_one_among_many(void **state) {
  (void)state;
  static const int64_t lengths[] = {512, 576, 800, 1024};
  enum { MANY = 17 };
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    const int64_t n = lengths[i], wide = n / 2 + 1;
    float *x = floats(MANY * n), *table = floats(2 * n), *many = floats(MANY * 2 * wide), *one = floats(2 * wide);
    fill(x, MANY * n);
    for (int64_t j = 0; j < n; j += 7) x[j] = j % 2 ? -0.0f : 0.0f;
    FH_EXPECT_OK(fh_fft_table(n, table));
    fh_view v[] = {wrap(x, FH_F32, FH_SHAPE(MANY, n), FH_READ), wrap(table, FH_F32, FH_SHAPE(2 * n), FH_READ),
                   wrap(many, FH_F32, FH_SHAPE(MANY, wide, 2), FH_WRITE), wrap(x, FH_F32, FH_SHAPE(1, n), FH_READ),
                   wrap(one, FH_F32, FH_SHAPE(1, wide, 2), FH_WRITE)};
    FH_EXPECT_OK(fh_fft(queue, &v[0], &v[1], &v[2], NULL));
    FH_EXPECT_OK(fh_fft(queue, &v[3], &v[1], &v[4], NULL));
    FH_EXPECT_OK(fh_view_sync(&v[2]));
    FH_EXPECT_OK(fh_view_sync(&v[4]));
    assert_memory_equal(one, many, (size_t)(2 * wide) * sizeof *one);
    release(v, 5);
    free(x);
    free(table);
    free(many);
    free(one);
  }
}

/* ---- filters --------------------------------------------------------------------------------------- */

enum { CHANNELS = 18, LENGTH = 1500, SECTIONS = 3, TAPS = 37 };

static void run_biquad(const float *x, const float *sections, float *state, float *y, int64_t begin, int64_t n) {
  fh_view one = wrap(sections, FH_F32, FH_SHAPE(CHANNELS, SECTIONS, 5), FH_READ);
  fh_view v[] = {columns(x, CHANNELS, LENGTH, begin, n, FH_READ), one, wrap(state, FH_F32, FH_SHAPE(CHANNELS, SECTIONS, 2), FH_READ_WRITE),
                 columns(y, CHANNELS, LENGTH, begin, n, FH_WRITE)};
  FH_EXPECT_OK(fh_biquad(queue, &v[0], &v[1], &v[2], &v[3], NULL));
  FH_EXPECT_OK(fh_view_sync(&v[2]));
  FH_EXPECT_OK(fh_view_sync(&v[3]));
  release(v, 4);
}

static void run_fir(const float *x, const float *taps, float *state, float *y, int64_t begin, int64_t n) {
  fh_view v[] = {columns(x, CHANNELS, LENGTH, begin, n, FH_READ), wrap(taps, FH_F32, FH_SHAPE(TAPS), FH_READ),
                 wrap(state, FH_F32, FH_SHAPE(CHANNELS, TAPS - 1), FH_READ_WRITE), columns(y, CHANNELS, LENGTH, begin, n, FH_WRITE)};
  FH_EXPECT_OK(fh_fir(queue, &v[0], &v[1], &v[2], &v[3], NULL));
  FH_EXPECT_OK(fh_view_sync(&v[2]));
  FH_EXPECT_OK(fh_view_sync(&v[3]));
  release(v, 4);
}

typedef void run_fn(const float *x, const float *coefficients, float *state, float *y, int64_t begin, int64_t n);

/* A signal in pieces of all sizes, 1 among them, gives the bits of the whole, and the same state. */
static void pieces_give_the_whole(run_fn *run, const float *coefficients, int64_t states) {
  const size_t bytes = CHANNELS * LENGTH * sizeof(float), state_bytes = (size_t)states * sizeof(float);
  float *x = floats(CHANNELS * LENGTH), *whole = floats(CHANNELS * LENGTH), *pieces = floats(CHANNELS * LENGTH);
  float *whole_state = floats(states), *state = floats(states);
  fill(x, CHANNELS * LENGTH);
  run(x, coefficients, whole_state, whole, 0, LENGTH);
  static const int64_t sizes[] = {1, 1, 2, 5, 16, 17, 36, 37, 64, 100, 128, 129, 3};
  int64_t begin = 0;
  for (size_t i = 0; begin < LENGTH; i++) {
    const int64_t size = sizes[i % (sizeof sizes / sizeof *sizes)], n = size < LENGTH - begin ? size : LENGTH - begin;
    run(x, coefficients, state, pieces, begin, n);
    begin += n;
  }
  assert_memory_equal(whole, pieces, bytes);
  assert_memory_equal(whole_state, state, state_bytes);

  /* A NaN spoils its own channel from where it is, and no other. */
  x[4 * LENGTH + 700] = NAN;
  memset(state, 0, state_bytes);
  run(x, coefficients, state, pieces, 0, LENGTH);
  for (int64_t i = 0; i < (int64_t)CHANNELS * LENGTH; i++) {
    if (i < 4 * LENGTH + 700 || i >= 5 * LENGTH) assert_true(pieces[i] == whole[i]);
  }
  assert_true(isnan(pieces[4 * LENGTH + 700]));
  free(x);
  free(whole);
  free(pieces);
  free(whole_state);
  free(state);
}

static void biquad_in_pieces(void **state) {
  (void)state;
  float sections[CHANNELS * SECTIONS * 5];
  for (int i = 0; i < CHANNELS * SECTIONS; i++) {
    const double radius = 0.8 + 0.15 * (double)uniform(), angle = 1.5 + (double)uniform();
    const float k[] = {uniform(), uniform(), uniform(), (float)(-2 * radius * cos(angle)), (float)(radius * radius)};
    memcpy(sections + (ptrdiff_t)5 * i, k, sizeof k);
  }
  pieces_give_the_whole(run_biquad, sections, (int64_t)CHANNELS * SECTIONS * 2);
}

static void fir_in_pieces(void **state) {
  (void)state;
  float taps[TAPS];
  fill(taps, TAPS);
  pieces_give_the_whole(run_fir, taps, (int64_t)CHANNELS * (TAPS - 1));
}

/* ---- other sampling rates --------------------------------------------------------------------------- */

/* `m` outputs from `n` samples. */
static void run_resample(const fh_resampling *r, const float *taps, const float *x, int64_t n, int64_t first, float *y, int64_t m) {
  fh_view v[] = {wrap(x, FH_F32, FH_SHAPE(1, n), FH_READ), wrap(taps, FH_F32, FH_SHAPE(r->up, r->taps), FH_READ),
                 wrap(y, FH_F32, FH_SHAPE(1, m), FH_WRITE)};
  FH_EXPECT_OK(fh_resample(queue, &v[0], &v[1], &v[2], r->down, first, NULL));
  FH_EXPECT_OK(fh_view_sync(&v[2]));
  release(v, 3);
}

static void a_tone_stays_a_tone(void **state) {
  (void)state;
  static const int64_t rates[][2] = {{48000, 16000}, {16000, 48000}, {44100, 16000}, {44100, 48000}, {8000, 8000}};
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
    fh_resampling r;
    FH_EXPECT_OK(fh_resampling_of(rates[i][0], rates[i][1], 16, &r));
    const int64_t n = 3000, m = (n * r.up + r.down - 1) / r.down;
    float *taps = floats(r.up * r.taps), *x = floats(n), *y = floats(m);
    FH_EXPECT_OK(fh_resampling_taps(&r, 9, taps));
    for (int64_t j = 0; j < n; j++) x[j] = (float)sin(2 * PI * 900 * (double)j / (double)rates[i][0]);
    run_resample(&r, taps, x, n, r.half, y, m);
    const int64_t margin = r.taps * r.up / r.down + 1;
    for (int64_t j = margin; j < m - margin; j++)
      assert_true(fabs((double)y[j] - sin(2 * PI * 900 * (double)j / (double)rates[i][1])) < 2e-3);

    /* In pieces of `step` outputs, each with the samples it needs and no others. */
    float *pieces = floats(m);
    const int64_t step = 61;
    for (int64_t begin = 0; begin < m; begin += step) {
      const int64_t count = step < m - begin ? step : m - begin, position = r.half + begin * r.down;
      const int64_t newest = (r.half + (begin + count - 1) * r.down) / r.up, oldest = position / r.up - r.taps + 1;
      const int64_t from = oldest > 0 ? oldest : 0, to = newest < n - 1 ? newest : n - 1;
      if (to < from) continue;
      run_resample(&r, taps, x + from, to - from + 1, position - from * r.up, pieces + begin, count);
    }
    assert_memory_equal(y, pieces, (size_t)m * sizeof *y);
    free(pieces);
    free(taps);
    free(x);
    free(y);
  }
  fh_resampling r;
  fh_expect_fails(fh_resampling_of(0, 8000, 10, &r), FH_INVALID_ARGUMENT, "from 0");
  FH_EXPECT_OK(fh_resampling_of(48000, 16000, 10, &r));
  assert_true(r.up == 1 && r.down == 3 && r.half == 30 && r.taps == 61);
  float taps[61], x[10] = {0}, y[40] = {0};
  FH_EXPECT_OK(fh_resampling_taps(&r, 5, taps));
  fh_expect_fails(fh_resampling_taps(NULL, 5, taps), FH_INVALID_ARGUMENT, "NULL");
  fh_expect_fails(fh_resampling_taps(&(fh_resampling){.up = 1, .down = 1, .half = INT64_MAX / 2 + 5, .taps = 3}, 5, taps),
                  FH_INVALID_ARGUMENT, "fh_resampling_of");
  fh_view v[] = {wrap(x, FH_F32, FH_SHAPE(1, 10), FH_READ), wrap(taps, FH_F32, FH_SHAPE(1, 61), FH_READ),
                 wrap(y, FH_F32, FH_SHAPE(1, 40), FH_WRITE)};
  fh_expect_fails(fh_resample(queue, &v[0], &v[1], &v[2], 3, 0, NULL), FH_INVALID_ARGUMENT, "would need x[117]");
  fh_expect_fails(fh_resample(queue, &v[0], &v[1], &v[2], 0, 0, NULL), FH_INVALID_ARGUMENT, "down is 0");
  release(v, 3);
}

/* Shapes whose copies of the ends do not fit an address space: refused, not wrapped round. */
static void scratch_that_cannot_be_is_refused(void **state) {
  (void)state;
  const int64_t many = INT64_C(1) << 40;
  const fh_kernel *kernel;
  char *text = NULL;
  const fh_view_spec resample[] = {{FH_F32, FH_SHAPE(many, 1)}, {FH_F32, FH_SHAPE(1, INT32_MAX)}, {FH_F32, FH_SHAPE(many, 1)}};
  FH_EXPECT_OK(fh_kernel_find("resample", &kernel));
  fh_expect_fails(fh_explain_shapes(queue, kernel, resample, 3, (fh_param_value[]){{.i = 1}, {.i = 0}}, 2, false, &text),
                  FH_INVALID_ARGUMENT, "scratch");
  const fh_view_spec fir[] = {{FH_F32, FH_SHAPE(many, 1 << 21)},
                              {FH_F32, FH_SHAPE(1 << 21)},
                              {FH_F32, FH_SHAPE(many, (1 << 21) - 1)},
                              {FH_F32, FH_SHAPE(many, 1 << 21)}};
  FH_EXPECT_OK(fh_kernel_find("fir", &kernel));
  fh_expect_fails(fh_explain_shapes(queue, kernel, fir, 4, NULL, 0, false, &text), FH_INVALID_ARGUMENT, "scratch");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scratch_that_cannot_be_is_refused),
      cmocka_unit_test(roots_lie_on_the_circle),
      cmocka_unit_test(a_hann_window_sums_to_half_its_length),
      cmocka_unit_test(mel_bands_are_triangles),
      cmocka_unit_test(a_tone_lies_in_its_band),
      cmocka_unit_test(lengths_with_other_factors_are_refused),
      cmocka_unit_test(a_row_alone_has_the_bits_of_one_among_many),
      cmocka_unit_test(biquad_in_pieces),
      cmocka_unit_test(fir_in_pieces),
      cmocka_unit_test(a_tone_stays_a_tone),
  };
  return cmocka_run_group_tests(tests, open_queue, close_context);
}
