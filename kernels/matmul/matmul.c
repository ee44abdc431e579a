/* The contract of matmul: C = A B, any strides, optionally batched. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/matmul.h"
#include "kernels/arithmetic.h"
#include "kernels/check.h"
#include "kernels/matmul_blocks.h"
#include "kernels/rows.h"
#include "kernels/unaligned.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const fh_view_param params[] = {
    {"a", FH_ROLE_IN, FH_F32, "(m, k) or (batch, m, k)", false},
    {"b", FH_ROLE_IN, FH_F32, "(k, n) or (batch, k, n)", false},
    {"c", FH_ROLE_OUT, FH_F32, "(m, n) or (batch, m, n)", false},
};

enum { A, B, C };

static fh_status check_shapes(const char *kernel, const fh_view_param *of, const fh_view_desc *v) {
  for (int i = A; i <= C; i++) FH_TRY(fh_check_view(kernel, &of[i], &v[i], 2, 3));
  char text_a[FH_CHECK_TEXT], text_i[FH_CHECK_TEXT];
  for (int i = B; i <= C; i++) {
    if (v[i].rank != v[A].rank)
      return FH_STATUS(FH_INVALID_ARGUMENT,
                       "fh_%s: a has shape %s but %s has shape %s\n"
                       "  either all three operands have a leading batch dimension or none; a batch stride of 0 repeats an input",
                       kernel, fh_check_shape_text(&v[A], text_a), of[i].name, fh_check_shape_text(&v[i], text_i));
  }
  int row = v[A].rank - 2, col = row + 1;
  if (row == 1) {
    FH_TRY(fh_check_extent(kernel, &of[B], &v[B], 0, "batch", v[A].shape[0], "a"));
    FH_TRY(fh_check_extent(kernel, &of[C], &v[C], 0, "batch", v[A].shape[0], "a"));
  }
  FH_TRY(fh_check_extent(kernel, &of[B], &v[B], row, "k", v[A].shape[col], "a"));
  FH_TRY(fh_check_extent(kernel, &of[C], &v[C], row, "m", v[A].shape[row], "a"));
  return fh_check_extent(kernel, &of[C], &v[C], col, "n", v[B].shape[col], "b");
}

static void add_strides(fh_stage *stage, const fh_view_desc *v) {
  int row = v->rank - 2;
  int64_t batch_stride = row == 1 ? v->strides[0] : 0;
  FH_PUSH_I64(stage, batch_stride, v->strides[row], v->strides[row + 1]);
}

fh_status fh_matmul_bind(const char *kernel, const fh_view_param of[static 3], const fh_view_desc views[static 3], int index_of_c,
                         fh_bound *out) {
  fh_bound_clear(out);
  FH_TRY(check_shapes(kernel, of, views));
  int64_t elements[3] = {0};
  for (int i = A; i <= C; i++) FH_TRY(fh_check_count(kernel, &of[i], &views[i], &elements[i]));
  int row = views[A].rank - 2;
  int64_t batch = row == 1 ? views[A].shape[0] : 1;
  int64_t m = views[A].shape[row], k = views[A].shape[row + 1], n = views[B].shape[row + 1];
  if (elements[C] == 0) return FH_OK;

  fh_stage *stage = fh_add_stage(out, 0, batch * m * (n / 16 + (n % 16 != 0)), 2.0 * 16.0 * (double)k);
  fh_operand *op = stage->operands;
  op[FH_MATMUL_A] = fh_op_view(FH_OPERAND_IN, A, 0);
  op[FH_MATMUL_B] = fh_op_view(FH_OPERAND_IN, B, 0);
  op[FH_MATMUL_C] = fh_op_view(FH_OPERAND_OUT, index_of_c, 0);
  op[FH_MATMUL_BATCH] = fh_op_i64(batch);
  op[FH_MATMUL_M] = fh_op_i64(m);
  op[FH_MATMUL_N] = fh_op_i64(n);
  op[FH_MATMUL_K] = fh_op_i64(k);
  stage->operand_count = FH_MATMUL_A_STRIDES;
  for (int i = A; i <= C; i++) add_strides(stage, &views[i]);

  out->flops = 2.0 * (double)elements[C] * (double)k;
  out->bytes = 4.0 * ((double)elements[A] + (double)elements[B] + (double)elements[C]);
  return FH_OK;
}

static fh_status matmul_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  return fh_matmul_bind("matmul", params, views, C, out);
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

typedef struct problem {
  int64_t batch, m, n, k;
  int64_t stride[3][3]; /* operand, then batch, row, column */
} problem;

