/* Contexts, queues and events. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/log.h"
#include "runtime/mem/owner.h"
#include "runtime/plan/neighbours.h"

/* ---- context -------------------------------------------------------------------------------------------------- */

static void context_unref(fh_context *context) {
  if (!fh_refcount_release(&context->refs)) return;
  fh_neighbours_leave(context);
  fh_candidates_free(context);
  fh_devices_close(context);
  fh_account_free(&context->account);
  fh_record_close(context);
  pthread_mutex_destroy(&context->lock);
  free(context);
}

static fh_status lock_init(pthread_mutex_t *lock) {
  pthread_mutexattr_t recursive;
  int error = pthread_mutexattr_init(&recursive);
  if (!error) error = pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
  if (!error) error = pthread_mutex_init(lock, &recursive);
  pthread_mutexattr_destroy(&recursive);
  return error ? FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_context_create: no lock: %s", strerror(error)) : FH_OK;
}

fh_status fh_context_create(const fh_context_options *options, fh_context **out_context) {
  *out_context = NULL;
  fh_config config;
  FH_TRY(fh_config_read(options, &config));
  FH_TRY(fh_plugins_listed());
  fh_context *context = calloc(1, sizeof *context);
  if (!context) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_context_create: no memory");
  context->config = config;
  context->record = -1;
  fh_refcount_init(&context->refs);
  fh_refcount_init(&context->users);
  fh_status status = lock_init(&context->lock);
  if (status) {
    free(context);
    return status;
  }
  status = fh_record_open(context);
  if (!status) status = fh_devices_find(context);
  if (!status) status = fh_candidates_build(context);
  fh_queue *queue;
  if (!status) status = fh_queue_create(context, &queue);
  if (status) {
    context_unref(context);
    return status;
  }
  fh_neighbours_join(context);
  *out_context = context;
  return FH_OK;
}

fh_context *fh_context_retain(fh_context *context) {
  fh_refcount_retain(&context->users);
  return context;
}

static void queues_end(fh_context *context) {
  while (context->queues) {
    fh_queue *queue = context->queues;
    fh_graph_release(queue->capture);
    fh_status status = fh_queue_finish(queue);
    if (status) fh_log(FH_LOG_ERROR, "fh_context_release: %s", fh_status_message(status));
    fh_status_free(status);
    context->queues = queue->next;
    fh_queue_close(queue);
    free(queue);
  }
}

void fh_context_release(fh_context *context) {
  if (!context || !fh_refcount_release(&context->users)) return;
  fh_context_lock(context);
  fh_lineage_clear(context); /* views may outlive the handle: their contents come home before the queues that could fetch them end */
  queues_end(context);
  fh_candidates_free(context); /* nothing is launched any more: registered kernels are free to go */
  char *summary = context->account.counters.fallback_warnings ? fh_account_summary(&context->account) : NULL;
  fh_context_unlock(context);
  if (summary) fh_log(FH_LOG_WARN, "%s", summary);
  free(summary);
  context_unref(context);
}

fh_queue *fh_context_queue(fh_context *context) { return context->queues; }

static void residency_retain(void *owner) { fh_refcount_retain(&((fh_context *)owner)->refs); }
static void residency_release(void *owner) { context_unref(owner); }

static void residency_evict(void *owner, fh_buffer *buffer) {
  fh_context *context = owner;
  fh_context_lock(context);
  for (int d = 0; d < context->device_count; d++) {
    if (!buffer->replicas[d].memory) continue;
    for (fh_queue *q = context->queues; q; q = q->next) {
      fh_status status = fh_queue_settle(q, d);
      fh_status_free(status); /* a device lost now is met again at the next launch or wait */
    }
    if (buffer->replicas[d].memory) context->devices[d].api->free(buffer->replicas[d].memory);
    buffer->replicas[d] = (fh_replica){0};
  }
  fh_buffer_unpin(context, buffer);
  fh_resident_remove(context, buffer);
  fh_context_unlock(context);
}

static void residency_forget(void *owner, fh_buffer *buffer) {
  fh_context *context = owner;
  fh_context_lock(context);
  fh_lineage_forget(context, buffer);
  fh_context_unlock(context);
}

static void residency_give_back(void *owner, fh_buffer *buffer) {
  fh_context *context = owner;
  fh_refcount_retain(&context->refs); /* the buffer's may be the last */
  fh_context_lock(context);
  if (atomic_load(&buffer->refs.value) - buffer->log_refs == 1) fh_lineage_forget(context, buffer);
  fh_buffer_release(buffer);
  fh_context_unlock(context);
  context_unref(context);
}

const fh_residency *fh_context_residency(void) {
  static const fh_residency residency = {.retain = residency_retain,
                                         .release = residency_release,
                                         .evict = residency_evict,
                                         .forget = residency_forget,
                                         .give_back = residency_give_back};
  return &residency;
}

static const char *kind_name(fh_device_kind kind) {
  return kind == FH_DEVICE_GPU ? "gpu" : kind == FH_DEVICE_ACCELERATOR ? "accelerator" : "cpu";
}

