/* The contract of matmul_fused: C = f(A B + D), matmul with an epilogue. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/matmul_fused/matmul_fused.h"
#include "kernels/activation.h"
#include "kernels/check.h"
#include "kernels/matmul_blocks.h"
#include "kernels/rows.h"
#include "kernels/unaligned.h"

#include <float.h>
#include <math.h>

static double none(double x) { return x; }
static double relu(double x) { return x < 0 ? 0 : x; }

/* By their numbers, those of fh_activation. */
static const struct activation {
  const char *name;
  double (*exact)(double);
  double flops, ulp; /* an element; its own error, as the kernel of that name states it */
} activations[] = {
    {"none", none, 0, 0},
    {"relu", relu, 1, 0},
    {"gelu", fh_exact_gelu, 60, 7},
    {"gelu_tanh", fh_exact_gelu_tanh, 50, 4},
    {"silu", fh_exact_silu, 35, 3.6},
    {"sigmoid", fh_exact_sigmoid, 30, 2.8},
    {"tanh", tanh, 40, 1.8},
};
static const double STEEPEST = 1.13; /* of any of them: gelu at sqrt 2 */

static const fh_view_param params[] = {
    {"a", FH_ROLE_IN, FH_F32, "(m, k) or (batch, m, k)", false},
    {"b", FH_ROLE_IN, FH_F32, "(k, n) or (batch, k, n)", false},
    {"d", FH_ROLE_IN, FH_F32, "(n), or the shape of c with any strides", false},
    {"c", FH_ROLE_OUT, FH_F32, "(m, n) or (batch, m, n)", false},
};
static const fh_scalar_param scalars_of[] = {{"activation", 'i', 0, "0 none, 1 relu, 2 gelu, 3 gelu_tanh, 4 silu, 5 sigmoid, 6 tanh"}};
enum { A, B, D, C };

static fh_status check_addend(const fh_view_desc *v) {
  FH_TRY(fh_check_view("matmul_fused", &params[D], &v[D], 1, 3));
  if (v[D].rank > 1) return fh_check_same_shape("matmul_fused", params, v, C, D);
  return fh_check_extent("matmul_fused", &params[D], &v[D], 0, "n", v[C].shape[v[C].rank - 1], "c");
}

/* Stride of d in dimension i of c. */
static int64_t addend_stride(const fh_view_desc *v, int i) {
  return v[D].rank > 1 ? v[D].strides[i] : i == v[C].rank - 1 ? v[D].strides[0] : 0;
}

static fh_status matmul_fused_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  const fh_view_param of[3] = {params[A], params[B], params[C]};
  const fh_view_desc views[3] = {v[A], v[B], v[C]};
  FH_TRY(fh_matmul_bind("matmul_fused", of, views, C, out));
  FH_TRY(check_addend(v));
  if (scalars[0].i < 0 || scalars[0].i >= FH_LENGTH(activations))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_matmul_fused: activation is %lld, expected one of fh_activation, 0 (none) to %d (tanh)",
                     (long long)scalars[0].i, FH_LENGTH(activations) - 1);
  if (out->stage_count == 0) return FH_OK;
  fh_stage *stage = &out->stages[0];
  const int row = v[C].rank - 2;
  fh_operand *op = stage->operands;
  op[FH_MATMUL_D] = fh_op_view(FH_OPERAND_IN, D, 0);
  op[FH_MATMUL_D_STRIDES] = fh_op_i64(row == 1 ? addend_stride(v, 0) : 0);
  op[FH_MATMUL_D_STRIDES + 1] = fh_op_i64(addend_stride(v, row));
  op[FH_MATMUL_D_STRIDES + 2] = fh_op_i64(addend_stride(v, row + 1));
  op[FH_MATMUL_ACTIVATION] = fh_op_i64(scalars[0].i);
  stage->operand_count = FH_MATMUL_FUSED_SLOTS;
  int64_t elements = 1;
  for (int i = 0; i < v[C].rank; i++) elements *= v[C].shape[i];
  out->flops += (1.0 + activations[scalars[0].i].flops) * (double)elements;
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

/* Calls body for every element of c; stops at the first that returns text. */
typedef struct element {
  double sum, magnitude, addend; /* sum a b, sum |a||b|, d */
  fh_f32_any *c;
} element;
static const char *each_element(const fh_view_desc *v, void *const *data, void *const *c,
                                const char *(*body)(const element *e, int64_t k, int64_t activation), int64_t activation) {
  const int row = v[C].rank - 2;
  const int64_t batch = row == 1 ? v[C].shape[0] : 1, k = v[A].shape[row + 1], *cs = v[C].strides;
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t i = 0; i < v[C].shape[row]; i++) {
      for (int64_t j = 0; j < v[C].shape[row + 1]; j++) {
        element e = {.c = (fh_f32_any *)c[C] + (row == 1 ? b * cs[0] : 0) + i * cs[row] + j * cs[row + 1]};
        e.sum = fh_matmul_element(v, data, b, i, j, &e.magnitude);
        e.addend =
            (double)((const fh_f32_any *)
                         data[D])[(row == 1 ? b * addend_stride(v, 0) : 0) + i * addend_stride(v, row) + j * addend_stride(v, row + 1)];
        const char *wrong = body(&e, k, activation);
        if (wrong) return wrong;
      }
    }
  }
  return NULL;
}

static const char *put(const element *e, int64_t k, int64_t activation) {
  (void)k;
  *e->c = (float)activations[activation].exact(e->sum + e->addend);
  return NULL;
}

static void matmul_fused_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  each_element(v, data, data, put, scalars[0].i);
}

/* The bound of matmul for the sum, a rounding for d, both as steep as an activation gets, and the activation's own error. Where the sum is
 * not finite only a NaN is asked for. */
