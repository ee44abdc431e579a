/* Tiles of a product of f32 by 8 x 8 sums of each thread, in the order of accumulation that kernels/matmul.h states.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A warp has 32 rows by 64 columns of the tile, 4 by 8 threads. Of a thread's 8 rows four lie together and four 16 further on, of its
 * columns four together and four 32 further on: the threads of a row of the warp read 128 bytes in a row, every bank of shared memory
 * once, and those of a column the same four numbers. Loads of 16 bytes are served by quarters of a warp, and two quarters at once where
 * neighbours, or threads two apart, read the same: so neighbours stand in one column, threads two apart in one row, and each half of a
 * warp in 4 by 4.
 *
 * Shared memory has panels of 8 steps of k: [step][line], a line being a row of A or a column of B, with a pitch of `lines` + 4. Where k
 * is contiguous in memory, 8 neighbours of a warp take 8 steps of one of four lines: banks 4 step + line, each once.
 */
#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_
#define FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_

#define FH_SIMT_STEPS 8
#define FH_SIMT_BLOCK 256 /* FH_MATMUL_STEPS of kernels/matmul.h */
#define FH_SIMT_PITCH(lines) ((lines) + 4)
#define FH_SIMT_PANEL(lines) (FH_SIMT_STEPS * FH_SIMT_PITCH(lines)) /* floats */

FH_INLINE long fh_least(long a, long b) { return a < b ? a : b; }

/* ---- tiles of the grid ---- */
typedef struct fh_tile {
  long row, col;
} fh_tile;

/* Eight rows of tiles together, column by column: blocks that run at the same time read few rows and few columns, from the second cache. */
FH_INLINE fh_tile fh_tile_at(long index, long rows, long cols) {
  const long first = index / (8 * cols) * 8, within = index % (8 * cols), height = fh_least(rows - first, 8);
  fh_tile out;
  out.row = first + within % height;
  out.col = within / height;
  return out;
}

/* ---- what a thread brings of a panel ---- */
typedef struct fh_panel {
  fh_f32_in p;       /* its first element of the panel at hand */
  long hop, advance; /* elements to its next one, and to the next panel */
  int line, line_hop, step, step_hop;
  int lines;            /* of the panel that there are */
  int place, place_hop; /* in shared memory */
} fh_panel;

/* Neighbouring threads take what is nearer in memory: steps, or lines. */
FH_INLINE fh_panel fh_panel_begin(fh_f32_in p, long line, long step, long left, int lines, int threads) {
  const long near_step = step < 0 ? -step : step, near_line = line < 0 ? -line : line;
  const bool along = near_step < near_line;
  const int t = fh_thread();
  fh_panel out;
  out.line = along ? t / FH_SIMT_STEPS : t % lines;
  out.step = along ? t % FH_SIMT_STEPS : t / lines;
  out.line_hop = along ? threads / FH_SIMT_STEPS : 0;
  out.step_hop = along ? 0 : threads / lines;
  out.p = p + out.line * line + out.step * step;
  out.hop = out.line_hop * line + out.step_hop * step;
  out.advance = FH_SIMT_STEPS * step;
  out.lines = (int)fh_least(left, lines);
  out.place = out.step * FH_SIMT_PITCH(lines) + out.line;
  out.place_hop = out.step_hop * FH_SIMT_PITCH(lines) + out.line_hop;
  return out;
}

FH_INLINE bool fh_panel_has(const fh_panel *panel, int i, int steps) {
  return panel->line + i * panel->line_hop < panel->lines && panel->step + i * panel->step_hop < steps;
}

/* `mine` elements of a panel, which is what each thread brings of it: to registers, then to shared memory. */
FH_INLINE void fh_panel_fetch_some(fh_panel *panel, long left, int mine, float *out) {
  const int some = (int)fh_least(left, FH_SIMT_STEPS);
  FH_UNROLL for (int i = 0; i < mine; i++) out[i] = fh_panel_has(panel, i, some) ? panel->p[i * panel->hop] : 0.0f;
  panel->p += panel->advance;
}
FH_INLINE void fh_panel_place_some(const fh_panel *panel, fh_local float *to, int mine, const float *in) {
  FH_UNROLL for (int i = 0; i < mine; i++) to[panel->place + i * panel->place_hop] = in[i];
}

