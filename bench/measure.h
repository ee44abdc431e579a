/* Timing side by side: contenders take turns, so that drift of the machine hits all alike.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_MEASURE_H_
#define FOGHORN_BENCH_MEASURE_H_

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "runtime/base/clock.h"

typedef struct measure_contender {
  const char *name;
  void (*run)(void *arg);      /* what is timed, or */
  double (*sample)(void *arg); /* what gives its own seconds */
  void *arg;
  double median, p10, p90; /* seconds of one call; filled by measure_rounds */
} measure_contender;

/* Times all contenders in `rounds` rounds, in turns; a sample is as many calls of run as last `sample_seconds`. */
void measure_rounds(measure_contender *contenders, int count, int rounds, double sample_seconds);

/* Multiply-adds per second of one core in registers with the widest vectors here, times two: the roof. 0 when the
 * CPU has no fused multiply-add that this program knows. */
double measure_peak_flops(void);

/* {"name", "median_s", "p10_s", "p90_s"} */
json_t *measure_json(const measure_contender *contender);

/* What every result file starts with: schema, benchmark, CPU, CPUs of the process, version. */
json_t *measure_document(const char *bench);
/* Writes and frees the document; false after a message when that fails. path NULL: only frees. */
bool measure_save(json_t *document, const char *path);

/* A decimal number of at least `least` at *at, which moves past it; false, and nothing changed, for anything else. */
bool measure_read_int(const char **at, int least, int *out);
/* The same, and the number is all of the text. */
bool measure_int(const char *text, int least, int *out);

/* One line of progress on a terminal, replaced by the next; nothing in a log. NULL clears it. */
void measure_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* FOGHORN_BENCH_MEASURE_H_ */
