/* The planner's choices, from inside: costs, measurements, preferences, health. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "backends/library.h"
#include "kernels/contracts.h"
#include "runtime/plan/conformance.h"
#include "runtime/plan/plan.h"

static fh_context *context;
static fh_view a, b, c;
static fh_call call;

static int setup(void **state) {
  (void)state;
  fh_context_options options = {.policy = FH_CPU_ONLY};
  if (fh_context_create(&options, &context)) return 1;
  fh_shape shape = FH_SHAPE(256, 256);
  if (fh_view_create(context, FH_F32, shape, FH_ROW_MAJOR, &a) || fh_view_create(context, FH_F32, shape, FH_ROW_MAJOR, &b) ||
      fh_view_create(context, FH_F32, shape, FH_ROW_MAJOR, &c))
    return 1;
  const fh_kernel *kernel;
  const fh_view *views[] = {&a, &b, &c};
  return fh_kernel_find("matmul", &kernel) || fh_call_bind(context, kernel, views, 3, NULL, 0, &call);
}

static int teardown(void **state) {
  (void)state;
  fh_view_release(&a);
  fh_view_release(&b);
  fh_view_release(&c);
  fh_context_release(context);
  return 0;
}

static fh_candidate *named(const char *name) {
  fh_plan_kernel *kernel = fh_plan_kernel_in(context, call.kernel);
  for (int i = 0; i < kernel->count; i++)
    if (strcmp(kernel->candidates[i].name, name) == 0) return &kernel->candidates[i];
  return NULL;
}

static fh_plan plan(void) { return fh_plan_make(fh_context_queue(context), &call); }

static void without_measurements_the_intended_is_chosen(void **state) {
  (void)state;
  fh_plan p = plan();
  assert_non_null(p.chosen);
  assert_ptr_equal(p.chosen, p.intended);
  assert_int_equal(p.fallback.code, FH_REASON_NONE);
}

static void a_slow_measurement_does_not_lose_to_a_guess(void **state) {
  (void)state;
  fh_candidate *first = plan().chosen;
  for (int i = 0; i < 5; i++) fh_candidate_sample(first, &call.bound, 1.0); /* far above any guess */
  assert_ptr_equal(plan().chosen, first);
}

static void one_spike_moves_nothing(void **state) {
  (void)state;
  fh_candidate *first = plan().chosen;
  for (int i = 0; i < 5; i++) fh_candidate_sample(first, &call.bound, 1e-3);
  double before = plan().chosen_seconds;
  fh_candidate_sample(first, &call.bound, 10.0);
  assert_true(plan().chosen_seconds == before);
}

static void a_measurement_that_is_better_wins(void **state) {
  (void)state;
  fh_candidate *first = plan().chosen, *other = named("cpu/scalar");
  assert_true(other && other != first);
  for (int i = 0; i < 5; i++) fh_candidate_sample(first, &call.bound, 1e-3);
  for (int i = 0; i < 5; i++) fh_candidate_sample(other, &call.bound, 1e-5);
  assert_ptr_equal(plan().chosen, other);
}

static void a_profile_beats_a_guess_and_a_launch_beats_a_profile(void **state) {
  (void)state;
  fh_candidate *first = plan().chosen, *other = named("cpu/scalar");
  const int bucket = fh_cost_bucket(&call.bound);
  fh_candidate_calibrate(first, bucket, 1e-3);
  fh_candidate_calibrate(other, bucket, 1e-5);
  assert_ptr_equal(plan().chosen, other);
  for (int i = 0; i < 3; i++) fh_candidate_sample(other, &call.bound, 1e-1);
  assert_ptr_equal(plan().chosen, first);
}

