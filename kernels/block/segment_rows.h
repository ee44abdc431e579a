/* Sums over segments: a thread to a short segment, a warp to a longer one. For CUDA: lanes shuffle. SPDX-License-Identifier: Apache-2.0
 *
 * The order is that of dialect/segments.h. Of a short segment a thread has all terms, up to 8 of them on their way; its neighbours' terms
 * lie beside them, in lines that the first cache keeps meanwhile. A longer one is put on the block's list and gets a warp: the text's 16
 * lanes of four accumulators are 64 sums, and lane l of 32 has those of element l mod 64 and of 32 behind it, so that a warp reads 128
 * bytes in a row, and four times that before it adds.
 *
 * A product is 8 bytes and a place of x: the limit is the memory's bandwidth, and where x does not fit the second cache a sector of 32
 * bytes for each. A segment of a large part of all terms would be the work of one warp: those of more than a few pieces are for
 * block/segment_windows.h. */
#ifndef FOGHORN_KERNELS_BLOCK_SEGMENT_ROWS_H_
#define FOGHORN_KERNELS_BLOCK_SEGMENT_ROWS_H_

#define FH_SEGMENT_THREADS 256 /* segments of a block at a time */
#define FH_SEGMENT_WARPS (FH_SEGMENT_THREADS / 32)
#define FH_SEGMENT_BYTES (FH_SEGMENT_THREADS * 4)
#define FH_SEGMENT_AHEAD 8
#define FH_SEGMENT_SHORT_ELEMENTS 16
#define FH_SEGMENT_SHORT_PRODUCTS 40 /* FH_SHORT_PRODUCTS of the text */

/* A term is x[e s], or with columns x[e s] v[columns[e cs] vs], where a column outside [0, n_v) reads as 0. */
typedef struct fh_segment_terms {
  fh_f32_in x;
  long s;
  fh_i32_in columns;
  long cs;
  fh_f32_in v;
  long vs, n_v;
  bool products;
} fh_segment_terms;

/* What a term is made of, read before it is needed. */
typedef struct fh_segment_term {
  float x;
  int column;
} fh_segment_term;

FH_INLINE fh_segment_term fh_segment_read(const fh_segment_terms *t, long e, bool there) {
  fh_segment_term out;
  out.x = there ? t->x[e * t->s] : 0.0f;
  out.column = t->products ? there ? t->columns[e * t->cs] : 0 : 0;
  return out;
}

FH_INLINE float fh_segment_value(const fh_segment_terms *t, fh_segment_term of) {
  if (!t->products) return of.x;
  const bool inside = (ulong)(long)of.column < (ulong)t->n_v; /* one test: with two the loads of several terms wait for each other */
  return fh_mul_u(of.x, inside ? t->v[of.column * t->vs] : 0.0f);
}

/* ---- a thread ---- */

/* One by one. */
FH_INLINE float fh_segment_products(const fh_segment_terms *t, long begin, int length) {
  float sum = 0.0f;
  for (int from = 0; from < length; from += FH_SEGMENT_AHEAD) {
    fh_segment_term of[FH_SEGMENT_AHEAD];
    float value[FH_SEGMENT_AHEAD];
    FH_UNROLL for (int a = 0; a < FH_SEGMENT_AHEAD; a++) of[a] = fh_segment_read(t, begin + from + a, from + a < length);
    FH_UNROLL for (int a = 0; a < FH_SEGMENT_AHEAD; a++) value[a] = fh_segment_value(t, of[a]);
    FH_UNROLL for (int a = 0; a < FH_SEGMENT_AHEAD; a++) {
      if (from + a < length) sum = fh_add_u(sum, value[a]);
    }
  }
  return sum;
}

/* By the tree over 16 lanes; what is not there adds 0. */
FH_INLINE float fh_segment_elements(const fh_segment_terms *t, long begin, int length) {
  float v[FH_SEGMENT_SHORT_ELEMENTS];
  FH_UNROLL for (int i = 0; i < 16; i++) v[i] = i < length ? t->x[(begin + i) * t->s] : 0.0f;
  FH_UNROLL for (int i = 0; i < 8; i++) v[i] = fh_add_u(v[i], v[i + 8]);
  FH_UNROLL for (int i = 0; i < 4; i++) v[i] = fh_add_u(v[i], v[i + 4]);
  FH_UNROLL for (int i = 0; i < 2; i++) v[i] = fh_add_u(v[i], v[i + 2]);
  return fh_add_u(v[0], v[1]);
}

