/* Doubles in the dialect: a text that works on floats, read after this, works on doubles. SPDX-License-Identifier: Apache-2.0
 *
 * First 16 lanes of doubles for each backend, under the names of the primitives with _d behind (dialect.h says what they do); then the
 * names of the primitives, and `float`, come to mean them. What takes or gives other lanes than those of reals (fh_select_i) says so. Only
 * what reductions and k-means need is here. Index lanes stay 32 bits wide. */
#ifndef FOGHORN_KERNELS_DIALECT_F64_H_
#define FOGHORN_KERNELS_DIALECT_F64_H_

#if defined(FH_ON_PTX) || defined(FH_ON_LANES)
#define FH_LANE_PER_THREAD_D 1
#ifdef FH_ON_PTX
#define FH_ADD_RN_D(a, b) __nvvm_add_rn_d(a, b)
#define FH_MUL_RN_D(a, b) __nvvm_mul_rn_d(a, b)
#define FH_DIV_RN_D(a, b) __nvvm_div_rn_d(a, b)
#define FH_SQRT_RN_D(a) __nvvm_sqrt_rn_d(a)
#else
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#define FH_ADD_RN_D(a, b) ((a) + (b))
#define FH_MUL_RN_D(a, b) ((a) * (b))
#define FH_DIV_RN_D(a, b) ((a) / (b))
#define FH_SQRT_RN_D(a) sqrt(a)
#endif
typedef __global const double *fh_f64_in;
typedef __global double *fh_f64_out;
typedef double fh_vd;
typedef int fh_vmd; /* 0 or 1 */

FH_INLINE fh_vd fh_splat_d(double a) { return a; }
FH_INLINE fh_vd fh_add_d(fh_vd a, fh_vd b) { return FH_ADD_RN_D(a, b); }
FH_INLINE fh_vd fh_sub_d(fh_vd a, fh_vd b) { return FH_ADD_RN_D(a, -b); }
FH_INLINE fh_vd fh_mul_d(fh_vd a, fh_vd b) { return FH_MUL_RN_D(a, b); }
FH_INLINE fh_vd fh_div_d(fh_vd a, fh_vd b) { return FH_DIV_RN_D(a, b); }
FH_INLINE fh_vd fh_sqrt_d(fh_vd a) { return FH_SQRT_RN_D(a); }
FH_INLINE fh_vd fh_min_d(fh_vd a, fh_vd b) { return a < b ? a : b; }
FH_INLINE fh_vd fh_max_d(fh_vd a, fh_vd b) { return a > b ? a : b; }
FH_INLINE fh_vd fh_abs_d(fh_vd a) { return as_double(as_long(a) & 0x7fffffffffffffff); }
FH_INLINE fh_vmd fh_lt_d(fh_vd a, fh_vd b) { return a < b; }
FH_INLINE fh_vmd fh_gt_d(fh_vd a, fh_vd b) { return a > b; }
FH_INLINE fh_vmd fh_eq_d(fh_vd a, fh_vd b) { return a == b; }
FH_INLINE fh_vmd fh_and_m_d(fh_vmd a, fh_vmd b) { return a & b; }
FH_INLINE fh_vmd fh_or_m_d(fh_vmd a, fh_vmd b) { return a | b; }
FH_INLINE fh_vmd fh_not_m_d(fh_vmd a) { return !a; }
FH_INLINE fh_vd fh_select_d(fh_vmd m, fh_vd a, fh_vd b) { return m ? a : b; }
FH_INLINE fh_vi fh_select_i_d(fh_vmd m, fh_vi a, fh_vi b) { return m ? a : b; }
FH_INLINE fh_vmd fh_lane_below_d(long n) { return fh_lane() < n; }
FH_INLINE double fh_sqrt_d_u(double x) { return FH_SQRT_RN_D(x); }

