/* Products by rows and columns of any strides, as BLAS takes them: by columns. SPDX-License-Identifier: Apache-2.0 */
#include "backends/library.h"

#include "kernels/contracts.h"
#include "kernels/matmul.h"
#include "kernels/product.h"

enum { A, B, C, OPERANDS };

/* What the operands of a kernel say. */
typedef struct product {
  int64_t batch, m, n, k;
  int64_t strides[OPERANDS][3]; /* batch, row, column */
  bool packed;
} product;

static product product_of_floats(const fh_operand *op) {
  product p = {.batch = op[FH_MATMUL_BATCH].i, .m = op[FH_MATMUL_M].i, .n = op[FH_MATMUL_N].i, .k = op[FH_MATMUL_K].i};
  for (int i = 0; i < 3 * OPERANDS; i++) p.strides[i / 3][i % 3] = op[FH_MATMUL_A_STRIDES + i].i;
  return p;
}

/* Weights by rows and columns have strides of panels and groups that follow from those of their elements. */
static product product_of_halves(const fh_operand *op) {
  enum { GROUP = 2 };
  product p = {.batch = op[FH_PRODUCT_BATCH].i, .m = op[FH_PRODUCT_M].i, .n = op[FH_PRODUCT_N].i, .k = op[FH_PRODUCT_K].i};
  const fh_operand *b = op + FH_PRODUCT_B_STRIDES;
  for (int i = 0; i < 3; i++) {
    p.strides[A][i] = op[FH_PRODUCT_A_STRIDES + i].i;
    p.strides[C][i] = op[FH_PRODUCT_C_STRIDES + i].i;
  }
  p.strides[B][0] = b[0].i, p.strides[B][1] = b[4].i, p.strides[B][2] = b[2].i;
  p.packed = (p.n > FH_PANEL && b[1].i != FH_PANEL * b[2].i) || (p.k > GROUP && b[3].i != GROUP * b[4].i);
  return p;
}

/* ---- layouts -------------------------------------------------------------------------------------------------------- */

static bool lies_by_columns(int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride) {
  return (rows == 1 || row_stride == 1) && (columns == 1 || column_stride >= rows);
}

/* The memory of a matrix, or of its transpose. */
static bool lay(int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride, fh_library_matrix *out) {
  if (lies_by_columns(rows, columns, row_stride, column_stride)) {
    *out = (fh_library_matrix){.rows = rows, .columns = columns, .pitch = columns == 1 ? rows : column_stride};
    return true;
  }
  *out = (fh_library_matrix){.rows = columns, .columns = rows, .pitch = rows == 1 ? columns : row_stride, .turned = true};
  return lies_by_columns(columns, rows, column_stride, row_stride);
}

static const char *lay_factors(const product *p, fh_library_product *out) {
  const int64_t *a = p->strides[A], *b = p->strides[B];
  const bool across = out->left_operand == B; /* by columns, memory that lies by rows is the transpose: c' = b' a' */
  const bool left = across ? lay(p->n, p->k, b[2], b[1], &out->left) : lay(p->m, p->k, a[1], a[2], &out->left);
  const bool right = across ? lay(p->k, p->m, a[2], a[1], &out->right) : lay(p->k, p->n, b[1], b[2], &out->right);
  out->left.sheet = p->strides[out->left_operand][0];
  out->right.sheet = p->strides[out->right_operand][0];
  if (!left || !right) return "neither the rows nor the columns of a factor are contiguous, or they overlap";
  return out->left.sheet < 0 || out->right.sheet < 0 ? "a batch runs backwards" : NULL;
}

static const char *lay_result(const product *p, fh_library_product *out) {
  const int64_t *c = p->strides[C];
  const bool across = lay(p->n, p->m, c[2], c[1], &out->out) && !out->out.turned;
  if (!across && (!lay(p->m, p->n, c[1], c[2], &out->out) || out->out.turned))
    return "neither the rows nor the columns of c are contiguous, or they overlap";
  out->m = out->out.rows;
  out->n = out->out.columns;
  out->left_operand = across ? B : A;
  out->right_operand = across ? A : B;
  out->out.sheet = c[0];
  return c[0] < 0 ? "a batch runs backwards" : NULL;
}

