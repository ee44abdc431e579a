/* What a GPU check found, as one JSON file and a short table. SPDX-License-Identifier: Apache-2.0 */
#include "bench/gpu/report.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <foghorn/foghorn.h>

#include "bench/gpu/figures.h"

enum { LINE = 512, PATH = 4096, NAME = 128 };

/* ---- targets ----------------------------------------------------------------------------------------------------------- */

/* What "value" of a row with this target means, and what is wanted of the worst of them. */
typedef struct target {
  const char *id, *text;
  double wanted;
  bool at_most;
  const char *unit; /* "": a ratio */
} target;

static const target targets[] = {
    {"memory", "element-wise and row kernels, 64 MiB and more: of the measured copy", 0.90, false, ""},
    {"matmul_f32", "f32 matmul 1024 to 8192: speed of cuBLAS", 0.90, false, ""},
    {"matmul_bf16", "bf16 matmul 4096 and 8192: speed of cuBLAS", 0.80, false, ""},
    {"matmul_f16", "f16 matmul 4096: speed of cuBLAS", 0.80, false, ""},
    {"matmul_tf32", "tf32 matmul 4096: speed of cuBLAS", 0.80, false, ""},
    {"attention", "attention: speed of PyTorch's best", 0.80, false, ""},
    {"kmeans", "k-means iteration: speed of PyTorch's best formulation", 2.0, false, ""},
    {"topk", "top-k: speed of PyTorch's best formulation", 1.5, false, ""},
    {"launch", "planned launch: time of a raw cuLaunchKernel loop", 1.1, true, ""},
    {"launch_host", "planned launch: host time", 1e-6, true, " s"},
    {"copies", "host and device copies: speed of the pinned link", 0.90, false, ""},
    {"cold", "open and first kernel: time of the driver alone", 1.15, true, ""},
    {"evenness", "one element-wise kernel on CPU, OpenCL and CUDA: spread of the parts of each limit", 0.20, true, ""},
};

static bool same_case(const json_t *a, const json_t *b) {
  return json_equal(json_object_get(a, "kernel"), json_object_get(b, "kernel")) &&
         json_equal(json_object_get(a, "case"), json_object_get(b, "case")) &&
         json_equal(json_object_get(a, "target"), json_object_get(b, "target"));
}

/* The same case stands elsewhere too, with a number or further down: peers.py measures products again, beside more peers. */
static bool is_repeated(const json_t *rows, size_t index) {
  size_t i;
  json_t *other;
  const json_t *row = json_array_get(rows, index);
  json_array_foreach(rows, i, other) {
    if (i != index && same_case(other, row) && (json_object_get(other, "value") || i > index)) return true;
  }
  return false;
}

/* Why the row as a whole, or the peer that it is about, was not measured. */
static const char *reason_of(const json_t *row) {
  size_t i;
  json_t *result;
  const char *why = json_string_value(json_object_get(row, "not_run"));
  if (why) return why;
  json_array_foreach(json_object_get(row, "results"), i, result) {
    const char *kind = json_string_value(json_object_get(result, "kind"));
    if (kind && strcmp(kind, "peer") == 0 && (why = json_string_value(json_object_get(result, "not_run")))) return why;
  }
  return "no peer was measured beside it";
}

typedef struct tally {
  int measured, missing;
  double worst;
  const char *worst_case, *why;
} tally;

/* A number of cuBLAS alone and one of peers.py for the same case both count: the worse of the two. */
static tally tally_of(const target *t, const json_t *rows) {
  tally out = {0};
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row) {
    const char *id = json_string_value(json_object_get(row, "target"));
    const json_t *value = json_object_get(row, "value");
    if (!id || strcmp(id, t->id) != 0) continue;
    if (!value) {
      if (is_repeated(rows, i)) continue;
      out.missing++;
      out.why = reason_of(row);
      continue;
    }
    const double number = json_number_value(value);
    const bool worse = out.measured == 0 || (t->at_most ? number > out.worst : number < out.worst);
    out.measured++;
    if (!worse) continue;
    out.worst = number;
    out.worst_case = json_string_value(json_object_get(row, "case"));
  }
  return out;
}

static bool is_met(const target *t, double worst) { return t->at_most ? worst <= t->wanted : worst >= t->wanted; }

/* Missed as soon as one case misses it; met only where none is left to be measured; neither where the numbers are of the stand-in. */
static json_t *judge(const target *t, const json_t *rows, const char *no_rows, bool fake) {
  const tally found = tally_of(t, rows);
  json_t *out = json_pack("{ss ss sf sb si si}", "id", t->id, "text", t->text, "wanted", t->wanted, "at_most", t->at_most, "measured",
                          found.measured, "missing", found.missing);
  const bool missed = found.measured && !is_met(t, found.worst);
  if (found.measured) {
    json_object_set_new(out, "worst", json_real(found.worst));
    json_object_set_new(out, "worst_case", fh_json_text(found.worst_case));
  }
  json_object_set_new(out, "met",
                      fake                               ? json_null()
                      : missed                           ? json_false()
                      : found.measured && !found.missing ? json_true()
                                                         : json_null());
  if (found.missing || !found.measured) json_object_set_new(out, "not_run", fh_json_text(found.why ? found.why : no_rows));
  return out;
}

