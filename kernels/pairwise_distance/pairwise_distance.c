/* The contract of pairwise_distance: a metric of each row of x and each row of y. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/pairwise_distance/pairwise_distance.h"
#include "kernels/arithmetic.h"
#include "kernels/metric.h"
#include "kernels/rows.h"
#include "kernels/tile/limits.h"

#include <float.h>
#include <math.h>

enum { X, Y, OUT };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(m, d)", false},
    {"y", FH_ROLE_IN, FH_F32, "(n, d)", false},
    {"out", FH_ROLE_OUT, FH_F32, "(m, n)", false},
};
static const fh_scalar_param scalars_of[] = {{"metric", 'i', FH_METRIC_L2, "0: squared L2, 1: inner product, 2: cosine distance"}};

static fh_metric metric_of(const fh_value *scalars) { return scalars ? (fh_metric)scalars[0].i : FH_METRIC_L2; }

static fh_status pairwise_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  FH_TRY(fh_check_metric("pairwise_distance", scalars ? scalars[0].i : FH_METRIC_L2, FH_METRIC_COSINE));
  for (int i = X; i <= OUT; i++) FH_TRY(fh_check_view("pairwise_distance", &params[i], &v[i], 2, 2));
  FH_TRY(fh_check_extent("pairwise_distance", &params[Y], &v[Y], 1, "d", v[X].shape[1], "x"));
  FH_TRY(fh_check_extent("pairwise_distance", &params[OUT], &v[OUT], 0, "m", v[X].shape[0], "x"));
  FH_TRY(fh_check_extent("pairwise_distance", &params[OUT], &v[OUT], 1, "n", v[Y].shape[0], "y"));
  int64_t counts[3];
  for (int i = X; i <= OUT; i++) FH_TRY(fh_check_count("pairwise_distance", &params[i], &v[i], &counts[i]));
  const int64_t m = v[X].shape[0], n = v[Y].shape[0], d = v[X].shape[1], blocks = n / 16 + (n % 16 != 0);
  if (counts[OUT] == 0) return FH_OK;

  fh_stage *stage = fh_add_stage(out, 0, m * blocks, 32.0 * (double)d);
  fh_operand *op = stage->operands;
  op[FH_PAIRWISE_X] = fh_op_view(FH_OPERAND_IN, X, 0);
  op[FH_PAIRWISE_Y] = fh_op_view(FH_OPERAND_IN, Y, 0);
  op[FH_PAIRWISE_OUT] = fh_op_view(FH_OPERAND_OUT, OUT, 0);
  op[FH_PAIRWISE_M] = fh_op_i64(m);
  op[FH_PAIRWISE_N] = fh_op_i64(n);
  op[FH_PAIRWISE_D] = fh_op_i64(d);
  op[FH_PAIRWISE_METRIC] = fh_op_i64(metric_of(scalars));
  op[FH_PAIRWISE_BLOCKS] = fh_op_i64(blocks);
  for (int i = 0; i < 2; i++) {
    op[FH_PAIRWISE_X_STRIDES + i] = fh_op_i64(v[X].strides[i]);
    op[FH_PAIRWISE_Y_STRIDES + i] = fh_op_i64(v[Y].strides[i]);
    op[FH_PAIRWISE_OUT_STRIDES + i] = fh_op_i64(v[OUT].strides[i]);
  }
  stage->operand_count = FH_PAIRWISE_SLOTS;
  out->flops = 2.0 * (double)counts[OUT] * (double)d;
  out->bytes = 4.0 * ((double)counts[X] + (double)counts[Y] + (double)counts[OUT]);
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

static float *out_at(const fh_view_desc *v, void *const *data, int64_t i, int64_t j) {
  return (float *)data[OUT] + i * v[OUT].strides[0] + j * v[OUT].strides[1];
}

static void pairwise_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  for (int64_t i = 0; i < v[X].shape[0]; i++)
    for (int64_t j = 0; j < v[Y].shape[0]; j++)
      *out_at(v, data, i, j) = (float)fh_metric_value(metric_of(scalars), &v[X], data[X], i, &v[Y], data[Y], j, NULL);
}

static const char *pairwise_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  const fh_metric metric = metric_of(c->scalars);
  for (int64_t i = 0; i < v[X].shape[0]; i++) {
    for (int64_t j = 0; j < v[Y].shape[0]; j++) {
      double bound;
      const double exact = fh_metric_value(metric, &v[X], want[X], i, &v[Y], want[Y], j, &bound);
      const double found = (double)*out_at(v, got, i, j);
      if (isnan(exact) ? isnan(found) : found == exact) continue;
      if (metric == FH_METRIC_L2 && found < 0) return "a squared distance is negative";
      if (fabs(exact) + bound > (double)FLT_MAX && !(isinf(exact) && bound < INFINITY)) continue; /* may overflow on the way */
      if (!(fabs(found - exact) <= bound)) return "a distance is off by more than its bound";
    }
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

static const int64_t shapes[][3] = {
    /* m, n, d */
    {3, 5, 4},    {1, 1, 1},    {0, 4, 3},    {4, 0, 3},    {2, 3, 0},    {1, 17, 9},    {7, 1, 31},     {15, 16, 17},
    {16, 33, 2},  {5, 64, 65},  {8, 100, 64}, {31, 32, 33}, {63, 65, 64}, {100, 7, 63},  {65, 127, 31},  {12, 40, 128},
    {2, 200, 90}, {64, 64, 16}, {129, 3, 24}, {40, 37, 19}, {8, 31, 127}, {13, 11, 257}, {100, 129, 12}, {14, 1100, 70},
};

