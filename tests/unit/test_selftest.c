/* The test before a variant's first use, of every variant for blocks: on the stand-in driver each passes, and each with several launches
 * fails without its last one. Launches that had one block in all of it are named. SPDX-License-Identifier: Apache-2.0
 *
 * TEST: label=full fakes=yes cross=no timeout=240 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "backends/check.h"
#include "backends/library.h"
#include "kernels/tables.h"
#include "runtime/plan/plan.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/expect.h"

/* ---- a device whose launches are seen ---------------------------------------------------------------------------- */

static fh_backend_api watched;
static const fh_backend_api *real;
static const fh_block_variant *variant; /* that is tried */
static int multiprocessors;
static bool leaves_out_last; /* of a call's launches */
static uint64_t most_blocks[FH_MAX_BLOCK_STEPS];

static void note_blocks(const fh_command *commands) {
  for (int step = 0; step < fh_block_steps(variant); step++) {
    fh_block_shape shape = {0};
    fh_block_step_of(variant, step).shape(commands[step].launch.bound, multiprocessors, &shape);
    const uint64_t blocks = (uint64_t)shape.grid[0] * shape.grid[1] * shape.grid[2];
    if (blocks > most_blocks[step]) most_blocks[step] = blocks;
  }
}

static fh_status submit_watched(fh_stream *stream, const fh_command *commands, int count, fh_point *out_point) {
  if (commands[0].kind == FH_COMMAND_LAUNCH) {
    assert_int_equal(count, fh_block_steps(variant));
    note_blocks(commands);
    count -= leaves_out_last;
  }
  return real->submit(stream, commands, count, out_point);
}

/* ---- its variants --------------------------------------------------------------------------------------------------- */

typedef struct tally {
  int tried, wrong;
} tally;

typedef void try_fn(const fh_kernel_image *image, fh_queue *queue, fh_candidate *candidate, tally *so_far);

static bool is_tried(const fh_candidate *candidate, int device) {
  return candidate->device == device && candidate->block && !fh_is_library_variant(candidate->block) && !candidate->ruled_out.code;
}

static void try_kernel(fh_queue *queue, int device, int kernel, try_fn *try_one, tally *so_far) {
  /* A sanitizer makes the emulator many times slower. */
  const int every = getenv("FH_SANITIZED") ? 8 : 1;
  static int seen;
  fh_plan_kernel *of = fh_plan_kernel_in(queue->context, kernel);
  for (int i = 0; i < of->count; i++) {
    fh_candidate *candidate = &of->candidates[i];
    if (!is_tried(candidate, device) || seen++ % every) continue;
    variant = candidate->block;
    memset(most_blocks, 0, sizeof most_blocks);
    try_one(of->image, queue, candidate, so_far);
  }
}

static void try_all(try_fn *try_one) {
  int count;
  tally so_far = {0};
  fh_context *context;
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cuda:0,cpu", .allow_fake = true}, &context));
  const int device = fh_device_named(context, "cuda:0");
  assert_true(device >= 0);
  fh_plan_device *d = &context->devices[device];
  multiprocessors = d->info.compute_units;
  real = d->api;
  watched = *real;
  watched.submit = submit_watched;
  d->api = &watched;
  (void)fh_kernel_images(&count);
  for (int kernel = 0; kernel < count; kernel++) try_kernel(fh_context_queue(context), device, kernel, try_one, &so_far);
  d->api = real;
  fh_context_release(context);
  printf("       %d variants tried\n", so_far.tried);
  if (!so_far.tried) printf("NOT RUN: this build has no text for blocks as PTX\n");
  assert_int_equal(so_far.wrong, 0);
}

/* ---- what must be ------------------------------------------------------------------------------------------------------ */

static void say_single_blocks(const char *kernel) {
  for (int step = 0; step < fh_block_steps(variant); step++)
    if (most_blocks[step] < 2)
      printf("       %s/%s: one block in its launch %d of %d, in every case tried\n", kernel, variant->name, step + 1,
             fh_block_steps(variant));
}

static void passes(const fh_kernel_image *image, fh_queue *queue, fh_candidate *candidate, tally *so_far) {
  so_far->tried++;
  fh_candidate_test(queue, candidate);
  say_single_blocks(image->contract->name);
  if (candidate->test == FH_TEST_PASSED) return;
  so_far->wrong++;
  printf("       %s %s: %s %s, expected a passed self-test\n", image->contract->name, candidate->name, candidate->cause, candidate->reason);
}

static void fails_without_last(const fh_kernel_image *image, fh_queue *queue, fh_candidate *candidate, tally *so_far) {
  if (variant->rest_count == 0) return;
  so_far->tried++;
  leaves_out_last = true;
  fh_candidate_test(queue, candidate);
  leaves_out_last = false;
  if (candidate->test == FH_TEST_FAILED && strcmp(candidate->cause, "WRONG-RESULT") == 0) return;
  so_far->wrong++;
  printf("       %s %s without its last launch: %s, expected WRONG-RESULT of the self-test\n", image->contract->name, candidate->name,
         candidate->test == FH_TEST_PASSED ? "passed" : candidate->cause);
}

static void every_variant_passes(void) { try_all(passes); }
static void no_launch_can_be_left_out(void) { try_all(fails_without_last); }

int main(int argc, char **argv) {
  enum { SECONDS = 200 };
  static const fh_cuda_case cases[] = {
      {"every variant passes, 9.0", "capability=90,multiprocessors=4", NULL, every_variant_passes, 0, SECONDS, 0},
      {"every variant passes, 8.0", "capability=80,multiprocessors=4", NULL, every_variant_passes, 0, SECONDS, 0},
      {"no launch can be left out, 9.0", "capability=90,multiprocessors=4", NULL, no_launch_can_be_left_out, 0, SECONDS, 0},
  };
  (void)argc;
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, sizeof cases / sizeof *cases);
}