int fh_context_devices(const fh_context *context, fh_device_summary *out_devices, int capacity) {
  fh_context_lock((fh_context *)context);
  for (int i = 0; i < context->device_count && i < capacity; i++) {
    const fh_plan_device *d = &context->devices[i];
    fh_device_summary *out = &out_devices[i];
    *out = (fh_device_summary){.usable = d->state == FH_STATE_OPEN && d->allowed,
                               .posing = d->info.kind == FH_DEVICE_CPU_POSING,
                               .memory_bytes = d->info.memory_bytes};
    snprintf(out->id, sizeof out->id, "%s", d->info.id);
    snprintf(out->name, sizeof out->name, "%s", d->info.name);
    snprintf(out->kind, sizeof out->kind, "%s", kind_name(d->info.kind));
    if (out->usable) continue;
    if (d->state == FH_STATE_OPEN) {
      snprintf(
          out->reason, sizeof out->reason, "%s",
          out->posing ? "a CPU behind a GPU interface: used only when asked for by name" : "outside the policy or the list of devices");
    } else {
      snprintf(out->cause, sizeof out->cause, "%.39s", d->cause);
      snprintf(out->reason, sizeof out->reason, "%.199s", d->reason);
    }
  }
  int count = context->device_count;
  fh_context_unlock((fh_context *)context);
  return count;
}

void fh_context_counters(const fh_context *context, fh_counters *out_counters) {
  fh_context_lock((fh_context *)context);
  *out_counters = context->account.counters;
  fh_context_unlock((fh_context *)context);
}

fh_status fh_report(fh_context *context, bool json, char **out_text) {
  fh_context_lock(context);
  *out_text = json ? fh_account_json(&context->account) : fh_account_text(&context->account);
  fh_context_unlock(context);
  return *out_text ? FH_OK : FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_report: no memory");
}

/* ---- queues and events ------------------------------------------------------------------------------------------ */

fh_status fh_queue_create(fh_context *context, fh_queue **out_queue) {
  *out_queue = NULL;
  fh_queue *queue = calloc(1, sizeof *queue);
  if (!queue) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_queue_create: no memory");
  queue->context = context;
  queue->pinned = -1;
  fh_context_lock(context);
  fh_queue **end = &context->queues; /* the first stays first: fh_context_queue */
  while (*end) end = &(*end)->next;
  *end = queue;
  fh_context_unlock(context);
  *out_queue = queue;
  return FH_OK;
}

fh_context *fh_queue_context(const fh_queue *queue) { return queue->context; }

void fh_queue_release(fh_queue *queue) {
  if (!queue || queue == queue->context->queues) return; /* the first is the context's own */
  fh_context *context = queue->context;
  fh_context_lock(context);
  fh_graph_release(queue->capture);
  fh_status status = fh_queue_finish(queue);
  if (status) fh_log(FH_LOG_ERROR, "fh_queue_release: %s", fh_status_message(status));
  fh_status_free(status);
  for (fh_queue **q = &context->queues; *q; q = &(*q)->next) {
    if (*q != queue) continue;
    *q = queue->next;
    break;
  }
  fh_queue_close(queue);
  free(queue);
  fh_context_unlock(context);
}

static fh_status pin(fh_queue *queue, const char *device) {
  if (!device) {
    queue->pinned = -1;
    return FH_OK;
  }
  int index = fh_device_named(queue->context, device);
  if (index < 0)
    return FH_STATUS(FH_NOT_FOUND, "fh_queue_pin: there is no device \"%s\" in this context\nnext step: fh_context_devices lists them",
                     device);
  const fh_plan_device *d = &queue->context->devices[index];
  if (d->state != FH_STATE_OPEN)
    return FH_STATUS_CAUSE(FH_UNAVAILABLE, d->cause, "fh_queue_pin: %s cannot be used: %s: %s", device, d->cause, d->reason);
  if (!d->allowed)
    return FH_STATUS(FH_UNAVAILABLE,
                     "fh_queue_pin: %s is outside the policy or the list of devices of this context\nnext step: name it in "
                     "fh_context_options.devices or FOGHORN_DEVICES",
                     device);
  queue->pinned = index;
  return FH_OK;
}

fh_status fh_queue_pin(fh_queue *queue, const char *device) {
  fh_context_lock(queue->context); /* work of other queues that is run again is pinned for a moment too */
  fh_status status = pin(queue, device);
  fh_context_unlock(queue->context);
  return status;
}

fh_status fh_queue_finish(fh_queue *queue) {
  fh_context_lock(queue->context);
  fh_status status = FH_OK;
  for (int d = 0; d < queue->context->device_count && !status; d++)
    if (queue->context->devices[d].state == FH_STATE_OPEN) status = fh_queue_settle(queue, d);
  if (!status) queue->done_point = queue->point;
  fh_context_unlock(queue->context);
  return status;
}

/* Waits on the device with the lock held only where nothing else could go on anyway: a time limit is kept by polling. */
fh_status fh_event_wait(fh_event event, int64_t timeout_ns) {
  fh_queue *queue = event.queue;
  if (!queue) return FH_OK; /* the event of an empty launch */
  if (timeout_ns < 0) return event.point <= queue->done_point ? FH_OK : fh_queue_finish(queue);
  fh_context_lock(queue->context);
  fh_status status = FH_OK;
  for (int d = 0; d < queue->context->device_count && !status; d++) {
    const fh_plan_device *device = &queue->context->devices[d];
    if (device->state != FH_STATE_OPEN || !queue->streams[d] || queue->last[d] == 0) continue;
    status = device->api->wait(queue->streams[d], queue->last[d], timeout_ns);
    bool late = fh_status_code(status) == FH_DEADLINE_EXCEEDED && !fh_status_cause(status); /* with a cause the device stopped the work */
    if (status && !late) status = fh_recover(queue->context, NULL, d, status);
  }
  fh_context_unlock(queue->context);
  return status;
}