static const char *check(const element *e, int64_t k, int64_t activation) {
  const double exact = e->sum + e->addend, found = (double)*e->c, gamma = fh_matmul_gamma(k);
  if (isnan(exact)) return isnan(found) ? NULL : "an element that must be NaN is not";
  if (isinf(exact) || e->magnitude * (1 + gamma) + fabs(e->addend) > (double)FLT_MAX) return NULL;
  const double slack = gamma * e->magnitude + 0x1p-23 * (fabs(e->sum) + fabs(e->addend)) + ((double)k + 2) * 0x1p-149;
  const double want = activations[activation].exact(exact), own = activations[activation].ulp * (0x1p-23 * fabs(want) + 0x1p-149);
  return fabs(found - want) <= STEEPEST * slack + own
             ? NULL
             : "an element is off by more than gamma_k sum |a||b|, a rounding and the activation's own error";
}

static const char *matmul_fused_compare(const fh_case *c, void *const *got, void *const *want) {
  return each_element(c->views, want, got, check, c->scalars[0].i);
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t batch, m, n, k; /* batch 0: rank 2 */
  int activation;         /* 10 more where d is (n) */
} shape;

static const shape
    shapes[] =
        {
            {0, 3, 5, 4, 1},      {0, 1, 1, 1, 0},     {0, 2, 3, 0, 11},      {0, 0, 4, 3, 0},     {0, 1, 33, 9, 11},
            {0, 7, 1, 31, 10},    {0, 15, 16, 17, 1},  {3, 4, 5, 6, 11},      {2, 17, 15, 33, 1},  {0, 31, 32, 33, 11},
            {0, 63, 65, 64, 1},   {0, 129, 3, 128, 0}, {0, 17, 33, 257, 11},  {0, 3, 67, 1030, 1}, {0, 9, 260, 259, 11},
            {0, 41, 257, 256, 1}, {0, 5, 19, 7, 2},    {0, 33, 65, 40, 12},   {0, 6, 31, 9, 13},   {0, 40, 33, 21, 4},
            {0, 7, 17, 300, 15},  {2, 9, 35, 8, 16},   {2, 130, 129, 69, 11}, /* as many tiles as the largest variant for blocks of threads
                                                                                 wants */
};
static const shape bench_shapes[] = {
    {0, 16, 16, 16, 11},    {0, 128, 131, 127, 11}, {0, 512, 512, 512, 11},  {0, 1021, 1031, 1019, 11}, {0, 32, 4096, 1024, 11},
    {0, 1, 4096, 1024, 11}, {10000, 4, 4, 4, 11},   {10000, 16, 16, 16, 11}, {0, 512, 512, 512, 12},    {0, 32, 4096, 1024, 14},
};

static bool case_of(const shape *s, fh_case *out) {
  *out = (fh_case){.views = {fh_compact_matrices(s->batch, s->m, s->k), fh_compact_matrices(s->batch, s->k, s->n),
                             fh_compact_matrices(s->batch, s->m, s->n), fh_compact_matrices(s->batch, s->m, s->n)},
                   .scalars = {{.i = s->activation % 10}}};
  if (s->activation >= 10) out->views[D] = fh_compact(FH_F32, 1, &s->n);
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 "%s%s", s->batch ? s->batch : 1, s->m, s->n, s->k,
           s->activation % 10 ? " " : "", s->activation % 10 ? activations[s->activation % 10].name : "");
  return true;
}
FH_CASES_OF(case_of, shapes, bench_shapes)

const fh_kernel_contract fh_contract_matmul_fused = {
    .name = "matmul_fused",
    .version = 1,
    .summary = "matrix product plus a bias through an activation, optionally batched",
    .formula =
        "c[i,j] = f(sum_l a[i,l] b[l,j] + d[i,j]): the sum as matmul adds it, one rounded addition, f none, relu, gelu, gelu_tanh, silu, "
        "sigmoid or tanh",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(3), FH_RANK(2) | FH_RANK(3), FH_RANK(2) | FH_RANK(3)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("matmul_fused"),
    FH_EXACT_WITHIN(0x1p-14, 0,
                    "gamma_k sum |a||b| (Higham 2002, eq. 3.5), a rounding and the activation's own error, element by element in compare; "
                    "bound_rel is gamma_1024"),
    .bind = matmul_fused_bind,
    .reference = matmul_fused_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .compare = matmul_fused_compare,
    FH_TUNED(({"tuned", FH_ISA_AVX512, FH_EXACT, fh_matmul_fused_avx512, fh_matmul_scratch_avx512, NULL, 0.9, 0},
              {"tuned", FH_ISA_AVX2, FH_EXACT, fh_matmul_fused_avx2, fh_matmul_scratch_avx2, NULL, 0.85, 0}),
             ({"tuned", FH_ISA_NEON, FH_EXACT, fh_matmul_fused_neon, fh_matmul_scratch_neon, NULL, 0.85, 0})),
    /* The efficiencies are guesses, those of matmul: none of them has been measured. */
    FH_BLOCKS(
        {"stages", "matmul_fused_stages", "matmul_fused_sm80", 80, false, FH_EXACT, fh_matmul_stages_shape, fh_matmul_stages_unfit, 0.85},
        {"small", "matmul_fused_small", "matmul_fused_sm80", 80, false, FH_EXACT, fh_matmul_small_shape, fh_matmul_small_unfit, 0.75},
        {"tiles", "matmul_fused_tiles", "matmul_fused_block", FH_BLOCK_PORTABLE, false, FH_EXACT, fh_matmul_large_shape,
         fh_matmul_tiles_unfit, 0.7}),
};
