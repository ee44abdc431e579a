/* The contract of resize: images at another size. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "kernels/arithmetic.h"
#include "kernels/cases.h"
#include "kernels/check.h"
#include "kernels/stage.h"
#include "kernels/unaligned.h"

enum { X, Y };
enum { BILINEAR, AREA };                     /* scalar 0 */
enum { WINDOWS_STAGE, F32_STAGE, U8_STAGE }; /* entries */
enum { PLACES, WEIGHTS, ROWS, TEMPS };       /* scratch */
enum { SIDE_MOST = 1 << 20, SCRATCH = 64 << 20, SPARE = 128 /* FH_NEAR_SPARE of the text */, WINDOWS = 16 /* likewise */ };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(n, h, w, c); f32 or u8", false},
    {"y", FH_ROLE_OUT, FH_F32, "(n, h', w', c), of the type of x", false},
};
static const fh_scalar_param scalars_of[] = {{"method", 'i', BILINEAR, "0 bilinear, 1 area"}};

/* Most elements of a window. */
static int64_t taps_of(int64_t method, int64_t n, int64_t to) { return method == BILINEAR ? 2 : n % to == 0 ? n / to : n / to + 2; }

static fh_status resize_check(const fh_view_desc *v, const fh_value *scalars, int64_t *out_count) {
  if ((v[X].dtype != FH_F32 && v[X].dtype != FH_U8) || v[X].dtype != v[Y].dtype)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resize: x has type %s and y %s, expected f32 or u8, and the same of both",
                     fh_dtype_name(v[X].dtype), fh_dtype_name(v[Y].dtype));
  char text[FH_CHECK_TEXT];
  int64_t count;
  for (int i = X; i <= Y; i++) {
    fh_view_param typed = params[i];
    typed.dtype = v[X].dtype;
    FH_TRY(fh_check_view("resize", &typed, &v[i], 4, 4));
    if (v[i].shape[1] > SIDE_MOST || v[i].shape[2] > SIDE_MOST)
      return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resize: %s has shape %s, expected a height and a width of at most 2^20", params[i].name,
                       fh_check_shape_text(&v[i], text));
    FH_TRY(fh_check_count("resize", &params[i], &v[i], i == X ? &count : out_count));
  }
  FH_TRY(fh_check_extent("resize", &params[Y], &v[Y], 0, "n", v[X].shape[0], "x"));
  FH_TRY(fh_check_extent("resize", &params[Y], &v[Y], 3, "c", v[X].shape[3], "x"));
  if (scalars[0].i != BILINEAR && scalars[0].i != AREA)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resize: method is %" PRId64 ", expected 0 (bilinear) or 1 (area)", scalars[0].i);
  if (*out_count > 0 && count == 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resize: x has shape %s and holds no pixel, but y wants %" PRId64,
                     fh_check_shape_text(&v[X], text), *out_count);
  return FH_OK;
}

/* Are the channels of a pixel, and the pixels of a line, side by side? */
static bool packed(const fh_view_desc *v) {
  return (v->shape[3] == 1 || v->strides[3] == 1) && (v->shape[2] == 1 || v->strides[2] == v->shape[3]);
}

/* How lines are cut: `groups` of from -> to elements. */
typedef struct lines {
  bool together; /* what is side by side in both images is one group */
  int64_t groups, each, from, to;
  int64_t count, per_item, items; /* of y */
} lines;

static fh_status lines_of(const fh_view_desc *v, lines *out, size_t *out_rows_bytes) {
  const bool together = packed(&v[X]) && packed(&v[Y]);
  const int64_t c = v[X].shape[3];
  *out = (lines){.together = together, .groups = together ? 1 : c, .each = together ? c : 1, .count = v[Y].shape[0] * v[Y].shape[1]};
  out->from = v[X].shape[2] * out->each;
  out->to = v[Y].shape[2] * out->each;
  size_t row = 0;
  FH_TRY(fh_check_scratch("resize", v[X].shape[2], c, sizeof(float), &row));
  const int64_t most = row > 0 && row < SCRATCH ? (int64_t)(SCRATCH / row) : 1;
  out->per_item = fh_divide_up(out->count, most);
  out->items = fh_divide_up(out->count, out->per_item);
  *out_rows_bytes = (size_t)out->items * (row + SPARE * sizeof(float));
  if (out->from > INT32_MAX || out->to > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_resize: a line has %" PRId64 " x %" PRId64 " elements, expected at most 2^31 - 1",
                     v[X].shape[2], c);
  return FH_OK;
}

