/* The link of a device: guessed, calibrated for the profile, measured by copies, and told in a decision.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes cross=no */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "runtime/plan/calibrate.h"
#include "runtime/plan/profile.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/folder.h"

static bool about(double got, double want) { return got > 0.98 * want && got < 1.02 * want; }

/* ---- figures ---------------------------------------------------------------------------------------------------- */

static void from_a_guess_over_the_profile_to_measurements(void) {
  fh_plan_device device = {.info = {.link_bytes_per_s = 5e9, .launch_s = 7e-6}};
  fh_cost_source source;
  assert_true(about(fh_link_seconds(&device, FH_TO_DEVICE, 5e9, 1, &source), 1));
  assert_int_equal(source, FH_COST_GUESS);
  fh_link_calibrate(&device, FH_TO_DEVICE, 1e-5, 10e9);
  assert_true(about(fh_link_seconds(&device, FH_TO_DEVICE, 5e9, 1, &source), 0.5));
  assert_int_equal(source, FH_COST_CALIBRATED);
  assert_int_equal(fh_link_of(&device, FH_FROM_DEVICE).bandwidth_source, FH_COST_GUESS); /* each way by itself */
  const size_t large = 64 << 20;
  for (int i = 0; i < 3; i++) fh_link_sample(&device, FH_TO_DEVICE, large, 1e-5 + (double)large / 20e9);
  const fh_link_figures figures = fh_link_of(&device, FH_TO_DEVICE);
  assert_true(about(figures.bytes_per_s, 20e9));
  assert_int_equal(figures.bandwidth_source, FH_COST_MEASURED);
  assert_int_equal(figures.latency_source, FH_COST_CALIBRATED); /* nothing short was copied */
  fh_link_seconds(&device, FH_TO_DEVICE, 100, 1, &source);
  assert_int_equal(source, FH_COST_CALIBRATED); /* the latency is what matters */
  for (int i = 0; i < 3; i++) fh_link_sample(&device, FH_TO_DEVICE, 4096, 3e-6);
  assert_true(fh_link_of(&device, FH_TO_DEVICE).latency_s < 3e-6);
  assert_true(fh_link_seconds(&device, FH_TO_DEVICE, 0, 0, &source) == 0);
}

static void one_spike_moves_nothing(void) {
  fh_plan_device device = {.info = {.link_bytes_per_s = 5e9}};
  const size_t large = 64 << 20;
  for (int i = 0; i < 7; i++) fh_link_sample(&device, FH_FROM_DEVICE, large, i == 3 ? 10 : (double)large / 20e9);
  assert_true(about(fh_link_of(&device, FH_FROM_DEVICE).bytes_per_s, 20e9));
}

/* A bandwidth that is far off must not make a latency below zero, nor the other way round. */
static void nonsense_stays_positive(void) {
  fh_plan_device device = {.info = {.link_bytes_per_s = 1, .launch_s = 100}};
  for (int i = 0; i < 4; i++) fh_link_sample(&device, FH_TO_DEVICE, 4096, 1e-6);
  for (int i = 0; i < 4; i++) fh_link_sample(&device, FH_TO_DEVICE, 4 << 20, 1e-3);
  const fh_link_figures figures = fh_link_of(&device, FH_TO_DEVICE);
  assert_true(figures.latency_s > 0 && figures.latency_s <= 1e-6);
  assert_true(figures.bytes_per_s > 1e9 && figures.bytes_per_s < 10e9);
}

/* ---- on the stand-in -------------------------------------------------------------------------------------------- */

static fh_context *open_stand_in(void) {
  fh_context *context;
  setenv("FOGHORN_VERIFY", "off", 1);
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cuda:0,cpu", .allow_fake = true}, &context));
  return context;
}

static char *decision(fh_context *context, bool json) {
  const fh_kernel *kernel;
  const fh_view_spec specs[] = {{FH_F32, FH_SHAPE(1 << 20)}, {FH_F32, FH_SHAPE(1 << 20)}};
  const fh_param_value factor = {.f = 2};
  char *text;
  FH_EXPECT_OK(fh_kernel_find("axpy", &kernel));
  FH_EXPECT_OK(fh_explain_shapes(fh_context_queue(context), kernel, specs, 2, &factor, 1, json, &text));
  return text;
}

static void expect(fh_context *context, bool json, const char *words) {
  char *text = decision(context, json);
  if (!strstr(text, words)) fail_msg("'%s' is not in\n%s", words, text);
  free(text);
}

