/* What a program is bound by, from facts alone. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "bench/engine/job.h"

/* Ten seconds on one processor, with these kernels. */
static fh_job job_of(fh_job_kernel *kernels, int count) {
  fh_job job = {.wall = 10, .processor = 10, .launch_seconds = 1e-6, .copy_rate = 20e9, .kernels = kernels, .kernel_count = count};
  for (int i = 0; i < count; i++) job.kernel_seconds += kernels[i].seconds;
  return job;
}

static fh_job_kernel cpu_kernel(double seconds, double compute, double memory, int64_t launches) {
  return (fh_job_kernel){.name = "matmul",
                         .device = "cpu",
                         .seconds = seconds,
                         .compute_seconds = compute,
                         .memory_seconds = memory,
                         .limit_seconds = fmax(compute, memory),
                         .launches = launches};
}

static void close_to(double found, double expected) {
  if (fabs(found - expected) > 1e-9 * fabs(expected)) fail_msg("%.12g instead of %.12g", found, expected);
}

static void test_bounds(void **state) {
  (void)state;
  static const struct {
    double seconds, compute, memory, processor;
    int64_t launches;
    fh_job_bound bound;
    bool worth;
  } table[] = {
      {8, 7, 1, 10, 1000, FH_JOB_COMPUTE, true},       {8, 1, 7, 10, 1000, FH_JOB_MEMORY, true},
      {8, 0.1, 0.2, 10, 6000000, FH_JOB_LAUNCH, true}, {3, 2, 1, 10, 10, FH_JOB_REST, true},
      {1, 0.9, 0.1, 10, 10, FH_JOB_REST, false},       {4, 3, 1, 4.5, 10, FH_JOB_WAITING, true},
      {1, 0.9, 0.1, 2, 10, FH_JOB_WAITING, false},     {8, 0, 0, 10, 10, FH_JOB_UNKNOWN, true},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    fh_job_kernel kernel = cpu_kernel(table[i].seconds, table[i].compute, table[i].memory, table[i].launches);
    fh_job job = job_of(&kernel, 1);
    job.processor = table[i].processor;
    const fh_job_verdict v = fh_job_judge(&job);
    if (v.bound != table[i].bound || v.worth_porting != table[i].worth)
      fail_msg("row %zu: bound %d, worth %d", i, v.bound, v.worth_porting);
    close_to(v.ceiling, 1 / (1 - table[i].seconds / 10));
  }
}

static void test_nothing(void **state) {
  (void)state;
  fh_job job = job_of(NULL, 0);
  assert_int_equal(fh_job_judge(&job).bound, FH_JOB_NO_LAUNCH);
  assert_false(fh_job_judge(&job).worth_porting);
  close_to(fh_job_judge(&job).ceiling, 1);
  job.wall = 0;
  close_to(fh_job_judge(&job).limit_gain, 1);
}

/* More kernel seconds than wall time (two threads at once) is all of it, not more. */
static void test_all_kernels(void **state) {
  (void)state;
  fh_job_kernel kernel = cpu_kernel(20, 5, 1, 10);
  const fh_job job = job_of(&kernel, 1);
  const fh_job_verdict v = fh_job_judge(&job);
  close_to(v.kernel_part, 1);
  assert_true(isinf(v.ceiling));
  close_to(v.limit_gain, 20 / (5 + 10 * 1e-6));
}

/* A tenth of the seconds elsewhere decides nothing; a device without limits is left out of what could be gained here. */
static void test_two_kernels(void **state) {
  (void)state;
  fh_job_kernel kernels[] = {cpu_kernel(6, 1, 3, 100), cpu_kernel(3, 3, 1, 100)};
  snprintf(kernels[1].device, sizeof kernels[1].device, "cuda:0");
  fh_job job = job_of(kernels, 2);
  const fh_job_verdict v = fh_job_judge(&job);
  assert_int_equal(v.bound, FH_JOB_UNKNOWN); /* what ran elsewhere ends when nobody looks */
  assert_true(v.worth_porting);
  assert_int_equal(fh_job_kernel_bound(&job, &kernels[1]), FH_JOB_UNKNOWN);
  close_to(v.limit_gain, 10 / (1 + (3 + 100 * 1e-6) + 3));
  snprintf(kernels[1].device, sizeof kernels[1].device, "cpu");
  assert_int_equal(fh_job_judge(&job).bound, FH_JOB_MEMORY);
}

static void test_offer(void **state) {
  (void)state;
  close_to(fh_job_speedup(0.8, 10), 1 / (0.2 + 0.08));
  close_to(fh_job_saving(0.8, 10), 0.72);
  close_to(fh_job_speedup(0, 10), 1);
  close_to(fh_job_saving(1, 10), 0.9); /* ten times faster is ninety percent cheaper only where all is kernels */
}

/* One field of eight: 8 bytes of lines for each that is used; the fields alone fit a cache that is four times faster. */
static void test_layout(void **state) {
  (void)state;
  fh_job_kernel kernel = cpu_kernel(8, 0.1, 4, 100);
  fh_job job = job_of(&kernel, 1);
  fh_job_layout layout;
  assert_false(fh_job_layout_advice(&job, &kernel, &layout));
  kernel.sparse_launches = 100;
  kernel.sparse_seconds = 8;
  kernel.sparse_elements_bytes = 100 * 1e8;
  kernel.sparse_lines_bytes = 100 * 8e8;
  kernel.dense_seconds = 100 * fh_job_dense_seconds(0.08, 8e8, 20e9, 1e8, 80e9, 1e-6);
  assert_true(fh_job_layout_advice(&job, &kernel, &layout));
  close_to(layout.apart, 8);
  close_to(layout.gain, 32);
  close_to(layout.convert_seconds, 9e8 / 20e9);
  close_to(layout.break_even, 1);
  job.copy_rate = 2e9;
  assert_true(fh_job_layout_advice(&job, &kernel, &layout));
  close_to(layout.break_even, 6); /* 0.45 s once against 0.0775 s each */
  kernel.dense_seconds = 100 * fh_job_dense_seconds(0.08, 8e8, 20e9, 1e8, 80e9, 0.079);
  assert_false(fh_job_layout_advice(&job, &kernel, &layout)); /* arithmetic stays: nothing to gain */
  close_to(fh_job_dense_seconds(1, 10, 5, 10, 5, 0), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bounds),      cmocka_unit_test(test_nothing), cmocka_unit_test(test_all_kernels),
      cmocka_unit_test(test_two_kernels), cmocka_unit_test(test_offer),   cmocka_unit_test(test_layout),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
