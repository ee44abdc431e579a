/* Limits, launches and copies: what the driver alone does, and what Foghorn makes of it. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/gpu/raw_opencl.h"
#include "bench/gpu/rows.h"
#include "runtime/base/clock.h"

enum { LIMIT_BYTES = 256 << 20, FAKE_BYTES = 1 << 20, LATENCY_BYTES = 64 };

static size_t limit_bytes(const gpu_options *o) { return o->fake ? FAKE_BYTES : LIMIT_BYTES; }

/* ---- limits ---------------------------------------------------------------------------------------------------------- */

typedef struct limit {
  const char *name, *unit;
  double (*sample)(void *arg, long calls);
  void *arg;
  double per_call; /* of the unit; 0: the seconds themselves are wanted */
  const char *why; /* NULL: it can be measured */
} limit;

static void add_limit(json_t *document, const limit *l, const fh_contender *c) {
  json_t *out = json_pack("{ss ss}", "name", l->name, "unit", l->unit);
  if (l->why || !c || c->count == 0 || c->failed) {
    json_object_set_new(out, "not_run", fh_json_text(l->why ? l->why : "the driver refused it"));
  } else {
    /* A rate's tenth percentile is that of its slow samples. */
    const double median = l->per_call > 0 ? l->per_call / c->median : c->median;
    const double low = l->per_call > 0 ? l->per_call / c->p90 : c->p10, high = l->per_call > 0 ? l->per_call / c->p10 : c->p90;
    json_object_update_new(out, json_pack("{sf sf sf si}", "median", median, "p10", low, "p90", high, "rounds", c->count));
  }
  json_array_append_new(json_object_get(document, "limits"), out);
}

enum { MOST_LIMITS = 16 };

static void measure_limits(json_t *document, const limit *limits, int count, const gpu_options *options) {
  fh_contender contenders[MOST_LIMITS];
  int of[MOST_LIMITS], timed = 0;
  for (int i = 0; i < count; i++) {
    of[i] = limits[i].why ? -1 : timed;
    if (!limits[i].why) contenders[timed++] = (fh_contender){.name = limits[i].name, .sample = limits[i].sample, .arg = limits[i].arg};
  }
  const fh_rounds_options rounds = {.rounds = 21, .least_rounds = 3, .sample_seconds = 0.02, .budget_seconds = 2 * options->case_seconds};
  (void)fh_rounds_run(contenders, timed, &rounds);
  for (int i = 0; i < count; i++) add_limit(document, &limits[i], of[i] >= 0 ? &contenders[of[i]] : NULL);
  for (int i = 0; i < timed; i++) free(contenders[i].samples);
}

/* The last text of raw.c is overwritten by the next failure. */
static const char *keep(const char *why, char out[static 128]) {
  if (why) snprintf(out, 128, "%s", why);
  return why ? out : NULL;
}

void rows_limits(json_t *document, raw_device *raw, const gpu_options *options) {
  raw_traffic pageable, pinned, small_pageable, small_pinned;
  raw_launch launch;
  char texts[5][128];
  const double bytes = (double)limit_bytes(options);
  const char *no_pageable = keep(raw_traffic_open(raw, limit_bytes(options), false, &pageable), texts[0]);
  const char *no_pinned = keep(raw_traffic_open(raw, limit_bytes(options), true, &pinned), texts[1]);
  const char *no_small = keep(raw_traffic_open(raw, LATENCY_BYTES, false, &small_pageable), texts[2]);
  const char *no_small_pinned = keep(raw_traffic_open(raw, LATENCY_BYTES, true, &small_pinned), texts[3]);
  const char *no_launch = keep(raw_launch_open(raw, &launch), texts[4]);
  const char *no_kernels = raw->why_no_limits[0] ? raw->why_no_limits : NULL;
  const limit limits[] = {
      {"copy within the device, read and written", "B/s", raw_copy, &pageable, 2 * bytes, no_pageable},
      {"read", "B/s", raw_read, &pageable, bytes, no_pageable ? no_pageable : no_kernels},
      {"f32 multiply-adds", "op/s", raw_fma, raw, raw_fma_operations(raw), no_kernels},
      {"to the device, pinned", "B/s", raw_to_device, &pinned, bytes, no_pinned},
      {"to the host, pinned", "B/s", raw_to_host, &pinned, bytes, no_pinned},
      {"to the device, pageable", "B/s", raw_to_device, &pageable, bytes, no_pageable},
      {"to the host, pageable", "B/s", raw_to_host, &pageable, bytes, no_pageable},
      {"64 bytes to the device, pinned", "s", raw_to_device, &small_pinned, 0, no_small_pinned},
      {"64 bytes to the host, pinned", "s", raw_to_host, &small_pinned, 0, no_small_pinned},
      {"64 bytes to the device, pageable", "s", raw_to_device, &small_pageable, 0, no_small},
      {"64 bytes to the host, pageable", "s", raw_to_host, &small_pageable, 0, no_small},
      {"launch, one after another", "s", raw_launch_sample, &launch, 0, no_launch},
      {"launch, host time", "s", raw_launch_sample_host, &launch, 0, no_launch},
  };
  measure_limits(document, limits, (int)(sizeof limits / sizeof *limits), options);
  raw_launch_close(&launch);
  raw_traffic_close(&small_pinned);
  raw_traffic_close(&small_pageable);
  raw_traffic_close(&pinned);
  raw_traffic_close(&pageable);
}

/* ---- launches ---------------------------------------------------------------------------------------------------------- */

static double own_launch(void *arg, long calls) { return gpu_case_sample(arg, calls); }
static double own_launch_host(void *arg, long calls) { return gpu_case_sample_host(arg, calls); }

static const gpu_case_spec one_element = {"axpy", "1 1", "", "launch"};

