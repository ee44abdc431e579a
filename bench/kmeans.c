/* Lloyd iterations of k-means through the public API, on command: the Foghorn side of bench/peers.py.
 * SPDX-License-Identifier: Apache-2.0
 *
 * bench_kmeans X START N D K THREADS [ISA]   X and START are files of f32, N x D and K x D, row-major
 * Then one command per line on stdin, one answer per line on stdout:
 *   iterate M    seconds per iteration (assign, update, divide) of M iterations, each from START
 *   assign M     seconds per assignment
 *   save FILE    the centroids after one iteration from START, as f32
 *   load X START the rows and the start of other files of the same shape, into the same memory
 *   device       what ran: the report of the context
 * The peer takes its turns in between, so that both see the same moods of the machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <foghorn/foghorn.h>

#include "bench/measure.h"
#include "runtime/base/host_memory.h"

typedef struct job {
  int n, d, k;
  float *x_data, *start;
  fh_context *context;
  fh_view x, centroids, labels, distances, sums, counts;
} job;

static void stop_on(fh_status status, const char *what) {
  if (!status) return;
  fprintf(stderr, "bench_kmeans: %s: %s\n", what, fh_status_message(status));
  fh_status_free(status);
  exit(EXIT_FAILURE);
}

static bool read_into(float *out, const char *path, size_t count) {
  FILE *file = fopen(path, "rbe");
  bool whole = file && fread(out, sizeof *out, count, file) == count;
  if (file) fclose(file);
  if (!whole) fprintf(stderr, "bench_kmeans: cannot read %zu floats from %s\n", count, path);
  return whole;
}

static float *read_floats(const char *path, size_t count) {
  float *out = fh_host_alloc(count * sizeof *out);
  if (!out || !read_into(out, path, count)) exit(EXIT_FAILURE);
  return out;
}

static void wrap_rows(job *j) {
  stop_on(fh_view_wrap(j->context, j->x_data, FH_F32, FH_SHAPE(j->n, j->d), FH_ROW_MAJOR, FH_READ, &j->x), "x");
}

static void open_job(job *j, int threads, const char *isa) {
  fh_context_options options = {.policy = FH_CPU_ONLY, .threads = threads, .isa = isa};
  stop_on(fh_context_create(&options, &j->context), "fh_context_create");
  wrap_rows(j);
  stop_on(fh_view_create(j->context, FH_F32, FH_SHAPE(j->k, j->d), FH_ROW_MAJOR, &j->centroids), "centroids");
  stop_on(fh_view_create(j->context, FH_I32, FH_SHAPE(j->n), FH_ROW_MAJOR, &j->labels), "labels");
  stop_on(fh_view_create(j->context, FH_F32, FH_SHAPE(j->n), FH_ROW_MAJOR, &j->distances), "distances");
  stop_on(fh_view_create(j->context, FH_F32, FH_SHAPE(j->k, j->d), FH_ROW_MAJOR, &j->sums), "sums");
  stop_on(fh_view_create(j->context, FH_I32, FH_SHAPE(j->k), FH_ROW_MAJOR, &j->counts), "counts");
}

static void *host(const fh_view *view, fh_access access) {
  void *data = NULL;
  stop_on(fh_view_map(view, access, &data), "fh_view_map");
  return data;
}

static void set_start(job *j) { memcpy(host(&j->centroids, FH_WRITE), j->start, sizeof(float) * (size_t)j->k * (size_t)j->d); }

static void assign(job *j) {
  stop_on(fh_kmeans_assign(fh_context_queue(j->context), &j->x, &j->centroids, &j->labels, &j->distances, NULL), "fh_kmeans_assign");
}

static void iterate(job *j) {
  set_start(j);
  stop_on(fh_kmeans_step(fh_context_queue(j->context), &j->x, &j->centroids, &j->labels, &j->distances, &j->sums, &j->counts, NULL),
          "fh_kmeans_step");
  const float *sums = host(&j->sums, FH_READ);
  const int32_t *counts = host(&j->counts, FH_READ);
  float *centroids = host(&j->centroids, FH_WRITE);
  for (int c = 0; c < j->k; c++) {
    float share = counts[c] ? 1.0f / (float)counts[c] : 0.0f;
    for (int i = 0; i < j->d; i++) centroids[(size_t)c * (size_t)j->d + (size_t)i] = sums[(size_t)c * (size_t)j->d + (size_t)i] * share;
  }
}

static void finish(job *j) { stop_on(fh_queue_finish(fh_context_queue(j->context)), "fh_queue_finish"); }

static double time_of(job *j, void (*body)(job *), int times) {
  double start = fh_now_seconds();
  for (int i = 0; i < times; i++) body(j);
  finish(j);
  return (fh_now_seconds() - start) / times;
}

static void save(job *j, const char *path) {
  iterate(j);
  finish(j);
  size_t count = (size_t)j->k * (size_t)j->d;
  FILE *file = fopen(path, "wbe");
  bool good = file && fwrite(host(&j->centroids, FH_READ), sizeof(float), count, file) == count;
  if (file && fclose(file) != 0) good = false;
  puts(good ? "saved" : "failed");
}

/* Where the rows lie in memory decides what of them the caches keep, so kinds of data are compared in the same memory. The view is
 * taken back meanwhile: what is wrapped for reading must not change. */
