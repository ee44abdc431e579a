/* The contract of fft: the spectrum of real rows. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/frames.h"
#include "kernels/transform_blocks.h"

enum { X, TABLE, Y };
enum { SCRATCH };
enum { TOGETHER, ALONE }; /* entries */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(..., n), rank 2 or 3", false},
    {"table", FH_ROLE_IN, FH_F32, "(2 n)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(..., n / 2 + 1, 2), one dimension more than x", false},
};

static fh_status fft_check(const fh_view_desc *v, int64_t *out_count) {
  char text[FH_CHECK_TEXT];
  FH_TRY(fh_check_view("fft", &params[X], &v[X], 2, 3));
  FH_TRY(fh_check_view("fft", &params[Y], &v[Y], 3, 4));
  const int32_t last = v[X].rank - 1;
  if (v[Y].rank != v[X].rank + 1)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_fft: y has shape %s, expected %s", fh_check_shape_text(&v[Y], text), params[Y].shape);
  FH_TRY(fh_check_transform("fft", v[X].shape[last], &params[TABLE], &v[TABLE]));
  for (int32_t i = 0; i < last; i++) FH_TRY(fh_check_extent("fft", &params[Y], &v[Y], i, "rows", v[X].shape[i], "x"));
  FH_TRY(fh_check_extent("fft", &params[Y], &v[Y], last, "n / 2 + 1", fh_bins(v[X].shape[last]), "x"));
  FH_TRY(fh_check_extent("fft", &params[Y], &v[Y], last + 1, "2", 2, "a complex number"));
  FH_TRY(fh_check_count("fft", &params[Y], &v[Y], out_count));
  return fh_check_count("fft", &params[X], &v[X], out_count);
}

/* The outer dimensions of a view whose rows begin at dimension `inner`. */
static fh_rows outer_of(const fh_view_desc *v, int32_t inner) {
  fh_view_desc rows = *v;
  rows.rank = inner + 1;
  return fh_rows_of(&rows);
}

/* Rows that follow one another in both views at one distance count as one outer dimension. */
static void join_rows(fh_rows *x, fh_rows *y) {
  if (x->n1 != 1 && (x->s0 != x->n1 * x->s1 || y->s0 != y->n1 * y->s1)) return;
  if (x->n1 == 1) x->s1 = x->s0, y->s1 = y->s0;
  x->n1 = x->rows;
}

/* Sixteen rows in sixteen lanes take as long as ten one by one. Below SHORT not all lanes of a row are used. */
enum { FEW = 8, SHORT = 512 };

static bool done_alone(const fh_rows *x) { return x->rows <= FEW && x->d >= SHORT && x->d % 32 == 0; }

/* Of both entries: `groups` are those of rows that are done together. */
static void push_operands(fh_stage *stage, const fh_view_desc *v, const fh_rows *x, const fh_rows *y, int64_t area,
                          const fh_groups *groups) {
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, TABLE, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_temp(SCRATCH));
  FH_PUSH_I64(stage, x->d, area, groups->count, groups->per_item, x->n1, fh_divide_up(x->n1, 16), v[TABLE].strides[0], x->s0, x->s1,
              x->step, y->s0, y->s1, y->step, v[Y].strides[v[Y].rank - 1], x->rows);
}

static void bind_alone(const fh_view_desc *v, const fh_rows *x, const fh_rows *y, fh_bound *out) {
  const int64_t area = fh_most(x->d + 32, 1024); /* half of the scratch; fft.k says what lies there */
  const fh_groups none = {0};
  push_operands(fh_add_stage(out, ALONE, x->rows, fh_transform_flops(x->d)), v, x, y, area, &none);
  out->temp_bytes[SCRATCH] = (size_t)(x->rows * 2 * area) * sizeof(float);
}

static void bind_together(const fh_view_desc *v, const fh_rows *x, const fh_rows *y, fh_bound *out) {
  /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): n1 is 1 at least */
  const fh_groups groups = fh_groups_of(x->rows / x->n1 * fh_divide_up(x->n1, 16), x->d);
  fh_stage *stage = fh_add_stage(out, TOGETHER, groups.items, 16 * fh_transform_flops(x->d) * (double)groups.per_item);
  push_operands(stage, v, x, y, fh_frames_area(x->d), &groups);
  out->temp_bytes[SCRATCH] = groups.scratch_bytes;
}

static fh_status fft_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  int64_t count = 0;
  FH_TRY(fft_check(v, &count));
  if (count == 0) return FH_OK;

  const int32_t last = v[X].rank - 1;
  fh_rows x = outer_of(&v[X], last), y = outer_of(&v[Y], last);
  join_rows(&x, &y);
  out->temp_count = 1;
  if (done_alone(&x))
    bind_alone(v, &x, &y, out);
  else
    bind_together(v, &x, &y, out);
  out->flops = fh_transform_flops(x.d) * (double)x.rows;
  out->bytes = 4.0 * ((double)count + 2.0 * (double)x.rows * (double)fh_bins(x.d));
  return FH_OK;
}

static double row_norm(const fh_view_desc *v, void *const *data, const fh_rows *x, int64_t row, double *frame) {
  double sum = 0;
  for (int64_t j = 0; j < x->d; j++) {
    const double value = (double)((const float *)data[X])[fh_rows_at(x, row, j)];
    if (frame) frame[j] = value;
    sum += value * value;
  }
  (void)v;
  return sqrt(sum);
}

