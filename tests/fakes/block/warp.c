/* Operations of a warp, across its 32 lanes: what each hands in lies where the PTX ISA says (9.7.14.5), and so does what it gets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/block/warp.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/narrow.h"
#include "tests/fakes/block/block.h"

/* ---- shuffles ------------------------------------------------------------------------------------------------------- */

typedef struct shuffle {
  unsigned value;
  int mask;
} shuffle;

static void do_shuffle(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]) {
  for (int lane = 0; lane < FAKE_LANES; lane++) {
    const shuffle *own = in[lane], *other = in[(lane ^ own->mask) & (FAKE_LANES - 1)];
    *(unsigned *)out[lane] = other->value;
  }
}

int fake_shuffle_i(int v, int mask, fake_place place) {
  const shuffle in = {(unsigned)v, mask};
  unsigned out;
  fake_warp(do_shuffle, &in, &out, place);
  return (int)out;
}

float fake_shuffle_f(float v, int mask, fake_place place) {
  return fh_f32_from_bits((uint32_t)fake_shuffle_i((int)fh_bits_from_f32(v), mask, place));
}

/* ---- ldmatrix: matrix i has its rows at the addresses of lanes 8 i to 8 i + 7 ---------------------------------------------- */

enum { MATRICES = 4, ROWS = 8 };

static unsigned pair(uint16_t low, uint16_t high) { return (unsigned)low | (unsigned)high << 16; }

static uint16_t element(const void *const rows[ROWS], int row, int col) {
  uint16_t value;
  memcpy(&value, (const char *)rows[row] + 2 * col, sizeof value);
  return value;
}

/* All banks together are 128 bytes wide; a row of 16 has an eighth of them. */
static void count_conflicts(const void *const in[FAKE_LANES]) {
  for (int i = 0; i < MATRICES; i++) {
    unsigned taken = 0;
    for (int row = 0; row < ROWS; row++) {
      const unsigned bank = 1u << ((uintptr_t)in[ROWS * i + row] / 16 % 8);
      if (taken & bank) fake_count_conflicts(1);
      taken |= bank;
    }
  }
}

static void load(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]) {
  count_conflicts(in);
  for (int lane = 0; lane < FAKE_LANES; lane++)
    for (int i = 0; i < MATRICES; i++) {
      const int row = lane / 4, col = lane % 4 * 2;
      ((unsigned *)out[lane])[i] = pair(element(in + ROWS * i, row, col), element(in + ROWS * i, row, col + 1));
    }
}

static void load_turned(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]) {
  count_conflicts(in);
  for (int lane = 0; lane < FAKE_LANES; lane++)
    for (int i = 0; i < MATRICES; i++) {
      const int col = lane / 4, row = lane % 4 * 2;
      ((unsigned *)out[lane])[i] = pair(element(in + ROWS * i, row, col), element(in + ROWS * i, row + 1, col));
    }
}

void fake_load_matrices(unsigned out[4], const void *row, fake_place place) { fake_warp(load, row, out, place); }
void fake_load_matrices_turned(unsigned out[4], const void *row, fake_place place) { fake_warp(load_turned, row, out, place); }

/* ---- mma: m16n8, k = 8 words of 4 bytes -------------------------------------------------------------------------------------
 * Of lane 4 g + t, with E elements in a word: word r of A holds row g + 8 (r mod 2), k from E t + 4 E (r / 2) on; word r of B column g, k
 * from E t + 4 E r on; element i of C and D row g + 8 (i / 2), column 2 t + i mod 2. */

enum { M = 16, N = 8, WORDS = 8 };

typedef struct operands {
  unsigned a[4], b[2];
  unsigned d[4]; /* bits of floats or ints */
} operands;

typedef struct matrices {
  unsigned a[M][WORDS], b[N][WORDS]; /* a row of A, a column of B */
} matrices;

static matrices gather(const void *const in[FAKE_LANES]) {
  matrices out;
  for (int lane = 0; lane < FAKE_LANES; lane++) {
    const operands *own = in[lane];
    const int g = lane / 4, t = lane % 4;
    for (int r = 0; r < 4; r++) out.a[g + 8 * (r % 2)][t + 4 * (r / 2)] = own->a[r];
    for (int r = 0; r < 2; r++) out.b[g][t + 4 * r] = own->b[r];
  }
  return out;
}

/* Towards zero, as tensor cores were found to round (Fasi, Higham, Mikaitis, Pranesh: Numerical behavior of NVIDIA tensor cores, 2021). */
float fake_truncated(double sum) {
  const float nearest = (float)sum;
  return fabs((double)nearest) > fabs(sum) && isfinite(sum) ? nextafterf(nearest, 0.0f) : nearest;
}

