/* What a comparison of two measurements finds, and how often it is wrong, on series with the habits of real ones: noise, drift, spikes, a
 * machine that is slower the second time. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "bench/engine/statistics.h"

enum { ROUNDS = 21, TRIALS = 2000 };

static uint64_t state = 1;

/* SplitMix64 (Steele, Lea, Flood 2014); in (0, 1). */
static double uniform(void) {
  uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double normal(void) { return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()); }

typedef struct run {
  double kernel[ROUNDS], yardstick[ROUNDS];
} run;

/* Noise of 1 %, one sample in fifteen up to 30 % late, and a mood of the machine that wanders by a percent a round and meets the kernel
 * and its yardstick alike. */
static run make_run(double seconds, double machine) {
  run r;
  double mood = 0;
  for (int i = 0; i < ROUNDS; i++) {
    mood = 0.9 * mood + 0.01 * normal();
    const double spike = uniform() < 1.0 / 15 ? 1 + 0.3 * uniform() : 1;
    r.kernel[i] = seconds * machine * exp(mood + 0.01 * normal()) * spike;
    r.yardstick[i] = 1e-3 * machine * exp(mood + 0.005 * normal());
  }
  return r;
}

static fh_change compare(double slower, double machine, int comparisons) {
  const run before = make_run(2e-3, 1), after = make_run(2e-3 * slower, machine);
  return fh_change_of((fh_series){before.kernel, before.yardstick, ROUNDS}, (fh_series){after.kernel, after.yardstick, ROUNDS}, 0.01,
                      comparisons, 0.03);
}

/* Part of the trials with this verdict. */
static double rate(double slower, double machine, int comparisons, fh_change_verdict verdict) {
  int found = 0;
  state = 1;
  for (int i = 0; i < TRIALS; i++) found += compare(slower, machine, comparisons).verdict == verdict;
  return (double)found / TRIALS;
}

/* One chance in a hundred is stated for a whole table: a single comparison must stay far below it. */
static void no_change_is_no_alarm(void **unused) {
  (void)unused;
  const double slower = rate(1, 1, 1, FH_SLOWER), faster = rate(1, 1, 1, FH_FASTER);
  printf("no change: %.4f called slower, %.4f faster\n", slower, faster);
  assert_true(slower <= 0.002);
  assert_true(faster <= 0.002);
}

static void a_slower_machine_is_no_alarm(void **unused) {
  (void)unused;
  assert_true(rate(1, 1.4, 1, FH_SLOWER) <= 0.002);
  assert_true(rate(1, 0.7, 1, FH_FASTER) <= 0.002);
}

static void a_table_of_a_hundred_rows_keeps_its_promise(void **unused) {
  (void)unused;
  int tables = 0;
  state = 7;
  for (int t = 0; t < 200; t++) {
    bool alarm = false;
    for (int row = 0; row < 100; row++) alarm |= compare(1, 1, 100).verdict == FH_SLOWER;
    tables += alarm;
  }
  printf("tables of 100 unchanged rows with an alarm: %.3f\n", tables / 200.0);
  assert_true(tables <= 6); /* 1 % of 200 are 2; 6 or more have a chance of 2 % */
}

static void slow_downs_are_found(void **unused) {
  (void)unused;
  static const double slower[] = {1.05, 1.10, 1.25, 2.0};
  double found[4];
  for (int i = 0; i < 4; i++) {
    found[i] = rate(slower[i], 1.2, 100, FH_SLOWER);
    printf("%+.0f %%: %.3f found among 100 rows, %.3f alone\n", 100 * (slower[i] - 1), found[i], rate(slower[i], 1.2, 1, FH_SLOWER));
  }
  assert_true(found[0] < found[1]); /* near the smallest change worth a word, half are left out */
  assert_true(found[1] >= 0.95);
  assert_true(found[2] >= 0.999);
  assert_true(found[3] >= 0.999);
}

static void the_estimate_is_near(void **unused) {
  (void)unused;
  state = 3;
  for (int i = 0; i < 200; i++) {
    const fh_change change = compare(1.25, 1.3, 1);
    assert_true(change.factor > 1.22 && change.factor < 1.28);
  }
  assert_int_equal(compare(1 / 1.25, 1, 1).verdict, FH_FASTER);
}

static void few_rounds_say_nothing(void **unused) {
  (void)unused;
  const run before = make_run(1e-3, 1), after = make_run(2e-3, 1);
  const fh_change change =
      fh_change_of((fh_series){before.kernel, NULL, ROUNDS}, (fh_series){after.kernel, NULL, FH_CHANGE_LEAST - 1}, 0.01, 1, 0.03);
  assert_int_equal(change.verdict, FH_TOO_FEW);
}

/* A run whose halves are far apart is not judged more finely than that. */
static void a_drifting_run_widens_the_margin(void **unused) {
  (void)unused;
  run before = make_run(1e-3, 1), after = make_run(1.05e-3, 1);
  for (int i = ROUNDS / 2; i < ROUNDS; i++) after.kernel[i] *= 1.2;
  const fh_change change =
      fh_change_of((fh_series){before.kernel, before.yardstick, ROUNDS}, (fh_series){after.kernel, after.yardstick, ROUNDS}, 0.01, 1, 0.03);
  assert_true(change.effect > 0.3);
  assert_int_equal(change.verdict, FH_SAME);
}

/* Against the exact distribution (all orders counted): m = n = 4, U = 15 of 16 has 2 of 70 orders. */
static void mann_whitney_is_right(void **unused) {
  (void)unused;
  const double a[] = {1, 2, 3, 5}, b[] = {4, 6, 7, 8}, same[] = {1, 1, 1, 1};
  assert_true(fabs(fh_mann_whitney(a, 4, b, 4) - 2.0 / 70) < 0.01);
  assert_true(fabs(fh_mann_whitney(b, 4, a, 4) - 1) < 0.02);
  assert_true(fh_mann_whitney(same, 4, same, 4) > 0.999);
}

static void spread_interpolates(void **unused) {
  (void)unused;
  const double values[] = {5, 1, 4, 2, 3};
  const fh_spread s = fh_spread_of(values, 5);
  assert_true(fabs(s.median - 3) < 1e-12 && fabs(s.p10 - 1.4) < 1e-12 && fabs(s.p90 - 4.6) < 1e-12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_change_is_no_alarm),
      cmocka_unit_test(a_slower_machine_is_no_alarm),
      cmocka_unit_test(a_table_of_a_hundred_rows_keeps_its_promise),
      cmocka_unit_test(slow_downs_are_found),
      cmocka_unit_test(the_estimate_is_near),
      cmocka_unit_test(few_rounds_say_nothing),
      cmocka_unit_test(a_drifting_run_widens_the_margin),
      cmocka_unit_test(mann_whitney_is_right),
      cmocka_unit_test(spread_interpolates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