static fh_status resize_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  int64_t count = 0;
  FH_TRY(resize_check(v, scalars, &count));
  if (count == 0) return FH_OK;
  lines l;
  FH_TRY(lines_of(v, &l, &out->temp_bytes[ROWS]));
  const int64_t h = v[X].shape[1], w = v[X].shape[2], ho = v[Y].shape[1], wo = v[Y].shape[2];
  const int64_t wtaps = taps_of(scalars[0].i, w, wo), htaps = taps_of(scalars[0].i, h, ho);
  const int64_t columns = l.to * wtaps, windows = columns + ho * htaps; /* below 2^53 */
  out->temp_count = TEMPS;
  out->temp_bytes[PLACES] = (size_t)windows * sizeof(int32_t);
  out->temp_bytes[WEIGHTS] = (size_t)windows * sizeof(float);

  const int64_t items = fh_divide_up(wo, WINDOWS) + fh_divide_up(ho, WINDOWS);
  fh_stage *stage = fh_add_stage(out, WINDOWS_STAGE, items, 8.0 * (double)windows / (double)items);
  fh_push(stage, fh_op_temp(PLACES));
  fh_push(stage, fh_op_temp(WEIGHTS));
  FH_PUSH_I64(stage, scalars[0].i, w, wo, wtaps, l.each, h, ho, htaps);

  const double per_line = 2.0 * (double)l.groups * ((double)htaps * (double)l.from + (double)columns);
  stage = fh_add_stage(out, v[X].dtype == FH_U8 ? U8_STAGE : F32_STAGE, l.items, per_line * (double)l.per_item);
  fh_push_views(stage, params, X, Y);
  for (int i = PLACES; i < TEMPS; i++) fh_push(stage, fh_op_temp(i));
  const int64_t *xs = v[X].strides, *ys = v[Y].strides;
  FH_PUSH_I64(stage, l.count, l.per_item, l.groups, l.from, l.to, wtaps, ho, htaps, xs[0], xs[1], xs[3], l.together ? 1 : xs[2], ys[0],
              ys[1], ys[3], l.together ? 1 : ys[2]);
  out->flops = per_line * (double)l.count;
  out->bytes = (double)fh_dtype_size(v[X].dtype) * ((double)v[X].shape[0] * (double)h * (double)w * (double)v[X].shape[3] + (double)count);
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

/* What `element` of n weighs in result i of `to`. */
static double weight_of(int64_t method, int64_t n, int64_t to, int64_t i, int64_t element) {
  if (method == AREA) {
    const double first = (double)i * (double)n / (double)to, last = (double)(i + 1) * (double)n / (double)to;
    return fmax(0, fmin(last, (double)element + 1) - fmax(first, (double)element)) * (double)to / (double)n;
  }
  const double at = fmin(fmax(((double)i + 0.5) * (double)n / (double)to - 0.5, 0), (double)(n - 1));
  return fmax(0, 1 - fabs(at - (double)element));
}

/* The elements that may have a weight. */
static int64_t window_begin(int64_t n, int64_t to, int64_t i) {
  const int64_t at = i * n / to - 2;
  return at < 0 ? 0 : at;
}
static int64_t window_end(int64_t n, int64_t to, int64_t i) {
  const int64_t at = (i + 1) * n / to + 3;
  return at < n ? at : n;
}

static double element_of(const fh_view_desc *v, const void *data, int64_t n, int64_t h, int64_t w, int64_t c) {
  const int64_t at = n * v->strides[0] + h * v->strides[1] + w * v->strides[2] + c * v->strides[3];
  return v->dtype == FH_U8 ? (double)((const uint8_t *)data)[at] : (double)((const fh_f32_any *)data)[at];
}

/* Result `index` in row-major order, and the weighted sum of magnitudes. */
static double value_of(const fh_view_desc *v, const void *x, int64_t method, int64_t index, double *out_magnitude) {
  const int64_t *from = v[X].shape, *to = v[Y].shape;
  const int64_t c = index % to[3], wo = index / to[3] % to[2], ho = index / to[3] / to[2] % to[1], n = index / to[3] / to[2] / to[1];
  double sum = 0;
  *out_magnitude = 0;
  for (int64_t h = window_begin(from[1], to[1], ho); h < window_end(from[1], to[1], ho); h++) {
    const double by_row = weight_of(method, from[1], to[1], ho, h);
    for (int64_t w = window_begin(from[2], to[2], wo); w < window_end(from[2], to[2], wo); w++) {
      const double by = by_row * weight_of(method, from[2], to[2], wo, w);
      if (by == 0) continue;
      const double term = by * element_of(&v[X], x, n, h, w, c);
      sum += term;
      *out_magnitude += fabs(term);
    }
  }
  return sum;
}

static int64_t results(const fh_view_desc *v) { return v[Y].shape[0] * v[Y].shape[1] * v[Y].shape[2] * v[Y].shape[3]; }

static void resize_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  const int64_t *to = v[Y].shape, *ys = v[Y].strides;
  double magnitude;
  for (int64_t i = 0; i < results(v); i++) {
    const int64_t c = i % to[3], w = i / to[3] % to[2], h = i / to[3] / to[2] % to[1], n = i / to[3] / to[2] / to[1];
    const double value = value_of(v, data[X], scalars[0].i, i, &magnitude);
    const int64_t at = n * ys[0] + h * ys[1] + w * ys[2] + c * ys[3];
    if (v[Y].dtype == FH_U8)
      ((uint8_t *)data[Y])[at] = (uint8_t)floor(value + 0.5);
    else
      ((fh_f32_any *)data[Y])[at] = (float)value;
  }
}

