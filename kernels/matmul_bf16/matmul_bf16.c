/* The contract of matmul_bf16: C = A B of bf16, summed in f32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/matmul_bf16/matmul_bf16.h"

#include <float.h>
#include <math.h>

#include "kernels/narrow.h"
#include "kernels/product.h"
#include "kernels/product_tensors.h"
#include "kernels/unaligned.h"

enum { A = FH_PRODUCT_A, B = FH_PRODUCT_B, C = FH_PRODUCT_C, GROUP = 2 };

static const fh_view_param params[] = {
    {"a", FH_ROLE_IN, FH_BF16, "(m, k) or (batch, m, k)", false},
    {"b", FH_ROLE_IN, FH_BF16, "(k, n), (batch, k, n), or packed weights (panels, groups, 32, 2)", false},
    {"c", FH_ROLE_OUT, FH_F32, "(m, n) or (batch, m, n)", false},
};

static fh_status matmul_bf16_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  return fh_product_bind("matmul_bf16", params, views, GROUP, out);
}

/* One element of C in double, and what scales its error. */
typedef struct dot {
  double sum, magnitude; /* of a b, of |a b| */
  double flushed;        /* of |a b| where one is a denormal, which the dot instruction takes for 0 */
  bool lost;             /* a denormal meets an infinity: that instruction makes a NaN of it */
} dot;

static dot dot_of(const fh_product *p, void *const *data, int64_t s, int64_t i, int64_t j) {
  dot d = {0};
  for (int64_t l = 0; l < p->k; l++) {
    const double a = (double)fh_f32_from_bf16(((const fh_u16_any *)data[A])[s * p->a[0] + i * p->a[1] + l * p->a[2]]);
    const double b = (double)fh_f32_from_bf16(((const fh_u16_any *)data[B])[fh_product_at_b(p, s, l, j, GROUP)]);
    const bool denormal = (a != 0 && fabs(a) < 0x1p-126) || (b != 0 && fabs(b) < 0x1p-126);
    d.sum += a * b;
    d.magnitude += fabs(a * b);
    if (denormal) d.flushed += fabs(a * b);
    d.lost |= denormal && (isinf(a) || isinf(b));
  }
  return d;
}

static void matmul_bf16_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const fh_product p = fh_product_of(views, GROUP);
  for (int64_t s = 0; s < p.batch; s++)
    for (int64_t i = 0; i < p.m; i++)
      for (int64_t j = 0; j < p.n; j++)
        ((fh_f32_any *)data[C])[s * p.c[0] + i * p.c[1] + j * p.c[2]] = (float)dot_of(&p, data, s, i, j).sum;
}

/* Products of bf16 have 16 bits of significand and are exact in f32 but for underflow. Whatever the order of the additions, a sum of
 * k of them is within gamma_k sum |a b|, u = 2^-24 (Higham 2002, 3.1). The dot instruction of AVX-512 BF16 adds two products to
 * each lane one after the other, rounds to nearest even, reads denormals as zero and flushes denormal results: each of its k steps loses
 * less than 2^-126 more, and what denormal inputs would have given. That of NEON flushes alike; it rounds to odd, off by less than 2 u, but
 * only twice for two products, and the addition to the zero at the start is exact: k + 1 times u at most, which is what the bound has.
 * Where sum |a b| leaves the range of f32 an intermediate may overflow, and only the place is checked. */
