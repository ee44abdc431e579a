/* matmul against OpenBLAS, side by side in one process. SPDX-License-Identifier: Apache-2.0
 *
 * bench_matmul [--json FILE] [--rounds N] [--threads LIST] [--shape MxNxK[t]]... ; t: B is transposed.
 * Ratios are peer / Foghorn: above 1 Foghorn is faster. The roof is the rate of fused multiply-adds in registers,
 * measured here, times the threads. Results are checked against each other before anything is timed.
 */
#include <dlfcn.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "bench/prepared.h"

typedef struct shape {
  int m, n, k;
  bool transposed; /* B is (n, k) in memory */
} shape;

enum { MAX_SHAPES = 64, MAX_THREAD_COUNTS = 16 };

static const shape usual[] = {
    {512, 512, 512, 0},  {1024, 1024, 1024, 0}, {16, 16, 16, 0},    {64, 64, 64, 0},     {96, 96, 96, 0},
    {128, 128, 128, 0},  {192, 192, 192, 0},    {256, 256, 256, 0}, {127, 131, 137, 0},  {509, 521, 503, 0},
    {512, 512, 512, 1},  {1024, 1024, 1024, 1}, {8, 4096, 1024, 0}, {32, 4096, 1024, 0}, {32, 4096, 1024, 1},
    {4096, 16, 1024, 0}, {2048, 2048, 64, 0},   {64, 64, 8192, 0},  {1, 4096, 1024, 0},  {4096, 1, 1024, 0},
};

/* ---- the peer ------------------------------------------------------------------------------------ */

enum { CBLAS_ROW_MAJOR = 101, CBLAS_NO_TRANS = 111, CBLAS_TRANS = 112 };
typedef void sgemm_fn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                      int ldb, float beta, float *c, int ldc);

typedef struct openblas {
  sgemm_fn *sgemm;
  void (*set_num_threads)(int);
  char *(*get_config)(void);
  char *(*get_corename)(void);
} openblas;

static bool openblas_open(openblas *out) {
  void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "NOT RUN: no peer: %s\n  apt install libopenblas0-pthread; Foghorn is measured alone\n", dlerror());
    return false;
  }
  *(void **)&out->sgemm = dlsym(library, "cblas_sgemm");
  *(void **)&out->set_num_threads = dlsym(library, "openblas_set_num_threads");
  *(void **)&out->get_config = dlsym(library, "openblas_get_config");
  *(void **)&out->get_corename = dlsym(library, "openblas_get_corename");
  if (out->sgemm && out->set_num_threads && out->get_config && out->get_corename) return true;
  fprintf(stderr, "NOT RUN: libopenblas.so.0 lacks cblas_sgemm or openblas_set_num_threads\n");
  return false;
}

typedef struct peer_call {
  sgemm_fn *sgemm;
  shape s;
  const float *a, *b;
  float *c;
} peer_call;

static void peer_run(void *arg) {
  const peer_call *p = arg;
  p->sgemm(CBLAS_ROW_MAJOR, CBLAS_NO_TRANS, p->s.transposed ? CBLAS_TRANS : CBLAS_NO_TRANS, p->s.m, p->s.n, p->s.k, 1.0f, p->a, p->s.k,
           p->b, p->s.transposed ? p->s.k : p->s.n, 0.0f, p->c, p->s.n);
}

/* ---- one row of the table ------------------------------------------------------------------------ */

static float *random_floats(size_t count, uint64_t seed) {
  float *out = aligned_alloc(64, (count * sizeof *out + 63) / 64 * 64);
  if (!out) {
    fprintf(stderr, "bench: no memory for %zu floats\n", count);
    exit(EXIT_FAILURE);
  }
  for (size_t i = 0; i < count; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    out[i] = (float)((int32_t)(seed >> 32)) * 0x1p-31f;
  }
  return out;
}

