/* One function of each element, four side by side at a time: FH_BLOCK_MAP(entry, function) is the whole of such a text.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Of the dialect's text a thread has one load in flight, of 4 bytes; here it has two, of 16: a device needs that many to keep its memory
 * busy. Five blocks of a multiprocessor leave a thread 48 registers, which is enough for both, and have 40 KiB on their way. For one row
 * whose elements lie side by side in both. In place a thread reads what it writes, before. */
#ifndef FOGHORN_KERNELS_BLOCK_MAP_H_
#define FOGHORN_KERNELS_BLOCK_MAP_H_

#define FH_MAP_THREADS 256

// clang-format off
#define FH_BLOCK_MAP_PARAMS(P) \
  P(IN, x) P(OUT, y) P(I64, n1) P(I64, n) P(I64, pieces) P(I64, stream) P(I64, xs0) P(I64, xs1) P(I64, xs) \
  P(I64, ys0) P(I64, ys1) P(I64, ys)
// clang-format on

#define FH_BLOCK_MAP(entry, function)                                                                   \
  FH_INLINE fh_f32x4 entry##_of(fh_f32x4 v) {                                                           \
    v.x = function(v.x), v.y = function(v.y), v.z = function(v.z), v.w = function(v.w);                 \
    return v;                                                                                           \
  }                                                                                                     \
  FH_RESIDENT(entry, 5)                                                                                 \
  FH_BLOCK(entry, FH_MAP_THREADS, 16) {                                                                 \
    const long first = fh_block(0) * FH_MAP_THREADS + fh_thread(), all = fh_blocks(0) * FH_MAP_THREADS; \
    const long wide = fh_on_boundary(x, 16) && fh_on_boundary(y, 16) ? n / 4 : 0;                       \
    long i = first;                                                                                     \
    for (; i + all < wide; i += 2 * all) {                                                              \
      fh_f32x4 a = fh_fetch4(x + 4 * i), b = fh_fetch4(x + 4 * (i + all));                              \
      fh_hold4(a);                                                                                      \
      fh_hold4(b);                                                                                      \
      fh_store4(y + 4 * i, entry##_of(a));                                                              \
      fh_store4(y + 4 * (i + all), entry##_of(b));                                                      \
    }                                                                                                   \
    for (; i < wide; i += all) fh_store4(y + 4 * i, entry##_of(fh_fetch4(x + 4 * i)));                  \
    for (i = 4 * wide + first; i < n; i += all) y[i] = function(x[i]);                                  \
  }

#endif /* FOGHORN_KERNELS_BLOCK_MAP_H_ */
