/* The stand-in CUDA driver: devices, contexts, handles and memory. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "fake.h"

pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;

static struct CUctx_st primaries[FAKE_MAX_DEVICES];
static fake_object *objects;
static fake_allocation *allocations;

/* No user address begins so: whoever takes a device address for a host address crashes at once. */
#define ADDRESS_MARK ((fh_cu_ptr)0xF0C0 << 48)
enum { ADDRESS_GAP = 4096 };
static fh_cu_ptr next_address = ADDRESS_MARK + ADDRESS_GAP;

static _Thread_local fh_cu_context stack[FAKE_MAX_CONTEXT_DEPTH];
static _Thread_local int depth;

/* ---- devices ------------------------------------------------------------------------------------------------------ */

/* A number, or a UUID whose last twelve digits are the number. */
static long entry_number(const char *list, char **out_end) {
  static const char prefix[] = "GPU-00000000-0000-0000-0000-";
  if (strncmp(list, prefix, sizeof prefix - 1) == 0) list += sizeof prefix - 1;
  return strtol(list, out_end, 10);
}

/* As the vendor's rule: devices up to the first entry that is none. */
static int visible_devices(const char *list, int devices, bool seen[FAKE_MAX_DEVICES]) {
  int count = 0;
  while (*list) {
    char *end;
    long n = entry_number(list, &end);
    if (end == list || n < 0 || n >= devices || (*end && *end != ',')) break;
    if (seen[n]) return 0;
    seen[n] = true;
    count++;
    list = *end ? end + 1 : end;
  }
  return count;
}

int fake_device_count(void) {
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  int devices = fake_get_settings()->devices;
  bool seen[FAKE_MAX_DEVICES] = {false};
  return visible ? visible_devices(visible, devices, seen) : devices;
}

bool fake_bad_device_is_visible(void) {
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  const fake_settings *s = fake_get_settings();
  bool seen[FAKE_MAX_DEVICES] = {false};
  if (visible) visible_devices(visible, s->devices, seen);
  return s->bad >= 0 && s->bad < s->devices && (!visible || seen[s->bad]);
}

bool fake_device_exists(fh_cu_device device) { return device >= 0 && device < fake_device_count(); }

fh_cu_context fake_primary(fh_cu_device device) { return &primaries[device]; }

/* ---- contexts ------------------------------------------------------------------------------------------------------ */

bool fake_push(fh_cu_context context) {
  if (depth == FAKE_MAX_CONTEXT_DEPTH) return false;
  stack[depth++] = context;
  return true;
}

fh_cu_context fake_pop(void) { return depth ? stack[--depth] : NULL; }
fh_cu_context fake_current(void) { return depth ? stack[depth - 1] : NULL; }

bool fake_is_deadly(fh_cu_result code) {
  switch (code) {
    case FH_CUDA_ERROR_ECC_UNCORRECTABLE:
    case FH_CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case FH_CUDA_ERROR_CONTAINED:
    case FH_CUDA_ERROR_ILLEGAL_ADDRESS:
    case FH_CUDA_ERROR_LAUNCH_TIMEOUT:
    case FH_CUDA_ERROR_ASSERT:
    case FH_CUDA_ERROR_HARDWARE_STACK_ERROR:
    case FH_CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case FH_CUDA_ERROR_MISALIGNED_ADDRESS:
    case FH_CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case FH_CUDA_ERROR_INVALID_PC:
    case FH_CUDA_ERROR_LAUNCH_FAILED:
    case FH_CUDA_ERROR_UNKNOWN:
      return true;
    default:
      return false;
  }
}

void fake_poison(fh_cu_context context, fh_cu_result code) {
  if (!context || !fake_is_deadly(code)) return;
  pthread_mutex_lock(&fake_lock);
  if (!context->poison) context->poison = code;
  pthread_mutex_unlock(&fake_lock);
}

/* ---- handles --------------------------------------------------------------------------------------------------------- */

void fake_object_add(fake_object *object, fake_kind kind, fh_cu_context context) {
  *object = (fake_object){.kind = kind, .context = context, .next = objects};
  objects = object;
}

void fake_object_remove(fake_object *object) {
  for (fake_object **link = &objects; *link; link = &(*link)->next)
    if (*link == object) {
      *link = object->next;
      return;
    }
}

void *fake_object_find(const void *handle, fake_kind kind, fh_cu_context context) {
  for (fake_object *o = objects; o; o = o->next)
    if (o == handle) return o->kind == kind && o->context == context ? o : NULL;
  return NULL;
}

fake_object *fake_object_next(const fake_object *after, fake_kind kind, fh_cu_context context) {
  fake_object *o = after ? after->next : objects;
  while (o && (o->kind != kind || o->context != context)) o = o->next;
  return o;
}

