/* A stand-in for AMD's HSA runtime, which says so, and does as FOGHORN_FAKE_HSA tells. SPDX-License-Identifier: Apache-2.0
 * It obeys ROCR_VISIBLE_DEVICES as the real one does: set and empty, or beginning with what is no index, hides every GPU. */
#include <stdio.h>
#include <string.h>

#include "detect/drivers/runtime_api.h"
#include "tests/fakes/runtime/fake_act.h"

#define EXPORT __attribute__((visibility("default")))
#define FH_RUNTIME(type, name, params) EXPORT type name params;
#include "detect/drivers/hsa_symbols.def"
#undef FH_RUNTIME

extern EXPORT const int foghorn_fake_hsa;
const int foghorn_fake_hsa = 1;

static const char variable[] = "FOGHORN_FAKE_HSA";
enum { CPU_AGENT = 1, FIRST_GPU = 2 };

fh_hsa_status hsa_init(void) { return fake_act(variable, "init"); }

fh_hsa_status hsa_iterate_agents(fh_hsa_agent_visit visit, void *data) {
  unsigned told = fake_act(variable, "list");
  if (told) return told;
  int gpus = fake_visible("ROCR_VISIBLE_DEVICES", fake_number(variable, "devices", 1), 0);
  fh_hsa_status code = visit((fh_hsa_agent){CPU_AGENT}, data);
  for (int i = 0; i < gpus && code == FH_HSA_STATUS_SUCCESS; i++) code = visit((fh_hsa_agent){(uint64_t)(FIRST_GPU + i)}, data);
  return code;
}

fh_hsa_status hsa_agent_get_info(fh_hsa_agent agent, fh_hsa_attribute attribute, void *value) {
  unsigned gpu = (unsigned)(agent.handle - FIRST_GPU);
  switch (attribute) {
    case FH_HSA_AGENT_INFO_NAME:
      memcpy(value, "gfx1100", sizeof "gfx1100");
      return FH_HSA_STATUS_SUCCESS;
    case FH_HSA_AMD_AGENT_INFO_PRODUCT_NAME:
      memcpy(value, "stand-in AMD GPU", sizeof "stand-in AMD GPU");
      return FH_HSA_STATUS_SUCCESS;
    case FH_HSA_AGENT_INFO_DEVICE:
      *(uint32_t *)value = agent.handle == CPU_AGENT ? FH_HSA_DEVICE_TYPE_CPU : FH_HSA_DEVICE_TYPE_GPU;
      return FH_HSA_STATUS_SUCCESS;
    case FH_HSA_AGENT_INFO_QUEUE_MIN_SIZE:
      *(uint32_t *)value = 64;
      return FH_HSA_STATUS_SUCCESS;
    case FH_HSA_AMD_AGENT_INFO_COMPUTE_UNIT_COUNT:
      *(uint32_t *)value = 96;
      return FH_HSA_STATUS_SUCCESS;
    case FH_HSA_AMD_AGENT_INFO_BDFID:
      *(uint32_t *)value = (0x40 + gpu) << 8;
      return FH_HSA_STATUS_SUCCESS;
    case FH_HSA_AMD_AGENT_INFO_DOMAIN:
      *(uint32_t *)value = 0;
      return FH_HSA_STATUS_SUCCESS;
    case FH_HSA_AMD_AGENT_INFO_UUID:
      snprintf(value, FH_HSA_UUID_BYTES, "GPU-%016x", gpu);
      return FH_HSA_STATUS_SUCCESS;
    default:
      return FH_HSA_STATUS_ERROR_INVALID_ARGUMENT;
  }
}

fh_hsa_status hsa_queue_create(fh_hsa_agent agent, uint32_t size, uint32_t type, fh_hsa_queue_event on_event, void *data,
                               uint32_t private_bytes, uint32_t group_bytes, fh_hsa_queue **queue) {
  (void)agent, (void)size, (void)type, (void)on_event, (void)data, (void)private_bytes, (void)group_bytes;
  static char memory;
  *queue = (fh_hsa_queue *)(void *)&memory;
  return fake_act(variable, "open");
}

fh_hsa_status hsa_queue_destroy(fh_hsa_queue *queue) { return queue ? FH_HSA_STATUS_SUCCESS : FH_HSA_STATUS_ERROR_INVALID_QUEUE; }

fh_hsa_status hsa_amd_agent_iterate_memory_pools(fh_hsa_agent agent, fh_hsa_pool_visit visit, void *data) {
  return visit((fh_hsa_pool){agent.handle}, data);
}

fh_hsa_status hsa_amd_memory_pool_get_info(fh_hsa_pool pool, fh_hsa_attribute attribute, void *value) {
  (void)pool;
  if (attribute != FH_HSA_AMD_MEMORY_POOL_INFO_SIZE) return FH_HSA_STATUS_ERROR_INVALID_ARGUMENT;
  *(size_t *)value = (size_t)1 << 30;
  return FH_HSA_STATUS_SUCCESS;
}
