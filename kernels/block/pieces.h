/* Reductions of rows by pieces of 4096 elements: the order is that of dialect/rows.h and reduce.h. SPDX-License-Identifier: Apache-2.0
 *
 * The text keeps 64 running sums, element e in sum e mod 64, and joins them by a tree. So 64 threads of a block have a running sum each
 * (block/norm_rows.h): neighbours read neighbours, whole lines, and each has 16 loads on their way before it adds. A block of 256 threads
 * has four pieces at a time. What pieces give is joined by a block for each result, four rows of 4096 values at a time, in order.
 *
 * 4 bytes an element, read once; a result of many pieces is joined in a second launch of some microseconds. The limit is the memory's
 * bandwidth: 64 bytes a thread on their way, 1024 threads and more of a multiprocessor. */
#ifndef FOGHORN_KERNELS_BLOCK_PIECES_H_
#define FOGHORN_KERNELS_BLOCK_PIECES_H_

#define FH_PIECE 4096 /* as in the text */
#define FH_PIECE_AHEAD 16
#define FH_PIECE_GROUPS (FH_NORM_THREADS / 64)
#define FH_PIECE_BYTES (FH_NORM_BYTES(64) + FH_PIECE_GROUPS * 4)

/* What becomes of the elements. */
enum { FH_PIECE_SUM, FH_PIECE_MAGNITUDES, FH_PIECE_SQUARES, FH_PIECE_LEAST, FH_PIECE_LARGEST, FH_PIECE_LARGEST_MAGNITUDE };

FH_INLINE float fh_piece_magnitude(float v) { return fh_as_float(fh_as_int(v) & 0x7fffffff); }

FH_INLINE float fh_piece_term(int kind, float v) {
  if (kind == FH_PIECE_MAGNITUDES || kind == FH_PIECE_LARGEST_MAGNITUDE) return fh_piece_magnitude(v);
  return kind == FH_PIECE_SQUARES ? fh_mul_u(v, v) : v;
}
FH_INLINE float fh_piece_nothing(int kind) { return kind <= FH_PIECE_SQUARES ? 0.0f : kind == FH_PIECE_LEAST ? FH_INFINITY : -FH_INFINITY; }
/* Of extremes a NaN stays. */
FH_INLINE float fh_piece_joined(int kind, float a, float b) {
  if (kind <= FH_PIECE_SQUARES) return fh_add_u(a, b);
  const bool further = kind == FH_PIECE_LEAST ? b < a : b > a;
  return a == a && (further || b != b) ? b : a;
}

/* Of all 64 threads of the group. */
FH_INLINE float fh_piece_join(int kind, const fh_norm_place *place, float mine) {
  fh_local float *const all = place->sums, *const lanes = all + 64;
  const int t = place->thread;
  fh_barrier(); /* what lies there has been read */
  all[t] = mine;
  fh_barrier();
  if (t < 16) lanes[t] = fh_piece_joined(kind, fh_piece_joined(kind, all[t], all[t + 16]), fh_piece_joined(kind, all[t + 32], all[t + 48]));
  fh_barrier();
  float v[8];
  FH_UNROLL for (int i = 0; i < 8; i++) v[i] = fh_piece_joined(kind, lanes[i], lanes[i + 8]);
  FH_UNROLL for (int i = 0; i < 4; i++) v[i] = fh_piece_joined(kind, v[i], v[i + 4]);
  FH_UNROLL for (int i = 0; i < 2; i++) v[i] = fh_piece_joined(kind, v[i], v[i + 2]);
  return fh_piece_joined(kind, v[0], v[1]);
}

/* Of a row of n elements side by side, as many as a piece has at most, by a group of 64 threads; all of the block come here together. */
FH_INLINE float fh_piece_of(int kind, const fh_norm_place *place, fh_f32_in x, int n) {
  float so_far = fh_piece_nothing(kind);
  fh_f32_in p = x + place->thread;
  for (int left = n - place->thread; left > 0; left -= 64 * FH_PIECE_AHEAD) {
    float v[FH_PIECE_AHEAD];
    FH_UNROLL for (int a = 0; a < FH_PIECE_AHEAD; a++) v[a] = 64 * a < left ? p[64 * a] : 0.0f;
    FH_UNROLL for (int a = 0; a < FH_PIECE_AHEAD; a++) {
      if (64 * a < left) so_far = fh_piece_joined(kind, so_far, fh_piece_term(kind, v[a]));
    }
    p += 64 * FH_PIECE_AHEAD;
  }
  return fh_piece_join(kind, place, so_far);
}

/* Of n values of pieces, n >= 0, by a block: rows of them are summed, and added in order. */
FH_INLINE float fh_pieces_join(int kind, const fh_norm_place *place, fh_local float *sums, fh_f32_in values, long n) {
  const int group = fh_thread() / 64;
  float total = fh_piece_nothing(kind);
  for (long first = 0; first < n; first += FH_PIECE_GROUPS * FH_PIECE) {
    const long begin = first + group * FH_PIECE, left = n - begin;
    const float v = fh_piece_of(kind, place, values + begin, left < 0 ? 0 : left < FH_PIECE ? (int)left : FH_PIECE);
    fh_barrier(); /* the values before have been read */
    if (place->thread == 0) sums[group] = v;
    fh_barrier();
    for (int g = 0; g < FH_PIECE_GROUPS; g++) {
      if (first + g * FH_PIECE < n) total = fh_piece_joined(kind, total, sums[g]);
    }
  }
  return total;
}

#endif /* FOGHORN_KERNELS_BLOCK_PIECES_H_ */
