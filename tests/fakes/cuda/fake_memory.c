/* The stand-in CUDA driver: memory pools and pinned host memory. SPDX-License-Identifier: Apache-2.0
 * A pool keeps what streams have freed, up to its threshold, and its device counts that as used. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake.h"

struct CUmemPoolHandle_st {
  fake_object object;
  uint64_t used, idle, threshold;
  int internal_dependencies;
  uint32_t peers; /* devices that it is open to, bit by bit, beside its own */
  bool destroyed; /* by the program, while allocations of it live: ends with the last */
};

/* ---- pools ------------------------------------------------------------------------------------------------------------ */

fh_cu_result fake_pool_create(fh_cu_context context, fake_pool **out_pool) {
  fake_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  pool->internal_dependencies = 1;
  fake_object_add(&pool->object, FAKE_POOL, context);
  *out_pool = pool;
  return FH_CUDA_SUCCESS;
}

void fake_pool_trim(fake_pool *pool, uint64_t keep) {
  uint64_t above = pool->used + pool->idle > keep ? pool->used + pool->idle - keep : 0;
  uint64_t bytes = above < pool->idle ? above : pool->idle;
  pool->idle -= bytes;
  pool->object.context->used_bytes -= bytes;
}

fh_cu_result fake_pool_destroy(fake_pool *pool) {
  fake_pool_trim(pool, 0);
  fake_object_remove(&pool->object);
  pool->destroyed = true;
  if (!pool->used) free(pool);
  return FH_CUDA_SUCCESS;
}

fh_cu_result fake_pool_set(fake_pool *pool, fh_cu_pool_attribute attribute, const void *value) {
  switch (attribute) {
    case FH_CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      memcpy(&pool->internal_dependencies, value, sizeof pool->internal_dependencies);
      return FH_CUDA_SUCCESS;
    case FH_CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      memcpy(&pool->threshold, value, sizeof pool->threshold);
      return FH_CUDA_SUCCESS;
    default:
      return FH_CUDA_ERROR_INVALID_VALUE;
  }
}

fh_cu_result fake_pool_get(const fake_pool *pool, fh_cu_pool_attribute attribute, void *value) {
  const uint64_t reserved = pool->used + pool->idle;
  switch (attribute) {
    case FH_CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      memcpy(value, &reserved, sizeof reserved);
      return FH_CUDA_SUCCESS;
    case FH_CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      memcpy(value, &pool->used, sizeof pool->used);
      return FH_CUDA_SUCCESS;
    default:
      return FH_CUDA_ERROR_INVALID_VALUE;
  }
}

fh_cu_result fake_pool_open(fake_pool *pool, const fh_cu_access *access) {
  if (access->location_type != FH_CU_MEM_LOCATION_TYPE_DEVICE || access->flags != FH_CU_MEM_ACCESS_FLAGS_PROT_READWRITE ||
      !fake_device_exists(access->location_id))
    return FH_CUDA_ERROR_INVALID_VALUE;
  if (!fake_get_settings()->peers) return FH_CUDA_ERROR_INVALID_DEVICE;
  pool->peers |= UINT32_C(1) << access->location_id;
  return FH_CUDA_SUCCESS;
}

bool fake_pool_is_open(const fake_pool *pool, fh_cu_device device) { return pool->peers >> device & 1; }

void fake_pools_settle(fh_cu_context context) {
  for (fake_object *o = NULL; (o = fake_object_next(o, FAKE_POOL, context));) fake_pool_trim((fake_pool *)o, ((fake_pool *)o)->threshold);
}

fh_cu_result fake_pool_alloc(fake_pool *pool, fh_cu_context context, size_t bytes, fake_stream *stream, fh_cu_ptr *out_address) {
  if (bytes == 0) return FH_CUDA_ERROR_INVALID_VALUE;
  uint64_t kept = bytes < pool->idle ? bytes : pool->idle;
  if (bytes - kept > fake_free_bytes(context)) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  fake_allocation *allocation = fake_allocation_new(context, bytes);
  if (!allocation) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  allocation->pool = pool;
  allocation->unready = true;
  context->used_bytes += bytes - kept;
  pool->idle -= kept;
  pool->used += bytes;
  *out_address = allocation->address;
  return fake_stream_queue(stream, &(fake_command){.kind = FAKE_ALLOC, .allocation = allocation});
}

