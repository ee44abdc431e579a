/* Tiles of a product of numbers of 32, 16 or 8 bits on tensor cores: 128 x 128 by 256 threads, compute capability 8.0 on.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Everything is counted in words of 4 bytes along k, one f32, two numbers of 16 bits or four of 8: to copies and to ldmatrix they are the
 * same, and packed weights (kernels/product.h) are such words. A panel of an operand is 128 lines (rows of A, columns of B) by 16 words of
 * k, 8 KiB.
 *
 * In shared memory it has one of two forms.
 *   By lines: a line is 64 bytes, 4 chunks of 16. Chunk c of line l lies in place c ^ (l / 2 mod 4) of it. ldmatrix reads a chunk of each
 *   of 8 lines in a row at a time, 128 bytes: an even and an odd line share the 128 bytes that all banks are wide, and the four pairs have
 *   the chunk in four different places. So each bank is read once.
 *   By steps, for 16-bit numbers whose lines are contiguous in memory: a step of k is 256 bytes, 16 chunks of 8 lines. Chunk c of step s
 *   lies in place c ^ (s mod 8). ldmatrix reads a chunk of each of 8 steps: eight different places modulo 8, each bank once, and turns
 * them. An asynchronous copy of 16 bytes fills a chunk, by a quarter of a warp eight of them: two lines or half a step, again each bank
 * once.
 *
 *   By steps, for f32: a step is 512 bytes, 32 chunks of 4 lines. Chunk c of step s lies in place c ^ 2 (s mod 4). A warp reads single
 * numbers, 4 steps of 8 lines in a row: two neighbouring chunks of each step, in eight different places modulo 8, each bank once.
 *
 * A warp has 64 rows by 32 columns, as 4 x 4 products of 16 x 8. What lies past the last line or step is 0 in both operands. f32 is
 * rounded to tf32 as it comes to the registers: of 24 numbers, by 96 operations, for 16 products, which is what such products wait for. As
 * it comes to shared memory fewer would be rounded, but they would be read and written once more where shared memory is busy all of the
 * time. Where both operands are long enough a launch before rounds them (mma_panels.h).
 *
 * Where tiles are too few for the multiprocessors, k is cut into parts: the grid's second dimension. The sums of a part, 64 KiB, go to
 * scratch, and a second launch adds them in the order of parts: results depend on how many there are, but never on who is first. A part
 * is 8 panels of both operands, 128 KiB, at least, so that its sums are no more than half of what is read.
 */
#ifndef FOGHORN_KERNELS_BLOCK_MMA_PRODUCT_H_
#define FOGHORN_KERNELS_BLOCK_MMA_PRODUCT_H_

#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_
#include "kernels/block/simt_product.h"
#endif

#define FH_MMA_SIDE 128
#define FH_MMA_THREADS 256
#define FH_MMA_WORDS 16         /* of k, a panel */
#define FH_MMA_PANEL 8192       /* bytes: 128 lines of 16 words */
#define FH_MMA_STAGES 4         /* panels of A and of B in shared memory: 64 KiB */
#define FH_MMA_CHUNKS_OF_LINE 4 /* 16 bytes each */
#define FH_MMA_CHUNKS_OF_STEP(size) (FH_MMA_SIDE * (size) / 16)

/* Of `bytes` that may be any number, those of a copy of `size`. */
FH_INLINE int fh_mma_clip(long bytes, int size) { return bytes < 0 ? 0 : (int)fh_least(bytes, size); }

/* ---- where an operand lies ---- */

/* How its panels come to shared memory. */
#define FH_MMA_CHUNKS 0   /* 16 bytes along k, by lines */
#define FH_MMA_TURNED 1   /* 16 bytes along the lines, by steps */
#define FH_MMA_BY_WORDS 2 /* 4 bytes along k, by lines */
#define FH_MMA_SINGLE 3   /* number by number, by lines, not asynchronous */

