/* What this machine can do at most, measured. SPDX-License-Identifier: Apache-2.0 */
#include "bench/engine/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/host_memory.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

static const char *const peak_names[FH_PEAK_COUNT] = {"f32", "f64", "bf16", "i8"};

const char *fh_peak_name(fh_peak peak) { return peak_names[peak]; }

/* ---- arithmetic ---------------------------------------------------------------------------------------------- */

typedef void arithmetic_fn(long steps);

/* Twelve chains hide a latency of four to six cycles on two pipes. The empty statements keep every step and every chain alive. */
#define CHAINS(step, in_register)                                                                                                \
  for (long i = 0; i < steps; i++) {                                                                                             \
    s0 = step(s0), s1 = step(s1), s2 = step(s2), s3 = step(s3), s4 = step(s4), s5 = step(s5);                                    \
    s6 = step(s6), s7 = step(s7), s8 = step(s8), s9 = step(s9), sa = step(sa), sb = step(sb);                                    \
    __asm__ volatile("" : in_register(s0), in_register(s1), in_register(s2), in_register(s3), in_register(s4), in_register(s5)); \
    __asm__ volatile("" : in_register(s6), in_register(s7), in_register(s8), in_register(s9), in_register(sa), in_register(sb)); \
  }
enum { CHAIN_COUNT = 12 };

/* Defines a loop over chains of one instruction: s = instruction(s, a, b). */
#define ARITHMETIC(name, features, type, zero, a_value, b_value, instruction, in_register)                             \
  static __attribute__((target(features))) void name(long steps) {                                                     \
    type s0 = zero, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0, s8 = s0, s9 = s0, sa = s0, sb = s0; \
    type a = a_value, b = b_value;                                                                                     \
    __asm__ volatile("" : in_register(a), in_register(b));                                                             \
    CHAINS(instruction, in_register)                                                                                   \
  }

#if defined(__x86_64__)
#define FMA_PS256(s) _mm256_fmadd_ps(s, a, b)
#define FMA_PS512(s) _mm512_fmadd_ps(s, a, b)
#define FMA_PD256(s) _mm256_fmadd_pd(s, a, b)
#define FMA_PD512(s) _mm512_fmadd_pd(s, a, b)
#define DOT_I8(s) _mm512_dpbusd_epi32(s, a, b)
#define DOT_I8_256(s) _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_maddubs_epi16(s, b), a)) /* of s: else it leaves the loop */
#define DOT_BF16(s) _mm512_dpbf16_ps(s, (__m512bh)a, (__m512bh)b)
ARITHMETIC(f32_avx2, "avx2,fma", __m256, _mm256_set1_ps(0.1f), _mm256_set1_ps(0.999f), _mm256_set1_ps(0.001f), FMA_PS256, "+x")
ARITHMETIC(f32_avx512, "avx512f", __m512, _mm512_set1_ps(0.1f), _mm512_set1_ps(0.999f), _mm512_set1_ps(0.001f), FMA_PS512, "+v")
ARITHMETIC(f64_avx2, "avx2,fma", __m256d, _mm256_set1_pd(0.1), _mm256_set1_pd(0.999), _mm256_set1_pd(0.001), FMA_PD256, "+x")
ARITHMETIC(f64_avx512, "avx512f", __m512d, _mm512_set1_pd(0.1), _mm512_set1_pd(0.999), _mm512_set1_pd(0.001), FMA_PD512, "+v")
ARITHMETIC(i8_avx2, "avx2", __m256i, _mm256_set1_epi8(1), _mm256_set1_epi8(3), _mm256_set1_epi8(5), DOT_I8_256, "+x")
ARITHMETIC(i8_vnni, "avx512f,avx512vnni", __m512i, _mm512_set1_epi8(1), _mm512_set1_epi8(3), _mm512_set1_epi8(5), DOT_I8, "+v")
ARITHMETIC(bf16_avx512, "avx512f,avx512bf16", __m512, _mm512_set1_ps(0.1f), _mm512_set1_ps(0.999f), _mm512_set1_ps(0.001f), DOT_BF16, "+v")
#elif defined(__aarch64__)
#define FMA_NEON(s) vfmaq_f32(s, a, b)
#define FMA_NEON64(s) vfmaq_f64(s, a, b)
ARITHMETIC(f32_neon, "+simd", float32x4_t, vdupq_n_f32(0.1f), vdupq_n_f32(0.999f), vdupq_n_f32(0.001f), FMA_NEON, "+w")
ARITHMETIC(f64_neon, "+simd", float64x2_t, vdupq_n_f64(0.1), vdupq_n_f64(0.999), vdupq_n_f64(0.001), FMA_NEON64, "+w")
#endif

