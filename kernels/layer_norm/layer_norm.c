/* The contract of layer_norm over rows. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rows.h"

#include <float.h>
#include <math.h>

enum { X, GAMMA, BETA, Y };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(rows, d), (d) or (n, rows, d)", true},
    {"gamma", FH_ROLE_IN, FH_F32, "(d)", false},
    {"beta", FH_ROLE_IN, FH_F32, "(d)", false},
    {"y", FH_ROLE_OUT, FH_F32, "that of x", false},
};

static const fh_scalar_param scalars_of[] = {{"eps", 'f', 1e-5, "added to the variance; not negative"}};

static fh_status layer_norm_check(const fh_view_desc *v, double eps, int64_t *out_count) {
  FH_TRY(fh_check_rows("layer_norm", params, v, Y, out_count));
  for (int i = GAMMA; i <= BETA; i++) {
    FH_TRY(fh_check_view("layer_norm", &params[i], &v[i], 1, 1));
    FH_TRY(fh_check_extent("layer_norm", &params[i], &v[i], 0, "d", v[X].shape[v[X].rank - 1], "x"));
  }
  if (!(eps >= 0 && eps <= (double)FLT_MAX))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_layer_norm: eps is %g, expected a number from 0 to %g", eps, (double)FLT_MAX);
  return FH_OK;
}

static fh_status layer_norm_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  *out = (fh_bound){0};
  int64_t count = 0;
  FH_TRY(layer_norm_check(views, scalars[0].f, &count));
  if (count == 0) return FH_OK;

  const fh_rows x = fh_rows_of(&views[X]), y = fh_rows_of(&views[Y]);
  fh_stage *stage = &out->stages[0];
  out->stage_count = 1;
  stage->items = x.rows;
  stage->flops_per_item = 8.0 * (double)x.d;
  for (int i = X; i <= BETA; i++) stage->operands[i] = fh_op_view(FH_OPERAND_IN, i, 0);
  stage->operands[Y] = fh_op_view(FH_OPERAND_OUT, Y, 0);
  stage->operands[4] = fh_op_f32((float)scalars[0].f);
  stage->operands[5] = fh_op_i64(views[GAMMA].strides[0]);
  stage->operands[6] = fh_op_i64(views[BETA].strides[0]);
  stage->operands[7] = fh_op_i64(fh_rows_stream(count));
  stage->operand_count = 8;
  fh_rows_operands(stage, &x, &y);
  out->flops = stage->flops_per_item * (double)x.rows;
  out->bytes = 8.0 * (double)count + 8.0 * (double)x.d;
  return FH_OK;
}

/* Mean, variance and largest magnitude of a row. */
typedef struct moments {
  double mean, variance, largest;
} moments;

static moments moments_of(const fh_rows *x, const float *from, int64_t row) {
  moments m = {0};
  for (int64_t i = 0; i < x->d; i++) {
    const double v = (double)from[fh_rows_at(x, row, i)];
    m.mean += v;
    m.largest = fmax(m.largest, fabs(v));
  }
  m.mean /= (double)x->d;
  for (int64_t i = 0; i < x->d; i++) {
    const double c = (double)from[fh_rows_at(x, row, i)] - m.mean;
    m.variance += c * c;
  }
  m.variance /= (double)x->d;
  return m;
}

static void layer_norm_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  const fh_rows x = fh_rows_of(&v[X]), y = fh_rows_of(&v[Y]);
  const float *from = data[X], *gamma = data[GAMMA], *beta = data[BETA];
  const double eps = (double)(float)scalars[0].f;
  for (int64_t row = 0; row < x.rows; row++) {
    const moments m = moments_of(&x, from, row);
    const double root = sqrt(m.variance + eps);
    for (int64_t i = 0; i < x.d; i++) {
      const double c = (double)from[fh_rows_at(&x, row, i)] - m.mean;
      const double g = (double)gamma[i * v[GAMMA].strides[0]], b = (double)beta[i * v[BETA].strides[0]];
      ((float *)data[Y])[fh_rows_at(&y, row, i)] = (float)(c / root * g + b);
    }
  }
}

/* The rest of a case from the shape of x. */
static void layer_norm_complete(int i, fh_case *out) {
  const int64_t d = out->views[X].shape[out->views[X].rank - 1];
  out->views[Y] = out->views[X];
  out->views[GAMMA] = out->views[BETA] = fh_compact(FH_F32, 1, &d);
  out->scalars[0].f = i % 2 ? 1e-3 : 1e-5;
}

static bool layer_norm_case_at(int i, fh_case *out) {
  *out = (fh_case){0};
  if (!fh_rows_case(i, &out->views[X], out->label)) return false;
  layer_norm_complete(i, out);
  return true;
}

static bool layer_norm_bench_at(int i, fh_case *out) {
  *out = (fh_case){0};
  if (!fh_rows_bench(i, &out->views[X], out->label)) return false;
  layer_norm_complete(i, out);
  return true;
}

static const char *const entries[] = {"layer_norm"};

const fh_kernel_contract fh_contract_layer_norm = {
    .name = "layer_norm",
    .version = 1,
    .summary = "layer normalisation over the last dimension, in place allowed",
    .formula =
        "y[r,i] = (x[r,i] - mean_r) / sqrt(var_r + eps) gamma[i] + beta[i], biased variance about the mean, two passes "
        "(Ba, Kiros, Hinton: Layer Normalization, 2016)",
    .views = params,
    .view_count = 4,
    .scalars = scalars_of,
    .scalar_count = 1,
    .entries = entries,
    .entry_count = 1,
    .dialect_numerics = FH_EXACT,
    .bound_rel = 0x1p-18,
    .bound_abs = 0x1p-16,
    .bound_source =
        "u = 2^-24, t = d / 64 + 9: the mean is off by t u max|x|, the variance by 2 t u, so y by about "
        "(t max|x| / sqrt(var + eps) + (t + 6) |x - mean| / sqrt(var + eps)) |gamma| u; with |x| <= 1, |gamma| <= 1, "
        "sqrt(var + eps) >= 0.3 (uniform data) that is under 256 u for d up to 2500",
    .bind = layer_norm_bind,
    .reference = layer_norm_reference,
    .case_at = layer_norm_case_at,
    .bench_at = layer_norm_bench_at,
};
