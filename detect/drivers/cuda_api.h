/* The CUDA driver interface as Foghorn needs it: own declarations, so that no CUDA toolkit is needed to build.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Handles are pointers to the driver's own incomplete types and enumerations are their underlying type, so that every
 * line of cuda_symbols.def is type-compatible with the vendor's header (tests/unit/test_cuda_declarations.c).
 */
#ifndef FOGHORN_DETECT_DRIVERS_CUDA_API_H_
#define FOGHORN_DETECT_DRIVERS_CUDA_API_H_

#include <stddef.h>
#include <stdint.h>

typedef unsigned int fh_cu_result; /* FH_CUDA_SUCCESS, FH_CUDA_ERROR_... */
typedef unsigned int fh_cu_attribute;
typedef unsigned int fh_cu_function_attribute;
typedef unsigned int fh_cu_jit_option;
typedef int fh_cu_device;
typedef unsigned long long fh_cu_ptr;
typedef struct CUctx_st *fh_cu_context;
typedef struct CUmod_st *fh_cu_module;
typedef struct CUfunc_st *fh_cu_function;
typedef struct CUstream_st *fh_cu_stream;
typedef struct CUevent_st *fh_cu_event;
typedef struct CUmemPoolHandle_st *fh_cu_pool;
typedef struct CUlinkState_st *fh_cu_link;
typedef struct CUgraph_st *fh_cu_graph;
typedef struct CUgraphExec_st *fh_cu_graph_exec;
typedef unsigned int fh_cu_capture_mode;
typedef unsigned int fh_cu_pool_attribute;
typedef unsigned int fh_cu_pointer_attribute;
typedef unsigned int fh_cu_jit_input;
typedef struct CUuuid_st *fh_cu_uuid;                            /* points to FH_CU_UUID_BYTES bytes */
typedef const struct CUmemPoolProps_st *fh_cu_pool_props_ptr;    /* points to an fh_cu_pool_props */
typedef const struct CUmemAccessDesc_st *fh_cu_access_ptr;       /* points to an fh_cu_access */
typedef struct CUtensorMap_st *fh_cu_tensor_map_ptr;             /* points to FH_CU_TENSOR_MAP_BYTES bytes on a boundary of 64 */
typedef const struct CUlaunchConfig_st *fh_cu_launch_config_ptr; /* points to an fh_cu_launch_config */
/* Enumerations of a tensor map. */
typedef unsigned int fh_cu_tensor_type, fh_cu_tensor_interleave, fh_cu_tensor_swizzle, fh_cu_tensor_promotion, fh_cu_tensor_fill;

enum { FH_CU_UUID_BYTES = 16, FH_CU_TENSOR_MAP_BYTES = 128 };

/* What a memory pool is made of; laid out as the driver's CUmemPoolProps. */
typedef struct fh_cu_pool_props {
  unsigned int allocation_type, handle_types, location_type;
  int location_id;
  void *win32_security_attributes;
  size_t max_size;
  unsigned char reserved[56];
} fh_cu_pool_props;

/* Who may use a pool's memory, and how; laid out as the driver's CUmemAccessDesc. */
typedef struct fh_cu_access {
  unsigned int location_type;
  int location_id;
  unsigned int flags;
} fh_cu_access;

/* An attribute of a launch; laid out as the driver's CUlaunchAttribute. */
typedef struct fh_cu_launch_attribute {
  unsigned int id, reserved;
  union {
    char bytes[64];
    unsigned int cluster[3];
    uint64_t boundary;
  };
} fh_cu_launch_attribute;

/* A launch with attributes; laid out as the driver's CUlaunchConfig. */
typedef struct fh_cu_launch_config {
  unsigned int grid[3], block[3], shared_bytes;
  fh_cu_stream stream;
  fh_cu_launch_attribute *attributes;
  unsigned int attribute_count;
} fh_cu_launch_config;

/* FH_CUDA_SUCCESS, FH_CUDA_ERROR_OUT_OF_MEMORY, ... */
enum {
#define FH_CUDA_RESULT(code, name) FH_##name = code,
#include "detect/drivers/cuda_results.def"
#undef FH_CUDA_RESULT
};

