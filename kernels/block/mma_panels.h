/* Products of f32 rounded to tf32 on tensor cores, whose operands a launch before has rounded and packed: tiles of 128 x 128 by 128
 * threads, compute capability 8.0 on. SPDX-License-Identifier: Apache-2.0
 *
 * Where each warp rounds what it has read (mma_product.h), it issues 96 integer operations for 16 products. Here it issues none: a number
 * is rounded once, where it is packed, and not once for each tile that it is part of.
 *
 * A panel is 128 lines (rows of A, columns of B) by 16 steps of k, 8 KiB, in memory as in shared memory, zeros past the last line and past
 * k: 16 pieces, eight of 16 lines each for the first 8 steps, then for the others. A piece is what a warp multiplies at a time, as its
 * lanes hold it: 16 bytes of each lane in their order. So a warp reads it with one load of 16 bytes a lane, from all banks in turn, and no
 * place is computed. Of A a lane has lines g and g + 8 at step s, then both at step s + 4; of B line g at both steps, then line g + 8,
 * since the instruction takes those two pairs apart. Panels of k follow each other, then those of the next 128 lines, then those of the
 * next product.
 *
 * A warp has 64 rows by 64 columns, as 4 x 8 products of 16 x 8, in 128 registers of each thread.
 *
 * Predicted limit, nothing of it measured: the tensor cores. For 8 steps of k four warps read 16 KiB of shared memory and copy 8 KiB to it,
 * 192 cycles of it at 128 bytes a cycle, beside 256 of the tensor cores of compute capability 8.0 (512 products a cycle); the second cache
 * has to bring 32 bytes a cycle to each multiprocessor. Two blocks fit one there, so that one multiplies while the other waits for a
 * panel. Packing brings and takes each number once, 8 bytes: of a product of n x n x n numbers 16 n^2 bytes, at 1.4 TB/s a sixth of the
 * time of 2 n^3 operations at 120 Tflop/s for n = 4096.
 */
#ifndef FOGHORN_KERNELS_BLOCK_MMA_PANELS_H_
#define FOGHORN_KERNELS_BLOCK_MMA_PANELS_H_

#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_
#include "kernels/block/simt_product.h"
#endif

#define FH_ROUNDED_SIDE 128
#define FH_ROUNDED_STEPS 16
#define FH_ROUNDED_PANEL 8192
#define FH_ROUNDED_PIECE 512
#define FH_ROUNDED_THREADS 128
#define FH_ROUNDED_PACK_THREADS 256
#define FH_ROUNDED_STAGES 4 /* panels of A and of B in shared memory: 64 KiB */

FH_INLINE long fh_rounded_blocks(long lines) { return (lines + FH_ROUNDED_SIDE - 1) / FH_ROUNDED_SIDE; }
FH_INLINE long fh_rounded_steps(long k) { return (k + FH_ROUNDED_STEPS - 1) / FH_ROUNDED_STEPS; }

/* ---- packing ---- */

/* Number (line, l) of a product: line / 32 panel + line % 32 line + l step. */
typedef struct fh_rounded_operand {
  fh_f32_in p;
  long sheet, panel, line, step; /* strides in numbers */
  long sheets, lines, k;
  bool of_rows; /* of A */
} fh_rounded_operand;

FH_INLINE fh_rounded_operand fh_rounded_operand_at(fh_f32_in p, bool of_rows, long sheets, long lines, long k, long sheet, long panel,
                                                   long line, long step) {
  fh_rounded_operand out;
  out.p = p;
  out.sheet = sheet;
  out.panel = panel;
  out.line = line;
  out.step = step;
  out.sheets = sheet ? sheets : 1;
  out.lines = lines;
  out.k = k;
  out.of_rows = of_rows;
  return out;
}

FH_INLINE long fh_rounded_count(const fh_rounded_operand *of) {
  return of->sheets * fh_rounded_blocks(of->lines) * fh_rounded_steps(of->k);
}

FH_INLINE void fh_rounded_put(fh_u8_out to, const uint w[4]) {
  fh_f32x4 v;
  v.x = fh_as_float((int)w[0]), v.y = fh_as_float((int)w[1]), v.z = fh_as_float((int)w[2]), v.w = fh_as_float((int)w[3]);
  fh_store4((fh_f32_out)to, v);
}

/* Panel `index` of an operand, to where it lies: a warp makes both pieces of 16 lines. A load of a warp takes four neighbouring steps of
 * eight neighbouring lines each: whole sectors where lines are contiguous, and halves of them, of which the next load takes the others,
 * where k is. All loads of a thread are under way at a time, from a place that is there where theirs is not. Panels are counted in 32 bits:
 * 2^32 of them would be 32 TiB. */
