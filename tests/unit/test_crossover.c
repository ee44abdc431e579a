/* From which size on another device is chosen, and what would be with another link. SPDX-License-Identifier: Apache-2.0
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

#include "runtime/plan/crossover.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"

enum { D = 1024 };

static fh_context *context;
static fh_call call;
static uint32_t cut;

/* A product of rows with a square matrix, as shapes; a CPU and devices whose speeds are set and not guessed. */
static void begin_with(const char *links, double byte_s, const double flop_s[3]) {
  setenv("FOGHORN_VERIFY", "off", 1);
  setenv("FOGHORN_CACHE_DIR", "", 1);
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.allow_fake = true, .numerics = FH_EXACT}, &context));
  const fh_kernel *kernel;
  FH_EXPECT_OK(fh_kernel_find("matmul", &kernel));
  call = (fh_call){.image = fh_kernel_image_of(kernel), .view_count = 3};
  call.kernel = fh_kernel_slot(call.image);
  fh_plan_kernel *variants;
  FH_EXPECT_OK(fh_plan_kernel_of(context, call.image, &variants));
  for (int v = 0; v < 3; v++) call.descs[v] = (fh_view_desc){.dtype = FH_F32, .rank = 2, .shape = {v == 1 ? D : 8, D}, .strides = {D, 1}};
  FH_EXPECT_OK(fh_call_cut(&call));
  assert_int_equal(fh_call_rows(&call, &cut), 8);
  for (int i = 0; i < variants->count; i++) {
    fh_candidate *candidate = &variants->candidates[i];
    const char *id = context->devices[candidate->device].info.id;
    const int speed = strcmp(id, "cpu") == 0 ? 0 : strcmp(id, "cuda:0") == 0 ? 1 : 2;
    candidate->flop_s = flop_s[speed];
    candidate->byte_s = speed ? byte_s / 10 : byte_s;
  }
  FH_EXPECT_OK(fh_assume(context, links));
}

static void begin(void) { begin_with("link=10GB/s,cuda:0:latency=10us", 1e-11, (const double[]){1e-10, 1e-13, 1e-13}); }

static void end(void) { fh_context_release(context); }

static const char *name_of(const fh_crossover *one) { return context->devices[one->device].info.id; }

/* The choice at so many rows, planned by itself. */
static const char *choice(int64_t rows, int resident) {
  fh_call scaled = call;
  scaled.descs[0].shape[0] = scaled.descs[2].shape[0] = rows;
  scaled.resident = (int16_t)resident;
  FH_EXPECT_OK(fh_call_cut(&scaled));
  return context->devices[fh_plan_make(fh_context_queue(context), &scaled).chosen->device].info.id;
}

static void small_ones_stay(void) {
  begin();
  fh_crossover all[FH_CROSSOVERS];
  assert_int_equal(fh_crossovers(fh_context_queue(context), &call, all), 2);
  assert_int_equal(all[0].rows, 1);
  assert_string_equal(name_of(&all[0]), "cpu");
  assert_string_equal(name_of(&all[1]), "cuda:0");
  /* 2 D D 1e-10 s a row against 4 D D / 1e10 s for the matrix and 30 us: near two rows */
  assert_in_range(all[1].rows, 2, 6);
  assert_string_equal(choice(all[1].rows, 0), "cuda:0");
  assert_string_equal(choice(all[1].rows - 1, 0), "cpu");
  end();
}

/* From 16 to 32 rows the choice goes from the CPU to one device, which is slower to reach than to compute, and on to the other, which is
 * slower to reach still: a doubling of the rows alone shows only the last. */
static void two_changes_within_an_octave(void) {
  begin_with("link=10GB/s,cuda:0:latency=1ms,cuda:1:latency=1350us", 1e-13, (const double[]){1e-10, 1.86e-11, 1e-14});
  assert_string_equal(choice(16, 0), "cpu");
  assert_string_equal(choice(32, 0), "cuda:1");
  fh_crossover all[FH_CROSSOVERS];
  const int count = fh_crossovers(fh_context_queue(context), &call, all);
  for (int i = 0; i < count; i++) {
    print_message("from %lld rows on %s\n", (long long)all[i].rows, name_of(&all[i]));
    assert_string_equal(choice(all[i].rows, 0), name_of(&all[i]));
    if (i) assert_string_equal(choice(all[i].rows - 1, 0), name_of(&all[i - 1]));
  }
  assert_int_equal(count, 3);
  assert_string_equal(name_of(&all[1]), "cuda:0");
  assert_in_range(all[1].rows, 17, 31);
  assert_in_range(all[2].rows, all[1].rows + 1, 32);
  end();
}

