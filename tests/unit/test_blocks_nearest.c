/* The nearest centroid by tensor cores, through the emulator of blocks: the bits of the text, whatever the estimates are.
 * SPDX-License-Identifier: Apache-2.0
 *
 * TEST: timeout=240 sanitize=address cross=no
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "kernels/contracts.h"
#include "kernels/nearest_blocks.h"
#include "tests/fakes/block/block.h"
#include "tests/support/tuned.h"

/* ---- calls ---- */

static const fh_block_variant *variant_of(const char *name) {
  const fh_kernel_contract *contract = &fh_contract_kmeans_assign;
  for (int i = 0; i < contract->block_count; i++)
    if (strcmp(contract->blocks[i].name, name) == 0) return &contract->blocks[i];
  fail_msg("kmeans_assign has no %s", name);
  return NULL;
}

typedef struct shape {
  int64_t n, k, d;
  int64_t step;  /* between numbers of a row, of labels and of distances */
  bool turned;   /* x by columns */
  bool reversed; /* c from its end */
} shape;

static tuned_call call_of(shape s, bool at_end, size_t shift) {
  const int64_t step = s.step ? s.step : 1, row = s.d * step + (step > 1);
  const fh_view_desc views[] = {{FH_F32, 2, {s.n, s.d}, {s.turned ? step : row, s.turned ? s.n * step : step}},
                                {FH_F32, 2, {s.k, s.d}, {s.reversed ? -row : row, s.reversed ? -step : step}},
                                {FH_I32, 1, {s.n}, {step}},
                                {FH_F32, 1, {s.n}, {step}}};
  return tuned_call_make(&fh_contract_kmeans_assign, views, at_end, shift);
}

static void check(tuned_call *call, const fh_block_variant *variant, const char *what) {
  const char *wrong = tuned_call_check_block(call, variant);
  if (wrong) fail_msg("%s: %s", what, wrong);
  assert_int_equal(fake_block_conflicts(), 0);
}

static void check_both(tuned_call *call, const char *what) {
  check(call, variant_of("mma"), what);
  check(call, variant_of("wide"), what);
}

static float *x_row(const tuned_call *call, int64_t i) { return (float *)call->first[0] + i * call->views[0].strides[0]; }
static float *c_row(const tuned_call *call, int64_t j) { return (float *)call->first[1] + j * call->views[1].strides[0]; }

/* ---- shapes ---- */

/* Around the edges of tiles of rows and centroids, panels, the ring, samples and shared memory. */
static void test_shapes(void **state) {
  (void)state;
  static const shape shapes[] = {{1, 32, 1},
                                 {5, 33, 2},
                                 {64, 127, 31},
                                 {65, 128, 32},
                                 {129, 129, 33},
                                 {128, 40, 64},
                                 {130, 300, 97},
                                 {31, 60, 512},
                                 {70, 64, 20, 3},
                                 {33, 90, 40, 2, true},
                                 {40, 140, 36, 1, false, true},
                                 {200, 700, 3}};
  for (int i = 0; i < FH_LENGTH(shapes); i++) {
    char what[64];
    snprintf(what, sizeof what, "%d rows, %d centroids, %d numbers", (int)shapes[i].n, (int)shapes[i].k, (int)shapes[i].d);
    tuned_call call = call_of(shapes[i], i % 2, 4);
    check_both(&call, what);
    tuned_call_free(&call);
  }
  tuned_call call = call_of((shape){66, 35, 1024}, true, 0);
  check(&call, variant_of("wide"), "1024 numbers");
  tuned_call_free(&call);
}

static void one_sketch(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_sketch_shape(bound, multiprocessors, out);
  out->grid[0] = 1;
}

static void one_block(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_nearest_mma_shape(bound, multiprocessors, out);
  out->grid[0] = 1;
}

/* A block goes on to further rows, marked ones among them, and sketches of centroids are made by few warps. */
static void test_strides_of_the_grid(void **state) {
  (void)state;
  static const fh_block_step rest[] = {{"kmeans_assign_mma", one_block}};
  fh_block_variant variant = *variant_of("mma");
  variant.shape = one_sketch;
  variant.rest = rest;
  tuned_call call = call_of((shape){400, 150, 12}, true, 0);
  x_row(&call, 3)[1] = NAN, x_row(&call, 300)[5] = INFINITY, x_row(&call, 399)[0] = NAN;
  check(&call, &variant, "one block");
  tuned_call_free(&call);
}

/* ---- planted data ---- */

/* Rows about half way between two centroids, nearer to either by ever less, and some at the very middle. */
static void plant_near_ties(tuned_call *call) {
  const int64_t n = call->views[0].shape[0], k = call->views[1].shape[0], d = call->views[0].shape[1];
  for (int64_t i = 0; i < n; i++) {
    const float *a = c_row(call, i % k), *b = c_row(call, (i * 7 + 1) % k);
    const float share = i % 4 == 3 ? 0.5f : 0.5f + ldexpf(i % 2 ? 1.0f : -1.0f, -(int)(i % 24) - 2);
    for (int64_t l = 0; l < d; l++) x_row(call, i)[l] = share * a[l] + (1 - share) * b[l];
  }
}

static void test_near_ties(void **state) {
  (void)state;
  tuned_call call = call_of((shape){256, 64, 48}, true, 0);
  plant_near_ties(&call);
  check_both(&call, "near ties");
  tuned_call_free(&call);
}