/* Two sums of htaps and wtaps products with rounded weights: within (htaps + wtaps + 4) u of the magnitudes. A byte is the nearest
 * integer to that. */
static const char *resize_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  const int64_t method = c->scalars[0].i;
  const int64_t count = results(v);
  if (count == 0) return NULL;
  const double terms = (double)(taps_of(method, v[X].shape[1], v[Y].shape[1]) + taps_of(method, v[X].shape[2], v[Y].shape[2]) + 4);
  for (int64_t i = 0; i < count; i++) {
    double magnitude;
    const double exact = value_of(v, want[X], method, i, &magnitude), most = terms * (0x1p-24 * magnitude + 0x1p-149);
    const double found = v[Y].dtype == FH_U8 ? (double)((const uint8_t *)got[Y])[i] : (double)((const float *)got[Y])[i];
    if (v[Y].dtype == FH_U8) {
      if (!(fabs(found - exact) <= 0.5 + most + 255 * 0x1p-24)) return "a byte is not the nearest to the weighted sum";
    } else if (isfinite(exact) ? !(fabs(found - exact) <= most) : isfinite(found)) {
      return "a result is off by more than the bound of its window";
    }
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct sizes {
  int64_t n, h, w, c, ho, wo;
} sizes;

/* Each size by both methods in both types. */
static bool make(const sizes *all, int count, int i, fh_case *out) {
  if (i < 0 || i >= 4 * count) return false;
  const sizes *s = &all[i / 4];
  const bool area = i / 2 % 2;
  const fh_dtype type = i % 2 ? FH_U8 : FH_F32;
  const int64_t x[] = {s->n, s->h, s->w, s->c}, y[] = {s->n, s->ho, s->wo, s->c};
  *out = (fh_case){.views = {fh_compact(type, 4, x), fh_compact(type, 4, y)}, .scalars = {{.i = area ? AREA : BILINEAR}}};
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 "->%" PRId64 "x%" PRId64 " %s %s", s->n, s->h,
           s->w, s->c, s->ho, s->wo, area ? "area" : "bilinear", fh_dtype_name(type));
  return true;
}

static bool case_at(int i, fh_case *out) {
  static const sizes all[] = {
      {1, 7, 9, 3, 5, 4},   {1, 1, 1, 1, 1, 1},    {0, 4, 4, 3, 2, 2},    {1, 4, 4, 3, 0, 2},    {1, 2, 2, 1, 4, 4},
      {1, 3, 5, 1, 3, 5},   {2, 4, 6, 3, 2, 3},    {1, 1, 5, 2, 1, 17},   {1, 17, 1, 4, 16, 1},  {2, 13, 11, 3, 7, 23},
      {1, 5, 33, 1, 9, 16}, {1, 31, 37, 5, 3, 2},  {1, 9, 64, 3, 9, 63},  {1, 64, 48, 3, 8, 6},  {3, 20, 21, 3, 41, 40},
      {1, 4, 75, 3, 3, 25}, {1, 3, 130, 1, 2, 40}, {1, 5, 300, 1, 3, 17}, {2, 9, 150, 3, 4, 40},
  };
  return make(all, FH_LENGTH(all), i, out);
}

static bool bench_at(int i, fh_case *out) {
  static const sizes all[] = {{1, 28, 28, 1, 56, 56},     {1, 96, 128, 3, 64, 85},      {1, 480, 640, 3, 224, 224},
                              {1, 224, 224, 3, 448, 448}, {1, 1080, 1920, 3, 360, 640}, {8, 1080, 1920, 3, 224, 398}};
  return make(all, FH_LENGTH(all), i, out);
}

const fh_kernel_contract fh_contract_resize = {
    .name = "resize",
    .version = 1,
    .summary = "images at another height and width, bilinear or by area",
    .formula =
        "y[n,Y,X,c] = sum over i, j of a[Y,i] b[X,j] x[n,i,j,c]; bilinear: a[Y,i] = max(0, 1 - |p - i|), p = (Y + 1/2) h / h' - 1/2 held "
        "within 0 to h - 1; area: a[Y,i] is the part of [Y h / h', (Y + 1) h / h') that [i, i + 1) covers; b likewise; rows are added "
        "before "
        "columns, both in their order; bytes are rounded to the nearest, halves up",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(4), FH_RANK(4)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("resize_windows", "resize_f32", "resize_u8"),
    FH_EXACT_WITHIN(
        0, 0, "(rows + columns of the window + 4) u times the weighted magnitudes (Higham 2002, eq. 3.5), window by window in compare"),
    .bind = resize_bind,
    .reference = resize_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .compare = resize_compare,
};
