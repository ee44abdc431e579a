/* What samples say: spread, and whether a later set of them is slower than an earlier one. SPDX-License-Identifier: Apache-2.0
 *
 * The test. A run measures a kernel and a yardstick (what the machine can do at that moment) in the same rounds; the quantity that is
 * compared is log(kernel / yardstick), round by round, so that a slower clock or a busier memory cancels. A kernel is called slower when
 *   1. a one-sided Mann-Whitney test rejects "at most `effect` slower" at level alpha / (number of comparisons), and
 *   2. the Hodges-Lehmann estimate of the change is above `effect`,
 * where `effect` is the smallest change worth a word (3 %), or twice the drift within either of the two runs where that is more: a kernel
 * that wanders by itself is not judged more finely than it wanders. devprobe bench --compare measures again whatever was found, and reports
 * only what is found twice. References: Mann and Whitney 1947; Hodges and Lehmann 1963; Bonferroni's correction.
 */
#ifndef FOGHORN_BENCH_ENGINE_STATISTICS_H_
#define FOGHORN_BENCH_ENGINE_STATISTICS_H_

#include <stdbool.h>

typedef struct fh_spread {
  double median, p10, p90;
} fh_spread;

/* Of `count` >= 1 values, which are left as they are. Quantiles are interpolated. Without memory all is 0. */
fh_spread fh_spread_of(const double *values, int count);

/* Of a series of rounds: kernel and yardstick seconds; the yardstick may be NULL. */
typedef struct fh_series {
  const double *kernel, *yardstick;
  int count;
} fh_series;

typedef enum fh_change_verdict { FH_SAME = 0, FH_SLOWER, FH_FASTER, FH_TOO_FEW } fh_change_verdict;

typedef struct fh_change {
  fh_change_verdict verdict;
  double factor; /* estimate of new / old time, yardsticks taken out */
  double effect; /* changes up to this part are not told: 0.03 is 3 % */
  double p;      /* one-sided, of the side that factor is on */
} fh_change;

enum { FH_CHANGE_LEAST = 8 }; /* rounds on each side, below which nothing is said */

/* alpha: chance of at least one false alarm in `comparisons` comparisons of unchanged kernels. least_effect: 0.03 is 3 %. */
fh_change fh_change_of(fh_series before, fh_series after, double alpha, int comparisons, double least_effect);

/* P(at least as many pairs with b above a) when both are alike: Mann-Whitney, normal approximation with ties and continuity. */
double fh_mann_whitney(const double *a, int a_count, const double *b, int b_count);

#endif /* FOGHORN_BENCH_ENGINE_STATISTICS_H_ */
