/* Judging a program by what its launches took. SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine/job.h"

#include <math.h>
#include <string.h>

static const double least_advice = 1.1;

double fh_job_speedup(double kernel_part, double times) { return 1 / (1 - kernel_part + kernel_part / times); }

double fh_job_saving(double kernel_part, double times) { return kernel_part * (1 - 1 / times); }

fh_job_bound fh_job_kernel_bound(const fh_job *job, const fh_job_kernel *kernel) {
  if (strcmp(kernel->device, "cpu") != 0) return FH_JOB_UNKNOWN;
  if ((double)kernel->launches * job->launch_seconds > kernel->seconds / 2) return FH_JOB_LAUNCH;
  if (kernel->limit_seconds <= 0) return FH_JOB_UNKNOWN;
  return kernel->compute_seconds > kernel->memory_seconds ? FH_JOB_COMPUTE : FH_JOB_MEMORY;
}

/* What most of the kernels' time is bound by. */
static fh_job_bound kernels_bound(const fh_job *job) {
  double seconds[FH_JOB_UNKNOWN + 1] = {0};
  fh_job_bound most = FH_JOB_COMPUTE;
  for (int i = 0; i < job->kernel_count; i++) seconds[fh_job_kernel_bound(job, &job->kernels[i])] += job->kernels[i].seconds;
  for (int b = FH_JOB_COMPUTE; b <= FH_JOB_UNKNOWN; b++)
    if (seconds[b] > seconds[most]) most = (fh_job_bound)b;
  return most;
}

bool fh_job_elsewhere(const fh_job *job) {
  for (int i = 0; i < job->kernel_count; i++)
    if (strcmp(job->kernels[i].device, "cpu") != 0) return true;
  return false;
}

/* Of the kernels' time, the part that would be left at the limits of this machine. Launches cost what they cost. */
static double part_left(const fh_job *job) {
  double took = 0, least = 0;
  for (int i = 0; i < job->kernel_count; i++) {
    const fh_job_kernel *k = &job->kernels[i];
    const double limit = k->limit_seconds + (double)k->launches * job->launch_seconds;
    const bool known = k->limit_seconds > 0 && strcmp(k->device, "cpu") == 0 && limit < k->seconds;
    took += k->seconds;
    least += known ? limit : k->seconds;
  }
  return took > 0 ? least / took : 1;
}

fh_job_verdict fh_job_judge(const fh_job *job) {
  fh_job_verdict v = {.ceiling = 1, .limit_gain = 1};
  if (job->wall <= 0) return v;
  v.kernel_part = fmin(1, fmax(0, job->kernel_seconds / job->wall));
  v.waiting_part = fmin(1, fmax(0, 1 - job->processor / job->wall));
  v.ceiling = v.kernel_part < 1 ? 1 / (1 - v.kernel_part) : INFINITY;
  v.limit_gain = 1 / (1 - v.kernel_part + v.kernel_part * part_left(job));
  v.worth_porting = v.ceiling >= FH_JOB_LEAST_GAIN || fh_job_elsewhere(job);
  if (job->kernel_count == 0)
    v.bound = FH_JOB_NO_LAUNCH;
  else if (fh_job_elsewhere(job))
    v.bound =
        FH_JOB_UNKNOWN; /* what such a launch takes ends in some later wait, which looks like waiting or like the program's own work */
  else if (v.waiting_part >= 0.5)
    v.bound = FH_JOB_WAITING;
  else if (v.kernel_part < 0.5)
    v.bound = FH_JOB_REST;
  else
    v.bound = kernels_bound(job);
  return v;
}

double fh_job_dense_seconds(double took, double lines, double lines_rate, double elements, double elements_rate, double fixed) {
  if (!(lines > elements) || !(elements > 0) || !(lines_rate > 0) || !(elements_rate > 0)) return took;
  const double dense = took * (elements / elements_rate) / (lines / lines_rate);
  return fmin(took, fmax(dense, fixed));
}

bool fh_job_layout_advice(const fh_job *job, const fh_job_kernel *kernel, fh_job_layout *out) {
  *out = (fh_job_layout){.apart = 1, .gain = 1, .break_even = INFINITY};
  if (kernel->sparse_launches == 0 || !(kernel->sparse_elements_bytes > 0) || !(kernel->dense_seconds > 0) || !(job->copy_rate > 0))
    return false;
  const double launches = (double)kernel->sparse_launches;
  out->apart = kernel->sparse_lines_bytes / kernel->sparse_elements_bytes;
  out->gain = kernel->sparse_seconds / kernel->dense_seconds;
  out->saved_seconds = (kernel->sparse_seconds - kernel->dense_seconds) / launches;
  out->convert_seconds = (kernel->sparse_lines_bytes + kernel->sparse_elements_bytes) / launches / job->copy_rate;
  if (out->saved_seconds > 0) out->break_even = ceil(out->convert_seconds / out->saved_seconds);
  return out->gain >= least_advice;
}
