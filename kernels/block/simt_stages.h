/* A tile of a product of f32 from compute capability 8.0 on: panels come by asynchronous copies. SPDX-License-Identifier: Apache-2.0
 *
 * Panels of 8 steps go to shared memory FH_SIMT_STAGES - 1 panels ahead of the one that is multiplied. Shared memory wants [step][line]:
 * where lines are contiguous in memory (B by rows, A by columns) and on boundaries of 16 bytes, a copy takes four of them; otherwise each
 * element is a copy of its own, which turns the panel on its way. */
#ifndef FOGHORN_KERNELS_BLOCK_SIMT_STAGES_H_
#define FOGHORN_KERNELS_BLOCK_SIMT_STAGES_H_

#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_
#include "kernels/block/simt_product.h"
#endif

#define FH_SIMT_STAGES 4
#define FH_STAGES_BYTES(side) (FH_SIMT_STAGES * 2 * FH_SIMT_PANEL(side) * 4)

/* A panel that is copied: by single elements, or by four lines at a time, whose places are then those of `quads`. */
typedef struct fh_source {
  fh_panel of;
  bool quads;
} fh_source;

/* Four lines lie together, and each step begins on a boundary of 16 bytes. */
FH_INLINE bool fh_in_quads(fh_f32_in p, long line, long step) { return line == 1 && step % 4 == 0 && fh_on_boundary(p, 16); }

/* Quads of a panel: `lines` / 4 of each step, consecutive threads on consecutive ones. */
FH_INLINE fh_panel fh_quads_begin(fh_f32_in p, long step, long left, int lines, int threads) {
  const int t = fh_thread();
  fh_panel out;
  out.line = t % (lines / 4) * 4;
  out.step = t / (lines / 4);
  out.line_hop = 0;
  out.step_hop = threads / (lines / 4);
  out.p = p + out.line + out.step * step;
  out.hop = out.step_hop * step;
  out.advance = FH_SIMT_STEPS * step;
  out.lines = (int)fh_least(left, lines);
  out.place = out.step * FH_SIMT_PITCH(lines) + out.line;
  out.place_hop = out.step_hop * FH_SIMT_PITCH(lines);
  return out;
}

FH_INLINE fh_source fh_source_begin(fh_f32_in p, long line, long step, long left, int lines, int threads) {
  fh_source out;
  out.quads = fh_in_quads(p, line, step);
  if (out.quads)
    out.of = fh_quads_begin(p, step, left, lines, threads);
  else
    out.of = fh_panel_begin(p, line, step, left, lines, threads);
  return out;
}

/* Bytes of four lines that there are: those past the last become 0, and so do steps past k, from an address that is never read. */
FH_INLINE int fh_quad_bytes(const fh_panel *of, int i, int steps) {
  if (of->step + i * of->step_hop >= steps || of->line >= of->lines) return 0;
  return 4 * (int)fh_least(of->lines - of->line, 4);
}

/* The next panel is on its way, `steps` of k being left. */
FH_INLINE void fh_source_copy(fh_source *from, fh_f32_in base, fh_local float *to, long steps, int lines, int threads) {
  fh_panel *const of = &from->of;
  const int some = (int)fh_least(steps, FH_SIMT_STEPS);
  if (from->quads) {
    FH_UNROLL for (int i = 0; i < lines * FH_SIMT_STEPS / threads / 4; i++) {
      const int bytes = fh_quad_bytes(of, i, some);
      fh_copy_async16(to + of->place + i * of->place_hop, bytes ? of->p + i * of->hop : base, bytes);
    }
  } else {
    FH_UNROLL for (int i = 0; i < lines * FH_SIMT_STEPS / threads; i++) {
      const bool has = fh_panel_has(of, i, some);
      fh_copy_async4(to + of->place + i * of->place_hop, has ? of->p + i * of->hop : base, has ? 4 : 0);
    }
  }
  of->p += of->advance;
}

/* One tile of `rows` by `cols`; a and b begin at its first row and its first column. Each turn commits one group, also an empty one, so
 * that a wait for all but FH_SIMT_STAGES - 2 of them always means the panel at hand. */
FH_INLINE void fh_simt_staged_tile(float total[8][8], fh_local float *shared, fh_f32_in a, long as1, long as, fh_f32_in b, long bs1,
                                   long bs, long m, long n, long k, int rows, int cols) {
  const int threads = rows * cols / 64, stage = FH_SIMT_PANEL(rows) + FH_SIMT_PANEL(cols);
  fh_source of_a = fh_source_begin(a, as1, as, m, rows, threads), of_b = fh_source_begin(b, bs, bs1, n, cols, threads);
  const fh_local float *const from_a = shared + fh_simt_row(cols), *const from_b = shared + FH_SIMT_PANEL(rows) + fh_simt_col(cols);
  float sum[8][8];
  long ahead = 0; /* the step of k whose panel is copied next */
  int into = 0, at = 0;
  fh_barrier(); /* the tile before has been read */
  for (int i = 0; i < FH_SIMT_STAGES - 1; i++, ahead += FH_SIMT_STEPS) {
    if (ahead < k) {
      fh_source_copy(&of_a, a, shared + i * stage, k - ahead, rows, threads);
      fh_source_copy(&of_b, b, shared + i * stage + FH_SIMT_PANEL(rows), k - ahead, cols, threads);
    }
    fh_copy_commit();
  }
  into = (FH_SIMT_STAGES - 1) * stage;
  fh_simt_fill(total, -0.0f);
  for (long block = 0; block == 0 || block < k; block += FH_SIMT_BLOCK) {
    const long end = fh_least(k, block + FH_SIMT_BLOCK);
    fh_simt_fill(sum, 0.0f);
    for (long l = block; l < end; l += FH_SIMT_STEPS, ahead += FH_SIMT_STEPS) {
      fh_copy_wait(FH_SIMT_STAGES - 2);
      fh_barrier(); /* the panel is there for all, and the one before has been read by all: its place is free */
      if (ahead < k) {
        fh_source_copy(&of_a, a, shared + into, k - ahead, rows, threads);
        fh_source_copy(&of_b, b, shared + into + FH_SIMT_PANEL(rows), k - ahead, cols, threads);
      }
      fh_copy_commit();
      fh_simt_steps(sum, from_a + at, FH_SIMT_PITCH(rows), from_b + at, FH_SIMT_PITCH(cols), end - l);
      into = at;
      at = at + stage == FH_SIMT_STAGES * stage ? 0 : at + stage;
    }
    fh_simt_fold(total, sum);
  }
  fh_copy_wait(0);
}

#endif /* FOGHORN_KERNELS_BLOCK_SIMT_STAGES_H_ */