/* Number (line, l), `per` of them to a word: line / 32 panel + line % 32 line + l / per word + l % per number, all in bytes. */
typedef struct fh_mma_operand {
  fh_u8_in p; /* line 0 of the tile, step 0 */
  long panel, line, word, number;
  long lines; /* that there are, from line 0 on */
  int size;   /* bytes of a number: 4, 2 or 1 */
  int how;
  /* Of chunks, what a thread brings of the panel that is copied next: its first chunk, from which its second is `hop` away. */
  fh_u8_in chunk;
  long hop;
} fh_mma_operand;

FH_INLINE int fh_mma_per(const fh_mma_operand *of) { return 4 / of->size; }

/* All numbers of `n` bytes that lie together begin on boundaries of n, whatever the line and the word. */
FH_INLINE bool fh_mma_on_boundaries(const fh_mma_operand *of, long a, long b, long c, int n) {
  return ((a | b | c) & (n - 1)) == 0 && fh_on_boundary(of->p, n);
}

FH_INLINE int fh_mma_how(const fh_mma_operand *of) {
  const bool together = of->number == of->size;
  if (together && of->word == 4 && fh_mma_on_boundaries(of, of->panel, of->line, 0, 16)) return FH_MMA_CHUNKS;
  if (of->size != 1 && of->line == of->size && fh_mma_on_boundaries(of, of->panel, of->word, of->size == 2 ? of->number : 0, 16))
    return FH_MMA_TURNED;
  if (of->size == 4 || (together && fh_mma_on_boundaries(of, of->panel, of->line, of->word, 4))) return FH_MMA_BY_WORDS;
  return FH_MMA_SINGLE;
}

FH_INLINE long fh_mma_line_offset(const fh_mma_operand *of, int line) { return line / 32 * of->panel + line % 32 * of->line; }

/* By lines a thread has two chunks 64 lines apart, by steps half a panel. */
FH_INLINE void fh_mma_begin_chunks(fh_mma_operand *of) {
  const bool turned = of->how == FH_MMA_TURNED;
  const int t = fh_thread(), step = t / FH_MMA_CHUNKS_OF_STEP(of->size), chunk = t % FH_MMA_CHUNKS_OF_STEP(of->size);
  const long by_lines = fh_mma_line_offset(of, t / FH_MMA_CHUNKS_OF_LINE) + t % FH_MMA_CHUNKS_OF_LINE * 16;
  const long by_steps =
      fh_mma_line_offset(of, chunk * 16 / of->size) + step / fh_mma_per(of) * of->word + step % fh_mma_per(of) * of->number;
  of->chunk = of->p + (turned ? by_steps : by_lines);
  of->hop = turned ? FH_MMA_WORDS / 2 * of->word : FH_MMA_SIDE / 64 * of->panel;
}

/* Strides in numbers, as the dialect's entries have them, and for f32 a `number` of 1; row and column of tiles are multiples of 32 lines.
 */
FH_INLINE fh_mma_operand fh_mma_operand_at(fh_u8_in p, int size, long first, long lines, long panel, long line, long word, long number) {
  fh_mma_operand out;
  out.p = p + first / 32 * panel * size;
  out.panel = panel * size;
  out.line = line * size;
  out.word = word * size;
  out.number = number * size;
  out.lines = lines - first;
  out.size = size;
  out.how = fh_mma_how(&out);
  fh_mma_begin_chunks(&out);
  return out;
}

/* ---- places in a panel ---- */
FH_INLINE int fh_mma_by_lines(int line, int chunk) { return line * 64 + ((chunk ^ (line / 2 % 4)) * 16); }
FH_INLINE int fh_mma_by_steps(int size, int step, int chunk) {
  return step * FH_MMA_SIDE * size + ((chunk ^ (size == 2 ? step % 8 : step % 4 * 2)) * 16);
}

/* ---- copies: a panel from word `first` of k on, of which `left` numbers are there ---- */