static const char *matmul_bf16_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_product p = fh_product_of(c->views, GROUP);
  const double ku = (double)(p.k + 1) * 0x1p-24, gamma = ku < 0.5 ? ku / (1 - ku) : 1.0;
  for (int64_t s = 0; s < p.batch; s++) {
    for (int64_t i = 0; i < p.m; i++) {
      for (int64_t j = 0; j < p.n; j++) {
        const dot d = dot_of(&p, want, s, i, j);
        const double found = (double)((const fh_f32_any *)got[C])[s * p.c[0] + i * p.c[1] + j * p.c[2]];
        if (isnan(d.sum) || isinf(d.sum)) {
          const bool right = isnan(d.sum) || (d.lost && isnan(found)) ? isnan(found) : found == d.sum;
          if (!right) return "an element that must be NaN or infinite is not";
        } else if (d.magnitude * (1 + gamma) > (double)FLT_MAX) {
          continue;
        } else if (!(fabs(found - d.sum) <= gamma * d.magnitude + d.flushed + ((double)p.k + 1) * 0x1p-126)) {
          return "an element is off by more than gamma_k sum |a||b| and what denormals may lose";
        }
      }
    }
  }
  return NULL;
}

static bool matmul_bf16_case_at(int i, fh_case *out) { return fh_product_case_at(i, FH_BF16, FH_BF16, FH_F32, GROUP, out); }
static bool matmul_bf16_bench_at(int i, fh_case *out) { return fh_product_bench_at(i, FH_BF16, FH_BF16, FH_F32, GROUP, out); }

FH_TENSOR_PRODUCT(matmul_bf16, GROUP, FH_BF16, FH_BF16, 2, true)
static const fh_block_step thin_rest[] = {{"matmul_bf16_thin_add", fh_product_thin_add_shape}};

FH_SPLIT_PRODUCT(matmul_bf16, GROUP)

const fh_kernel_contract fh_contract_matmul_bf16 = {
    .name = "matmul_bf16",
    .version = 1,
    .summary = "matrix product of bf16 in f32, any strides, optionally batched, weights plain or packed",
    .formula = "c[i,j] = sum_l a[i,l] b[l,j]",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(3), FH_RANK(2) | FH_RANK(3)),
    FH_ENTRIES("matmul_bf16"),
    FH_EXACT_WITHIN(0x1p-14, 0,
                    "gamma_k sum |a||b| (Higham 2002, eq. 3.5) and what flushed denormals lose, element by element in compare; "
                    "bound_rel is gamma_1024"),
    .bind = matmul_bf16_bind,
    .reference = matmul_bf16_reference,
    .case_at = matmul_bf16_case_at,
    .bench_at = matmul_bf16_bench_at,
    .compare = matmul_bf16_compare,
    FH_TUNED(({"tuned", FH_ISA_AVX512, FH_BOUNDED, fh_matmul_bf16_avx512bf16, fh_matmul_bf16_scratch_avx512bf16, NULL, 0.9,
               FH_NEEDS(FH_FEATURE_AVX512_BF16)},
              {"tuned", FH_ISA_AVX2, FH_BOUNDED, fh_matmul_bf16_avx2, fh_matmul_bf16_scratch_avx2, NULL, 0.6, 0}),
             ({"bf16", FH_ISA_NEON, FH_BOUNDED, fh_matmul_bf16_neonbf16, fh_matmul_bf16_scratch_neonbf16, NULL, 0.9,
               FH_NEEDS(FH_FEATURE_NEON_BF16)},
              {"tuned", FH_ISA_NEON, FH_BOUNDED, fh_matmul_bf16_neon, fh_matmul_bf16_scratch_neon, NULL, 0.5,
               0})), /* The efficiency is a guess: nothing has been measured. */
    FH_BLOCKS({"mma", "matmul_bf16_mma", "matmul_bf16_sm80", 80, false, FH_BOUNDED, fh_product_block_shape, fh_product_block_unfit, 0.5},
              FH_SPLIT_ROW_OF(matmul_bf16, FH_BOUNDED, 0.45), FH_TENSOR_ROWS_OF(matmul_bf16, FH_BOUNDED),
              {"thin", "matmul_bf16_thin", "matmul_bf16_block", FH_BLOCK_PORTABLE, false, FH_BOUNDED, fh_product_thin_shape,
               fh_product_thin_unfit, 0.5, thin_rest, 1, fh_product_thin_bytes}),
};
