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

static double time_calls(const measure_contender *c, long calls) {
  if (c->sample) return c->sample(c->arg);
  double start = fh_now_seconds();
  for (long i = 0; i < calls; i++) c->run(c->arg);
  return fh_now_seconds() - start;
}

/* Calls that last about `seconds`; the first call only warms up. */
static long calibrate(const measure_contender *c, double seconds) {
  long calls = 1;
  time_calls(c, calls);
  if (c->sample) return calls;
  double took = time_calls(c, calls);
  while (took < seconds / 4 && calls < 1L << 24) {
    calls *= 4;
    took = time_calls(c, calls);
  }
  long wanted = (long)(seconds / (took / (double)calls) + 0.5);
  return wanted < 1 ? 1 : wanted;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double quantile(const double *sorted, int count, double q) {
  double place = q * (count - 1);
  int below = (int)place;
  int above = below + 1 < count ? below + 1 : below;
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

void measure_rounds(measure_contender *contenders, int count, int rounds, double sample_seconds) {
  double *samples = calloc((size_t)count * (size_t)rounds, sizeof *samples);
  long *calls = calloc((size_t)count, sizeof *calls);
  if (!samples || !calls) {
    fprintf(stderr, "bench: no memory for %d samples\n", count * rounds);
    exit(EXIT_FAILURE);
  }
  for (int i = 0; i < count; i++) calls[i] = calibrate(&contenders[i], sample_seconds);
  for (int r = 0; r < rounds; r++) {
    for (int j = 0; j < count; j++) {
      int i = (r + j) % count; /* nobody always follows the same one */
      samples[i * rounds + r] = time_calls(&contenders[i], calls[i]) / (double)calls[i];
    }
  }
  for (int i = 0; i < count; i++) {
    double *own = samples + (size_t)i * (size_t)rounds;
    qsort(own, (size_t)rounds, sizeof *own, ascending);
    contenders[i].median = quantile(own, rounds, 0.5);
    contenders[i].p10 = quantile(own, rounds, 0.1);
    contenders[i].p90 = quantile(own, rounds, 0.9);
  }
  free(samples);
  free(calls);
}

/* ---- the roof ------------------------------------------------------------------------------------ */

#if defined(__x86_64__)
#include <immintrin.h>

/* Ten chains hide the latency of four cycles on two pipes. */
#define FMA_LOOP(type, fma, set1, in_register)                                                                  \
  type s0 = set1(0.1f), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0, s8 = s0, s9 = s0;        \
  const type a = set1(0.999f), b = set1(0.001f);                                                                \
  for (long i = 0; i < steps; i++) {                                                                            \
    s0 = fma(s0, a, b), s1 = fma(s1, a, b), s2 = fma(s2, a, b), s3 = fma(s3, a, b), s4 = fma(s4, a, b);         \
    s5 = fma(s5, a, b), s6 = fma(s6, a, b), s7 = fma(s7, a, b), s8 = fma(s8, a, b), s9 = fma(s9, a, b);         \
    __asm__ volatile("" : in_register(s0), in_register(s1), in_register(s2), in_register(s3), in_register(s4)); \
    __asm__ volatile("" : in_register(s5), in_register(s6), in_register(s7), in_register(s8), in_register(s9)); \
  }

static __attribute__((target("avx2,fma"))) void fma_avx2(long steps) { FMA_LOOP(__m256, _mm256_fmadd_ps, _mm256_set1_ps, "+x") }
static __attribute__((target("avx512f"))) void fma_avx512(long steps) { FMA_LOOP(__m512, _mm512_fmadd_ps, _mm512_set1_ps, "+v") }

static double best_rate(void (*loop)(long), double flops_per_step) {
  enum { STEPS = 2000000 };
  double best = 0;
  loop(STEPS);
  for (int i = 0; i < 5; i++) {
    double start = fh_now_seconds();
    loop(STEPS);
    double rate = flops_per_step * STEPS / (fh_now_seconds() - start);
    if (rate > best) best = rate;
  }
  return best;
}

double measure_peak_flops(void) {
  __builtin_cpu_init();
  double narrow = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? best_rate(fma_avx2, 2.0 * 10 * 8) : 0;
  double wide = __builtin_cpu_supports("avx512f") ? best_rate(fma_avx512, 2.0 * 10 * 16) : 0;
  return wide > narrow ? wide : narrow;
}
#else
double measure_peak_flops(void) { return 0; }
#endif

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
