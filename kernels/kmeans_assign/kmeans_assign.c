/* The contract of kmeans_assign: the nearest centroid of each row. SPDX-License-Identifier: Apache-2.0
 *
 * A centroid whose distance is NaN never wins. A row without any finite distance gets some label in range and
 * that label's distance (NaN or infinity), so a label never points outside the centroids.
 */
#include "kernels/arithmetic.h"
#include "kernels/cases.h"
#include "kernels/element.h"
#include "kernels/metric.h"
#include "kernels/nearest_blocks.h"
#include "kernels/stage.h"
#include "kernels/tile/assign.h"
#include "kernels/tile/limits.h"
#include "kernels/unaligned.h"

#include <string.h>
#include <tgmath.h>

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_ELEMENT, "(n, d)", false},
    {"c", FH_ROLE_IN, FH_ELEMENT, "(k, d)", false},
    {"labels", FH_ROLE_OUT, FH_I32, "(n)", false},
    {"distances", FH_ROLE_OUT, FH_ELEMENT, "(n)", false},
};

enum { X, C, LABELS, DISTANCES };

static fh_status check_shapes(const fh_view_desc *v) {
  for (int i = X; i <= DISTANCES; i++) {
    int rank = i <= C ? 2 : 1;
    FH_TRY(fh_check_view("kmeans_assign", &params[i], &v[i], rank, rank));
  }
  FH_TRY(fh_check_extent("kmeans_assign", &params[C], &v[C], 1, "d", v[X].shape[1], "x"));
  FH_TRY(fh_check_extent("kmeans_assign", &params[LABELS], &v[LABELS], 0, "n", v[X].shape[0], "x"));
  FH_TRY(fh_check_extent("kmeans_assign", &params[DISTANCES], &v[DISTANCES], 0, "n", v[X].shape[0], "x"));
  if (v[C].shape[0] < 1 || v[C].shape[0] > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kmeans_assign: c has %" PRId64 " rows, expected 1 to %d centroids (labels are i32)",
                     v[C].shape[0], INT32_MAX);
  return FH_OK;
}

static fh_status kmeans_assign_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  FH_TRY(check_shapes(views));
  int64_t x_count = 0, c_count = 0;
  FH_TRY(fh_check_count("kmeans_assign", &params[X], &views[X], &x_count));
  FH_TRY(fh_check_count("kmeans_assign", &params[C], &views[C], &c_count));
  int64_t n = views[X].shape[0], d = views[X].shape[1], k = views[C].shape[0];
  if (n == 0) return FH_OK;

  fh_stage *stage = fh_add_stage(out, 0, n, 3.0 * (double)k * (double)d);
  stage->operand_count = (int32_t)FH_ASSIGN_SLOTS;
  fh_operand *op = stage->operands;
  op[FH_ASSIGN_X] = fh_op_view(FH_OPERAND_IN, X, 0);
  op[FH_ASSIGN_C] = fh_op_view(FH_OPERAND_IN, C, 0);
  op[FH_ASSIGN_LABELS] = fh_op_view(FH_OPERAND_OUT, LABELS, 0);
  op[FH_ASSIGN_DISTANCES] = fh_op_view(FH_OPERAND_OUT, DISTANCES, 0);
  op[FH_ASSIGN_N] = fh_op_i64(n);
  op[FH_ASSIGN_D] = fh_op_i64(d);
  op[FH_ASSIGN_K] = fh_op_i64(k);
  for (int i = 0; i < 2; i++) {
    op[FH_ASSIGN_X_STRIDES + i] = fh_op_i64(views[X].strides[i]);
    op[FH_ASSIGN_C_STRIDES + i] = fh_op_i64(views[C].strides[i]);
  }
  op[FH_ASSIGN_LABELS_STRIDE] = fh_op_i64(views[LABELS].strides[0]);
  op[FH_ASSIGN_DISTANCES_STRIDE] = fh_op_i64(views[DISTANCES].strides[0]);

  out->flops = 2.0 * (double)n * (double)k * (double)d; /* as a product: the least that it takes */
  out->bytes = (double)sizeof(fh_element) * ((double)x_count + (double)c_count + (double)n) + 4.0 * (double)n;
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

static fh_wide distance(const fh_view_desc *v, void *const *data, int64_t row, int64_t centroid) {
  fh_wide sum = 0;
  for (int64_t l = 0; l < v[X].shape[1]; l++) {
    fh_wide diff = fh_metric_element(&v[X], data[X], row, l) - fh_metric_element(&v[C], data[C], centroid, l);
    sum += diff * diff;
  }
  return sum;
}