/* ---- a warp ---- */

/* The sum of a piece, in every lane. Blocks of 16 behind the last 64 go to the first accumulator, what is left then to the second. */
FH_INLINE float fh_segment_piece(const fh_segment_terms *t, long begin, long end) {
  const int lane = fh_thread() % 32;
  float low = 0.0f, high = 0.0f; /* accumulators lane / 16 and lane / 16 + 2 */
  long e = begin;
  for (; e + 64 <= end; e += 4 * 64) {
    fh_segment_term of[8];
    FH_UNROLL for (int a = 0; a < 8; a++) of[a] = fh_segment_read(t, e + 32 * a + lane, e + 64 * (a / 2) + 64 <= end);
    FH_UNROLL for (int a = 0; a < 8; a++) {
      const float value = fh_segment_value(t, of[a]);
      if (e + 64 * (a / 2) + 64 > end) continue;
      if (a % 2 == 0)
        low = fh_add_u(low, value);
      else
        high = fh_add_u(high, value);
    }
  }
  e = begin + (end - begin) / 64 * 64;
  for (; e + 16 <= end; e += 16) {
    if (lane < 16) low = fh_add_u(low, fh_segment_value(t, fh_segment_read(t, e + lane, true)));
  }
  if (e < end && lane >= 16) {
    const bool there = e + lane - 16 < end;
    const float value = fh_segment_value(t, fh_segment_read(t, e + lane - 16, there));
    low = fh_add_u(low, there ? value : 0.0f);
  }
  const float first = fh_add_u(low, fh_shuffle_xor(low, 16)), second = fh_add_u(high, fh_shuffle_xor(high, 16));
  float sum = fh_add_u(first, second);
  for (int mask = 8; mask > 0; mask /= 2) sum = fh_add_u(sum, fh_shuffle_xor(sum, mask));
  return sum;
}

FH_INLINE float fh_segment_long(const fh_segment_terms *t, long begin, long end, long piece) {
  float sum = fh_segment_piece(t, begin, begin + piece < end ? begin + piece : end);
  for (long b = begin + piece; b < end; b += piece) sum = fh_add_u(sum, fh_segment_piece(t, b, b + piece < end ? b + piece : end));
  return sum;
}

/* ---- a block ---- */

/* Offset i within [low, n], whatever it is. */
FH_INLINE long fh_segment_edge(fh_i64_in offsets, long os, long i, long low, long n) {
  const long at = offsets[i * os], inside = at < 0 ? 0 : at > n ? n : at;
  return inside > low ? inside : low;
}

FH_INLINE void fh_segment_rows(fh_local uchar *shared, const fh_segment_terms *t, fh_i64_in offsets, long os, long segments, long n,
                               long piece, fh_f32_out y, long ys) {
  fh_local int *const is_long = (fh_local int *)shared;
  const int at_most = t->products ? FH_SEGMENT_SHORT_PRODUCTS : FH_SEGMENT_SHORT_ELEMENTS, mine = fh_thread();
  for (long first = fh_block(0) * FH_SEGMENT_THREADS; first < segments; first += fh_blocks(0) * FH_SEGMENT_THREADS) {
    const long i = first + mine;
    int later = 0;
    if (i < segments) {
      const long begin = fh_segment_edge(offsets, os, i, 0, n), end = fh_segment_edge(offsets, os, i + 1, begin, n);
      later = end - begin > at_most;
      if (!later)
        y[i * ys] = t->products ? fh_segment_products(t, begin, (int)(end - begin)) : fh_segment_elements(t, begin, (int)(end - begin));
    }
    fh_barrier(); /* the list before has been read */
    is_long[mine] = later;
    fh_barrier();
    for (int s = mine / 32; s < FH_SEGMENT_THREADS; s += FH_SEGMENT_WARPS) {
      if (!is_long[s]) continue;
      const long begin = fh_segment_edge(offsets, os, first + s, 0, n), end = fh_segment_edge(offsets, os, first + s + 1, begin, n);
      const float sum = fh_segment_long(t, begin, end, piece);
      if (mine % 32 == 0) y[(first + s) * ys] = sum;
    }
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_SEGMENT_ROWS_H_ */
