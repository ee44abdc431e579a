/* What was measured, as a table and as JSON. SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine/report.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- figures --------------------------------------------------------------------------------------------------- */

const char *fh_bench_time(double seconds, char out[static 24]) {
  static const struct {
    double unit;
    const char *name;
  } units[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
  size_t i = 0;
  while (i < 3 && seconds < units[i].unit) i++;
  snprintf(out, 24, "%.3g %s", seconds / units[i].unit, units[i].name);
  return out;
}

/* Operations per second where arithmetic is the limit, else bytes. */
static void print_rate(const fh_bench_row *row, double seconds, char *out, size_t size) {
  const bool compute = row->compute_seconds > row->memory_seconds;
  snprintf(out, size, "%.3g %s", (compute ? row->flops : row->bytes) / seconds * 1e-9,
           !compute                  ? "GB/s"
           : row->peak == FH_PEAK_I8 ? "Gop/s"
                                     : "GFLOP/s");
}

/* ---- table ------------------------------------------------------------------------------------------------------- */

void fh_bench_print_limits(fh_text *out, const fh_limits *limits) {
  fh_text_add(out, "limits on %d thread%s:", limits->threads, limits->threads == 1 ? "" : "s");
  for (int p = 0; p < FH_PEAK_COUNT; p++)
    if (limits->flops[p] > 0) fh_text_add(out, "%s %s %.0f", p ? "," : "", fh_peak_name((fh_peak)p), limits->flops[p] * 1e-9);
  fh_text_add(out, " Gop/s\n  GB/s (read, copy, copy past the caches):");
  for (int i = 0; i < FH_LEVEL_COUNT; i++) {
    const fh_level *l = &limits->levels[i];
    fh_text_add(out, "%s %s %.0f %.0f %.0f", i ? ";" : "", l->name, l->read * 1e-9, l->copy * 1e-9, l->stream * 1e-9);
  }
  fh_text_add(out, "\n");
}

static void print_peers(fh_text *out, const fh_bench_row *row) {
  for (int i = 1; i < row->entry_count; i++) {
    const fh_bench_entry *e = &row->entries[i];
    if (e->kind == FH_ENTRY_PEER && e->times > 0) fh_text_add(out, "  %s %.2f", e->name, e->times);
  }
}

static void print_variants(fh_text *out, const fh_bench_row *row) {
  for (int i = 1; i < row->entry_count; i++) {
    const fh_bench_entry *e = &row->entries[i];
    char time[24];
    if (e->kind == FH_ENTRY_VARIANT && e->median > 0)
      fh_text_add(out, "    %-20s %9s  %3.0f %%\n", e->name, fh_bench_time(e->median, time), 100 * e->of_limit);
  }
}

static void print_row(fh_text *out, const fh_bench_row *row) {
  const fh_bench_entry *own = fh_bench_own(row);
  if (own->median <= 0) {
    fh_text_add(out, "  %-22s %d  NOT RUN: %s\n", row->label, row->threads, own->why[0] ? own->why : "it was not timed");
    return;
  }
  char time[24], rate[32], where[24] = "";
  print_rate(row, own->median, rate, sizeof rate);
  snprintf(where, sizeof where, "%s%s%s", fh_binding_name(row->binding), row->binding == FH_BOUND_MEMORY ? " " : "",
           row->binding == FH_BOUND_MEMORY ? row->level : "");
  fh_text_add(out, "  %-22s %d %9s %13s", row->label, row->threads, fh_bench_time(own->median, time), rate);
  if (own->of_limit > 0)
    fh_text_add(out, " %4.0f %% %-11s", 100 * own->of_limit, where);
  else
    fh_text_add(out, "    -   %-11s", "");
  print_peers(out, row);
  fh_text_add(out, "\n");
  print_variants(out, row);
}

/* Each reason once per kernel and peer. */
static void print_not_run(fh_text *out, const fh_bench_table *table, int first, int last) {
  for (int r = first; r < last; r++) {
    for (int i = 1; i < table->rows[r].entry_count; i++) {
      const fh_bench_entry *e = &table->rows[r].entries[i];
      bool said = !e->why[0];
      for (int q = first; q < r && !said; q++)
        for (int j = 1; j < table->rows[q].entry_count && !said; j++)
          said = strcmp(table->rows[q].entries[j].name, e->name) == 0 && strcmp(table->rows[q].entries[j].why, e->why) == 0;
      if (!said) fh_text_add(out, "  NOT RUN: %s at %s: %s\n", e->name, table->rows[r].label, e->why);
    }
  }
}

void fh_bench_print_table(fh_text *out, const fh_bench_table *table) {
  for (int first = 0; first < table->count;) {
    int last = first;
    while (last < table->count && table->rows[last].kernel == table->rows[first].kernel) last++;
    fh_text_add(out, "\n%s\n  %-22s %s %9s %13s %6s %-11s  %s\n", table->rows[first].kernel, "case", "T", "time", "rate", "limit",
                "bound by", "peer: times faster than it");
    for (int r = first; r < last; r++) print_row(out, &table->rows[r]);
    print_not_run(out, table, first, last);
    first = last;
  }
}

/* ---- JSON ----------------------------------------------------------------------------------------------------------- */

void fh_bench_cpu_name(char out[static FH_CPU_NAME]) {
  char line[256];
  FILE *file = fopen("/proc/cpuinfo", "re");
  snprintf(out, FH_CPU_NAME, "unknown");
  while (file && fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon) continue;
    snprintf(out, FH_CPU_NAME, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    break;
  }
  if (file) fclose(file);
}

static json_t *limits_json(const fh_limits *limits) {
  json_t *flops = json_object(), *levels = json_array();
  for (int p = 0; p < FH_PEAK_COUNT; p++)
    if (limits->flops[p] > 0) json_object_set_new(flops, fh_peak_name((fh_peak)p), json_real(limits->flops[p]));
  for (int i = 0; i < FH_LEVEL_COUNT; i++) {
    const fh_level *l = &limits->levels[i];
    json_array_append_new(levels, json_pack("{ss sI sf sf sf}", "name", l->name, "bytes", (json_int_t)l->capacity, "read", l->read, "copy",
                                            l->copy, "stream", l->stream));
  }
  return json_pack("{si so so}", "threads", limits->threads, "operations_per_second", flops, "bytes_per_second", levels);
}

static json_t *entry_json(const fh_bench_entry *e, bool samples) {
  static const char *const kinds[] = {"foghorn", "variant", "peer", "limit"};
  json_t *out = json_pack("{ss ss}", "name", e->name, "kind", kinds[e->kind]);
  if (e->variant[0])
    json_object_set_new(out,
                        e->kind == FH_ENTRY_FOGHORN ? "variant"
                        : e->kind == FH_ENTRY_LIMIT ? "of"
                                                    : "version",
                        fh_json_text(e->variant));
  if (e->why[0]) json_object_set_new(out, "not_run", fh_json_text(e->why));
  if (e->median <= 0) return out;
  json_object_set_new(out, "median_s", json_real(e->median));
  json_object_set_new(out, "p10_s", json_real(e->p10));
  json_object_set_new(out, "p90_s", json_real(e->p90));
  json_object_set_new(out, "rounds", json_integer(e->count));
  if (e->of_limit > 0) json_object_set_new(out, "of_limit", json_real(e->of_limit));
  if (e->times > 0) json_object_set_new(out, "times_faster_foghorn", json_real(e->times));
  json_t *list = samples ? json_array() : NULL;
  for (int i = 0; list && i < e->count; i++) json_array_append_new(list, json_real(e->samples[i]));
  if (list) json_object_set_new(out, "samples_s", list);
  return out;
}

static json_t *row_json(const fh_bench_row *row, bool samples) {
  json_t *entries = json_array();
  for (int i = 0; i < row->entry_count; i++) json_array_append_new(entries, entry_json(&row->entries[i], samples));
  return json_pack("{ss so si sf sf sf ss sf sf sf ss so}", "kernel", row->kernel, "case", fh_json_text(row->label), "threads",
                   row->threads, "operations", row->flops, "bytes", row->bytes, "working_set", row->set, "level", row->level,
                   "arithmetic_s", row->compute_seconds, "memory_s", row->memory_seconds, "launch_s", row->launch_seconds, "bound_by",
                   fh_binding_name(row->binding), "results", entries);
}

json_t *fh_bench_json(const fh_session *session, const fh_bench_options *options, const fh_bench_table *table, bool samples,
                      bool interrupted) {
  char cpu[FH_CPU_NAME], date[32];
  const time_t now = time(NULL);
  struct tm utc;
  fh_bench_cpu_name(cpu);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
  cpu_set_t set;
  const int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  json_t *limits = json_array(), *rows = json_array();
  for (int i = 0; i < options->thread_counts; i++)
    if (fh_session_limits(session, i)) json_array_append_new(limits, limits_json(fh_session_limits(session, i)));
  for (int i = 0; i < table->count; i++) json_array_append_new(rows, row_json(&table->rows[i], samples));
  return json_pack("{ss ss ss s{so si} so sb so}", "schema", "foghorn.measurement/1", "version", FH_VERSION, "date", date, "machine", "cpu",
                   fh_json_text(cpu), "cpus", cpus, "limits", limits, "interrupted", interrupted, "rows", rows);
}