static void only_what_is_clearly_better_takes_over(void **state) {
  (void)state;
  fh_candidate *first = plan().chosen, *other = named("cpu/scalar");
  for (int i = 0; i < 5; i++) fh_candidate_sample(first, &call.bound, 1e-3);
  for (int i = 0; i < 5; i++) fh_candidate_sample(other, &call.bound, 0.95e-3);
  fh_plan_settled(context, &call, first);
  assert_ptr_equal(plan().chosen, first);
  assert_true(plan().chosen_seconds > 0.99e-3); /* the prediction is not embellished */
  for (int i = 0; i < FH_PLAN_SAMPLES; i++) fh_candidate_sample(other, &call.bound, 0.8e-3);
  assert_ptr_equal(plan().chosen, other);
}

/* Looking at the clock is dear beside a short launch, not beside a long one; of what is not known yet every launch is timed. */
static void what_is_short_and_known_is_timed_now_and_then(void **state) {
  (void)state;
  fh_candidate *first = plan().chosen;
  static const struct {
    double seconds;
    int of_forty;
  } launches[] = {{1e-6, 10}, {1e-3, 40}};
  for (size_t i = 0; i < sizeof launches / sizeof *launches; i++) {
    for (int n = 0; n < FH_PLAN_SAMPLES; n++) {
      if (i == 0) assert_true(fh_candidate_wants_sample(first, &call.bound));
      fh_candidate_sample(first, &call.bound, launches[i].seconds);
    }
    int timed = 0;
    for (int n = 0; n < 40; n++) timed += fh_candidate_wants_sample(first, &call.bound);
    assert_int_equal(timed, launches[i].of_forty);
  }
}

static void a_row_and_a_square_are_judged_apart(void **state) {
  (void)state;
  fh_bound square = {.flops = 2e6, .bytes = 1e5}, row = {.flops = 1.5e6, .bytes = 3e6};
  assert_int_not_equal(fh_cost_bucket(&square), fh_cost_bucket(&row));
  fh_bound nothing = {0}, all = {.flops = 1e300, .bytes = 1e300};
  assert_true(fh_cost_bucket(&nothing) >= 0 && fh_cost_bucket(&all) < FH_PLAN_BUCKETS);
}

/* A guess is held to the scale of a measured sibling: where both are zero there is no scale, and every prediction is still a number. */
static void a_call_that_costs_nothing_is_predicted(void **state) {
  (void)state;
  fh_candidate *first = plan().chosen;
  call.bound.flops = call.bound.bytes = 0;
  for (int i = 0; i < 3; i++) fh_candidate_sample(first, &call.bound, 1e-6);
  const fh_plan_kernel *kernel = fh_plan_kernel_in(context, call.kernel);
  for (int i = 0; i < kernel->count; i++) {
    const double seconds = fh_candidate_judge(fh_context_queue(context), &kernel->candidates[i], &call).seconds;
    if (!(seconds >= 0 && seconds < 1)) fail_msg("%s: %g seconds", kernel->candidates[i].name, seconds);
  }
}

static void every_case_with_work_has_a_cost(void **state) {
  (void)state;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int k = 0; k < count; k++) {
    fh_case one;
    fh_bound bound;
    int i = 0;
    for (; images[k].contract->case_at(i, &one); i++) {
      assert_null(images[k].contract->bind(one.views, one.scalars, &bound));
      if (bound.stage_count > 0 && !(bound.bytes > 0)) fail_msg("%s %s moves no bytes", images[k].contract->name, one.label);
    }
    assert_in_range(i, 1, 4096); /* all are looked at where a variant is tested */
  }
}

/* A contract may leave anything behind what it fills. */
static void clear_unused(fh_bound *bound) {
  for (int s = 0; s < FH_MAX_STAGES; s++) {
    fh_stage *stage = &bound->stages[s];
    if (s >= bound->stage_count) memset(stage, 0, sizeof *stage);
    for (int o = stage->operand_count; o < FH_MAX_OPERANDS; o++) memset(&stage->operands[o], 0, sizeof stage->operands[o]);
  }
}

