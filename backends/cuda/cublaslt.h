/* What is used of cuBLASLt, written out from its documentation (NVIDIA, "Using the cuBLASLt API"). SPDX-License-Identifier: Apache-2.0
 * The library is never linked. tests/unit/test_cublaslt_declarations.c compares this with a real cublasLt.h, where there is one. */
#ifndef FOGHORN_BACKENDS_CUDA_CUBLASLT_H_
#define FOGHORN_BACKENDS_CUDA_CUBLASLT_H_

#include <stddef.h>
#include <stdint.h>

#include "detect/drivers/cuda_api.h"

/* X(name, value): enumerations, each without its prefix CUBLAS_, CUBLASLT_ or CUDA_. */
#define FH_CUBLAS_STATUSES(X) \
  X(SUCCESS, 0)               \
  X(NOT_INITIALIZED, 1)       \
  X(ALLOC_FAILED, 3)          \
  X(INVALID_VALUE, 7)         \
  X(ARCH_MISMATCH, 8)         \
  X(MAPPING_ERROR, 11)        \
  X(EXECUTION_FAILED, 13)     \
  X(INTERNAL_ERROR, 14)       \
  X(NOT_SUPPORTED, 15)        \
  X(LICENSE_ERROR, 16)
#define FH_CUBLASLT_CONSTANTS(X)           \
  X(MATMUL_DESC_TRANSA, 3)                 \
  X(MATMUL_DESC_TRANSB, 4)                 \
  X(MATRIX_LAYOUT_BATCH_COUNT, 5)          \
  X(MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, 6) \
  X(MATMUL_PREF_MAX_WORKSPACE_BYTES, 1)    \
  X(MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 5)  \
  X(MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 6)  \
  X(MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 7)  \
  X(MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 8)

#define FH_CUBLAS_STATUS(name, value) FH_CUBLAS_STATUS_##name = (value),
#define FH_CUBLASLT_CONSTANT(name, value) FH_CUBLASLT_##name = (value),
typedef enum fh_cublas_status { FH_CUBLAS_STATUSES(FH_CUBLAS_STATUS) } fh_cublas_status;
enum { FH_CUBLASLT_CONSTANTS(FH_CUBLASLT_CONSTANT) };
#undef FH_CUBLAS_STATUS
#undef FH_CUBLASLT_CONSTANT
enum { FH_CUBLAS_OP_N = 0, FH_CUBLAS_OP_T = 1 };
enum { FH_CUBLAS_COMPUTE_32F = 68, FH_CUBLAS_COMPUTE_32F_PEDANTIC = 69 };
enum { FH_CUDA_R_32F = 0, FH_CUDA_R_16F = 2, FH_CUDA_R_16BF = 14 };

typedef struct cublasLtContext *fh_lt_handle;
typedef struct fh_lt_desc_opaque *fh_lt_desc;
typedef struct fh_lt_layout_opaque *fh_lt_layout;
typedef struct fh_lt_preference_opaque *fh_lt_preference;

typedef struct fh_lt_algorithm {
  uint64_t data[8];
} fh_lt_algorithm;

typedef struct fh_lt_heuristic {
  fh_lt_algorithm algorithm;
  size_t workspace_bytes;
  fh_cublas_status state; /* SUCCESS: the rest means something */
  float waves;
  int reserved[4];
} fh_lt_heuristic;

typedef struct fh_cublaslt_functions {
#define FH_CUBLASLT(name, params) fh_cublas_status(*name) params;
#include "backends/cuda/cublaslt_symbols.def"
#undef FH_CUBLASLT
} fh_cublaslt_functions;

/* A stand-in library for tests exports this. */
#define FH_CUBLASLT_FAKE_MARK "foghorn_fake_cublaslt"

#endif /* FOGHORN_BACKENDS_CUDA_CUBLASLT_H_ */