typedef struct arithmetic {
  fh_peak peak;
  arithmetic_fn *loop;
  int flops; /* of one instruction */
  bool runs;
} arithmetic;

enum { MOST_LOOPS = 8 };

/* The loops that this CPU can run; returns how many. */
static int arithmetic_loops(arithmetic out[MOST_LOOPS]) {
  int count = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), avx512 = __builtin_cpu_supports("x86-64-v4");
  const arithmetic all[] = {
      {FH_PEAK_F32, f32_avx2, 16, avx2},
      {FH_PEAK_F32, f32_avx512, 32, avx512},
      {FH_PEAK_F64, f64_avx2, 8, avx2},
      {FH_PEAK_F64, f64_avx512, 16, avx512},
      {FH_PEAK_I8, i8_avx2, 64, avx2},
      {FH_PEAK_I8, i8_vnni, 128, avx512 && __builtin_cpu_supports("avx512vnni")},
      {FH_PEAK_BF16, f32_avx2, 16, avx2}, /* widened to f32 where there is no instruction for it */
      {FH_PEAK_BF16, bf16_avx512, 64, avx512 && __builtin_cpu_supports("avx512bf16")},
  };
#elif defined(__aarch64__)
  const arithmetic all[] = {{FH_PEAK_F32, f32_neon, 8, true}, {FH_PEAK_F64, f64_neon, 4, true}, {FH_PEAK_BF16, f32_neon, 8, true}};
#else
  const arithmetic all[] = {{0}};
#endif
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    if (all[i].runs) out[count++] = all[i];
  return count;
}

fh_peak fh_peak_of(const fh_dtype *inputs, int count) {
  int f64 = 0, bf16 = 0, bytes = 0;
  for (int i = 0; i < count && i < 2; i++) {
    f64 += inputs[i] == FH_F64;
    bf16 += inputs[i] == FH_BF16;
    bytes += inputs[i] == FH_I8 || inputs[i] == FH_U8;
  }
  if (f64) return FH_PEAK_F64;
  return bf16 && bf16 == (count < 2 ? count : 2) ? FH_PEAK_BF16 : bytes == 2 ? FH_PEAK_I8 : FH_PEAK_F32;
}

/* Per peak the fastest loop and its operations per second on one thread; found once. */
static struct {
  arithmetic_fn *loop;
  double rate;
  int flops;
} best[FH_PEAK_COUNT];
static bool best_known;

static double loop_rate(const arithmetic *a, long steps) {
  double fastest = 0;
  for (int i = 0; i < 5; i++) {
    double start = fh_now_seconds();
    a->loop(steps);
    double rate = (double)steps * CHAIN_COUNT * a->flops / (fh_now_seconds() - start);
    if (rate > fastest) fastest = rate;
  }
  return fastest;
}

