/* What this machine can do at most, measured: arithmetic in registers, and reading and writing memory. SPDX-License-Identifier: Apache-2.0
 *
 * A limit is a loop that does nothing else, run by as many threads as the kernel may use, each on its own part and without meeting the
 * others in between. The loops of the widest instruction sets are tried and the fastest is kept: wider is not always faster.
 */
#ifndef FOGHORN_BENCH_ENGINE_LIMITS_H_
#define FOGHORN_BENCH_ENGINE_LIMITS_H_

#include <foghorn/status.h>
#include <foghorn/types.h>

#include "runtime/exec/pool.h"

/* Arithmetic that a kernel lives on: multiply-adds of these operands. */
typedef enum fh_peak { FH_PEAK_F32 = 0, FH_PEAK_F64, FH_PEAK_BF16, FH_PEAK_I8, FH_PEAK_COUNT } fh_peak;

/* "f32", "f64", "bf16", "i8" */
const char *fh_peak_name(fh_peak peak);
/* As what a kernel's first inputs (two at most) are multiplied. */
fh_peak fh_peak_of(const fh_dtype *inputs, int count);

enum { FH_LEVEL_COUNT = 4 };

/* Bytes per second at one level of the memory hierarchy. */
typedef struct fh_level {
  const char *name;          /* "L1", "L2", "L3", "DRAM" */
  size_t capacity;           /* bytes that one thread finds here; 0 for DRAM */
  double read, copy, stream; /* stream: a copy past the caches; read + written bytes per second */
} fh_level;

typedef struct fh_limits {
  int threads;
  double flops[FH_PEAK_COUNT]; /* operations per second of all threads, a multiply-add counted as two; 0: not measured here */
  fh_level levels[FH_LEVEL_COUNT];
} fh_limits;

/* Measures all of the above with the threads of the pool, in about a second. Fails only without memory. */
fh_status fh_limits_measure(fh_pool *pool, fh_limits *out_limits);

/* The level that holds `bytes` bytes shared by the threads. */
const fh_level *fh_limits_level(const fh_limits *limits, double bytes);

/* ---- yardsticks: limits that take their turn in the rounds ------------------------------------------------ */

/* Arithmetic: seconds that `flops` operations take at the peak. */
typedef struct fh_compute_probe {
  fh_pool *pool;
  fh_peak peak;
  double flops;
} fh_compute_probe;
/* Seconds of `calls` times that work; short work is measured longer and scaled. */
double fh_compute_probe_sample(void *probe, long calls);

/* Memory: reads `read` bytes and writes `write` bytes, as much of it as can be as a copy. */
typedef struct fh_traffic_probe {
  fh_pool *pool;
  char *from, *to;
  size_t read, write;
  bool stream; /* past the caches */
} fh_traffic_probe;
double fh_traffic_probe_sample(void *probe, long calls);

/* True where a write can go past the caches at all. */
bool fh_limits_can_stream(void);

#endif /* FOGHORN_BENCH_ENGINE_LIMITS_H_ */
