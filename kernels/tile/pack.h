/* Packing: from any strides into panels that the tile kernels read in order. SPDX-License-Identifier: Apache-2.0
 *
 * A panel holds `lanes` lines of one operand side by side: dst[step * width + lane] = src[lane, step]. For the
 * operand that is loaded in vectors the width is a whole number of vectors and the rest is zero; for the one that
 * is broadcast width == lanes. Include after one simd_<isa>.h.
 */
#ifndef FOGHORN_KERNELS_TILE_PACK_H_
#define FOGHORN_KERNELS_TILE_PACK_H_

static inline int fh_tile_min(int64_t a, int64_t b) { return (int)(a < b ? a : b); }
/* Lanes of the vector that begins at lane v. */
static inline int fh_pack_lanes(int lanes, int v) { return lanes <= v ? 0 : fh_tile_min(lanes - v, FH_LANES); }

/* Lanes lie side by side in memory. */
static inline void fh_pack_copy(float *dst, int width, const fh_f32_any *src, int64_t step_stride, int lanes, int64_t steps) {
  for (int v = 0; v < width; v += FH_LANES) {
    int take = fh_pack_lanes(lanes, v), give = fh_pack_lanes(width, v);
    fh_vm mask = fh_vm_first(take);
    const fh_f32_any *in = src + v;
    float *out = dst + v;
    if (take == FH_LANES) {
      for (int64_t s = 0; s < steps; s++, in += step_stride, out += width) fh_v_store(out, fh_v_load(in));
    } else {
      for (int64_t s = 0; s < steps; s++, in += step_stride, out += width) fh_v_store_first(out, fh_v_load_masked(in, mask), give);
    }
  }
}

/* Steps lie side by side in memory: square blocks are turned in registers. */
static inline void fh_pack_turn(float *dst, int width, const fh_f32_any *src, int64_t lane_stride, int lanes, int64_t steps) {
  fh_vf block[FH_LANES];
  for (int v = 0; v < width; v += FH_LANES) {
    int take = fh_pack_lanes(lanes, v), give = fh_pack_lanes(width, v);
    const fh_f32_any *in = src + v * lane_stride;
    int64_t s = 0;
    for (; s + FH_LANES <= steps; s += FH_LANES) {
      for (int i = 0; i < FH_LANES; i++) block[i] = i < take ? fh_v_load(in + i * lane_stride + s) : fh_v_zero();
      fh_v_transpose(block);
      float *out = dst + s * width + v;
      if (give == FH_LANES) {
        for (int i = 0; i < FH_LANES; i++) fh_v_store(out + i * width, block[i]);
      } else {
        for (int i = 0; i < FH_LANES; i++) fh_v_store_first(out + i * width, block[i], give);
      }
    }
    if (s == steps) continue;
    fh_vm mask = fh_vm_first((int)(steps - s));
    for (int i = 0; i < FH_LANES; i++) block[i] = i < take ? fh_v_load_masked(in + i * lane_stride + s, mask) : fh_v_zero();
    fh_v_transpose(block);
    for (int i = 0; i < (int)(steps - s); i++) fh_v_store_first(dst + (s + i) * width + v, block[i], give);
  }
}

static inline void fh_pack_gather(float *dst, int width, const fh_f32_any *src, int64_t lane_stride, int64_t step_stride, int lanes,
                                  int64_t steps) {
  for (int64_t s = 0; s < steps; s++) {
    const fh_f32_any *in = src + s * step_stride;
    float *out = dst + s * width;
    for (int i = 0; i < lanes; i++) out[i] = in[i * lane_stride];
    for (int i = lanes; i < width; i++) out[i] = 0;
  }
}

static inline void fh_pack(float *dst, int width, const fh_f32_any *src, int64_t lane_stride, int64_t step_stride, int lanes,
                           int64_t steps) {
  if (lane_stride == 1)
    fh_pack_copy(dst, width, src, step_stride, lanes, steps);
  else if (step_stride == 1)
    fh_pack_turn(dst, width, src, lane_stride, lanes, steps);
  else
    fh_pack_gather(dst, width, src, lane_stride, step_stride, lanes, steps);
}

#endif /* FOGHORN_KERNELS_TILE_PACK_H_ */
