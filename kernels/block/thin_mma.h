/* Products of at most 16 rows of u8 with weights of s8 on tensor cores: the weights are read once. Compute capability 8.0 on.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The rows are one operand of m16n8k32, which is then never full, and the weights the other one: they come from memory to the registers
 * where the instruction wants them, without a stop in shared memory. Which column and which words of k stand for which place of it is free,
 * where both operands mean the same: lane (g, s), of 8 by 4, has the columns 4 g to 4 g + 3 of the 32 of its warp, and of 32 steps of k
 * the 8 from 8 s on. So it reads
 *   by rows      4 bytes, neighbouring columns of a step; four such words are turned to four words of neighbours along k
 *   packed       16 bytes, the words of four columns
 *   by columns   8 bytes, both words of a column
 * in each case whole sectors by the lanes together, and gets sums of 8 columns in a row of two rows. What is left, past k or past the last
 * column of a warp, and weights that lie otherwise, come byte by byte.
 *
 * A block of 4 warps has 128 columns and a part of k, of which it first brings the rows to shared memory, 512 steps at a time: lines of 544
 * bytes, of which a quarter of a warp reads 4 times 32 from all banks. Sums of parts go to scratch and are added by a second launch.
 *
 * Predicted limit, nothing of it measured: memory. For 128 bytes of weights by rows a warp issues about 12 instructions, a third of them to
 * turn bytes, in the other two forms about 5, where the memory of compute capability 8.0 leaves time for 50 and that of 9.0 for 35. A
 * thread has 64 bytes on their way while it multiplies the 64 before, and its registers leave four blocks to a multiprocessor: 32 KiB.
 */
#ifndef FOGHORN_KERNELS_BLOCK_THIN_MMA_H_
#define FOGHORN_KERNELS_BLOCK_THIN_MMA_H_

#ifndef FOGHORN_KERNELS_BLOCK_MMA_PRODUCT_H_
#include "kernels/block/mma_product.h"
#endif
#ifndef FOGHORN_KERNELS_BLOCK_TURN_BYTES_H_
#include "kernels/block/turn_bytes.h"
#endif

#define FH_FEW_THREADS 128
#define FH_FEW_LINES 128 /* of b, a block's */
#define FH_FEW_OF_WARP 32
#define FH_FEW_ROWS 16
#define FH_FEW_CHUNK 512 /* steps of k, whose rows are in shared memory at a time */
#define FH_FEW_PITCH (FH_FEW_CHUNK + 32)
#define FH_FEW_SHARED (FH_FEW_ROWS * FH_FEW_PITCH)
#define FH_FEW_STEPS 32 /* of an instruction */
#define FH_FEW_TURN (2 * FH_FEW_STEPS)

/* How weights come. */
#define FH_FEW_BY_ROWS 0
#define FH_FEW_PACKED 1
#define FH_FEW_BY_COLUMNS 2
#define FH_FEW_SINGLE 3

/* A lane's weights: from the first of its columns and of its 8 steps on. */
typedef struct fh_few_weights {
  fh_u8_in p;
  long line, word, number; /* strides as in kernels/product.h, in bytes */
  long lines;              /* that there are, from its first on; negative: none */
  int how;
} fh_few_weights;

/* `lines` of the warp, whose strides and place decide for all of its lanes. */
FH_INLINE int fh_few_how(fh_u8_in p, long line, long word, long number, long lines) {
  if (lines < FH_FEW_OF_WARP) return FH_FEW_SINGLE;
  if (line == 1 && word == 4 * number && (number & 3) == 0 && fh_on_boundary(p, 4)) return FH_FEW_BY_ROWS;
  if (number == 1 && line == 4 && (word & 15) == 0 && fh_on_boundary(p, 16)) return FH_FEW_PACKED;
  return number == 1 && word == 4 && (line & 7) == 0 && fh_on_boundary(p, 8) ? FH_FEW_BY_COLUMNS : FH_FEW_SINGLE;
}