/* With the wait: of the driver's own loop; without it: seconds of host time. */
static void launch_rows(json_t *document, raw_launch *raw, gpu_case *own, const gpu_options *options) {
  static const char *const kinds[] = {"foghorn", "limit"};
  json_t *row = figures_row(document, "axpy", "one element, one launch after another", "launch");
  fh_contender waited[] = {{.name = "Foghorn", .sample = own_launch, .arg = own},
                           {.name = "cuLaunchKernel", .sample = raw_launch_sample, .arg = raw}};
  if (figures_measure(row, waited, kinds, 2, options)) figures_value(row, waited[0].median / waited[1].median);
  row = figures_row(document, "axpy", "one element, host time of a launch", "launch_host");
  fh_contender host[] = {{.name = "Foghorn", .sample = own_launch_host, .arg = own},
                         {.name = "cuLaunchKernel", .sample = raw_launch_sample_host, .arg = raw}};
  if (figures_measure(row, host, kinds, 2, options)) figures_value(row, host[0].median);
}

void rows_launch(json_t *document, raw_device *raw, gpu_session *session, const gpu_options *options) {
  raw_launch launch;
  char why[240];
  gpu_case *own = gpu_case_open(session, &one_element, 0, why, (int)sizeof why);
  const char *no_launch = raw_launch_open(raw, &launch);
  if (own && !no_launch) {
    launch_rows(document, &launch, own, options);
  } else {
    figures_not_run(figures_row(document, "axpy", "one element", "launch"), NULL, NULL, own ? no_launch : why);
    figures_not_run(figures_row(document, "axpy", "one element", "launch_host"), NULL, NULL, own ? no_launch : why);
  }
  raw_launch_close(&launch);
  gpu_case_close(own);
}

/* Against the driver's own loop on the same device; no target names it. */
static void opencl_row(json_t *row, raw_opencl_launch *raw, gpu_case *own, const gpu_options *options) {
  static const char *const kinds[] = {"foghorn", "limit"};
  fh_contender waited[] = {{.name = "Foghorn", .sample = own_launch, .arg = own},
                           {.name = "clEnqueueNDRangeKernel", .sample = raw_opencl_launch_sample, .arg = raw}};
  if (figures_measure(row, waited, kinds, 2, options)) figures_value(row, waited[0].median / waited[1].median);
}

void rows_launch_opencl(json_t *document, const gpu_options *options) {
  raw_opencl_launch launch;
  char why[240];
  json_t *row = figures_row(document, "axpy", "one element, one launch after another, OpenCL", "");
  if (!options->opencl) {
    figures_not_run(row, NULL, NULL, "no OpenCL GPU beside the CUDA one");
    return;
  }
  const char *no_launch = raw_opencl_launch_open(raw_ordinal_of(options->opencl), &launch);
  gpu_session *session = no_launch ? NULL : gpu_session_open(options->opencl, 0, why, (int)sizeof why);
  gpu_case *own = session ? gpu_case_open(session, &one_element, 0, why, (int)sizeof why) : NULL;
  if (own)
    opencl_row(row, &launch, own, options);
  else
    figures_not_run(row, NULL, NULL, no_launch ? no_launch : why);
  gpu_case_close(own);
  gpu_session_close(session);
  raw_opencl_launch_close(&launch);
}

/* ---- copies -------------------------------------------------------------------------------------------------------------- */

/* Each call moves axpy's y one way; the kernel that makes that necessary is timed with it on the way to the device. */
static double own_to_device(void *arg, long calls) {
  double sum = 0;
  for (long i = 0; i < calls && sum >= 0; i++) {
    const double took = gpu_case_sample_to_device(arg);
    sum = took < 0 ? -1 : sum + took;
  }
  return sum;
}

static double own_to_host(void *arg, long calls) {
  double sum = 0;
  for (long i = 0; i < calls && sum >= 0; i++) {
    const double took = gpu_case_sample_to_host(arg);
    sum = took < 0 ? -1 : sum + took;
  }
  return sum;
}

static void copy_row(json_t *document, const char *label, fh_contender own, fh_contender raw, const char *why, const gpu_options *options) {
  static const char *const kinds[] = {"foghorn", "limit"};
  json_t *row = figures_row(document, "axpy", label, "copies");
  fh_contender both[] = {own, raw};
  if (why)
    figures_not_run(row, NULL, NULL, why);
  else if (figures_measure(row, both, kinds, 2, options))
    figures_value(row, both[1].median / both[0].median);
}

void rows_copies(json_t *document, raw_device *raw, gpu_session *session, const gpu_options *options) {
  char shape[64], why[240] = "";
  raw_traffic link;
  snprintf(shape, sizeof shape, "%zu %zu", limit_bytes(options) / sizeof(float), limit_bytes(options) / sizeof(float));
  const gpu_case_spec spec = {"axpy", shape, "", "copies"};
  const char *no_link = raw_traffic_open(raw, limit_bytes(options), true, &link);
  gpu_case *own = no_link ? NULL : gpu_case_open(session, &spec, 0, why, (int)sizeof why);
  const char *reason = no_link ? no_link : own ? NULL : why;
  copy_row(document, "256 MiB to the device, and the kernel that reads them",
           (fh_contender){.name = "Foghorn", .sample = own_to_device, .arg = own},
           (fh_contender){.name = "pinned copy", .sample = raw_to_device, .arg = &link}, reason, options);
  copy_row(document, "256 MiB to the host", (fh_contender){.name = "Foghorn", .sample = own_to_host, .arg = own},
           (fh_contender){.name = "pinned copy", .sample = raw_to_host, .arg = &link}, reason, options);
  gpu_case_close(own);
  raw_traffic_close(&link);
}
