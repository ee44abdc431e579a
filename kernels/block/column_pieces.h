/* Reductions of rows that lie side by side, by pieces of 4096 elements: the order is that of block/pieces.h.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Element e of a row belongs to running value e mod 64, and the 64 are joined by a tree. A block has 32 rows that are neighbours in memory,
 * or 8 where there are no more than 16: as many threads read a whole line or sector together, 8 of them on their way. Its 256 threads have
 * 64 running values of each row, 8 or 2 to a thread. Where there are too few rows and pieces to keep a device busy, running values are
 * shared out, too: a thread has one, blocks have 8 or 32 of each row, and what they give is joined in a second launch.
 *
 * 4 bytes an element, read once, 1/32 of it more where values are shared out. The limit is the memory's bandwidth; 0.85 of it is predicted,
 * for 32 bytes of a thread and 768 threads of a multiprocessor on their way. */
#ifndef FOGHORN_KERNELS_BLOCK_COLUMN_PIECES_H_
#define FOGHORN_KERNELS_BLOCK_COLUMN_PIECES_H_

#define FH_COLUMNS_THREADS 256
#define FH_COLUMNS_AHEAD 8 /* with more, the registers of addresses leave fewer threads, and less on its way in all */
#define FH_COLUMNS_BYTES ((64 + 8) * 32 * 4)
#define FH_COLUMNS_PIECE 4096 /* as in the text */

/* What becomes of elements: all sums are one code, and all extremes, by what is done to the bits of an element first. */
typedef struct fh_column_kind {
  bool sum, pair; /* pair: times the other operand's */
  int mask, flip; /* of its bits: no sign for magnitudes, the other one for the least */
  bool squares;
} fh_column_kind;

FH_INLINE float fh_column_nothing(const fh_column_kind *kind) { return kind->sum ? 0.0f : -FH_INFINITY; }

FH_INLINE float fh_column_term(const fh_column_kind *kind, float v, float by) {
  if (kind->pair) return fh_mul_u(v, by);
  const float of = fh_as_float((fh_as_int(v) & kind->mask) ^ kind->flip);
  return kind->sum ? fh_mul_u(of, kind->squares ? of : 1.0f) : of;
}
/* Of extremes a NaN stays. */
FH_INLINE float fh_column_joined(bool sum, float a, float b) {
  if (sum) return fh_add_u(a, b);
  return a == a && (b > a || b != b) ? b : a;
}

/* ---- where a thread works ---- */
typedef struct fh_column_place {
  int width;               /* rows of a block */
  int row, slot;           /* of the thread: of these rows; its first running value, but for those that other blocks have */
  long groups, chunks, n1; /* of rows; pieces of a row; rows in all */
  long d;
} fh_column_place;

FH_INLINE fh_column_place fh_column_begin(long n1, long chunks, long d) {
  const int width = n1 > 16 ? 32 : 8; /* FH_COLUMNS_FEW of kernels/reductions.h */
  const fh_column_place p = {width, fh_thread() % width, fh_thread() / width, (n1 + width - 1) / width, chunks, n1, d};
  return p;
}

/* A piece of the rows of a block. */
typedef struct fh_column_piece {
  long outer, chunk, row; /* row of the thread */
  long begin;
  int n; /* elements; 0 where the thread has no row */
} fh_column_piece;

FH_INLINE fh_column_piece fh_column_piece_of(const fh_column_place *p, long item) {
  fh_column_piece out;
  out.row = item % p->groups * p->width + p->row;
  out.chunk = item / p->groups % p->chunks;
  out.outer = item / p->groups / p->chunks;
  out.begin = out.chunk * FH_COLUMNS_PIECE;
  out.n = out.row >= p->n1 ? 0 : out.chunk + 1 < p->chunks ? FH_COLUMNS_PIECE : (int)(p->d - out.begin);
  return out;
}

/* `each` running values from `first` on, 64 / each apart: they take the elements of that distance in turn. */
FH_INLINE void fh_column_values(const fh_column_kind *kind, int each, int first, fh_f32_in x, long xs, fh_f32_in y, long ys, int n,
                                float values[8]) {
  const int hop = 64 / each, ahead = kind->pair && each < FH_COLUMNS_AHEAD ? FH_COLUMNS_AHEAD / 2 : FH_COLUMNS_AHEAD;
  const long x_hop = hop * xs, y_hop = hop * ys;
  x += first * xs;
  y += first * ys;
  for (int e = first; e < n; e += ahead * hop) {
    float v[FH_COLUMNS_AHEAD], by[FH_COLUMNS_AHEAD];
    FH_UNROLL for (int k = 0; k < ahead; k++) {
      v[k] = e + k * hop < n ? *x : 0.0f;
      by[k] = kind->pair && e + k * hop < n ? *y : 0.0f;
      x += x_hop;
      y += y_hop;
    }
    FH_UNROLL for (int k = 0; k < ahead; k++) {
      if (e + k * hop < n) values[k % each] = fh_column_joined(kind->sum, values[k % each], fh_column_term(kind, v[k], by[k]));
    }
  }
}