/* p: the first column of the warp, the first step of k. */
FH_INLINE fh_few_weights fh_few_weights_at(fh_u8_in p, long line, long word, long number, long lines) {
  const int lane = fh_thread() % 32;
  fh_few_weights out;
  out.p = p + lane / 4 * 4 * line + lane % 4 * 2 * word;
  out.line = line;
  out.word = word;
  out.number = number;
  out.lines = lines - lane / 4 * 4;
  out.how = fh_few_how(p, line, word, number, lines);
  return out;
}

/* ---- weights: for each of the two words of a lane, and each column, four bytes along k; by rows for each step those of four columns ----
 */

FH_INLINE void fh_few_fetch_by_rows(const fh_few_weights *of, fh_u8_in p, uint out[2][4]) {
  FH_UNROLL for (int e = 0; e < 8; e++, p += of->number) out[e / 4][e % 4] =
      (uint) * (fh_i32_in)p; /* by addition: addresses are registers */
}
FH_INLINE void fh_few_fetch_packed(const fh_few_weights *of, fh_u8_in p, uint out[2][4]) {
  FH_UNROLL for (int w = 0; w < 2; w++, p += of->word) {
    const fh_f32x4 v = fh_fetch4((fh_f32_in)p);
    out[w][0] = (uint)fh_as_int(v.x), out[w][1] = (uint)fh_as_int(v.y), out[w][2] = (uint)fh_as_int(v.z), out[w][3] = (uint)fh_as_int(v.w);
  }
}
FH_INLINE void fh_few_fetch_by_columns(const fh_few_weights *of, fh_u8_in p, uint out[2][4]) {
  FH_UNROLL for (int j = 0; j < 4; j++, p += of->line) {
    const ulong both = (ulong)fh_fetch_long(p);
    out[0][j] = (uint)both;
    out[1][j] = (uint)(both >> 32);
  }
}
FH_INLINE void fh_few_fetch(int how, const fh_few_weights *of, fh_u8_in p, uint out[2][4]) {
  if (how == FH_FEW_BY_ROWS)
    fh_few_fetch_by_rows(of, p, out);
  else if (how == FH_FEW_PACKED)
    fh_few_fetch_packed(of, p, out);
  else
    fh_few_fetch_by_columns(of, p, out);
}

/* `left` steps of k are there, from the lane's first on. */
FH_INLINE void fh_few_gather(const fh_few_weights *of, fh_u8_in p, long left, uint out[2][4]) {
  FH_UNROLL for (int i = 0; i < 8; i++) out[i / 4][i % 4] = 0;
  FH_NO_UNROLL for (int e = 0; e < 4; e++, p += of->number) { /* what is rare has eight addresses, not 32 */
    FH_UNROLL for (int i = 0; i < 8; i++) {
      if (i % 4 < of->lines && 4 * (i / 4) + e < left) out[i / 4][i % 4] |= (uint) * (p + i / 4 * of->word + i % 4 * of->line) << 8 * e;
    }
  }
}

/* ---- products ---- */

/* 32 steps: rows from `near` on, which is this lane's place in shared memory. */
FH_INLINE void fh_few_multiply(int how, int sum[4][4], const fh_local uchar *near, uint weights[2][4]) {
  const ulong low = *(const fh_local ulong *)near, high = *(const fh_local ulong *)(near + 8 * FH_FEW_PITCH);
  const uint rows[4] = {(uint)low, (uint)high, (uint)(low >> 32), (uint)(high >> 32)};
  FH_UNROLL for (int w = 0; how == FH_FEW_BY_ROWS && w < 2; w++) fh_turn_bytes(weights[w]);
  FH_UNROLL for (int j = 0; j < 4; j++) {
    const uint cols[2] = {weights[0][j], weights[1][j]};
    fh_mma_u8s8(sum[j], rows, cols);
  }
}

