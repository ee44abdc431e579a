/* The block variants of the kernels with Fourier transforms (block/transform.h): their grids, and which calls they fit.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TRANSFORM_BLOCKS_H_
#define FOGHORN_KERNELS_TRANSFORM_BLOCKS_H_

#include "kernels/arithmetic.h"
#include "kernels/contract.h"

enum { FH_POINTS_BLOCK = 256, FH_POINTS_MOST = 2048, FH_POINTS_TOGETHER = 16 }; /* FH_POINTS_... of block/transform.h */

/* Complex numbers of a transform of n samples, and how many of them a block does. */
static inline int64_t fh_points_of(int64_t n) { return n % 2 ? n : n / 2; }
static inline int64_t fh_points_together(int64_t n) {
  int64_t together = FH_POINTS_TOGETHER;
  while (together > 1 && together * fh_points_of(n) > FH_POINTS_MOST) together /= 2;
  return together;
}

/* Blocks of `lists` lists of transforms, none of which has a part of two lists. */
static inline int64_t fh_transform_blocks(int64_t n, int64_t lists, int64_t of_each) {
  return lists * fh_divide_up(of_each, fh_points_together(n));
}
static inline void fh_transform_shape(int64_t blocks, fh_block_shape *out) {
  *out = (fh_block_shape){.grid = {(uint32_t)blocks, 1, 1}, .threads = FH_POINTS_BLOCK};
}
static inline const char *fh_transform_unfit(int64_t n, int64_t blocks) {
  if (fh_points_of(n) > FH_POINTS_MOST) return "a transform is longer than what a block keeps in shared memory";
  return blocks > INT32_MAX ? "a grid has fewer blocks" : NULL;
}

/* ---- frames of a signal: where the operands of FH_FRAMES_PARAMS begin ---- */
static inline int64_t fh_frames_blocks(const fh_bound *bound, int first) {
  const fh_operand *of = &bound->stages[0].operands[first];
  const int64_t n = of[0].i, groups = of[2].i, frames = of[4].i, of_channel = of[5].i;
  return fh_transform_blocks(n, of_channel > 0 ? groups / of_channel : 0, frames);
}

/* FH_FRAMES_FUNCTIONS(7): frames_shape() and frames_unfit() of a kernel whose operand 7 is n. */
#define FH_FRAMES_FUNCTIONS(first)                                                                 \
  static void frames_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {      \
    (void)multiprocessors;                                                                         \
    fh_transform_shape(fh_frames_blocks(bound, first), out);                                       \
  }                                                                                                \
  static const char *frames_unfit(const fh_bound *bound) {                                         \
    return fh_transform_unfit(bound->stages[0].operands[first].i, fh_frames_blocks(bound, first)); \
  }

#endif /* FOGHORN_KERNELS_TRANSFORM_BLOCKS_H_ */