static bool load(job *j, char *paths) {
  char *start = strchr(paths, ' ');
  if (!start) return false;
  *start++ = '\0';
  finish(j);
  fh_view_release(&j->x);
  bool good = read_into(j->x_data, paths, (size_t)j->n * (size_t)j->d) && read_into(j->start, start, (size_t)j->k * (size_t)j->d);
  wrap_rows(j);
  return good;
}

static void answer(job *j, char *line) {
  line[strcspn(line, "\n")] = '\0';
  char *text = NULL;
  int times;
  if (strncmp(line, "iterate ", 8) == 0 && measure_int(line + 8, 1, &times)) {
    printf("%.9g\n", time_of(j, iterate, times));
  } else if (strncmp(line, "assign ", 7) == 0 && measure_int(line + 7, 1, &times)) {
    set_start(j);
    printf("%.9g\n", time_of(j, assign, times));
  } else if (strncmp(line, "save ", 5) == 0) {
    save(j, line + 5);
  } else if (strncmp(line, "load ", 5) == 0) {
    puts(load(j, line + 5) ? "loaded" : "failed");
  } else if (strcmp(line, "device") == 0) {
    stop_on(fh_report(j->context, true, &text), "fh_report");
    for (char *c = text; *c; c++) *c = *c == '\n' ? ' ' : *c;
    puts(text);
    free(text);
  } else {
    puts("unknown command");
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc < 7 || argc > 8) {
    fprintf(stderr, "usage: bench_kmeans X START N D K THREADS [ISA]; see the head of bench/kmeans.c\n");
    return 2;
  }
  job j = {0};
  int threads;
  if (!measure_int(argv[3], 1, &j.n) || !measure_int(argv[4], 1, &j.d) || !measure_int(argv[5], 1, &j.k) ||
      !measure_int(argv[6], 0, &threads)) {
    fprintf(stderr, "bench_kmeans: expected N, D and K of at least 1 and THREADS of at least 0, found %s %s %s %s\n", argv[3], argv[4],
            argv[5], argv[6]);
    return 2;
  }
  j.x_data = read_floats(argv[1], (size_t)j.n * (size_t)j.d);
  j.start = read_floats(argv[2], (size_t)j.k * (size_t)j.d);
  open_job(&j, threads, argc == 8 ? argv[7] : NULL);
  char line[4096];
  while (fgets(line, sizeof line, stdin)) answer(&j, line);
  fh_view *const views[] = {&j.x, &j.centroids, &j.labels, &j.distances, &j.sums, &j.counts};
  for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) fh_view_release(views[i]);
  fh_context_release(j.context);
  free(j.x_data);
  free(j.start);
  return 0;
}
