/* Operands of wgmma_product.h that do not lie as its instructions want them are first packed into panels, by a launch before it.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A panel is 128 lines by 128 bytes of k, 16 KiB, in memory as in shared memory, its swizzle included, with zeros past the last line and
 * past k: the product brings each with one copy and needs no tensor map. Panels of k follow each other, then those of the next 128 lines,
 * then those of the next product. f32 is rounded to tf32 here, once for each number: what the instruction does with the bits that it does
 * not use is not stated, and in the product each stage would have to be read and written once more, by which its shared memory, already
 * busy nearly all of the time, would take half as long again.
 *
 * A block of 256 threads makes a panel, each thread 4 lines by 16 bytes: it reads 16 bytes of a line, or of 4 lines in a row where lines
 * are contiguous, and a warp writes 64 bytes in a row of each of 32 lines, whole sectors.
 *
 * Predicted limit, nothing of it measured: memory, which brings and takes each number once. A product of n x n x n numbers of 4 bytes has
 * 16 n^2 bytes for that, at 3 TB/s a fifth of the time of 2 n^3 operations at 400 Tflop/s for n = 4096, a tenth for 8192; bytes of b alone
 * a tenth of that of the product for n = 4096.
 */
#ifndef FOGHORN_KERNELS_BLOCK_WGMMA_PANELS_H_
#define FOGHORN_KERNELS_BLOCK_WGMMA_PANELS_H_

#ifndef FOGHORN_KERNELS_BLOCK_TURN_BYTES_H_
#include "kernels/block/turn_bytes.h"
#endif
#ifndef FOGHORN_KERNELS_BLOCK_WGMMA_PRODUCT_H_
#include "kernels/block/wgmma_product.h"
#endif

#define FH_PANELS_THREADS 256
#define FH_PANELS_LINES 128
#define FH_PANELS_BYTES 16384

/* How four lines by 16 bytes are read, where all of them are there. */
#define FH_PANELS_CHUNKS 0 /* 16 bytes along k */
#define FH_PANELS_TURNED 1 /* 4 neighbouring lines at a time */
#define FH_PANELS_WORDS 2  /* 4 bytes along k */
#define FH_PANELS_SINGLE 3 /* number by number, which is right wherever they are */

/* Number (line, l) of a product, `per` of them to a word: line / 32 panel + line % 32 line + l / per word + l % per number, in bytes. */
typedef struct fh_panels_operand {
  fh_u8_in p;
  long sheet, panel, line, word, number;
  long sheets, lines, k;
  int how;
} fh_panels_operand;

FH_INLINE bool fh_panels_aligned(const fh_panels_operand *of, long strides, int n) {
  return ((of->sheet | of->panel | strides) & (n - 1)) == 0 && fh_on_boundary(of->p, n);
}

FH_INLINE int fh_panels_how(const fh_panels_operand *of, int size) {
  const bool together = of->number == size || size == 4;
  if (together && of->word == 4 && fh_panels_aligned(of, of->line, 16)) return FH_PANELS_CHUNKS;
  if (of->line == size && fh_panels_aligned(of, of->word | (size == 4 ? 0 : of->number), 4 * size)) return FH_PANELS_TURNED;
  if (together && fh_panels_aligned(of, of->line | of->word, 4)) return FH_PANELS_WORDS;
  return FH_PANELS_SINGLE;
}

/* Strides in numbers, as the dialect's entries have them. */
FH_INLINE fh_panels_operand fh_panels_operand_at(fh_u8_in p, int size, long sheets, long lines, long k, long sheet, long panel, long line,
                                                 long word, long number) {
  fh_panels_operand out;
  out.p = p;
  out.sheet = sheet * size;
  out.panel = panel * size;
  out.line = line * size;
  out.word = word * size;
  out.number = number * size;
  out.sheets = sheet ? sheets : 1;
  out.lines = lines;
  out.k = k;
  out.how = fh_panels_how(&out, size);
  return out;
}

/* ---- how many ---- */
FH_INLINE long fh_panels_steps(long k, int size) { return (k * size + FH_WGMMA_BYTES - 1) / FH_WGMMA_BYTES; }
/* Blocks of 128 lines, as many as the tiles of `tile` lines have. */
FH_INLINE long fh_panels_blocks(long lines, int tile) { return (lines + tile - 1) / tile * (tile / FH_PANELS_LINES); }