/* Turns of 64 steps, the weights of the next one on their way: `steps` is a multiple of 64, and more than 0. */
FH_INLINE void fh_few_turns(int how, int sum[4][4], const fh_local uchar *near, const fh_few_weights *of, fh_u8_in p, long steps) {
  const long hop = FH_FEW_STEPS / 4 * of->word;
  uint next[2][2][4];
  FH_UNROLL for (int i = 0; i < 2; i++, p += hop) fh_few_fetch(how, of, p, next[i]);
  for (long l = 0; l < steps; l += FH_FEW_TURN) {
    uint now[2][2][4];
    FH_UNROLL for (int i = 0; i < 16; i++) now[i / 8][i / 4 % 2][i % 4] = next[i / 8][i / 4 % 2][i % 4];
    if (l + FH_FEW_TURN < steps) {
      FH_UNROLL for (int i = 0; i < 2; i++, p += hop) fh_few_fetch(how, of, p, next[i]);
    }
    FH_UNROLL for (int i = 0; i < 2; i++, near += FH_FEW_STEPS) fh_few_multiply(how, sum, near, now[i]);
  }
}

/* `steps` of k, of which a chunk's rows are in shared memory. */
FH_INLINE void fh_few_chunk(int sum[4][4], const fh_local uchar *shared, const fh_few_weights *of, fh_u8_in p, long steps) {
  const int lane = fh_thread() % 32;
  const fh_local uchar *const near = shared + lane / 4 * FH_FEW_PITCH + lane % 4 * 8;
  const long whole = of->how == FH_FEW_SINGLE ? 0 : steps / FH_FEW_TURN * FH_FEW_TURN;
  if (whole > 0) {
    if (of->how == FH_FEW_BY_ROWS)
      fh_few_turns(FH_FEW_BY_ROWS, sum, near, of, p, whole);
    else if (of->how == FH_FEW_PACKED)
      fh_few_turns(FH_FEW_PACKED, sum, near, of, p, whole);
    else
      fh_few_turns(FH_FEW_BY_COLUMNS, sum, near, of, p, whole);
  }
  FH_NO_UNROLL for (long l = whole; l < steps; l += FH_FEW_STEPS) {
    uint weights[2][4];
    fh_few_gather(of, p + l / 4 * of->word, steps - l - lane % 4 * 8, weights);
    fh_few_multiply(FH_FEW_SINGLE, sum, near + l, weights);
  }
}

/* ---- rows ---- */

/* Four numbers of a row, of which the first `left` are there and the others 0. */
FH_INLINE uint fh_few_row_word(fh_u8_in p, long stride, long left) {
  uint out = 0;
  FH_UNROLL for (int e = 0; e < 4; e++) {
    if (e < left) out |= (uint)p[e * stride] << 8 * e;
  }
  return out;
}

/* Rows of a chunk, `steps` of k and zeros up to a multiple of 32: eight threads have a row, and of each 32 steps a word. Rows that are
 * words in memory are all on their way at a time. */
FH_INLINE void fh_few_bring_rows(fh_local uchar *shared, fh_u8_in a, long row, long step, long rows, long steps) {
  const int mine = fh_thread() / 8, place = fh_thread() % 8 * 4;
  const bool has = mine < rows, whole = step == 1 && (row & 3) == 0 && fh_on_boundary(a, 4);
  const fh_u8_in p = has ? a + mine * row + place * step : a;
  fh_local uchar *const to = shared + mine * FH_FEW_PITCH + place;
  if (whole) {
    uint words[FH_FEW_CHUNK / FH_FEW_STEPS];
    FH_UNROLL for (int i = 0; i < FH_FEW_CHUNK / FH_FEW_STEPS; i++) words[i] =
        has && FH_FEW_STEPS * (i + 1) <= steps ? (uint) * (fh_i32_in)(p + FH_FEW_STEPS * i) : 0;
    FH_UNROLL for (int i = 0; i < FH_FEW_CHUNK / FH_FEW_STEPS; i++) * (fh_local uint *)(to + FH_FEW_STEPS * i) = words[i];
  }
  FH_NO_UNROLL for (long l = whole ? steps / FH_FEW_STEPS * FH_FEW_STEPS : 0; l < steps; l += FH_FEW_STEPS) * (fh_local uint *)(to + l) =
      has ? fh_few_row_word(p + l * step, step, steps - l - place) : 0;
}

