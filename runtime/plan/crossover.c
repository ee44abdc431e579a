/* At which sizes the choice of the device changes, and what it would be with another link. SPDX-License-Identifier: Apache-2.0
 *
 * The call is planned with other numbers of rows, by the contract's chunking rule: nothing runs. Costs are steps and bends of the size, so
 * every octave is looked at, and a change within it is narrowed down to the row. */
#include "runtime/plan/crossover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double most_bytes = 1e12; /* larger calls are of no machine */

/* ---- sizes ---------------------------------------------------------------------------------------------------------- */

/* The device that is chosen for so many rows; -1: none, or there is no such call. */
static int choice_at(const fh_queue *queue, const fh_call *call, uint32_t cut, int64_t rows) {
  fh_call scaled = *call;
  for (int v = 0; v < scaled.view_count; v++)
    if (cut >> v & 1) scaled.descs[v].shape[0] = rows;
  fh_status status = fh_call_cut(&scaled);
  const bool empty = status || scaled.bound.stage_count == 0 || fh_call_bytes(&scaled) > most_bytes;
  fh_status_free(status);
  if (empty) return -1;
  const fh_plan plan = fh_plan_make(queue, &scaled);
  return plan.chosen ? plan.chosen->device : -1;
}

/* Between `low`, where one device is chosen, and `high`, where another one is: the first row count of the change. */
static int64_t narrow(const fh_queue *queue, const fh_call *call, uint32_t cut, int64_t low, int64_t high) {
  const int before = choice_at(queue, call, cut, low);
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    *(choice_at(queue, call, cut, middle) == before ? &low : &high) = middle;
  }
  return high;
}

/* All changes after `low` rows, where the last one of `out` is chosen, up to `high`, where `last` is: a third device may win between
 * two others. The new count. */
static int changes_within(const fh_queue *queue, const fh_call *call, uint32_t cut, int64_t low, int64_t high, int last, int count,
                          fh_crossover out[FH_CROSSOVERS]) {
  while (count < FH_CROSSOVERS && out[count - 1].device != last) {
    low = narrow(queue, call, cut, low, high);
    const int device = choice_at(queue, call, cut, low);
    if (device < 0) break;
    out[count++] = (fh_crossover){.rows = low, .device = device};
  }
  return count;
}

int fh_crossovers(const fh_queue *queue, const fh_call *call, fh_crossover out[FH_CROSSOVERS]) {
  uint32_t cut;
  if (fh_call_rows(call, &cut) <= 1) return 0;
  int count = 1;
  out[0] = (fh_crossover){.rows = 1, .device = choice_at(queue, call, cut, 1)};
  if (out[0].device < 0) return 0;
  for (int64_t rows = 2; rows <= INT64_C(1) << 40; rows *= 2) {
    const int next = choice_at(queue, call, cut, rows);
    if (next < 0) break;
    count = changes_within(queue, call, cut, rows / 2, rows, next, count, out);
    if (out[count - 1].device != next) break; /* full, or a size without a choice */
  }
  return count;
}

int fh_crossover_devices(const fh_context *context, int *out_remote) {
  int usable = 0;
  *out_remote = -1;
  for (int d = 0; d < context->device_count; d++) {
    const fh_plan_device *device = &context->devices[d];
    if (device->state != FH_STATE_OPEN || !device->allowed) continue;
    usable++;
    if (*out_remote < 0 && !device->info.host_memory) *out_remote = d;
  }
  return usable;
}

/* ---- what if ---------------------------------------------------------------------------------------------------------- */

typedef struct unit {
  const char *name;
  double factor;
} unit;

static const unit rates[] = {{"GB/s", 1e9}, {"MB/s", 1e6}, {"GiB/s", 1073741824.0}, {NULL, 0}};
static const unit times[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {NULL, 0}};
static const unit sizes[] = {{"GiB", 1073741824.0}, {"MiB", 1048576.0}, {"GB", 1e9}, {NULL, 0}};

/* 0: it is none. */
static double quantity(const char *text, const unit *units) {
  char *end;
  const double value = strtod(text, &end);
  for (const unit *u = units; end != text && u->name; u++)
    if (strcmp(end, u->name) == 0 && value > 0 && value < 1e9) return value * u->factor;
  return 0;
}

/* One NAME=VALUE for one device; false: it is none. */
static bool assume_for(fh_plan_device *device, const char *text) {
  static const char link[] = "link=", latency[] = "latency=", memory[] = "memory=";
  const double rate = strncmp(text, link, sizeof link - 1) == 0 ? quantity(text + sizeof link - 1, rates) : 0;
  const double time = strncmp(text, latency, sizeof latency - 1) == 0 ? quantity(text + sizeof latency - 1, times) : 0;
  const double size = strncmp(text, memory, sizeof memory - 1) == 0 ? quantity(text + sizeof memory - 1, sizes) : 0;
  for (int way = 0; way < FH_WAYS && device; way++) {
    if (rate > 0) device->links[way].bandwidth.assumed = rate;
    if (time > 0) device->links[way].latency.assumed = time;
  }
  if (size > 0 && device) device->info.memory_bytes = (uint64_t)size;
  return rate > 0 || time > 0 || size > 0;
}

/* The end of "cuda:0 " before "link="; the text itself where no device is named. */
static const char *after_device(const char *text, char *out_device, size_t size) {
  const char *equals = strchr(text, '='), *colon = equals ? equals : text;
  while (colon > text && *colon != ':') colon--;
  const bool named = colon > text;
  snprintf(out_device, size, "%.*s", named ? (int)(colon - text) : 0, text);
  return named ? colon + 1 : text;
}

static fh_status assume_one(fh_context *context, const char *text) {
  char name[48];
  const char *what = after_device(text, name, sizeof name);
  if (!assume_for(NULL, what))
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "cannot assume '%s': expected [DEVICE:]link=RATE, latency=TIME or memory=SIZE, such as cuda:0:link=25GB/s, "
                     "latency=5us, memory=8GiB",
                     text);
  int changed = 0;
  for (int d = 0; d < context->device_count; d++) {
    fh_plan_device *device = &context->devices[d];
    if (device->info.host_memory || (name[0] && strcmp(device->info.id, name) != 0)) continue;
    assume_for(device, what);
    changed++;
  }
  if (changed) return FH_OK;
  return FH_STATUS(FH_NOT_FOUND, "cannot assume '%s': there is no device %swith memory of its own in this process", text, name);
}

fh_status fh_assume(fh_context *context, const char *list) {
  fh_context_lock(context);
  fh_profile_use(context); /* an assumption stands above it */
  fh_status status = FH_OK;
  while (*list && !status) {
    const size_t length = strcspn(list, ",");
    char one[128];
    snprintf(one, sizeof one, "%.*s", (int)length, list);
    status = assume_one(context, one);
    list += length + (list[length] == ',');
  }
  fh_context_unlock(context);
  return status;
}
