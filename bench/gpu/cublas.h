/* cuBLAS as a peer, where its library is; nothing of it is needed to build. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_GPU_CUBLAS_H_
#define FOGHORN_BENCH_GPU_CUBLAS_H_

#include "bench/gpu/case.h"
#include "bench/gpu/raw.h"

typedef struct cublas_product cublas_product;

/* The product of a case of matmul or one of its narrow kin, on operands of its own with the same data. tf32: f32 is rounded to it,
 * otherwise it stays f32. NULL, with why. */
cublas_product *cublas_open(raw_device *device, gpu_case *c, bool tf32, char *why, int size);
void cublas_close(cublas_product *product);
double cublas_sample(void *product, long calls);
/* ||its result - what|| / ||what||, of its last call; negative: it could not be had. */
double cublas_difference(const cublas_product *product, const float *what);

#endif /* FOGHORN_BENCH_GPU_CUBLAS_H_ */
