/* Short rows normalised 16 at a time: layer_norm, rms_norm, l2_normalize and softmax for code that is compiled for AVX2 or AVX-512.
 * SPDX-License-Identifier: Apache-2.0
 *
 * <kernel>_<isa>.c defines FH_DIALECT_ISA and makes its entry with FH_ROWS_ENTRY. All arithmetic is that of the texts' own functions in
 * their order, so that the bits are the texts'; calls that do not fit (rows.h) go to the text. What a row is scaled by comes out of a chain
 * of shuffles, a root and quotients, which a short row does not hide; here 16 rows are folded together in 45 instructions, their roots and
 * quotients taken in one vector, and gamma and beta loaded once for several rows.
 *
 * Tried for rows of 257 to 8192 without gain, with 1, 2 or 4 rows to a block: the steps of a block one block apart, so that one block's
 * loop hides the end of another's sum (0.7 to 0.9 of the text: three blocks and the output crowd the L1 cache); all steps of a block at
 * once (0.8 to 1.0); results gathered in a buffer and stored past the caches in whole lines across rows (0.4 to 0.8: a load waits for the
 * stores before it). */
#ifndef FOGHORN_KERNELS_TILE_ROWS_SIMD_H_
#define FOGHORN_KERNELS_TILE_ROWS_SIMD_H_

#include "kernels/dialect/prelude_c.h"

#include "kernels/dialect/rows.h"

#include "kernels/arithmetic.h"
#include "kernels/dialect/norms.h"
#include "kernels/tile/rows.h"

typedef enum fh_rows_kernel { FH_ROWS_layer_norm, FH_ROWS_rms_norm, FH_ROWS_l2_normalize, FH_ROWS_softmax } fh_rows_kernel;

FH_INLINE int fh_rows_form(fh_rows_kernel kernel) {
  return kernel == FH_ROWS_layer_norm ? FH_LAYER_NORM : kernel == FH_ROWS_rms_norm ? FH_RMS_NORM : FH_JUST_SCALED;
}

/* ---- folding several rows ----
 * Lanes are folded in the tree 8, 4, 2, 1. A quad holds four rows, row k in quarter k, folded by 8 and 4; from there on all is done within
 * quarters. */
#if FH_USE_AVX512
#define FH_QUARTERS(A, B, ORDER) ((fh_vf){(fh_part_f)_mm512_shuffle_ps((__m512)(A).p0, (__m512)(B).p0, ORDER)})
#define FH_HALVES_512(A, B, ORDER) _mm512_shuffle_f32x4((__m512)(A).p0, (__m512)(B).p0, ORDER)
#define FH_DEFINE_QUAD(NAME, MM)                                                                      \
  FH_INLINE fh_vf NAME##_quad(fh_vf a, fh_vf b, fh_vf c, fh_vf d) {                                   \
    const __m512 ab = _mm512_##MM##_ps(FH_HALVES_512(a, b, 0x44), FH_HALVES_512(a, b, 0xee));         \
    const __m512 cd = _mm512_##MM##_ps(FH_HALVES_512(c, d, 0x44), FH_HALVES_512(c, d, 0xee));         \
    const __m512 even = _mm512_shuffle_f32x4(ab, cd, 0x88), odd = _mm512_shuffle_f32x4(ab, cd, 0xdd); \
    return (fh_vf){(fh_part_f)_mm512_##MM##_ps(even, odd)};                                           \
  }
#else
#define FH_QUARTERS(A, B, ORDER)                                                \
  ((fh_vf){(fh_part_f)_mm256_shuffle_ps((__m256)(A).p0, (__m256)(B).p0, ORDER), \
           (fh_part_f)_mm256_shuffle_ps((__m256)(A).p1, (__m256)(B).p1, ORDER)})
#define FH_DEFINE_QUAD(NAME, MM)                                                                                     \
  FH_INLINE fh_part_f NAME##_pair(fh_vf a, fh_vf b) {                                                                \
    const __m256 u = _mm256_##MM##_ps((__m256)a.p0, (__m256)a.p1), v = _mm256_##MM##_ps((__m256)b.p0, (__m256)b.p1); \
    return (fh_part_f)_mm256_##MM##_ps(_mm256_permute2f128_ps(u, v, 0x20), _mm256_permute2f128_ps(u, v, 0x31));      \
  }                                                                                                                  \
  FH_INLINE fh_vf NAME##_quad(fh_vf a, fh_vf b, fh_vf c, fh_vf d) { return (fh_vf){NAME##_pair(a, b), NAME##_pair(c, d)}; }
