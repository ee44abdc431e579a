/* AMD's HSA runtime and oneAPI Level Zero as detection needs them: own declarations, so that no vendor package is needed to
 * build. SPDX-License-Identifier: Apache-2.0
 *
 * Used by the children that ask these libraries, and by the stand-ins of the tests. tests/unit/test_runtime_declarations.c
 * compares every line with the vendors' headers where these are installed. */
#ifndef FOGHORN_DETECT_DRIVERS_RUNTIME_API_H_
#define FOGHORN_DETECT_DRIVERS_RUNTIME_API_H_

#include <stddef.h>
#include <stdint.h>

/* A library that exports this says that it is a stand-in. */
#define FH_HSA_FAKE_MARK "foghorn_fake_hsa"
#define FH_ZE_FAKE_MARK "foghorn_fake_level_zero"

/* ---- HSA -------------------------------------------------------------------------------------------------- */

typedef unsigned int fh_hsa_status;
typedef unsigned int fh_hsa_attribute; /* of an agent or a memory pool */
typedef struct fh_hsa_agent {
  uint64_t handle;
} fh_hsa_agent;
typedef struct fh_hsa_pool {
  uint64_t handle;
} fh_hsa_pool;
typedef struct fh_hsa_queue fh_hsa_queue;
typedef fh_hsa_status (*fh_hsa_agent_visit)(fh_hsa_agent agent, void *data);
typedef fh_hsa_status (*fh_hsa_pool_visit)(fh_hsa_pool pool, void *data);
typedef void (*fh_hsa_queue_event)(fh_hsa_status status, fh_hsa_queue *queue, void *data);

enum { FH_HSA_NAME_BYTES = 64, FH_HSA_UUID_BYTES = 21 };

/* X(name without its HSA_ prefix, value). */
#define FH_HSA_CONSTANTS(X)                    \
  X(AGENT_INFO_NAME, 0)                        \
  X(AGENT_INFO_QUEUE_MIN_SIZE, 13)             \
  X(AGENT_INFO_DEVICE, 17)                     \
  X(DEVICE_TYPE_CPU, 0)                        \
  X(DEVICE_TYPE_GPU, 1)                        \
  X(QUEUE_TYPE_MULTI, 0)                       \
  X(AMD_AGENT_INFO_COMPUTE_UNIT_COUNT, 0xA002) \
  X(AMD_AGENT_INFO_BDFID, 0xA006)              \
  X(AMD_AGENT_INFO_PRODUCT_NAME, 0xA009)       \
  X(AMD_AGENT_INFO_DOMAIN, 0xA00F)             \
  X(AMD_AGENT_INFO_UUID, 0xA011)               \
  X(AMD_MEMORY_POOL_INFO_SIZE, 2)
#define FH_HSA_CONSTANT(name, value) FH_HSA_##name = (value),
enum { FH_HSA_CONSTANTS(FH_HSA_CONSTANT) };
#undef FH_HSA_CONSTANT

/* ---- Level Zero --------------------------------------------------------------------------------------------- */

typedef unsigned int fh_ze_result;
typedef struct _ze_driver_handle_t *fh_ze_driver;
typedef struct _ze_device_handle_t *fh_ze_device;
typedef struct _ze_context_handle_t *fh_ze_context;

enum { FH_ZE_UUID_BYTES = 16, FH_ZE_NAME_BYTES = 256 };

typedef struct fh_ze_device_properties {
  unsigned int stype;
  void *next;
  unsigned int type;
  uint32_t vendor_id, device_id, flags, subdevice_id, core_clock_rate;
  uint64_t max_mem_alloc_size;
  uint32_t max_hardware_contexts, max_command_queue_priority, num_threads_per_eu, physical_eu_simd_width, num_eus_per_subslice,
      num_subslices_per_slice, num_slices;
  uint64_t timer_resolution;
  uint32_t timestamp_valid_bits, kernel_timestamp_valid_bits;
  uint8_t uuid[FH_ZE_UUID_BYTES];
  char name[FH_ZE_NAME_BYTES];
} fh_ze_device_properties;

typedef struct fh_ze_pci_properties {
  unsigned int stype;
  void *next;
  uint32_t domain, bus, device, function;
  int32_t generation, width;
  int64_t bandwidth;
} fh_ze_pci_properties;

typedef struct fh_ze_context_desc {
  unsigned int stype;
  const void *next;
  uint32_t flags;
} fh_ze_context_desc;

/* X(name without its ZE_ prefix, value). */
#define FH_ZE_CONSTANTS(X)                 \
  X(DEVICE_TYPE_GPU, 1)                    \
  X(DEVICE_TYPE_VPU, 5)                    \
  X(STRUCTURE_TYPE_DEVICE_PROPERTIES, 0x3) \
  X(STRUCTURE_TYPE_CONTEXT_DESC, 0xd)      \
  X(STRUCTURE_TYPE_PCI_EXT_PROPERTIES, 0x10008)
#define FH_ZE_CONSTANT(name, value) FH_ZE_##name = (value),
enum { FH_ZE_CONSTANTS(FH_ZE_CONSTANT) };
#undef FH_ZE_CONSTANT

/* ---- both ------------------------------------------------------------------------------------------------------ */

/* Codes: FH_HSA_STATUS_SUCCESS, FH_ZE_RESULT_ERROR_UNINITIALIZED, ... */
enum {
#define FH_RUNTIME_RESULT(code, name) FH_##name = code,
#include "detect/drivers/hsa_results.def"
#include "detect/drivers/ze_results.def"
#undef FH_RUNTIME_RESULT
};

/* The functions: the library's own names; NULL where it lacks one. */
typedef struct fh_hsa_functions {
#define FH_RUNTIME(type, name, params) type(*name) params;
#include "detect/drivers/hsa_symbols.def"
} fh_hsa_functions;
typedef struct fh_ze_functions {
#include "detect/drivers/ze_symbols.def"
#undef FH_RUNTIME
} fh_ze_functions;

#endif /* FOGHORN_DETECT_DRIVERS_RUNTIME_API_H_ */