FH_INLINE fh_vd fh_load_d(fh_f64_in p, long i, long s) { return p[(i + fh_lane()) * s]; }
FH_INLINE fh_vd fh_load_part_d(fh_f64_in p, long i, long n, long s, double fill) {
  const long e = i + fh_lane();
  return e < n ? p[e * s] : fill;
}
FH_INLINE void fh_store_d(fh_f64_out p, long i, long s, fh_vd v) { p[(i + fh_lane()) * s] = v; }
FH_INLINE void fh_store_part_d(fh_f64_out p, long i, long n, long s, fh_vd v) {
  const long e = i + fh_lane();
  if (e < n) p[e * s] = v;
}
FH_INLINE double fh_get_d(fh_f64_in p, long i) { return p[i]; }
FH_INLINE void fh_put_d(fh_f64_out p, long i, double v) {
  if (fh_lane() == 0) p[i] = v;
}

/* A double goes as two halves. */
#define FH_FROM_XOR_D(v, mask) as_double((int2)(FH_BITS_FROM_XOR(as_int2(v).x, mask), FH_BITS_FROM_XOR(as_int2(v).y, mask)))
FH_INLINE double fh_from_first_d(double v) {
  const int2 halves = as_int2(v);
  return as_double((int2)(fh_bits_from_first(halves.x), fh_bits_from_first(halves.y)));
}
#define FH_FOLD_D(NAME, OF, MM)                         \
  FH_INLINE double NAME(fh_vd v) {                      \
    v = OF(v, FH_FROM_XOR_D(v, 8));                     \
    v = OF(v, FH_FROM_XOR_D(v, 4));                     \
    v = OF(v, FH_FROM_XOR_D(v, 2));                     \
    return fh_from_first_d(OF(v, FH_FROM_XOR_D(v, 1))); \
  }
FH_INLINE int fh_first_d(fh_vmd m) { return fh_first(m); }

#elif defined(FH_ON_OPENCL)
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
typedef __global const double *fh_f64_in;
typedef __global double *fh_f64_out;
typedef double16 fh_vd;
typedef long16 fh_vmd; /* 0 or -1 */

FH_INLINE fh_vd fh_splat_d(double a) { return (double16)(a); }
FH_INLINE fh_vd fh_add_d(fh_vd a, fh_vd b) { return a + b; }
FH_INLINE fh_vd fh_sub_d(fh_vd a, fh_vd b) { return a - b; }
FH_INLINE fh_vd fh_mul_d(fh_vd a, fh_vd b) { return a * b; }
FH_INLINE fh_vd fh_div_d(fh_vd a, fh_vd b) { return a / b; }
FH_INLINE fh_vd fh_sqrt_d(fh_vd a) { return sqrt(a); }
FH_INLINE fh_vd fh_min_d(fh_vd a, fh_vd b) { return select(b, a, a < b); }
FH_INLINE fh_vd fh_max_d(fh_vd a, fh_vd b) { return select(b, a, a > b); }
FH_INLINE fh_vd fh_abs_d(fh_vd a) { return as_double16(as_long16(a) & 0x7fffffffffffffff); }
FH_INLINE fh_vmd fh_lt_d(fh_vd a, fh_vd b) { return a < b; }
FH_INLINE fh_vmd fh_gt_d(fh_vd a, fh_vd b) { return a > b; }
FH_INLINE fh_vmd fh_eq_d(fh_vd a, fh_vd b) { return a == b; }
FH_INLINE fh_vmd fh_and_m_d(fh_vmd a, fh_vmd b) { return a & b; }
FH_INLINE fh_vmd fh_or_m_d(fh_vmd a, fh_vmd b) { return a | b; }
FH_INLINE fh_vmd fh_not_m_d(fh_vmd a) { return ~a; }
FH_INLINE fh_vd fh_select_d(fh_vmd m, fh_vd a, fh_vd b) { return select(b, a, m); }
FH_INLINE fh_vi fh_select_i_d(fh_vmd m, fh_vi a, fh_vi b) { return select(b, a, convert_int16(m)); }
FH_INLINE fh_vmd fh_lane_below_d(long n) { return convert_long16(fh_lane_below(n)); }
FH_INLINE double fh_sqrt_d_u(double x) { return sqrt(x); }

