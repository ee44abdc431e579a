/* Products of a few rows with weights of 32, 16 or 8 bits: the weights are read once. SPDX-License-Identifier: Apache-2.0
 *
 * A block of 128 threads has 128 columns and a block of k: a chain of 256 for each column and each of 8 rows (kernels/matmul.h), which goes
 * to scratch (block_sums.h). Weights come as words of neighbours in k, one f32, two numbers of 16 bits or four of 8: a panel of 8 words at
 * a time to shared memory, the next on its way to registers meanwhile; threads that are neighbours take what is nearer in memory, so that
 * packed weights, weights by columns and weights by rows are all read in pieces of 32 bytes and more. Bytes by rows are single loads, of
 * which a warp's are 32 bytes. All chains are of floats: of 256 products of u8 and s8 they stay below 2^24, where whole numbers are exact.
 *
 * Memory bounds it: for 128 bytes of weights of 16 bits a warp has about 40 instructions to issue, in which time a multiprocessor's share
 * of the memory brings less than that; the three blocks whose registers it has room for have 12 KiB on their way, about as much as the
 * delay of a GPU's memory asks for. Of tf32 there are about 20. Of bytes about 90, so that there arithmetic comes near the memory's limit.
 */
#ifndef FOGHORN_KERNELS_BLOCK_THIN_PRODUCT_H_
#define FOGHORN_KERNELS_BLOCK_THIN_PRODUCT_H_

#ifndef FOGHORN_KERNELS_BLOCK_SIMT_PRODUCT_H_
#include "kernels/block/simt_product.h"
#endif

#define FH_THIN_LINES 128 /* columns of b, threads */
#define FH_THIN_WORDS 8   /* of k, a panel */
#define FH_THIN_ROWS 8
#define FH_THIN_PITCH (FH_THIN_LINES + 1) /* neighbours in k as neighbours in lines lie in different banks */
#define FH_THIN_BYTES(kind) ((FH_THIN_WORDS * FH_THIN_PITCH + FH_THIN_STEPS(kind) * FH_THIN_ROWS) * 4)

/* What is multiplied: f32 rounded to tf32, bf16, f16, u8 by s8. */
#define FH_THIN_TF32 0
#define FH_THIN_BF16 1
#define FH_THIN_F16 2
#define FH_THIN_I8 3
#define FH_THIN_PER(kind) ((kind) == FH_THIN_TF32 ? 1 : (kind) == FH_THIN_I8 ? 4 : 2) /* numbers of a word */
#define FH_THIN_SIZE(kind) (4 / FH_THIN_PER(kind))
#define FH_THIN_STEPS(kind) (FH_THIN_WORDS * FH_THIN_PER(kind))

/* ---- numbers ---- */
FH_INLINE float fh_thin_bf16(uint bits) { return fh_as_float((int)(bits << 16)); }

/* As fh_widen_f16 of the dialect: exact, for denormals too. */
FH_INLINE float fh_thin_f16(uint bits) {
  const int magnitude = (int)((bits & 0x7fff) << 13), sign = (int)((bits & 0x8000) << 16);
  const float scaled = fh_mul_u(fh_as_float(magnitude), 0x1p112f);
  return fh_as_float((scaled < 65536.0f ? fh_as_int(scaled) : magnitude | 0x7f800000) | sign);
}

/* As matmul_tf32_round of the dialect's text. */
FH_INLINE float fh_thin_tf32(uint bits) {
  const float x = fh_as_float((int)bits);
  return x == x ? fh_as_float((int)((bits + 0x1000) & 0xffffe000)) : x;
}

FH_INLINE float fh_thin_half(int kind, uint bits) {
  return kind == FH_THIN_BF16 ? fh_thin_bf16(bits & 0xffff) : fh_thin_f16(bits & 0xffff);
}

/* Number e of a word of weights. */
FH_INLINE float fh_thin_weight(int kind, uint word, int e) {
  if (kind == FH_THIN_TF32) return fh_thin_tf32(word);
  if (kind == FH_THIN_I8) return (float)((int)(word << (24 - 8 * e)) >> 24);
  return fh_thin_half(kind, word >> 16 * e);
}
/* A number of a row. */
FH_INLINE float fh_thin_factor(int kind, fh_u8_in p) {
  if (kind == FH_THIN_TF32) return fh_thin_tf32((uint) * (fh_i32_in)p);
  return kind == FH_THIN_I8 ? (float)*p : fh_thin_half(kind, *(fh_u16_in)p);
}

/* ---- operands: from the first column, or row, and the first step of a block on ---- */
typedef struct fh_thin_weights {
  fh_u8_in p;
  long panel, line, word, number; /* strides as in kernels/product.h, in bytes */
  long lines;                     /* that there are */
  bool whole;                     /* words lie together on their boundaries */
  bool along;                     /* neighbours in k are nearer than neighbours in lines */
} fh_thin_weights;