static void find_best(void) {
  if (best_known) return;
  arithmetic loops[MOST_LOOPS];
  int count = arithmetic_loops(loops);
  for (int i = 0; i < count; i++) {
    double rate = loop_rate(&loops[i], 1000000);
    if (rate <= best[loops[i].peak].rate) continue;
    best[loops[i].peak].loop = loops[i].loop;
    best[loops[i].peak].rate = rate;
    best[loops[i].peak].flops = loops[i].flops;
  }
  best_known = true;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

typedef void read_fn(const char *from, size_t bytes);
typedef void write_fn(char *to, const char *from, size_t bytes);

/* Loops over blocks of four vectors for one width; parts are multiples of PART_UNIT bytes, so nothing is left over. */
#define MEMORY_LOOPS(suffix, features, width)                                                               \
  typedef uint64_t vector_##suffix __attribute__((vector_size(width), aligned(1), may_alias));              \
  static __attribute__((target(features))) void read_##suffix(const char *from, size_t bytes) {             \
    vector_##suffix s0 = {0}, s1 = s0, s2 = s0, s3 = s0;                                                    \
    for (size_t i = 0; i < bytes; i += 4 * (width)) {                                                       \
      const vector_##suffix *v = (const vector_##suffix *)(const void *)(from + i);                         \
      s0 ^= v[0], s1 ^= v[1], s2 ^= v[2], s3 ^= v[3];                                                       \
    }                                                                                                       \
    s0 ^= s1 ^ s2 ^ s3;                                                                                     \
    __asm__ volatile("" : : "m"(s0));                                                                       \
  }                                                                                                         \
  static __attribute__((target(features))) void copy_##suffix(char *to, const char *from, size_t bytes) {   \
    for (size_t i = 0; i < bytes; i += 4 * (width)) {                                                       \
      const vector_##suffix *v = (const vector_##suffix *)(const void *)(from + i);                         \
      vector_##suffix *w = (vector_##suffix *)(void *)(to + i), v0 = v[0], v1 = v[1], v2 = v[2], v3 = v[3]; \
      w[0] = v0, w[1] = v1, w[2] = v2, w[3] = v3;                                                           \
      __asm__ volatile("" : : : "memory"); /* or the compiler calls memcpy */                               \
    }                                                                                                       \
  }                                                                                                         \
  static __attribute__((target(features))) void fill_##suffix(char *to, const char *from, size_t bytes) {   \
    const vector_##suffix value = *(const vector_##suffix *)(const void *)from;                             \
    for (size_t i = 0; i < bytes; i += 4 * (width)) {                                                       \
      vector_##suffix *w = (vector_##suffix *)(void *)(to + i);                                             \
      w[0] = value, w[1] = value, w[2] = value, w[3] = value;                                               \
      __asm__ volatile("" : : : "memory");                                                                  \
    }                                                                                                       \
  }

#if defined(__x86_64__)
MEMORY_LOOPS(base, "sse2", 16)
MEMORY_LOOPS(avx2, "avx2", 32)
MEMORY_LOOPS(avx512, "avx512f", 64)

static void stream_copy(char *to, const char *from, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) {
    const __m128i *v = (const __m128i *)(const void *)(from + i);
    __m128i *w = (__m128i *)(void *)(to + i), v0 = v[0], v1 = v[1], v2 = v[2], v3 = v[3];
    _mm_stream_si128(w, v0);
    _mm_stream_si128(w + 1, v1);
    _mm_stream_si128(w + 2, v2);
    _mm_stream_si128(w + 3, v3);
  }
  _mm_sfence();
}

static void stream_fill(char *to, const char *from, size_t bytes) {
  const __m128i value = *(const __m128i *)(const void *)from;
  for (size_t i = 0; i < bytes; i += 16) _mm_stream_si128((__m128i *)(void *)(to + i), value);
  _mm_sfence();
}

bool fh_limits_can_stream(void) { return true; }
#else
MEMORY_LOOPS(base, "+simd", 16)
static write_fn *const stream_copy = copy_base, *const stream_fill = fill_base;

bool fh_limits_can_stream(void) { return false; }
#endif

enum { PART_UNIT = 256 };

typedef struct memory_loops {
  read_fn *read;
  write_fn *copy, *fill;
} memory_loops;

static const memory_loops *widest_loops(void) {
  static const memory_loops base = {read_base, copy_base, fill_base};
#if defined(__x86_64__)
  static const memory_loops avx2 = {read_avx2, copy_avx2, fill_avx2}, avx512 = {read_avx512, copy_avx512, fill_avx512};
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return &avx512;
  if (__builtin_cpu_supports("avx2")) return &avx2;
#endif
  return &base;
}

/* ---- probes -------------------------------------------------------------------------------------------------------- */

typedef struct compute_job {
  arithmetic_fn *loop;
  long steps;
} compute_job;

static void compute_body(void *arg, int64_t first, int64_t last, int worker) {
  const compute_job *job = arg;
  (void)worker;
  for (int64_t i = first; i < last; i++) job->loop(job->steps);
}