/* A case of a kernel as a call, zero wherever nothing is used. False: it has no such case. */
static bool call_of(const fh_kernel_image *image, int i, fh_call *out) {
  fh_case one;
  if (!image->contract->case_at(i, &one)) return false;
  memset(out, 0, sizeof *out);
  out->image = image;
  out->view_count = image->contract->view_count;
  out->part = true;
  memcpy(out->descs, one.views, (size_t)out->view_count * sizeof one.views[0]);
  memcpy(out->params, one.scalars, sizeof out->params);
  for (int v = 0; v < out->view_count; v++) out->views[v].offset = v + 1;
  assert_null(image->contract->bind(out->descs, out->params, &out->bound));
  clear_unused(&out->bound);
  return true;
}

/* Only what is used is copied, and all of it. */
static void a_copy_of_a_call_lacks_nothing(void **state) {
  (void)state;
  static fh_call whole, copy;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int k = 0; k < count; k++) {
    for (int i = 0; call_of(&images[k], i, &whole); i++) {
      memset(&copy, 0, sizeof copy);
      fh_call_copy(&whole, &copy);
      if (memcmp(&whole, &copy, sizeof copy) != 0) fail_msg("%s, case %d: the copy is another call", images[k].contract->name, i);
    }
  }
}

/* The matrices of a compact view by columns. */
static void turn(fh_view_desc *v) {
  if (v->rank < 2) return;
  v->strides[v->rank - 2] = 1;
  v->strides[v->rank - 1] = v->shape[v->rank - 2];
}

/* Looks into the data of a case, as a call does whose data matters. */
static fh_status look(const fh_kernel_contract *contract, const fh_case *one, const fh_view_desc *views, fh_bound *bound) {
  void *data[FH_MAX_VIEWS] = {0};
  char note[FH_NOTE];
  for (int v = 0; v < contract->view_count; v++) {
    if (!(contract->inspects >> v & 1)) continue;
    size_t bytes = fh_dtype_size(views[v].dtype);
    for (int32_t d = 0; d < views[v].rank; d++) bytes *= (size_t)views[v].shape[d];
    data[v] = calloc(bytes + 1, 1);
    assert_non_null(data[v]);
    if (bytes > 0) fh_conform_fill(contract, one, v, data[v], 1);
  }
  fh_status status = contract->inspect(views, (const void *const *)data, one->scalars, bound, note);
  for (int v = 0; v < contract->view_count; v++) free(data[v]);
  return status;
}

static bool fits(const fh_kernel_contract *contract, const fh_block_variant *variant, const fh_case *one, unsigned turned, fh_bound *out) {
  fh_view_desc views[FH_MAX_VIEWS];
  memcpy(views, one->views, sizeof views);
  for (int v = 0; v < 2; v++)
    if (turned >> v & 1) turn(&views[v]);
  fh_status refused = contract->bind(views, one->scalars, out);
  if (!refused && out->stage_count > 0 && contract->inspect && !turned) refused = look(contract, one, views, out);
  const bool takes = !refused && out->stage_count > 0 && !(variant->unfit && variant->unfit(out));
  fh_status_free(refused);
  return takes;
}

/* The first case that the variant for blocks takes, as it is or with matrices turned, as conformance tries them too. */
static bool first_for(const fh_kernel_contract *contract, const fh_block_variant *variant, fh_bound *out) {
  fh_case one;
  for (int i = 0; contract->case_at(i, &one); i++)
    for (unsigned turned = 0; turned < 4; turned++) /* of the first two views */
      if (fits(contract, variant, &one, turned, out)) return true;
  return false;
}

static void every_launch_of_blocks_has_some_on_an_unknown_device(void **state) {
  (void)state;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int k = 0; k < count; k++) {
    const fh_kernel_contract *contract = images[k].contract;
    for (int i = 0; i < contract->block_count; i++) {
      const fh_block_variant *variant = &contract->blocks[i];
      fh_bound bound;
      fh_block_shape shape = {0};
      if (!first_for(contract, variant, &bound)) fail_msg("%s: no case fits %s", contract->name, variant->name);
      variant->shape(&bound, 0, &shape);
      const uint32_t *grid = shape.grid;
      if (!grid[0] || !grid[1] || !grid[2] || !shape.threads)
        fail_msg("%s/%s: %u x %u x %u blocks of %u", contract->name, variant->name, grid[0], grid[1], grid[2], shape.threads);
    }
  }
}