/* Strides in numbers. */
FH_INLINE fh_thin_weights fh_thin_weights_at(int kind, fh_u8_in p, long panel, long line, long word, long number, long lines) {
  const int size = FH_THIN_SIZE(kind);
  fh_thin_weights out;
  out.p = p;
  out.panel = panel * size;
  out.line = line * size;
  out.word = word * size;
  out.number = number * size;
  out.lines = lines;
  out.whole = kind == FH_THIN_TF32 || (number == 1 && ((out.panel | out.line | out.word) & 3) == 0 && fh_on_boundary(p, 4));
  out.along = (word < 0 ? -word : word) < (line < 0 ? -line : line);
  return out;
}

/* The numbers at p, of which the first `left` are there; the others are 0. */
FH_INLINE uint fh_thin_word(int kind, const fh_thin_weights *of, fh_u8_in p, long left) {
  const int per = FH_THIN_PER(kind), size = FH_THIN_SIZE(kind);
  uint out = 0;
  if (left <= 0) return 0;
  if (of->whole && left >= per) return (uint) * (fh_i32_in)p;
  FH_UNROLL for (int e = 0; e < per; e++) {
    const fh_u8_in at = p + e * of->number;
    if (e < left) out |= (uint)(size == 2 ? *(fh_u16_in)at : *at) << 8 * size * e;
  }
  return out;
}

/* A thread's word i: along, its line moves on, 16 at a time; otherwise its word. */
#define FH_THIN_HOP (FH_THIN_LINES / FH_THIN_WORDS)
FH_INLINE int fh_thin_line(bool along, int i) { return along ? fh_thread() / FH_THIN_WORDS + FH_THIN_HOP * i : fh_thread(); }
FH_INLINE int fh_thin_place(bool along, int i) { return along ? fh_thread() % FH_THIN_WORDS : i; }

FH_INLINE void fh_thin_fetch(int kind, const fh_thin_weights *of, long left, uint out[FH_THIN_WORDS]) {
  const int line = fh_thin_line(of->along, 0), per = FH_THIN_PER(kind);
  fh_u8_in p = of->p + line / 32 * of->panel + line % 32 * of->line + fh_thin_place(of->along, 0) * of->word;
  FH_UNROLL for (int i = 0; i < FH_THIN_WORDS; i++) { /* by addition: all addresses at once would not fit the registers */
    out[i] = fh_thin_line(of->along, i) < of->lines ? fh_thin_word(kind, of, p, left - per * fh_thin_place(of->along, i)) : 0;
    p += !of->along ? of->word : i % 2 == 0 ? FH_THIN_HOP * of->line : of->panel - FH_THIN_HOP * of->line;
  }
}
FH_INLINE void fh_thin_put(const fh_thin_weights *of, fh_local uint *to, const uint in[FH_THIN_WORDS]) {
  FH_UNROLL for (int i = 0; i < FH_THIN_WORDS; i++) to[fh_thin_place(of->along, i) * FH_THIN_PITCH + fh_thin_line(of->along, i)] = in[i];
}

/* Rows of a, `rows` of which there are: at most two numbers a thread, as [step][row] of f32; strides in bytes. */
#define FH_THIN_FACTORS 2
FH_INLINE void fh_thin_fetch_rows(int kind, fh_u8_in a, long as1, long as, long rows, long left, float out[FH_THIN_FACTORS]) {
  FH_UNROLL for (int i = 0; i < FH_THIN_FACTORS; i++) {
    const int e = fh_thread() + FH_THIN_LINES * i, row = e / FH_THIN_STEPS(kind), step = e % FH_THIN_STEPS(kind);
    out[i] = row < FH_THIN_ROWS && row < rows && step < left ? fh_thin_factor(kind, a + row * as1 + step * as) : 0.0f;
  }
}
FH_INLINE void fh_thin_put_rows(int kind, fh_local float *to, const float in[FH_THIN_FACTORS]) {
  FH_UNROLL for (int i = 0; i < FH_THIN_FACTORS; i++) {
    const int e = fh_thread() + FH_THIN_LINES * i;
    if (e < FH_THIN_STEPS(kind) * FH_THIN_ROWS) to[e % FH_THIN_STEPS(kind) * FH_THIN_ROWS + e / FH_THIN_STEPS(kind)] = in[i];
  }
}

/* ---- chains ---- */
FH_INLINE void fh_thin_step(float sum[FH_THIN_ROWS], const fh_local float *rows, float weight) {
  const fh_f32x4 low = fh_load4(rows), high = fh_load4(rows + 4);
  const float x[FH_THIN_ROWS] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
  FH_UNROLL for (int i = 0; i < FH_THIN_ROWS; i++) sum[i] = fh_fma_u(x[i], weight, sum[i]);
}

