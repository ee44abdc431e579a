/* What a copy between the host and a device takes, and one inside the device. SPDX-License-Identifier: Apache-2.0
 *
 * A latency and a bandwidth for each way. Both begin as guesses, are measured for the machine's profile, and then follow the copies that
 * are waited for anyway: short ones tell the latency, long ones the bandwidth, those between neither. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/host_memory.h"
#include "runtime/plan/plan.h"

enum { SHORT_COPY = 64 << 10, LONG_COPY = 1 << 20, LEAST_SAMPLES = 3 };

/* ---- what is known --------------------------------------------------------------------------------------------- */

static double guessed_latency(const fh_plan_device *device) { return device->info.launch_s; }
static double guessed_bandwidth(const fh_plan_device *device) {
  return device->info.link_bytes_per_s > 0 ? device->info.link_bytes_per_s : 1e10;
}

static double best_known(const fh_figure *figure, double guess, fh_cost_source *out_source) {
  const bool measured = figure->count >= LEAST_SAMPLES, calibrated = figure->calibrated > 0;
  *out_source = figure->assumed > 0 ? FH_COST_ASSUMED : measured ? FH_COST_MEASURED : calibrated ? FH_COST_CALIBRATED : FH_COST_GUESS;
  if (figure->assumed > 0) return figure->assumed;
  return measured ? figure->median : calibrated ? figure->calibrated : guess;
}

fh_link_figures fh_link_of(const fh_plan_device *device, fh_way way) {
  fh_link_figures out;
  const fh_link *link = &device->links[way];
  out.latency_s = best_known(&link->latency, guessed_latency(device), &out.latency_source);
  out.bytes_per_s = best_known(&link->bandwidth, guessed_bandwidth(device), &out.bandwidth_source);
  return out;
}

double fh_link_seconds(const fh_plan_device *device, fh_way way, double bytes, int copies, fh_cost_source *out_source) {
  const fh_link_figures figures = fh_link_of(device, way);
  const double begin = copies * figures.latency_s, moving = bytes / figures.bytes_per_s;
  *out_source = begin > moving ? figures.latency_source : figures.bandwidth_source;
  return copies > 0 ? begin + moving : 0;
}

/* ---- what is learnt ---------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median_of(const double *values, int count) {
  double sorted[FH_LINK_SAMPLES];
  memcpy(sorted, values, (size_t)count * sizeof *values);
  qsort(sorted, (size_t)count, sizeof *sorted, by_value);
  return sorted[count / 2];
}

static void learn(fh_figure *figure, double value) {
  figure->samples[figure->count++ % FH_LINK_SAMPLES] = value;
  figure->median = median_of(figure->samples, figure->count < FH_LINK_SAMPLES ? (int)figure->count : FH_LINK_SAMPLES);
}

void fh_link_sample(fh_plan_device *device, fh_way way, size_t bytes, double seconds) {
  fh_link *link = &device->links[way];
  const fh_link_figures known = fh_link_of(device, way);
  if (!(seconds > 0) || bytes == 0) return;
  if (bytes <= SHORT_COPY) {
    const double moving = (double)bytes / known.bytes_per_s;
    learn(&link->latency, seconds > 2 * moving ? seconds - moving : seconds / 2); /* a wrong bandwidth leaves no latency below zero */
  } else if (bytes >= LONG_COPY) {
    const double rest = seconds - known.latency_s;
    learn(&link->bandwidth, (double)bytes / (rest > seconds / 2 ? rest : seconds));
  }
}

void fh_link_calibrate(fh_plan_device *device, fh_way way, double latency_s, double bytes_per_s) {
  if (latency_s > 0) device->links[way].latency.calibrated = latency_s;
  if (bytes_per_s > 0) device->links[way].bandwidth.calibrated = bytes_per_s;
}

/* ---- measuring for the profile ------------------------------------------------------------------------------------ */

enum { COPIES = 9, SHORT_BYTES = 4 << 10, LONG_BYTES = 32 << 20 };
/* More than a device's caches hold; as many copies a batch as make the cost of a submit small beside them. */
enum { INSIDE_BYTES = 128 << 20, INSIDE_COPIES = 8 };

typedef struct line {
  fh_stream *stream;
  const fh_plan_device *device;
  fh_memory *memory;
  char *host;
} line;

static fh_status copy(const line *l, fh_way way, size_t bytes, double *out_seconds) {
  const fh_place there = {.memory = l->memory}, here = {.host = l->host};
  const fh_command command = {
      .kind = FH_COMMAND_COPY,
      .copy = {.from = way == FH_TO_DEVICE ? here : there, .to = way == FH_TO_DEVICE ? there : here, .bytes = bytes}};
  fh_point point = 0;
  const double start = fh_now_seconds();
  FH_TRY(l->device->api->submit(l->stream, &command, 1, &point));
  FH_TRY(l->device->api->wait(l->stream, point, FH_FOREVER));
  *out_seconds = fh_now_seconds() - start;
  return FH_OK;
}