/* ---- what check.sh left --------------------------------------------------------------------------------------------------- */

static FILE *open_in(const char *folder, const char *name) {
  char path[PATH];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return fopen(path, "r");
}

static json_t *read_json(const char *folder, const char *name) {
  char path[PATH];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return json_load_file(path, 0, NULL);
}

static json_t *read_lines(const char *folder, const char *name, json_t *(*of)(char *line)) {
  char line[LINE];
  json_t *out = json_array();
  FILE *file = open_in(folder, name);
  while (file && fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    json_t *value = of(line);
    if (value) json_array_append_new(out, value);
  }
  if (file) fclose(file);
  return out;
}

static json_t *step_of(char *line) {
  char *rest = line;
  const char *name = strsep(&rest, "\t"), *result = strsep(&rest, "\t"), *seconds = strsep(&rest, "\t");
  if (!seconds) return NULL;
  return json_pack("{so ss sf so}", "name", fh_json_text(name), "result", result, "seconds", strtod(seconds, NULL), "note",
                   fh_json_text(rest ? rest : ""));
}

/* "NOT RUN: ..." is no device. */
static json_t *device_of(char *line) { return strncmp(line, "NOT RUN", 7) == 0 || !strchr(line, ',') ? NULL : fh_json_text(line); }

/* ---- names ------------------------------------------------------------------------------------------------------------------ */

static const char fake_mark[] = "FAKE: "; /* of gpu_conformance --list, before the name */

static bool says_fake(const json_t *devices, const json_t *bench, const json_t *peers) {
  size_t i;
  json_t *device;
  json_array_foreach(devices, i, device) {
    if (strstr(json_string_value(device), fake_mark)) return true;
  }
  return json_is_true(json_object_get(bench, "fake")) || json_is_true(json_object_get(peers, "fake"));
}

/* "cuda:0    NVIDIA H100 80GB HBM3, CUDA 13.0 ..." gives "nvidia-h100-80gb-hbm3". */
static void slug_of(const char *device, char out[static NAME]) {
  const char *name = strchr(device, ' ');
  name = name ? name + strspn(name, " ") : device;
  if (strncmp(name, fake_mark, sizeof fake_mark - 1) == 0) name += sizeof fake_mark - 1;
  size_t n = 0;
  for (; *name && *name != ',' && n + 1 < NAME; name++) {
    if (isalnum((unsigned char)*name))
      out[n++] = (char)tolower((unsigned char)*name);
    else if (n && out[n - 1] != '-')
      out[n++] = '-';
  }
  while (n && out[n - 1] == '-') n--;
  out[n] = 0;
}

/* ---- tables ------------------------------------------------------------------------------------------------------------------- */

static void number_text(char out[static 32], double value, const char *unit) { snprintf(out, 32, "%.3g%s", value, unit); }

static const char *verdict_of(const json_t *judged, bool fake) {
  const json_t *met = json_object_get(judged, "met");
  if (json_object_get(judged, "worst") && fake) return "FAKE";
  return json_is_true(met) ? "met" : json_is_false(met) ? "missed" : "NOT RUN";
}

static void target_line(FILE *to, const json_t *judged, const char *unit, bool markdown, bool fake) {
  char worst[32] = "-", wanted[32];
  const json_t *value = json_object_get(judged, "worst");
  const char *why = json_string_value(json_object_get(judged, "not_run")), *at = json_string_value(json_object_get(judged, "worst_case"));
  if (value) number_text(worst, json_number_value(value), unit);
  number_text(wanted, json_number_value(json_object_get(judged, "wanted")), unit);
  const char *verdict = verdict_of(judged, fake);
  const char *side = json_is_true(json_object_get(judged, "at_most")) ? "<=" : ">=";
  char count[32] = "";
  if (why) snprintf(count, sizeof count, "%d cases: ", (int)json_integer_value(json_object_get(judged, "missing")));
  fprintf(to, markdown ? "| %s | %s %s | %s | %s | %s%s%s%s%s |\n" : "%-62.62s %s %-6s %-9s %-8s %s%s%s%s%s\n",
          json_string_value(json_object_get(judged, "text")), side, wanted, worst, verdict, at ? "worst: " : "", at ? at : "",
          why ? (at ? "; not run: " : "not run: ") : "", why && json_integer_value(json_object_get(judged, "missing")) ? count : "",
          why ? why : "");
}

static void target_table(FILE *to, const json_t *judged, bool markdown, bool fake) {
  size_t i;
  json_t *each;
  if (markdown) fputs("| target | wanted | measured | | |\n|---|---|---|---|---|\n", to);
  json_array_foreach(judged, i, each) target_line(to, each, targets[i].unit, markdown, fake);
}

