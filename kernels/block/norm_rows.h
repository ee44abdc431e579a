/* Rows that are read once: each thread keeps its elements in registers, and the sums are those of the kernels' texts, bit by bit.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The texts keep 64 running sums of a row (dialect/rows.h), element e in sum e mod 64; softmax keeps 32 (dialect/norms.h). So 64 threads,
 * or 32, have a running sum each, and neighbours read neighbours: whole lines. Of `threads` sums the four or two that a lane of 16 has are
 * added, then the lanes by the tree 8, 4, 2, 1: by 16 threads and by all, from shared memory. A block has rows side by side, and all its
 * threads meet at the barriers, those without a row too. */
#ifndef FOGHORN_KERNELS_BLOCK_NORM_ROWS_H_
#define FOGHORN_KERNELS_BLOCK_NORM_ROWS_H_

#define FH_NORM_THREADS 256 /* of a block */
#define FH_NORM_BYTES(threads) (FH_NORM_THREADS / (threads) * ((threads) + 16) * 4)

/* Rows of up to `threads` times this many elements. */
#define FH_NORM_FEW 16
#define FH_NORM_MANY 64

/* ---- a row and its threads ---- */
typedef struct fh_norm_place {
  long row, step; /* the first row of this group of threads, and to its next */
  int thread;     /* in the group */
  fh_local float *sums;
} fh_norm_place;

FH_INLINE fh_norm_place fh_norm_begin(int threads, fh_local uchar *shared) {
  const int groups = FH_NORM_THREADS / threads, group = fh_thread() / threads;
  fh_norm_place out;
  out.row = fh_block(0) * groups + group;
  out.step = fh_blocks(0) * groups;
  out.thread = fh_thread() % threads;
  out.sums = (fh_local float *)shared + group * (threads + 16);
  return out;
}

/* Rounds that all groups of a block make together. */
FH_INLINE long fh_norm_rounds(const fh_norm_place *place, int threads, long rows) {
  const long first = place->row - fh_thread() / threads;
  return first < rows ? (rows - first + place->step - 1) / place->step : 0;
}

/* The group's row; where it has none any more, one that there is. */
FH_INLINE long fh_norm_row(const fh_norm_place *place, long rows) { return place->row < rows ? place->row : 0; }
FH_INLINE int fh_norm_left(const fh_norm_place *place, long rows, long d) { return place->row < rows ? (int)d - place->thread : 0; }

FH_INLINE long fh_norm_offset(long row, long n1, long s0, long s1) { return row / n1 * s0 + row % n1 * s1; }

/* ---- over all threads of a row ---- */
FH_INLINE float fh_larger(float a, float b) { return a > b ? a : b; }
FH_INLINE float fh_joined(bool sum, float a, float b) { return sum ? fh_add_u(a, b) : fh_larger(a, b); }

/* The tree over lanes that lie on a boundary of 16 bytes. */
FH_INLINE float fh_join_lanes(bool sum, const fh_local float *lanes) {
  const fh_f32x4 a = fh_load4(lanes), b = fh_load4(lanes + 4), c = fh_load4(lanes + 8), d = fh_load4(lanes + 12);
  const float x = fh_joined(sum, fh_joined(sum, a.x, c.x), fh_joined(sum, b.x, d.x));
  const float y = fh_joined(sum, fh_joined(sum, a.y, c.y), fh_joined(sum, b.y, d.y));
  const float z = fh_joined(sum, fh_joined(sum, a.z, c.z), fh_joined(sum, b.z, d.z));
  const float w = fh_joined(sum, fh_joined(sum, a.w, c.w), fh_joined(sum, b.w, d.w));
  return fh_joined(sum, fh_joined(sum, x, z), fh_joined(sum, y, w));
}

/* What all threads of the row have, joined. */
FH_INLINE float fh_join_row(bool sum, int threads, const fh_norm_place *place, float mine) {
  fh_local float *const all = place->sums, *const lanes = all + threads;
  const int t = place->thread;
  all[t] = mine;
  fh_barrier();
  if (t < 16) {
    const float pair = fh_joined(sum, all[t], all[t + 16]);
    lanes[t] = threads == 64 ? fh_joined(sum, pair, fh_joined(sum, all[t + 32], all[t + 48])) : pair;
  }
  fh_barrier();
  return fh_join_lanes(sum, lanes);
}

/* ---- the norms: 64 threads a row ----
 * Elements lie side by side, so that all addresses of a thread are one and a constant: with strides they would take the registers of the
 * row. `left` is d less the thread's number: element 64 i of the thread is there when 64 i < left. */
FH_INLINE float fh_norm_sum(int most, const fh_norm_place *place, const float v[FH_NORM_MANY], int left, bool squares, float about) {
  float sum = 0.0f;
  FH_UNROLL for (int i = 0; i < most; i++) {
    const float c = squares ? fh_add_u(v[i], -about) : v[i];
    if (64 * i < left) sum = fh_add_u(sum, squares ? fh_mul_u(c, c) : c);
  }
  return fh_join_row(true, 64, place, sum);
}

FH_INLINE float fh_by_mean_square_u(float squares, long d, float eps) {
  return fh_div_u(1.0f, fh_sqrt_u(fh_add_u(fh_div_u(squares, (float)d), eps)));
}

FH_INLINE void fh_norm_read(int most, fh_f32_in x, int left, float v[FH_NORM_MANY]) {
  FH_UNROLL for (int i = 0; i < most; i++) v[i] = 64 * i < left ? x[64 * i] : 0.0f;
}

/* Weights of a thread's next elements, fetched together: behind a store, which might be to them, no compiler moves a fetch up. */
#define FH_NORM_AHEAD 4
FH_INLINE void fh_norm_ahead(fh_f32_in weights, int left, float out[FH_NORM_AHEAD]) {
  FH_UNROLL for (int k = 0; k < FH_NORM_AHEAD; k++) out[k] = 64 * k < left ? weights[64 * k] : 0.0f;
}

#endif /* FOGHORN_KERNELS_BLOCK_NORM_ROWS_H_ */
