/* Products that a vendor's library computes, as variants beside those of a contract. SPDX-License-Identifier: Apache-2.0
 *
 * Such a variant is an fh_block_variant without a text: the backend calls the library where a launch would be. It is listed for devices of
 * a backend that has `lacks_library`, is tested and measured like any other, and is never needed.
 */
#ifndef FOGHORN_BACKENDS_LIBRARY_H_
#define FOGHORN_BACKENDS_LIBRARY_H_

#include <stdbool.h>

#include "kernels/contract.h"

/* Operands of the first stage: pointers to a, b and c, then at most so many extents and strides. */
enum { FH_LIBRARY_POINTERS = 3, FH_LIBRARY_NUMBERS = 15 };

/* The variant of a kernel; NULL: libraries have no such product. */
const fh_block_variant *fh_library_variant_of(const fh_kernel_contract *contract);

static inline bool fh_is_library_variant(const fh_block_variant *variant) { return variant && !variant->text; }

/* Memory that holds columns of `rows` elements, each `pitch` elements behind the one before, and for each product of a batch `sheet`
 * elements behind the last. */
typedef struct fh_library_matrix {
  int64_t rows, columns, pitch, sheet;
  bool turned; /* it holds the transpose of what is multiplied */
} fh_library_matrix;

/* The way that BLAS says it: the memory of `out`, by columns, becomes left times right. */
typedef struct fh_library_product {
  fh_dtype dtype; /* of both factors; `out` is f32 */
  int64_t batch;
  int64_t m, n, k; /* `out` is m x n */
  fh_library_matrix left, right, out;
  int left_operand, right_operand, out_operand; /* of the first stage */
} fh_library_product;

/* A call of a kernel that has a variant, said so. Otherwise why it cannot be, in words (static text). Pure. */
const char *fh_library_product_of(const fh_kernel_contract *contract, const fh_bound *bound, fh_library_product *out);

#endif /* FOGHORN_BACKENDS_LIBRARY_H_ */
