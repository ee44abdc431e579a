/* A user's program that calls Foghorn, judged: what it waits for, what faster kernels could gain at most, and whether that is worth the
 * work. SPDX-License-Identifier: Apache-2.0
 *
 * Facts in, verdict out; nothing here looks at a machine. With w seconds in all of which kernels ran for k (overlaps counted once), the
 * rest s = 1 - k/w stays when kernels become faster (Amdahl 1967): kernels x times faster end the job 1 / (s + (1 - s) / x) times sooner,
 * and no kernel ends it more than 1 / s times sooner. Of what is paid by the hour, (1 - s)(1 - 1/x) is saved.
 */
#ifndef FOGHORN_BENCH_ENGINE_JOB_H_
#define FOGHORN_BENCH_ENGINE_JOB_H_

#include <stdbool.h>
#include <stdint.h>

/* The launches of one kernel on one device. Seconds are sums over the launches. */
typedef struct fh_job_kernel {
  char name[48];
  char device[24];   /* "cpu" */
  char slowest[160]; /* label of the launch that took longest */
  int64_t launches;
  double seconds, longest;
  double compute_seconds, memory_seconds; /* the least that arithmetic, and moving the bytes, take on this machine; 0: not known */
  double limit_seconds;                   /* launch by launch the larger of the two */
  /* Of the launches whose elements lie apart, so that the cache lines that are moved hold others too: */
  int64_t sparse_launches;
  double sparse_seconds, sparse_elements_bytes, sparse_lines_bytes;
  double dense_seconds; /* what these would take with their elements side by side: fh_job_dense_seconds of each */
} fh_job_kernel;

typedef struct fh_job {
  double wall;                       /* seconds from start to end */
  double processor;                  /* seconds of processors, its children's too */
  double kernel_seconds;             /* of the wall time while at least one launch ran */
  double launch_seconds;             /* what a launch that does nothing costs */
  double copy_rate;                  /* bytes per second of a copy that begins and ends in DRAM, read and written counted */
  int64_t read_bytes, written_bytes; /* from and to disks, where known */
  fh_job_kernel *kernels;            /* most seconds first */
  int kernel_count;
} fh_job;

typedef enum fh_job_bound {
  FH_JOB_NO_LAUNCH = 0, /* nothing of it ran through Foghorn */
  FH_JOB_WAITING,       /* no processor worked for most of the time: files, network, other programs */
  FH_JOB_REST,          /* the program's own work between the launches */
  FH_JOB_COMPUTE,
  FH_JOB_MEMORY,
  FH_JOB_LAUNCH,
  FH_JOB_UNKNOWN, /* kernels on a device whose limits and times are not known */
} fh_job_bound;

typedef struct fh_job_verdict {
  fh_job_bound bound;
  double kernel_part;  /* 1 - s */
  double waiting_part; /* at least: wall time that not even one processor accounts for */
  double ceiling;      /* times sooner with kernels that take no time; infinite where all is kernels */
  double limit_gain;   /* times sooner with kernels at this machine's limit; 1 where nothing is left */
  bool worth_porting;  /* a faster device could gain something worth having; true where the bound is unknown */
} fh_job_verdict;

/* What gains less than this is not worth the work of porting. */
#define FH_JOB_LEAST_GAIN 1.25

/* Some of it ran on a device other than the CPU: its launches are handed over and end later, so their seconds say little. */
bool fh_job_elsewhere(const fh_job *job);
/* What one kernel's launches are bound by, FH_JOB_COMPUTE, _MEMORY, _LAUNCH or _UNKNOWN. */
fh_job_bound fh_job_kernel_bound(const fh_job *job, const fh_job_kernel *kernel);
fh_job_verdict fh_job_judge(const fh_job *job);

/* Times sooner with kernels `times` faster, and the part of the price per hour that is saved then. */
double fh_job_speedup(double kernel_part, double times);
double fh_job_saving(double kernel_part, double times);

/* Fields of records as arrays of their own (AoS to SoA), for the launches of a kernel whose elements lie apart. */
typedef struct fh_job_layout {
  double apart;                          /* bytes of lines over bytes of elements */
  double gain;                           /* predicted: times faster a launch, 1 where the elements are close enough */
  double convert_seconds, saved_seconds; /* once, and per launch */
  double break_even;                     /* launches from which on converting pays; infinite: never */
} fh_job_layout;

/* Predicted seconds of a launch that took `took` and moved `lines` bytes of cache lines at `lines_rate` at best, when its elements lie side
 * by side: then it moves `elements` bytes, which may lie in a faster cache, at `elements_rate` at best. Arithmetic and starting, which
 * take `fixed`, stay. Rates are in bytes per second. */
double fh_job_dense_seconds(double took, double lines, double lines_rate, double elements, double elements_rate, double fixed);
/* False where there is nothing to advise: no such launches, or less than 10 % to gain. */
bool fh_job_layout_advice(const fh_job *job, const fh_job_kernel *kernel, fh_job_layout *out);

#endif /* FOGHORN_BENCH_ENGINE_JOB_H_ */
