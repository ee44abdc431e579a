/* Kernels against the limit that binds them, and products against cuBLAS. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "bench/engine/limits.h"
#include "bench/gpu/cublas.h"
#include "bench/gpu/rows.h"
#include "runtime/base/clock.h"
#include "runtime/base/host_memory.h"

static double own_sample(void *arg, long calls) { return gpu_case_sample(arg, calls); }

/* More than this apart is another function, not another rounding (operands of f32, bf16 and f16 with f32 sums); of tf32 it may be that one
 * rounds the operands and the other cuts them off. */
static const double most_difference = 1e-3, most_difference_tf32 = 4e-3;

/* ---- one case --------------------------------------------------------------------------------------------------------------- */

typedef struct trial {
  raw_device *raw;
  gpu_case *own;
  raw_traffic traffic;
  cublas_product *product;
  fh_contender contenders[4];
  const char *kinds[4];
  int count;
} trial;

static void add(trial *t, const char *name, const char *kind, double (*sample)(void *, long), void *arg) {
  t->contenders[t->count] = (fh_contender){.name = name, .sample = sample, .arg = arg};
  t->kinds[t->count++] = kind;
}

static bool is_product(const gpu_case_spec *spec) {
  static const char *const products[] = {"matmul", "matmul_bf16", "matmul_f16", "matmul_tf32"};
  for (size_t i = 0; i < sizeof products / sizeof *products; i++)
    if (strcmp(spec->kernel, products[i]) == 0) return true;
  return false;
}

/* Are the products the same? Both are rounded sums of the same numbers. */
static bool agree(const trial *t, double most, char *why, int size) {
  if (gpu_case_run_once(t->own)) {
    snprintf(why, (size_t)size, "%s", gpu_case_why(t->own));
    return false;
  }
  const double off = cublas_difference(t->product, gpu_case_data(t->own, 2));
  if (off >= 0 && off <= most) return true;
  snprintf(why, (size_t)size, "its result and Foghorn's differ by %.2g of their size", off);
  return false;
}

static void add_peer(trial *t, const gpu_case_spec *spec, json_t *row) {
  char why[240];
  if (!is_product(spec)) return;
  const bool tf32 = strcmp(spec->kernel, "matmul_tf32") == 0;
  t->product = cublas_open(t->raw, t->own, tf32, why, (int)sizeof why);
  if (!t->product || !agree(t, tf32 ? most_difference_tf32 : most_difference, why, (int)sizeof why))
    figures_not_run(row, "cuBLAS", "peer", why);
  else
    add(t, "cuBLAS", "peer", cublas_sample, t->product);
}

/* A copy of as many bytes as the kernel has to move, half of them read. */
static void add_limits(trial *t, json_t *row) {
  const size_t half = ((size_t)(gpu_case_bytes(t->own) / 2) + 255) / 256 * 256;
  const char *why = raw_traffic_open(t->raw, half, false, &t->traffic);
  if (why)
    figures_not_run(row, "copy of as many bytes", "limit", why);
  else
    add(t, "copy of as many bytes", "limit", raw_copy, &t->traffic);
  if (t->raw->limits)
    add(t, "f32 multiply-adds", "limit", raw_fma, t->raw);
  else
    figures_not_run(row, "f32 multiply-adds", "limit", t->raw->why_no_limits);
}

static void judge(const trial *t, const gpu_case_spec *spec, json_t *row) {
  const double own = figures_median(row, "Foghorn"), copy = figures_median(row, "copy of as many bytes");
  const double peak = figures_median(row, "f32 multiply-adds"), peer = figures_median(row, "cuBLAS");
  if (own <= 0) return;
  const double arithmetic = peak > 0 ? gpu_case_operations(t->own) / (raw_fma_operations(t->raw) / peak) : 0;
  if (copy > 0) json_object_set_new(row, "of_copy", json_real(copy / own));
  if (arithmetic > 0) json_object_set_new(row, "of_f32_peak", json_real(arithmetic / own));
  if (strcmp(spec->target, "memory") == 0 && copy > 0) figures_value(row, copy / own);
  if (peer > 0) figures_value(row, peer / own);
}

static void measure(trial *t, const gpu_case_spec *spec, json_t *row, const gpu_options *options) {
  json_object_update_new(row, json_pack("{sf sf ss}", "operations", gpu_case_operations(t->own), "bytes", gpu_case_bytes(t->own), "variant",
                                        gpu_case_variant(t->own)));
  if (gpu_case_sample(t->own, 1) < 0) {
    figures_not_run(row, NULL, NULL, gpu_case_why(t->own));
    return;
  }
  add(t, "Foghorn", "foghorn", own_sample, t->own);
  add_peer(t, spec, row);
  add_limits(t, row);
  (void)figures_measure(row, t->contenders, t->kinds, t->count, options);
  judge(t, spec, row);
  cublas_close(t->product);
  raw_traffic_close(&t->traffic);
}

/* The shapes of the first two operands, and that they were cut. */
static void label_of(const gpu_case_spec *spec, int most_extent, char out[static 96]) {
  const char *first = strchr(spec->shapes, ' ');
  const int length = (int)(first ? (size_t)(first - spec->shapes) + 1 + strcspn(first + 1, " ") : strlen(spec->shapes));
  if (most_extent)
    snprintf(out, 96, "%.*s, no extent over %d", length, spec->shapes, most_extent);
  else
    snprintf(out, 96, "%.*s", length, spec->shapes);
}