/* ---- tiles of products and multiprocessors ---- */

/* By data sheets; 8 us a launch, as the CUDA backend has it. */
enum { H100, A100, GPUS };
static const int capability_of[GPUS] = {[H100] = 90, [A100] = 80};
static const fh_plan_device gpus[GPUS] = {
    [H100] = {.info = {.kind = FH_DEVICE_GPU, .compute_units = 132, .peak_flops = 66.9e12, .peak_bytes_per_s = 3.35e12, .launch_s = 8e-6}},
    [A100] = {.info = {.kind = FH_DEVICE_GPU, .compute_units = 108, .peak_flops = 19.5e12, .peak_bytes_per_s = 1.555e12, .launch_s = 8e-6}},
};

/* Without a variant: the kernel's text. */
static double guessed(const fh_plan_device *gpu, const fh_block_variant *variant, const fh_bound *bound) {
  fh_candidate candidate = {.block = variant};
  fh_candidate_guess(gpu, &candidate);
  return fh_candidate_guessed_seconds(gpu, &candidate, bound, 1);
}

/* What a GPU would take for a product of matrices by rows before anything was measured. */
static const char *tiles_for(const fh_plan_device *gpu, int capability, const fh_kernel_contract *contract, const fh_view_desc *views) {
  const fh_block_variant *best = NULL;
  fh_bound bound;
  assert_int_equal(contract->bind(views, NULL, &bound), FH_OK);
  for (int i = 0; i < contract->block_count; i++) {
    const fh_block_variant *variant = &contract->blocks[i];
    if (variant->capability > capability || (variant->only && variant->capability != capability)) continue;
    if (fh_is_library_variant(variant) || (variant->unfit && variant->unfit(&bound))) continue;
    if (guessed(gpu, variant, &bound) < guessed(gpu, best, &bound)) best = variant;
  }
  return best ? best->name : "text";
}

static const char *tiles_for_floats(const fh_plan_device *gpu, int capability, int64_t m, int64_t n, int64_t k) {
  const fh_view_desc views[] = {{FH_F32, 2, {m, k}, {k, 1}}, {FH_F32, 2, {k, n}, {n, 1}}, {FH_F32, 2, {m, n}, {n, 1}}};
  return tiles_for(gpu, capability, &fh_contract_matmul, views);
}

/* 1536 has 144 tiles of 128 x 128, one round and a few for 132 multiprocessors, and 576 of 64 x 64; 2048 has 256, two rounds for 132 and
 * three for 108. Where even the small ones are too few, blocks of k are shared out. */
static void large_tiles_are_for_those_who_have_enough(void **state) {
  (void)state;
  static const struct {
    int64_t m, n, k;
    const char *name[GPUS];
  } products[] = {
      {512, 512, 512, {"split", "split"}},      {768, 768, 768, {"split", "split"}},     {1024, 1024, 1024, {"small", "small"}},
      {1536, 1536, 1536, {"small", "small"}},   {2048, 2048, 2048, {"stages", "small"}}, {4096, 4096, 4096, {"stages", "stages"}},
      {8192, 8192, 8192, {"stages", "stages"}}, {64, 64, 8192, {"split", "split"}},      {128, 3072, 768, {"split", "split"}},
      {8, 8192, 8192, {"thin", "thin"}},        {4096, 8, 4096, {"thin", "thin"}},       {31, 769, 3067, {"split", "split"}},
      {1000, 8000, 2000, {"stages", "stages"}},
  };
  for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
    for (int g = 0; g < GPUS; g++) {
      const char *found = tiles_for_floats(&gpus[g], capability_of[g], products[i].m, products[i].n, products[i].k);
      if (strcmp(found, products[i].name[g]) != 0)
        fail_msg("%dx%dx%d on %d multiprocessors: %s, expected %s", (int)products[i].m, (int)products[i].n, (int)products[i].k,
                 gpus[g].info.compute_units, found, products[i].name[g]);
    }
  }
}

