/* The contract of dtw: dynamic time warping of many pairs of series. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "kernels/arithmetic.h"
#include "kernels/cases.h"
#include "kernels/check.h"
#include "kernels/stage.h"

enum { X, Y, DISTANCE };
enum { LANES = 16, MOST_ITEMS = 1024 };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(pairs, n): a series in each row", false},
    {"y", FH_ROLE_IN, FH_F32, "(pairs, m)", false},
    {"distance", FH_ROLE_OUT, FH_F32, "(pairs)", false},
};
static const fh_scalar_param scalars_of[] = {{"window", 'i', 0, "how far i and j may be apart (Sakoe and Chiba 1978); 0: any distance"}};

static fh_status check(const fh_view_desc *views, int64_t window) {
  static const int ranks[] = {2, 2, 1};
  for (int v = X; v <= DISTANCE; v++) {
    FH_TRY(fh_check_view("dtw", &params[v], &views[v], ranks[v], ranks[v]));
    FH_TRY(fh_check_extent("dtw", &params[v], &views[v], 0, "pairs", views[X].shape[0], "x"));
    if (v < DISTANCE && views[v].shape[1] < 1)
      return FH_STATUS(FH_INVALID_ARGUMENT, "dtw: %s has series without a sample, expected one at least", params[v].name);
  }
  if (window < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "dtw: window is %lld, expected a number from 0 on", (long long)window);
  return FH_OK;
}

/* With one that reaches everywhere the text needs no other way. */
static int64_t window_of(const fh_view_desc *views, const fh_value *scalars) {
  const int64_t all = fh_most(views[X].shape[1], views[Y].shape[1]);
  return scalars[0].i > 0 ? fh_least(scalars[0].i, all) : all;
}

static fh_status dtw_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  *out = (fh_bound){0};
  FH_TRY(check(views, scalars[0].i));
  const int64_t pairs = views[X].shape[0], n = views[X].shape[1], m = views[Y].shape[1], window = window_of(views, scalars);
  if (pairs == 0) return FH_OK;
  const int64_t groups = fh_divide_up(pairs, LANES), items = fh_least(groups, MOST_ITEMS);
  const double cells = (double)n * fmin((double)m, 2.0 * (double)window + 1);
  int64_t columns;
  if (__builtin_mul_overflow(m, 2 * LANES, &columns)) columns = INT64_MAX - LANES; /* which the next line refuses */
  FH_TRY(fh_check_scratch("dtw", items, columns + LANES, sizeof(float), &out->temp_bytes[0]));
  out->temp_count = 1;
  fh_stage *stage = fh_add_stage(out, 0, items, 4.0 * (double)(fh_divide_up(groups, items) * LANES) * cells);
  fh_push_views(stage, params, X, DISTANCE);
  fh_push(stage, fh_op_temp(0));
  FH_PUSH_I64(stage, pairs, items * LANES, n, m, window);
  fh_push_strides(stage, views, X, DISTANCE);
  out->flops = 4.0 * (double)pairs * cells;
  out->bytes = 4.0 * (double)pairs * (double)(n + m + 1);
  return FH_OK;
}

/* As the dialect has it: the second where they are equal or one is a NaN. */
static double least(double a, double b) { return a < b ? a : b; }

static double distance_of(const fh_view_desc *views, void *const *data, int64_t pair, int64_t window, double *row) {
  const int64_t n = views[X].shape[1], m = views[Y].shape[1];
  const float *x = (const float *)data[X] + pair * views[X].strides[0], *y = (const float *)data[Y] + pair * views[Y].strides[0];
  row[0] = 0;
  for (int64_t j = 1; j <= m; j++) row[j] = INFINITY;
  for (int64_t i = 1; i <= n; i++) {
    double corner = row[0], left = INFINITY;
    row[0] = INFINITY;
    for (int64_t j = 1; j <= m; j++) {
      const double above = row[j], cost = fabs((double)x[(i - 1) * views[X].strides[1]] - (double)y[(j - 1) * views[Y].strides[1]]);
      left = llabs(i - j) <= window ? cost + least(least(corner, above), left) : INFINITY;
      row[j] = left;
      corner = above;
    }
  }
  return row[m];
}

static void dtw_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  double *row = malloc(sizeof *row * (size_t)(views[Y].shape[1] + 1));
  for (int64_t pair = 0; pair < views[X].shape[0]; pair++)
    ((float *)data[DISTANCE])[pair * views[DISTANCE].strides[0]] =
        row ? (float)distance_of(views, data, pair, window_of(views, scalars), row) : -1; /* no memory: no answer passes */
  free(row);
}

static bool dtw_case_at(int i, fh_case *out) {
  static const int64_t sizes[][4] = {{19, 8, 11, 0}, {0, 3, 3, 0},     {1, 1, 1, 0},    {16, 30, 30, 3}, {17, 5, 40, 2},
                                     {17, 40, 5, 2}, {33, 64, 48, 20}, {40, 12, 12, 1}, {5, 130, 100, 0}};
  *out = (fh_case){0};
  if (i < 0 || i >= FH_LENGTH(sizes)) return false;
  const int64_t *s = sizes[i];
  snprintf(out->label, sizeof out->label, "%lld pairs of %lld and %lld, window %lld", (long long)s[0], (long long)s[1], (long long)s[2],
           (long long)s[3]);
  out->views[X] = fh_compact(FH_F32, 2, (const int64_t[]){s[0], s[1]});
  out->views[Y] = fh_compact(FH_F32, 2, (const int64_t[]){s[0], s[2]});
  out->views[DISTANCE] = fh_compact(FH_F32, 1, s);
  out->scalars[0].i = s[3];
  return true;
}

const fh_kernel_contract fh_contract_dtw = {
    .name = "dtw",
    .version = 1,
    .summary = "the least sum of |x[i] - y[j]| over all ways to walk through both series together",
    .formula = "D[i,j] = |x[i] - y[j]| + min(D[i-1,j-1], D[i-1,j], D[i,j-1]) (Sakoe and Chiba 1978)",
    FH_VIEWS(params),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("dtw"),
    FH_EXACT_WITHIN(0x1p-14, 0x1p-149, "n + m additions of numbers that are not negative, each within 2^-24, for n + m up to 1000"),
    .bind = dtw_bind,
    .reference = dtw_reference,
    .case_at = dtw_case_at,
};