double fh_compute_probe_sample(void *probe, long calls) {
  enum { LEAST_STEPS = 20000 }; /* long against the clock and the start of a job */
  const fh_compute_probe *p = probe;
  find_best();
  if (!best[p->peak].loop || p->flops <= 0) return 0;
  const int threads = fh_pool_size(p->pool);
  const double wanted = p->flops * (double)calls / (threads * (double)CHAIN_COUNT * best[p->peak].flops);
  /* The rate does not depend on the amount: a fixed, short piece of it tells as much as all of it. */
  compute_job job = {best[p->peak].loop, LEAST_STEPS * 10};
  if (wanted < LEAST_STEPS * 10) job.steps = LEAST_STEPS;
  double start = fh_now_seconds();
  fh_pool_run(p->pool, threads, 1, compute_body, &job);
  return (fh_now_seconds() - start) * wanted / (double)job.steps;
}

typedef struct traffic_job {
  const fh_traffic_probe *probe;
  int parts;
  long calls;
} traffic_job;

/* Where part `i` of `parts` begins; the last one ends at `bytes`, all are multiples of PART_UNIT. */
static size_t part_begin(size_t bytes, int i, int parts) { return bytes / PART_UNIT * (size_t)i / (size_t)parts * PART_UNIT; }

static void traffic_body(void *arg, int64_t first, int64_t last, int worker) {
  const traffic_job *job = arg;
  const fh_traffic_probe *p = job->probe;
  const memory_loops *loops = widest_loops();
  write_fn *copy = p->stream ? stream_copy : loops->copy, *fill = p->stream ? stream_fill : loops->fill;
  const size_t both = p->read < p->write ? p->read : p->write;
  (void)worker;
  for (int64_t i = first; i < last; i++) {
    size_t at = part_begin(both, (int)i, job->parts), bytes = part_begin(both, (int)i + 1, job->parts) - at;
    size_t more = p->read > p->write ? p->read - both : p->write - both;
    size_t rest = both + part_begin(more, (int)i, job->parts), rest_bytes = both + part_begin(more, (int)i + 1, job->parts) - rest;
    for (long c = 0; c < job->calls; c++) {
      if (bytes) copy(p->to + at, p->from + at, bytes);
      if (rest_bytes && p->read > p->write) loops->read(p->from + rest, rest_bytes);
      if (rest_bytes && p->write > p->read) fill(p->to + rest, p->from, rest_bytes);
    }
  }
}

double fh_traffic_probe_sample(void *probe, long calls) {
  fh_traffic_probe *p = probe;
  traffic_job job = {p, fh_pool_size(p->pool), calls};
  double start = fh_now_seconds();
  fh_pool_run(p->pool, job.parts, 1, traffic_body, &job);
  return fh_now_seconds() - start;
}

/* ---- the machine ------------------------------------------------------------------------------------------------------ */

/* Bytes of the CPU's cache of this level that holds data, as the kernel says: the C library's answer may be that of a whole machine of
 * which this is a slice. */
static size_t cache_bytes(int level, size_t otherwise) {
  for (int i = 0; i < 8; i++) {
    enum { LEVEL, TYPE, SIZE, FILES };
    static const char *const names[FILES] = {"level", "type", "size"};
    char path[96], text[FILES][24] = {"", "", ""};
    for (int n = 0; n < FILES; n++) {
      snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", i, names[n]);
      FILE *file = fopen(path, "re");
      if (!file) return otherwise;
      const bool read = fgets(text[n], sizeof text[n], file) != NULL;
      fclose(file);
      if (!read) return otherwise;
    }
    char *unit;
    const unsigned long size = strtoul(text[SIZE], &unit, 10);
    if (strtol(text[LEVEL], NULL, 10) == level && strncmp(text[TYPE], "Instruction", 11) != 0 && size > 0 && size < 1UL << 30)
      return *unit == 'M' ? size << 20 : *unit == 'K' ? size << 10 : size;
  }
  return otherwise;
}

