/* What tiles of rows cannot do: for the contracts that have them. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TILE_LIMITS_H_
#define FOGHORN_KERNELS_TILE_LIMITS_H_

#include <stddef.h>
#include <stdint.h>

/* A worker packs whole rows, some dozens at a time. NULL: rows of d elements fit. */
static inline const char *fh_tile_unfit(int64_t d) {
  return d > 1 << 20 ? "rows of more than 2^20 elements would need too much scratch" : NULL;
}

#endif /* FOGHORN_KERNELS_TILE_LIMITS_H_ */
