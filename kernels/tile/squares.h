/* Squared distances of two rows, and squares of one, whose elements lie side by side. SPDX-License-Identifier: Apache-2.0
 *
 * Include after one simd_<isa>.h, or simd_<isa>_f64.h for doubles. */
#ifndef FOGHORN_KERNELS_TILE_SQUARES_H_
#define FOGHORN_KERNELS_TILE_SQUARES_H_

#include "kernels/tile/pack.h"

static inline fh_element fh_sum_lanes(fh_vf v) {
  fh_element lanes[FH_LANES];
  fh_v_store(lanes, v);
  for (int half = FH_LANES / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  return lanes[0];
}

/* The lanes of the result add up to the squared distance. */
static inline fh_vf fh_squares_of(const fh_element_any *x, const fh_element_any *y, int64_t d) {
  fh_vf even = fh_v_zero(), odd = fh_v_zero();
  int64_t i = 0;
  for (; i + 2 * FH_LANES <= d; i += 2 * FH_LANES) {
    fh_vf p = fh_v_sub(fh_v_load(x + i), fh_v_load(y + i)), q = fh_v_sub(fh_v_load(x + i + FH_LANES), fh_v_load(y + i + FH_LANES));
    even = fh_v_fma(p, p, even);
    odd = fh_v_fma(q, q, odd);
  }
  for (; i < d; i += FH_LANES) {
    fh_vm mask = fh_vm_first(fh_tile_min(d - i, FH_LANES));
    fh_vf p = fh_v_sub(fh_v_load_masked(x + i, mask), fh_v_load_masked(y + i, mask));
    even = fh_v_fma(p, p, even);
  }
  return fh_v_add(even, odd);
}

/* The lanes of the result add up to the sum of a row's squares. */
static inline fh_vf fh_square_of(const fh_element_any *x, int64_t d) {
  fh_vf even = fh_v_zero(), odd = fh_v_zero();
  int64_t i = 0;
  for (; i + 2 * FH_LANES <= d; i += 2 * FH_LANES) {
    const fh_vf p = fh_v_load(x + i), q = fh_v_load(x + i + FH_LANES);
    even = fh_v_fma(p, p, even);
    odd = fh_v_fma(q, q, odd);
  }
  for (; i < d; i += FH_LANES) {
    const fh_vf p = fh_v_load_masked(x + i, fh_vm_first(fh_tile_min(d - i, FH_LANES)));
    even = fh_v_fma(p, p, even);
  }
  return fh_v_add(even, odd);
}

#endif /* FOGHORN_KERNELS_TILE_SQUARES_H_ */