void rows_kernels(json_t *document, raw_device *raw, gpu_session *session, const gpu_options *options) {
  const gpu_case_spec *spec;
  for (int i = 0; (spec = gpu_case_at(i)); i++) {
    char label[96], why[240];
    label_of(spec, options->most_extent, label);
    json_t *row = figures_begin(document, spec->kernel, label, spec->target, options);
    if (!row) continue;
    if (fh_now_seconds() - options->start > options->total_seconds) {
      figures_not_run(row, NULL, NULL, "the time for this part was used up");
      continue;
    }
    fprintf(stderr, "%s %s\n", spec->kernel, label);
    trial t = {.raw = raw, .own = gpu_case_open(session, spec, options->most_extent, why, (int)sizeof why)};
    if (t.own)
      measure(&t, spec, row, options);
    else
      figures_not_run(row, NULL, NULL, why);
    gpu_case_close(t.own);
    (void)figures_write(document, options->out);
    if (!raw_finish(raw)) watch_leave(options->watch); /* the device was lost */
  }
}

/* ---- the same kernel on every backend ------------------------------------------------------------------------------------------ */

static const gpu_case_spec even = {"axpy", "33554432 33554432", "", "evenness"};
enum { EVEN_BYTES = 33554432 * 4 };

/* Part of a copy's speed on this device; 0 with the reason. */
static double part_of_copy(json_t *row, const char *name, gpu_session *session, fh_contender limit, const gpu_options *options, char *why) {
  gpu_case *c = gpu_case_open(session, &even, options->most_extent, why, 240);
  double part = 0;
  if (!c) return 0;
  fh_contender both[] = {{.name = name, .sample = own_sample, .arg = c}, limit};
  static const char *const kinds[] = {"foghorn", "limit"};
  /* Three times the bytes that lie in one operand, against a copy that moves it once. */
  if (figures_measure(row, both, kinds, 2, options) && both[0].median > 0) part = 1.5 * both[1].median / both[0].median;
  if (part == 0) snprintf(why, 240, "%s", gpu_case_why(c));
  gpu_case_close(c);
  return part;
}

/* A copy of one operand's bytes by the CPU's threads, past the caches. */
static double on_cpu(json_t *row, const gpu_options *options, char *why) {
  gpu_session *cpu = gpu_session_open("cpu", 0, why, 240);
  fh_pool *pool = NULL;
  const size_t bytes = options->most_extent ? 1 << 20 : EVEN_BYTES;
  char *from = fh_host_alloc(bytes), *to = fh_host_alloc(bytes);
  fh_status status = cpu && from && to ? fh_pool_shared(0, &pool) : NULL;
  double part = 0;
  fh_traffic_probe probe = {pool, from, to, bytes, bytes, fh_limits_can_stream()};
  if (status) fh_status_free(status);
  if (pool) {
    memset(from, 1, bytes);
    memset(to, 1, bytes);
    part = part_of_copy(row, "axpy on cpu", cpu, (fh_contender){.name = "copy on cpu", .sample = fh_traffic_probe_sample, .arg = &probe},
                        options, why);
    fh_pool_unshare(pool);
  }
  free(from);
  free(to);
  gpu_session_close(cpu);
  return part;
}

/* The device's own copy is the limit for both of its interfaces. */
static double on_gpu(json_t *row, const char *device, gpu_session *session, raw_device *raw, const gpu_options *options, char *why) {
  raw_traffic traffic;
  char name[48], copy[48];
  snprintf(name, sizeof name, "axpy on %s", device);
  snprintf(copy, sizeof copy, "copy beside %s", device);
  const char *none = raw_traffic_open(raw, options->most_extent ? 1 << 20 : EVEN_BYTES, false, &traffic);
  if (none) {
    snprintf(why, 240, "%s", none);
    return 0;
  }
  const double part = part_of_copy(row, name, session, (fh_contender){.name = copy, .sample = raw_copy, .arg = &traffic}, options, why);
  raw_traffic_close(&traffic);
  return part;
}

void rows_evenness(json_t *document, raw_device *raw, gpu_session *session, const gpu_options *options) {
  char why[240] = "";
  json_t *row =
      figures_begin(document, "axpy", "the same kernel on CPU, OpenCL and CUDA, as parts of each one's copy", "evenness", options);
  if (!row) return;
  if (!options->opencl) {
    figures_not_run(row, NULL, NULL, "no OpenCL GPU beside the CUDA one");
    return;
  }
  gpu_session *opencl = gpu_session_open(options->opencl, 0, why, (int)sizeof why);
  double parts[3] = {0};
  if (opencl) parts[0] = on_gpu(row, options->opencl, opencl, raw, options, why);
  gpu_session_close(opencl);
  if (parts[0] > 0) parts[1] = on_gpu(row, options->device, session, raw, options, why);
  if (parts[1] > 0) parts[2] = on_cpu(row, options, why);
  if (parts[2] <= 0) {
    figures_not_run(row, NULL, NULL, why);
    return;
  }
  double least = parts[0], most = parts[0];
  for (int i = 1; i < 3; i++) {
    least = parts[i] < least ? parts[i] : least;
    most = parts[i] > most ? parts[i] : most;
  }
  figures_value(row, (most - least) / most);
}
