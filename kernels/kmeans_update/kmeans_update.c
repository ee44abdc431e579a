/* The contract of kmeans_update: sums and counts of the rows of each cluster. SPDX-License-Identifier: Apache-2.0
 *
 * A label outside [0, k) breaks the contract; such a row is passed over, never written anywhere. */
#include "kernels/arithmetic.h"
#include "kernels/cluster_blocks.h"
#include "kernels/element.h"
#include "kernels/rows.h"

#include <tgmath.h>

enum { X, LABELS, SUMS, COUNTS };
enum { PARTIAL, TALLY };               /* scratch */
enum { PARTIAL_STAGE, COMBINE_STAGE }; /* entries */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_ELEMENT, "(n, d)", false},
    {"labels", FH_ROLE_IN, FH_I32, "(n), each in [0, k)", false},
    {"sums", FH_ROLE_OUT, FH_ELEMENT, "(k, d)", false},
    {"counts", FH_ROLE_OUT, FH_I32, "(k)", false},
};

/* How the rows are cut. A function of (n, d, k) alone: it fixes the order of additions. */
typedef struct plan {
  int64_t padded; /* d, rounded up to whole blocks of 16 lanes */
  int64_t chunks, chunk_rows;
  int64_t bands, band; /* a band of dimensions is a multiple of 16; the order of additions does not depend on it */
} plan;

/* Enough chunks for 64 threads; but all accumulators together stay within 16 MiB (one chunk always fits: it is as large as the
 * result) and within a quarter of the rows, so that clearing and combining them stays the smaller part of the work. */
static plan plan_of(int64_t n, int64_t d, int64_t k) {
  enum { THREADS = 64, SCRATCH = 16 << 20 };
  plan p = {.padded = 16 * fh_most(1, fh_divide_up(d, 16))};
  const int64_t by_memory = SCRATCH / 4 / p.padded / k, by_work = n / 4 / k;
  p.chunks = fh_most(1, fh_least(2 * THREADS, fh_least(by_memory, by_work)));
  p.chunk_rows = fh_most(1, fh_divide_up(n, p.chunks));
  if (p.chunk_rows > 8 * 32) p.chunk_rows = 32 * fh_divide_up(p.chunk_rows, 32); /* whole tiles of rows for kmeans_step */
  p.chunks = fh_divide_up(n, p.chunk_rows);
  const int64_t blocks = p.padded / 16;
  p.band = 16 * fh_divide_up(blocks, fh_least(blocks, fh_divide_up(THREADS, fh_most(1, p.chunks))));
  p.bands = fh_divide_up(p.padded, p.band);
  return p;
}

static fh_status update_check(const fh_view_desc *v) {
  FH_TRY(fh_check_view("kmeans_update", &params[X], &v[X], 2, 2));
  FH_TRY(fh_check_view("kmeans_update", &params[LABELS], &v[LABELS], 1, 1));
  FH_TRY(fh_check_view("kmeans_update", &params[SUMS], &v[SUMS], 2, 2));
  FH_TRY(fh_check_view("kmeans_update", &params[COUNTS], &v[COUNTS], 1, 1));
  FH_TRY(fh_check_extent("kmeans_update", &params[LABELS], &v[LABELS], 0, "n", v[X].shape[0], "x"));
  FH_TRY(fh_check_extent("kmeans_update", &params[SUMS], &v[SUMS], 1, "d", v[X].shape[1], "x"));
  FH_TRY(fh_check_extent("kmeans_update", &params[COUNTS], &v[COUNTS], 0, "k", v[SUMS].shape[0], "sums"));
  if (v[SUMS].shape[0] > INT32_MAX || v[X].shape[0] > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_kmeans_update: x has %" PRId64 " rows and sums has %" PRId64 ", expected at most %d (labels and counts are i32)",
                     v[X].shape[0], v[SUMS].shape[0], INT32_MAX);
  return FH_OK;
}

static void bind_partial(const fh_view_desc *v, const plan *p, fh_bound *out) {
  const int64_t n = v[X].shape[0], d = v[X].shape[1], k = v[SUMS].shape[0];
  fh_stage *stage = fh_add_stage(out, PARTIAL_STAGE, p->chunks * p->bands, (double)p->chunk_rows * (double)p->band);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, LABELS, 0));
  fh_push(stage, fh_op_temp(PARTIAL));
  fh_push(stage, fh_op_temp(TALLY));
  FH_PUSH_I64(stage, n, d, p->padded, k, p->chunk_rows, p->bands, p->band, v[X].strides[0], v[X].strides[1], v[LABELS].strides[0]);
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, SUMS, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, COUNTS, 0));
  FH_PUSH_I64(stage, p->chunks, v[SUMS].strides[0], v[SUMS].strides[1], v[COUNTS].strides[0]);
}