FH_INLINE void fh_mma_copy_chunks(fh_mma_operand *of, fh_local uchar *to, long left) {
  const int t = fh_thread_here(), chunk = t % FH_MMA_CHUNKS_OF_LINE, line = t / FH_MMA_CHUNKS_OF_LINE;
  const int bytes = fh_mma_clip(left * of->size - 16 * chunk, 16), place = fh_mma_by_lines(line, chunk);
  FH_UNROLL for (int i = 0; i < 2; i++) {
    const bool has = bytes > 0 && line + FH_MMA_SIDE / 2 * i < of->lines;
    fh_copy_async16(to + place + FH_MMA_PANEL / 2 * i, of->chunk + i * of->hop, has ? bytes : 0);
  }
}

FH_INLINE void fh_mma_copy_turned(fh_mma_operand *of, fh_local uchar *to, long left) {
  const int t = fh_thread_here(), chunk = t % FH_MMA_CHUNKS_OF_STEP(of->size), step = t / FH_MMA_CHUNKS_OF_STEP(of->size);
  const int bytes = fh_mma_clip(of->size * of->lines - 16 * chunk, 16), place = fh_mma_by_steps(of->size, step, chunk);
  FH_UNROLL for (int i = 0; i < 2; i++) {
    const bool has = bytes > 0 && step + FH_MMA_WORDS / 2 * fh_mma_per(of) * i < left;
    fh_copy_async16(to + place + FH_MMA_PANEL / 2 * i, of->chunk + i * of->hop, has ? bytes : 0);
  }
}

/* The place of a word. */
FH_INLINE int fh_mma_word_place(int line, int word) { return fh_mma_by_lines(line, word / 4) + word % 4 * 4; }

/* Numbers of one word; those past k are 0. */
FH_INLINE uint fh_mma_gather(const fh_mma_operand *of, fh_u8_in p, long left) {
  uint out = 0;
  for (int e = 0; e < fh_mma_per(of) && e < left; e++) {
    const fh_u8_in at = p + e * of->number;
    out |= (uint)(of->size == 2 ? *(fh_u16_in)at : *at) << 8 * of->size * e;
  }
  return out;
}

/* Eight words a thread: neighbours in k where these are nearer in memory, else neighbouring lines. */
FH_INLINE void fh_mma_copy_words(const fh_mma_operand *of, fh_local uchar *to, long first, long left, bool single) {
  const int thread = fh_thread_here();
  const bool along = (of->word < 0 ? -of->word : of->word) < (of->line < 0 ? -of->line : of->line);
  FH_NO_UNROLL for (int i = 0; i < FH_MMA_SIDE * FH_MMA_WORDS / FH_MMA_THREADS; i++) {
    const int e = thread + FH_MMA_THREADS * i;
    const int line = along ? e / FH_MMA_WORDS : e % FH_MMA_SIDE, word = along ? e % FH_MMA_WORDS : e / FH_MMA_SIDE;
    const long numbers = line < of->lines ? left - word * fh_mma_per(of) : 0;
    const fh_u8_in from = numbers > 0 ? of->p + fh_mma_line_offset(of, line) + (first + word) * of->word : of->p;
    fh_local uchar *const place = to + fh_mma_word_place(line, word);
    if (single)
      *(fh_local uint *)place = fh_mma_gather(of, from, numbers);
    else
      fh_copy_async4(place, from, fh_mma_clip(numbers * of->size, 4));
  }
}

FH_INLINE void fh_mma_copy(fh_mma_operand *of, fh_local uchar *to, long first, long k) {
  const long left = k - first * fh_mma_per(of);
  if (of->how == FH_MMA_CHUNKS)
    fh_mma_copy_chunks(of, to, left);
  else if (of->size != 1 && of->how == FH_MMA_TURNED)
    fh_mma_copy_turned(of, to, left);
  else
    fh_mma_copy_words(of, to, first, left, of->how == FH_MMA_SINGLE);
  of->chunk += FH_MMA_WORDS * of->word;
}

/* ---- where a warp stands in its tile ---- */
FH_INLINE int fh_mma_row(void) { return fh_thread() / 128 * 64; }
FH_INLINE int fh_mma_col(void) { return fh_thread() / 32 % 4 * 32; }