static void with_the_data_there_it_is_earlier(void) {
  begin();
  int device;
  assert_int_equal(fh_crossover_devices(context, &device), 2);
  fh_crossover host[FH_CROSSOVERS], there[FH_CROSSOVERS];
  assert_true(fh_crossovers(fh_context_queue(context), &call, host) >= 2);
  call.resident = (int16_t)(device + 1);
  const int count = fh_crossovers(fh_context_queue(context), &call, there);
  assert_int_equal(count, 1);
  assert_string_equal(name_of(&there[0]), "cuda:0"); /* the CPU would have to fetch the matrix */
  end();
}

static void a_slow_link_moves_it(void) {
  begin();
  fh_crossover fast[FH_CROSSOVERS], slow[FH_CROSSOVERS];
  assert_true(fh_crossovers(fh_context_queue(context), &call, fast) >= 2);
  FH_EXPECT_OK(fh_assume(context, "cuda:0:link=100MB/s"));
  assert_true(fh_crossovers(fh_context_queue(context), &call, slow) >= 2);
  assert_true(slow[1].rows > fast[1].rows);
  fh_cost_source source;
  fh_link_seconds(&context->devices[fh_device_named(context, "cuda:0")], FH_TO_DEVICE, 1e9, 1, &source);
  assert_int_equal(source, FH_COST_ASSUMED);
  end();
}

static void told_as_text_and_json(void) {
  begin();
  const fh_kernel *kernel;
  FH_EXPECT_OK(fh_kernel_find("matmul", &kernel));
  const fh_view_spec specs[] = {{FH_F32, FH_SHAPE(8, D)}, {FH_F32, FH_SHAPE(D, D)}, {FH_F32, FH_SHAPE(8, D)}};
  char *text;
  FH_EXPECT_OK(fh_explain_shapes(fh_context_queue(context), kernel, specs, 3, NULL, 0, false, &text));
  if (!strstr(text, "chosen by the number of rows (here 8)\n    data on the host: cpu, from ") ||
      !strstr(text, "data on cuda:0: cuda:0 at every size\n") || !strstr(text, "at 10 GB/s (assumed)"))
    fail_msg("%s", text);
  free(text);
  FH_EXPECT_OK(fh_explain_shapes(fh_context_queue(context), kernel, specs, 3, NULL, 0, true, &text));
  if (!strstr(text, "\"crossover\"") || !strstr(text, "\"data_on_host\"") || !strstr(text, "\"resident_on\": \"cuda:0\""))
    fail_msg("%s", text);
  free(text);
  end();
}

static void what_cannot_be_assumed(void) {
  begin();
  static const char *const wrong[] = {"link", "link=", "link=fast", "link=5", "link=-1GB/s", "speed=2", "=", ":", "latency=1GB/s"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) fh_expect_fails(fh_assume(context, wrong[i]), FH_INVALID_ARGUMENT, "expected");
  fh_expect_fails(fh_assume(context, "cuda:5:link=1GB/s"), FH_NOT_FOUND, "cuda:5");
  fh_expect_fails(fh_assume(context, "link=1GB/s,cpu:link=1GB/s"), FH_NOT_FOUND, "cpu");
  FH_EXPECT_OK(fh_assume(context, "memory=2GiB"));
  assert_int_equal(context->devices[fh_device_named(context, "cuda:0")].info.memory_bytes, UINT64_C(2) << 30);
  end();
}

int main(int argc, char **argv) {
  (void)argc;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  if (!images[0].ptx) {
    printf("NOT RUN: this build has no PTX: %s\n", images[0].ptx_missing);
    return 77;
  }
#define ONE "devices=1,memory=8GiB"
  static const fh_cuda_case cases[] = {
      {.name = "small ones stay", .settings = ONE, .run = small_ones_stay},
      {.name = "two changes within an octave", .settings = "devices=2,memory=8GiB", .run = two_changes_within_an_octave},
      {.name = "with the data there it is earlier", .settings = ONE, .run = with_the_data_there_it_is_earlier},
      {.name = "a slow link moves it", .settings = ONE, .run = a_slow_link_moves_it},
      {.name = "told as text and JSON", .settings = ONE, .run = told_as_text_and_json},
      {.name = "what cannot be assumed", .settings = ONE, .run = what_cannot_be_assumed},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof cases[0]));
}