/* Few rows read their weights once, few tiles share out a long k, and the others have tensor cores to themselves. Weights are turned, as
 * wgmma wants them. */
static void products_of_narrow_types_take_tensor_cores_or_read_weights_once(void **state) {
  (void)state;
  enum { KINDS = 4, SIZES = 6 };
  static const struct {
    const fh_kernel_contract *contract;
    fh_dtype a, b, c;
    const char *few, *more, *large[GPUS]; /* up to 8 rows, 12, and tiles for all multiprocessors */
  } kinds[KINDS] = {
      {&fh_contract_matmul_bf16, FH_BF16, FH_BF16, FH_F32, "thin", "split", {"wgmma", "mma"}},
      {&fh_contract_matmul_f16, FH_F16, FH_F16, FH_F32, "thin", "split", {"wgmma", "mma"}},
      {&fh_contract_matmul_tf32, FH_F32, FH_F32, FH_F32, "thin", "split", {"wgmma", "mma_packed"}},
      {&fh_contract_matmul_i8, FH_U8, FH_I8, FH_I32, "mma_thin", "mma_thin", {"wgmma", "mma"}},
  };
  static const int64_t sizes[SIZES][3] = {{1, 4096, 4096},    {8, 4096, 4096},    {12, 4096, 4096},
                                          {4096, 4096, 4096}, {8192, 8192, 8192}, {256, 256, 65536}};
  for (int i = 0; i < KINDS * SIZES * GPUS; i++) {
    const int kind = i / GPUS % KINDS, g = i % GPUS;
    const int64_t *size = sizes[i / GPUS / KINDS], m = size[0], n = size[1], k = size[2];
    const fh_view_desc views[] = {
        {kinds[kind].a, 2, {m, k}, {k, 1}}, {kinds[kind].b, 2, {k, n}, {1, k}}, {kinds[kind].c, 2, {m, n}, {n, 1}}};
    const char *found = tiles_for(&gpus[g], capability_of[g], kinds[kind].contract, views);
    const char *wanted = m <= 8 ? kinds[kind].few : m <= 12 ? kinds[kind].more : k > m ? "split" : kinds[kind].large[g];
    if (strcmp(found, wanted) != 0)
      fail_msg("%s of %dx%dx%d at %d: %s, expected %s", kinds[kind].contract->name, (int)m, (int)n, (int)k, capability_of[g], found,
               wanted);
  }
}

/* A block of 64 threads has two warps for four schedulers: half of a multiprocessor, as long as it is alone there. */
static void a_block_of_few_threads_does_not_fill_a_multiprocessor(void **state) {
  (void)state;
  const fh_view_desc views[] = {{FH_F32, 2, {640, 4096}, {4096, 1}}, {FH_F32, 2, {4096, 640}, {640, 1}}, {FH_F32, 2, {640, 640}, {640, 1}}};
  fh_bound one, two;
  assert_int_equal(fh_contract_matmul.bind(views, NULL, &one), FH_OK); /* 100 tiles of 64 x 64 */
  const fh_view_desc twice[] = {{FH_F32, 3, {2, 640, 4096}, {2621440, 4096, 1}},
                                {FH_F32, 3, {2, 4096, 640}, {2621440, 640, 1}},
                                {FH_F32, 3, {2, 640, 640}, {409600, 640, 1}}};
  assert_int_equal(fh_contract_matmul.bind(twice, NULL, &two), FH_OK);
  for (int i = 0; i < fh_contract_matmul.block_count; i++) {
    const fh_block_variant *variant = &fh_contract_matmul.blocks[i];
    if (strcmp(variant->name, "small") != 0) continue;
    const double alone = guessed(&gpus[H100], variant, &one), both = guessed(&gpus[H100], variant, &two);
    assert_true(both < 1.1 * alone); /* the other half of each takes the second product */
    return;
  }
  fail_msg("matmul has no variant called small: mend this test");
}