/* `steps` of k, at most a block of them, of 8 rows. Steps past k are not made: even fma(0, 0, s) would turn an s of -0 into +0. */
FH_INLINE void fh_thin_sum(int kind, float sum[FH_THIN_ROWS], fh_local uchar *shared, fh_thin_weights b, fh_u8_in a, long as1, long as,
                           long rows, long steps) {
  const int per = FH_THIN_PER(kind);
  fh_local float *const near = (fh_local float *)shared;
  fh_local uint *const words = (fh_local uint *)(shared + FH_THIN_STEPS(kind) * FH_THIN_ROWS * 4);
  uint next[FH_THIN_WORDS];
  float next_rows[FH_THIN_FACTORS];
  FH_UNROLL for (int i = 0; i < FH_THIN_ROWS; i++) sum[i] = 0.0f;
  fh_thin_fetch(kind, &b, steps, next);
  fh_thin_fetch_rows(kind, a, as1, as, rows, steps, next_rows);
  for (long l = 0; l < steps; l += FH_THIN_STEPS(kind)) {
    const int some = (int)fh_least(steps - l, FH_THIN_STEPS(kind));
    fh_barrier(); /* the panel before has been read */
    fh_thin_put(&b, words, next);
    fh_thin_put_rows(kind, near, next_rows);
    fh_barrier();
    b.p += FH_THIN_WORDS * b.word;
    a += FH_THIN_STEPS(kind) * as;
    if (steps - l > FH_THIN_STEPS(kind)) {
      fh_thin_fetch(kind, &b, steps - l - FH_THIN_STEPS(kind), next);
      fh_thin_fetch_rows(kind, a, as1, as, rows, steps - l - FH_THIN_STEPS(kind), next_rows);
    }
    for (int s = 0; s < some; s += per) {
      const uint word = words[s / per * FH_THIN_PITCH + fh_thread()];
      FH_UNROLL for (int e = 0; e < per; e++) {
        if (e == 0 || s + e < some) fh_thin_step(sum, near + (s + e) * FH_THIN_ROWS, fh_thin_weight(kind, word, e));
      }
    }
  }
}

/* ---- the two launches, whose parameters are those of kernels/product.h and scratch ----
 * Blocks of k, then columns, in the first dimension; products in the third. NUMBER is the type of sums. */
#define FH_BLOCK_THIN(entry, KIND, NUMBER, OUT)                                                                                  \
  FH_BLOCK(entry, FH_THIN_LINES, FH_THIN_BYTES(KIND)) {                                                                          \
    const int size = FH_THIN_SIZE(KIND);                                                                                         \
    const long blocks = fh_sums_blocks(k), block = fh_block(0) % blocks, first = block * FH_SUMS_STEPS;                          \
    const long col = fh_block(0) / blocks * FH_THIN_LINES, mine = col + fh_thread(), steps = fh_least(k - first, FH_SUMS_STEPS); \
    for (long sheet = fh_block(2); sheet < batch; sheet += fh_blocks(2)) {                                                       \
      const fh_u8_in weights = (fh_u8_in)(b + sheet * bs0 + col / 32 * bs1 + first / FH_THIN_PER(KIND) * bs3);                   \
      const fh_thin_weights of_b = fh_thin_weights_at(KIND, weights, bs1, bs2, bs3, bs4, n - col);                               \
      OUT sums = (OUT)scratch + (sheet * blocks + block) * m * n + mine;                                                         \
      for (long row = 0; row < m; row += FH_THIN_ROWS) {                                                                         \
        const fh_u8_in of_a = (fh_u8_in)(a + sheet * as0 + row * as1 + first * as);                                              \
        float sum[FH_THIN_ROWS];                                                                                                 \
        fh_thin_sum(KIND, sum, fh_shared, of_b, of_a, as1 *size, as *size, m - row, steps);                                      \
        FH_UNROLL for (int i = 0; i < FH_THIN_ROWS; i++) {                                                                       \
          if (row + i < m && mine < n) sums[(row + i) * n] = (NUMBER)sum[i];                                                     \
        }                                                                                                                        \
      }                                                                                                                          \
    }                                                                                                                            \
  }
/* ADD is the function of block_sums.h for the type of IN. */
#define FH_BLOCK_THIN_ADD(entry, THREADS, IN, ADD)                                       \
  FH_BLOCK(entry, THREADS, 16) {                                                         \
    const long blocks = fh_sums_blocks(k);                                               \
    for (long sheet = fh_block(2); sheet < batch; sheet += fh_blocks(2))                 \
      ADD((IN)scratch + sheet * blocks * m * n, c + sheet * cs0, blocks, m, n, cs1, cs); \
  }

#endif /* FOGHORN_KERNELS_BLOCK_THIN_PRODUCT_H_ */
