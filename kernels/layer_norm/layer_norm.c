/* The contract of layer_norm over rows. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/norm_blocks.h"
#include "kernels/rows.h"
#include "kernels/tile/rows.h"

#include <math.h>

enum { X, GAMMA, BETA, Y };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(rows, d), (d) or (n, rows, d)", true},
    {"gamma", FH_ROLE_IN, FH_F32, "(d)", false},
    {"beta", FH_ROLE_IN, FH_F32, "(d)", false},
    {"y", FH_ROLE_OUT, FH_F32, "that of x", false},
};

static const fh_scalar_param scalars_of[] = {{"eps", 'f', 1e-5, "added to the variance; not negative"}};

static fh_status layer_norm_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  const double eps = scalars[0].f;
  int64_t count = 0;
  FH_TRY(fh_check_rows("layer_norm", params, views, Y, &count));
  for (int i = GAMMA; i <= BETA; i++) FH_TRY(fh_check_row_weights("layer_norm", params, views, i));
  FH_TRY(fh_check_eps("layer_norm", eps));
  if (count == 0) return FH_OK;

  const fh_rows x = fh_rows_of(&views[X]), y = fh_rows_of(&views[Y]);
  fh_stage *stage = fh_add_rows_stage(out, 0, &x, 8);
  for (int i = X; i <= BETA; i++) fh_push(stage, fh_op_view(FH_OPERAND_IN, i, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_f32((float)eps));
  FH_PUSH_I64(stage, fh_norm_stream(&x), views[GAMMA].strides[0], views[BETA].strides[0]);
  fh_norm_operands(stage, &x, &y);
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
static bool layer_norm_complete(int i, fh_case *out) {
  const int64_t d = out->views[X].shape[out->views[X].rank - 1];
  out->views[Y] = out->views[X];
  out->views[GAMMA] = out->views[BETA] = fh_compact(FH_F32, 1, &d);
  out->scalars[0].f = i % 2 ? 1e-3 : 1e-5;
  return true;
}

static bool layer_norm_case_at(int i, fh_case *out) { return fh_rows_case(i, out) && layer_norm_complete(i, out); }
static bool layer_norm_bench_at(int i, fh_case *out) { return fh_rows_bench(i, out) && layer_norm_complete(i, out); }

const fh_kernel_contract fh_contract_layer_norm = {
    .name = "layer_norm",
    .version = 1,
    .summary = "layer normalisation over the last dimension, in place allowed",
    .formula =
        "y[r,i] = (x[r,i] - mean_r) / sqrt(var_r + eps) gamma[i] + beta[i], biased variance about the mean, two passes "
        "(Ba, Kiros, Hinton: Layer Normalization, 2016)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), 0, 0, FH_RANK(2) | FH_RANK(3)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("layer_norm"),
    FH_EXACT_WITHIN(0x1p-18, 0x1p-16,
                    "u = 2^-24, t = d / 64 + 9: the mean is off by t u max|x|, the variance by 2 t u, so y by about "
                    "(t max|x| / sqrt(var + eps) + (t + 6) |x - mean| / sqrt(var + eps)) |gamma| u; with |x| <= 1, |gamma| <= 1, "
                    "sqrt(var + eps) >= 0.3 (uniform data) that is under 256 u for d up to 2500"),
    .bind = layer_norm_bind,
    .reference = layer_norm_reference,
    .case_at = layer_norm_case_at,
    .bench_at = layer_norm_bench_at,
    FH_TUNED_ROWS(layer_norm, fh_rows_unfit_long),
    FH_BLOCKS_OF_ROWS(layer_norm, norm),
};
