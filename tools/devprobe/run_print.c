/* devprobe run kmeans: the table and the JSON. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/devprobe/run.h"
#include "tools/devprobe/screen.h"

/* How far two inertias from the same start may lie apart: another order of additions may send single rows elsewhere. */
static const double allowed_difference = 0.01;

/* ---- comparison --------------------------------------------------------------------------------------- */

static const fh_run_row *first_row(const fh_run *run, int k) {
  for (int i = 0; i < run->row_count; i++)
    if (run->rows[i].k == k && !*run->rows[i].not_run) return &run->rows[i];
  return NULL;
}

static bool is_sklearn(const fh_run_row *row) { return strcmp(row->device, "scikit-learn") == 0; }

static double difference(const fh_run_row *a, const fh_run_row *b) {
  double scale = fabs(a->inertia) > fabs(b->inertia) ? fabs(a->inertia) : fabs(b->inertia);
  return scale > 0 ? fabs(a->inertia - b->inertia) / scale : 0;
}

const char *fh_run_mismatch(const fh_run *run, int k, char *out, size_t size) {
  const fh_run_row *first = first_row(run, k);
  for (int i = 0; first && i < run->row_count; i++) {
    const fh_run_row *row = &run->rows[i];
    if (row->k != k || *row->not_run) continue;
    double allowed = run->numerics == FH_EXACT && !is_sklearn(row) ? 0 : allowed_difference;
    if (difference(first, row) <= allowed) continue;
    snprintf(out, size, "k=%d: the inertia of %s and %s differs by %.3g %%: expected at most %g %%", k, first->device, row->device,
             100 * difference(first, row), 100 * allowed);
    return out;
  }
  return NULL;
}

/* ---- table -------------------------------------------------------------------------------------------- */

static void add_decision(const fh_run_row *row, fh_screen *screen) {
  if (is_sklearn(row)) {
    fh_screen_line(screen, FH_PLAIN, "      by", "%s: %s", row->variant, row->why);
    return;
  }
  fh_screen_line(screen, FH_PLAIN, "      by", "%s%s%s: %s", row->variant, strcmp(row->device, row->executed) == 0 ? "" : ", ran on ",
                 strcmp(row->device, row->executed) == 0 ? "" : row->executed, row->why);
  if (row->elsewhere) fh_screen_line(screen, FH_YELLOW, "      !", "%" PRIu64 " launches ran elsewhere than intended", row->elsewhere);
  if (row->empty_reseeded)
    fh_screen_line(screen, FH_PLAIN, "      +", "%d times an empty cluster got the farthest row", row->empty_reseeded);
}

static void add_row(const fh_run_row *row, fh_screen *screen) {
  if (*row->not_run) {
    fh_screen_headline(screen, FH_PLAIN, 0, "%-5d %-12s NOT RUN: %s", row->k, row->device, row->not_run);
    return;
  }
  fh_screen_headline(screen, FH_PLAIN, 0, "%-5d %-12s %11.2f %5d%s %15.9g   %d/%d/%d", row->k, row->device, row->seconds * 1e3,
                     row->iterations, row->converged || is_sklearn(row) ? " " : "*", row->inertia, row->size_min, row->size_median,
                     row->size_max);
  add_decision(row, screen);
}

/* How well the rows of one k agree, and how they compare in time. */
static void add_agreement(const fh_run *run, int k, fh_screen *screen) {
  const fh_run_row *first = first_row(run, k), *best = NULL, *peer = NULL;
  double devices = 0;
  int compared = 0;
  for (int i = 0; first && i < run->row_count; i++) {
    const fh_run_row *row = &run->rows[i];
    if (row->k != k || *row->not_run) continue;
    if (is_sklearn(row)) {
      peer = row;
      continue;
    }
    if (!best || row->seconds < best->seconds) best = row;
    if (difference(first, row) > devices) devices = difference(first, row);
    compared++;
  }
  if (compared > 1) fh_screen_headline(screen, FH_PLAIN, 0, "k=%d: inertia between devices differs by at most %.2g %%", k, 100 * devices);
  if (peer && best)
    fh_screen_headline(screen, FH_PLAIN, 0, "k=%d: inertia is %.2g %% off scikit-learn's; %s takes %.2f of its time per iteration", k,
                       100 * difference(best, peer), best->device, best->seconds / peer->seconds);
}

