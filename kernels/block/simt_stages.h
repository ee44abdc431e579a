/* A tile of a product of f32 from compute capability 8.0 on: panels come by asynchronous copies. SPDX-License-Identifier: Apache-2.0
 *
 * One panel of `depth` steps is multiplied while the next comes: the 64 fma of a thread for each step take two warps of a scheduler 128
 * cycles at least, so that 16 steps are twice what memory takes to answer. Shared memory wants [step][line]: where lines are contiguous in
 * memory (B by rows, A by columns) and on boundaries of 16 bytes, a copy takes four of them; otherwise each element is a copy of its own,
 * which turns the panel on its way.
 *
 * What a thread issues bounds it. Of 32 steps these are 2048 fma, 128 loads of 16 bytes and about 70 others where both operands are by
 * rows, so that 0.91 of it are fma, and 0.905 with the fold that each 256 steps end in. Hence addresses go from copy to copy by addition,
 * or are constants where a line is contiguous in memory, copies ask for bounds at edges alone, and the factors of a step are loaded during
 * the step before, those of the next panel's first one too: no thread waits for shared memory behind a barrier. Totals and sums are 128
 * registers of a thread: a multiprocessor has 256 threads, of which 66 KiB of panels are as many as its shared memory has room for
 * anywhere. Tiles of 64 have panels of 16 steps: four of their blocks, 256 threads too, take 68 KiB. */
#ifndef FOGHORN_KERNELS_BLOCK_SIMT_STAGES_H_
#define FOGHORN_KERNELS_BLOCK_SIMT_STAGES_H_

#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_
#include "kernels/block/simt_product.h"
#endif

#define FH_STAGE_PANEL(lines, depth) ((depth) * FH_SIMT_PITCH(lines)) /* floats */
#define FH_STAGES_BYTES(side, depth) (2 * 2 * FH_STAGE_PANEL(side, depth) * 4)

/* Panels of an operand: lines and steps of each, the threads that bring them, and steps of the last one. */
typedef struct fh_panels {
  int lines, depth, threads, last;
} fh_panels;

FH_INLINE fh_panels fh_panels_of(int lines, int depth, int threads, long k) {
  const fh_panels out = {lines, depth, threads, k % depth ? (int)(k % depth) : depth};
  return out;
}

/* How a panel is copied: four lines at a time, or single elements, of which neighbouring threads take lines, or 8 steps where these are
 * contiguous in memory. Of 8 steps of four lines, as of 32 lines of a step, the places lie in different banks. */
#define FH_BY_QUADS 0
#define FH_BY_LINES 1
#define FH_BY_STEPS 2
#define FH_STEPS_ALONG 8

/* What a thread brings of each panel: by steps, all groups of 8 steps of a line, and then its next line. */
typedef struct fh_source {
  fh_f32_in p;       /* its first element of the panel that is copied next */
  long hop, advance; /* elements to its next line, or step, and to the next panel */
  int by;
  int lines; /* of the panel that there are */
  int some;  /* so many panels, the last ones, are not whole: none, the one that k ends in, or all */
  int place; /* in shared memory: its first line and step */
} fh_source;

/* From one copy of a thread to the next, but for groups of steps. */
FH_INLINE int fh_source_line_hop(int by, fh_panels of) { return by == FH_BY_STEPS ? of.threads / FH_STEPS_ALONG : 0; }
FH_INLINE int fh_source_step_hop(int by, fh_panels of) {
  return by == FH_BY_STEPS ? 0 : by == FH_BY_QUADS ? of.threads / (of.lines / 4) : of.threads / of.lines;
}

/* Four lines lie together, and each step begins on a boundary of 16 bytes. */
FH_INLINE bool fh_in_quads(fh_f32_in p, long line, long step) { return line == 1 && step % 4 == 0 && fh_on_boundary(p, 16); }

FH_INLINE int fh_source_by(fh_f32_in p, long line, long step) {
  if (fh_in_quads(p, line, step)) return FH_BY_QUADS;
  return step == 1 && line != 1 ? FH_BY_STEPS : FH_BY_LINES;
}

/* The thread, anew for each tile: what follows from it would otherwise be kept in registers from one product of a batch to the next. */
FH_INLINE int fh_source_thread(void) {
  fh_f32x4 held;
  held.x = fh_as_float(fh_thread()), held.y = held.z = held.w = 0.0f;
  fh_hold4(held);
  return fh_as_int(held.x);
}

FH_INLINE fh_source fh_source_begin(fh_f32_in p, long line, long step, long left, fh_panels of) {
  const int t = fh_source_thread(), by = fh_source_by(p, line, step);
  fh_source out;
  out.by = by;
  const int at_line = by == FH_BY_STEPS ? t / FH_STEPS_ALONG : by == FH_BY_QUADS ? t % (of.lines / 4) * 4 : t % of.lines;
  const int at_step = by == FH_BY_STEPS ? t % FH_STEPS_ALONG : by == FH_BY_QUADS ? t / (of.lines / 4) : t / of.lines;
  out.p = p + at_line * line + at_step * step;
  out.hop = fh_source_line_hop(by, of) * line + fh_source_step_hop(by, of) * step;
  out.advance = of.depth * step;
  out.lines = (int)fh_least(left, of.lines);
  out.some = out.lines < of.lines ? 0x7fffffff : of.last < of.depth;
  out.place = at_step * FH_SIMT_PITCH(of.lines) + at_line;
  return out;
}