/* The other constants: X(name without its CU_ prefix, value). */
#define FH_CU_CONSTANTS(X)                                  \
  X(DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1)              \
  X(DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 5)                     \
  X(DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 6)                     \
  X(DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 7)                     \
  X(DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 8)        \
  X(DEVICE_ATTRIBUTE_WARP_SIZE, 10)                         \
  X(DEVICE_ATTRIBUTE_CLOCK_RATE, 13)                        \
  X(DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 16)              \
  X(DEVICE_ATTRIBUTE_INTEGRATED, 18)                        \
  X(DEVICE_ATTRIBUTE_COMPUTE_MODE, 20)                      \
  X(DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 36)                 \
  X(DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 37)           \
  X(DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 39)    \
  X(DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 40)                \
  X(DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 41)                \
  X(DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 75)          \
  X(DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 76)          \
  X(DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 97) \
  X(DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 115)           \
  X(MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES, 3)      \
  X(MEMPOOL_ATTR_RELEASE_THRESHOLD, 4)                      \
  X(MEMPOOL_ATTR_RESERVED_MEM_CURRENT, 5)                   \
  X(MEMPOOL_ATTR_USED_MEM_CURRENT, 7)                       \
  X(MEM_ALLOCATION_TYPE_PINNED, 1)                          \
  X(MEM_LOCATION_TYPE_DEVICE, 1)                            \
  X(MEM_ACCESS_FLAGS_PROT_READWRITE, 3)                     \
  X(FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 0)                \
  X(FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, 1)                    \
  X(FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, 3)                     \
  X(FUNC_ATTRIBUTE_NUM_REGS, 4)                             \
  X(FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 8)        \
  X(JIT_ERROR_LOG_BUFFER, 5)                                \
  X(JIT_ERROR_LOG_BUFFER_SIZE_BYTES, 6)                     \
  X(JIT_TARGET, 9)                                          \
  X(TARGET_COMPUTE_90A, 0x1005a)                            \
  X(LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION, 4)                  \
  X(TENSOR_MAP_DATA_TYPE_UINT8, 0)                          \
  X(TENSOR_MAP_DATA_TYPE_FLOAT16, 6)                        \
  X(TENSOR_MAP_DATA_TYPE_FLOAT32, 7)                        \
  X(TENSOR_MAP_DATA_TYPE_BFLOAT16, 9)                       \
  X(TENSOR_MAP_INTERLEAVE_NONE, 0)                          \
  X(TENSOR_MAP_SWIZZLE_NONE, 0)                             \
  X(TENSOR_MAP_SWIZZLE_32B, 1)                              \
  X(TENSOR_MAP_SWIZZLE_64B, 2)                              \
  X(TENSOR_MAP_SWIZZLE_128B, 3)                             \
  X(TENSOR_MAP_L2_PROMOTION_L2_256B, 3)                     \
  X(TENSOR_MAP_FLOAT_OOB_FILL_NONE, 0)                      \
  X(JIT_INPUT_PTX, 1)                                       \
  X(STREAM_NON_BLOCKING, 1)                                 \
  X(EVENT_DISABLE_TIMING, 2)                                \
  X(STREAM_CAPTURE_MODE_GLOBAL, 0)                          \
  X(STREAM_CAPTURE_MODE_THREAD_LOCAL, 1)                    \
  X(STREAM_CAPTURE_MODE_RELAXED, 2)                         \
  X(MEMHOSTREGISTER_PORTABLE, 1)                            \
  X(POINTER_ATTRIBUTE_MEMORY_TYPE, 2)                       \
  X(POINTER_ATTRIBUTE_BUFFER_ID, 7)                         \
  X(POINTER_ATTRIBUTE_RANGE_START_ADDR, 11)                 \
  X(POINTER_ATTRIBUTE_RANGE_SIZE, 12)                       \
  X(MEMORYTYPE_HOST, 1)                                     \
  X(MEMORYTYPE_DEVICE, 2)                                   \
  X(COMPUTEMODE_DEFAULT, 0)                                 \
  X(COMPUTEMODE_PROHIBITED, 2)                              \
  X(COMPUTEMODE_EXCLUSIVE_PROCESS, 3)

enum {
#define FH_CU_ENUM(name, value) FH_CU_##name = value,
  FH_CU_CONSTANTS(FH_CU_ENUM)
#undef FH_CU_ENUM
};

/* Every function of cuda_symbols.def; an optional one may be NULL. */
typedef struct fh_cuda_functions {
#define FH_CUDA(need, type, name, params) type(*name) params;
#include "detect/drivers/cuda_symbols.def"
#undef FH_CUDA
} fh_cuda_functions;

/* A stand-in driver (tests/fakes/cuda) exports this symbol; a real driver does not. */
#define FH_CUDA_FAKE_MARK "foghorn_fake_driver"

#endif /* FOGHORN_DETECT_DRIVERS_CUDA_API_H_ */
