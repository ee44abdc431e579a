/* Kernels that are one function of each element: FH_MAP(entry, function) is their whole text. SPDX-License-Identifier: Apache-2.0
 * kernels/elementwise.h has the other half, the contract.
 *
 * Item: a piece of at most FH_MAP_PIECE elements of one row; `pieces` of them make a row of n. `stream` says that the output fits no
 * cache. In place the line is in the cache already, and nothing would be gained. */
#ifndef FOGHORN_KERNELS_DIALECT_ELEMENTWISE_H_
#define FOGHORN_KERNELS_DIALECT_ELEMENTWISE_H_

#define FH_MAP_PIECE 4096
// clang-format off
#define FH_MAP_PARAMS(P) \
  P(IN, x) P(OUT, y) P(I64, n1) P(I64, n) P(I64, pieces) P(I64, stream) P(I64, xs0) P(I64, xs1) P(I64, xs) \
  P(I64, ys0) P(I64, ys1) P(I64, ys)
// clang-format on

#define FH_MAP(entry, function)                                                                                                         \
  FH_LARGE fh_vf entry##_of(fh_vf v) { return function(v); }                                                                            \
  FH_OUTLINE void entry##_part(fh_f32_in x, long xs, fh_f32_out y, long ys, long i, long end) {                                         \
    fh_store_part(y, i, end, ys, entry##_of(fh_load_part(x, i, end, xs, 1.0f)));                                                        \
  }                                                                                                                                     \
  FH_INLINE void entry##_run(fh_f32_in x, long xs, fh_f32_out y, long ys, long i, long end) {                                           \
    for (; i + 16 <= end; i += 16) fh_store(y, i, ys, entry##_of(fh_load(x, i, xs)));                                                   \
    if (i < end) entry##_part(x, xs, y, ys, i, end);                                                                                    \
  }                                                                                                                                     \
  FH_OUTLINE void entry##_strided(fh_f32_in x, long xs, fh_f32_out y, long ys, long i, long end) { entry##_run(x, xs, y, ys, i, end); } \
  /* From `head` on y is on the boundary of a line. */                                                                                  \
  FH_OUTLINE void entry##_stream(fh_f32_in x, fh_f32_out y, long i, long head, long end) {                                              \
    if (i < head) entry##_part(x, 1, y, 1, i, head);                                                                                    \
    for (i = head; i + 16 <= end; i += 16) fh_store_stream(y, i, entry##_of(fh_load(x, i, 1)));                                         \
    if (i < end) entry##_part(x, 1, y, 1, i, end);                                                                                      \
  }                                                                                                                                     \
  FH_ENTRY_STREAMING(entry) {                                                                                                           \
    const long row = fh_item / pieces, begin = fh_item % pieces * FH_MAP_PIECE;                                                         \
    const long end = n - begin < FH_MAP_PIECE ? n : begin + FH_MAP_PIECE;                                                               \
    x += fh_row_offset(row, n1, xs0, xs1);                                                                                              \
    y += fh_row_offset(row, n1, ys0, ys1);                                                                                              \
    const long head = stream && xs == 1 && ys == 1 && x != (fh_f32_in)y ? fh_stream_head(y + begin) : -1;                               \
    if (xs != 1 || ys != 1)                                                                                                             \
      entry##_strided(x, xs, y, ys, begin, end);                                                                                        \
    else if (head >= 0 && begin + head <= end)                                                                                          \
      entry##_stream(x, y, begin, begin + head, end);                                                                                   \
    else                                                                                                                                \
      entry##_run(x, 1, y, 1, begin, end);                                                                                              \
  }

#endif /* FOGHORN_KERNELS_DIALECT_ELEMENTWISE_H_ */
