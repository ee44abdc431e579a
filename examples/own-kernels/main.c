/* Three kernels that the library does not have, registered and called by name. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <foghorn/foghorn.h>

FH_DECLARE_KERNEL(mandelbrot);
FH_DECLARE_KERNEL(edit_distance);
FH_DECLARE_KERNEL(dtw);

static fh_status register_all(void) {
  FH_TRY(fh_kernel_register(&fh_module_mandelbrot, NULL));
  FH_TRY(fh_kernel_register(&fh_module_edit_distance, NULL));
  return fh_kernel_register(&fh_module_dtw, NULL);
}

/* A launch by name; the parameter, where the kernel has one. */
static fh_status run(fh_context *context, const char *name, const fh_view *const *views, int count, const fh_param_value *param) {
  const fh_kernel *kernel;
  FH_TRY(fh_kernel_find(name, &kernel));
  return fh_launch(fh_context_queue(context), kernel, views, count, param, param ? 1 : 0, NULL);
}

static fh_status draw(fh_context *context) {
  enum { HEIGHT = 11, WIDTH = 40 };
  static float re[HEIGHT][WIDTH], im[HEIGHT][WIDTH], steps[HEIGHT][WIDTH];
  fh_auto(fh_view) r = {0}, i = {0}, s = {0};
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x++) re[y][x] = -2.0f + 0.0625f * (float)x, im[y][x] = 0.25f * (float)(y - HEIGHT / 2);
  FH_TRY(fh_view_wrap(context, re, FH_F32, FH_SHAPE(HEIGHT, WIDTH), FH_ROW_MAJOR, FH_READ, &r));
  FH_TRY(fh_view_wrap(context, im, FH_F32, FH_SHAPE(HEIGHT, WIDTH), FH_ROW_MAJOR, FH_READ, &i));
  FH_TRY(fh_view_wrap(context, steps, FH_F32, FH_SHAPE(HEIGHT, WIDTH), FH_ROW_MAJOR, FH_WRITE, &s));
  FH_TRY(run(context, "mandelbrot", (const fh_view *[]){&r, &i, &s}, 3, &(fh_param_value){.i = 32}));
  FH_TRY(fh_view_sync(&s));
  for (int y = 0; y < HEIGHT; y++) {
    char line[WIDTH + 1] = "";
    for (int x = 0; x < WIDTH; x++) line[x] = steps[y][x] >= 32 ? '#' : steps[y][x] > 4 ? '.' : ' ';
    puts(line);
  }
  return FH_OK;
}

static fh_status compare_words(fh_context *context) {
  enum { PAIRS = 4, LONGEST = 8 };
  static const char a[PAIRS][LONGEST] = {"kitten", "foghorn", "", "same"}, b[PAIRS][LONGEST] = {"sitting", "leghorn", "abc", "same"};
  int32_t lengths_a[PAIRS], lengths_b[PAIRS], distances[PAIRS];
  fh_auto(fh_view) words_a = {0}, words_b = {0}, la = {0}, lb = {0}, d = {0};
  for (int i = 0; i < PAIRS; i++) lengths_a[i] = (int32_t)strlen(a[i]), lengths_b[i] = (int32_t)strlen(b[i]);
  FH_TRY(fh_view_wrap(context, a, FH_U8, FH_SHAPE(PAIRS, LONGEST), FH_ROW_MAJOR, FH_READ, &words_a));
  FH_TRY(fh_view_wrap(context, lengths_a, FH_I32, FH_SHAPE(PAIRS), FH_ROW_MAJOR, FH_READ, &la));
  FH_TRY(fh_view_wrap(context, b, FH_U8, FH_SHAPE(PAIRS, LONGEST), FH_ROW_MAJOR, FH_READ, &words_b));
  FH_TRY(fh_view_wrap(context, lengths_b, FH_I32, FH_SHAPE(PAIRS), FH_ROW_MAJOR, FH_READ, &lb));
  FH_TRY(fh_view_wrap(context, distances, FH_I32, FH_SHAPE(PAIRS), FH_ROW_MAJOR, FH_WRITE, &d));
  FH_TRY(run(context, "edit_distance", (const fh_view *[]){&words_a, &la, &words_b, &lb, &d}, 5, NULL));
  FH_TRY(fh_view_sync(&d));
  for (int i = 0; i < PAIRS; i++) printf("\"%s\" and \"%s\": %d\n", a[i], b[i], (int)distances[i]);
  return FH_OK;
}

static fh_status warp(fh_context *context) {
  enum { N = 6, M = 8 };
  static const float x[N] = {0, 1, 2, 3, 2, 0}, y[M] = {0, 0, 1, 2, 2, 3, 2, 1};
  float distance = -1;
  fh_auto(fh_view) a = {0}, b = {0}, d = {0};
  FH_TRY(fh_view_wrap(context, x, FH_F32, FH_SHAPE(1, N), FH_ROW_MAJOR, FH_READ, &a));
  FH_TRY(fh_view_wrap(context, y, FH_F32, FH_SHAPE(1, M), FH_ROW_MAJOR, FH_READ, &b));
  FH_TRY(fh_view_wrap(context, &distance, FH_F32, FH_SHAPE(1), FH_ROW_MAJOR, FH_WRITE, &d));
  FH_TRY(run(context, "dtw", (const fh_view *[]){&a, &b, &d}, 3, &(fh_param_value){.i = 0}));
  FH_TRY(fh_view_sync(&d));
  printf("warped distance %g\n", (double)distance);
  return FH_OK;
}

static fh_status run_all(void) {
  fh_auto(fh_context) *context = NULL;
  FH_TRY(register_all());
  FH_TRY(fh_context_create(NULL, &context));
  FH_TRY(draw(context));
  FH_TRY(compare_words(context));
  return warp(context);
}

int main(void) {
  fh_status status = run_all();
  if (status) fprintf(stderr, "%s\n", fh_status_message(status));
  const int failed = status != FH_OK;
  fh_status_free(status);
  return failed;
}
