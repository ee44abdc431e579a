/* Rounds in turns. SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine/rounds.h"

#include <stdlib.h>
#include <time.h>

#include "bench/engine/statistics.h"
#include "runtime/base/clock.h"

/* OpenMP and BLAS libraries keep their threads spinning after a call, some for 27 ms: they would run into their neighbour's time. */
enum { LINGER_MS = 30, CALIBRATION_TAKES = 3 };

static void let_sleep(const fh_contender *before) {
  if (before && before->lingers) nanosleep(&(struct timespec){.tv_nsec = LINGER_MS * 1000000L}, NULL);
}

static double take(fh_contender *c, long calls) {
  if (c->failed) return -1;
  double seconds = c->sample(c->arg, calls);
  if (!(seconds >= 0)) c->failed = true;
  return seconds;
}

/* The least of a few takes, unless they are long: one that was disturbed must not decide for good on the number of calls. */
static double least_take(fh_contender *c, long calls, double is_long) {
  double least = take(c, calls);
  for (int i = 1; i < CALIBRATION_TAKES && least < is_long && !c->failed; i++) {
    const double again = take(c, calls);
    if (again < least) least = again;
  }
  return least;
}

/* Calls that take about `seconds`; the first call only warms up. A disturbance may last for several times `seconds`. */
static void calibrate(fh_contender *c, double seconds) {
  const double is_long = 10 * seconds;
  c->calls = 1;
  take(c, 1);
  double took = least_take(c, 1, is_long);
  while (!c->failed && took < seconds / 4 && c->calls < 1L << 24) {
    c->calls *= 4;
    took = least_take(c, c->calls, is_long);
  }
  if (c->failed) return;
  const double wanted = took > 0 ? seconds / (took / (double)c->calls) : 1;
  c->calls = wanted > 1e9 ? 1000000000 : wanted < 1 ? 1 : (long)(wanted + 0.5);
}

/* A call before the timed ones wakes the threads and brings code and data back; long calls do that by themselves. */
static void sample(fh_contender *c, bool is_long) {
  if (!is_long) take(c, 1);
  double seconds = take(c, c->calls) / (double)c->calls;
  if (!c->failed) c->samples[c->count++] = seconds;
}

static bool stopped(const fh_rounds_options *o) { return o->stop && o->stop(o->stop_arg); }

static bool prepare(fh_contender *contenders, int count, const fh_rounds_options *o) {
  for (int i = 0; i < count; i++) {
    contenders[i].samples = calloc((size_t)o->rounds, sizeof *contenders[i].samples);
    if (!contenders[i].samples) return false;
  }
  for (int i = 0; i < count && !stopped(o); i++) {
    let_sleep(i ? &contenders[i - 1] : NULL);
    calibrate(&contenders[i], o->sample_seconds);
  }
  return !stopped(o);
}

bool fh_rounds_run(fh_contender *contenders, int count, const fh_rounds_options *o) {
  if (!prepare(contenders, count, o)) return false;
  const double start = fh_now_seconds();
  const fh_contender *before = count ? &contenders[count - 1] : NULL;
  int round = 0;
  for (; round < o->rounds; round++) {
    if (round >= o->least_rounds && fh_now_seconds() - start > o->budget_seconds) break;
    for (int j = 0; j < count && !stopped(o); j++) {
      fh_contender *c = &contenders[(round + j) % count]; /* nobody always follows the same one */
      let_sleep(before);
      sample(c, c->count > 0 && c->samples[0] > 5 * o->sample_seconds);
      before = c;
    }
    if (stopped(o)) break;
  }
  for (int i = 0; i < count; i++) {
    fh_contender *c = &contenders[i];
    if (c->count == 0) continue;
    const fh_spread spread = fh_spread_of(c->samples, c->count);
    c->median = spread.median;
    c->p10 = spread.p10;
    c->p90 = spread.p90;
  }
  return round >= o->least_rounds;
}