FH_INLINE void fh_rounded_pack(const fh_rounded_operand *of, fh_u8_out panel, uint index) {
  const uint steps = (uint)fh_rounded_steps(of->k), blocks = (uint)fh_rounded_blocks(of->lines), column = index / steps;
  const int t = fh_thread(), lane = t % 32;
  const long line = (long)(column % blocks) * FH_ROUNDED_SIDE + t / 32 * 16 + lane / 4;
  const long l = (long)(index % steps) * FH_ROUNDED_STEPS + lane % 4;
  const fh_f32_in first = of->p + column / blocks * of->sheet + line / 32 * of->panel + line % 32 * of->line + l * of->step;
  uint words[2][4];
  FH_UNROLL for (int e = 0; e < 8; e++) {
    const int lines = 8 * (of->of_rows ? e % 2 : e / 2 % 2), further = 4 * (of->of_rows ? e / 2 % 2 : e % 2) + e / 4 * 8;
    const bool has = line + lines < of->lines && l + further < of->k;
    const fh_f32_in from = has ? first + lines * of->line + further * of->step : of->p;
    const uint bits = (uint)fh_as_int(*from);
    words[e / 4][e % 4] = has ? bits : 0;
  }
  FH_UNROLL for (int e = 0; e < 8; e++) words[e / 4][e % 4] = fh_round_tf32(words[e / 4][e % 4]);
  FH_UNROLL for (int part = 0; part < 2; part++) fh_rounded_put(panel + FH_ROUNDED_PANEL / 2 * part + 16 * t, words[part]);
}

/* All panels of an operand, to `to`; `before` others have been shared out to the blocks in front of them. */
FH_INLINE void fh_rounded_pack_all(const fh_rounded_operand *of, fh_u8_out to, long before) {
  const long count = fh_rounded_count(of);
  for (long index = (fh_block(0) + fh_blocks(0) - before % fh_blocks(0)) % fh_blocks(0); index < count; index += fh_blocks(0))
    fh_rounded_pack(of, to + index * FH_ROUNDED_PANEL, (uint)index);
}

/* ---- a tile ---- */

/* A thread's part of both panels of a stage: of each, chunks of 16 bytes that are 128 chunks apart. */
FH_INLINE void fh_rounded_copy(fh_local uchar *to, fh_u8_in a, fh_u8_in b) {
  FH_UNROLL for (int i = 0; i < FH_ROUNDED_PANEL / 16 / FH_ROUNDED_THREADS; i++) {
    fh_copy_async16(to + 16 * FH_ROUNDED_THREADS * i, a + 16 * FH_ROUNDED_THREADS * i, 16);
    fh_copy_async16(to + FH_ROUNDED_PANEL + 16 * FH_ROUNDED_THREADS * i, b + 16 * FH_ROUNDED_THREADS * i, 16);
  }
}

FH_INLINE void fh_rounded_fragment(uint out[4], const fh_local uchar *p) {
  const fh_f32x4 v = fh_load4((const fh_local float *)p);
  out[0] = (uint)fh_as_int(v.x), out[1] = (uint)fh_as_int(v.y), out[2] = (uint)fh_as_int(v.z), out[3] = (uint)fh_as_int(v.w);
}

/* a, b: where the lane's part of the warp's first piece is. */
FH_INLINE void fh_rounded_multiply(float sum[4][8][4], const fh_local uchar *a, const fh_local uchar *b) {
  FH_UNROLL for (int part = 0; part < 2; part++) {
    uint rows[4][4], cols[4][4];
    FH_UNROLL for (int i = 0; i < 4; i++) {
      fh_rounded_fragment(rows[i], a + (8 * part + i) * FH_ROUNDED_PIECE);
      fh_rounded_fragment(cols[i], b + (8 * part + i) * FH_ROUNDED_PIECE);
    }
    FH_UNROLL for (int i = 0; i < 4; i++) {
      FH_UNROLL for (int j = 0; j < 8; j++) fh_mma_tf32(sum[i][j], rows[i], &cols[j / 2][j % 2 * 2]);
    }
  }
}

/* `steps` panels of k from a and b on. Each turn commits one group of copies, also an empty one, so that a wait for all but STAGES - 2 of
 * them always means the panels at hand. */