void fake_pool_end(fake_allocation *allocation, const fake_stream *stream) {
  if (fake_streams_touch(stream, allocation->host, allocation->bytes)) {
    fake_complain("cuMemFreeAsync: another stream still uses 0x%llx, and nothing orders the two", allocation->address);
    if (!allocation->context->poison) allocation->context->poison = FH_CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  fake_pool *pool = allocation->pool;
  pool->used -= allocation->bytes;
  pool->idle += allocation->bytes;
  fake_allocation_free(fake_allocation_take(allocation->context, allocation->address));
  if (!pool->destroyed) return;
  fake_pool_trim(pool, 0);
  if (!pool->used) free(pool);
}

void fake_pool_forget(const fake_allocation *allocation) {
  fake_pool *pool = allocation->pool;
  pool->used -= allocation->bytes;
  if (pool->destroyed && !pool->used) free(pool);
}

/* ---- pinned host memory ------------------------------------------------------------------------------------------------ */

static fake_pin *pins;
static uint64_t pinned_bytes;

static fh_cu_result pin_add(fh_cu_context context, char *host, size_t bytes, bool owned) {
  static uint64_t ids;
  fake_pin *p = malloc(sizeof *p);
  if (!p) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  *p = (fake_pin){.context = context, .host = host, .bytes = bytes, .id = ++ids, .owned = owned, .next = pins};
  pins = p;
  pinned_bytes += bytes;
  return FH_CUDA_SUCCESS;
}

static bool has_room(size_t bytes) { return bytes <= fake_get_settings()->pinned - pinned_bytes; }

/* Whole pages, so that nothing of it can be touched when it is freed. */
static size_t mapped(size_t bytes) {
  enum { PAGE = 4096 };
  return (bytes + PAGE - 1) / PAGE * PAGE;
}

fh_cu_result fake_pin_new(fh_cu_context context, size_t bytes, void **out_host) {
  if (bytes == 0) return FH_CUDA_ERROR_INVALID_VALUE;
  if (!has_room(bytes)) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  char *host = mmap(NULL, mapped(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (host == MAP_FAILED) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  memset(host, 0xA5, bytes);
  fh_cu_result code = pin_add(context, host, bytes, true);
  if (code) (void)munmap(host, mapped(bytes));
  *out_host = code ? NULL : host;
  return code;
}

static void pin_remove(fake_pin **link) {
  fake_pin *p = *link;
  *link = p->next;
  pinned_bytes -= p->bytes;
  if (p->owned) (void)munmap(p->host, mapped(p->bytes));
  free(p);
}

void fake_pins_end(fh_cu_context context) {
  for (fake_pin **link = &pins; *link;)
    if ((*link)->context == context)
      pin_remove(link);
    else
      link = &(*link)->next;
}

static fh_cu_result pin_end(const char *call, void *host, bool owned, fh_cu_result unknown) {
  for (fake_pin **link = &pins; *link; link = &(*link)->next) {
    const fake_pin *p = *link;
    if (p->host != host || p->owned != owned) continue;
    if (fake_streams_touch(NULL, host, p->bytes)) fake_complain("%s: a copy from or to %p is under way", call, host);
    pin_remove(link);
    return FH_CUDA_SUCCESS;
  }
  fake_complain("%s: %p is not the start of such memory", call, host);
  return unknown;
}

fh_cu_result fake_pin_free(void *host) { return pin_end("cuMemFreeHost", host, true, FH_CUDA_ERROR_INVALID_VALUE); }

/* Whole pages are pinned. */
static bool share_a_page(const fake_pin *p, const char *host, size_t bytes) {
  enum { PAGE = 4096 };
  return (uintptr_t)host / PAGE <= ((uintptr_t)p->host + p->bytes - 1) / PAGE &&
         (uintptr_t)p->host / PAGE <= ((uintptr_t)host + bytes - 1) / PAGE;
}

fh_cu_result fake_pin_register(fh_cu_context context, void *host, size_t bytes) {
  if (!host || !bytes) return FH_CUDA_ERROR_INVALID_VALUE;
  for (const fake_pin *p = pins; p; p = p->next)
    if (share_a_page(p, host, bytes)) return FH_CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  return has_room(bytes) ? pin_add(context, host, bytes, false) : FH_CUDA_ERROR_OUT_OF_MEMORY;
}

fh_cu_result fake_pin_unregister(void *host) {
  return pin_end("cuMemHostUnregister", host, false, FH_CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

bool fake_pin_find(const void *host, fake_pin *out_pin) {
  for (const fake_pin *p = pins; p; p = p->next) {
    if (!share_a_page(p, host, 1)) continue;
    *out_pin = *p;
    return true;
  }
  return false;
}