FH_INLINE fh_vd fh_load_part_d(fh_f64_in p, long i, long n, long s, double fill) {
  const int count = fh_lanes_left(i, n);
  double lanes[FH_LANES];
  vstore16((double16)(fill), 0, lanes);
  for (int l = 0; l < count; l++) lanes[l] = p[(i + l) * s];
  return vload16(0, lanes);
}
FH_INLINE fh_vd fh_load_d(fh_f64_in p, long i, long s) { return s == 1 ? vload16(0, p + i) : fh_load_part_d(p, i, i + FH_LANES, s, 0.0); }
FH_INLINE void fh_store_part_d(fh_f64_out p, long i, long n, long s, fh_vd v) {
  const int count = fh_lanes_left(i, n);
  double lanes[FH_LANES];
  vstore16(v, 0, lanes);
  for (int l = 0; l < count; l++) p[(i + l) * s] = lanes[l];
}
FH_INLINE void fh_store_d(fh_f64_out p, long i, long s, fh_vd v) {
  if (s == 1)
    vstore16(v, 0, p + i);
  else
    fh_store_part_d(p, i, i + FH_LANES, s, v);
}
FH_INLINE double fh_get_d(fh_f64_in p, long i) { return p[i]; }
FH_INLINE void fh_put_d(fh_f64_out p, long i, double v) { p[i] = v; }

#define FH_STORE_D(v, lanes) vstore16(v, 0, lanes)
#define FH_STORE_M_D(m, lanes) vstore16(m, 0, lanes)
typedef long fh_lane_mask;

#else
/* In C the lanes are registers again, of which there are twice as many. */
#if FH_USE_AVX512
#define FH_PART_D 8
#define FH_EACH_D(S) S(0) S(1)
#elif FH_USE_AVX2
#define FH_PART_D 4
#define FH_EACH_D(S) S(0) S(1) S(2) S(3)
#else
#define FH_PART_D 2
#define FH_EACH_D(S) S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7)
#endif
typedef double fh_f64_element __attribute__((aligned(1), may_alias));
typedef const fh_f64_element *fh_f64_in;
typedef fh_f64_element *fh_f64_out;
typedef double fh_part_d __attribute__((vector_size(8 * FH_PART_D)));
typedef int64_t fh_part_l __attribute__((vector_size(8 * FH_PART_D)));
#define FH_FIELD_D(I) fh_part_d p##I;
#define FH_FIELD_L(I) fh_part_l p##I;
typedef struct fh_vd {
  FH_EACH_D(FH_FIELD_D)
} fh_vd;
typedef struct fh_vmd {
  FH_EACH_D(FH_FIELD_L)
} fh_vmd;