FH_INLINE void fh_rounded_tile(float sum[4][8][4], fh_local uchar *shared, fh_u8_in a, fh_u8_in b, long steps) {
  const int t = fh_thread(), lane = t % 32 * 16;
  const int of_a = t / 64 * 4 * FH_ROUNDED_PIECE + lane, of_b = FH_ROUNDED_PANEL + t / 32 % 2 * 4 * FH_ROUNDED_PIECE + lane;
  int at = 0, into = 0; /* stages multiplied and copied, of STAGES in a ring */
  a += 16 * t;
  b += 16 * t;
  FH_UNROLL for (int i = 0; i < 128; i++) sum[i / 32][i / 4 % 8][i % 4] = 0.0f;
  fh_barrier(); /* the tile before has been read */
  for (long step = -(FH_ROUNDED_STAGES - 1); step < steps; step++) {
    if (step >= 0) {
      fh_copy_wait(FH_ROUNDED_STAGES - 2);
      fh_barrier(); /* the panels are there for all, and those before have been read by all: their place is free */
    }
    if (step + FH_ROUNDED_STAGES - 1 < steps) {
      fh_rounded_copy(shared + into * 2 * FH_ROUNDED_PANEL + 16 * t, a, b);
      a += FH_ROUNDED_PANEL;
      b += FH_ROUNDED_PANEL;
    }
    fh_copy_commit();
    into = (into + 1) % FH_ROUNDED_STAGES;
    if (step >= 0) {
      const fh_local uchar *const panels = shared + at * 2 * FH_ROUNDED_PANEL;
      fh_rounded_multiply(sum, panels + of_a, panels + of_b);
      at = (at + 1) % FH_ROUNDED_STAGES;
    }
  }
  fh_copy_wait(0);
}

/* What is inside of `rows` by `cols` from c on. Numbers e of a product of 16 x 8 are of row lane / 4 + 8 (e / 2) and column
 * 2 (lane mod 4) + e mod 2: two neighbours go together where they may. */
FH_INLINE void fh_rounded_store(float sum[4][8][4], fh_f32_out c, long cs1, long cs, long rows, long cols) {
  const int t = fh_thread_here(), row = t / 64 * 64 + t % 32 / 4, col = t / 32 % 2 * 64 + t % 4 * 2;
  const bool pairs = cs == 1 && cs1 % 2 == 0 && fh_on_boundary(c, 8);
  fh_f32_out to = c + row * cs1 + col * cs;
  FH_UNROLL for (int i = 0; i < 8; i++, to += 8 * cs1) {
    FH_UNROLL for (int j = 0; j < 8; j++) {
      const float low = sum[i / 2][j][i % 2 * 2], high = sum[i / 2][j][i % 2 * 2 + 1];
      const bool has_low = row + 8 * i < rows && col + 8 * j < cols, has_high = has_low && col + 8 * j + 1 < cols;
      if (pairs && has_high) {
        fh_store_long(to + 8 * j, (long)((ulong)(uint)fh_as_int(low) | (ulong)(uint)fh_as_int(high) << 32));
      } else {
        if (has_low) to[8 * j * cs] = low;
        if (has_high) to[(8 * j + 1) * cs] = high;
      }
    }
  }
}

/* ---- bodies of entries whose parameters are those of kernels/product.h for words of one number, and `scratch` ---- */
#define FH_ROUNDED_A fh_rounded_operand_at(a, true, batch, m, k, as0, 32 * as1, as1, as)
#define FH_ROUNDED_B fh_rounded_operand_at(b, false, batch, n, k, bs0, bs1, bs2, bs3)

/* Those of a, then those of b. */
#define FH_ROUNDED_PACK                                              \
  const fh_rounded_operand of_a = FH_ROUNDED_A, of_b = FH_ROUNDED_B; \
  const long panels_of_a = fh_rounded_count(&of_a);                  \
  fh_rounded_pack_all(&of_a, scratch, 0);                            \
  fh_rounded_pack_all(&of_b, scratch + panels_of_a * FH_ROUNDED_PANEL, panels_of_a);

/* Tiles in the first dimension, products in the third. */
#define FH_ROUNDED_MULTIPLY                                                                                                 \
  const fh_rounded_operand of_a = FH_ROUNDED_A, of_b = FH_ROUNDED_B;                                                        \
  const long rows = fh_rounded_blocks(m), cols = fh_rounded_blocks(n), steps = fh_rounded_steps(k);                         \
  const fh_tile tile = fh_tile_at(fh_block(0), rows, cols);                                                                 \
  const fh_u8_in panels_of_b = scratch + fh_rounded_count(&of_a) * FH_ROUNDED_PANEL;                                        \
  for (long sheet = fh_block(2); sheet < batch; sheet += fh_blocks(2)) {                                                    \
    const long first_a = ((of_a.sheet ? sheet * rows : 0) + tile.row) * steps;                                              \
    const long first_b = ((of_b.sheet ? sheet * cols : 0) + tile.col) * steps;                                              \
    const long row = tile.row * FH_ROUNDED_SIDE, col = tile.col * FH_ROUNDED_SIDE;                                          \
    float sum[4][8][4];                                                                                                     \
    fh_rounded_tile(sum, fh_shared, scratch + first_a * FH_ROUNDED_PANEL, panels_of_b + first_b * FH_ROUNDED_PANEL, steps); \
    fh_rounded_store(sum, c + sheet * cs0 + row * cs1 + col * cs, cs1, cs, m - row, n - col);                               \
  }

#endif /* FOGHORN_KERNELS_BLOCK_MMA_PANELS_H_ */