FH_INLINE fh_wgmma_side fh_wgmma_by_panels(fh_u8_in panels, long lines, int tile, bool sheets) {
  fh_wgmma_side out = fh_wgmma_by_map(0, false, sheets);
  out.packed = true;
  out.panels = panels;
  out.blocks = (int)fh_panels_blocks(lines, tile);
  return out;
}

/* ---- a thread's 4 lines by 16 bytes: from (line, l) on, to line `line` of a panel of k ---- */

FH_INLINE fh_u8_in fh_panels_at(const fh_panels_operand *of, fh_u8_in sheet, long line, long l, int per) {
  return sheet + line / 32 * of->panel + line % 32 * of->line + l / per * of->word + l % per * of->number;
}

FH_INLINE void fh_panels_put(fh_u8_out panel, int line, int chunk, const uint words[4], int size) {
  uint out[4];
  FH_UNROLL for (int i = 0; i < 4; i++) out[i] = size == 4 ? fh_round_tf32(words[i]) : words[i];
  fh_f32x4 v;
  v.x = fh_as_float((int)out[0]), v.y = fh_as_float((int)out[1]), v.z = fh_as_float((int)out[2]), v.w = fh_as_float((int)out[3]);
  fh_store4((fh_f32_out)(panel + line * FH_WGMMA_BYTES + (chunk ^ line % 8) * 16), v);
}

FH_INLINE void fh_panels_words(uint words[4], fh_f32x4 v) {
  words[0] = (uint)fh_as_int(v.x), words[1] = (uint)fh_as_int(v.y), words[2] = (uint)fh_as_int(v.z), words[3] = (uint)fh_as_int(v.w);
}

FH_INLINE void fh_panels_chunks(const fh_panels_operand *of, fh_u8_in p, fh_u8_out panel, int line, int chunk, int size) {
  fh_f32x4 v[4];
  uint words[4];
  FH_UNROLL for (int j = 0; j < 4; j++) v[j] = fh_fetch4((fh_f32_in)(p + j * of->line));
  FH_UNROLL for (int j = 0; j < 4; j++) {
    fh_panels_words(words, v[j]);
    fh_panels_put(panel, line + j, chunk, words, size);
  }
}

/* of[i]: word i of four lines. */
FH_INLINE void fh_panels_put_turned(fh_u8_out panel, int line, int chunk, uint of[4][4], int size) {
  FH_UNROLL for (int j = 0; j < 4; j++) {
    const uint words[4] = {of[0][j], of[1][j], of[2][j], of[3][j]};
    fh_panels_put(panel, line + j, chunk, words, size);
  }
}

FH_INLINE void fh_panels_turned(const fh_panels_operand *of, fh_u8_in p, fh_u8_out panel, int line, int chunk, int size) {
  uint words[4][4]; /* word i of four lines, or its four numbers, each of four lines */
  FH_UNROLL for (int i = 0; i < 4; i++) {
    if (size == 4) {
      fh_panels_words(words[i], fh_fetch4((fh_f32_in)(p + i * of->word)));
    } else {
      FH_UNROLL for (int e = 0; e < 4; e++) words[i][e] = (uint) * (fh_i32_in)(p + i * of->word + e * of->number);
    }
  }
  FH_UNROLL for (int i = 0; size == 1 && i < 4; i++) fh_turn_bytes(words[i]);
  fh_panels_put_turned(panel, line, chunk, words, size);
}

FH_INLINE void fh_panels_by_words(const fh_panels_operand *of, fh_u8_in p, fh_u8_out panel, int line, int chunk, int size) {
  uint words[4][4];
  FH_UNROLL for (int i = 0; i < 4; i++) {
    FH_UNROLL for (int j = 0; j < 4; j++) words[i][j] = (uint) * (fh_i32_in)(p + j * of->line + i * of->word);
  }
  fh_panels_put_turned(panel, line, chunk, words, size);
}

/* Also past the last line and past k. */
FH_INLINE void fh_panels_single(const fh_panels_operand *of, fh_u8_in sheet, long first, long l, fh_u8_out panel, int line, int chunk,
                                int size) {
  const int per = 4 / size;
  FH_NO_UNROLL for (int j = 0; j < 4; j++) {
    uint words[4] = {0, 0, 0, 0};
    FH_UNROLL for (int e = 0; e < 16 / size; e++) {
      if (first + j >= of->lines || l + e >= of->k) continue;
      const fh_u8_in at = fh_panels_at(of, sheet, first + j, l + e, per);
      words[e / per] |= size == 4 ? (uint) * (fh_i32_in)at : (uint)*at << 8 * (e % per);
    }
    fh_panels_put(panel, line + j, chunk, words, size);
  }
}

