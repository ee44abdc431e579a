/* Rows against those of an earlier time. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/engine/report.h"
#include "bench/engine/statistics.h"

static const char schema[] = "foghorn.measurement/1";

fh_status fh_bench_past_read(const char *path, fh_bench_past *out) {
  json_error_t error;
  *out = (fh_bench_past){json_load_file(path, 0, &error)};
  if (!out->document) return FH_STATUS(FH_INVALID_ARGUMENT, "--compare %s: line %d: %s", path, error.line, error.text);
  const char *name = json_string_value(json_object_get(out->document, "schema"));
  const char *then = json_string_value(json_object_get(json_object_get(out->document, "machine"), "cpu"));
  char now[FH_CPU_NAME];
  fh_bench_cpu_name(now);
  fh_status status = FH_OK;
  if (!name || strcmp(name, schema) != 0 || !json_is_array(json_object_get(out->document, "rows")))
    status = FH_STATUS(FH_INVALID_ARGUMENT, "--compare %s: it is no measurement (%s); expected what --save wrote", path,
                       name ? name : "no schema");
  else if (!then || strcmp(then, now) != 0)
    status = FH_STATUS(FH_INVALID_ARGUMENT, "--compare %s: measured on \"%s\", this machine is \"%s\": their times say nothing of the code",
                       path, then ? then : "an unknown machine", now);
  if (status) fh_bench_past_free(out);
  return status;
}

void fh_bench_past_free(fh_bench_past *past) {
  json_decref(past->document);
  past->document = NULL;
}

/* ---- finding ------------------------------------------------------------------------------------------------------- */

static bool is_text(const json_t *object, const char *key, const char *want) {
  const char *text = json_string_value(json_object_get(object, key));
  return text && strcmp(text, want) == 0;
}

static const json_t *past_row(const fh_bench_past *past, const fh_bench_row *row) {
  size_t i;
  json_t *r;
  json_array_foreach(json_object_get(past->document, "rows"), i, r) {
    if (is_text(r, "kernel", row->kernel) && is_text(r, "case", row->label) &&
        json_integer_value(json_object_get(r, "threads")) == row->threads)
      return r;
  }
  return NULL;
}

static const json_t *past_entry(const json_t *row, const char *kind, const char *name) {
  size_t i;
  json_t *e;
  json_array_foreach(json_object_get(row, "results"), i, e) {
    if (is_text(e, "kind", kind) && (!name || is_text(e, "name", name))) return e;
  }
  return NULL;
}

static const fh_bench_entry *limit_named(const fh_bench_row *row, const char *name) {
  for (int i = 0; i < row->entry_count; i++)
    if (row->entries[i].kind == FH_ENTRY_LIMIT && strcmp(row->entries[i].name, name) == 0) return &row->entries[i];
  return NULL;
}

/* Beyond these a file's numbers are no times of a kernel, and their ratios may be no numbers. */
static const double shortest = 1e-12, longest = 1e6;

/* Samples of an entry in the file; NULL when there are none. Caller frees. */
static double *samples_of(const json_t *entry, int *out_count) {
  const json_t *list = json_object_get(entry, "samples_s");
  const size_t count = json_array_size(list);
  double *out = count && count < 100000 ? malloc(count * sizeof *out) : NULL;
  *out_count = out ? (int)count : 0;
  for (size_t i = 0; out && i < count; i++) {
    out[i] = json_number_value(json_array_get(list, i));
    if (!(out[i] >= shortest && out[i] <= longest)) *out_count = 0; /* no times */
  }
  return out;
}

/* ---- judging --------------------------------------------------------------------------------------------------------- */

static int least(int a, int b) { return a < b ? a : b; }

/* The yardstick is the limit that both measured: arithmetic where that bound the row, or nothing did, else memory. */
static void take_change(const json_t *then_row, const json_t *then_own, const fh_bench_row *row, int comparisons, fh_comparison *out) {
  const char *yardstick = row->binding == FH_BOUND_MEMORY ? "limit: memory" : "limit: arithmetic";
  const fh_bench_entry *own = fh_bench_own(row), *now_limit = limit_named(row, yardstick);
  const json_t *then_limit = past_entry(then_row, "limit", yardstick);
  int count = 0, limit_count = 0;
  double *kernel = samples_of(then_own, &count), *limit = samples_of(then_limit, &limit_count);
  const bool both = now_limit && now_limit->count > 0 && limit_count > 0;
  if (both) count = least(count, limit_count);
  const fh_series before = {kernel, both ? limit : NULL, count};
  const fh_series after = {own->samples, both ? now_limit->samples : NULL, both ? least(own->count, now_limit->count) : own->count};
  const fh_change change = fh_change_of(before, after, FH_COMPARE_ALPHA_PERCENT / 100.0, comparisons, FH_COMPARE_EFFECT_PERCENT / 100.0);
  out->factor = change.factor;
  out->effect = change.effect;
  out->p = change.p;
  if (change.verdict == FH_SLOWER) out->verdict = FH_COMPARED_SLOWER;
  if (change.verdict == FH_FASTER) out->verdict = FH_COMPARED_FASTER;
  if (change.verdict == FH_TOO_FEW) {
    out->verdict = FH_COMPARED_NOT;
    snprintf(out->why, sizeof out->why, "%d rounds then, %d now: fewer than %d say nothing", before.count, after.count, FH_CHANGE_LEAST);
  }
  free(kernel);
  free(limit);
}

fh_comparison fh_bench_compare(const fh_bench_past *past, const fh_bench_row *row, int comparisons) {
  fh_comparison out = {.kernel = row->kernel, .threads = row->threads, .factor = 1, .p = 1, .verdict = FH_COMPARED_SAME};
  snprintf(out.label, sizeof out.label, "%s", row->label);
  const json_t *then_row = past_row(past, row), *then_own = past_entry(then_row, "foghorn", NULL);
  if (then_own && fh_bench_own(row)->count > 0) {
    take_change(then_row, then_own, row, comparisons, &out);
    return out;
  }
  out.verdict = FH_COMPARED_NOT;
  snprintf(out.why, sizeof out.why, "%s", then_own ? "it was not timed now" : "it is not in the saved measurement");
  return out;
}