static void kmeans_assign_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  (void)scalars;
  for (int64_t i = 0; i < v[X].shape[0]; i++) {
    int32_t label = 0;
    fh_wide best = INFINITY;
    for (int64_t j = 0; j < v[C].shape[0]; j++) {
      fh_wide d = distance(v, data, i, j);
      if (d < best) {
        best = d;
        label = (int32_t)j;
      }
    }
    ((fh_i32_any *)data[LABELS])[i * v[LABELS].strides[0]] = label;
    ((fh_element_any *)data[DISTANCES])[i * v[DISTANCES].strides[0]] = (fh_element)distance(v, data, i, label);
  }
}

/* What may be right for one row:
 *  - the label's true distance D is within D <= best (1 + 4 (d + 8) u) + (4 u)^2 ||x||^2 + 2 d FH_LEAST, u = FH_UNIT:
 *    a direct sum is off by (d + 2) u at most, so it cannot tell apart what lies closer; the absolute term is
 *    what one rounding of the row itself does to a distance;
 *  - of centroids that are equal the lowest is taken;
 *  - the distance given is that label's own, within 2 (d + 4) u of its true value. */
static const char *compare_row(const fh_view_desc *v, void *const *got, void *const *want, int64_t i) {
  int32_t label = ((const fh_i32_any *)got[LABELS])[i * v[LABELS].strides[0]];
  int32_t best_label = ((const fh_i32_any *)want[LABELS])[i * v[LABELS].strides[0]];
  if (label < 0 || label >= v[C].shape[0]) return "a label is out of range";
  fh_element given = ((const fh_element_any *)got[DISTANCES])[i * v[DISTANCES].strides[0]];
  fh_wide best = distance(v, want, i, best_label), own = distance(v, want, i, label), d = (fh_wide)v[X].shape[1];
  if (!(best < (fh_wide)FH_MOST)) return isfinite(given) ? "a finite distance where none is" : NULL;
  fh_wide norm = 0;
  for (int64_t l = 0; l < v[X].shape[1]; l++) norm += fh_metric_element(&v[X], want[X], i, l) * fh_metric_element(&v[X], want[X], i, l);
  fh_wide tiny = 2 * (d + 1) * FH_LEAST;
  if (!(own <= best * (1 + 4 * (d + 8) * FH_UNIT) + 16 * FH_UNIT * FH_UNIT * norm + tiny))
    return "a label's centroid is farther than the best by more than the bound";
  if (label > best_label && fh_metric_same_row(&v[C], want[C], label, best_label)) return "a label is not the lowest of equal centroids";
  if (!(fabs((fh_wide)given - own) <= 2 * (d + 4) * FH_UNIT * own + tiny)) return "a distance is not that of its label";
  return NULL;
}

