/* matmul against OpenBLAS, BLIS and oneDNN, side by side in one process. SPDX-License-Identifier: Apache-2.0
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
#include "kernels/contracts.h"
#include "runtime/base/host_memory.h"

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
    {33, 33, 33, 0},     {48, 48, 48, 0},       {8, 4096, 4096, 0}, {8, 4096, 4096, 1},  {1, 4096, 1024, 1},
};

/* ---- the peers ----------------------------------------------------------------------------------- */

enum { CBLAS_ROW_MAJOR = 101, CBLAS_NO_TRANS = 111, CBLAS_TRANS = 112 };
typedef void cblas_fn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                      int ldb, float beta, float *c, int ldc);
typedef int dnnl_fn(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                    int64_t ldb, float beta, float *c, int64_t ldc);

typedef struct peer {
  const char *name, *package, *library, *product, *threads_library, *set_threads;
  cblas_fn *cblas; /* one of the two */
  dnnl_fn *dnnl;
  void (*set_num_threads)(int); /* BLIS: a 64-bit count, in the same register */
} peer;

enum { PEERS = 3 };
static peer peers[PEERS] = {
    {.name = "openblas",
     .package = "libopenblas0-pthread",
     .library = "libopenblas.so.0",
     .product = "cblas_sgemm",
     .threads_library = "libopenblas.so.0",
     .set_threads = "openblas_set_num_threads"},
    {.name = "blis",
     .package = "libblis4-pthread",
     .library = "libblis.so.4",
     .product = "cblas_sgemm",
     .threads_library = "libblis.so.4",
     .set_threads = "bli_thread_set_num_threads"},
    {.name = "onednn",
     .package = "libdnnl2",
     .library = "libdnnl.so.2",
     .product = "dnnl_sgemm",
     .threads_library = "libgomp.so.1",
     .set_threads = "omp_set_num_threads"},
};

static bool peer_there(const peer *p) { return p->cblas || p->dnnl; }

static void peer_open(peer *p) {
  void *library = dlopen(p->library, RTLD_NOW | RTLD_LOCAL), *threads = library ? dlopen(p->threads_library, RTLD_NOW | RTLD_LOCAL) : NULL;
  void *product = threads ? dlsym(library, p->product) : NULL;
  *(void **)&p->set_num_threads = product ? dlsym(threads, p->set_threads) : NULL;
  if (!p->set_num_threads) {
    const char *error = dlerror();
    fprintf(stderr, "NOT RUN: peer %s: %s\n  apt install %s\n", p->name, error ? error : "a function is missing", p->package);
    return;
  }
  if (strcmp(p->product, "dnnl_sgemm") == 0)
    *(void **)&p->dnnl = product;
  else
    *(void **)&p->cblas = product;
}

typedef struct peer_call {
  const peer *p;
  shape s;
  const float *a, *b;
  float *c;
} peer_call;

static void peer_run(void *arg) {
  const peer_call *call = arg;
  const shape *s = &call->s;
  const int ldb = s->transposed ? s->k : s->n;
  if (call->p->dnnl)
    call->p->dnnl('N', s->transposed ? 'T' : 'N', s->m, s->n, s->k, 1.0f, call->a, s->k, call->b, ldb, 0.0f, call->c, s->n);
  else
    call->p->cblas(CBLAS_ROW_MAJOR, CBLAS_NO_TRANS, s->transposed ? CBLAS_TRANS : CBLAS_NO_TRANS, s->m, s->n, s->k, 1.0f, call->a, s->k,
                   call->b, ldb, 0.0f, call->c, s->n);
}

/* ---- one row of the table ------------------------------------------------------------------------ */

