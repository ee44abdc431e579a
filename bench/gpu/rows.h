/* The rows that gpu_bench measures. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_GPU_ROWS_H_
#define FOGHORN_BENCH_GPU_ROWS_H_

#include "bench/gpu/case.h"
#include "bench/gpu/figures.h"
#include "bench/gpu/raw.h"

/* Bytes per second, operations per second, seconds: {"name", "unit", "median", "p10", "p90"} or {"name", "unit", "not_run"}. */
void rows_limits(json_t *document, raw_device *raw, const gpu_options *options);
/* A launch, and copies, against the same by the driver alone. */
void rows_launch(json_t *document, raw_device *raw, gpu_session *session, const gpu_options *options);
/* The same for the OpenCL device, against a loop of clEnqueueNDRangeKernel. */
void rows_launch_opencl(json_t *document, const gpu_options *options);
void rows_copies(json_t *document, raw_device *raw, gpu_session *session, const gpu_options *options);
/* Every case of the list, against the limit that binds it and cuBLAS. */
void rows_kernels(json_t *document, raw_device *raw, gpu_session *session, const gpu_options *options);
/* One class A kernel on the CPU, OpenCL and CUDA, each against copying on the same device. */
void rows_evenness(json_t *document, raw_device *raw, gpu_session *session, const gpu_options *options);
/* From nothing to the first kernel's result, each in processes of its own. */
void rows_cold(json_t *document, const gpu_options *options);
/* What such a process does: prints the seconds. Exit status. */
int cold_run(const char *what, const char *device, bool fake);

#endif /* FOGHORN_BENCH_GPU_ROWS_H_ */
