/* Rows that are read once against lines that stay in shared memory, in the order of the text: 16 chains, one of each lane.
 * SPDX-License-Identifier: Apache-2.0
 *
 * 16 threads have two rows, a lane each, and the sums of both with up to 16 lines: centroids, or queries. A thread reads a line by 16 bytes
 * for 24 operations (16 of a product), each of which rounds as in the text, and has four times 64 columns of its rows on their way. */
#ifndef FOGHORN_KERNELS_BLOCK_LANE_ROWS_H_
#define FOGHORN_KERNELS_BLOCK_LANE_ROWS_H_

#define FH_LANE_THREADS 256
#define FH_LANE_COUNT 16
#define FH_LANE_TILE 32 /* rows of a block: two for 16 threads */
#define FH_LANE_COLUMNS 64
#define FH_LANE_AHEAD 4  /* times 64 columns */
#define FH_LANE_LINES 16 /* at most */
#define FH_LANE_SQUARES 0
#define FH_LANE_PRODUCTS 1

/* Where the two rows of a thread lie; behind the last row the last is read. */
FH_INLINE fh_f32_in fh_lane_row(fh_f32_in x, long xs1, long row, int r, long last) {
  const long mine = row + fh_thread() / FH_LANE_COUNT * 2 + r;
  return x + (mine < last ? mine : last - 1) * xs1;
}

/* Where column i of a line lies, which is one of `lines`: [64 columns][line][lane][4], columns lane, lane + 16, lane + 32, lane + 48. */
FH_INLINE int fh_lane_place(int lines, int i) {
  return i / FH_LANE_COLUMNS * lines * FH_LANE_COLUMNS + i % FH_LANE_COUNT * 4 + i % FH_LANE_COLUMNS / FH_LANE_COUNT;
}

/* The lane's columns of two rows, of which `left` are there. What is not is 0, as in the lines: that adds 0 to sums that are never -0. */
FH_INLINE void fh_lane_fetch(float to[2][4], fh_f32_in x0, fh_f32_in x1, long at, long left) {
  const int lane = fh_thread() % FH_LANE_COUNT;
  x0 += at + lane;
  x1 += at + lane;
  if (left >= FH_LANE_COLUMNS) {
    FH_UNROLL for (int h = 0; h < 4; h++) to[0][h] = x0[h * FH_LANE_COUNT], to[1][h] = x1[h * FH_LANE_COUNT];
  } else {
    FH_UNROLL for (int h = 0; h < 4; h++) {
      const bool there = lane + h * FH_LANE_COUNT < left;
      to[0][h] = there ? x0[h * FH_LANE_COUNT] : 0.0f;
      to[1][h] = there ? x1[h * FH_LANE_COUNT] : 0.0f;
    }
  }
}

FH_INLINE void fh_lane_fetch_first(float ahead[FH_LANE_AHEAD][2][4], fh_f32_in x0, fh_f32_in x1, long d) {
  FH_UNROLL for (int s = 0; s < FH_LANE_AHEAD; s++) {
    if (s * FH_LANE_COLUMNS < d) fh_lane_fetch(ahead[s], x0, x1, s * FH_LANE_COLUMNS, d - s * FH_LANE_COLUMNS);
  }
}

FH_INLINE float fh_lane_term(int kind, float sum, float x, float line) {
  const float apart = fh_add_u(x, -line);
  return fh_add_u(sum, kind == FH_LANE_SQUARES ? fh_mul_u(apart, apart) : fh_mul_u(x, line));
}
FH_INLINE float fh_lane_terms(int kind, float sum, const float x[4], fh_f32x4 line) {
  sum = fh_lane_term(kind, fh_lane_term(kind, sum, x[0], line.x), x[1], line.y);
  return fh_lane_term(kind, fh_lane_term(kind, sum, x[2], line.z), x[3], line.w);
}

/* Sums of row r and line j are at FH_LANE_LINES r + j. */
FH_INLINE void fh_lane_clear(int lines, float sums[2 * FH_LANE_LINES]) {
  FH_UNROLL for (int j = 0; j < lines; j++) sums[j] = sums[FH_LANE_LINES + j] = 0.0f;
}

/* 64 columns; `line` is that of this lane in the first line. */
FH_INLINE void fh_lane_add(int kind, int lines, const fh_local float *line, float x[2][4], float sums[2 * FH_LANE_LINES]) {
  FH_UNROLL for (int j = 0; j < lines; j++) {
    const fh_f32x4 four = fh_load4(line + j * FH_LANE_COLUMNS);
    sums[j] = fh_lane_terms(kind, sums[j], x[0], four);
    sums[FH_LANE_LINES + j] = fh_lane_terms(kind, sums[FH_LANE_LINES + j], x[1], four);
  }
}

/* All columns. The first are on their way. */
FH_INLINE void fh_lane_pass(int kind, int lines, const fh_local float *of_lines, float ahead[FH_LANE_AHEAD][2][4], fh_f32_in x0,
                            fh_f32_in x1, long d, float sums[2 * FH_LANE_LINES]) {
  of_lines += fh_thread() % FH_LANE_COUNT * 4;
  fh_lane_clear(lines, sums);
  for (long from = 0; from < d; from += FH_LANE_AHEAD * FH_LANE_COLUMNS) {
    FH_UNROLL for (int s = 0; s < FH_LANE_AHEAD; s++) {
      const long at = from + s * FH_LANE_COLUMNS, next = at + FH_LANE_AHEAD * FH_LANE_COLUMNS;
      if (at < d) {
        fh_lane_add(kind, lines, of_lines, ahead[s], sums);
        if (next < d) fh_lane_fetch(ahead[s], x0, x1, next, d - next);
        of_lines += lines * FH_LANE_COLUMNS;
      }
    }
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_LANE_ROWS_H_ */