/* ---- fragments ----
 * Of A, 16 rows by 8 words: the matrices are rows 0 to 7 and 8 to 15 of the first chunk, then of the second. Of B, 8 words by 16 columns:
 * first and second chunk of columns 0 to 7, then of 8 to 15. The place of a lane's row of a matrix in a panel is computed once, for the
 * warp's first 16 lines and 8 words. The further ones differ in bits that it has as 0 before the swizzle, so an exclusive or or a constant
 * leads to them. */
FH_INLINE int fh_mma_lane_rows(int size, bool turned) {
  const int lane = fh_thread() % 32, r = lane % 8, low = lane / 8 % 2, high = lane / 16;
  if (!turned) return fh_mma_by_lines(fh_mma_row() + r + 8 * low, high);
  if (size == 4) return fh_mma_by_steps(4, lane % 4, fh_mma_row() / 4 + lane / 16) + lane / 4 % 4 * 4;
  return fh_mma_by_steps(2, r + 8 * high, fh_mma_row() / 8 + low);
}
FH_INLINE int fh_mma_lane_cols(int size, bool turned) {
  const int lane = fh_thread() % 32, r = lane % 8, low = lane / 8 % 2, high = lane / 16;
  if (!turned) return fh_mma_by_lines(fh_mma_col() + r + 8 * high, low);
  if (size == 4) return fh_mma_by_steps(4, lane % 4, fh_mma_col() / 4 + lane / 16) + lane / 4 % 4 * 4;
  return fh_mma_by_steps(2, r + 8 * low, fh_mma_col() / 8 + high);
}

/* f32 by steps, where no instruction turns: number (lane / 4, lane mod 4) of each matrix, 8 lines further on and 4 steps further on. */
FH_INLINE void fh_mma_single_fragment(uint out[4], const fh_local uchar *panel, int lane, int i, int part, bool of_rows) {
  FH_UNROLL for (int e = 0; e < 4; e++) {
    const int line = of_rows ? e % 2 : e / 2, step = of_rows ? e / 2 : e % 2;
    out[e] = *(const fh_local uint *)(panel + ((lane ^ 64 * (i % 2) ^ 32 * line) + 128 * (i / 2) + 512 * (8 * part + 4 * step)));
  }
}

/* Lines 16 i to 16 i + 15 of the warp, words 8 part to 8 part + 7. */
FH_INLINE void fh_mma_fragment(uint out[4], const fh_local uchar *panel, int lane, int i, int part, int size, bool turned, bool of_rows) {
  if (turned && size == 4)
    fh_mma_single_fragment(out, panel, lane, i, part, of_rows);
  else if (turned)
    fh_load_matrices_turned(out, panel + ((lane ^ 32 * i) + 16 * 256 * part));
  else
    fh_load_matrices(out, panel + ((lane ^ 32 * part) + 16 * 64 * i));
  FH_UNROLL for (int e = 0; size == 4 && e < 4; e++) out[e] = fh_round_tf32(out[e]);
}

/* ---- the whole tile ----
 * FH_MMA_DEFINE(name, NUMBER, OUT, MMA, SIZE): name(sum, shared, a, b, k) with sum[4][4][4] of NUMBER, and name_store() of them through a
 * pointer of type OUT. MMA(d, a, b) is the product of fragments of numbers of SIZE bytes.
 * name_store() writes what is inside of `rows` by `cols`. Element e of a product of 16 x 8 is of row lane / 4 + 8 (e / 2) and column
 * 2 (lane mod 4) + e mod 2. From row to row it goes by addition: addresses of all 64 elements at once would not fit the registers.
 * Each turn commits one group of copies, also an empty one, so that a wait for all but STAGES - 2 of them always means the panel at hand.
 */