static void add_head(const fh_run *run, fh_screen *screen) {
  fh_screen_line(screen, FH_PLAIN, "data", "%s", run->input);
  fh_screen_line(screen, FH_PLAIN, "", "%s: %" PRId64 " rows of %" PRId64, run->data.format, run->data.n, run->data.d);
  for (int i = 0; i < run->k_count; i++)
    fh_screen_line(screen, FH_PLAIN, i ? "" : "start", "k=%d: k-means++, seed %" PRId64 ", %.2f s on %s", run->ks[i], run->seed,
                   run->seconds_start[i], run->start_device[i]);
  fh_screen_line(screen, FH_PLAIN, "numerics", "%s", run->numerics == FH_EXACT ? "exact: bit-identical on every device" : "bounded");
}

static bool any_unfinished(const fh_run *run) {
  for (int i = 0; i < run->row_count; i++)
    if (!*run->rows[i].not_run && !run->rows[i].converged && !is_sklearn(&run->rows[i])) return true;
  return false;
}

char *fh_run_table(const fh_run *run) {
  fh_screen screen = {.color = run->cli->color};
  add_head(run, &screen);
  fh_screen_blank(&screen);
  fh_screen_headline(&screen, FH_BOLD, 80, "%-5s %-12s %11s %5s  %15s   %s", "k", "device", "ms/iter", "iter", "inertia",
                     "sizes min/median/max");
  for (int i = 0; i < run->row_count; i++) add_row(&run->rows[i], &screen);
  for (int i = 0; i < run->devices.skipped_count; i++)
    fh_screen_headline(&screen, FH_PLAIN, 0, "      NOT RUN: %s", run->devices.skipped[i]);
  fh_screen_blank(&screen);
  if (any_unfinished(run)) fh_screen_headline(&screen, FH_PLAIN, 0, "* stopped at the limit of iterations before it had converged");
  for (int i = 0; i < run->k_count; i++) add_agreement(run, run->ks[i], &screen);
  return fh_text_take(&screen.text);
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static json_t *row_json(const fh_run_row *row) {
  json_t *out = json_object();
  json_object_set_new(out, "k", json_integer(row->k));
  json_object_set_new(out, "device", fh_json_text(row->device));
  json_object_set_new(out, "not_run", *row->not_run ? fh_json_text(row->not_run) : json_null());
  if (*row->not_run) return out;
  json_object_set_new(out, "executed", fh_json_text(row->executed));
  json_object_set_new(out, "variant", fh_json_text(row->variant));
  json_object_set_new(out, "why", fh_json_text(row->why));
  json_object_set_new(out, "iterations", json_integer(row->iterations));
  json_object_set_new(out, "converged", json_boolean(row->converged));
  json_object_set_new(out, "ms_per_iteration", json_real(row->seconds * 1e3));
  json_object_set_new(out, "ms_per_iteration_median", json_real(row->seconds_median * 1e3));
  json_object_set_new(out, "inertia", json_real(row->inertia));
  json_object_set_new(out, "sizes", json_pack("{si si si}", "min", row->size_min, "median", row->size_median, "max", row->size_max));
  json_object_set_new(out, "empty_reseeded", json_integer(row->empty_reseeded));
  json_object_set_new(out, "launches_elsewhere", json_integer((json_int_t)row->elsewhere));
  if (row->decision) json_object_set(out, "decision", row->decision);
  return out;
}

char *fh_run_json(const fh_run *run) {
  json_t *rows = json_array(), *starts = json_array(), *skipped = json_array();
  for (int i = 0; i < run->row_count; i++) json_array_append_new(rows, row_json(&run->rows[i]));
  for (int i = 0; i < run->k_count; i++)
    json_array_append_new(starts,
                          json_pack("{si sf ss}", "k", run->ks[i], "seconds", run->seconds_start[i], "device", run->start_device[i]));
  for (int i = 0; i < run->devices.skipped_count; i++) json_array_append_new(skipped, fh_json_text(run->devices.skipped[i]));
  json_t *input = json_pack("{so so sI sI}", "name", fh_json_text(run->input), "format", fh_json_text(run->data.format), "rows",
                            (json_int_t)run->data.n, "columns", (json_int_t)run->data.d);
  return fh_json_print(json_pack("{ss so sI ss so so so}", "schema", "foghorn.kmeans/1", "input", input, "seed", (json_int_t)run->seed,
                                 "numerics", run->numerics == FH_EXACT ? "exact" : "bounded", "starts", starts, "runs", rows, "not_run",
                                 skipped));
}