typedef double (*word_fn)(unsigned a, unsigned b); /* the products of the elements of two words, summed */

static _Thread_local int cut_at;
void fake_block_cut_sums(int bits) { cut_at = bits; }

/* As devices do, if with fewer bits: all that is added is brought to the exponent of the largest, and cut. */
static double cut_sum(const double addends[1 + WORDS]) {
  double largest = 0, plain = 0, sum = 0;
  for (int i = 0; i <= WORDS; i++) largest = fmax(largest, fabs(addends[i])), plain += addends[i];
  if (largest == 0 || !isfinite(plain)) return plain;
  const double unit = ldexp(1, ilogb(largest) - cut_at);
  for (int i = 0; i <= WORDS; i++) sum += trunc(addends[i] / unit) * unit;
  return sum;
}

static void product_f32(const void *const in[FAKE_LANES], void *const out[FAKE_LANES], word_fn word) {
  const matrices m = gather(in);
  for (int lane = 0; lane < FAKE_LANES; lane++) {
    const operands *own = in[lane];
    for (int i = 0; i < 4; i++) {
      const int row = lane / 4 + 8 * (i / 2), col = lane % 4 * 2 + i % 2;
      double addends[1 + WORDS] = {(double)fh_f32_from_bits(own->d[i])}, sum = addends[0];
      for (int k = 0; k < WORDS; k++) sum += addends[1 + k] = word(m.a[row][k], m.b[col][k]);
      ((unsigned *)out[lane])[i] = fh_bits_from_f32(fake_truncated(cut_at ? cut_sum(addends) : sum));
    }
  }
}

static double word_bf16(unsigned a, unsigned b) {
  return (double)fh_f32_from_bits(a << 16) * (double)fh_f32_from_bits(b << 16) +
         (double)fh_f32_from_bits(a & 0xffff0000) * (double)fh_f32_from_bits(b & 0xffff0000);
}
static double word_f16(unsigned a, unsigned b) {
  return (double)fh_f32_from_f16((uint16_t)a) * (double)fh_f32_from_f16((uint16_t)b) +
         (double)fh_f32_from_f16((uint16_t)(a >> 16)) * (double)fh_f32_from_f16((uint16_t)(b >> 16));
}
static double word_tf32(unsigned a, unsigned b) {
  return (double)fh_f32_from_bits(a & 0xffffe000) * (double)fh_f32_from_bits(b & 0xffffe000);
}

void fake_product_bf16(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]) { product_f32(in, out, word_bf16); }
void fake_product_f16(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]) { product_f32(in, out, word_f16); }
void fake_product_tf32(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]) { product_f32(in, out, word_tf32); }

static int byte_of(unsigned word, int i, int is_signed) {
  const unsigned byte = word >> 8 * i & 0xff;
  return is_signed ? (int8_t)byte : (int)byte;
}

static void product_i32(const void *const in[FAKE_LANES], void *const out[FAKE_LANES], int a_is_signed) {
  const matrices m = gather(in);
  for (int lane = 0; lane < FAKE_LANES; lane++) {
    const operands *own = in[lane];
    for (int i = 0; i < 4; i++) {
      const int row = lane / 4 + 8 * (i / 2), col = lane % 4 * 2 + i % 2;
      unsigned sum = own->d[i];
      for (int k = 0; k < 4 * WORDS; k++)
        sum += (unsigned)(byte_of(m.a[row][k / 4], k % 4, a_is_signed) * byte_of(m.b[col][k / 4], k % 4, 1));
      ((unsigned *)out[lane])[i] = sum;
    }
  }
}

void fake_product_u8s8(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]) { product_i32(in, out, 0); }
void fake_product_s8s8(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]) { product_i32(in, out, 1); }

static void mma(fake_warp_fn product, void *d, const unsigned a[4], const unsigned b[2], fake_place place) {
  operands in;
  memcpy(in.a, a, sizeof in.a);
  memcpy(in.b, b, sizeof in.b);
  memcpy(in.d, d, sizeof in.d);
  unsigned out[4];
  fake_warp(product, &in, out, place);
  memcpy(d, out, sizeof out);
}

void fake_mma_f32(fake_warp_fn product, float d[4], const unsigned a[4], const unsigned b[2], fake_place place) {
  mma(product, d, a, b, place);
}
void fake_mma_i32(fake_warp_fn product, int d[4], const unsigned a[4], const unsigned b[2], fake_place place) {
  mma(product, d, a, b, place);
}