static void calibrated_kept_and_told(void) {
  folder cache;
  folder_make(&cache);
  setenv("FOGHORN_CACHE_DIR", folder_at(&cache, "c"), 1);
  fh_context *context = open_stand_in();
  expect(context, false, "8.39 MB there at 6 GB/s (a guess), 4.19 MB back at 6 GB/s (a guess)");
  fh_calibration done;
  FH_EXPECT_OK(fh_calibrate(context, &(fh_calibration_options){.kernel = "axpy", .seconds = 4}, &done));
  assert_int_equal(done.links, 1);
  FH_EXPECT_OK(fh_profile_save(context));
  fh_context_release(context);
  context = open_stand_in(); /* another process would read the same */
  expect(context, false, "GB/s (calibrated), 4.19 MB back");
  expect(context, true, "\"bandwidth\": \"calibrated\"");
  const fh_link_figures to = fh_link_of(&context->devices[fh_device_named(context, "cuda:0")], FH_TO_DEVICE);
  assert_true(to.latency_s >= 0.002); /* the stand-in's delay */
  context->devices[fh_device_named(context, "cuda:0")].state = FH_STATE_REJECTED;
  FH_EXPECT_OK(fh_calibrate(context, &(fh_calibration_options){.kernel = "axpy", .seconds = 0.01}, &done));
  assert_int_equal(done.links, 0); /* it is known from before, and was not measured */
  context->devices[fh_device_named(context, "cuda:0")].state = FH_STATE_OPEN;
  FH_EXPECT_OK(fh_profile_save(context)); /* what was not measured now is kept */
  fh_context_release(context);
  context = open_stand_in();
  expect(context, false, "GB/s (calibrated), 4.19 MB back");
  fh_context_release(context);
  folder_remove(&cache);
}

static void learnt_from_launches(void) {
  setenv("FOGHORN_CACHE_DIR", "", 1);
  fh_context *context = open_stand_in();
  for (int i = 0; i < 3; i++) {
    fh_view x, y;
    FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(1 << 20), FH_ROW_MAJOR, &x));
    FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(1 << 20), FH_ROW_MAJOR, &y));
    FH_EXPECT_OK(fh_axpy(fh_context_queue(context), 1, &x, &y, NULL));
    FH_EXPECT_OK(fh_view_sync(&y));
    fh_view_release(&x);
    fh_view_release(&y);
  }
  expect(context, false, "GB/s (measured), 4.19 MB back");
  expect(context, true, "\"bandwidth\": \"measured\"");
  fh_context_release(context);
}

/* Operands that are there need not move; results that are only there must come home for the CPU. */
static void residency_is_told(void) {
  setenv("FOGHORN_CACHE_DIR", "", 1);
  fh_context *context = open_stand_in();
  fh_view x, y;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(1 << 20), FH_ROW_MAJOR, &x));
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(1 << 20), FH_ROW_MAJOR, &y));
  FH_EXPECT_OK(fh_axpy(fh_context_queue(context), 1, &x, &y, NULL));
  const fh_kernel *kernel;
  FH_EXPECT_OK(fh_kernel_find("axpy", &kernel));
  const fh_view *views[] = {&x, &y};
  const fh_param_value factor = {.f = 2};
  char *text;
  FH_EXPECT_OK(fh_explain(fh_context_queue(context), kernel, views, 2, &factor, 1, false, &text));
  if (!strstr(text, "all inputs are there, 4.19 MB back")) fail_msg("%s", text);
  if (!strstr(text, "4.19 MB that are on a device only")) fail_msg("%s", text);
  free(text);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

int main(int argc, char **argv) {
  (void)argc;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  if (!images[0].ptx) {
    printf("NOT RUN: this build has no PTX: %s\n", images[0].ptx_missing);
    return 77;
  }
  static const fh_cuda_case cases[] = {
      {.name = "from a guess over the profile to measurements", .run = from_a_guess_over_the_profile_to_measurements},
      {.name = "one spike moves nothing", .run = one_spike_moves_nothing},
      {.name = "nonsense stays positive", .run = nonsense_stays_positive},
      {.name = "calibrated, kept and told", .settings = "devices=1,memory=256MiB,delay=0.002", .run = calibrated_kept_and_told},
      {.name = "learnt from launches", .settings = "devices=1,memory=256MiB", .run = learnt_from_launches},
      {.name = "residency is told", .settings = "devices=1,memory=256MiB", .run = residency_is_told},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof cases[0]));
}