static problem problem_of(const fh_view_desc *v) {
  int row = v[A].rank - 2;
  problem p = {.batch = row == 1 ? v[A].shape[0] : 1, .m = v[A].shape[row], .k = v[A].shape[row + 1], .n = v[B].shape[row + 1]};
  for (int i = A; i <= C; i++) {
    p.stride[i][0] = row == 1 ? v[i].strides[0] : 0;
    p.stride[i][1] = v[i].strides[row];
    p.stride[i][2] = v[i].strides[row + 1];
  }
  return p;
}

static float at(void *const *data, const problem *p, int operand, int64_t batch, int64_t row, int64_t col) {
  const int64_t *s = p->stride[operand];
  return ((const fh_f32_any *)data[operand])[batch * s[0] + row * s[1] + col * s[2]];
}

/* One element of C in double, and the sum of |a||b| that scales its rounding error. */
static double dot(void *const *data, const problem *p, int64_t batch, int64_t i, int64_t j, double *out_magnitude) {
  double sum = 0, magnitude = 0;
  for (int64_t l = 0; l < p->k; l++) {
    double product = (double)at(data, p, A, batch, i, l) * (double)at(data, p, B, batch, l, j);
    sum += product;
    magnitude += fabs(product);
  }
  *out_magnitude = magnitude;
  return sum;
}

double fh_matmul_element(const fh_view_desc views[static 2], void *const *data, int64_t batch, int64_t i, int64_t j,
                         double *out_magnitude) {
  const fh_view_desc three[3] = {views[A], views[B], views[A]}; /* no element of c is looked at */
  const problem p = problem_of(three);
  return dot(data, &p, batch, i, j, out_magnitude);
}

double fh_matmul_gamma(int64_t k) {
  const double ku = (double)k * 0x1p-24;
  return ku < 0.5 ? ku / (1 - ku) : 1.0;
}

static void matmul_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  (void)scalars;
  problem p = problem_of(views);
  const int64_t *s = p.stride[C];
  double magnitude;
  for (int64_t b = 0; b < p.batch; b++) {
    for (int64_t i = 0; i < p.m; i++) {
      for (int64_t j = 0; j < p.n; j++) ((fh_f32_any *)data[C])[b * s[0] + i * s[1] + j * s[2]] = (float)dot(data, &p, b, i, j, &magnitude);
    }
  }
}

/* |got - sum a b| <= gamma_k sum |a||b|, plus what gradual underflow may lose in k products.
 * Where sum |a||b| leaves the range of f32, an intermediate may overflow and only the place is checked. */
