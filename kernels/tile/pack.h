/* Packing: from any strides into panels that the tile kernels read in order. SPDX-License-Identifier: Apache-2.0
 *
 * A panel holds `lanes` lines of one operand side by side: dst[step * width + lane] = src[lane, step]. For the
 * operand that is loaded in vectors the width is a whole number of vectors and the rest is zero; for the one that
 * is broadcast width == lanes. Include after one simd_<isa>.h, or simd_<isa>_f64.h for doubles.
 */
#ifndef FOGHORN_KERNELS_TILE_PACK_H_
#define FOGHORN_KERNELS_TILE_PACK_H_

#include "kernels/tile/matrix.h"

static inline int fh_tile_min(int64_t a, int64_t b) { return (int)(a < b ? a : b); }
/* Lanes of the vector that begins at lane v. */
static inline int fh_pack_lanes(int lanes, int v) { return lanes <= v ? 0 : fh_tile_min(lanes - v, FH_LANES); }

/* Lanes lie side by side in memory. */
static inline void fh_pack_copy(fh_element *dst, int width, const fh_element_any *src, int64_t step_stride, int lanes, int64_t steps) {
  for (int v = 0; v < width; v += FH_LANES) {
    int take = fh_pack_lanes(lanes, v), give = fh_pack_lanes(width, v);
    fh_vm mask = fh_vm_first(take);
    const fh_element_any *in = src + v;
    fh_element *out = dst + v;
    if (take == FH_LANES) {
      for (int64_t s = 0; s < steps; s++, in += step_stride, out += width) fh_v_store(out, fh_v_load(in));
    } else {
      for (int64_t s = 0; s < steps; s++, in += step_stride, out += width) fh_v_store_first(out, fh_v_load_masked(in, mask), give);
    }
  }
}

/* The same for many panels of `width` lanes, a whole number of vectors, at once: memory is read in long rows. A panel has
 * width * steps elements; the last one's lanes past `lanes` are zero. */
static inline void fh_pack_copy_wide(fh_element *dst, int width, const fh_element_any *src, int64_t step_stride, int64_t lanes,
                                     int64_t steps) {
  enum { AHEAD = 6 }; /* rows */
  const int64_t panel = width * steps, whole = lanes / width;
  const int rest = (int)(lanes - whole * width);
  for (int64_t s = 0; s < steps; s++, src += step_stride, dst += width) {
    const fh_element_any *in = src, *later = s + AHEAD < steps ? src + AHEAD * step_stride : src;
    fh_element *out = dst;
    for (int64_t i = 0; i < whole; i++, in += width, later += width, out += panel) {
      for (int v = 0; v < width; v += FH_LANES) {
        if (v % FH_TILE_LINE == 0) __builtin_prefetch(later + v);
        fh_v_store(out + v, fh_v_load(in + v));
      }
    }
    for (int v = 0; rest > 0 && v < width; v += FH_LANES)
      fh_v_store(out + v, v < rest ? fh_v_load_masked(in + v, fh_vm_first(fh_pack_lanes(rest, v))) : fh_v_zero());
  }
}

/* Steps lie side by side in memory: square blocks are turned in registers. */
static inline void fh_pack_turn(fh_element *dst, int width, const fh_element_any *src, int64_t lane_stride, int lanes, int64_t steps) {
  enum { AHEAD = 64 }; /* steps: lines of memory begin far apart, where no hardware looks ahead */
  fh_vt block[FH_TURN];
  for (int v = 0; v < width; v += FH_TURN) {
    const int take = fh_tile_min(lanes - v, FH_TURN), give = fh_tile_min(width - v, FH_TURN);
    const fh_element_any *in = src + v * lane_stride;
    fh_element *out = dst + v;
    int64_t s = 0;
    if (take == FH_TURN) {
      for (; s + FH_TURN <= steps; s += FH_TURN, in += FH_TURN) {
        for (int i = 0; i < FH_TURN; i++) __builtin_prefetch((const void *)((uintptr_t)(in + i * lane_stride) + sizeof *in * AHEAD));
        fh_t_load(in, lane_stride, block);
        for (int i = 0; i < FH_TURN; i++, out += width) fh_t_store(out, block[i]);
      }
    }
    for (; s < steps; s += FH_TURN, in += FH_TURN) {
      const int count = fh_tile_min(steps - s, FH_TURN);
      if (take > 0) {
        fh_t_load_part(in, lane_stride, take, count, block);
      } else {
        for (int i = 0; i < FH_TURN; i++) block[i] = fh_t_zero();
      }
      for (int i = 0; i < count; i++, out += width) fh_t_store_first(out, block[i], give);
    }
  }
}

static inline void fh_pack_gather(fh_element *dst, int width, const fh_element_any *src, int64_t lane_stride, int64_t step_stride,
                                  int lanes, int64_t steps) {
  for (int64_t s = 0; s < steps; s++) {
    const fh_element_any *in = src + s * step_stride;
    fh_element *out = dst + s * width;
    for (int i = 0; i < lanes; i++) out[i] = in[i * lane_stride];
    for (int i = lanes; i < width; i++) out[i] = 0;
  }
}

static inline void fh_pack(fh_element *dst, int width, const fh_element_any *src, int64_t lane_stride, int64_t step_stride, int lanes,
                           int64_t steps) {
  if (lane_stride == 1)
    fh_pack_copy(dst, width, src, step_stride, lanes, steps);
  else if (step_stride == 1)
    fh_pack_turn(dst, width, src, lane_stride, lanes, steps);
  else
    fh_pack_gather(dst, width, src, lane_stride, step_stride, lanes, steps);
}

#endif /* FOGHORN_KERNELS_TILE_PACK_H_ */