static void a_sick_variant_is_intended_but_not_chosen(void **state) {
  (void)state;
  fh_candidate *first = plan().chosen;
  first->test = FH_TEST_FAILED;
  snprintf(first->reason, sizeof first->reason, "c[3] is 1, the reference says 2");
  fh_plan p = plan();
  assert_ptr_equal(p.intended, first);
  assert_true(p.chosen && p.chosen != first);
  assert_int_equal(p.fallback.code, FH_REASON_SELFTEST);
  char line[400];
  fh_reason_print(&p.fallback, line, sizeof line);
  assert_non_null(strstr(line, "c[3]"));
  first->test = FH_UNTESTED;
}

static void exact_numerics_leave_the_bounded_out(void **state) {
  (void)state;
  fh_candidate *first = plan().chosen;
  const fh_numerics was = first->numerics;
  first->numerics = FH_BOUNDED;
  context->config.numerics = FH_EXACT;
  fh_plan p = plan();
  assert_true(p.chosen && p.chosen != first && p.chosen->numerics == FH_EXACT);
  assert_ptr_equal(p.chosen, p.intended); /* a policy is no fallback */
  context->config.numerics = FH_BOUNDED;
  assert_ptr_equal(plan().chosen, first);
  first->numerics = was;
}

static void nothing_allowed_means_nothing_chosen(void **state) {
  (void)state;
  context->devices[0].allowed = false;
  fh_plan p = plan();
  assert_null(p.chosen);
  assert_null(p.intended);
  context->devices[0].allowed = true;
}

static void every_reason_has_words(void **state) {
  (void)state;
  for (int code = FH_REASON_NONE; code <= FH_REASON_VARIANT_QUARANTINED; code++) {
    fh_reason reason = {.code = (fh_reason_code)code, .cause = "CU-STUB", .text = "the text", .need = 1 << 20, .have = 1 << 10};
    char line[400] = "";
    fh_reason_print(&reason, line, sizeof line);
    assert_true(strlen(line) > 5);
    assert_null(strstr(line, "reason ")); /* the text for a code that nobody wrote one for */
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(without_measurements_the_intended_is_chosen, setup, teardown),
      cmocka_unit_test_setup_teardown(a_slow_measurement_does_not_lose_to_a_guess, setup, teardown),
      cmocka_unit_test_setup_teardown(one_spike_moves_nothing, setup, teardown),
      cmocka_unit_test_setup_teardown(a_measurement_that_is_better_wins, setup, teardown),
      cmocka_unit_test_setup_teardown(a_profile_beats_a_guess_and_a_launch_beats_a_profile, setup, teardown),
      cmocka_unit_test_setup_teardown(only_what_is_clearly_better_takes_over, setup, teardown),
      cmocka_unit_test_setup_teardown(what_is_short_and_known_is_timed_now_and_then, setup, teardown),
      cmocka_unit_test_setup_teardown(a_row_and_a_square_are_judged_apart, setup, teardown),
      cmocka_unit_test_setup_teardown(a_call_that_costs_nothing_is_predicted, setup, teardown),
      cmocka_unit_test(every_case_with_work_has_a_cost),
      cmocka_unit_test(a_copy_of_a_call_lacks_nothing),
      cmocka_unit_test(every_launch_of_blocks_has_some_on_an_unknown_device),
      cmocka_unit_test(products_of_narrow_types_take_tensor_cores_or_read_weights_once),
      cmocka_unit_test(large_tiles_are_for_those_who_have_enough),
      cmocka_unit_test(a_block_of_few_threads_does_not_fill_a_multiprocessor),
      cmocka_unit_test_setup_teardown(a_sick_variant_is_intended_but_not_chosen, setup, teardown),
      cmocka_unit_test_setup_teardown(exact_numerics_leave_the_bounded_out, setup, teardown),
      cmocka_unit_test_setup_teardown(nothing_allowed_means_nothing_chosen, setup, teardown),
      cmocka_unit_test_setup_teardown(every_reason_has_words, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