static const char *matmul_compare(const fh_case *c, void *const *got, void *const *want) {
  problem p = problem_of(c->views);
  const double gamma = fh_matmul_gamma(p.k);
  for (int64_t b = 0; b < p.batch; b++) {
    for (int64_t i = 0; i < p.m; i++) {
      for (int64_t j = 0; j < p.n; j++) {
        double magnitude, exact = dot(want, &p, b, i, j, &magnitude);
        double found = (double)at(got, &p, C, b, i, j);
        if (isnan(exact) || isinf(exact)) {
          if (isnan(exact) ? !isnan(found) : found != exact) return "an element that must be NaN or infinite is not";
        } else if (magnitude * (1 + gamma) > (double)FLT_MAX) {
          continue;
        } else if (!(fabs(found - exact) <= gamma * magnitude + 0x1p-24 * fabs(exact) + ((double)p.k + 1) * 0x1p-149)) {
          return "an element is off by more than gamma_k sum |a||b|";
        }
      }
    }
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

static const int64_t shapes[][4] = {
    /* batch (0: rank 2), m, n, k; the last has as many tiles as the largest variant for blocks of threads wants, and more than two of its
     * panels */
    {0, 3, 5, 4},     {0, 1, 1, 1},       {0, 2, 3, 0},      {0, 0, 4, 3},       {0, 1, 17, 9},     {0, 7, 1, 31},
    {0, 15, 16, 17},  {0, 16, 33, 2},     {0, 5, 64, 65},    {3, 4, 5, 6},       {2, 17, 15, 33},   {0, 31, 32, 33},
    {0, 63, 65, 64},  {5, 16, 16, 16},    {0, 8, 100, 127},  {0, 129, 3, 128},   {0, 2, 200, 100},  {0, 100, 7, 63},
    {2, 65, 127, 31}, {0, 127, 129, 100}, {0, 13, 11, 1031}, {0, 200, 129, 127}, {0, 6, 21, 256},   {0, 17, 33, 257},
    {2, 33, 20, 513}, {0, 3, 67, 1030},   {0, 9, 260, 259},  {0, 41, 257, 256},  {2, 130, 129, 69},
};

/* What is worth measuring: tiny ones, squares, odd and prime, few rows, few columns, one row, one column, batches. */
static const int64_t bench_shapes[][4] = {
    {0, 16, 16, 16},    {0, 33, 33, 33},     {0, 64, 64, 64},       {0, 128, 128, 128},    {0, 192, 192, 192}, {0, 127, 131, 137},
    {0, 512, 512, 512}, {0, 509, 521, 503},  {0, 1024, 1024, 1024}, {0, 2048, 2048, 2048}, {0, 8, 4096, 1024}, {0, 32, 4096, 1024},
    {0, 64, 64, 8192},  {0, 4096, 16, 1024}, {0, 31, 769, 3067},    {0, 128, 3072, 768},   {0, 1, 4096, 1024}, {0, 4096, 1, 1024},
    {0, 8, 8192, 8192}, {10000, 4, 4, 4},    {1000, 16, 16, 16},    {16, 128, 128, 64},
};

static fh_case matmul_case(const int64_t *s) {
  fh_case out = {
      .views = {fh_compact_matrices(s[0], s[1], s[3]), fh_compact_matrices(s[0], s[3], s[2]), fh_compact_matrices(s[0], s[1], s[2])}};
  if (s[0])
    snprintf(out.label, sizeof out.label, "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64, s[0], s[1], s[2], s[3]);
  else
    snprintf(out.label, sizeof out.label, "%" PRId64 "x%" PRId64 "x%" PRId64, s[1], s[2], s[3]);
  return out;
}

static bool matmul_case_at(int i, fh_case *out) {
  if (i < 0 || i >= FH_LENGTH(shapes)) return false;
  *out = matmul_case(shapes[i]);
  return true;
}

/* Each with both operands by rows, and with b by columns. */
static bool matmul_bench_at(int i, fh_case *out) {
  if (i < 0 || i >= 2 * FH_LENGTH(bench_shapes)) return false;
  const int64_t *s = bench_shapes[i / 2];
  *out = matmul_case(s);
  if (i % 2) {
    fh_view_desc *b = &out->views[B];
    b->strides[b->rank - 2] = 1, b->strides[b->rank - 1] = s[3];
    const size_t length = strlen(out->label);
    snprintf(out->label + length, sizeof out->label - length, " b by columns");
  }
  return true;
}

/* ---- blocks of threads: split and thin, block sums of k in scratch, added by a second launch ---- */

enum { SPLIT_SIDE = 64, THIN_LINES = 128, THIN_THREADS = 128, THIN_ROWS = 8, ADD_THREADS = 256, SPLIT_TILES = 512 };
static const int64_t MOST_SCRATCH = INT64_C(256) << 20;

static int64_t blocks_of_k(const fh_bound *bound) {
  return fh_most(fh_divide_up(fh_matmul_operand(bound, FH_MATMUL_K), FH_MATMUL_STEPS), 1);
}

/* Of one product. */
static int64_t elements_of_c(const fh_bound *bound) {
  return fh_matmul_operand(bound, FH_MATMUL_M) * fh_matmul_operand(bound, FH_MATMUL_N);
}

static size_t sums_bytes(const fh_bound *bound, int multiprocessors) {
  (void)multiprocessors;
  return sizeof(float) * (size_t)fh_matmul_operand(bound, FH_MATMUL_BATCH) * (size_t)blocks_of_k(bound) * (size_t)elements_of_c(bound);
}

static fh_block_shape shape_with(const fh_bound *bound, int64_t blocks, uint32_t threads) {
  const int64_t batch = fh_matmul_operand(bound, FH_MATMUL_BATCH);
  return (fh_block_shape){.grid = {(uint32_t)fh_least(blocks, INT32_MAX), 1, (uint32_t)fh_least(batch, FH_MATMUL_GRID_DEPTH)},
                          .threads = threads};
}

static void split_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  const int64_t tiles =
      fh_divide_up(fh_matmul_operand(bound, FH_MATMUL_M), SPLIT_SIDE) * fh_divide_up(fh_matmul_operand(bound, FH_MATMUL_N), SPLIT_SIDE);
  *out = shape_with(bound, tiles * blocks_of_k(bound), FH_MATMUL_SMALL_THREADS);
}

static void thin_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  const int64_t lines = fh_most(fh_matmul_operand(bound, FH_MATMUL_M), fh_matmul_operand(bound, FH_MATMUL_N));
  *out = shape_with(bound, fh_divide_up(lines, THIN_LINES) * blocks_of_k(bound), THIN_THREADS);
}

static void add_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = shape_with(bound, fh_divide_up(elements_of_c(bound), ADD_THREADS), ADD_THREADS);
}