static void bind_combine(const fh_view_desc *v, const plan *p, fh_bound *out) {
  const int64_t d = v[X].shape[1], k = v[SUMS].shape[0];
  fh_stage *stage = fh_add_stage(out, COMBINE_STAGE, k * (p->padded / 16), 16.0 * (double)p->chunks);
  fh_push(stage, fh_op_temp(PARTIAL));
  fh_push(stage, fh_op_temp(TALLY));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, SUMS, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, COUNTS, 0));
  FH_PUSH_I64(stage, d, p->padded, k, p->chunks, v[SUMS].strides[0], v[SUMS].strides[1], v[COUNTS].strides[0]);
}

static fh_status update_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  FH_TRY(update_check(v));
  int64_t count = 0, sums = 0;
  FH_TRY(fh_check_count("kmeans_update", &params[X], &v[X], &count));
  FH_TRY(fh_check_count("kmeans_update", &params[SUMS], &v[SUMS], &sums));
  const int64_t n = v[X].shape[0], k = v[SUMS].shape[0];
  if (k == 0) return FH_OK;

  /* Without rows there is no first stage and the second writes zeros. */
  const plan p = plan_of(n, v[X].shape[1], k);
  if (n > 0) bind_partial(v, &p, out);
  bind_combine(v, &p, out);
  out->temp_count = 2;
  out->temp_bytes[PARTIAL] = (size_t)fh_most(1, p.chunks) * (size_t)k * (size_t)p.padded * sizeof(fh_element);
  out->temp_bytes[TALLY] = (size_t)fh_most(1, p.chunks) * (size_t)k * sizeof(int32_t);
  out->flops = (double)count;
  out->bytes = (double)sizeof(fh_element) * ((double)count + (double)sums) + 4.0 * ((double)n + (double)k);
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

static int64_t label_at(const fh_view_desc *v, void *const *data, int64_t row) {
  return ((const int32_t *)data[LABELS])[row * v[LABELS].strides[0]];
}
static fh_element x_at(const fh_view_desc *v, void *const *data, int64_t row, int64_t i) {
  return ((const fh_element *)data[X])[row * v[X].strides[0] + i * v[X].strides[1]];
}
static fh_element *sum_at(const fh_view_desc *v, void *const *data, int64_t j, int64_t i) {
  return (fh_element *)data[SUMS] + j * v[SUMS].strides[0] + i * v[SUMS].strides[1];
}
static int32_t *count_at(const fh_view_desc *v, void *const *data, int64_t j) { return (int32_t *)data[COUNTS] + j * v[COUNTS].strides[0]; }

static void update_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const int64_t n = v[X].shape[0], d = v[X].shape[1], k = v[SUMS].shape[0];
  for (int64_t j = 0; j < k; j++) {
    int32_t count = 0;
    for (int64_t row = 0; row < n; row++) count += label_at(v, data, row) == j;
    *count_at(v, data, j) = count;
    for (int64_t i = 0; i < d; i++) {
      fh_wide sum = 0;
      for (int64_t row = 0; row < n; row++) {
        if (label_at(v, data, row) == j) sum += (fh_wide)x_at(v, data, row, i);
      }
      *sum_at(v, data, j, i) = (fh_element)sum;
    }
  }
}

/* A sum of m terms in any order is within (m - 1) u sum |x| / (1 - m u), u = FH_UNIT (Higham 2002, eq. 4.4). */
static const char *update_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  const int64_t n = v[X].shape[0], d = v[X].shape[1], k = v[SUMS].shape[0];
  for (int64_t j = 0; j < k; j++) {
    if (*count_at(v, got, j) != *count_at(v, want, j)) return "a count is wrong";
    for (int64_t i = 0; i < d; i++) {
      fh_wide magnitude = 0;
      for (int64_t row = 0; row < n; row++) {
        if (label_at(v, want, row) == j) magnitude += fabs((fh_wide)x_at(v, want, row, i));
      }
      const fh_wide found = (fh_wide)*sum_at(v, got, j, i), expected = (fh_wide)*sum_at(v, want, j, i);
      if (isnan(expected) ? isnan(found) : found == expected) continue;
      if (!(fabs(found - expected) <= (fh_wide)(*count_at(v, want, j) + 1) * FH_UNIT * magnitude))
        return "a sum is off by more than m u sum |x|";
    }
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t n, d, k;
} shape;