static void check_equal(const float *got, const float *want, const shape *s, const char *name) {
  double bound = 4.0 * s->k * 0x1p-24 * s->k;
  for (size_t i = 0; i < (size_t)s->m * (size_t)s->n; i++) {
    if (fabs((double)got[i] - (double)want[i]) <= bound) continue;
    fprintf(stderr, "bench: %s is wrong at %dx%dx%d: element %zu is %g, expected %g\n", name, s->m, s->n, s->k, i, (double)got[i],
            (double)want[i]);
    exit(EXIT_FAILURE);
  }
}

static void measure_shape(const shape *s, const openblas *peer, fh_pool *pool, int rounds, double peak, json_t *rows) {
  size_t m = (size_t)s->m, n = (size_t)s->n, k = (size_t)s->k;
  float *a = random_floats(m * k, 1), *b = random_floats(k * n, 2), *c = random_floats(m * n, 3), *expected = random_floats(m * n, 4);
  fh_view_desc views[3] = {
      {FH_F32, 2, {s->m, s->k}, {s->k, 1}}, {FH_F32, 2, {s->k, s->n}, {s->n, 1}}, {FH_F32, 2, {s->m, s->n}, {s->n, 1}}};
  if (s->transposed) views[1].strides[0] = 1, views[1].strides[1] = s->k;
  void *data[3] = {a, b, c};
  int threads = fh_pool_size(pool);
  peer_call other = {peer ? peer->sgemm : NULL, *s, a, b, expected};
  if (peer) {
    peer->set_num_threads(threads);
    peer_run(&other);
  }

  static const fh_isa isas[] = {FH_ISA_AVX512, FH_ISA_AVX2};
  static const char *const names[] = {"foghorn avx512", "foghorn avx2"};
  prepared calls[2];
  measure_contender contenders[3];
  int count = 0;
  for (int i = 0; i < 2; i++) {
    const fh_tuned *variant = prepared_variant(&fh_contract_matmul, isas[i]);
    if (!variant) continue;
    calls[count] = prepared_create(&fh_contract_matmul, variant, views, data, pool);
    prepared_run(&calls[count]);
    if (peer) check_equal(c, expected, s, names[i]);
    contenders[count] = (measure_contender){.name = names[i], .run = prepared_run, .arg = &calls[count]};
    count++;
  }
  int own = count;
  if (peer) contenders[count++] = (measure_contender){.name = "openblas", .run = peer_run, .arg = &other};
  measure_progress("matmul %dx%dx%d on %d threads", s->m, s->n, s->k, threads);
  measure_rounds(contenders, count, rounds, 0.01);
  measure_progress(NULL);

  double flops = 2.0 * s->m * s->n * s->k;
  json_t *results = json_array();
  printf("%5d %5d %5d %s %d ", s->m, s->n, s->k, s->transposed ? "t" : " ", threads);
  for (int i = 0; i < count; i++) {
    const measure_contender *x = &contenders[i];
    json_t *one = measure_json(x);
    json_object_set_new(one, "gflops", json_real(flops / x->median * 1e-9));
    if (peak > 0) json_object_set_new(one, "of_roof", json_real(flops / x->median / (peak * threads)));
    if (peer && i < own) json_object_set_new(one, "times_openblas", json_real(contenders[own].median / x->median));
    json_array_append_new(results, one);
    printf(" %8.1f (%5.1f-%5.1f) %3.0f%%", flops / x->median * 1e-9, flops / x->p90 * 1e-9, flops / x->p10 * 1e-9,
           peak > 0 ? 100 * flops / x->median / (peak * threads) : 0.0);
  }
  for (int i = 0; peer && i < own; i++) printf("  %5.2f", contenders[own].median / contenders[i].median);
  printf("\n");
  fflush(stdout);
  json_array_append_new(rows, json_pack("{s:[i,i,i], s:b, s:i, s:o}", "shape", s->m, s->n, s->k, "b_transposed", s->transposed, "threads",
                                        threads, "results", results));
  for (int i = 0; i < own; i++) prepared_destroy(&calls[i]);
  free(a);
  free(b);
  free(c);
  free(expected);
}

