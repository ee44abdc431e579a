/* What was measured, as a table, as JSON, as a picture; and compared with an earlier time. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_ENGINE_REPORT_H_
#define FOGHORN_BENCH_ENGINE_REPORT_H_

#include "bench/engine/session.h"
#include "runtime/base/json.h"
#include "runtime/base/text.h"

/* "12.3 ms"; needs 24 bytes. */
const char *fh_bench_time(double seconds, char out[static 24]);
/* The limits of a machine in a few lines. */
void fh_bench_print_limits(fh_text *out, const fh_limits *limits);
/* Every row of the table, kernel by kernel: Foghorn, its limit and its peers; then who could not run, with the reason. */
void fh_bench_print_table(fh_text *out, const fh_bench_table *table);

/* The processor's name as the system has it, or "unknown". */
enum { FH_CPU_NAME = 128 };
void fh_bench_cpu_name(char out[static FH_CPU_NAME]);

/* foghorn.measurement/1 (docs/measurement.schema.json). `samples`: with every round's times, which a comparison needs. */
json_t *fh_bench_json(const fh_session *session, const fh_bench_options *options, const fh_bench_table *table, bool samples,
                      bool interrupted);

/* The table as SVG: per case how near Foghorn and its peers come to the limit. */
void fh_bench_plot(fh_text *out, const fh_bench_table *table, const char *title);

/* ---- against an earlier time --------------------------------------------------------------------------------- */

typedef struct fh_bench_past {
  json_t *document; /* owned */
} fh_bench_past;

/* Reads a saved measurement. INVALID_ARGUMENT: it is none, or of another processor; both are said. */
fh_status fh_bench_past_read(const char *path, fh_bench_past *out_past);
void fh_bench_past_free(fh_bench_past *past);

typedef struct fh_comparison {
  const char *kernel; /* of the row */
  char label[48];
  int threads;
  double factor, effect, p;
  enum { FH_COMPARED_SAME, FH_COMPARED_SLOWER, FH_COMPARED_FASTER, FH_COMPARED_NOT } verdict;
  char why[96]; /* NOT: why not */
} fh_comparison;

/* How a row's Foghorn compares with the past, out of `comparisons` that are made. */
fh_comparison fh_bench_compare(const fh_bench_past *past, const fh_bench_row *row, int comparisons);

enum { FH_COMPARE_ALPHA_PERCENT = 1, FH_COMPARE_EFFECT_PERCENT = 3 };

#endif /* FOGHORN_BENCH_ENGINE_REPORT_H_ */
