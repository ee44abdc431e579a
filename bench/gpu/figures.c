/* What was measured, as JSON. SPDX-License-Identifier: Apache-2.0 */
#include "bench/gpu/figures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/engine/statistics.h"

enum { MOST_ROUNDS = 41, LEAST_ROUNDS = 3 };
static const double sample_seconds = 0.02; /* long beside a launch and the wait for it */

json_t *figures_row(json_t *document, const char *kernel, const char *label, const char *target) {
  json_t *row = json_pack("{ss ss ss s[]}", "kernel", kernel, "case", label, "target", target, "results");
  json_array_append_new(json_object_get(document, "rows"), row);
  return row;
}

json_t *figures_begin(json_t *document, const char *kernel, const char *label, const char *target, const gpu_options *options) {
  char name[WATCH_NAME];
  snprintf(name, sizeof name, "%s %s", kernel, label);
  if (!watch_begin(options->watch, name)) return NULL;
  json_t *row = figures_row(document, kernel, label, target);
  figures_not_run(row, NULL, NULL, "its process crashed, or did not come to an end");
  (void)figures_write(document, options->out);
  json_object_del(row, "not_run");
  return row;
}

void figures_not_run(json_t *row, const char *name, const char *kind, const char *why) {
  if (!name) {
    json_object_set_new(row, "not_run", fh_json_text(why));
    return;
  }
  json_array_append_new(json_object_get(row, "results"), json_pack("{ss ss so}", "name", name, "kind", kind, "not_run", fh_json_text(why)));
}

static void add_contender(json_t *row, const fh_contender *c, const char *kind) {
  if (c->count == 0 || c->failed) {
    figures_not_run(row, c->name, kind, c->failed ? "it failed while it was timed" : "there was no time for it");
    return;
  }
  json_array_append_new(json_object_get(row, "results"), json_pack("{ss ss sf sf sf si}", "name", c->name, "kind", kind, "median_s",
                                                                   c->median, "p10_s", c->p10, "p90_s", c->p90, "rounds", c->count));
}

void figures_add(json_t *row, fh_contender *contenders, const char *const *kinds, int count) {
  for (int i = 0; i < count; i++) {
    fh_contender *c = &contenders[i];
    if (c->count > 0) {
      const fh_spread spread = fh_spread_of(c->samples, c->count);
      c->median = spread.median;
      c->p10 = spread.p10;
      c->p90 = spread.p90;
    }
    add_contender(row, c, kinds[i]);
  }
}

bool figures_measure(json_t *row, fh_contender *contenders, const char *const *kinds, int count, const gpu_options *options) {
  const fh_rounds_options rounds = {
      .rounds = MOST_ROUNDS, .least_rounds = LEAST_ROUNDS, .sample_seconds = sample_seconds, .budget_seconds = options->case_seconds};
  const bool enough = fh_rounds_run(contenders, count, &rounds);
  bool all = enough;
  figures_add(row, contenders, kinds, count);
  for (int i = 0; i < count; i++) {
    all = all && contenders[i].count > 0 && !contenders[i].failed;
    free(contenders[i].samples);
    contenders[i].samples = NULL;
  }
  return all;
}

void figures_value(json_t *row, double value) { json_object_set_new(row, "value", json_real(value)); }

double figures_median(const json_t *row, const char *name) {
  size_t i;
  json_t *result;
  json_array_foreach(json_object_get(row, "results"), i, result) {
    const char *text = json_string_value(json_object_get(result, "name"));
    if (text && strcmp(text, name) == 0) return json_number_value(json_object_get(result, "median_s"));
  }
  return 0;
}

bool figures_write(const json_t *document, const char *path) {
  char temporary[4096];
  snprintf(temporary, sizeof temporary, "%s.new", path);
  if (json_dump_file(document, temporary, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0 && rename(temporary, path) == 0) return true;
  fprintf(stderr, "gpu_bench: cannot write %s: %s\n", path, strerror(errno));
  return false;
}