static void print_head(bool peer) {
  printf("GFLOP/s, median (p10-p90), share of the roof%s\n", peer ? "; last columns: times faster than OpenBLAS" : "");
  printf("%5s %5s %5s B T ", "m", "n", "k");
  if (prepared_variant(&fh_contract_matmul, FH_ISA_AVX512)) printf(" %-28s", "foghorn avx512");
  if (prepared_variant(&fh_contract_matmul, FH_ISA_AVX2)) printf(" %-28s", "foghorn avx2");
  printf(" %s\n", peer ? "openblas" : "");
}

static int usage(void) {
  fprintf(stderr, "usage: bench_matmul [--json FILE] [--rounds N] [--threads 1,2] [--shape MxNxK[t]]...\n");
  return 2;
}

/* MxNxK, or MxNxKt */
static bool read_shape(const char *text, shape *out) {
  if (!measure_read_int(&text, 1, &out->m) || *text++ != 'x') return false;
  if (!measure_read_int(&text, 1, &out->n) || *text++ != 'x') return false;
  if (!measure_read_int(&text, 1, &out->k)) return false;
  out->transposed = *text == 't';
  return !text[out->transposed ? 1 : 0];
}

/* How many counts a list such as "1,2" has; 0 when it is none. */
static int read_threads(const char *list, int out[MAX_THREAD_COUNTS]) {
  int count = 0;
  do {
    if (count == MAX_THREAD_COUNTS || !measure_read_int(&list, 1, &out[count])) return 0;
    count++;
  } while (*list++ == ',');
  return list[-1] ? 0 : count;
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"json", required_argument, NULL, 'j'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"shape", required_argument, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
  const char *json = NULL;
  int rounds = 21, shape_count = 0, threads[MAX_THREAD_COUNTS] = {1, 2}, thread_counts = 2;
  shape shapes[MAX_SHAPES];
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'j') {
      json = optarg;
    } else if (option == 'r') {
      if (!measure_int(optarg, 1, &rounds)) return usage();
    } else if (option == 't') {
      if (!(thread_counts = read_threads(optarg, threads))) return usage();
    } else if (option == 's' && shape_count < MAX_SHAPES) {
      if (!read_shape(optarg, &shapes[shape_count++])) return usage();
    } else {
      return usage();
    }
  }
  if (optind != argc) return usage();
  if (shape_count == 0) {
    shape_count = (int)(sizeof usual / sizeof usual[0]);
    memcpy(shapes, usual, sizeof usual);
  }

  openblas library, *peer = openblas_open(&library) ? &library : NULL;
  json_t *document = measure_document("matmul"), *rows = json_object_get(document, "rows");
  if (peer) {
    json_object_set_new(document, "peer", json_string(peer->get_config()));
    printf("peer: %s (kernels for %s)\n", peer->get_config(), peer->get_corename());
  }
  print_head(peer != NULL);
  for (int t = 0; t < thread_counts; t++) {
    fh_pool *pool;
    fh_status status = fh_pool_create(threads[t], &pool);
    if (status) {
      fprintf(stderr, "bench: --threads %d: %s\n", threads[t], fh_status_message(status));
      fh_status_free(status);
      json_decref(document);
      return 2;
    }
    double peak = measure_peak_flops();
    json_object_set_new(document, "roof_gflops_per_thread", json_real(peak * 1e-9));
    printf("roof: %.1f GFLOP/s per thread\n", peak * 1e-9);
    for (int i = 0; i < shape_count; i++) measure_shape(&shapes[i], peer, pool, rounds, peak, rows);
    fh_pool_destroy(pool);
  }
  return measure_save(document, json) ? 0 : 1;
}