FH_INLINE fh_part_d fh_part_select_d(fh_part_l m, fh_part_d a, fh_part_d b) {
  return (fh_part_d)((m & (fh_part_l)a) | (~m & (fh_part_l)b));
}
#if FH_USE_AVX512
FH_INLINE fh_part_d fh_part_max_d(fh_part_d a, fh_part_d b) { return (fh_part_d)_mm512_max_pd((__m512d)a, (__m512d)b); }
FH_INLINE fh_part_d fh_part_min_d(fh_part_d a, fh_part_d b) { return (fh_part_d)_mm512_min_pd((__m512d)a, (__m512d)b); }
FH_INLINE fh_part_d fh_part_sqrt_d(fh_part_d a) { return (fh_part_d)_mm512_sqrt_pd((__m512d)a); }
#elif FH_USE_AVX2
FH_INLINE fh_part_d fh_part_max_d(fh_part_d a, fh_part_d b) { return (fh_part_d)_mm256_max_pd((__m256d)a, (__m256d)b); }
FH_INLINE fh_part_d fh_part_min_d(fh_part_d a, fh_part_d b) { return (fh_part_d)_mm256_min_pd((__m256d)a, (__m256d)b); }
FH_INLINE fh_part_d fh_part_sqrt_d(fh_part_d a) { return (fh_part_d)_mm256_sqrt_pd((__m256d)a); }
#else
#if FH_USE_SSE
FH_INLINE fh_part_d fh_part_max_d(fh_part_d a, fh_part_d b) { return (fh_part_d)_mm_max_pd((__m128d)a, (__m128d)b); }
FH_INLINE fh_part_d fh_part_min_d(fh_part_d a, fh_part_d b) { return (fh_part_d)_mm_min_pd((__m128d)a, (__m128d)b); }
#else
FH_INLINE fh_part_d fh_part_max_d(fh_part_d a, fh_part_d b) { return fh_part_select_d(a > b, a, b); }
FH_INLINE fh_part_d fh_part_min_d(fh_part_d a, fh_part_d b) { return fh_part_select_d(a < b, a, b); }
#endif
FH_INLINE fh_part_d fh_part_sqrt_d(fh_part_d a) { return (fh_part_d){__builtin_sqrt(a[0]), __builtin_sqrt(a[1])}; }
#endif

/* The steps of prelude_c.h do for any registers. */
#define FH_DEFINE_D1(R, NAME, A, STEP) \
  FH_INLINE R NAME(A a) {              \
    R r;                               \
    FH_EACH_D(STEP)                    \
    return r;                          \
  }
#define FH_DEFINE_D2(R, NAME, A, B, STEP) \
  FH_INLINE R NAME(A a, B b) {            \
    R r;                                  \
    FH_EACH_D(STEP)                       \
    return r;                             \
  }
#define FH_DEFINE_D3(R, NAME, A, B, C, STEP) \
  FH_INLINE R NAME(A a, B b, C c) {          \
    R r;                                     \
    FH_EACH_D(STEP)                          \
    return r;                                \
  }
#define FH_STEP_SPLAT_D(I) r.p##I = a - (fh_part_d){0};
#define FH_STEP_MAX_D(I) r.p##I = fh_part_max_d(a.p##I, b.p##I);
#define FH_STEP_MIN_D(I) r.p##I = fh_part_min_d(a.p##I, b.p##I);
#define FH_STEP_SQRT_D(I) r.p##I = fh_part_sqrt_d(a.p##I);
#define FH_STEP_ABS_D(I) r.p##I = (fh_part_d)((fh_part_l)a.p##I & INT64_MAX);
#define FH_STEP_LT_D(I) r.p##I = (fh_part_l)(a.p##I < b.p##I);
#define FH_STEP_GT_D(I) r.p##I = (fh_part_l)(a.p##I > b.p##I);
#define FH_STEP_EQ_D(I) r.p##I = (fh_part_l)(a.p##I == b.p##I);
#define FH_STEP_NOT_D(I) r.p##I = ~a.p##I;
#define FH_STEP_SELECT_D(I) r.p##I = fh_part_select_d(a.p##I, b.p##I, c.p##I);
FH_DEFINE_D1(fh_vd, fh_splat_d, double, FH_STEP_SPLAT_D)
FH_DEFINE_D2(fh_vd, fh_add_d, fh_vd, fh_vd, FH_STEP_ADD)
FH_DEFINE_D2(fh_vd, fh_sub_d, fh_vd, fh_vd, FH_STEP_SUB)
FH_DEFINE_D2(fh_vd, fh_mul_d, fh_vd, fh_vd, FH_STEP_MUL)
FH_DEFINE_D2(fh_vd, fh_div_d, fh_vd, fh_vd, FH_STEP_DIV)
FH_DEFINE_D1(fh_vd, fh_sqrt_d, fh_vd, FH_STEP_SQRT_D)
FH_DEFINE_D2(fh_vd, fh_min_d, fh_vd, fh_vd, FH_STEP_MIN_D)
FH_DEFINE_D2(fh_vd, fh_max_d, fh_vd, fh_vd, FH_STEP_MAX_D)
FH_DEFINE_D1(fh_vd, fh_abs_d, fh_vd, FH_STEP_ABS_D)
FH_DEFINE_D2(fh_vmd, fh_lt_d, fh_vd, fh_vd, FH_STEP_LT_D)
FH_DEFINE_D2(fh_vmd, fh_gt_d, fh_vd, fh_vd, FH_STEP_GT_D)
FH_DEFINE_D2(fh_vmd, fh_eq_d, fh_vd, fh_vd, FH_STEP_EQ_D)
FH_DEFINE_D2(fh_vmd, fh_and_m_d, fh_vmd, fh_vmd, FH_STEP_AND)
FH_DEFINE_D2(fh_vmd, fh_or_m_d, fh_vmd, fh_vmd, FH_STEP_OR)
FH_DEFINE_D1(fh_vmd, fh_not_m_d, fh_vmd, FH_STEP_NOT_D)
FH_DEFINE_D3(fh_vd, fh_select_d, fh_vmd, fh_vd, fh_vd, FH_STEP_SELECT_D)
FH_INLINE double fh_sqrt_d_u(double x) { return __builtin_sqrt(x); }