#define FH_MMA_DEFINE(name, NUMBER, OUT, MMA, SIZE)                                                                                     \
  FH_INLINE void name##_panel(NUMBER sum[4][4][4], const fh_local uchar *a, const fh_local uchar *b, int a_lane, int b_lane,            \
                              bool a_turned, bool b_turned) {                                                                           \
    FH_UNROLL for (int part = 0; part < 2; part++) {                                                                                    \
      uint rows[4][4], cols[2][4];                                                                                                      \
      FH_UNROLL for (int i = 0; i < 4; i++) fh_mma_fragment(rows[i], a, a_lane, i, part, SIZE, a_turned, true);                         \
      FH_UNROLL for (int j = 0; j < 2; j++) fh_mma_fragment(cols[j], b, b_lane, j, part, SIZE, b_turned, false);                        \
      FH_UNROLL for (int i = 0; i < 4; i++) { FH_UNROLL for (int j = 0; j < 4; j++) MMA(sum[i][j], rows[i], &cols[j / 2][j % 2 * 2]); } \
    }                                                                                                                                   \
  }                                                                                                                                     \
  /* The form of both panels is known in each call: the branch is taken once a panel. */                                                \
  FH_INLINE void name##_any_panel(NUMBER sum[4][4][4], const fh_local uchar *a, const fh_local uchar *b, int a_lane, int b_lane,        \
                                  bool a_turned, bool b_turned) {                                                                       \
    if ((SIZE) == 1 || (!a_turned && !b_turned))                                                                                        \
      name##_panel(sum, a, b, a_lane, b_lane, false, false);                                                                            \
    else if (!a_turned)                                                                                                                 \
      name##_panel(sum, a, b, a_lane, b_lane, false, true);                                                                             \
    else if (!b_turned)                                                                                                                 \
      name##_panel(sum, a, b, a_lane, b_lane, true, false);                                                                             \
    else                                                                                                                                \
      name##_panel(sum, a, b, a_lane, b_lane, true, true);                                                                              \
  }                                                                                                                                     \
  FH_INLINE void name(NUMBER sum[4][4][4], fh_local uchar *shared, fh_mma_operand *a, fh_mma_operand *b, long k) {                      \
    const long words = (k + fh_mma_per(a) - 1) / fh_mma_per(a);                                                                         \
    const bool a_turned = a->how == FH_MMA_TURNED, b_turned = b->how == FH_MMA_TURNED;                                                  \
    const int a_lane = fh_mma_lane_rows(SIZE, a_turned), b_lane = fh_mma_lane_cols(SIZE, b_turned);                                     \
    int at = 0, into = 0; /* panels multiplied and copied, of STAGES in a ring */                                                       \
    FH_UNROLL for (int i = 0; i < 64; i++) sum[i / 16][i / 4 % 4][i % 4] = 0;                                                           \
    fh_barrier(); /* the tile before has been read */                                                                                   \
    for (long word = -(FH_MMA_STAGES - 1) * FH_MMA_WORDS; word < words; word += FH_MMA_WORDS) {                                         \
      const long ahead = word + (FH_MMA_STAGES - 1) * FH_MMA_WORDS;                                                                     \
      if (word >= 0) {                                                                                                                  \
        fh_copy_wait(FH_MMA_STAGES - 2);                                                                                                \
        fh_barrier(); /* the panel is there for all, and the one before has been read by all: its place is free */                      \
      }                                                                                                                                 \
      if (ahead < words) {                                                                                                              \
        fh_mma_copy(a, shared + into * 2 * FH_MMA_PANEL, ahead, k);                                                                     \
        fh_mma_copy(b, shared + into * 2 * FH_MMA_PANEL + FH_MMA_PANEL, ahead, k);                                                      \
      }                                                                                                                                 \
      fh_copy_commit();                                                                                                                 \
      into = (into + 1) % FH_MMA_STAGES;                                                                                                \
      if (word >= 0) {                                                                                                                  \
        const fh_local uchar *const panels = shared + at * 2 * FH_MMA_PANEL;                                                            \
        name##_any_panel(sum, panels, panels + FH_MMA_PANEL, a_lane, b_lane, a_turned, b_turned);                                       \
        at = (at + 1) % FH_MMA_STAGES;                                                                                                  \
      }                                                                                                                                 \
    }                                                                                                                                   \
    fh_copy_wait(0);                                                                                                                    \
  }                                                                                                                                     \
  FH_INLINE void name##_store(NUMBER sum[4][4][4], OUT c, long cs1, long cs, long rows, long cols) {                                    \
    const int t = fh_thread_here(), row = t / 128 * 64 + t % 32 / 4, col = t / 32 % 4 * 32 + t % 4 * 2;                                 \
    OUT to = c + row * cs1 + col * cs;                                                                                                  \
    FH_UNROLL for (int i = 0; i < 8; i++, to += 8 * cs1) {                                                                              \
      FH_UNROLL for (int j = 0; j < 8; j++) {                                                                                           \
        if (row + 8 * i < rows && col + j / 2 * 8 + j % 2 < cols) to[(j / 2 * 8 + j % 2) * cs] = sum[i / 2][j / 2][i % 2 * 2 + j % 2];  \
      }                                                                                                                                 \
    }                                                                                                                                   \
  }