/* The same of 128 lines, where 256 threads do. */
#define FH_SIMT_MINE 4
FH_INLINE void fh_panel_fetch(fh_panel *panel, long left, float out[FH_SIMT_MINE]) { fh_panel_fetch_some(panel, left, FH_SIMT_MINE, out); }
FH_INLINE void fh_panel_place(const fh_panel *panel, fh_local float *to, const float in[FH_SIMT_MINE]) {
  fh_panel_place_some(panel, to, FH_SIMT_MINE, in);
}

/* ---- sums ---- */

/* A thread's rows and columns of one step of k: what lies at a and b are the first of each. */
typedef struct fh_factors {
  float x[8], y[8];
} fh_factors;

FH_INLINE fh_factors fh_simt_factors(const fh_local float *a, const fh_local float *b) {
  const fh_f32x4 a0 = fh_load4(a), a1 = fh_load4(a + 16), b0 = fh_load4(b), b1 = fh_load4(b + 32);
  const fh_factors out = {{a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w}, {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w}};
  return out;
}
FH_INLINE void fh_simt_multiply(float sum[8][8], const fh_factors *of) {
  FH_UNROLL for (int i = 0; i < 8; i++) { FH_UNROLL for (int j = 0; j < 8; j++) sum[i][j] = fh_fma_u(of->x[i], of->y[j], sum[i][j]); }
}

FH_INLINE void fh_simt_step(float sum[8][8], const fh_local float *a, const fh_local float *b) {
  const fh_factors factors = fh_simt_factors(a, b);
  fh_simt_multiply(sum, &factors);
}

/* Steps past k are not made: even fma(0, 0, s) would turn an s of -0 into +0. */
FH_INLINE void fh_simt_steps(float sum[8][8], const fh_local float *a, int a_pitch, const fh_local float *b, int b_pitch, long steps) {
  if (steps >= FH_SIMT_STEPS) {
    FH_UNROLL for (int l = 0; l < FH_SIMT_STEPS; l++) fh_simt_step(sum, a + l * a_pitch, b + l * b_pitch);
  } else {
    for (int l = 0; l < steps; l++) fh_simt_step(sum, a + l * a_pitch, b + l * b_pitch);
  }
}

FH_INLINE void fh_simt_fill(float sum[8][8], float value) {
  FH_UNROLL for (int i = 0; i < 8; i++) { FH_UNROLL for (int j = 0; j < 8; j++) sum[i][j] = value; }
}

/* The total begins as -0, to which any first sum can be added without changing. */
FH_INLINE void fh_simt_fold(float total[8][8], float sum[8][8]) {
  FH_UNROLL for (int i = 0; i < 8; i++) { FH_UNROLL for (int j = 0; j < 8; j++) total[i][j] = fh_add_u(total[i][j], sum[i][j]); }
}

/* ---- where a thread stands in its tile ---- */
FH_INLINE int fh_simt_lane_row(void) { return fh_thread() % 2 + fh_thread() / 8 % 2 * 2; }
FH_INLINE int fh_simt_lane_col(void) { return fh_thread() / 2 % 4 + fh_thread() / 16 % 2 * 4; }
FH_INLINE int fh_simt_row(int columns) { return fh_thread() / 32 / (columns / 64) * 32 + fh_simt_lane_row() * 4; }
FH_INLINE int fh_simt_col(int columns) { return fh_thread() / 32 % (columns / 64) * 64 + fh_simt_lane_col() * 4; }

/* Four neighbours of a row, of which the first `left` are there. */
FH_INLINE void fh_simt_store4(fh_f32_out c, long cs, long left, bool wide, const float *v) {
  if (wide && left >= 4) {
    fh_f32x4 four;
    four.x = v[0], four.y = v[1], four.z = v[2], four.w = v[3];
    fh_store4(c, four);
  } else {
    FH_UNROLL for (int j = 0; j < 4; j++) {
      if (j < left) c[j * cs] = v[j];
    }
  }
}

/* `rows` by `cols` of the tile are there, which begins at c. */
FH_INLINE void fh_simt_store(float total[8][8], fh_f32_out c, long cs1, long cs, long rows, long cols, int row, int col) {
  const bool wide = cs == 1 && cs1 % 4 == 0 && fh_on_boundary(c, 16);
  fh_f32_out to = c + row * cs1 + col * cs; /* from row to row by addition: all addresses at once would not fit the registers */
  FH_UNROLL for (int i = 0; i < 8; i++) {
    if (row + i / 4 * 16 + i % 4 < rows) {
      fh_simt_store4(to, cs, cols - col, wide, &total[i][0]);
      fh_simt_store4(to + 32 * cs, cs, cols - col - 32, wide, &total[i][4]);
    }
    to += (i == 3 ? 13 : 1) * cs1;
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_ */
