/* Rounds in turns: everybody is timed once in each, so that a mood of the machine meets all alike. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_ENGINE_ROUNDS_H_
#define FOGHORN_BENCH_ENGINE_ROUNDS_H_

#include <stdbool.h>

enum { FH_ROUNDS_MOST = 1001 };

typedef struct fh_contender {
  const char *name;
  /* Seconds of `calls` calls together; negative: it failed and is left out from then on. */
  double (*sample)(void *arg, long calls);
  void *arg;
  bool lingers;    /* its threads may go on spinning for a while: who comes next waits until they sleep */
  double *samples; /* seconds of one call, by round; from malloc, the owner frees it */
  int count;       /* rounds that it took part in */
  bool failed;
  long calls; /* per sample */
  double median, p10, p90;
} fh_contender;

typedef struct fh_rounds_options {
  int rounds;              /* at most */
  int least_rounds;        /* however long they take */
  double sample_seconds;   /* a sample is as many calls as take about so long, at least one */
  double budget_seconds;   /* all rounds together, once the least number is done */
  bool (*stop)(void *arg); /* asked between samples; NULL: never */
  void *stop_arg;
} fh_rounds_options;

/* Times all contenders. False without memory, or when it was stopped before the least number of rounds. */
bool fh_rounds_run(fh_contender *contenders, int count, const fh_rounds_options *options);

#endif /* FOGHORN_BENCH_ENGINE_ROUNDS_H_ */
