/* The contract of matmul_tf32: C = A B of f32 rounded to tf32, summed in f32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/matmul_tf32/matmul_tf32.h"

#include "kernels/float_product.h"
#include "kernels/narrow.h"
#include "kernels/product_panels.h"

enum { GROUP = 1 };

static const fh_view_param params[] = {
    {"a", FH_ROLE_IN, FH_F32, "(m, k) or (batch, m, k)", false},
    {"b", FH_ROLE_IN, FH_F32, "(k, n), (batch, k, n), or packed weights (panels, k, 32, 1)", false},
    {"c", FH_ROLE_OUT, FH_F32, "(m, n) or (batch, m, n)", false},
};

/* To 11 significant bits, to nearest, ties away from zero. */
static double factor(const void *data, int64_t i) {
  const float x = ((const fh_f32_any *)data)[i];
  return (double)(isnan(x) ? x : fh_f32_from_bits((fh_bits_from_f32(x) + 0x1000) & 0xffffe000));
}
static const fh_float_product kind = {GROUP, factor};

/* The factors are what was rounded, so the products, of 22 bits, are exact but for underflow, and the bound is that of any sum. Tensor
 * cores may add as few as 4 products at a time, align them and cut them off two bits behind a float's last, and cut the sum: 5 * 2^-25 and
 * 2^-23, 4.5 roundings where 4 are allowed for them. So twice as many are, which is nothing beside what the rounding of the operands costs.
 */
static double roundings(int64_t k) { return 2 * (double)k + 2; }

static fh_status matmul_tf32_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  return fh_product_bind("matmul_tf32", params, views, GROUP, out);
}

static void matmul_tf32_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  (void)scalars;
  fh_float_product_reference(&kind, views, data);
}

static const char *matmul_tf32_compare(const fh_case *c, void *const *got, void *const *want) {
  return fh_float_product_compare(&kind, c, got, want, roundings);
}

static bool matmul_tf32_case_at(int i, fh_case *out) { return fh_product_case_at(i, FH_F32, FH_F32, FH_F32, GROUP, out); }
static bool matmul_tf32_bench_at(int i, fh_case *out) { return fh_product_bench_at(i, FH_F32, FH_F32, FH_F32, GROUP, out); }

FH_SPLIT_PRODUCT(matmul_tf32, GROUP)
FH_PANELS_PRODUCT(matmul_tf32, 4)

/* ---- mma_packed: both operands in panels of 128 lines by 16 numbers of k (kernels/block/mma_panels.h) ---- */

enum { PANEL_LINES = 128, PANEL_STEPS = 16, PANEL_BYTES = 8 << 10, PACKED_THREADS = 128 };

static int64_t panels_of(const fh_operand *op, int64_t lines, int64_t sheet) {
  const int64_t sheets = sheet ? op[FH_PRODUCT_BATCH].i : 1;
  return sheets * fh_divide_up(lines, PANEL_LINES) * fh_divide_up(op[FH_PRODUCT_K].i, PANEL_STEPS);
}
static int64_t panels_of_both(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  return panels_of(op, op[FH_PRODUCT_M].i, op[FH_PRODUCT_A_STRIDES].i) + panels_of(op, op[FH_PRODUCT_N].i, op[FH_PRODUCT_B_STRIDES].i);
}

static void mma_pack_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_panels_pack_shape(panels_of_both(bound), multiprocessors, out);
}
static void mma_packed_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_product_block_shape(bound, multiprocessors, out);
  out->threads = PACKED_THREADS;
}
static size_t mma_packed_bytes(const fh_bound *bound, int multiprocessors) {
  (void)multiprocessors;
  return (size_t)panels_of_both(bound) * PANEL_BYTES;
}

/* Packing moves 8 bytes of each number, in which time the tensor cores of compute capability 8.0 multiply it with about 300 others; half of
 * that is what rounding in the product, once for each tile, would cost. */
static const char *mma_packed_unfit(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  if (op[FH_PRODUCT_M].i <= PANEL_LINES || op[FH_PRODUCT_N].i <= PANEL_LINES)
    return "at most 128 rows or columns: each number is in one tile, and rounded once without being packed";
  return op[FH_PRODUCT_K].i < 1 ? "k is 0: there is nothing to pack" : NULL;
}

static const fh_block_step mma_packed_rest[] = {{"matmul_tf32_mma_packed", mma_packed_shape}};

static const fh_block_step thin_rest[] = {{"matmul_tf32_thin_add", fh_product_thin_add_shape}};

const fh_kernel_contract fh_contract_matmul_tf32 = {
    .name = "matmul_tf32",
    .version = 1,
    .summary = "matrix product of f32 rounded to 11 bits (tf32), any strides, optionally batched, weights plain or packed",
    .formula =
        "c[i,j] = sum_l r(a[i,l]) r(b[l,j]), r to 11 significant bits, nearest, ties away: an error of at most 2^-10 sum |a||b| by r; the "
        "sum as that of matmul",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(3), FH_RANK(2) | FH_RANK(3)),
    FH_ENTRIES("matmul_tf32"),
    FH_EXACT_WITHIN(0x1p-13, 0,
                    "of the product of the rounded operands: gamma_k sum |a||b| (Higham 2002, eq. 3.5), twice for tensor cores, element by "
                    "element in compare; bound_rel is twice gamma_1024"),
    .bind = matmul_tf32_bind,
    .reference = matmul_tf32_reference,
    .case_at = matmul_tf32_case_at,
    .bench_at = matmul_tf32_bench_at,
    .compare = matmul_tf32_compare,
    FH_TUNED(({"tuned", FH_ISA_AVX512, FH_EXACT, fh_matmul_tf32_avx512, fh_matmul_tf32_scratch_avx512, NULL, 0.8, 0},
              {"tuned", FH_ISA_AVX2, FH_EXACT, fh_matmul_tf32_avx2, fh_matmul_tf32_scratch_avx2, NULL, 0.75, 0}),
             ({"tuned", FH_ISA_NEON, FH_EXACT, fh_matmul_tf32_neon, fh_matmul_tf32_scratch_neon, NULL, 0.75, 0})),
    /* Efficiencies are guesses: nothing has been measured. `mma` rounds each number as it comes to registers, which takes longer than
     * the products: where a launch can round them first, that is taken to be the faster way. Its product has no more to do than those of
     * 16 bits, for twice as long: it is taken to be as near to the limit as they are. */
    FH_BLOCKS({"mma", "matmul_tf32_mma", "matmul_tf32_sm80", 80, false, FH_BOUNDED, fh_product_block_shape, fh_product_block_unfit, 0.3},
              FH_SPLIT_ROW_OF(matmul_tf32, FH_BOUNDED, 0.3),
              {"mma_packed", "matmul_tf32_mma_pack", "matmul_tf32_sm80", 80, false, FH_BOUNDED, mma_pack_shape, mma_packed_unfit, 0.5,
               mma_packed_rest, 1, mma_packed_bytes},
              FH_PANELS_ROWS_OF(matmul_tf32, FH_BOUNDED),
              {"thin", "matmul_tf32_thin", "matmul_tf32_block", FH_BLOCK_PORTABLE, false, FH_EXACT, fh_product_thin_shape,
               fh_product_thin_unfit, 0.5, thin_rest, 1, fh_product_thin_bytes}),
};
