/* Whole numbers, as extents are cut and rounded. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_ARITHMETIC_H_
#define FOGHORN_KERNELS_ARITHMETIC_H_

#include <stdint.h>

static inline int64_t fh_least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t fh_most(int64_t a, int64_t b) { return a > b ? a : b; }

/* a / b rounded up, a >= 0; 0 where b is no divisor. */
static inline int64_t fh_divide_up(int64_t a, int64_t b) { return b > 0 ? a / b + (a % b != 0) : 0; }

/* Where part i of `parts` nearly equal parts of `whole` begins. */
static inline int64_t fh_part_start(int64_t whole, int64_t parts, int64_t i) {
  return i == 0 ? 0 : i == parts ? whole : whole / parts * i + whole % parts * i / parts;
}

#endif /* FOGHORN_KERNELS_ARITHMETIC_H_ */