static const char *kmeans_assign_compare(const fh_case *c, void *const *got, void *const *want) {
  for (int64_t i = 0; i < c->views[X].shape[0]; i++) {
    const char *wrong = compare_row(c->views, got, want, i);
    if (wrong) return wrong;
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t n, d, k;
} shape;

static const shape shapes[] = {
    {7, 5, 3},     {1, 1, 1},      {2, 0, 3},     {0, 4, 2},     {3, 2, 1},     {15, 16, 17},   {16, 17, 15},
    {17, 1, 33},   {33, 31, 2},    {31, 33, 16},  {64, 3, 64},   {65, 64, 7},   {63, 65, 10},   {100, 8, 5},
    {127, 15, 31}, {129, 100, 13}, {128, 2, 200}, {200, 63, 65}, {257, 32, 14}, {1000, 16, 29},
};
static const shape bench_shapes[] = {
    {1000, 16, 8}, {10007, 31, 13}, {100000, 64, 16}, {100000, 64, 256}, {100000, 128, 1024}, {1000000, 16, 64}, {60000, 784, 10},
};

static bool case_of(const shape *s, fh_case *out) {
  const int64_t n = s->n, d = s->d, k = s->k;
  *out = (fh_case){
      .views = {{FH_ELEMENT, 2, {n, d}, {d, 1}}, {FH_ELEMENT, 2, {k, d}, {d, 1}}, {FH_I32, 1, {n}, {1}}, {FH_ELEMENT, 1, {n}, {1}}}};
  snprintf(out->label, sizeof out->label, "n%" PRId64 " d%" PRId64 " k%" PRId64, n, d, k);
  return true;
}

FH_CASES_OF(case_of, shapes, bench_shapes)

#if FH_HAS_TUNED
/* Against one centroid there is nothing to reuse: a plain pass took 0.6 of the time on 60 000 x 784. */
static const char *unfit(const fh_bound *bound) {
  const fh_operand *operands = bound->stages[0].operands;
  if (operands[FH_ASSIGN_K].i == 1) return "one centroid: a plain pass over the rows is faster";
  return fh_tile_unfit(operands[FH_ASSIGN_D].i);
}
#endif

/* ---- blocks of threads: for floats -------------------------------------------------------------------------------------- */

#ifndef FH_OF_DOUBLES
/* Blocks stride over the rows: enough to keep a device busy to the end, however many rows there are. */
static void rows_shape(const fh_bound *bound, int rows, int multiprocessors, fh_block_shape *out) {
  enum { THREADS = 256, MOST = 64 };
  const int64_t blocks = fh_divide_up(bound->stages[0].operands[FH_ASSIGN_N].i, rows);
  const int64_t most = MOST * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  *out = (fh_block_shape){.grid = {(uint32_t)fh_least(blocks, most), 1, 1}, .threads = THREADS};
}
static void tiles_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  rows_shape(bound, FH_NEAREST_TILE, multiprocessors, out);
}
static void few_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  rows_shape(bound, FH_NEAREST_FEW_ROWS, multiprocessors, out);
}
static const char *tiles_unfit(const fh_bound *bound) {
  return bound->stages[0].operands[FH_ASSIGN_K].i < FH_NEAREST_MANY ? FH_NEAREST_TOO_FEW : NULL;
}
static const char *few_unfit(const fh_bound *bound) {
  return bound->stages[0].operands[FH_ASSIGN_K].i >= FH_NEAREST_MANY ? FH_NEAREST_TOO_MANY : NULL;
}
static const fh_block_step mma_rest[] = {{"kmeans_assign_mma", fh_nearest_mma_shape}};
static const fh_block_step wide_rest[] = {{"kmeans_assign_wide", fh_nearest_wide_shape}};
#define BLOCKS_OF_FLOATS                                                                                                                  \
  FH_BLOCKS({"tiles", "kmeans_assign_tiles", "kmeans_assign_block", FH_BLOCK_PORTABLE, false, FH_BOUNDED, tiles_shape, tiles_unfit, 0.3}, \
            {"few", "kmeans_assign_few", "kmeans_assign_block", FH_BLOCK_PORTABLE, false, FH_EXACT, few_shape, few_unfit, 0.3},           \
            FH_NEAREST_SKETCHED("mma", "kmeans_assign", fh_nearest_mma_unfit, 0.95, mma_rest),                                            \
            FH_NEAREST_SKETCHED("wide", "kmeans_assign", fh_nearest_wide_unfit, 0.9, wide_rest)),
#else
#define BLOCKS_OF_FLOATS
#endif

const fh_kernel_contract FH_CONTRACT_OF(kmeans_assign) = {
    .name = FH_NAME_OF("kmeans_assign"),
    .version = 1,
    .summary = "nearest centroid of each row, with its squared distance",
    .formula = "labels[i] = argmin_j ||x[i] - c[j]||^2, lowest j on a tie",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2), 0, FH_RANK(1), FH_RANK(1)),
    FH_ENTRIES(FH_NAME_OF("kmeans_assign")),
    FH_EXACT_WITHIN(4096 * FH_UNIT, 0,
                    "a direct sum of d squares is off by (d + 2) " FH_UNIT_TEXT "; labels are judged by true distance in compare"),
    .bind = kmeans_assign_bind,
    .reference = kmeans_assign_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .compare = kmeans_assign_compare,
    FH_TUNED(({"tuned", FH_ISA_AVX512, FH_BOUNDED, FH_ASSIGN_TUNED(kmeans_assign, avx512), unfit, 0.8, 0},
              {"tuned", FH_ISA_AVX2, FH_BOUNDED, FH_ASSIGN_TUNED(kmeans_assign, avx2), unfit, 0.75, 0}),
             ({"tuned", FH_ISA_NEON, FH_BOUNDED, FH_ASSIGN_TUNED(kmeans_assign, neon), unfit, 0.75, 0})),
    BLOCKS_OF_FLOATS};