#endif

/* Row r of 16 in lane r, where quad m holds the rows m, m + 4, m + 8 and m + 12. */
#define FH_DEFINE_ROW_FOLD(NAME, OP, MM)                                                                                              \
  FH_DEFINE_QUAD(NAME, MM)                                                                                                            \
  FH_INLINE fh_vf NAME##_quads(fh_vf a, fh_vf b, fh_vf c, fh_vf d) {                                                                  \
    const fh_vf ab = OP(FH_QUARTERS(a, b, 0x44), FH_QUARTERS(a, b, 0xee)), cd = OP(FH_QUARTERS(c, d, 0x44), FH_QUARTERS(c, d, 0xee)); \
    return OP(FH_QUARTERS(ab, cd, 0x88), FH_QUARTERS(ab, cd, 0xdd));                                                                  \
  }
FH_DEFINE_ROW_FOLD(fh_sum, fh_add, add)
FH_DEFINE_ROW_FOLD(fh_largest, fh_max, max)

/* ROW(r) of 16 rows, folded: row r in lane r. */
#define FH_FOLD_16(NAME, ROW)                                                                              \
  NAME##_quads(NAME##_quad(ROW(0), ROW(4), ROW(8), ROW(12)), NAME##_quad(ROW(1), ROW(5), ROW(9), ROW(13)), \
               NAME##_quad(ROW(2), ROW(6), ROW(10), ROW(14)), NAME##_quad(ROW(3), ROW(7), ROW(11), ROW(15)))

/* ---- calls and blocks ---- */
enum { FH_ROWS_BLOCK = 16 };

typedef struct fh_rows_call {
  fh_f32_in x, gamma, beta;
  fh_f32_out y;
  float eps;
  long rows, n1, d, xs0, xs1, ys0, ys1, pieces;
  fh_items_fn text; /* NULL when the rows are short and their elements side by side */
  const fh_slot *slots;
} fh_rows_call;

/* Behind the last row, x repeats it. */
typedef struct fh_rows_step {
  fh_f32_in x[FH_ROWS_BLOCK];
  fh_f32_out y[FH_ROWS_BLOCK];
  float centre[FH_ROWS_BLOCK], by[FH_ROWS_BLOCK]; /* mean or largest, and factor */
  long rows;
} fh_rows_step;

FH_INLINE fh_rows_call fh_rows_call_of(fh_rows_kernel kernel, const fh_slot *slots, fh_items_fn text) {
  fh_rows_call c = {.slots = slots};
  const int form = fh_rows_form(kernel);
  const fh_slot *s = slots;
  c.x = (s++)->cp;
  if (form & FH_NORM_GAMMA) c.gamma = (s++)->cp;
  if (form & FH_NORM_BETA) c.beta = (s++)->cp;
  c.y = (s++)->p;
  if (kernel != FH_ROWS_softmax) {
    c.eps = s->f;
    s += 2; /* the next says whether to store past the caches: for the text alone */
  }
  bool fits = true;
  if (form & FH_NORM_GAMMA) fits = (s++)->i == 1;
  if (form & FH_NORM_BETA) fits = (s++)->i == 1 && fits;
  c.rows = s[FH_ROWS_ROWS].i;
  c.n1 = s[FH_ROWS_N1].i;
  c.d = s[FH_ROWS_D].i;
  c.xs0 = s[FH_ROWS_X_STRIDES].i;
  c.xs1 = s[FH_ROWS_X_STRIDES + 1].i;
  c.ys0 = s[FH_ROWS_Y_STRIDES].i;
  c.ys1 = s[FH_ROWS_Y_STRIDES + 1].i;
  fits = fits && s[FH_ROWS_X_STRIDES + 2].i == 1 && s[FH_ROWS_Y_STRIDES + 2].i == 1;
  c.text = fits && c.d <= (form & FH_NORM_GAMMA ? FH_ROWS_LONGEST : FH_ROWS_SHORT) ? NULL : text;
  return c;
}