typedef int64_t fh_lane_mask;
FH_INLINE fh_vd fh_load_packed_d(const void *p) {
  fh_vd r;
  FH_EACH_D(FH_STEP_LOAD)
  return r;
}
FH_INLINE void FH_STORE_D(fh_vd v, void *p){FH_EACH_D(FH_STEP_STORE)} FH_INLINE
    void FH_STORE_M_D(fh_vmd v, void *p){FH_EACH_D(FH_STEP_STORE)}

/* Lanes of 64 bits choose among lanes of 32. */
FH_INLINE fh_vi fh_select_i_d(fh_vmd m, fh_vi a, fh_vi b) {
  fh_lane_mask wide[FH_LANES];
  int32_t narrow[FH_LANES];
  FH_STORE_M_D(m, wide);
  for (int l = 0; l < FH_LANES; l++) narrow[l] = (int32_t)wide[l];
  const fh_vi chosen = fh_load_packed_i(narrow);
  return fh_or_i(fh_and_i(chosen, a), fh_and_i(fh_sub_i(fh_splat_i(-1), chosen), b));
}

static const fh_lane_mask fh_mask_table_d[2 * FH_LANES] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
FH_INLINE fh_vmd fh_lane_below_d(long n) {
  const char *p = (const char *)(fh_mask_table_d + FH_LANES - fh_lanes_left(0, n));
  fh_vmd r;
  FH_EACH_D(FH_STEP_LOAD)
  return r;
}

