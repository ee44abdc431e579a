/* Packing of narrow operands: from any strides into words of 4 bytes, each a group of neighbours in k. SPDX-License-Identifier: Apache-2.0
 *
 * dst[group * width + lane] is the word of `lane` and `group`; lanes past `lanes` and elements past k are zero. Element (lane, step) lies
 * at src + lane * lane_stride + step * step_stride, strides in bytes. Include after one simd_<isa>.h, with FH_ELEMENT (1 or 2 bytes)
 * defined.
 */
#ifndef FOGHORN_KERNELS_TILE_PACK_WORDS_H_
#define FOGHORN_KERNELS_TILE_PACK_WORDS_H_

#include <string.h>

#include "kernels/arithmetic.h"

enum { FH_GROUP = 4 / FH_ELEMENT, FH_VECTOR_BYTES = 4 * FH_LANES, FH_CHUNK = 32 };

/* fh_vw, eight words; fh_interleave(words, rows): FH_GROUP rows of 32 elements become 32 words. */
#if defined(__AVX2__)
#include "kernels/tile/weave_avx.h"
#else
#include "kernels/tile/weave_neon.h"
#endif

/* The elements of one lane lie side by side: square blocks of words are turned in registers. */
static inline void fh_pack_words_turn(int32_t *dst, int width, const char *src, int64_t lane_stride, int lanes, int64_t bytes) {
  for (int v = 0; v < width; v += FH_LANES) {
    const int take = (int)fh_least(lanes - v, FH_LANES), give = (int)fh_least(width - v, FH_LANES);
    const char *in = src + v * lane_stride;
    for (int64_t at = 0; at < bytes; at += FH_VECTOR_BYTES) {
      const int64_t left = fh_least(bytes - at, FH_VECTOR_BYTES);
      char part[FH_VECTOR_BYTES] = {0};
      fh_vf block[FH_LANES];
      for (int i = 0; i < FH_LANES; i++) {
        if (i >= take) {
          block[i] = fh_v_zero();
        } else if (left == FH_VECTOR_BYTES) {
          block[i] = fh_v_load(in + i * lane_stride + at);
        } else {
          memcpy(part, in + i * lane_stride + at, (size_t)left);
          block[i] = fh_v_load(part);
        }
      }
      fh_v_transpose(block);
      int32_t *out = dst + at / 4 * width + v;
      const int groups = (int)((left + 3) / 4);
      for (int i = 0; i < groups; i++) fh_v_store_first(out + i * width, block[i], give);
    }
  }
}

/* Lanes lie side by side: the rows of a group are woven together, 32 elements at a time. */
static inline void fh_pack_words_weave(int32_t *dst, int width, const char *src, int64_t step_stride, int lanes, int64_t k) {
  static const char zeros[FH_CHUNK * FH_ELEMENT];
  char parts[FH_GROUP][FH_CHUNK * FH_ELEMENT] = {{0}};
  for (int64_t step = 0; step < k; step += FH_GROUP, dst += width) {
    for (int v = 0; v < width; v += FH_CHUNK) {
      const int take = (int)fh_least(lanes - v, FH_CHUNK), give = (int)fh_least(width - v, FH_CHUNK);
      const char *rows[FH_GROUP];
      for (int i = 0; i < FH_GROUP; i++) {
        rows[i] = step + i < k && take > 0 ? src + (step + i) * step_stride + v * FH_ELEMENT : zeros;
        if (rows[i] == zeros || take == FH_CHUNK) continue;
        memcpy(parts[i], rows[i], (size_t)take * FH_ELEMENT);
        rows[i] = parts[i];
      }
      fh_vw words[4];
      fh_interleave(words, rows);
      if (give == FH_CHUNK) {
        for (int i = 0; i < 4; i++) fh_w_store(dst + v + 8 * i, words[i]);
      } else {
        int32_t whole[FH_CHUNK];
        for (int i = 0; i < 4; i++) fh_w_store(whole + 8 * i, words[i]);
        memcpy(dst + v, whole, (size_t)give * sizeof *whole);
      }
    }
  }
}

static inline void fh_pack_words_gather(char *dst, int width, const char *src, int64_t lane_stride, int64_t step_stride, int lanes,
                                        int64_t k) {
  for (int64_t step = 0; step < k; step += FH_GROUP, dst += 4 * (int64_t)width) {
    for (int lane = 0; lane < width; lane++) {
      for (int i = 0; i < FH_GROUP; i++) {
        char *to = dst + 4 * lane + i * FH_ELEMENT;
        if (lane < lanes && step + i < k)
          memcpy(to, src + lane * lane_stride + (step + i) * step_stride, FH_ELEMENT);
        else
          memset(to, 0, FH_ELEMENT);
      }
    }
  }
}

static inline void fh_pack_words(int32_t *dst, int width, const char *src, int64_t lane_stride, int64_t step_stride, int lanes, int64_t k) {
  if (step_stride == FH_ELEMENT)
    fh_pack_words_turn(dst, width, src, lane_stride, lanes, k * FH_ELEMENT);
  else if (lane_stride == FH_ELEMENT)
    fh_pack_words_weave(dst, width, src, step_stride, lanes, k);
  else
    fh_pack_words_gather((char *)dst, width, src, lane_stride, step_stride, lanes, k);
}

#endif /* FOGHORN_KERNELS_TILE_PACK_WORDS_H_ */
