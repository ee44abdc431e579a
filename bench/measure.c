/* Timing side by side. SPDX-License-Identifier: Apache-2.0 */
#include "bench/measure.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/engine/limits.h"
#include "bench/engine/rounds.h"

/* A contender of ours as one of the engine's. */
static double sample_of(void *arg, long calls) {
  const measure_contender *c = arg;
  double seconds = 0;
  if (!c->sample) {
    const double start = fh_now_seconds();
    for (long i = 0; i < calls; i++) c->run(c->arg);
    return fh_now_seconds() - start;
  }
  for (long i = 0; i < calls; i++) seconds += c->sample(c->arg);
  return seconds;
}

void measure_rounds(measure_contender *contenders, int count, int rounds, double sample_seconds) {
  fh_contender *all = calloc((size_t)count, sizeof *all);
  const fh_rounds_options options = {.rounds = rounds, .least_rounds = rounds, .sample_seconds = sample_seconds};
  for (int i = 0; all && i < count; i++) all[i] = (fh_contender){.name = contenders[i].name, .sample = sample_of, .arg = &contenders[i]};
  if (!all || !fh_rounds_run(all, count, &options)) {
    fprintf(stderr, "bench: no memory for %d samples\n", count * rounds);
    exit(EXIT_FAILURE);
  }
  for (int i = 0; i < count; i++) {
    contenders[i].median = all[i].median;
    contenders[i].p10 = all[i].p10;
    contenders[i].p90 = all[i].p90;
    free(all[i].samples);
  }
  free(all);
}

double measure_peak_flops(void) {
  fh_pool *alone;
  fh_status status = fh_pool_shared(1, &alone);
  if (status) {
    fh_status_free(status);
    return 0;
  }
  fh_compute_probe probe = {alone, FH_PEAK_F32, 1e9};
  double fastest = 0;
  for (int i = 0; i < 7; i++) {
    const double seconds = fh_compute_probe_sample(&probe, 1);
    if (seconds > 0 && (fastest == 0 || seconds < fastest)) fastest = seconds;
  }
  fh_pool_unshare(alone);
  return fastest > 0 ? probe.flops / fastest : 0;
}

/* ---- results ------------------------------------------------------------------------------------- */

json_t *measure_json(const measure_contender *c) {
  return json_pack("{s:s, s:f, s:f, s:f}", "name", c->name, "median_s", c->median, "p10_s", c->p10, "p90_s", c->p90);
}

static void cpu_name(char *out, size_t size) {
  snprintf(out, size, "unknown");
  FILE *file = fopen("/proc/cpuinfo", "re");
  char line[256];
  while (file && fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) == 0 && colon) {
      snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
      break;
    }
  }
  if (file) fclose(file);
}

json_t *measure_document(const char *bench) {
  char cpu[128];
  cpu_name(cpu, sizeof cpu);
  cpu_set_t set;
  int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return json_pack("{s:s, s:s, s:s, s:s, s:i, s:[]}", "schema", "foghorn.bench/1", "bench", bench, "version", FH_VERSION, "cpu", cpu,
                   "cpus", cpus, "rows");
}

bool measure_save(json_t *document, const char *path) {
  bool saved = !path || json_dump_file(document, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0;
  if (!saved) fprintf(stderr, "bench: cannot write %s\n", path);
  json_decref(document);
  return saved;
}

/* ---- arguments ----------------------------------------------------------------------------------- */

bool measure_read_int(const char **at, int least, int *out) {
  if (!isdigit((unsigned char)**at)) return false;
  char *end;
  errno = 0;
  long value = strtol(*at, &end, 10);
  if (errno || value < least || value > INT_MAX) return false;
  *at = end;
  *out = (int)value;
  return true;
}

bool measure_int(const char *text, int least, int *out) {
  int value;
  if (!measure_read_int(&text, least, &value) || *text) return false;
  *out = value;
  return true;
}

/* ---- progress ------------------------------------------------------------------------------------ */

void measure_progress(const char *format, ...) {
  if (!isatty(STDERR_FILENO)) return;
  fputs("\r\033[K", stderr);
  if (!format) return;
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fflush(stderr);
}