FH_INLINE fh_vd fh_load_d(fh_f64_in p, long i, long s) {
  if (s == 1) return fh_load_packed_d(p + i);
  double lanes[FH_LANES];
  for (int l = 0; l < FH_LANES; l++) lanes[l] = p[(i + l) * s];
  return fh_load_packed_d(lanes);
}
FH_INLINE fh_vd fh_load_part_d(fh_f64_in p, long i, long n, long s, double fill) {
  const int count = fh_lanes_left(i, n);
#if FH_USE_AVX512
  if (s == 1) {
    const __m512d f = _mm512_set1_pd(fill);
    const unsigned m = (1u << count) - 1u;
    return (fh_vd){(fh_part_d)_mm512_mask_loadu_pd(f, (__mmask8)m, (const void *)(p + i)),
                   (fh_part_d)_mm512_mask_loadu_pd(f, (__mmask8)(m >> 8), (const void *)(p + i + 8))};
  }
#elif FH_USE_AVX2
  if (s == 1) {
    const fh_vmd m = fh_lane_below_d(count);
    const double *from = (const double *)(const void *)(p + i);
#define FH_STEP_MASKED(I) r.p##I = (fh_part_d)_mm256_maskload_pd(from + 4 * (I), (__m256i)m.p##I);
    fh_vd r;
    FH_EACH_D(FH_STEP_MASKED)
    return fh_select_d(m, r, fh_splat_d(fill));
  }
#endif
  double lanes[FH_LANES];
  for (int l = 0; l < FH_LANES; l++) lanes[l] = fill;
  for (int l = 0; l < count; l++) lanes[l] = p[(i + l) * s];
  return fh_load_packed_d(lanes);
}
FH_INLINE void fh_store_part_d(fh_f64_out p, long i, long n, long s, fh_vd v) {
  const int count = fh_lanes_left(i, n);
  double lanes[FH_LANES];
  FH_STORE_D(v, lanes);
  for (int l = 0; l < count; l++) p[(i + l) * s] = lanes[l];
}
FH_INLINE void fh_store_d(fh_f64_out p, long i, long s, fh_vd v) {
  if (s == 1)
    FH_STORE_D(v, p + i);
  else
    fh_store_part_d(p, i, i + FH_LANES, s, v);
}
FH_INLINE double fh_get_d(fh_f64_in p, long i) { return p[i]; }
FH_INLINE void fh_put_d(fh_f64_out p, long i, double v) { p[i] = v; }
#endif

/* ---- what is the same on all ---- */
FH_INLINE fh_vd fh_add4_d(fh_vd a, fh_vd b, fh_vd c, fh_vd d) { return fh_add_d(fh_add_d(a, b), fh_add_d(c, d)); }
FH_INLINE fh_vd fh_max4_d(fh_vd a, fh_vd b, fh_vd c, fh_vd d) { return fh_max_d(fh_max_d(a, b), fh_max_d(c, d)); }
FH_INLINE fh_vd fh_add_square_d(fh_vd sum, fh_vd a, fh_vd b) {
  const fh_vd difference = fh_sub_d(a, b);
  return fh_add_d(sum, fh_mul_d(difference, difference));
}
#ifndef FH_LANE_PER_THREAD_D
/* The tree 8, 4, 2, 1. */
#if FH_USE_AVX512 || FH_USE_AVX2
#if FH_USE_AVX512
#define FH_LAST_FOUR_D(MM)                                          \
  const __m512d e = _mm512_##MM##_pd((__m512d)v.p0, (__m512d)v.p1); \
  const __m256d q = _mm256_##MM##_pd(_mm512_castpd512_pd256(e), _mm512_extractf64x4_pd(e, 1));
#else
#define FH_LAST_FOUR_D(MM)                                                                                              \
  const __m256d e = _mm256_##MM##_pd((__m256d)v.p0, (__m256d)v.p2), f = _mm256_##MM##_pd((__m256d)v.p1, (__m256d)v.p3); \
  const __m256d q = _mm256_##MM##_pd(e, f);
