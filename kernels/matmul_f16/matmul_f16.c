/* The contract of matmul_f16: C = A B of f16, summed in f32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/matmul_f16/matmul_f16.h"

#include "kernels/float_product.h"
#include "kernels/narrow.h"
#include "kernels/product_tensors.h"

enum { GROUP = 2 };

static const fh_view_param params[] = {
    {"a", FH_ROLE_IN, FH_F16, "(m, k) or (batch, m, k)", false},
    {"b", FH_ROLE_IN, FH_F16, "(k, n), (batch, k, n), or packed weights (panels, groups, 32, 2)", false},
    {"c", FH_ROLE_OUT, FH_F32, "(m, n) or (batch, m, n)", false},
};

static double factor(const void *data, int64_t i) { return (double)fh_f32_from_f16(((const fh_u16_any *)data)[i]); }
static const fh_float_product kind = {GROUP, factor};

/* Products of f16 have 22 bits and lie between 2^-48 and 2^32: in f32 they are exact, and no sum of fewer than 2^95 overflows. Whatever the
 * order of the additions, k of them are within gamma_k sum |a||b| (Higham 2002, 3.1). Tensor cores align what they add and cut it off two
 * bits behind a float's last, and cut the sum: 8 products lose less than 9 * 2^-25 and 2^-23, 6.5 of the 8 roundings that are allowed for
 * them; but 2 of them may lose 2.5, and so k + 2 are. */
static double roundings(int64_t k) { return (double)k + 2; }

static fh_status matmul_f16_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  return fh_product_bind("matmul_f16", params, views, GROUP, out);
}

static void matmul_f16_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  (void)scalars;
  fh_float_product_reference(&kind, views, data);
}

static const char *matmul_f16_compare(const fh_case *c, void *const *got, void *const *want) {
  return fh_float_product_compare(&kind, c, got, want, roundings);
}

static bool matmul_f16_case_at(int i, fh_case *out) { return fh_product_case_at(i, FH_F16, FH_F16, FH_F32, GROUP, out); }
static bool matmul_f16_bench_at(int i, fh_case *out) { return fh_product_bench_at(i, FH_F16, FH_F16, FH_F32, GROUP, out); }

FH_TENSOR_PRODUCT(matmul_f16, GROUP, FH_F16, FH_F16, 2, true)
static const fh_block_step thin_rest[] = {{"matmul_f16_thin_add", fh_product_thin_add_shape}};

FH_SPLIT_PRODUCT(matmul_f16, GROUP)

const fh_kernel_contract fh_contract_matmul_f16 = {
    .name = "matmul_f16",
    .version = 1,
    .summary = "matrix product of f16 in f32, any strides, optionally batched, weights plain or packed",
    .formula = "c[i,j] = sum_l a[i,l] b[l,j]: a chain of fused multiply-adds in each 256 of l, block sums added in order",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(3), FH_RANK(2) | FH_RANK(3)),
    FH_ENTRIES("matmul_f16"),
    FH_EXACT_WITHIN(
        0x1p-14, 0,
        "gamma_k sum |a||b| (Higham 2002, eq. 3.5) and two roundings for tensor cores, element by element in compare; bound_rel is "
        "gamma_1024"),
    .bind = matmul_f16_bind,
    .reference = matmul_f16_reference,
    .case_at = matmul_f16_case_at,
    .bench_at = matmul_f16_bench_at,
    .compare = matmul_f16_compare,
    FH_TUNED(({"tuned", FH_ISA_AVX512, FH_EXACT, fh_matmul_f16_avx512, fh_matmul_f16_scratch_avx512, NULL, 0.8, 0},
              {"tuned", FH_ISA_AVX2, FH_EXACT, fh_matmul_f16_avx2, fh_matmul_f16_scratch_avx2, NULL, 0.75, 0}),
             ({"tuned", FH_ISA_NEON, FH_EXACT, fh_matmul_f16_neon, fh_matmul_f16_scratch_neon, NULL, 0.75, 0})),
    /* The efficiency is a guess: nothing has been measured. */
    FH_BLOCKS({"mma", "matmul_f16_mma", "matmul_f16_sm80", 80, false, FH_BOUNDED, fh_product_block_shape, fh_product_block_unfit, 0.5},
              FH_SPLIT_ROW_OF(matmul_f16, FH_BOUNDED, 0.45), FH_TENSOR_ROWS_OF(matmul_f16, FH_BOUNDED),
              {"thin", "matmul_f16_thin", "matmul_f16_block", FH_BLOCK_PORTABLE, false, FH_EXACT, fh_product_thin_shape,
               fh_product_thin_unfit, 0.5, thin_rest, 1, fh_product_thin_bytes}),
};