static bool set_case(const int64_t s[3], fh_metric metric, fh_case *out) {
  const int64_t x[] = {s[0], s[2]}, y[] = {s[1], s[2]};
  *out = (fh_case){.views = {fh_compact(FH_F32, 2, x), fh_compact(FH_F32, 2, y), fh_compact(FH_F32, 2, s)}};
  out->scalars[0].i = metric;
  snprintf(out->label, sizeof out->label, "%s %" PRId64 "x%" PRId64 "x%" PRId64, fh_metric_name(metric), s[0], s[1], s[2]);
  return true;
}

/* All metrics of the first shape first: the self-test's. */
static bool pairwise_case_at(int i, fh_case *out) {
  enum { COUNT = sizeof shapes / sizeof *shapes };
  return i >= 0 && i < 3 * COUNT && set_case(shapes[i / 3], (fh_metric)(i % 3), out);
}

static bool pairwise_bench_at(int i, fh_case *out) {
  static const int64_t all[][3] = {{32, 32, 16},     {64, 64, 64},       {127, 131, 137},  {256, 256, 128},
                                   {1000, 1000, 64}, {1024, 1024, 1024}, {509, 4099, 96},  {1, 100000, 64},
                                   {8, 100000, 128}, {32, 50000, 128},   {2048, 2048, 16}, {300, 20000, 784}};
  enum { COUNT = sizeof all / sizeof *all };
  return i >= 0 && i < 3 * COUNT && set_case(all[i % COUNT], (fh_metric)(i / COUNT), out);
}

#if FH_HAS_TUNED
static const char *unfit(const fh_bound *bound) { return fh_tile_unfit(bound->stages[0].operands[FH_PAIRWISE_D].i); }

FH_PAIRS_TUNED(pairwise)
#endif

/* ---- blocks of threads -------------------------------------------------------------------------------------------------- */

enum { BLOCK_SIDE = 128, BLOCK_THREADS = 256 };

static void tiles_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  const fh_operand *op = bound->stages[0].operands;
  const int64_t tiles = fh_divide_up(op[FH_PAIRWISE_M].i, BLOCK_SIDE) * fh_divide_up(op[FH_PAIRWISE_N].i, BLOCK_SIDE);
  *out = (fh_block_shape){.grid = {(uint32_t)tiles, 1, 1}, .threads = BLOCK_THREADS};
}

/* The speed of a tile is that of a whole one, however few of its rows there are. */
static const char *tiles_unfit(const fh_bound *bound, fh_metric metric) {
  const fh_operand *op = bound->stages[0].operands;
  if (op[FH_PAIRWISE_METRIC].i != (int64_t)metric) return "it is for another metric";
  if (op[FH_PAIRWISE_M].i < BLOCK_SIDE / 4 || op[FH_PAIRWISE_N].i < BLOCK_SIDE / 4) return "fewer than 32 rows leave most of a tile empty";
  return (double)op[FH_PAIRWISE_M].i * (double)op[FH_PAIRWISE_N].i > 0x1p44 ? "more tiles than a grid has blocks" : NULL;
}
static const char *squares_unfit(const fh_bound *bound) { return tiles_unfit(bound, FH_METRIC_L2); }
static const char *products_unfit(const fh_bound *bound) { return tiles_unfit(bound, FH_METRIC_DOT); }
static const char *cosines_unfit(const fh_bound *bound) { return tiles_unfit(bound, FH_METRIC_COSINE); }

const fh_kernel_contract fh_contract_pairwise_distance = {
    .name = "pairwise_distance",
    .version = 1,
    .summary = "squared distance, inner product or cosine distance of all pairs of rows",
    .formula = "out[i,j] = sum_l (x[i,l] - y[j,l])^2, or x[i].y[j], or 1 - x[i].y[j] / (|x[i]||y[j]|)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2), 0, FH_RANK(2)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("pairwise_distance"),
    FH_EXACT_WITHIN(
        0x1p-13, 0,
        "(d + 2) 2^-24 of a sum of d squares, gamma_d sum |x||y| of a product (Higham 2002, eq. 3.5), element by element in compare"),
    .bind = pairwise_bind,
    .reference = pairwise_reference,
    .case_at = pairwise_case_at,
    .bench_at = pairwise_bench_at,
    .compare = pairwise_compare,
    FH_TUNED(({"tuned", FH_ISA_AVX512, FH_BOUNDED, run_avx512, scratch_avx512, unfit, 0.9, 0},
              {"tuned", FH_ISA_AVX2, FH_BOUNDED, run_avx2, scratch_avx2, unfit, 0.85, 0}),
             ({"tuned", FH_ISA_NEON, FH_BOUNDED, run_neon, scratch_neon, unfit, 0.85, 0})),
    FH_BLOCKS(
        {"squares", "pairwise_squares", "pairwise_distance_block", FH_BLOCK_PORTABLE, false, FH_BOUNDED, tiles_shape, squares_unfit, 0.3},
        {"products", "pairwise_products", "pairwise_distance_block", FH_BLOCK_PORTABLE, false, FH_BOUNDED, tiles_shape, products_unfit,
         0.5},
        {"cosines", "pairwise_cosines", "pairwise_distance_block", FH_BLOCK_PORTABLE, false, FH_BOUNDED, tiles_shape, cosines_unfit, 0.4}),
};