static const shape shapes[] = {{37, 5, 3},   {0, 4, 2},    {5, 3, 0},      {5, 0, 3},      {1, 1, 1},
                               {2, 16, 5},   {64, 17, 1},  {100, 15, 7},   {99, 33, 4},    {7, 48, 9},
                               {257, 31, 2}, {1000, 8, 3}, {1500, 20, 10}, {600, 130, 16}, {3000, 4, 40}};
static const shape bench_shapes[] = {{1000, 16, 8},     {10007, 31, 13},     {100000, 64, 16},
                                     {100000, 64, 256}, {100000, 128, 1024}, {1000000, 16, 64}};

static bool case_of(const shape *s, fh_case *out) {
  const int64_t n = s->n, d = s->d, k = s->k;
  const int64_t x[] = {n, d}, sums[] = {k, d};
  *out = (fh_case){
      .views = {fh_compact(FH_ELEMENT, 2, x), fh_compact(FH_I32, 1, &n), fh_compact(FH_ELEMENT, 2, sums), fh_compact(FH_I32, 1, &k)}};
  snprintf(out->label, sizeof out->label, "n=%" PRId64 " d=%" PRId64 " k=%" PRId64, n, d, k);
  return true;
}

FH_CASES_OF(case_of, shapes, bench_shapes)

/* Labels: half the rows in cluster 0, the rest spread; now and then one out of range, which must be passed over. */
static void update_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const int64_t count = fh_elements(&c->views[index]), k = c->views[SUMS].shape[0];
  for (int64_t i = 0; i < count; i++) {
    const uint64_t random = fh_next_random(&seed);
    const uint32_t r = (uint32_t)(random >> 33);
    if (index == X)
      ((fh_element *)data)[i] = (fh_element)fh_uniform(random);
    else if (r % 61 == 60)
      ((int32_t *)data)[i] = r & 64 ? INT32_MIN : (int32_t)k;
    else
      ((int32_t *)data)[i] = r % 2 || k == 0 ? 0 : (int32_t)(r / 2 % (uint32_t)k);
  }
}

/* ---- blocks of threads: for floats ---- */

#ifndef FH_OF_DOUBLES
enum { D_OPERAND = 5, K_OPERAND = 7, CHUNKS_OPERAND = 16 };

static fh_cluster_work work_of(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  return (fh_cluster_work){op[D_OPERAND].i, op[K_OPERAND].i, op[CHUNKS_OPERAND].i};
}
static void sums_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  fh_cluster_sums_shape(work_of(bound), out);
}
static void chunks_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_cluster_chunks_shape(work_of(bound), multiprocessors, out);
}
static const char *blocks_unfit(const fh_bound *bound) {
  return bound->stages[0].entry == PARTIAL_STAGE ? fh_cluster_unfit(work_of(bound)) : "there are no rows";
}
static const fh_block_step rest[] = {{"kmeans_update_chunks", chunks_shape}};
#define BLOCKS_OF_FLOATS                                                                                                               \
  FH_BLOCKS({"chunks", "kmeans_update_sums", "kmeans_update_block", FH_BLOCK_PORTABLE, false, FH_EXACT, sums_shape, blocks_unfit, 0.7, \
             .rest = rest, .rest_count = FH_LENGTH(rest)}),
#else
#define BLOCKS_OF_FLOATS
#endif

const fh_kernel_contract FH_CONTRACT_OF(kmeans_update) = {
    .name = FH_NAME_OF("kmeans_update"),
    .version = 1,
    .summary = "sums and counts of the rows of each cluster",
    .formula = "sums[j,i] = sum over rows r with labels[r] = j of x[r,i]; counts[j] = how many (Lloyd 1982, the update step)",
    FH_VIEWS(params),
    FH_ENTRIES(FH_ENTRY_OF("kmeans_update", "partial"), FH_ENTRY_OF("kmeans_update", "combine")),
    FH_EXACT_WITHIN(2048 * FH_UNIT, 0,
                    "m u sum |x| for m rows in a cluster (Higham 2002, eq. 4.4), element by element in compare; bound_rel is 2048 u"),
    .bind = update_bind,
    .reference = update_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = update_fill,
    .compare = update_compare,
    BLOCKS_OF_FLOATS};
