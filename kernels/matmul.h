/* Operands of matmul as its entries get them. SPDX-License-Identifier: Apache-2.0
 *
 * The order is the order of parameters in matmul.k. Strides count elements and may be zero or negative.
 * Dialect items: batch * m * ceil(n / 16); item = (batch * m + row) * ceil(n / 16) + block of 16 columns.
 *
 * The order of accumulation, for every variant, shape, layout and number of threads: k is cut into blocks of FH_MATMUL_STEPS
 * (the last may be shorter). A block's sum is one chain of fused multiply-adds in order of l, s = fma(a[i,l], b[l,j], s) from s = +0.
 * An element of C is the first block's sum, to which the others are added in order of their blocks, each rounded once. So the
 * result is exact, element by element: it depends on its row of A, its column of B and k, and on nothing else.
 */
#ifndef FOGHORN_KERNELS_MATMUL_H_
#define FOGHORN_KERNELS_MATMUL_H_

#include "kernels/contract.h"

enum { FH_MATMUL_STEPS = 256 };

enum {
  FH_MATMUL_A,
  FH_MATMUL_B,
  FH_MATMUL_C,
  FH_MATMUL_BATCH,
  FH_MATMUL_M,
  FH_MATMUL_N,
  FH_MATMUL_K,
  FH_MATMUL_A_STRIDES, /* three each: batch, row, column */
  FH_MATMUL_B_STRIDES = FH_MATMUL_A_STRIDES + 3,
  FH_MATMUL_C_STRIDES = FH_MATMUL_B_STRIDES + 3,
  FH_MATMUL_SLOTS = FH_MATMUL_C_STRIDES + 3,
};

/* What is done to elements of C when they are complete and still near: rows [row, row + rows) and columns [col, col + cols) of product
 * `batch`; a row past m belongs to one of the next products. */
typedef struct fh_matmul_epilogue {
  void (*apply)(const fh_slot *slots, int64_t batch, int64_t row, int64_t rows, int64_t col, int64_t cols);
  const fh_slot *slots;
} fh_matmul_epilogue;

/* The tuned entries (matmul_tile.h), the same with an epilogue, and the scratch they want. */
#define FH_MATMUL_TUNED(isa)                                                                                \
  void fh_matmul_##isa(const fh_slot *slots, const fh_team *team);                                          \
  void fh_matmul_with_##isa(const fh_slot *slots, const fh_team *team, const fh_matmul_epilogue *epilogue); \
  size_t fh_matmul_scratch_##isa(const fh_bound *bound, int team_size);
FH_MATMUL_TUNED(avx2)
FH_MATMUL_TUNED(avx512)
FH_MATMUL_TUNED(neon)
#undef FH_MATMUL_TUNED

/* What the contracts of products share: shapes checked and the operands above filled, a and b being views 0 and 1; params are those of
 * a, b and c. One element in double precision, and the sum of |a||b| that scales its error. */
fh_status fh_matmul_bind(const char *kernel, const fh_view_param params[static 3], const fh_view_desc views[static 3], int index_of_c,
                         fh_bound *out);
double fh_matmul_element(const fh_view_desc views[static 2], void *const *data, int64_t batch, int64_t i, int64_t j, double *out_magnitude);
/* What every order of additions, fused or not, keeps: gamma_k = k u / (1 - k u), u = 2^-24 (Higham, Accuracy and Stability, 3.1). */
double fh_matmul_gamma(int64_t k);

#endif /* FOGHORN_KERNELS_MATMUL_H_ */