static float *random_floats(size_t count, uint64_t seed) {
  float *out = fh_host_alloc(count * sizeof *out);
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

static const fh_isa own_isas[] = {FH_ISA_AVX512, FH_ISA_AVX2};
static const char *const own_names[] = {"foghorn avx512", "foghorn avx2"};
enum { OWN = sizeof own_isas / sizeof *own_isas };

static void measure_shape(const shape *s, fh_pool *pool, int rounds, double peak, json_t *rows) {
  size_t m = (size_t)s->m, n = (size_t)s->n, k = (size_t)s->k;
  float *a = random_floats(m * k, 1), *b = random_floats(k * n, 2), *c = random_floats(m * n, 3), *expected = random_floats(m * n, 4);
  fh_view_desc views[3] = {
      {FH_F32, 2, {s->m, s->k}, {s->k, 1}}, {FH_F32, 2, {s->k, s->n}, {s->n, 1}}, {FH_F32, 2, {s->m, s->n}, {s->n, 1}}};
  if (s->transposed) views[1].strides[0] = 1, views[1].strides[1] = s->k;
  void *data[3] = {a, b, c};
  const int threads = fh_pool_size(pool);

  prepared calls[OWN];
  peer_call others[PEERS];
  measure_contender contenders[OWN + PEERS];
  int own = 0, count = 0;
  for (int i = 0; i < OWN; i++) {
    const fh_tuned *variant = prepared_variant(&fh_contract_matmul, own_isas[i]);
    if (!variant) continue;
    calls[count] = prepared_create(&fh_contract_matmul, variant, views, data, pool);
    contenders[count] = (measure_contender){.name = own_names[i], .run = prepared_run, .arg = &calls[count]};
    own = ++count;
  }
  for (int i = 0; i < PEERS; i++) {
    if (!peer_there(&peers[i])) continue;
    others[i] = (peer_call){&peers[i], *s, a, b, expected};
    peers[i].set_num_threads(threads);
    peer_run(&others[i]);
    contenders[count++] = (measure_contender){.name = peers[i].name, .run = peer_run, .arg = &others[i]};
  }
  for (int i = 0; i < own; i++) {
    prepared_run(&calls[i]);
    if (count > own) check_equal(c, expected, s, contenders[i].name);
  }
  measure_progress("matmul %dx%dx%d on %d threads", s->m, s->n, s->k, threads);
  measure_rounds(contenders, count, rounds, 0.005);
  measure_progress(NULL);

  const double flops = 2.0 * s->m * s->n * s->k;
  double best = 0; /* the best peer's time */
  for (int i = own; i < count; i++) best = best == 0 || contenders[i].median < best ? contenders[i].median : best;
  json_t *results = json_array();
  printf("%5d %5d %5d %s %d ", s->m, s->n, s->k, s->transposed ? "t" : " ", threads);
  for (int i = 0; i < count; i++) {
    const measure_contender *x = &contenders[i];
    json_t *one = measure_json(x);
    json_object_set_new(one, "gflops", json_real(flops / x->median * 1e-9));
    if (peak > 0) json_object_set_new(one, "of_roof", json_real(flops / x->median / (peak * threads)));
    if (best > 0 && i < own) json_object_set_new(one, "times_best_peer", json_real(best / x->median));
    json_array_append_new(results, one);
    printf(" %7.1f (%5.1f-%5.1f)%4.0f%%", flops / x->median * 1e-9, flops / x->p90 * 1e-9, flops / x->p10 * 1e-9,
           peak > 0 ? 100 * flops / x->median / (peak * threads) : 0.0);
  }
  for (int i = 0; best > 0 && i < own; i++) printf("  %5.2f", best / contenders[i].median);
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

static void print_head(void) {
  printf("GFLOP/s, median (p10-p90), share of the roof; last columns: times faster than the best peer\n");
  printf("%5s %5s %5s B T ", "m", "n", "k");
  for (int i = 0; i < OWN; i++)
    if (prepared_variant(&fh_contract_matmul, own_isas[i])) printf(" %-25s", own_names[i]);
  for (int i = 0; i < PEERS; i++)
    if (peer_there(&peers[i])) printf(" %-25s", peers[i].name);
  printf("\n");
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

  for (int i = 0; i < PEERS; i++) peer_open(&peers[i]);
  json_t *document = measure_document("matmul"), *rows = json_object_get(document, "rows");
  print_head();
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
    for (int i = 0; i < shape_count; i++) measure_shape(&shapes[i], pool, rounds, peak, rows);
    fh_pool_destroy(pool);
  }
  return measure_save(document, json) ? 0 : 1;
}