/* Equal centroids: two are candidates, in one thread's share or in two; more fill the list. */
static void test_equals(void **state) {
  (void)state;
  static const int periods[] = {1, 2, 50, 64, 128, 70};
  for (int i = 0; i < FH_LENGTH(periods); i++) {
    tuned_call call = call_of((shape){130, 260, 20}, i % 2, 0);
    for (int j = periods[i]; j < 260; j++) memcpy(c_row(&call, j), c_row(&call, j % periods[i]), 20 * sizeof(float));
    for (int j = 0; j < 130; j += 3) memcpy(x_row(&call, j), c_row(&call, j), 20 * sizeof(float));
    check_both(&call, "equal centroids");
    tuned_call_free(&call);
  }
}

/* All numbers, or those of some rows and centroids alone, times a power of two; far from zero, too. */
static void test_magnitudes(void **state) {
  (void)state;
  static const int powers[] = {-149, -130, -100, -66, -45, -38, 20, 36, 39, 41, 62, 63, 64, 100, 127};
  for (int i = 0; i < 2 * FH_LENGTH(powers); i++) {
    tuned_call call = call_of((shape){70, 40, 18}, true, 0);
    const bool some = i % 2;
    for (int64_t r = 0; r < 70; r += some ? 5 : 1)
      for (int l = 0; l < 18; l++) x_row(&call, r)[l] = ldexpf(x_row(&call, r)[l], powers[i / 2]);
    for (int64_t r = 0; r < 40; r += some ? 6 : 1)
      for (int l = 0; l < 18; l++) c_row(&call, r)[l] = ldexpf(c_row(&call, r)[l], powers[i / 2]);
    char what[32];
    snprintf(what, sizeof what, "%s times 2^%d", some ? "some" : "all", powers[i / 2]);
    check_both(&call, what);
    tuned_call_free(&call);
  }
  for (float far = 1; far < 1e9f; far *= 37) {
    tuned_call call = call_of((shape){70, 40, 18}, true, 0);
    for (int e = 0; e < 70 * 18; e++) ((float *)call.first[0])[e] += far;
    for (int e = 0; e < 40 * 18; e++) ((float *)call.first[1])[e] += far;
    check_both(&call, "far from zero");
    tuned_call_free(&call);
  }
}

static void test_no_numbers(void **state) {
  (void)state;
  tuned_call call = call_of((shape){140, 70, 9}, true, 0);
  static const float strange[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e19f};
  for (int i = 0; i < 6; i++) {
    x_row(&call, 20 * i)[i] = strange[i];
    c_row(&call, 11 * i)[8 - i] = strange[i];
    for (int l = 0; l < 9; l++) x_row(&call, 20 * i + 5)[l] = strange[i], c_row(&call, 11 * i + 3)[l] = strange[i];
  }
  check_both(&call, "NaN and infinities");
  for (int j = 0; j < 70; j++) c_row(&call, j)[j % 9] = j % 2 ? NAN : 2e38f; /* no centroid that is compared by sketches */
  check_both(&call, "no centroid");
  tuned_call_free(&call);
}

/* ---- the margin ---- */

static fh_block_variant variant_with(const char *sketch, const fh_block_step *launch) {
  fh_block_variant out = *variant_of("mma");
  out.entry = sketch;
  out.rest = launch;
  return out;
}

/* With sketches of six bits less and the margin that goes with them the answer is the same; without a margin it is not, though the sketches
 * are the good ones. */
static void test_margin(void **state) {
  (void)state;
  static const fh_block_step coarse[] = {{"nearest_coarse_mma", fh_nearest_mma_shape}},
                             blind[] = {{"nearest_blind_mma", fh_nearest_mma_shape}};
  const fh_block_variant right = variant_with("nearest_coarse_sketch", coarse), wrong = variant_with("nearest_blind_sketch", blind);
  tuned_call call = call_of((shape){256, 64, 48}, true, 0);
  check(&call, &right, "coarse sketches");
  plant_near_ties(&call);
  check(&call, &right, "coarse sketches, near ties");
  assert_non_null(tuned_call_check_block(&call, &wrong));
  tuned_call_free(&call);
}

/* On how many of a block's threads a device's sums are found to be good. */
static int found_good(void) {
  int found[FH_SKETCH_THREADS], good = 0;
  const char *wrong =
      fake_block_run(fake_block_find("nearest_sums"), &(fh_slot){.p = found}, 1, (const unsigned[]){1, 1, 1}, FH_SKETCH_THREADS, 0);
  if (wrong) fail_msg("%s", wrong);
  for (int t = 0; t < FH_SKETCH_THREADS; t++) good += found[t];
  return good;
}

/* A device whose tensor cores cut sums at fewer bits than the margin allows is found out, and has the bits of the text. Taken for good, it
 * has not. */
static void test_other_sums(void **state) {
  (void)state;
  static const fh_block_step launch[] = {{"nearest_trusting_mma", fh_nearest_mma_shape}};
  const fh_block_variant trusting = variant_with("nearest_trusting_sketch", launch);
  tuned_call call = call_of((shape){256, 64, 48}, true, 0);
  plant_near_ties(&call);
  for (int bits = 26; bits >= 6; bits--) {
    fake_block_cut_sums(bits);
    if (bits >= 24) assert_int_equal(found_good(), FH_SKETCH_THREADS);
    if (bits <= 21) assert_int_equal(found_good(), 0);
    if (bits % 5 == 1) check_both(&call, "sums of fewer bits");
  }
  assert_non_null(tuned_call_check_block(&call, &trusting));
  fake_block_cut_sums(0);
  assert_int_equal(found_good(), FH_SKETCH_THREADS);
  check(&call, &trusting, "good sums");
  tuned_call_free(&call);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes),     cmocka_unit_test(test_strides_of_the_grid),
                                     cmocka_unit_test(test_near_ties),  cmocka_unit_test(test_equals),
                                     cmocka_unit_test(test_magnitudes), cmocka_unit_test(test_no_numbers),
                                     cmocka_unit_test(test_margin),     cmocka_unit_test(test_other_sums)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
