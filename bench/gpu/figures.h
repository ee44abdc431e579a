/* What was measured, as JSON that report.c reads: rows of contenders that took turns. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_GPU_FIGURES_H_
#define FOGHORN_BENCH_GPU_FIGURES_H_

#include <stdbool.h>

#include "bench/engine/rounds.h"
#include "runtime/base/json.h"
#include "tests/support/watch.h"

/* What every measuring step is told. */
typedef struct gpu_options {
  const char *device, *opencl, *out, *self; /* self: this program's file */
  bool fake;
  int most_extent;      /* 0: as the list has them */
  double case_seconds;  /* of the rounds of one row */
  double total_seconds; /* rows begun later are named and left out */
  double start;
  watch *watch; /* each row is a turn */
} gpu_options;

/* A row: {"case", "kernel", "target", "results": []}, added to the document's rows. Borrowed. */
json_t *figures_row(json_t *document, const char *kernel, const char *label, const char *target);
/* A row that is a turn of its own; NULL: it was another process's. It is on disk before it is measured, as one that took its process along.
 */
json_t *figures_begin(json_t *document, const char *kernel, const char *label, const char *target, const gpu_options *options);
/* Why a row, or one of its contenders (name not NULL), has no figures. */
void figures_not_run(json_t *row, const char *name, const char *kind, const char *why);
/* Times the contenders in turns and adds what they took; `kinds` are "foghorn", "peer" or "limit". False: no turn was finished. */
bool figures_measure(json_t *row, fh_contender *contenders, const char *const *kinds, int count, const gpu_options *options);
/* The same for samples that are there already, and stay their owner's. */
void figures_add(json_t *row, fh_contender *contenders, const char *const *kinds, int count);
/* The number that the row's target is about. */
void figures_value(json_t *row, double value);

/* The median of a contender of a row in seconds; 0: it has none. */
double figures_median(const json_t *row, const char *name);

/* Whole or not at all; a run that is cut short leaves what it has. False after a message. */
bool figures_write(const json_t *document, const char *path);

#endif /* FOGHORN_BENCH_GPU_FIGURES_H_ */