#endif
#define FH_FOLD_D(NAME, OF, MM)                                                              \
  FH_INLINE double NAME(fh_vd v) {                                                           \
    FH_LAST_FOUR_D(MM)                                                                       \
    const __m128d d = _mm_##MM##_pd(_mm256_castpd256_pd128(q), _mm256_extractf128_pd(q, 1)); \
    return _mm_cvtsd_f64(_mm_##MM##_sd(d, _mm_unpackhi_pd(d, d)));                           \
  }
#else
FH_INLINE double fh_add_d_u(double a, double b) { return a + b; }
FH_INLINE double fh_max_d_u(double a, double b) { return a > b ? a : b; }
FH_INLINE double fh_min_d_u(double a, double b) { return a < b ? a : b; }
#define FH_FOLD_D(NAME, OF, MM)                                                    \
  FH_INLINE double NAME(fh_vd v) {                                                 \
    double lanes[FH_LANES];                                                        \
    FH_STORE_D(v, lanes);                                                          \
    for (int left = FH_LANES / 2; left > 0; left /= 2)                             \
      for (int l = 0; l < left; l++) lanes[l] = OF##_u(lanes[l], lanes[l + left]); \
    return lanes[0];                                                               \
  }
#endif
FH_INLINE int fh_first_d(fh_vmd m) {
#if FH_USE_AVX512
  const unsigned bits = (unsigned)_mm512_movepi64_mask((__m512i)m.p0) | (unsigned)_mm512_movepi64_mask((__m512i)m.p1) << 8;
  return __builtin_ctz(bits | 0x10000u);
#elif FH_USE_AVX2
#define FH_STEP_BITS_D(I) bits |= (unsigned)_mm256_movemask_pd((__m256d)m.p##I) << (4 * (I));
  unsigned bits = 0x10000u;
  FH_EACH_D(FH_STEP_BITS_D)
  return __builtin_ctz(bits);
#else
  fh_lane_mask lanes[FH_LANES];
  int first = 0;
  FH_STORE_M_D(m, lanes);
  while (first < FH_LANES && !lanes[first]) first++;
  return first;
#endif
}
#endif
FH_FOLD_D(fh_sum_of_d, fh_add_d, add)
FH_FOLD_D(fh_max_of_d, fh_max_d, max)
FH_FOLD_D(fh_min_of_d, fh_min_d, min)
FH_INLINE double fh_row_squares_d(fh_f64_in x, long xs, fh_f64_in y, long ys, long d) {
  fh_vd sum = fh_splat_d(0.0);
  long i = 0;
  for (; i + 16 <= d; i += 16) sum = fh_add_square_d(sum, fh_load_d(x, i, xs), fh_load_d(y, i, ys));
  if (i < d) sum = fh_add_square_d(sum, fh_load_part_d(x, i, d, xs, 0.0), fh_load_part_d(y, i, d, ys, 0.0));
  return fh_sum_of_d(sum);
}

/* ---- the names ---- */
#undef FH_INFINITY
#undef FH_NAN
#if defined(FH_ON_PTX) || defined(FH_ON_OPENCL)
#define FH_INFINITY as_double(0x7ff0000000000000)
#define FH_NAN as_double(0x7ff8000000000000)
#else
#define FH_INFINITY __builtin_inf()
#define FH_NAN __builtin_nan("")
#endif
#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wkeyword-macro" /* that it means another type from here on is the point */
#endif
#define float double
#ifdef __clang__
#pragma clang diagnostic pop
#endif
#define fh_f32_in fh_f64_in
#define fh_f32_out fh_f64_out
#define fh_vf fh_vd
#define fh_vm fh_vmd
#define fh_splat fh_splat_d
#define fh_add fh_add_d
#define fh_sub fh_sub_d
#define fh_mul fh_mul_d
#define fh_div fh_div_d
#define fh_sqrt fh_sqrt_d
#define fh_min fh_min_d
#define fh_max fh_max_d
#define fh_abs fh_abs_d
#define fh_lt fh_lt_d
#define fh_gt fh_gt_d
#define fh_eq fh_eq_d
#define fh_and_m fh_and_m_d
#define fh_or_m fh_or_m_d
#define fh_not_m fh_not_m_d
#define fh_select fh_select_d
#define fh_select_i fh_select_i_d
#define fh_lane_below fh_lane_below_d
#define fh_load fh_load_d
#define fh_load_part fh_load_part_d
#define fh_store fh_store_d
#define fh_store_part fh_store_part_d
#define fh_add_square fh_add_square_d
#define fh_row_squares fh_row_squares_d
#define fh_get fh_get_d
#define fh_put fh_put_d
#define fh_first fh_first_d
#define fh_add4 fh_add4_d
#define fh_max4 fh_max4_d
#define fh_sum_of fh_sum_of_d
#define fh_max_of fh_max_of_d
#define fh_min_of fh_min_of_d
#define fh_sqrt_u fh_sqrt_d_u

#endif /* FOGHORN_KERNELS_DIALECT_F64_H_ */
