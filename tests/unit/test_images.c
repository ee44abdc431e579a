/* Images through the public call: known pictures, strides, messages. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <foghorn/foghorn.h>

#include "tests/support/cpu_context.h"

static fh_view image(void *data, fh_dtype type, int64_t h, int64_t w, int64_t c, fh_access access) {
  fh_view view;
  FH_EXPECT_OK(fh_view_wrap(context, data, type, FH_SHAPE(1, h, w, c), FH_ROW_MAJOR, access, &view));
  return view;
}

/* y (ho, wo, c) from x (h, w, c). */
static void resize(fh_dtype type, const void *x, int64_t h, int64_t w, int64_t c, fh_resize_method method, void *y, int64_t ho,
                   int64_t wo) {
  fh_view from = image((void *)x, type, h, w, c, FH_READ), to = image(y, type, ho, wo, c, FH_WRITE);
  FH_EXPECT_OK(fh_resize(fh_context_queue(context), &from, method, &to, NULL));
  FH_EXPECT_OK(fh_queue_finish(fh_context_queue(context)));
  fh_view_release(&from);
  fh_view_release(&to);
}

static void expect_floats(const float *got, const float *want, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (got[i] != want[i]) fail_msg("element %zu is %.9g, expected %.9g", i, (double)got[i], (double)want[i]);
}

static void half_pixel_centres(void **state) {
  (void)state;
  const float x[] = {0, 4}, want[] = {0, 1, 3, 4};
  float y[4];
  resize(FH_F32, x, 1, 2, 1, FH_RESIZE_BILINEAR, y, 1, 4);
  expect_floats(y, want, 4);
  const float tall[] = {1, 9, 5}, middle[] = {9};
  resize(FH_F32, tall, 3, 1, 1, FH_RESIZE_BILINEAR, y, 1, 1);
  expect_floats(y, middle, 1);
}

static void area_is_the_mean(void **state) {
  (void)state;
  const float x[] = {1, 2, 3, 4, 5, 6, 7, 8}, halves[] = {3.5f, 5.5f};
  float y[4];
  resize(FH_F32, x, 2, 4, 1, FH_RESIZE_AREA, y, 1, 2);
  expect_floats(y, halves, 2);
  resize(FH_F32, (const float[]){1, 2, 3}, 1, 3, 1, FH_RESIZE_AREA, y, 1, 3);
  expect_floats(y, (const float[]){1, 2, 3}, 3);
  resize(FH_F32, (const float[]){1, 3}, 1, 2, 1, FH_RESIZE_AREA, y, 1, 3); /* the middle one covers a third of both */
  expect_floats(y, (const float[]){1, 2, 3}, 3);
}

static void bytes_are_rounded(void **state) {
  (void)state;
  const uint8_t x[] = {0, 255, 255, 255, 10, 11, 254, 255}; /* four pixels of two channels */
  uint8_t y[2];
  resize(FH_U8, x, 2, 2, 2, FH_RESIZE_AREA, y, 1, 1);
  assert_int_equal(y[0], 130); /* 519 / 4 */
  assert_int_equal(y[1], 194); /* (255 + 255 + 11 + 255) / 4 */
  const uint8_t white[] = {255, 255, 255};
  uint8_t wider[101];
  resize(FH_U8, white, 1, 3, 1, FH_RESIZE_BILINEAR, wider, 1, 101);
  for (size_t i = 0; i < sizeof wider; i++) assert_int_equal(wider[i], 255);
}

static void the_same_size_is_a_copy(void **state) {
  (void)state;
  float x[5 * 7 * 3], y[5 * 7 * 3];
  for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = (float)(i * i % 101) / 7;
  for (int method = FH_RESIZE_BILINEAR; method <= (int)FH_RESIZE_AREA; method++) {
    memset(y, 0, sizeof y);
    resize(FH_F32, x, 5, 7, 3, (fh_resize_method)method, y, 5, 7);
    expect_floats(y, x, sizeof x / sizeof *x);
  }
}

/* Planes, whose channels lie apart, give the same numbers as pixels. */
static void planes(void **state) {
  (void)state;
  float pixels[6 * 8 * 3], apart[3 * 6 * 8], from_pixels[4 * 5 * 3], from_planes[4 * 5 * 3];
  for (int i = 0; i < 6 * 8 * 3; i++) pixels[i] = apart[i % 3 * 48 + i / 3] = (float)(i * 37 % 64);
  resize(FH_F32, pixels, 6, 8, 3, FH_RESIZE_BILINEAR, from_pixels, 4, 5);
  fh_view whole, half, turned, to = image(from_planes, FH_F32, 4, 5, 3, FH_WRITE);
  FH_EXPECT_OK(fh_view_wrap(context, apart, FH_F32, FH_SHAPE(1, 3, 6, 8), FH_ROW_MAJOR, FH_READ, &whole));
  FH_EXPECT_OK(fh_view_transpose(&whole, 1, 2, &half));
  FH_EXPECT_OK(fh_view_transpose(&half, 2, 3, &turned));
  FH_EXPECT_OK(fh_resize(fh_context_queue(context), &turned, FH_RESIZE_BILINEAR, &to, NULL));
  FH_EXPECT_OK(fh_queue_finish(fh_context_queue(context)));
  expect_floats(from_planes, from_pixels, 4 * 5 * 3);
  fh_view_release(&to);
  fh_view *all[] = {&turned, &half, &whole};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) fh_view_release(all[i]);
}

static void refusals(void **state) {
  (void)state;
  float x[12] = {0}, y[12];
  uint8_t bytes[12];
  fh_view from = image(x, FH_F32, 2, 2, 3, FH_READ), to = image(y, FH_F32, 2, 2, 3, FH_WRITE);
  fh_view two = image(y, FH_F32, 2, 2, 2, FH_WRITE), other = image(bytes, FH_U8, 2, 2, 3, FH_WRITE);
  fh_view none = image(x, FH_F32, 0, 2, 3, FH_READ);
  fh_expect_fails(fh_resize(fh_context_queue(context), &from, FH_RESIZE_BILINEAR, &other, NULL), FH_INVALID_ARGUMENT,
                  "expected f32 or u8, and the same of both");
  fh_expect_fails(fh_resize(fh_context_queue(context), &from, FH_RESIZE_BILINEAR, &two, NULL), FH_INVALID_ARGUMENT, "with c = 3 as in x");
  fh_expect_fails(fh_resize(fh_context_queue(context), &from, (fh_resize_method)7, &to, NULL), FH_INVALID_ARGUMENT, "method is 7");
  fh_expect_fails(fh_resize(fh_context_queue(context), &none, FH_RESIZE_AREA, &to, NULL), FH_INVALID_ARGUMENT, "holds no pixel");
  fh_expect_fails(fh_resize(fh_context_queue(context), NULL, FH_RESIZE_AREA, &to, NULL), FH_INVALID_ARGUMENT, "NULL");
  fh_view *all[] = {&from, &to, &two, &other, &none};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) fh_view_release(all[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(half_pixel_centres),      cmocka_unit_test(area_is_the_mean), cmocka_unit_test(bytes_are_rounded),
      cmocka_unit_test(the_same_size_is_a_copy), cmocka_unit_test(planes),           cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