static void fft_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const fh_rows x = outer_of(&v[X], v[X].rank - 1), y = outer_of(&v[Y], v[X].rank - 1);
  const int64_t n = x.d, cs = v[Y].strides[v[Y].rank - 1];
  if (x.rows == 0 || n == 0) return;
  double *turn = fh_oracle_turn(n), *frame = malloc((size_t)(3 * n + 4) * sizeof *frame);
  if (!frame) abort();
  for (int64_t row = 0; row < x.rows; row++) {
    row_norm(v, data, &x, row, frame);
    fh_transform_oracle(frame, n, turn, frame + n);
    for (int64_t k = 0; k <= n / 2; k++)
      for (int64_t part = 0; part < 2; part++) ((float *)data[Y])[fh_rows_at(&y, row, k) + part * cs] = (float)frame[n + 2 * k + part];
  }
  free(frame);
  free(turn);
}

static const char *fft_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  const fh_rows x = outer_of(&v[X], v[X].rank - 1);
  const int64_t n = x.d, bins = fh_bins(n);
  for (int64_t row = 0; row < x.rows; row++) {
    const double bound = fh_transform_bound(n, row_norm(v, want, &x, row, NULL));
    if (!isfinite(bound)) continue; /* a NaN or an infinity in a row: its spectrum is not defined */
    for (int64_t i = 2 * bins * row; i < 2 * bins * (row + 1); i++)
      if (!(fabs((double)((const float *)got[Y])[i] - (double)((const float *)want[Y])[i]) <= bound))
        return "a bin is off by more than 10 u (log2 n + 3) sqrt(n) ||x||";
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

static const fh_rows_shape cases[] = {
    {2, {3, 60}},     {2, {0, 8}},     {2, {1, 1}},      {2, {1, 2}},    {2, {1, 3}},    {2, {1, 4}},    {2, {1, 5}},
    {2, {2, 6}},      {2, {16, 8}},    {2, {17, 9}},     {2, {15, 10}},  {2, {5, 15}},   {2, {33, 16}},  {3, {2, 3, 20}},
    {3, {3, 17, 25}}, {3, {4, 1, 18}}, {2, {18, 27}},    {2, {20, 32}},  {2, {1, 64}},   {2, {7, 81}},   {2, {3, 125}},
    {2, {19, 128}},   {2, {2, 240}},   {2, {5, 256}},    {2, {35, 400}}, {2, {1, 405}},  {2, {18, 512}}, {2, {8, 512}},
    {2, {1, 576}},    {2, {2, 600}},   {3, {2, 2, 640}}, {2, {3, 800}},  {2, {1, 1024}},
};
static const fh_rows_shape benches[] = {{2, {16, 64}},    {2, {16, 400}},   {2, {3000, 400}}, {2, {3000, 512}},  {2, {512, 1024}},
                                        {2, {256, 4096}}, {2, {1000, 243}}, {2, {997, 360}},  {2, {30000, 512}}, {2, {1, 1024}}};

static bool fft_case(const fh_rows_shape *s, fh_case *out) {
  int64_t y[4];
  for (int32_t k = 0; k < s->rank; k++) y[k] = s->shape[k];
  const int64_t n = s->shape[s->rank - 1], table = 2 * n;
  y[s->rank - 1] = fh_bins(n);
  y[s->rank] = 2;
  *out = (fh_case){.views = {[TABLE] = fh_compact(FH_F32, 1, &table), [Y] = fh_compact(FH_F32, s->rank + 1, y)}};
  fh_rows_named(s, &out->views[X], out->label);
  return true;
}

FH_CASES_OF(fft_case, cases, benches)

static void fft_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  if (index == TABLE) {
    fh_fill_fft_table(c->views[TABLE].shape[0] / 2, data);
    return;
  }
  fh_fill_uniform(&c->views[index], data, seed);
}

/* ---- blocks of threads ---- */
enum { N_OPERAND = 4, ALL_OPERAND = 18 };

static int64_t blocks_of(const fh_bound *bound) {
  const fh_operand *operands = bound->stages[0].operands;
  return fh_transform_blocks(operands[N_OPERAND].i, 1, operands[ALL_OPERAND].i);
}
static void blocks_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  fh_transform_shape(blocks_of(bound), out);
}
static const char *blocks_unfit(const fh_bound *bound) {
  return fh_transform_unfit(bound->stages[0].operands[N_OPERAND].i, blocks_of(bound));
}

const fh_kernel_contract fh_contract_fft = {
    .name = "fft",
    .version = 1,
    .summary = "discrete Fourier transform of real rows, lengths 2^a 3^b 5^c",
    .formula = "y[r,k] = sum over j of x[r,j] exp(-2 pi i j k / n), k = 0 ... n / 2 (Stockham's self-sorting form, radix 4, 5, 3, 2)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), 0, FH_RANK(3) | FH_RANK(4)),
    FH_ENTRIES("fft", "fft_alone"),
    FH_EXACT_WITHIN(0, 0, FH_TRANSFORM_BOUND),
    .bind = fft_bind,
    .reference = fft_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = fft_fill,
    .compare = fft_compare,
    FH_BLOCKS({"blocks", "fft_blocks", "fft_block", FH_BLOCK_PORTABLE, false, FH_EXACT, blocks_shape, blocks_unfit, 0.3}),
};
