/* What AMD's HSA runtime answers, call by call. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "detect/answer_runtime.h"

enum { MAX_AGENTS = 256, MIN_QUEUE = 64 };

/* An old runtime may lack a function: that is a code too. */
#define CALL(fn, name, ...) ((fn)->name ? (fn)->name(__VA_ARGS__) : (fh_hsa_status)FH_HSA_STATUS_ERROR)

/* System calls that ROCm uses for memory placement and sharing, and that a seccomp filter may refuse. This one does nothing:
 * no page is named. */
static void say_refused_calls(void) {
  bool refused = syscall(SYS_move_pages, 0, 0UL, NULL, NULL, NULL, 0) != 0 && errno == EPERM;
  fh_answer_say(json_pack("{s:s}", "refused", refused ? "move_pages" : ""));
}

typedef struct asking {
  const fh_hsa_functions *fn;
  int count;
} asking;

static void set_name(json_t *object, const char *key, const fh_hsa_functions *fn, fh_hsa_agent agent, fh_hsa_attribute attribute) {
  char text[FH_HSA_NAME_BYTES + 1] = "";
  if (CALL(fn, hsa_agent_get_info, agent, attribute, text) != FH_HSA_STATUS_SUCCESS || !*text) return;
  text[FH_HSA_NAME_BYTES] = 0;
  fh_runtime_set_text(object, key, text);
}

static void set_place(json_t *object, const fh_hsa_functions *fn, fh_hsa_agent agent) {
  uint32_t location = 0, domain = 0;
  if (CALL(fn, hsa_agent_get_info, agent, FH_HSA_AMD_AGENT_INFO_BDFID, &location) != FH_HSA_STATUS_SUCCESS) return;
  if (CALL(fn, hsa_agent_get_info, agent, FH_HSA_AMD_AGENT_INFO_DOMAIN, &domain) != FH_HSA_STATUS_SUCCESS) domain = 0;
  fh_runtime_set_pci(object, domain, location >> 8, location >> 3, location);
}

typedef struct largest_pool {
  const fh_hsa_functions *fn;
  size_t bytes;
} largest_pool;

static fh_hsa_status visit_pool(fh_hsa_pool pool, void *data) {
  largest_pool *largest = data;
  size_t bytes = 0;
  fh_hsa_status code = CALL(largest->fn, hsa_amd_memory_pool_get_info, pool, FH_HSA_AMD_MEMORY_POOL_INFO_SIZE, &bytes);
  if (code == FH_HSA_STATUS_SUCCESS && bytes > largest->bytes) largest->bytes = bytes;
  return FH_HSA_STATUS_SUCCESS;
}

static void set_memory(json_t *object, const fh_hsa_functions *fn, fh_hsa_agent agent) {
  largest_pool largest = {.fn = fn};
  if (CALL(fn, hsa_amd_agent_iterate_memory_pools, agent, visit_pool, &largest) == FH_HSA_STATUS_SUCCESS && largest.bytes)
    fh_runtime_set_number(object, "memory", (int64_t)largest.bytes);
}

/* Usable is what makes a queue: agents are listed on many a broken machine. */
static void try_queue(json_t *object, const fh_hsa_functions *fn, fh_hsa_agent agent) {
  uint32_t size = 0;
  fh_hsa_queue *queue = NULL;
  if (CALL(fn, hsa_agent_get_info, agent, FH_HSA_AGENT_INFO_QUEUE_MIN_SIZE, &size) != FH_HSA_STATUS_SUCCESS || size < MIN_QUEUE)
    size = MIN_QUEUE;
  fh_hsa_status code = CALL(fn, hsa_queue_create, agent, size, FH_HSA_QUEUE_TYPE_MULTI, NULL, NULL, UINT32_MAX, UINT32_MAX, &queue);
  fh_runtime_set_number(object, "open_code", code);
  if (code == FH_HSA_STATUS_SUCCESS) CALL(fn, hsa_queue_destroy, queue);
}

static fh_hsa_status visit_agent(fh_hsa_agent agent, void *data) {
  asking *a = data;
  uint32_t type = FH_HSA_DEVICE_TYPE_CPU, units = 0;
  if (CALL(a->fn, hsa_agent_get_info, agent, FH_HSA_AGENT_INFO_DEVICE, &type) != FH_HSA_STATUS_SUCCESS || a->count == MAX_AGENTS)
    return FH_HSA_STATUS_SUCCESS;
  json_t *object = type == FH_HSA_DEVICE_TYPE_GPU ? json_pack("{s:i,s:s}", "index", a->count++, "type", "gpu") : NULL;
  if (!object) return FH_HSA_STATUS_SUCCESS;
  set_name(object, "name", a->fn, agent, FH_HSA_AMD_AGENT_INFO_PRODUCT_NAME);
  set_name(object, "model", a->fn, agent, FH_HSA_AGENT_INFO_NAME);
  set_name(object, "uuid", a->fn, agent, FH_HSA_AMD_AGENT_INFO_UUID);
  set_place(object, a->fn, agent);
  if (CALL(a->fn, hsa_agent_get_info, agent, FH_HSA_AMD_AGENT_INFO_COMPUTE_UNIT_COUNT, &units) == FH_HSA_STATUS_SUCCESS)
    fh_runtime_set_number(object, "compute_units", units);
  set_memory(object, a->fn, agent);
  fh_runtime_say_device(object, "hsa_queue_create");
  try_queue(object, a->fn, agent);
  fh_runtime_say_device(object, NULL);
  json_decref(object);
  return FH_HSA_STATUS_SUCCESS;
}

void fh_answer_hsa(const char *none) {
  (void)none;
  fh_runtime_driver driver;
  fh_hsa_functions fn;
  say_refused_calls();
  fh_answer_calling("dlopen");
  if (!fh_runtime_say_library(fh_hsa_driver_load(&driver, &fn), &driver, "hsa_init")) return;
  fh_hsa_status code = fn.hsa_init ? fn.hsa_init() : (fh_hsa_status)FH_HSA_STATUS_ERROR;
  fh_runtime_say_code("init", code, fh_hsa_result_name(code));
  if (code != FH_HSA_STATUS_SUCCESS) return;
  asking a = {.fn = &fn};
  fh_answer_calling("hsa_iterate_agents");
  code = CALL(&fn, hsa_iterate_agents, visit_agent, &a);
  fh_runtime_say_code("list", code, fh_hsa_result_name(code));
}