/* `steps` of k of 16 rows, of which `rows` are there. */
FH_INLINE void fh_few_sum(int sum[4][4], fh_local uchar *shared, const fh_few_weights *of, fh_u8_in a, long row, long step, long rows,
                          long steps) {
  FH_UNROLL for (int i = 0; i < 16; i++) sum[i / 4][i % 4] = 0;
  for (long l = 0; l < steps; l += FH_FEW_CHUNK) {
    const long some = fh_least(steps - l, FH_FEW_CHUNK);
    fh_barrier(); /* the rows before have been read */
    fh_few_bring_rows(shared, a + l * step, row, step, rows, some);
    fh_barrier();
    fh_few_chunk(sum, shared, of, of->p + l / 4 * of->word, some);
  }
}

/* ---- sums: of columns 8 s to 8 s + 7, rows g and g + 8 ---- */
FH_INLINE void fh_few_store(int sum[4][4], fh_i32_out to, long n, long rows, long lines) {
  const int lane = fh_thread_here() % 32, row = lane / 4, line = lane % 4 * 8;
  to += row * n + line;
  const bool wide = n % 4 == 0 && fh_on_boundary(to, 16);
  FH_UNROLL for (int i = 0; i < 4; i++) { /* row g, four columns, then the other four; then row g + 8 */
    const int columns = i % 2 * 4;
    fh_i32_out at = to + i / 2 * 8 * n + columns;
    if (row + i / 2 * 8 >= rows) continue;
    if (wide && line + columns + 3 < lines) {
      fh_f32x4 v;
      v.x = fh_as_float(sum[0][i]), v.y = fh_as_float(sum[1][i]), v.z = fh_as_float(sum[2][i]), v.w = fh_as_float(sum[3][i]);
      fh_store4((fh_f32_out)at, v);
    } else {
      FH_UNROLL for (int j = 0; j < 4; j++) {
        if (line + columns + j < lines) at[j] = sum[j][i];
      }
    }
  }
}

/* ---- the body of an entry whose parameters are those of kernels/product.h and scratch: columns in the first dimension, parts of k in the
 * second, products in the third ---- */
#define FH_FEW_BODY                                                                                            \
  const long part = fh_block(1), parts = fh_blocks(1);                                                         \
  const long first = fh_mma_part(k, 4, part, parts), steps = fh_mma_part(k, 4, part + 1, parts) - first;       \
  const long line = fh_block(0) * FH_FEW_LINES + fh_thread() / 32 * FH_FEW_OF_WARP, lines = n - line;          \
  for (long sheet = fh_block(2); sheet < batch; sheet += fh_blocks(2)) {                                       \
    const fh_u8_in of_warp = lines > 0 ? b + sheet * bs0 + line / 32 * bs1 + first / 4 * bs3 : b;              \
    const fh_few_weights weights = fh_few_weights_at(of_warp, bs2, bs3, bs4, lines);                           \
    fh_i32_out sums = (fh_i32_out)scratch + (sheet * parts + part) * m * n + line;                             \
    for (long row = 0; row < m; row += FH_FEW_ROWS) {                                                          \
      int sum[4][4];                                                                                           \
      fh_few_sum(sum, fh_shared, &weights, a + sheet * as0 + row * as1 + first * as, as1, as, m - row, steps); \
      fh_few_store(sum, sums + row * n, n, m - row, lines);                                                    \
    }                                                                                                          \
  }

#endif /* FOGHORN_KERNELS_BLOCK_THIN_MMA_H_ */
