/* The contract of matmul_i8: C = A B of u8 and s8, summed in i32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/matmul_i8/matmul_i8.h"

#include "kernels/product_panels.h"
#include "kernels/unaligned.h"

enum { A = FH_PRODUCT_A, B = FH_PRODUCT_B, C = FH_PRODUCT_C, GROUP = 4 };

static const fh_view_param params[] = {
    {"a", FH_ROLE_IN, FH_U8, "(m, k) or (batch, m, k)", false},
    {"b", FH_ROLE_IN, FH_I8, "(k, n), (batch, k, n), or packed weights (panels, groups, 32, 4)", false},
    {"c", FH_ROLE_OUT, FH_I32, "(m, n) or (batch, m, n)", false},
};

static fh_status matmul_i8_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  return fh_product_bind("matmul_i8", params, views, GROUP, out);
}

static void matmul_i8_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const fh_product p = fh_product_of(views, GROUP);
  const uint8_t *a = data[A];
  const int8_t *b = data[B];
  for (int64_t s = 0; s < p.batch; s++)
    for (int64_t i = 0; i < p.m; i++)
      for (int64_t j = 0; j < p.n; j++) {
        int64_t sum = 0;
        for (int64_t l = 0; l < p.k; l++) sum += (int64_t)a[s * p.a[0] + i * p.a[1] + l * p.a[2]] * b[fh_product_at_b(&p, s, l, j, GROUP)];
        ((fh_i32_any *)data[C])[s * p.c[0] + i * p.c[1] + j * p.c[2]] = (int32_t)(uint32_t)(uint64_t)sum;
      }
}

static bool matmul_i8_case_at(int i, fh_case *out) { return fh_product_case_at(i, FH_U8, FH_I8, FH_I32, GROUP, out); }
static bool matmul_i8_bench_at(int i, fh_case *out) { return fh_product_bench_at(i, FH_U8, FH_I8, FH_I32, GROUP, out); }

FH_TENSOR_PRODUCT(matmul_i8, GROUP, FH_U8, FH_I8, 1, false)
FH_SPLIT_PRODUCT(matmul_i8, GROUP)
FH_PANELS_B_PRODUCT(matmul_i8, GROUP, FH_U8, 1)
static const fh_block_step thin_rest[] = {{"matmul_i8_thin_add", fh_product_thin_add_shape}};

/* ---- mma_thin: columns in the first dimension, parts of k in the second (kernels/block/thin_mma.h) ---- */

enum { FEW_ROWS = 16, FEW_COLUMNS = 128, FEW_PART = 256, FEW_BLOCKS = 8, FEW_THREADS = 128, ADD_THREADS = 256 };

/* So many that a multiprocessor has twice as many blocks as its registers have room for, each with 32 KiB of weights at least. */
static int64_t few_parts(const fh_bound *bound, int multiprocessors) {
  const fh_operand *op = bound->stages[0].operands;
  const int64_t columns = fh_divide_up(op[FH_PRODUCT_N].i, FEW_COLUMNS) * op[FH_PRODUCT_BATCH].i;
  const int64_t blocks = FEW_BLOCKS * (int64_t)(multiprocessors > 0 ? multiprocessors : FH_PRODUCT_UNKNOWN);
  return fh_most(fh_least(fh_divide_up(blocks, columns), fh_divide_up(op[FH_PRODUCT_K].i, FEW_PART)), 1);
}

static void mma_thin_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  *out = fh_product_line_shape(bound, fh_divide_up(bound->stages[0].operands[FH_PRODUCT_N].i, FEW_COLUMNS), FEW_THREADS);
  out->grid[1] = (uint32_t)few_parts(bound, multiprocessors);
}

/* Its second dimension says how many parts there are. */
static void mma_thin_add_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  const fh_operand *op = bound->stages[0].operands;
  const int64_t parts = few_parts(bound, multiprocessors), blocks = fh_divide_up(op[FH_PRODUCT_M].i * op[FH_PRODUCT_N].i, ADD_THREADS);
  *out = fh_product_line_shape(bound, fh_divide_up(blocks, parts), ADD_THREADS);
  out->grid[1] = (uint32_t)parts;
}