static void limit_lines(FILE *to, const json_t *limits) {
  size_t i;
  json_t *limit;
  fputs("\n| limit | median | p10 | p90 |\n|---|---|---|---|\n", to);
  json_array_foreach(limits, i, limit) {
    const char *name = json_string_value(json_object_get(limit, "name")), *unit = json_string_value(json_object_get(limit, "unit"));
    const char *why = json_string_value(json_object_get(limit, "not_run"));
    if (why)
      fprintf(to, "| %s | NOT RUN: %s | | |\n", name, why);
    else
      fprintf(to, "| %s | %.4g %s | %.4g | %.4g |\n", name, json_number_value(json_object_get(limit, "median")), unit,
              json_number_value(json_object_get(limit, "p10")), json_number_value(json_object_get(limit, "p90")));
  }
}

static void result_text(FILE *to, const json_t *result) {
  const char *name = json_string_value(json_object_get(result, "name")), *why = json_string_value(json_object_get(result, "not_run"));
  if (why)
    fprintf(to, "%s NOT RUN: %s; ", name, why);
  else
    fprintf(to, "%s %.4g s; ", name, json_number_value(json_object_get(result, "median_s")));
}

static void row_lines(FILE *to, const json_t *rows) {
  size_t i, j;
  json_t *row, *result;
  fputs("\n| kernel | case | medians |\n|---|---|---|\n", to);
  json_array_foreach(rows, i, row) {
    const char *why = json_string_value(json_object_get(row, "not_run"));
    fprintf(to, "| %s | %s | ", json_string_value(json_object_get(row, "kernel")), json_string_value(json_object_get(row, "case")));
    json_array_foreach(json_object_get(row, "results"), j, result) result_text(to, result);
    fprintf(to, "%s%s |\n", why ? "NOT RUN: " : "", why ? why : "");
  }
}

static bool write_markdown(const char *path, const json_t *document, const char *title, bool fake) {
  FILE *to = fopen(path, "w");
  if (!to) return false;
  fprintf(to, "# %s%s\n\nBy `tests/gpu/check.sh`, Foghorn %s, %s. The worst case of each target counts.\n\n",
          fake ? "FAKE, the stand-in driver: " : "", title, json_string_value(json_object_get(document, "version")),
          json_string_value(json_object_get(document, "date")));
  target_table(to, json_object_get(document, "targets"), true, fake);
  limit_lines(to, json_object_get(document, "limits"));
  row_lines(to, json_object_get(document, "rows"));
  return fclose(to) == 0;
}

/* ---- the file ------------------------------------------------------------------------------------------------------------------- */

static void append_all(json_t *document, const char *key, const json_t *from) {
  if (json_is_array(json_object_get(from, key))) json_array_extend(json_object_get(document, key), json_object_get(from, key));
}

static const char *note_of_bench(const json_t *steps) {
  size_t i;
  json_t *step;
  json_array_foreach(steps, i, step) {
    const char *name = json_string_value(json_object_get(step, "name"));
    if (name && strcmp(name, "bench") == 0) return json_string_value(json_object_get(step, "note"));
  }
  return "the benchmark was not run";
}

static json_t *document_of(const char *folder, const char *date, bool fake) {
  json_t *devices = read_lines(folder, "devices", device_of), *steps = read_lines(folder, "steps", step_of);
  json_t *bench = read_json(folder, "bench.json"), *peers = read_json(folder, "peers.json");
  const bool is_fake = fake || says_fake(devices, bench, peers);
  json_t *out = json_pack("{ss sb ss ss s[] s[] s[]}", "schema", "foghorn.gpu/1", "fake", is_fake, "version", fh_version(), "date", date,
                          "limits", "rows", "targets");
  append_all(out, "limits", bench);
  append_all(out, "rows", bench);
  append_all(out, "rows", peers);
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
    json_array_append_new(json_object_get(out, "targets"), judge(&targets[i], json_object_get(out, "rows"), note_of_bench(steps), is_fake));
  json_object_set(out, "libraries", json_object_get(peers, "libraries") ? json_object_get(peers, "libraries") : json_object());
  json_object_set_new(out, "devices", devices);
  json_object_set_new(out, "steps", steps);
  json_decref(bench);
  json_decref(peers);
  return out;
}

int report_write(const char *folder, const char *dir, bool fake) {
  char date[32], slug[NAME], stem[PATH], path[PATH + 8];
  const time_t now = time(NULL);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
  json_t *document = document_of(folder, date, fake);
  const char *device = json_string_value(json_array_get(json_object_get(document, "devices"), 0));
  if (!device) {
    printf("no device, so no result is written\n");
    json_decref(document);
    return EXIT_SUCCESS;
  }
  const bool is_fake = json_is_true(json_object_get(document, "fake"));
  slug_of(device, slug);
  (void)mkdir(dir, 0777); /* a folder that cannot be made is told by the file that cannot be written */
  snprintf(stem, sizeof stem, "%s/%s%s-%.10s", dir, is_fake ? "FAKE-" : "", slug, date);
  snprintf(path, sizeof path, "%s.json", stem);
  bool good = figures_write(document, path);
  target_table(stdout, json_object_get(document, "targets"), false, is_fake);
  printf("%s%s\n", is_fake ? "FAKE, no GPU was measured: " : "", path);
  snprintf(path, sizeof path, "%s.md", stem);
  good = write_markdown(path, document, device, is_fake) && good;
  json_decref(document);
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
