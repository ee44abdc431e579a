/* Proves that what we wrote of cuBLASLt agrees with a real cublasLt.h: at compile time, so this test cannot be built when it does not.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "backends/cuda/cublaslt.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#define FH_HAS_CUBLASLT
#endif

#ifndef FH_HAS_CUBLASLT

int main(void) {
  puts("NOT RUN: no cublasLt.h on this machine to compare our declarations with");
  return 77;
}

#else

#define SAME(value, name) _Static_assert((int)(value) == (int)(name), #name " has another value in cublasLt.h");
#define STATUS(name, value) SAME(FH_CUBLAS_STATUS_##name, CUBLAS_STATUS_##name)
#define CONSTANT(name, value) SAME(FH_CUBLASLT_##name, CUBLASLT_##name)
FH_CUBLAS_STATUSES(STATUS)
FH_CUBLASLT_CONSTANTS(CONSTANT)
SAME(FH_CUBLAS_OP_N, CUBLAS_OP_N)
SAME(FH_CUBLAS_OP_T, CUBLAS_OP_T)
SAME(FH_CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F)
SAME(FH_CUBLAS_COMPUTE_32F_PEDANTIC, CUBLAS_COMPUTE_32F_PEDANTIC)
SAME(FH_CUDA_R_32F, CUDA_R_32F)
SAME(FH_CUDA_R_16F, CUDA_R_16F)
SAME(FH_CUDA_R_16BF, CUDA_R_16BF)

_Static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == sizeof(fh_lt_heuristic), "cublasLtMatmulHeuristicResult_t");
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) == offsetof(fh_lt_heuristic, workspace_bytes), "workspaceSize");
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, state) == offsetof(fh_lt_heuristic, state), "state");
_Static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(fh_lt_algorithm), "cublasLtMatmulAlgo_t");
_Static_assert(sizeof(cublasOperation_t) == sizeof(int32_t), "cublasOperation_t");

/* Each function takes what ours does, but for the names of its types. Nothing is called: only whether the call is one. */
#define TAKES(call) _Static_assert(sizeof(call) == sizeof(fh_cublas_status), #call);
#define H ((cublasLtHandle_t)0)
#define D ((cublasLtMatmulDesc_t)0)
#define L ((cublasLtMatrixLayout_t)0)
#define F ((cublasLtMatmulPreference_t)0)
#define P ((void *)0)
TAKES(cublasLtCreate((cublasLtHandle_t *)P))
TAKES(cublasLtDestroy(H))
TAKES(cublasLtMatmulDescCreate((cublasLtMatmulDesc_t *)P, CUBLAS_COMPUTE_32F, CUDA_R_32F))
TAKES(cublasLtMatmulDescDestroy(D))
TAKES(cublasLtMatmulDescSetAttribute(D, CUBLASLT_MATMUL_DESC_TRANSA, P, sizeof(int32_t)))
TAKES(cublasLtMatrixLayoutCreate((cublasLtMatrixLayout_t *)P, CUDA_R_32F, (uint64_t)1, (uint64_t)1, (int64_t)1))
TAKES(cublasLtMatrixLayoutDestroy(L))
TAKES(cublasLtMatrixLayoutSetAttribute(L, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, P, sizeof(int32_t)))
TAKES(cublasLtMatmulPreferenceCreate((cublasLtMatmulPreference_t *)P))
TAKES(cublasLtMatmulPreferenceDestroy(F))
TAKES(cublasLtMatmulPreferenceSetAttribute(F, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, P, sizeof(uint64_t)))
TAKES(cublasLtMatmulAlgoGetHeuristic(H, D, L, L, L, L, F, 1, (cublasLtMatmulHeuristicResult_t *)P, (int *)P))
TAKES(cublasLtMatmul(H, D, P, P, L, P, L, P, P, L, P, L, (const cublasLtMatmulAlgo_t *)P, P, (size_t)0, (cudaStream_t)P))

int main(void) {
  puts("our declarations of cuBLASLt agree with cublasLt.h");
  return 0;
}

#endif