static size_t mma_thin_bytes(const fh_bound *bound, int multiprocessors) {
  const fh_operand *op = bound->stages[0].operands;
  return sizeof(int32_t) * (size_t)(op[FH_PRODUCT_BATCH].i * few_parts(bound, multiprocessors)) *
         (size_t)(op[FH_PRODUCT_M].i * op[FH_PRODUCT_N].i);
}

static const char *mma_thin_unfit(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  if (op[FH_PRODUCT_M].i > FEW_ROWS) return "more than 16 rows: the weights would be read several times";
  return op[FH_PRODUCT_N].i < FEW_COLUMNS / 2 ? "fewer than 64 columns: most warps would have none" : NULL;
}

static const fh_block_step mma_thin_rest[] = {{"matmul_i8_split_add", mma_thin_add_shape}};

const fh_kernel_contract fh_contract_matmul_i8 = {
    .name = "matmul_i8",
    .version = 1,
    .summary = "matrix product of u8 and s8 in i32, any strides, optionally batched, weights plain or packed",
    .formula = "c[i,j] = sum_l a[i,l] b[l,j] modulo 2^32",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(3), FH_RANK(2) | FH_RANK(3)),
    FH_ENTRIES("matmul_i8"),
    FH_EXACT_WITHIN(0, 0, "whole numbers: |sum| <= 255 * 128 k stays below 2^31 for k <= 65793 and wraps beyond; nothing saturates"),
    .bind = matmul_i8_bind,
    .reference = matmul_i8_reference,
    .case_at = matmul_i8_case_at,
    .bench_at = matmul_i8_bench_at,
    FH_TUNED(
        ({"tuned", FH_ISA_AVX512, FH_EXACT, fh_matmul_i8_avx512vnni, fh_matmul_i8_scratch_avx512vnni, NULL, 0.9,
          FH_NEEDS(FH_FEATURE_AVX512_VNNI)},
         {"tuned", FH_ISA_AVX2, FH_EXACT, fh_matmul_i8_avx2, fh_matmul_i8_scratch_avx2, NULL, 0.6, 0}),
        ({"i8mm", FH_ISA_NEON, FH_EXACT, fh_matmul_i8_neoni8mm, fh_matmul_i8_scratch_neoni8mm, NULL, 0.9, FH_NEEDS(FH_FEATURE_NEON_I8MM)},
         {"dotprod", FH_ISA_NEON, FH_EXACT, fh_matmul_i8_neondotprod, fh_matmul_i8_scratch_neondotprod, NULL, 0.8,
          FH_NEEDS(FH_FEATURE_NEON_DOTPROD)},
         {"tuned", FH_ISA_NEON, FH_EXACT, fh_matmul_i8_neon, fh_matmul_i8_scratch_neon, NULL, 0.3, 0})),
    /* Efficiencies are guesses: nothing has been measured. mma_thin before thin, which has about ten times as much to do for a byte. */
    FH_BLOCKS({"mma", "matmul_i8_mma", "matmul_i8_sm80", 80, false, FH_EXACT, fh_product_block_shape, fh_product_block_unfit, 0.5},
              FH_SPLIT_ROW_OF(matmul_i8, FH_EXACT, 0.45), FH_TENSOR_ROWS_OF(matmul_i8, FH_EXACT), FH_PANELS_B_ROWS_OF(matmul_i8, FH_EXACT),
              {"thin", "matmul_i8_thin", "matmul_i8_block", FH_BLOCK_PORTABLE, false, FH_EXACT, fh_product_thin_shape,
               fh_product_thin_unfit, 0.5, thin_rest, 1, fh_product_thin_bytes},
              {"mma_thin", "matmul_i8_mma_thin", "matmul_i8_sm80", 80, false, FH_EXACT, mma_thin_shape, mma_thin_unfit, 0.7, mma_thin_rest,
               1, mma_thin_bytes}),
};