/* ---- memory ------------------------------------------------------------------------------------------------------------ */

fake_allocation *fake_allocation_new(fh_cu_context context, size_t bytes) {
  fake_allocation *allocation = malloc(sizeof *allocation);
  char *host = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!allocation || !host) {
    free(allocation);
    free(host);
    return NULL;
  }
  memset(host, 0xA5, bytes);
  *allocation = (fake_allocation){.address = next_address, .bytes = bytes, .host = host, .context = context, .next = allocations};
  next_address += (bytes + ADDRESS_GAP - 1) / ADDRESS_GAP * ADDRESS_GAP + ADDRESS_GAP;
  allocations = allocation;
  return allocation;
}

uint64_t fake_free_bytes(fh_cu_context context) {
  const fake_settings *s = fake_get_settings();
  uint64_t used = context->used_bytes + s->others;
  return used < s->memory ? s->memory - used : 0;
}

fh_cu_result fake_alloc(fh_cu_context context, size_t bytes, fh_cu_ptr *out_address) {
  if (bytes == 0) return FH_CUDA_ERROR_INVALID_VALUE;
  if (bytes > fake_free_bytes(context)) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  fake_allocation *allocation = fake_allocation_new(context, bytes);
  if (!allocation) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  context->used_bytes += bytes;
  *out_address = allocation->address;
  return FH_CUDA_SUCCESS;
}

fake_allocation *fake_allocation_take(fh_cu_context context, fh_cu_ptr address) {
  for (fake_allocation **link = &allocations; *link; link = &(*link)->next) {
    fake_allocation *found = *link;
    if (found->address != address || found->context != context) continue;
    *link = found->next;
    if (!found->pool) context->used_bytes -= found->bytes; /* a pool pays for its own */
    return found;
  }
  return NULL;
}

fake_allocation *fake_allocation_find(fh_cu_context context, fh_cu_ptr address) {
  for (fake_allocation *a = allocations; a; a = a->next)
    if (a->address == address && a->context == context) return a;
  return NULL;
}

fake_allocation *fake_allocation_at(const void *host) {
  for (fake_allocation *a = allocations; a; a = a->next)
    if ((const char *)host >= a->host && (const char *)host < a->host + a->bytes) return a;
  return NULL;
}

void fake_allocation_free(fake_allocation *allocation) {
  free(allocation->host);
  free(allocation);
}

char *fake_translate(fh_cu_context context, fh_cu_ptr address, size_t bytes) {
  for (const fake_allocation *a = allocations; a; a = a->next) {
    if (a->context != context || address < a->address || address - a->address > a->bytes) continue;
    if (a->freed) return NULL;
    return bytes <= a->bytes - (address - a->address) ? a->host + (address - a->address) : NULL;
  }
  return NULL;
}

bool fake_is_device_address(const void *pointer) { return ((fh_cu_ptr)(uintptr_t)pointer >> 48) == ADDRESS_MARK >> 48; }

/* ---- the end of a context ------------------------------------------------------------------------------------------------ */

static void end_object(fake_object *object) {
  switch (object->kind) {
    case FAKE_STREAM:
      fake_stream_destroy((fake_stream *)object);
      break;
    case FAKE_EVENT:
      fake_event_destroy((fake_event *)object);
      break;
    case FAKE_MODULE:
      fake_module_unload((fake_module *)object);
      break;
    case FAKE_POOL:
      (void)fake_pool_destroy((fake_pool *)object);
      break;
    case FAKE_GRAPH:
      fake_graph_destroy((fake_graph *)object);
      break;
    case FAKE_GRAPH_EXEC:
      fake_graph_exec_destroy((fake_graph_exec *)object);
      break;
    case FAKE_LINK:
      fake_link_destroy((fake_link *)object);
      break;
    case FAKE_FUNCTION: /* ends with its module */
      break;
  }
}

static fake_object *any_object(fh_cu_context context) {
  for (fake_object *o = objects; o; o = o->next)
    if (o->context == context && o->kind != FAKE_FUNCTION) return o;
  return NULL;
}

void fake_context_clear(fh_cu_context context) {
  fake_context_wait(context);
  for (fake_allocation **link = &allocations; *link;) {
    fake_allocation *a = *link;
    if (a->context != context) {
      link = &a->next;
      continue;
    }
    *link = a->next;
    if (a->pool) fake_pool_forget(a);
    fake_allocation_free(a);
  }
  for (fake_object *o; (o = any_object(context));) end_object(o);
  fake_pins_end(context);
  context->poison = FH_CUDA_SUCCESS;
  context->used_bytes = 0;
}
