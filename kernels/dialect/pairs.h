/* Pairs of floats that lie side by side in memory, and vectors in the opposite order. SPDX-License-Identifier: Apache-2.0
 *
 *   fh_load_pairs(p, step, &a, &b)    lane l of a and b: p[l step] and p[l step + 1]
 *   fh_store_pairs(p, a, b)           the way back, step 2
 *   fh_load_back(p)                   lane l: p[15 - l]
 *   fh_store_pairs_back(p, a, b)      lane l of a and b to p[30 - 2 l] and p[31 - 2 l]
 *
 * In C a pair is loaded as one number of 64 bits, and shuffles sort whole registers. */
#ifndef FOGHORN_KERNELS_DIALECT_PAIRS_H_
#define FOGHORN_KERNELS_DIALECT_PAIRS_H_

#if defined(FH_ON_PTX) || defined(FH_ON_OPENCL)

FH_INLINE void fh_load_pairs(fh_f32_in p, long step, fh_vf *a, fh_vf *b) {
  *a = fh_load(p, 0, step);
  *b = fh_load(p + 1, 0, step);
}
FH_INLINE void fh_store_pairs(fh_f32_out p, fh_vf a, fh_vf b) {
  fh_store(p, 0, 2, a);
  fh_store(p + 1, 0, 2, b);
}
FH_INLINE fh_vf fh_load_back(fh_f32_in p) { return fh_load(p + 15, 0, -1); }
FH_INLINE void fh_store_pairs_back(fh_f32_out p, fh_vf a, fh_vf b) {
  fh_store(p + 30, 0, -2, a);
  fh_store(p + 31, 0, -2, b);
}

#else

typedef double fh_part_pairs __attribute__((vector_size(4 * FH_PART)));
#if FH_PART == 16
#define FH_PAIRS_IN_ORDER(AT) {AT(0), AT(1), AT(2), AT(3), AT(4), AT(5), AT(6), AT(7)}
#define FH_PART_FIRSTS(V, W) __builtin_shufflevector(V, W, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define FH_PART_SECONDS(V, W) __builtin_shufflevector(V, W, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#define FH_PART_LOW_PAIRS(A, B) __builtin_shufflevector(A, B, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define FH_PART_HIGH_PAIRS(A, B) __builtin_shufflevector(A, B, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define FH_PART_BACK(V) __builtin_shufflevector(V, V, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#elif FH_PART == 8
#define FH_PAIRS_IN_ORDER(AT) {AT(0), AT(1), AT(2), AT(3)}
#define FH_PART_FIRSTS(V, W) __builtin_shufflevector(V, W, 0, 2, 4, 6, 8, 10, 12, 14)
#define FH_PART_SECONDS(V, W) __builtin_shufflevector(V, W, 1, 3, 5, 7, 9, 11, 13, 15)
#define FH_PART_LOW_PAIRS(A, B) __builtin_shufflevector(A, B, 0, 8, 1, 9, 2, 10, 3, 11)
#define FH_PART_HIGH_PAIRS(A, B) __builtin_shufflevector(A, B, 4, 12, 5, 13, 6, 14, 7, 15)
#define FH_PART_BACK(V) __builtin_shufflevector(V, V, 7, 6, 5, 4, 3, 2, 1, 0)
#else
#define FH_PAIRS_IN_ORDER(AT) {AT(0), AT(1)}
#define FH_PART_FIRSTS(V, W) __builtin_shufflevector(V, W, 0, 2, 4, 6)
#define FH_PART_SECONDS(V, W) __builtin_shufflevector(V, W, 1, 3, 5, 7)
#define FH_PART_LOW_PAIRS(A, B) __builtin_shufflevector(A, B, 0, 4, 1, 5)
#define FH_PART_HIGH_PAIRS(A, B) __builtin_shufflevector(A, B, 2, 6, 3, 7)
#define FH_PART_BACK(V) __builtin_shufflevector(V, V, 3, 2, 1, 0)
#endif

FH_INLINE double fh_pair_at(fh_f32_in p) {
  double pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return pair;
}
/* FH_PART / 2 pairs */
FH_INLINE fh_part_f fh_part_pairs_at(fh_f32_in p, long step) {
  if (step == 2) {
    fh_part_f v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
#define FH_PAIR_AT(I) fh_pair_at(p + (I) * step)
  const fh_part_pairs v = FH_PAIRS_IN_ORDER(FH_PAIR_AT);
  return (fh_part_f)v;
}
FH_INLINE void fh_load_pairs(fh_f32_in p, long step, fh_vf *a, fh_vf *b){
#define FH_STEP_LOAD_PAIRS(I)                                                                            \
  {                                                                                                      \
    const fh_f32_in at = p + FH_PART * (I) * step;                                                       \
    const fh_part_f v = fh_part_pairs_at(at, step), w = fh_part_pairs_at(at + FH_PART / 2 * step, step); \
    a->p##I = FH_PART_FIRSTS(v, w);                                                                      \
    b->p##I = FH_PART_SECONDS(v, w);                                                                     \
  }
    FH_EACH(FH_STEP_LOAD_PAIRS)} FH_INLINE void fh_store_pairs(fh_f32_out p, fh_vf a, fh_vf b){
#define FH_STEP_STORE_PAIRS(I)                                                                          \
  {                                                                                                     \
    const fh_part_f low = FH_PART_LOW_PAIRS(a.p##I, b.p##I), high = FH_PART_HIGH_PAIRS(a.p##I, b.p##I); \
    __builtin_memcpy(p + 2 * FH_PART * (I), &low, sizeof low);                                          \
    __builtin_memcpy(p + 2 * FH_PART * (I) + FH_PART, &high, sizeof high);                              \
  }
    FH_EACH(FH_STEP_STORE_PAIRS)} FH_INLINE fh_vf fh_back(fh_vf v) {
#if FH_PART == 16
  return (fh_vf){FH_PART_BACK(v.p0)};
#elif FH_PART == 8
  return (fh_vf){FH_PART_BACK(v.p1), FH_PART_BACK(v.p0)};
#else
  return (fh_vf){FH_PART_BACK(v.p3), FH_PART_BACK(v.p2), FH_PART_BACK(v.p1), FH_PART_BACK(v.p0)};
#endif
}
FH_INLINE fh_vf fh_load_back(fh_f32_in p) { return fh_back(fh_load(p, 0, 1)); }
FH_INLINE void fh_store_pairs_back(fh_f32_out p, fh_vf a, fh_vf b) { fh_store_pairs(p, fh_back(a), fh_back(b)); }

#endif

#endif /* FOGHORN_KERNELS_DIALECT_PAIRS_H_ */