/* ---- parts of k ---- */

/* The first value of k of a part: parts are whole panels of words of `per` values, as even as can be. */
FH_INLINE long fh_mma_part(long k, int per, long part, long parts) {
  const long panels = (k + FH_MMA_WORDS * per - 1) / (FH_MMA_WORDS * per);
  return fh_least(panels * part / parts * FH_MMA_WORDS * per, k);
}

/* Two entries, of the tile that FH_MMA_DEFINE made, with the parameters of kernels/product.h and scratch. Of words of one value the place
 * in it is never walked. */
#define FH_BLOCK_MMA_SPLIT(entry, tile, NUMBER, OUT, SIZE)                                                                        \
  FH_BLOCK_DYNAMIC(entry, FH_MMA_THREADS) {                                                                                       \
    const int per = 4 / (SIZE);                                                                                                   \
    const long part = fh_block(1), parts = fh_blocks(1), first = fh_mma_part(k, per, part, parts);                                \
    const long steps = fh_mma_part(k, per, part + 1, parts) - first;                                                              \
    const fh_tile at = fh_tile_at(fh_block(0), (m + FH_MMA_SIDE - 1) / FH_MMA_SIDE, (n + FH_MMA_SIDE - 1) / FH_MMA_SIDE);         \
    const long row = at.row * FH_MMA_SIDE, col = at.col * FH_MMA_SIDE;                                                            \
    for (long sheet = fh_block(2); sheet < batch; sheet += fh_blocks(2)) {                                                        \
      const fh_u8_in from_a = (fh_u8_in)(a + sheet * as0 + first * as), from_b = (fh_u8_in)(b + sheet * bs0 + first / per * bs3); \
      fh_mma_operand of_a = fh_mma_operand_at(from_a, SIZE, row, m, 32 * as1, as1, per * as, per == 1 ? 1 : as);                  \
      fh_mma_operand of_b = fh_mma_operand_at(from_b, SIZE, col, n, bs1, bs2, bs3, per == 1 ? 1 : bs4);                           \
      NUMBER sum[4][4][4];                                                                                                        \
      tile(sum, fh_shared, &of_a, &of_b, steps);                                                                                  \
      tile##_store(sum, (OUT)scratch + (sheet * parts + part) * m * n + row * n + col, n, 1, m - row, n - col);                   \
    }                                                                                                                             \
  }
/* ADD is the function of block_sums.h for the type of IN. */
#define FH_BLOCK_SPLIT_ADD(entry, THREADS, IN, ADD)                                                  \
  FH_BLOCK(entry, THREADS, 16) {                                                                     \
    for (long sheet = fh_block(2); sheet < batch; sheet += fh_blocks(2))                             \
      ADD((IN)scratch + sheet * fh_blocks(1) * m * n, c + sheet * cs0, fh_blocks(1), m, n, cs1, cs); \
  }

#endif /* FOGHORN_KERNELS_BLOCK_MMA_PRODUCT_H_ */