/* The same, as code of its own for sums and extremes. */
FH_INLINE void fh_column_run(const fh_column_kind *kind, int each, int first, fh_f32_in x, long xs, fh_f32_in y, long ys, int n,
                             float values[8]) {
  fh_column_kind of = *kind;
  FH_UNROLL for (int k = 0; k < 8; k++) values[k] = fh_column_nothing(kind);
  if (kind->sum) {
    of.sum = true;
    fh_column_values(&of, each, first, x, xs, y, ys, n, values);
  } else {
    of.sum = false;
    fh_column_values(&of, each, first, x, xs, y, ys, n, values);
  }
}

/* ---- all running values in one block ---- */

/* The tree over 16 lanes of four values each; FH_COLUMN_VALUE(i) is value i. */
#define FH_COLUMN_LANE(sum, VALUE, l) \
  fh_column_joined(sum, fh_column_joined(sum, VALUE(l), VALUE((l) + 16)), fh_column_joined(sum, VALUE((l) + 32), VALUE((l) + 48)))

/* What the block's threads have of each row; those with slot 0 get the result. */
FH_INLINE float fh_column_join(bool sum, const fh_column_place *p, fh_local uchar *shared, int each, const float values[8]) {
  fh_local float *const all = (fh_local float *)shared, *const lanes = all + 64 * 32;
  const int w = p->width, mine = fh_thread_here(), r = mine % w, slot = mine / w; /* addresses are not worth registers of the loop */
  fh_barrier();                                                                   /* what lies there has been read */
  FH_UNROLL for (int k = 0; k < 8; k++) {
    if (k < each) all[(slot + k * (64 / each)) * w + r] = values[k];
  }
  fh_barrier();
#define FH_COLUMN_SHARED(i) all[(i) * w + r]
  if (slot < 8)
    lanes[slot * w + r] =
        fh_column_joined(sum, FH_COLUMN_LANE(sum, FH_COLUMN_SHARED, slot), FH_COLUMN_LANE(sum, FH_COLUMN_SHARED, slot + 8));
#undef FH_COLUMN_SHARED
  fh_barrier();
  float v[4];
  FH_UNROLL for (int l = 0; l < 4; l++) v[l] = fh_column_joined(sum, lanes[l * w + r], lanes[(l + 4) * w + r]);
  return fh_column_joined(sum, fh_column_joined(sum, v[0], v[2]), fh_column_joined(sum, v[1], v[3]));
}

/* The piece's result for the row of each thread; x and y at the first row of all. */
FH_INLINE float fh_column_of(const fh_column_kind *kind, const fh_column_place *p, const fh_column_piece *piece, fh_local uchar *shared,
                             fh_f32_in x, long xs, fh_f32_in y, long ys) {
  const int each = p->width == 32 ? 8 : 2;
  float values[8];
  if (each == 8)
    fh_column_run(kind, 8, p->slot, x, xs, y, ys, piece->n, values);
  else
    fh_column_run(kind, 2, p->slot, x, xs, y, ys, piece->n, values);
  return fh_column_join(kind->sum, p, shared, each, values);
}

/* ---- shared out ---- */

/* Value v of item i and row r lies at (64 i + v) width + r. */
FH_INLINE void fh_column_spread(const fh_column_kind *kind, const fh_column_place *p, const fh_column_piece *piece, long item, fh_f32_in x,
                                long xs, fh_f32_in y, long ys, fh_f32_out scratch) {
  const int value = (int)fh_block(1) * (FH_COLUMNS_THREADS / p->width) + p->slot;
  float values[8];
  fh_column_run(kind, 1, value, x, xs, y, ys, piece->n, values);
  scratch[(64 * item + value) * p->width + p->row] = values[0];
}

/* By one thread, for a row of an item. */
FH_INLINE float fh_column_gather(bool sum, const fh_column_place *p, fh_f32_in from) {
  float v[16];
#define FH_COLUMN_SCRATCH(i) from[(i) * p->width]
  FH_UNROLL for (int l = 0; l < 16; l++) v[l] = FH_COLUMN_LANE(sum, FH_COLUMN_SCRATCH, l);
#undef FH_COLUMN_SCRATCH
  FH_UNROLL for (int l = 0; l < 8; l++) v[l] = fh_column_joined(sum, v[l], v[l + 8]);
  FH_UNROLL for (int l = 0; l < 4; l++) v[l] = fh_column_joined(sum, v[l], v[l + 4]);
  return fh_column_joined(sum, fh_column_joined(sum, v[0], v[2]), fh_column_joined(sum, v[1], v[3]));
}

#define FH_COLUMNS_ITEMS(p, rows) ((rows) / (p).n1 * (p).chunks * (p).groups)

#endif /* FOGHORN_KERNELS_BLOCK_COLUMN_PIECES_H_ */
