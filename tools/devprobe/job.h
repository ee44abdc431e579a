/* devprobe bench -- CMD: its parts. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_JOB_H_
#define FOGHORN_TOOLS_DEVPROBE_JOB_H_

#include "bench/engine/job.h"
#include "bench/engine/limits.h"
#include "tools/devprobe/cli.h"

/* How the program ended, and what the system counted for it and its children. */
typedef struct fh_job_end {
  int status;      /* as wait() gives it */
  int start_error; /* errno of what kept it from starting; 0: it ran */
  double wall, processor;
  int64_t read_bytes, written_bytes;
} fh_job_end;

/* Runs a program with FOGHORN_TRACE=trace and waits for it; its input and output are ours. */
fh_status fh_job_run(char *const *command, const char *trace, fh_job_end *out_end);

/* One line of the trace, as far as it matters here. */
typedef struct fh_job_launch {
  char label[160], kernel[48], device[24];
  double at, seconds, operations, bytes, elements_bytes, lines_bytes;
  int threads; /* 0: all that are usable */
} fh_job_launch;

typedef struct fh_job_trace {
  fh_job_launch *launches;
  int64_t count, capacity;
  int64_t unread; /* lines that are none */
} fh_job_trace;

/* Reads what the program wrote. A file that is not there is a program without launches. */
fh_status fh_job_read(const char *path, fh_job_trace *out_trace);
void fh_job_trace_free(fh_job_trace *trace);

/* Measures this machine for as many threads as the launches had, and sums up. The kernels are freed with fh_job_free. */
fh_status fh_job_sum(fh_job_trace *trace, const fh_job_end *end, fh_job *out_job);
void fh_job_free(fh_job *job);

/* What a device `times` faster, at `price` an hour (0: not asked), would give. */
typedef struct fh_job_offer {
  double times, price;
} fh_job_offer;

/* The verdict as text or JSON, by the options. Caller frees; NULL without memory. */
char *fh_job_text(const fh_cli *cli, int fd, const fh_job *job, const fh_job_trace *trace, const fh_job_end *end, fh_job_offer offer);

#endif /* FOGHORN_TOOLS_DEVPROBE_JOB_H_ */
