/* A kernel at one shape on one device, its operands resident there: what is timed beside other libraries.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Built into gpu_bench and, as libgpu_bench.so, loaded by peers.py, so that Foghorn and its peers share a process, a device context and
 * the rounds. The second use is why there are only plain C types here, and why reasons are written into the caller's text.
 */
#ifndef FOGHORN_BENCH_GPU_CASE_H_
#define FOGHORN_BENCH_GPU_CASE_H_

#include <stdint.h>

#define GPU_API __attribute__((visibility("default")))

enum { GPU_BURST = 128 }; /* launches that are handed over before a wait where the wait is not timed */

typedef struct gpu_session gpu_session;
typedef struct gpu_case gpu_case;

/* The list of cases: what the targets of report.c are about. NULL past the last. */
typedef struct gpu_case_spec {
  const char *kernel;
  const char *shapes;  /* of the views in the contract's order: "4096x128 128x4096 4096x4096" */
  const char *scalars; /* in the contract's order, "1 0.125"; "": the contract's defaults */
  const char *target;  /* id in report.c; "": none */
} gpu_case_spec;
GPU_API const gpu_case_spec *gpu_case_at(int index);

/* Opens a device ("cuda:0", "opencl:1", "cpu"), with nothing beside it: what it cannot run fails. NULL with the reason in `why`. */
GPU_API gpu_session *gpu_session_open(const char *device, int allow_fake, char *why, int size);
GPU_API void gpu_session_close(gpu_session *session);

/* Fills the operands with random data. most_extent > 0: no extent is larger (the stand-in is no GPU). NULL with the reason in `why`. */
GPU_API gpu_case *gpu_case_open(gpu_session *session, const gpu_case_spec *spec, int64_t most_extent, char *why, int size);
GPU_API void gpu_case_close(gpu_case *c);

/* Seconds of `calls` launches and the wait for the last; the operands are on the device from the first call on. Negative: a launch
 * failed, or ran on another device. Then gpu_case_why says what. */
GPU_API double gpu_case_sample(gpu_case *c, long calls);
/* Seconds of handing the launches over, without the wait: in bursts, so that the driver's queue is never full and nobody waits for room. */
GPU_API double gpu_case_sample_host(gpu_case *c, long calls);
GPU_API const char *gpu_case_why(const gpu_case *c);

/* One call on fresh operands: outputs are poisoned before it and brought to the host after it. 0: done. */
GPU_API int gpu_case_run_once(gpu_case *c);
/* Compact elements of a view on the host, as the last gpu_case_run_once left them. */
GPU_API const void *gpu_case_data(const gpu_case *c, int view);
/* Seconds of a call that has to bring what it reads and writes (axpy's y) to the device first, and of bringing it home. */
GPU_API double gpu_case_sample_to_device(gpu_case *c);
GPU_API double gpu_case_sample_to_host(gpu_case *c);

GPU_API int gpu_case_view_count(const gpu_case *c);
GPU_API const char *gpu_case_view_name(const gpu_case *c, int view);
GPU_API const char *gpu_case_view_dtype(const gpu_case *c, int view);
GPU_API int gpu_case_view_shape(const gpu_case *c, int view, int64_t *extents); /* gives the rank */
GPU_API double gpu_case_scalar(const gpu_case *c, int index);
GPU_API double gpu_case_operations(const gpu_case *c);
GPU_API double gpu_case_bytes(const gpu_case *c);  /* least traffic */
GPU_API const char *gpu_case_variant(gpu_case *c); /* what the planner chose */

#endif /* FOGHORN_BENCH_GPU_CASE_H_ */
