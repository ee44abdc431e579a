/* What samples say. SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double *sorted_copy(const double *values, int count) {
  double *out = malloc((size_t)count * sizeof *out);
  if (!out) return NULL;
  memcpy(out, values, (size_t)count * sizeof *out);
  qsort(out, (size_t)count, sizeof *out, ascending);
  return out;
}

static double quantile(const double *sorted, int count, double q) {
  const double place = q * (count - 1);
  const int below = (int)place, above = below + 1 < count ? below + 1 : below;
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

fh_spread fh_spread_of(const double *values, int count) {
  double *sorted = count > 0 ? sorted_copy(values, count) : NULL;
  if (!sorted) return (fh_spread){0};
  const fh_spread out = {quantile(sorted, count, 0.5), quantile(sorted, count, 0.1), quantile(sorted, count, 0.9)};
  free(sorted);
  return out;
}

/* ---- Mann and Whitney ------------------------------------------------------------------------------------------ */

typedef struct tagged {
  double value;
  bool is_b;
} tagged;

static int by_value(const void *a, const void *b) { return ascending(&((const tagged *)a)->value, &((const tagged *)b)->value); }

/* Sum over the runs of equal values: ranks of b, and the correction of the variance. */
static double rank_sum(const tagged *all, int count, double *out_ties) {
  double sum = 0;
  *out_ties = 0;
  for (int i = 0; i < count;) {
    int end = i, bs = 0;
    for (; end < count && all[end].value <= all[i].value; end++) bs += all[end].is_b;
    const double equal = end - i, rank = i + (equal + 1) / 2;
    sum += rank * bs;
    *out_ties += equal * equal * equal - equal;
    i = end;
  }
  return sum;
}

double fh_mann_whitney(const double *a, int a_count, const double *b, int b_count) {
  const int count = a_count + b_count;
  tagged *all = malloc((size_t)count * sizeof *all);
  if (!all) return 1; /* nothing is claimed */
  for (int i = 0; i < count; i++) all[i] = i < a_count ? (tagged){a[i], false} : (tagged){b[i - a_count], true};
  qsort(all, (size_t)count, sizeof *all, by_value);
  double ties, ranks = rank_sum(all, count, &ties), n = a_count, m = b_count, all_count = count;
  free(all);
  const double u = ranks - m * (m + 1) / 2;
  const double variance = n * m / 12 * (all_count + 1 - ties / (all_count * (all_count - 1)));
  if (!(variance > 0)) return u > n * m / 2 ? 0 : 1;
  return 0.5 * erfc((u - n * m / 2 - 0.5) / sqrt(2 * variance));
}

/* ---- change -------------------------------------------------------------------------------------------------------- */

/* log(kernel / yardstick), by round; from malloc. */
static double *logs_of(fh_series s) {
  double *out = malloc((size_t)s.count * sizeof *out);
  for (int i = 0; out && i < s.count; i++) out[i] = log(s.kernel[i]) - (s.yardstick ? log(s.yardstick[i]) : 0);
  return out;
}

/* How far the medians of the two halves of a run are apart. */
static double drift_of(const double *logs, int count) {
  const int half = count / 2;
  return fabs(fh_spread_of(logs, half).median - fh_spread_of(logs + half, count - half).median);
}

/* Median of all differences. */
static double shift_of(const double *a, int a_count, const double *b, int b_count) {
  const size_t count = (size_t)a_count * (size_t)b_count;
  double *differences = malloc(count * sizeof *differences);
  if (!differences) return 0;
  for (int i = 0; i < a_count; i++)
    for (int j = 0; j < b_count; j++) differences[i * b_count + j] = b[j] - a[i];
  const double shift = fh_spread_of(differences, (int)count).median;
  free(differences);
  return shift;
}

static fh_change judge(double *before, int before_count, double *after, int after_count, double level, double least_effect) {
  const double drift_before = drift_of(before, before_count), drift_after = drift_of(after, after_count);
  const double drift = 2 * (drift_before > drift_after ? drift_before : drift_after);
  const double margin = drift > log1p(least_effect) ? drift : log1p(least_effect);
  const double shift = shift_of(before, before_count, after, after_count);
  fh_change change = {.factor = exp(shift), .effect = expm1(margin)};
  /* The hypothesis is "at most the margin": the later side is moved back by it. */
  for (int i = 0; i < after_count; i++) after[i] -= shift > 0 ? margin : -margin;
  change.p =
      shift > 0 ? fh_mann_whitney(before, before_count, after, after_count) : fh_mann_whitney(after, after_count, before, before_count);
  if (change.p < level && fabs(shift) > margin) change.verdict = shift > 0 ? FH_SLOWER : FH_FASTER;
  return change;
}

fh_change fh_change_of(fh_series before, fh_series after, double alpha, int comparisons, double least_effect) {
  if (before.count < FH_CHANGE_LEAST || after.count < FH_CHANGE_LEAST) return (fh_change){.verdict = FH_TOO_FEW, .factor = 1, .p = 1};
  double *a = logs_of(before), *b = logs_of(after);
  fh_change change = {.verdict = FH_TOO_FEW, .factor = 1, .p = 1};
  if (a && b) change = judge(a, before.count, b, after.count, alpha / (comparisons > 1 ? comparisons : 1), least_effect);
  free(a);
  free(b);
  return change;
}
