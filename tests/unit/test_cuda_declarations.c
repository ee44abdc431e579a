/* Proves that our CUDA declarations agree with a real cuda.h: at compile time, so this test cannot be built when they
 * do not. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "detect/drivers/cuda_driver.h" /* before cuda.h, whose macros rename functions */

#if defined(FOGHORN_CUDA_H)
#include FOGHORN_CUDA_H
#elif __has_include(<cuda.h>)
#include <cuda.h>
#elif __has_include("/usr/local/cuda/include/cuda.h")
#include "/usr/local/cuda/include/cuda.h"
#elif __has_include("/usr/lib/cuda/include/cuda.h")
#include "/usr/lib/cuda/include/cuda.h"
#endif

#ifndef CUDA_VERSION

int main(void) {
  puts("NOT RUN: no cuda.h on this machine to compare our declarations with (apt: nvidia-cuda-dev)");
  return 77;
}

#else

/* Functions. An enumeration of the vendor's is compatible with the unsigned int of ours. */
#define FH_CUDA(need, type, name, params) \
  _Static_assert(__builtin_types_compatible_p(__typeof__(&name), type(*) params), #name " is declared otherwise in cuda.h");
#include "detect/drivers/cuda_symbols.def"
#undef FH_CUDA

/* Types. */
_Static_assert(sizeof(CUuuid) == FH_CU_UUID_BYTES, "CUuuid");
_Static_assert(sizeof(CUresult) == sizeof(fh_cu_result), "CUresult");
_Static_assert(sizeof(CUmemPoolProps) == sizeof(fh_cu_pool_props), "CUmemPoolProps");
_Static_assert(offsetof(CUmemPoolProps, location.id) == offsetof(fh_cu_pool_props, location_id), "CUmemPoolProps");
_Static_assert(offsetof(CUmemPoolProps, maxSize) == offsetof(fh_cu_pool_props, max_size), "CUmemPoolProps");
_Static_assert(sizeof(CUmemAccessDesc) == sizeof(fh_cu_access), "CUmemAccessDesc");
_Static_assert(offsetof(CUmemAccessDesc, location.id) == offsetof(fh_cu_access, location_id), "CUmemAccessDesc");
_Static_assert(offsetof(CUmemAccessDesc, flags) == offsetof(fh_cu_access, flags), "CUmemAccessDesc");
_Static_assert(sizeof(CUtensorMap) == FH_CU_TENSOR_MAP_BYTES, "CUtensorMap");
_Static_assert(sizeof(CUlaunchAttribute) == sizeof(fh_cu_launch_attribute), "CUlaunchAttribute");
_Static_assert(offsetof(CUlaunchAttribute, value.clusterDim.x) == offsetof(fh_cu_launch_attribute, cluster), "CUlaunchAttribute");
_Static_assert(sizeof(CUlaunchConfig) == sizeof(fh_cu_launch_config), "CUlaunchConfig");
_Static_assert(offsetof(CUlaunchConfig, sharedMemBytes) == offsetof(fh_cu_launch_config, shared_bytes), "CUlaunchConfig");
_Static_assert(offsetof(CUlaunchConfig, hStream) == offsetof(fh_cu_launch_config, stream), "CUlaunchConfig");
_Static_assert(offsetof(CUlaunchConfig, numAttrs) == offsetof(fh_cu_launch_config, attribute_count), "CUlaunchConfig");
_Static_assert(__builtin_types_compatible_p(CUdeviceptr, fh_cu_ptr), "CUdeviceptr");

/* Constants. */
#define CHECK_CONSTANT(name, value) _Static_assert((int)CU_##name == (value), "CU_" #name " has another value in cuda.h");
FH_CU_CONSTANTS(CHECK_CONSTANT)

/* Result codes; older headers lack the newest. */
#if CUDA_VERSION >= 13000
#define FH_CUDA_RESULT(code, name) _Static_assert((int)name == (code), #name " has another value in cuda.h");
#include "detect/drivers/cuda_results.def"
#undef FH_CUDA_RESULT
#endif

int main(void) {
  int functions = 0, constants = 0, results = 0;
#define FH_CUDA(need, type, name, params) functions++;
#include "detect/drivers/cuda_symbols.def"
#undef FH_CUDA
#define COUNT(name, value) constants++;
  FH_CU_CONSTANTS(COUNT)
#if CUDA_VERSION >= 13000
#define FH_CUDA_RESULT(code, name) results++;
#include "detect/drivers/cuda_results.def"
#undef FH_CUDA_RESULT
#endif
  printf("cuda.h of CUDA %d.%d agrees with %d functions, %d constants, %d result codes\n", CUDA_VERSION / 1000, CUDA_VERSION % 1000 / 10,
         functions, constants, results);
  return 0;
}

#endif
