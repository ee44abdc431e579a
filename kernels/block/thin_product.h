/* Products of a few rows with weights of 16 bits: the weights are read once. SPDX-License-Identifier: Apache-2.0
 *
 * A block of 128 threads has 128 columns and a block of k: a chain of 256 for each column and each of 8 rows (kernels/matmul.h), which goes
 * to scratch (block_sums.h). Weights come as words of two neighbours in k, a panel of 8 words at a time to shared memory, the next on its
 * way to registers meanwhile; threads that are neighbours take what is nearer in memory, so that packed weights, weights by columns and
 * weights by rows are all read in pieces of 32 bytes and more. Memory bounds it: for 128 bytes of weights a warp has about 40 instructions
 * to issue, in which time a multiprocessor's share of the memory brings less than that; the three blocks whose registers it has room for
 * have 12 KiB on their way, about as much as the delay of a GPU's memory asks for.
 */
#ifndef FOGHORN_KERNELS_BLOCK_THIN_PRODUCT_H_
#define FOGHORN_KERNELS_BLOCK_THIN_PRODUCT_H_

#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_
#include "kernels/block/simt_product.h"
#endif

#define FH_THIN_LINES 128 /* columns of b, threads */
#define FH_THIN_WORDS 8   /* of k, a panel */
#define FH_THIN_STEPS (2 * FH_THIN_WORDS)
#define FH_THIN_ROWS 8
#define FH_THIN_PITCH (FH_THIN_LINES + 1) /* neighbours in k as neighbours in lines lie in different banks */
#define FH_THIN_BYTES ((FH_THIN_WORDS * FH_THIN_PITCH + FH_THIN_STEPS * FH_THIN_ROWS) * 4)

/* ---- numbers of 16 bits ---- */
FH_INLINE float fh_thin_bf16(uint bits) { return fh_as_float((int)(bits << 16)); }

/* As fh_widen_f16 of the dialect: exact, for denormals too. */
FH_INLINE float fh_thin_f16(uint bits) {
  const int magnitude = (int)((bits & 0x7fff) << 13), sign = (int)((bits & 0x8000) << 16);
  const float scaled = fh_mul_u(fh_as_float(magnitude), 0x1p112f);
  return fh_as_float((scaled < 65536.0f ? fh_as_int(scaled) : magnitude | 0x7f800000) | sign);
}

FH_INLINE float fh_thin_value(uint bits, bool is_bf16) { return is_bf16 ? fh_thin_bf16(bits & 0xffff) : fh_thin_f16(bits & 0xffff); }

/* ---- operands: from the first column, or row, and the first step of a block on ---- */
typedef struct fh_thin_weights {
  fh_u16_in p;
  long panel, line, word, number; /* strides as in kernels/product.h */
  long lines;                     /* that there are */
  bool whole;                     /* words lie together on their boundaries */
  bool along;                     /* neighbours in k are nearer than neighbours in lines */
} fh_thin_weights;

FH_INLINE fh_thin_weights fh_thin_weights_at(fh_u16_in p, long panel, long line, long word, long number, long lines) {
  fh_thin_weights out;
  out.p = p;
  out.panel = panel;
  out.line = line;
  out.word = word;
  out.number = number;
  out.lines = lines;
  out.whole = number == 1 && ((panel | line | word) & 1) == 0 && fh_on_boundary(p, 4);
  out.along = (word < 0 ? -word : word) < (line < 0 ? -line : line);
  return out;
}

/* Two numbers at p, of which the first `left` are there; the others are 0. */
FH_INLINE uint fh_thin_word(const fh_thin_weights *of, fh_u16_in p, long left) {
  if (left <= 0) return 0;
  if (of->whole && left >= 2) return (uint) * (fh_i32_in)p;
  return (uint)p[0] | (left >= 2 ? (uint)p[of->number] << 16 : 0);
}

/* A thread's word i: along, its line moves on, 16 at a time; otherwise its word. */
#define FH_THIN_HOP (FH_THIN_LINES / FH_THIN_WORDS)
FH_INLINE int fh_thin_line(bool along, int i) { return along ? fh_thread() / FH_THIN_WORDS + FH_THIN_HOP * i : fh_thread(); }
FH_INLINE int fh_thin_place(bool along, int i) { return along ? fh_thread() % FH_THIN_WORDS : i; }

FH_INLINE void fh_thin_fetch(const fh_thin_weights *of, long left, uint out[FH_THIN_WORDS]) {
  const int line = fh_thin_line(of->along, 0);
  fh_u16_in p = of->p + line / 32 * of->panel + line % 32 * of->line + fh_thin_place(of->along, 0) * of->word;
  FH_UNROLL for (int i = 0; i < FH_THIN_WORDS; i++) { /* by addition: all addresses at once would not fit the registers */
    out[i] = fh_thin_line(of->along, i) < of->lines ? fh_thin_word(of, p, left - 2 * fh_thin_place(of->along, i)) : 0;
    p += !of->along ? of->word : i % 2 == 0 ? FH_THIN_HOP * of->line : of->panel - FH_THIN_HOP * of->line;
  }
}
FH_INLINE void fh_thin_put(const fh_thin_weights *of, fh_local uint *to, const uint in[FH_THIN_WORDS]) {
  FH_UNROLL for (int i = 0; i < FH_THIN_WORDS; i++) to[fh_thin_place(of->along, i) * FH_THIN_PITCH + fh_thin_line(of->along, i)] = in[i];
}