static const fh_block_step split_rest[] = {{"matmul_split_add", add_shape}}, thin_rest[] = {{"matmul_thin_add", add_shape}};

static bool sums_fit(const fh_bound *bound) {
  const double bytes = 4.0 * (double)fh_matmul_operand(bound, FH_MATMUL_BATCH) * (double)blocks_of_k(bound) *
                       (double)fh_matmul_operand(bound, FH_MATMUL_M) * (double)fh_matmul_operand(bound, FH_MATMUL_N);
  return bytes <= (double)MOST_SCRATCH;
}

static const char few_for_tiles[] = "at most 8 rows or columns: most of a tile of 64 x 64 would be empty";

static const char *small_unfit(const fh_bound *bound) { return fh_matmul_is_thin(bound, THIN_ROWS + 1) ? few_for_tiles : NULL; }

/* 512 tiles of 64 x 64 are four for each multiprocessor of most GPUs, or nearly; below that, what is predicted decides. */
static const char *split_unfit(const fh_bound *bound) {
  if (fh_matmul_is_thin(bound, THIN_ROWS + 1)) return few_for_tiles;
  if (fh_matmul_operand(bound, FH_MATMUL_K) <= FH_MATMUL_STEPS) return "at most 256 steps of k: one block of them, which is not shared out";
  const fh_block_shape whole = fh_matmul_shape(bound, SPLIT_SIDE, FH_MATMUL_SMALL_THREADS);
  if ((double)whole.grid[0] * whole.grid[2] >= SPLIT_TILES)
    return "512 tiles of 64 x 64 or more: enough for the multiprocessors of a GPU without a second launch";
  return sums_fit(bound) ? NULL : "sums of blocks of k larger than 256 MiB";
}

static const char *thin_unfit(const fh_bound *bound) {
  const int64_t m = fh_matmul_operand(bound, FH_MATMUL_M), n = fh_matmul_operand(bound, FH_MATMUL_N);
  if (fh_least(m, n) > THIN_ROWS) return "more than 8 rows and columns: the large operand would be read several times";
  if (fh_most(m, n) < THIN_LINES / 2) return "fewer than 64 lines in the large operand: most threads would have none";
  return sums_fit(bound) ? NULL : "sums of blocks of k larger than 256 MiB";
}

const fh_kernel_contract fh_contract_matmul = {
    .name = "matmul",
    .version = 2,
    .summary = "matrix product of any strides, optionally batched",
    .formula = "c[i,j] = sum_l a[i,l] b[l,j]: a chain of fused multiply-adds in each 256 of l, block sums added in order",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(3), FH_RANK(2) | FH_RANK(3)),
    FH_ENTRIES("matmul"),
    FH_EXACT_WITHIN(0x1p-14, 0, "gamma_k sum |a||b| (Higham 2002, eq. 3.5), element by element in compare; bound_rel is gamma_1024"),
    .bind = matmul_bind,
    .reference = matmul_reference,
    .case_at = matmul_case_at,
    .bench_at = matmul_bench_at,
    .compare = matmul_compare,
    FH_TUNED(({"tuned", FH_ISA_AVX512, FH_EXACT, fh_matmul_avx512, fh_matmul_scratch_avx512, NULL, 0.9, 0},
              {"tuned", FH_ISA_AVX2, FH_EXACT, fh_matmul_avx2, fh_matmul_scratch_avx2, NULL, 0.85, 0}),
             ({"tuned", FH_ISA_NEON, FH_EXACT, fh_matmul_neon, fh_matmul_scratch_neon, NULL, 0.85, 0})),
    /* The efficiencies are guesses, none of them measured: the part of what is issued that is fma, less a twentieth for barriers. Tiles of
     * 64 ask twice as much of the second cache. */
    FH_BLOCKS(
        {"stages", "matmul_stages", "matmul_sm80", 80, false, FH_EXACT, fh_matmul_stages_shape, fh_matmul_stages_unfit, 0.85},
        {"small", "matmul_small", "matmul_sm80", 80, false, FH_EXACT, fh_matmul_small_shape, small_unfit, 0.75},
        {"tiles", "matmul_tiles", "matmul_block", FH_BLOCK_PORTABLE, false, FH_EXACT, fh_matmul_large_shape, fh_matmul_tiles_unfit, 0.7},
        {"split", "matmul_split", "matmul_block", FH_BLOCK_PORTABLE, false, FH_EXACT, split_shape, split_unfit, 0.6, split_rest, 1,
         sums_bytes},
        {"thin", "matmul_thin", "matmul_block", FH_BLOCK_PORTABLE, false, FH_EXACT, thin_shape, thin_unfit, 0.5, thin_rest, 1, sums_bytes}),
};
