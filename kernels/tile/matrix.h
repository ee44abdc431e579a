/* Rows of elements with any strides, and how they are asked for ahead. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TILE_MATRIX_H_
#define FOGHORN_KERNELS_TILE_MATRIX_H_

#include <stdint.h>

#include "kernels/element.h"

enum { FH_TILE_LINE = 64 / sizeof(fh_element) }; /* elements of a cache line */

/* Strides in elements. */
typedef struct fh_matrix {
  const fh_element_any *first;
  int64_t row, col;
} fh_matrix;

/* Asks for part i of `parts` of rows that are needed soon. Whole rows, so that no line costs a division. */
static inline void fh_fetch_rows(const fh_element_any *first, int64_t row, int64_t rows, int64_t d, int64_t i, int64_t parts) {
  const fh_element_any *at = first + rows * i / parts * row, *end = first + rows * (i + 1) / parts * row;
  for (; at != end; at += row)
    for (int64_t l = 0; l < d; l += FH_TILE_LINE) __builtin_prefetch(at + l, 0, 2);
}

#endif /* FOGHORN_KERNELS_TILE_MATRIX_H_ */