/* Rows of a, `rows` of which there are: a number a thread, as [step][row] of f32. */
FH_INLINE float fh_thin_fetch_rows(fh_u16_in a, long as1, long as, long rows, long left, bool is_bf16) {
  const int row = fh_thread() / FH_THIN_STEPS, step = fh_thread() % FH_THIN_STEPS;
  return row < rows && step < left ? fh_thin_value(a[row * as1 + step * as], is_bf16) : 0.0f;
}

/* ---- chains ---- */
FH_INLINE void fh_thin_step(float sum[FH_THIN_ROWS], const fh_local float *rows, float weight) {
  const fh_f32x4 low = fh_load4(rows), high = fh_load4(rows + 4);
  const float x[FH_THIN_ROWS] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
  FH_UNROLL for (int i = 0; i < FH_THIN_ROWS; i++) sum[i] = fh_fma_u(x[i], weight, sum[i]);
}

/* `steps` of k, at most a block of them, of 8 rows. Steps past k are not made: even fma(0, 0, s) would turn an s of -0 into +0. */
FH_INLINE void fh_thin_sum(float sum[FH_THIN_ROWS], fh_local uchar *shared, fh_thin_weights b, fh_u16_in a, long as1, long as, long rows,
                           long steps, bool is_bf16) {
  fh_local float *const near = (fh_local float *)shared;
  fh_local uint *const words = (fh_local uint *)(shared + FH_THIN_STEPS * FH_THIN_ROWS * 4);
  uint next[FH_THIN_WORDS];
  float next_row;
  FH_UNROLL for (int i = 0; i < FH_THIN_ROWS; i++) sum[i] = 0.0f;
  fh_thin_fetch(&b, steps, next);
  next_row = fh_thin_fetch_rows(a, as1, as, rows, steps, is_bf16);
  for (long l = 0; l < steps; l += FH_THIN_STEPS) {
    const int some = (int)fh_least(steps - l, FH_THIN_STEPS);
    fh_barrier(); /* the panel before has been read */
    fh_thin_put(&b, words, next);
    near[fh_thread() % FH_THIN_STEPS * FH_THIN_ROWS + fh_thread() / FH_THIN_STEPS] = next_row;
    fh_barrier();
    b.p += FH_THIN_WORDS * b.word;
    a += FH_THIN_STEPS * as;
    if (steps - l > FH_THIN_STEPS) {
      fh_thin_fetch(&b, steps - l - FH_THIN_STEPS, next);
      next_row = fh_thin_fetch_rows(a, as1, as, rows, steps - l - FH_THIN_STEPS, is_bf16);
    }
    for (int s = 0; s < some; s += 2) {
      const uint word = words[s / 2 * FH_THIN_PITCH + fh_thread()];
      fh_thin_step(sum, near + s * FH_THIN_ROWS, fh_thin_value(word, is_bf16));
      if (s + 1 < some) fh_thin_step(sum, near + (s + 1) * FH_THIN_ROWS, fh_thin_value(word >> 16, is_bf16));
    }
  }
}

/* ---- the two launches, whose parameters are those of kernels/product.h and scratch ----
 * Blocks of k, then columns, in the first dimension; products in the third. */
#define FH_BLOCK_THIN(entry, IS_BF16)                                                                                                     \
  FH_BLOCK(entry, FH_THIN_LINES, FH_THIN_BYTES) {                                                                                         \
    const long blocks = fh_sums_blocks(k), block = fh_block(0) % blocks, first = block * FH_SUMS_STEPS;                                   \
    const long col = fh_block(0) / blocks * FH_THIN_LINES, mine = col + fh_thread();                                                      \
    for (long sheet = fh_block(2); sheet < batch; sheet += fh_blocks(2)) {                                                                \
      const fh_thin_weights of_b = fh_thin_weights_at(b + sheet * bs0 + col / 32 * bs1 + first / 2 * bs3, bs1, bs2, bs3, bs4, n - col);   \
      fh_f32_out sums = (fh_f32_out)scratch + (sheet * blocks + block) * m * n + mine;                                                    \
      for (long row = 0; row < m; row += FH_THIN_ROWS) {                                                                                  \
        float sum[FH_THIN_ROWS];                                                                                                          \
        fh_thin_sum(sum, fh_shared, of_b, a + sheet * as0 + row * as1 + first * as, as1, as, m - row, fh_least(k - first, FH_SUMS_STEPS), \
                    IS_BF16);                                                                                                             \
        FH_UNROLL for (int i = 0; i < FH_THIN_ROWS; i++) {                                                                                \
          if (row + i < m && mine < n) sums[(row + i) * n] = sum[i];                                                                      \
        }                                                                                                                                 \
      }                                                                                                                                   \
    }                                                                                                                                     \
  }
#define FH_BLOCK_THIN_ADD(entry, THREADS)                                                               \
  FH_BLOCK(entry, THREADS, 16) {                                                                        \
    const long blocks = fh_sums_blocks(k);                                                              \
    for (long sheet = fh_block(2); sheet < batch; sheet += fh_blocks(2))                                \
      fh_sums_add((fh_f32_in)scratch + sheet * blocks * m * n, c + sheet * cs0, blocks, m, n, cs1, cs); \
  }

#endif /* FOGHORN_KERNELS_BLOCK_THIN_PRODUCT_H_ */