/* How many of `width` lines there are, so far from the thread's first line and step. */
FH_INLINE int fh_source_has(const fh_source *from, int line, int step, int width, int steps, fh_panels of) {
  const int left = from->lines - from->place % FH_SIMT_PITCH(of.lines) - line;
  return from->place / FH_SIMT_PITCH(of.lines) + step >= steps || left <= 0 ? 0 : left < width ? left : width;
}

/* Not `whole`: what is past the last line or past k is not copied. Of its place come sums that nobody stores, or none. */
FH_INLINE void fh_source_copy_by(int by, bool whole, const fh_source *from, fh_local float *to, int steps, fh_panels of) {
  const int width = by == FH_BY_QUADS ? 4 : 1, count = of.lines * of.depth / of.threads / width;
  const int groups = by == FH_BY_STEPS ? of.depth / FH_STEPS_ALONG : 1;
  fh_f32_in p = from->p;
  FH_UNROLL for (int i = 0; i < count / groups; i++) {
    FH_UNROLL for (int g = 0; g < groups; g++) {
      const int line = i * fh_source_line_hop(by, of), step = i * fh_source_step_hop(by, of) + g * FH_STEPS_ALONG;
      const int there = whole ? width : fh_source_has(from, line, step, width, steps, of);
      fh_local float *const at = to + step * FH_SIMT_PITCH(of.lines) + line;
      if (width == 4 && there) fh_copy_async16(at, p, 4 * there);
      if (width == 1 && there) fh_copy_async4(at, p + g * FH_STEPS_ALONG, 4);
    }
    p += from->hop;
  }
}

FH_INLINE void fh_source_copy_some(bool whole, const fh_source *from, fh_local float *to, int steps, fh_panels of) {
  if (from->by == FH_BY_QUADS)
    fh_source_copy_by(FH_BY_QUADS, whole, from, to, steps, of);
  else if (from->by == FH_BY_STEPS)
    fh_source_copy_by(FH_BY_STEPS, whole, from, to, steps, of);
  else
    fh_source_copy_by(FH_BY_LINES, whole, from, to, steps, of);
}

/* The next panel is on its way, the first of `left`. */
FH_INLINE void fh_source_copy(fh_source *from, fh_local float *panel, int left, fh_panels of) {
  if (left > from->some)
    fh_source_copy_some(true, from, panel + from->place, of.depth, of);
  else
    fh_source_copy_some(false, from, panel + from->place, left > 1 ? of.depth : of.last, of);
  from->p += from->advance;
}

/* One tile of `rows` by `cols`; a and b begin at its first row and its first column. Behind the last panel the factors of a next one are
 * loaded from what lies there, and are not used. */
FH_INLINE void fh_simt_staged_tile(float total[8][8], fh_local float *shared, fh_f32_in a, long as1, long as, fh_f32_in b, long bs1,
                                   long bs, long m, long n, long k, int rows, int cols, int depth) {
  const int threads = rows * cols / 64, stage = FH_STAGE_PANEL(rows, depth) + FH_STAGE_PANEL(cols, depth);
  const fh_panels a_panels = fh_panels_of(rows, depth, threads, k), b_panels = fh_panels_of(cols, depth, threads, k);
  fh_source of_a = fh_source_begin(a, as1, as, m, a_panels), of_b = fh_source_begin(b, bs, bs1, n, b_panels);
  const fh_local float *from_a = shared + fh_simt_row(cols), *from_b = shared + FH_STAGE_PANEL(rows, depth) + fh_simt_col(cols);
  float sum[8][8];
  int at = 0;                                  /* the panel that is multiplied */
  int left = (int)((k + (depth - 1)) / depth); /* panels, the first of which is copied next */
  fh_barrier();                                /* the tile before has been read */
  if (left > 0) {
    fh_source_copy(&of_a, shared, left, a_panels);
    fh_source_copy(&of_b, shared + FH_STAGE_PANEL(rows, depth), left, b_panels);
  }
  fh_copy_commit();
  fh_copy_wait(0);
  fh_barrier();
  fh_factors now = fh_simt_factors(from_a, from_b);
  fh_simt_fill(total, -0.0f);
  for (long block = 0; block == 0 || block < k; block += FH_SIMT_BLOCK) {
    const int steps = (int)fh_least(k - block, FH_SIMT_BLOCK);
    fh_simt_fill(sum, 0.0f);
    for (int panel = steps / depth; panel > 0; panel--) {
      if (--left > 0) { /* to where the panel before was, which all have read */
        fh_source_copy(&of_a, shared + (stage - at), left, a_panels);
        fh_source_copy(&of_b, shared + (stage - at) + FH_STAGE_PANEL(rows, depth), left, b_panels);
      }
      fh_copy_commit();
      FH_UNROLL for (int l = 1; l < depth; l++) {
        const fh_factors next = fh_simt_factors(from_a + at + l * FH_SIMT_PITCH(rows), from_b + at + l * FH_SIMT_PITCH(cols));
        fh_simt_multiply(sum, &now);
        now = next;
      }
      fh_copy_wait(0);
      fh_barrier(); /* the next panel is there for all, and this one has been read by all: its place is free */
      at = stage - at;
      const fh_factors next = fh_simt_factors(from_a + at, from_b + at);
      fh_simt_multiply(sum, &now);
      now = next;
    }
    /* Steps past k are not made: even fma(0, 0, s) would turn an s of -0 into +0. */
    for (int l = 0; l < steps % depth; l++) fh_simt_step(sum, from_a + at + l * FH_SIMT_PITCH(rows), from_b + at + l * FH_SIMT_PITCH(cols));
    fh_simt_fold(total, sum);
  }
}

#endif /* FOGHORN_KERNELS_BLOCK_SIMT_STAGES_H_ */