static const char *say(const product *p, fh_dtype dtype, fh_library_product *out) {
  if (p->k < 1) return "k is 0: there is nothing to multiply";
  if (p->packed) return "packed weights are in an order of our own";
  if (p->batch > INT32_MAX || p->m > INT32_MAX || p->n > INT32_MAX || p->k > INT32_MAX) return "an extent has more than 31 bits";
  *out = (fh_library_product){.dtype = dtype, .batch = p->batch, .k = p->k, .out_operand = C};
  const char *why = lay_result(p, out);
  return why ? why : lay_factors(p, out);
}

/* ---- the variants ----------------------------------------------------------------------------------------------------- */

static const char *say_floats(const fh_bound *bound, fh_library_product *out) {
  const product p = product_of_floats(bound->stages[0].operands);
  return say(&p, FH_F32, out);
}

static const char *say_halves(const fh_bound *bound, fh_dtype dtype, fh_library_product *out) {
  const product p = product_of_halves(bound->stages[0].operands);
  return say(&p, dtype, out);
}

static const char *floats_unfit(const fh_bound *bound) {
  fh_library_product ignored;
  return say_floats(bound, &ignored);
}

static const char *halves_unfit(const fh_bound *bound) {
  fh_library_product ignored;
  return say_halves(bound, FH_BF16, &ignored); /* one type or the other lies alike */
}

/* A library chooses its own: nothing of the device is in the way. */
static void any_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)bound, (void)multiprocessors;
  *out = (fh_block_shape){.grid = {1, 1, 1}, .threads = 1};
}

/* For sums of parts of k: those of 8 parts, and of large products at most what the vendor advises for its newest devices. */
static size_t workspace_bytes(const fh_bound *bound, int multiprocessors) {
  (void)multiprocessors;
  const double parts = 8 * sizeof(float), most = 32 << 20, least = 64 << 10;
  const fh_operand *op = bound->stages[0].operands;
  const double bytes = parts * (double)op[FH_MATMUL_BATCH].i * (double)op[FH_MATMUL_M].i * (double)op[FH_MATMUL_N].i;
  return (size_t)(bytes > most ? most : bytes < least ? least : bytes);
}

/* Both number the same way what is asked of both, with the pointers first. */
_Static_assert((int)FH_LIBRARY_POINTERS == (int)FH_MATMUL_BATCH && (int)FH_PRODUCT_SLOTS - FH_LIBRARY_POINTERS == FH_LIBRARY_NUMBERS,
               "operands of products");
_Static_assert((int)FH_MATMUL_BATCH == (int)FH_PRODUCT_BATCH && (int)FH_MATMUL_N == (int)FH_PRODUCT_N, "operands of products");

/* BOUNDED: libraries promise no order of additions. Whatever it is, k products that are summed in f32 are within the contracts' bounds
 * (see their compare functions); on tensor cores these have room for what alignment cuts off, and the self-test sees more. The efficiency
 * is no guess of what they reach: it is below all our own, of one block too, so that only a measurement chooses a library. */
#define LIBRARY_ROW(entry_, capability_, unfit_) \
  {                                              \
      .name = "cublaslt",                        \
      .entry = entry_,                           \
      .capability = capability_,                 \
      .numerics = FH_BOUNDED,                    \
      .shape = any_shape,                        \
      .unfit = unfit_,                           \
      .efficiency = 0.0001,                      \
      .scratch_bytes = workspace_bytes,          \
  }

static const struct {
  const fh_kernel_contract *contract;
  fh_dtype dtype;
  fh_block_variant variant;
} rows[] = {
    {&fh_contract_matmul, FH_F32, LIBRARY_ROW("matmul_cublaslt", 70, floats_unfit)},
    {&fh_contract_matmul_bf16, FH_BF16, LIBRARY_ROW("matmul_bf16_cublaslt", 80, halves_unfit)},
    {&fh_contract_matmul_f16, FH_F16, LIBRARY_ROW("matmul_f16_cublaslt", 70, halves_unfit)},
};

static int row_of(const fh_kernel_contract *contract) {
  const int count = (int)(sizeof rows / sizeof *rows);
  for (int i = 0; i < count; i++)
    if (rows[i].contract == contract) return i;
  return -1;
}

const fh_block_variant *fh_library_variant_of(const fh_kernel_contract *contract) {
  const int row = row_of(contract);
  return row < 0 ? NULL : &rows[row].variant;
}

const char *fh_library_product_of(const fh_kernel_contract *contract, const fh_bound *bound, fh_library_product *out) {
  const int row = row_of(contract);
  if (row < 0) return "libraries have no such product";
  return rows[row].dtype == FH_F32 ? say_floats(bound, out) : say_halves(bound, rows[row].dtype, out);
}