static void levels_of(fh_level out[FH_LEVEL_COUNT]) {
  static const char *const names[FH_LEVEL_COUNT] = {"L1", "L2", "L3", "DRAM"};
  const size_t capacity[FH_LEVEL_COUNT] = {cache_bytes(1, (size_t)32 << 10), cache_bytes(2, (size_t)512 << 10),
                                           cache_bytes(3, (size_t)16 << 20), 0};
  for (int i = 0; i < FH_LEVEL_COUNT; i++) out[i] = (fh_level){.name = names[i], .capacity = capacity[i]};
}

/* The fastest of a few samples, as bytes per second: the limit is what can be reached, not what is usual. */
static double best_bandwidth(fh_traffic_probe probe) {
  const double bytes = (double)(probe.read + probe.write);
  long calls = (long)(2e8 / bytes) + 1;
  double fastest = fh_traffic_probe_sample(&probe, 1);
  for (int i = 0; i < 7; i++) {
    double seconds = fh_traffic_probe_sample(&probe, calls) / (double)calls;
    if (i == 0 || seconds < fastest) fastest = seconds;
  }
  return bytes / fastest;
}

static size_t rounded(size_t bytes) { return (bytes + PART_UNIT - 1) / PART_UNIT * PART_UNIT; }

/* Bytes of one operand such that two of them fit the level well; in DRAM such that no cache holds a part of them worth counting. */
static size_t operand_of(const fh_level *levels, int i, int threads) {
  const size_t least = (size_t)64 << 20, most = (size_t)256 << 20, thrice = 3 * levels[FH_LEVEL_COUNT - 2].capacity;
  if (i == FH_LEVEL_COUNT - 1) return rounded(thrice < least ? least : thrice > most ? most : thrice);
  if (i == FH_LEVEL_COUNT - 2) return rounded(levels[i].capacity / 8);
  return rounded(levels[i].capacity / 4 * (size_t)threads);
}

fh_status fh_limits_measure(fh_pool *pool, fh_limits *out) {
  *out = (fh_limits){.threads = fh_pool_size(pool)};
  levels_of(out->levels);
  size_t most = 0; /* hundreds of threads have more of the second level between them than is taken for DRAM */
  for (int i = 0; i < FH_LEVEL_COUNT; i++)
    if (operand_of(out->levels, i, out->threads) > most) most = operand_of(out->levels, i, out->threads);
  char *from = fh_host_alloc(most), *to = fh_host_alloc(most);
  if (!from || !to) {
    free(from);
    free(to);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "bench: no memory for two operands of %zu bytes to measure this machine's limits with", most);
  }
  uint64_t seed = 1; /* zeros would be moved faster than data on some machines */
  for (size_t i = 0; i < most / 8; i++) ((uint64_t *)(void *)from)[i] = seed = seed * 6364136223846793005u + 1442695040888963407u;
  memcpy(to, from, most);
  for (int p = 0; p < FH_PEAK_COUNT; p++) {
    fh_compute_probe probe = {pool, (fh_peak)p, 1e9};
    double fastest = 0;
    for (int i = 0; i < 7; i++) {
      double seconds = fh_compute_probe_sample(&probe, 1);
      if (seconds > 0 && (fastest == 0 || seconds < fastest)) fastest = seconds;
    }
    out->flops[p] = fastest > 0 ? probe.flops / fastest : 0;
  }
  for (int i = 0; i < FH_LEVEL_COUNT; i++) {
    const size_t bytes = operand_of(out->levels, i, out->threads);
    out->levels[i].read = best_bandwidth((fh_traffic_probe){pool, from, to, bytes, 0, false});
    out->levels[i].copy = best_bandwidth((fh_traffic_probe){pool, from, to, bytes, bytes, false});
    out->levels[i].stream = fh_limits_can_stream() ? best_bandwidth((fh_traffic_probe){pool, from, to, bytes, bytes, true}) : 0;
  }
  free(from);
  free(to);
  return FH_OK;
}

const fh_level *fh_limits_level(const fh_limits *limits, double bytes) {
  for (int i = 0; i < FH_LEVEL_COUNT - 1; i++) {
    const double capacity = (double)limits->levels[i].capacity * (i < 2 ? limits->threads : 1); /* the last cache is shared */
    if (bytes <= capacity) return &limits->levels[i];
  }
  return &limits->levels[FH_LEVEL_COUNT - 1];
}