/* Rows from `first` on, `end` at most. */
FH_INLINE void fh_rows_place(const fh_rows_call *c, fh_rows_step *s, long first, long end) {
  s->rows = fh_least(end - first, FH_ROWS_BLOCK);
  if (first + FH_ROWS_BLOCK <= fh_least(end, c->n1)) { /* the usual case, without a quotient for each row */
    for (long r = 0; r < FH_ROWS_BLOCK; r++) {
      s->x[r] = c->x + (first + r) * c->xs1;
      s->y[r] = c->y + (first + r) * c->ys1;
    }
    return;
  }
  for (long r = 0; r < FH_ROWS_BLOCK; r++) {
    const long row = first + fh_least(r, s->rows - 1);
    s->x[r] = c->x + fh_row_offset(row, c->n1, c->xs0, c->xs1);
    s->y[r] = c->y + fh_row_offset(row, c->n1, c->ys0, c->ys1);
  }
}

/* Factors from what the rows' second sums are. */
FH_INLINE void fh_rows_factors(fh_rows_kernel kernel, const fh_rows_call *c, fh_rows_step *s, fh_vf sums) {
  const fh_vf by = kernel == FH_ROWS_softmax        ? fh_reciprocal(sums)
                   : kernel == FH_ROWS_l2_normalize ? fh_by_length(sums, c->eps)
                                                    : fh_by_mean_square(sums, c->d, c->eps);
  fh_store_packed(s->by, by);
}

/* ---- rows of one vector ---- */
FH_INLINE void fh_rows_short(fh_rows_kernel kernel, const fh_rows_call *c, fh_rows_step *s) {
  const int form = fh_rows_form(kernel);
  const long d = c->d;
  const fh_vf zero = fh_splat(0.0f);
#define ROW_VALUE(r) fh_load_part(s->x[r], 0, d, 1, 0.0f)
#define ROW_SQUARE(r) fh_term(FH_TERM_SQUARE, ROW_VALUE(r), zero)
#define ROW_DEVIATION(r) fh_select(fh_lane_below(d), fh_term(FH_TERM_DEVIATION, ROW_VALUE(r), fh_splat(s->centre[r])), zero)
#define ROW_OR_LEAST(r) fh_load_part(s->x[r], 0, d, 1, -FH_INFINITY)
#define ROW_EXP(r) e[r]
  fh_vf e[FH_ROWS_BLOCK];
  if (kernel == FH_ROWS_layer_norm) {
    fh_store_packed(s->centre, fh_mean_of_sum(FH_FOLD_16(fh_sum, ROW_VALUE), d));
    fh_rows_factors(kernel, c, s, FH_FOLD_16(fh_sum, ROW_DEVIATION));
  } else if (kernel == FH_ROWS_softmax) {
    fh_store_packed(s->centre, FH_FOLD_16(fh_largest, ROW_OR_LEAST));
    for (long r = 0; r < FH_ROWS_BLOCK; r++)
      e[r] = fh_select(fh_lane_below(d), fh_exp_negative(fh_sub(ROW_OR_LEAST(r), fh_splat(s->centre[r]))), zero);
    fh_rows_factors(kernel, c, s, FH_FOLD_16(fh_sum, ROW_EXP));
  } else {
    fh_rows_factors(kernel, c, s, FH_FOLD_16(fh_sum, ROW_SQUARE));
  }
  const fh_vf gamma = form & FH_NORM_GAMMA ? fh_load_part(c->gamma, 0, d, 1, 0.0f) : zero;
  const fh_vf beta = form & FH_NORM_BETA ? fh_load_part(c->beta, 0, d, 1, 0.0f) : zero;
  for (long r = 0; r < s->rows; r++) {
    const fh_vf v = kernel == FH_ROWS_softmax ? e[r] : ROW_VALUE(r);
    const fh_vf centre = form & FH_NORM_CENTRED ? fh_splat(s->centre[r]) : zero;
    fh_store_part(s->y[r], 0, d, 1, fh_normalised(form, v, centre, fh_splat(s->by[r]), gamma, beta));
  }
}

/* ---- rows of several vectors: layer_norm and rms_norm ---- */

FH_INLINE fh_vf fh_rows_sums(int term, const fh_rows_call *c, const fh_rows_step *s) {
#define ROW_LANES(r) v[r]
  fh_vf v[FH_ROWS_BLOCK];
  for (long r = 0; r < FH_ROWS_BLOCK; r++)
    v[r] = r < s->rows ? fh_sum_lanes(term, s->x[r], c->d, 1, term == FH_TERM_DEVIATION ? s->centre[r] : 0.0f) : fh_splat(0.0f);
  return FH_FOLD_16(fh_sum, ROW_LANES);
}

