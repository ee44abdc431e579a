/* A measuring session: contexts, limits, peers; turns a case into rows of figures. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_ENGINE_SESSION_H_
#define FOGHORN_BENCH_ENGINE_SESSION_H_

#include "bench/engine/limits.h"
#include "kernels/contract.h"

enum { FH_BENCH_THREADS = 4, FH_BENCH_ENTRIES = 24 };

typedef enum fh_entry_kind { FH_ENTRY_FOGHORN = 0, FH_ENTRY_VARIANT, FH_ENTRY_PEER, FH_ENTRY_LIMIT } fh_entry_kind;

/* One contender of one row. */
typedef struct fh_bench_entry {
  char name[48];
  fh_entry_kind kind;
  char variant[48]; /* Foghorn: what the planner chose; a peer: its version */
  char why[240];    /* why there are no figures; "" there are */
  double median, p10, p90;
  double of_limit; /* part of the limit; 0: no limit is known */
  double times;    /* a peer: its time over Foghorn's; above 1 Foghorn is faster */
  double *samples; /* seconds by round */
  int count;
} fh_bench_entry;

typedef enum fh_binding { FH_BOUND_COMPUTE = 0, FH_BOUND_MEMORY, FH_BOUND_LAUNCH } fh_binding;
/* "compute", "memory", "launch" */
const char *fh_binding_name(fh_binding binding);

/* One case on some number of threads. */
typedef struct fh_bench_row {
  const char *kernel;
  char label[48];
  int threads;
  double flops, bytes, set; /* operations, least traffic, bytes of all operands */
  const char *level;        /* where the operands fit */
  fh_peak peak;
  double compute_seconds, memory_seconds, launch_seconds; /* least possible by arithmetic, by memory; cost of starting anything */
  fh_binding binding;
  fh_bench_entry entries[FH_BENCH_ENTRIES]; /* Foghorn first */
  int entry_count;
} fh_bench_row;

typedef struct fh_bench_table {
  fh_bench_row *rows;
  int count, capacity;
} fh_bench_table;

typedef struct fh_bench_options {
  const char *device; /* NULL: cpu */
  int threads[FH_BENCH_THREADS], thread_counts;
  int rounds;
  double sample_seconds, budget_seconds;
  bool variants;           /* every usable variant besides the planner's choice */
  bool exact;              /* only variants that are bit-identical everywhere */
  bool peers;              /* libraries in this process */
  const char *peer_folder; /* scripts; NULL: none */
  const char *python;
  double inject; /* makes Foghorn slower by this part, to see that a comparison finds it */
  bool allow_fake;
  void (*progress)(const char *text);
  bool (*stop)(void *unused);
} fh_bench_options;

typedef struct fh_session fh_session;

/* Opens the contexts and measures the limits. The options live until close. */
fh_status fh_session_open(const fh_bench_options *options, fh_session **out_session);
void fh_session_close(fh_session *session);

/* Of the i-th number of threads; NULL on a device whose limits are not measured. */
const fh_limits *fh_session_limits(const fh_session *session, int i);

/* Measures a case on every number of threads and adds the rows; one that was stopped before it had enough rounds is left out. */
fh_status fh_session_measure(fh_session *session, const fh_kernel_image *image, const fh_case *c, fh_bench_table *table);
/* The same on the i-th number of threads. */
fh_status fh_session_measure_on(fh_session *session, int i, const fh_kernel_image *image, const fh_case *c, fh_bench_table *table);

void fh_bench_table_free(fh_bench_table *table);

/* The i-th case worth measuring; false past the last. */
bool fh_bench_case_at(const fh_kernel_contract *contract, int i, fh_case *out);

/* Foghorn's entry of a row, and the seconds of its limit that binds. */
const fh_bench_entry *fh_bench_own(const fh_bench_row *row);
double fh_bench_limit_seconds(const fh_bench_row *row);

#endif /* FOGHORN_BENCH_ENGINE_SESSION_H_ */