/* The median of a few copies after one that warms up, fewer where they take long. */
static fh_status time_copies(const line *l, fh_way way, size_t bytes, double seconds, double *out_median) {
  double taken[COPIES], first;
  const double begin = fh_now_seconds();
  int count = 0;
  FH_TRY(copy(l, way, bytes, &first));
  while (count < COPIES && (count < LEAST_SAMPLES || fh_now_seconds() - begin < seconds)) FH_TRY(copy(l, way, bytes, &taken[count++]));
  qsort(taken, (size_t)count, sizeof *taken, by_value);
  *out_median = taken[count / 2];
  return FH_OK;
}

static fh_status measure_way(const line *l, fh_plan_device *device, fh_way way, size_t bytes, double seconds, bool *out_measured) {
  double shortest, longest;
  FH_TRY(time_copies(l, way, SHORT_BYTES, seconds / 4, &shortest));
  FH_TRY(time_copies(l, way, bytes, seconds, &longest));
  *out_measured = longest > shortest;
  if (*out_measured) fh_link_calibrate(device, way, shortest, (double)bytes / (longest - shortest));
  return FH_OK;
}

static fh_status measure_both(const line *l, fh_plan_device *device, size_t bytes, double seconds, bool *out_measured) {
  bool all = true;
  for (int way = 0; way < FH_WAYS; way++) {
    bool measured;
    FH_TRY(measure_way(l, device, (fh_way)way, bytes, seconds / FH_WAYS, &measured));
    all = all && measured;
  }
  *out_measured = all;
  return FH_OK;
}

/* As much memory as there is, up to what is enough for the bandwidth; 0: not even the least. */
static size_t take_memory(const fh_plan_device *device, fh_memory **out_memory) {
  for (size_t bytes = LONG_BYTES; bytes >= LONG_COPY; bytes /= 2) {
    fh_status status = device->api->alloc(device->device, bytes, out_memory);
    if (!status) return bytes;
    fh_status_free(status);
  }
  return 0;
}

/* ---- inside the device ---- */

static fh_status copy_inside(const line *l, fh_memory *to, int copies, double *out_seconds) {
  fh_command commands[INSIDE_COPIES];
  for (int i = 0; i < copies; i++)
    commands[i] =
        (fh_command){.kind = FH_COMMAND_COPY,
                     .copy = {.from = {.memory = i % 2 ? to : l->memory}, .to = {.memory = i % 2 ? l->memory : to}, .bytes = INSIDE_BYTES}};
  fh_point point = 0;
  const double start = fh_now_seconds();
  FH_TRY(l->device->api->submit(l->stream, commands, copies, &point));
  FH_TRY(l->device->api->wait(l->stream, point, FH_FOREVER));
  *out_seconds = fh_now_seconds() - start;
  return FH_OK;
}

/* The best of a few batches after a copy that warms up: what the memory can do. Where one copy takes long it is all that is tried. */
static fh_status time_inside(const line *l, fh_plan_device *device, fh_memory *to, double seconds) {
  double best, taken;
  const double begin = fh_now_seconds();
  FH_TRY(copy_inside(l, to, 1, &taken));
  const int copies = taken * INSIDE_COPIES < seconds ? INSIDE_COPIES : 1;
  FH_TRY(copy_inside(l, to, copies, &best));
  for (int i = 1; i < COPIES && fh_now_seconds() - begin < seconds; i++) {
    FH_TRY(copy_inside(l, to, copies, &taken));
    best = taken < best ? taken : best;
  }
  if (best > 0) device->reached.bytes_per_s = 2.0 * INSIDE_BYTES * copies / best;
  return FH_OK;
}

/* A device without room for both is not measured: smaller ones would tell what its caches do. */
static fh_status measure_inside(fh_plan_device *device, double seconds) {
  line l = {.device = device};
  fh_memory *to = NULL;
  fh_status status = device->api->alloc(device->device, INSIDE_BYTES, &l.memory);
  if (!status) status = device->api->alloc(device->device, INSIDE_BYTES, &to);
  if (!status) status = device->api->stream_open(device->device, &l.stream);
  if (!status) status = time_inside(&l, device, to, seconds);
  if (l.stream) device->api->stream_close(l.stream);
  if (to) device->api->free(to);
  if (l.memory) device->api->free(l.memory);
  if (fh_status_code(status) != FH_RESOURCE_EXHAUSTED) return status;
  fh_status_free(status);
  return FH_OK;
}

fh_status fh_link_measure(fh_queue *queue, int device, double seconds, bool *out_measured) {
  *out_measured = false;
  fh_plan_device *d = &queue->context->devices[device];
  line l = {.device = d};
  if (d->state != FH_STATE_OPEN || !d->device || d->info.host_memory) return FH_OK;
  const size_t bytes = take_memory(d, &l.memory);
  if (!bytes) return FH_OK; /* a full device keeps its guess */
  l.host = fh_host_alloc(bytes);
  fh_status status = l.host ? d->api->stream_open(d->device, &l.stream) : FH_STATUS(FH_RESOURCE_EXHAUSTED, "calibration: no memory");
  if (!status) {
    memset(l.host, 1, bytes); /* its pages are there */
    status = measure_both(&l, d, bytes, seconds, out_measured);
  }
  if (l.stream) d->api->stream_close(l.stream);
  d->api->free(l.memory);
  free(l.host);
  return status ? status : measure_inside(d, seconds);
}