/* Rows r to r + count - 1; the compiler knows count. */
FH_INLINE void fh_rows_scale(int form, const fh_rows_call *c, const fh_rows_step *s, long r, int count) {
  const long d = c->d;
  const fh_vf zero = fh_splat(0.0f);
  fh_f32_in from[4];
  fh_f32_out to[4];
  fh_vf centre[4], by[4];
  for (int k = 0; k < count; k++) {
    from[k] = s->x[r + k];
    to[k] = s->y[r + k];
    centre[k] = form & FH_NORM_CENTRED ? fh_splat(s->centre[r + k]) : zero;
    by[k] = fh_splat(s->by[r + k]);
  }
  long i = 0;
  for (; i + 16 <= d; i += 16) {
    const fh_vf gamma = fh_load(c->gamma, i, 1), beta = form & FH_NORM_BETA ? fh_load(c->beta, i, 1) : zero;
    for (int k = 0; k < count; k++) fh_store(to[k], i, 1, fh_normalised(form, fh_load(from[k], i, 1), centre[k], by[k], gamma, beta));
  }
  if (i == d) return;
  const fh_vf gamma = fh_load_part(c->gamma, i, d, 1, 0.0f), beta = form & FH_NORM_BETA ? fh_load_part(c->beta, i, d, 1, 0.0f) : zero;
  for (int k = 0; k < count; k++)
    fh_store_part(to[k], i, d, 1, fh_normalised(form, fh_load_part(from[k], i, d, 1, 0.0f), centre[k], by[k], gamma, beta));
}

FH_INLINE void fh_rows_longer(fh_rows_kernel kernel, const fh_rows_call *c, fh_rows_step *s) {
  enum { TOGETHER = FH_PART == 16 ? 4 : 2 }; /* so that their factors stay in registers */
  const int form = fh_rows_form(kernel);
  if (form & FH_NORM_CENTRED) fh_store_packed(s->centre, fh_mean_of_sum(fh_rows_sums(FH_TERM_VALUE, c, s), c->d));
  fh_rows_factors(kernel, c, s, fh_rows_sums(form & FH_NORM_CENTRED ? FH_TERM_DEVIATION : FH_TERM_SQUARE, c, s));
  long r = 0;
  for (; r + TOGETHER <= s->rows; r += TOGETHER) fh_rows_scale(form, c, s, r, TOGETHER);
  for (; r < s->rows; r++) fh_rows_scale(form, c, s, r, 1);
}

/* ---- the entry ---- */
FH_INLINE void fh_rows_piece(fh_rows_kernel kernel, const fh_rows_call *c, long piece) {
  const long first = fh_part_start(c->rows, c->pieces, piece), end = fh_part_start(c->rows, c->pieces, piece + 1);
  if (c->text) {
    c->text(c->slots, first, end);
    return;
  }
  fh_rows_step s;
  for (long row = first; row < end; row += FH_ROWS_BLOCK) {
    fh_rows_place(c, &s, row, end);
    if (c->d <= FH_ROWS_SHORT)
      fh_rows_short(kernel, c, &s);
    else if (fh_rows_form(kernel) & FH_NORM_GAMMA)
      fh_rows_longer(kernel, c, &s);
  }
}

/* Some pieces for each of a team, so that a late worker costs little, but none for less than a block. */
FH_INLINE long fh_rows_pieces(const fh_rows_call *c, const fh_team *team) {
  enum { PIECES_EACH = 4 };
  return team->size == 1 ? 1 : fh_least(PIECES_EACH * (long)team->size, fh_divide_up(c->rows, FH_ROWS_BLOCK));
}

#define FH_ROWS_ENTRY(kernel, isa)                                                           \
  void fh_entry_##kernel##_##isa(const fh_slot *slots, int64_t first, int64_t last);         \
  static void kernel##_piece(void *arg, int64_t piece, int worker) {                         \
    (void)worker;                                                                            \
    fh_rows_piece(FH_ROWS_##kernel, arg, piece);                                             \
  }                                                                                          \
  void fh_##kernel##_##isa(const fh_slot *slots, const fh_team *team) {                      \
    fh_rows_call call = fh_rows_call_of(FH_ROWS_##kernel, slots, fh_entry_##kernel##_##isa); \
    call.pieces = fh_rows_pieces(&call, team);                                               \
    team->parallel(team, call.pieces, kernel##_piece, &call);                                \
  }

#endif /* FOGHORN_KERNELS_TILE_ROWS_SIMD_H_ */