/* Panel `index` of an operand, to where it lies. Of 8 neighbours in a warp each has the next 4 lines, of the 4 groups of 8 each the next 16
 * bytes; of the 8 warps 4 have the next lines, and the others the other half of k. */
FH_INLINE void fh_panels_pack(const fh_panels_operand *of, fh_u8_out panel, long index, long blocks, int size) {
  const int t = fh_thread(), line = t / 32 % 4 * 32 + t % 8 * 4, chunk = t / 128 * 4 + t / 8 % 4;
  const long steps = fh_panels_steps(of->k, size);
  const long first = index / steps % blocks * FH_PANELS_LINES + line, l = (index % steps * FH_WGMMA_BYTES + 16 * chunk) / size;
  const fh_u8_in sheet = of->p + index / steps / blocks * of->sheet, p = fh_panels_at(of, sheet, first, l, 4 / size);
  if (of->how == FH_PANELS_SINGLE || first + 4 > of->lines || l + 16 / size > of->k)
    fh_panels_single(of, sheet, first, l, panel, line, chunk, size);
  else if (of->how == FH_PANELS_CHUNKS)
    fh_panels_chunks(of, p, panel, line, chunk, size);
  else if (of->how == FH_PANELS_TURNED)
    fh_panels_turned(of, p, panel, line, chunk, size);
  else
    fh_panels_by_words(of, p, panel, line, chunk, size);
}

FH_INLINE long fh_panels_count(bool sheets, long batch, long lines, int tile, long k, int size) {
  return (sheets ? batch : 1) * fh_panels_blocks(lines, tile) * fh_panels_steps(k, size);
}

/* All panels of an operand, to `to`; `before` others have been shared out to the blocks in front of them. */
FH_INLINE void fh_panels_pack_all(const fh_panels_operand *of, fh_u8_out to, int tile, int size, long before) {
  const long blocks = fh_panels_blocks(of->lines, tile), count = of->sheets * blocks * fh_panels_steps(of->k, size);
  for (long index = (fh_block(0) + fh_blocks(0) - before % fh_blocks(0)) % fh_blocks(0); index < count; index += fh_blocks(0))
    fh_panels_pack(of, to + index * FH_PANELS_BYTES, index, blocks, size);
}

/* ---- bodies of entries whose parameters are those of kernels/product.h, and `scratch` ---- */
#define FH_PANELS_A(SIZE) fh_panels_operand_at((fh_u8_in)a, SIZE, batch, m, k, as0, 32 * as1, as1, 4 / (SIZE) * as, as)
#define FH_PANELS_B(SIZE) fh_panels_operand_at((fh_u8_in)b, SIZE, batch, n, k, bs0, bs1, bs2, bs3, bs4)

/* Those of a, then those of b. */
#define FH_PANELS_OF_A(SIZE) fh_panels_count(as0 != 0, batch, m, FH_PANELS_LINES, k, SIZE)
#define FH_PANELS_PACK(COLS, SIZE)                                            \
  const fh_panels_operand of_a = FH_PANELS_A(SIZE), of_b = FH_PANELS_B(SIZE); \
  fh_panels_pack_all(&of_a, scratch, FH_PANELS_LINES, SIZE, 0);               \
  fh_panels_pack_all(&of_b, scratch + FH_PANELS_OF_A(SIZE) * FH_PANELS_BYTES, COLS, SIZE, FH_PANELS_OF_A(SIZE));
#define FH_PANELS_MULTIPLY(COLS, SIZE, WORK)                                                    \
  FH_WGMMA_BODY_OF(COLS, SIZE, WORK, fh_wgmma_by_panels(scratch, m, FH_PANELS_LINES, as0 != 0), \
                   fh_wgmma_by_panels(scratch + FH_PANELS_OF_A(SIZE) * FH_PANELS_BYTES, n, COLS, bs0 != 0))

/* Those of b alone: a comes by its map. */
#define FH_PANELS_PACK_B(COLS, SIZE)                \
  const fh_panels_operand of_b = FH_PANELS_B(SIZE); \
  fh_panels_pack_all(&of_b, scratch, COLS, SIZE, 0);
#define FH_PANELS_MULTIPLY_B(COLS, SIZE, WORK) \
  FH_WGMMA_BODY_OF(COLS, SIZE, WORK, fh_wgmma_by_map(fh_tensor(0), false, as0 != 0), fh_wgmma_by_panels(scratch, n, COLS, bs0 != 0))

#endif /* FOGHORN_KERNELS_BLOCK_WGMMA_PANELS_H_ */
