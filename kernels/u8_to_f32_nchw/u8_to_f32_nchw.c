/* The contract of u8_to_f32_nchw: interleaved bytes to normalised planes. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/arithmetic.h"
#include "kernels/rows.h"

enum { X, MEAN, STD, Y };
enum { PIECE = 1024 }; /* NCHW_PIECE of u8_to_f32_nchw.k */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_U8, "(n, h, w, c)", false},
    {"mean", FH_ROLE_IN, FH_F32, "(c)", false},
    {"std", FH_ROLE_IN, FH_F32, "(c)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(n, c, h, w)", false},
};

static fh_status nchw_check(const fh_view_desc *v, int64_t *out_count) {
  static const char *const symbols[] = {"n", "h", "w", "c"};
  static const int in_y[] = {0, 2, 3, 1};
  FH_TRY(fh_check_view("u8_to_f32_nchw", &params[X], &v[X], 4, 4));
  FH_TRY(fh_check_view("u8_to_f32_nchw", &params[Y], &v[Y], 4, 4));
  for (int i = 0; i < 4; i++) FH_TRY(fh_check_extent("u8_to_f32_nchw", &params[Y], &v[Y], in_y[i], symbols[i], v[X].shape[i], "x"));
  for (int i = MEAN; i <= STD; i++) {
    FH_TRY(fh_check_view("u8_to_f32_nchw", &params[i], &v[i], 1, 1));
    FH_TRY(fh_check_extent("u8_to_f32_nchw", &params[i], &v[i], 0, "c", v[X].shape[3], "x"));
  }
  return fh_check_count("u8_to_f32_nchw", &params[X], &v[X], out_count);
}

static fh_status nchw_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  int64_t count = 0;
  FH_TRY(nchw_check(v, &count));
  if (count == 0) return FH_OK;

  const int64_t n = v[X].shape[0], c = v[X].shape[3];
  const int64_t *xs = v[X].strides, *ys = v[Y].strides;
  int64_t h = v[X].shape[1], w = v[X].shape[2];
  /* Lines that follow one another in both views are one line. */
  if (xs[1] == w * xs[2] && ys[2] == w * ys[3]) {
    w *= h;
    h = 1;
  }
  const int64_t pieces = (w + PIECE - 1) / PIECE;
  fh_stage *stage = fh_add_stage(out, 0, n * h * pieces, 3.0 * (double)count / (double)(n * h * pieces));
  for (int i = X; i <= STD; i++) fh_push(stage, fh_op_view(FH_OPERAND_IN, i, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  FH_PUSH_I64(stage, c, h, w, pieces, xs[0], xs[1], xs[2], xs[3], v[MEAN].strides[0], v[STD].strides[0], ys[0], ys[1], ys[2], ys[3], n * h);
  out->flops = 3.0 * (double)count;
  out->bytes = 5.0 * (double)count;
  return FH_OK;
}

static void nchw_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const int64_t *shape = v[X].shape, *xs = v[X].strides, *ys = v[Y].strides;
  const uint8_t *x = data[X];
  for (int64_t c = 0; c < shape[3]; c++) {
    const double mean = (double)((const float *)data[MEAN])[c * v[MEAN].strides[0]];
    const double std = (double)((const float *)data[STD])[c * v[STD].strides[0]];
    for (int64_t n = 0; n < shape[0]; n++) {
      for (int64_t h = 0; h < shape[1]; h++) {
        for (int64_t w = 0; w < shape[2]; w++) {
          const double value = (double)x[n * xs[0] + h * xs[1] + w * xs[2] + c * xs[3]] / 255.0;
          ((float *)data[Y])[n * ys[0] + c * ys[1] + h * ys[2] + w * ys[3]] = (float)((value - mean) / std);
        }
      }
    }
  }
}

typedef struct shape {
  int64_t extents[4];
} shape;

static const shape shapes[] = {
    {{1, 5, 19, 3}},  {{0, 4, 4, 3}},   {{1, 3, 0, 3}},   {{1, 1, 1, 1}},    {{1, 1, 15, 3}},  {{1, 1, 16, 3}},
    {{1, 1, 17, 3}},  {{2, 3, 5, 1}},   {{1, 2, 33, 1}},  {{1, 4, 7, 4}},    {{2, 2, 20, 2}},  {{1, 3, 18, 5}},
    {{2, 17, 16, 3}}, {{1, 33, 31, 3}}, {{3, 28, 28, 1}}, {{1, 2, 1025, 3}}, {{2, 40, 52, 3}},
};
static const shape bench_shapes[] = {
    {{1, 32, 32, 3}},   {{1, 224, 224, 3}},  {{32, 224, 224, 3}}, {{1, 1080, 1920, 3}},
    {{4, 333, 517, 4}}, {{1000, 28, 28, 1}}, {{1, 719, 1279, 3}},
};

static bool case_of(const shape *of, fh_case *out) {
  const int64_t *s = of->extents, planes[] = {s[0], s[3], s[1], s[2]};
  *out = (fh_case){
      .views = {fh_compact(FH_U8, 4, s), fh_compact(FH_F32, 1, &s[3]), fh_compact(FH_F32, 1, &s[3]), fh_compact(FH_F32, 4, planes)}};
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64, s[0], s[1], s[2], s[3]);
  return true;
}

FH_CASES_OF(case_of, shapes, bench_shapes)

/* Means from 0.4 to 0.5 and deviations from 0.2 to 0.3, as image models have them; any bytes. */
static void nchw_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const int64_t count = fh_elements(&c->views[index]);
  for (int64_t i = 0; i < count; i++) {
    const uint64_t random = fh_next_random(&seed);
    if (index == X)
      ((uint8_t *)data)[i] = (uint8_t)(random >> 56);
    else
      ((float *)data)[i] = (index == STD ? 0.2f : 0.4f) + 0.1f * ((float)(random >> 40) * 0x1p-24f);
  }
}

/* ---- blocks of threads ---- */
enum { W_OPERAND = 6, PIXELS_LEAST = 256 };

static void pixels_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  enum { THREADS = 256, MOST = 64 };
  const int64_t most = MOST * (int64_t)(multiprocessors > 0 ? multiprocessors : 1);
  *out = (fh_block_shape){.grid = {(uint32_t)fh_least(bound->stages[0].items, most), 1, 1}, .threads = THREADS};
}
static const char *pixels_unfit(const fh_bound *bound) {
  return bound->stages[0].operands[W_OPERAND].i < PIXELS_LEAST ? "short lines leave threads without work" : NULL;
}

const fh_kernel_contract fh_contract_u8_to_f32_nchw = {
    .name = "u8_to_f32_nchw",
    .version = 1,
    .summary = "u8 images (n,h,w,c) to normalised f32 planes (n,c,h,w)",
    .formula = "y[n,c,h,w] = (x[n,h,w,c] / 255 - mean[c]) / std[c]",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(4), 0, 0, FH_RANK(4)),
    FH_ENTRIES("u8_to_f32_nchw"),
    FH_EXACT_WITHIN(0x1p-22, 0x1p-20,
                    "u = 2^-24: x times 1/255 is within 2 u, the difference adds u, the reciprocal and the product 2 u: "
                    "|error| <= 2 u / std + 3 u |y|; with std >= 0.2 that is 10 u + 3 u |y|"),
    .bind = nchw_bind,
    .reference = nchw_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = nchw_fill,
    FH_BLOCKS({"pixels", "nchw_pixels", "u8_to_f32_nchw_block", FH_BLOCK_PORTABLE, false, FH_EXACT, pixels_shape, pixels_unfit, 0.9}),
};
