/* The dialect in C, for one instruction set: 16 lanes are FH_PARTS vector registers. SPDX-License-Identifier: Apache-2.0
 *
 * Registers are named members of a struct, not one wide vector, because gcc keeps a vector wider than a register in memory. The
 * scalar build takes the general path below and no intrinsics: what the compiler makes of it runs on any CPU of the ABI. */
#ifndef FOGHORN_KERNELS_DIALECT_PRELUDE_C_H_
#define FOGHORN_KERNELS_DIALECT_PRELUDE_C_H_

#include "kernels/contract.h"

#ifndef FH_DIALECT_ISA
#error "FH_DIALECT_ISA names the instruction set: scalar, sse42, avx2, avx512 or neon"
#endif

#if !defined(FH_DIALECT_SCALAR) && defined(__AVX512F__)
#include "kernels/transpose.h"
#define FH_USE_AVX512 1
#define FH_PART 16
#define FH_EACH(S) S(0)
#elif !defined(FH_DIALECT_SCALAR) && defined(__AVX2__)
#include "kernels/transpose.h"
#define FH_USE_AVX2 1
#define FH_PART 8
#define FH_EACH(S) S(0) S(1)
#else
#define FH_PART 4
#define FH_EACH(S) S(0) S(1) S(2) S(3)
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#if !defined(FH_DIALECT_SCALAR) && defined(__SSE4_1__)
#include <immintrin.h>
#define FH_USE_SSE 1
#elif !defined(FH_DIALECT_SCALAR) && defined(__ARM_NEON)
#include <arm_neon.h>
#define FH_USE_NEON 1
#endif
#endif

#define FH_INLINE static inline __attribute__((always_inline))
#define FH_OUTLINE static __attribute__((noinline, unused))
#define FH_UNUSED __attribute__((unused))
#define FH_LANES 16
#define FH_INFINITY __builtin_inff()
#define FH_NAN __builtin_nanf("")

/* Elements in memory at any byte address. */
typedef float fh_f32_element __attribute__((aligned(1), may_alias));
typedef int32_t fh_i32_element __attribute__((aligned(1), may_alias));
typedef int64_t fh_i64_element __attribute__((aligned(1), may_alias));
typedef const fh_f32_element *fh_f32_in;
typedef fh_f32_element *fh_f32_out;
typedef uint16_t fh_u16_element __attribute__((aligned(1), may_alias));
typedef const uint8_t *fh_u8_in;
typedef uint8_t *fh_u8_out;
typedef const fh_u16_element *fh_u16_in;
typedef fh_u16_element *fh_u16_out;
typedef const fh_i32_element *fh_i32_in;
typedef const fh_i64_element *fh_i64_in;
typedef fh_i32_element *fh_i32_out;
_Static_assert(sizeof(long) == 8, "the dialect's long has 64 bits");

/* ---- one register ---- */
typedef float fh_part_f __attribute__((vector_size(4 * FH_PART)));
typedef int32_t fh_part_i __attribute__((vector_size(4 * FH_PART)));

#if FH_USE_AVX512
typedef __mmask16 fh_part_m;
#define FH_COMPARE_OPS(NAME, SYMBOL, IMMEDIATE) \
  FH_INLINE fh_part_m NAME(fh_part_f a, fh_part_f b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, IMMEDIATE); }
FH_INLINE fh_part_f fh_part_max(fh_part_f a, fh_part_f b) { return (fh_part_f)_mm512_max_ps((__m512)a, (__m512)b); }
FH_INLINE fh_part_f fh_part_min(fh_part_f a, fh_part_f b) { return (fh_part_f)_mm512_min_ps((__m512)a, (__m512)b); }
FH_INLINE fh_part_f fh_part_sqrt(fh_part_f a) { return (fh_part_f)_mm512_sqrt_ps((__m512)a); }
FH_INLINE fh_part_f fh_part_select(fh_part_m m, fh_part_f a, fh_part_f b) {
  return (fh_part_f)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a);
}
FH_INLINE fh_part_i fh_part_select_i(fh_part_m m, fh_part_i a, fh_part_i b) {
  return (fh_part_i)_mm512_mask_blend_epi32(m, (__m512i)b, (__m512i)a);
}
FH_INLINE fh_part_m fh_part_below(int count) { return (fh_part_m)((1u << count) - 1u); }
#else
typedef fh_part_i fh_part_m;
#define FH_COMPARE_OPS(NAME, SYMBOL, IMMEDIATE) \
  FH_INLINE fh_part_m NAME(fh_part_f a, fh_part_f b) { return (fh_part_m)(a SYMBOL b); }
FH_INLINE fh_part_i fh_part_select_i(fh_part_m m, fh_part_i a, fh_part_i b) { return (m & a) | (~m & b); }
#if FH_USE_AVX2
FH_INLINE fh_part_f fh_part_max(fh_part_f a, fh_part_f b) { return (fh_part_f)_mm256_max_ps((__m256)a, (__m256)b); }
FH_INLINE fh_part_f fh_part_min(fh_part_f a, fh_part_f b) { return (fh_part_f)_mm256_min_ps((__m256)a, (__m256)b); }
FH_INLINE fh_part_f fh_part_sqrt(fh_part_f a) { return (fh_part_f)_mm256_sqrt_ps((__m256)a); }
FH_INLINE fh_part_f fh_part_select(fh_part_m m, fh_part_f a, fh_part_f b) {
  return (fh_part_f)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m);
}
#elif FH_USE_SSE
FH_INLINE fh_part_f fh_part_max(fh_part_f a, fh_part_f b) { return (fh_part_f)_mm_max_ps((__m128)a, (__m128)b); }
FH_INLINE fh_part_f fh_part_min(fh_part_f a, fh_part_f b) { return (fh_part_f)_mm_min_ps((__m128)a, (__m128)b); }
FH_INLINE fh_part_f fh_part_sqrt(fh_part_f a) { return (fh_part_f)_mm_sqrt_ps((__m128)a); }
FH_INLINE fh_part_f fh_part_select(fh_part_m m, fh_part_f a, fh_part_f b) {
  return (fh_part_f)_mm_blendv_ps((__m128)b, (__m128)a, (__m128)m);
}
#else
FH_INLINE fh_part_f fh_part_select(fh_part_m m, fh_part_f a, fh_part_f b) {
  return (fh_part_f)fh_part_select_i(m, (fh_part_i)a, (fh_part_i)b);
}
FH_INLINE fh_part_f fh_part_max(fh_part_f a, fh_part_f b) { return fh_part_select(a > b, a, b); }
FH_INLINE fh_part_f fh_part_min(fh_part_f a, fh_part_f b) { return fh_part_select(a < b, a, b); }
#if FH_USE_NEON
FH_INLINE fh_part_f fh_part_sqrt(fh_part_f a) { return (fh_part_f)vsqrtq_f32((float32x4_t)a); }
#else
FH_INLINE fh_part_f fh_part_sqrt(fh_part_f a) {
  return (fh_part_f){__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])};
}
#endif
#endif
#endif

/* ---- fused multiply-add ----
 * Without an instruction for it: the product is exact in double, the sum is rounded to odd there, and so the one rounding to float
 * that follows is right, to subnormals too (Boldo and Melquiond: Emulation of FMA and correctly rounded sums, 2008). The error of the
 * sum is Knuth's; where it is not 0 and the last bit of the sum is, the sum moves by one towards the exact value. */
#if defined(__FMA__) || defined(__aarch64__)
#define FH_LARGE FH_INLINE
FH_INLINE float fh_fma_u(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
#define FH_LARGE FH_OUTLINE
FH_INLINE float fh_fma_u(float a, float b, float c) {
  const double product = (double)a * (double)b, addend = (double)c;
  double sum = product + addend;
  const double virtual = sum - product;
  const double error = (product - (sum - virtual)) + (addend - virtual); /* NaN for an infinite sum */
  int64_t bits;
  __builtin_memcpy(&bits, &sum, sizeof bits);
  if ((error > 0 || error < 0) && !(bits & 1)) bits += (error < 0) == (sum < 0) ? 1 : -1;
  __builtin_memcpy(&sum, &bits, sizeof bits);
  return (float)sum;
}
#endif

#if FH_USE_AVX512
FH_INLINE fh_part_f fh_part_fma(fh_part_f a, fh_part_f b, fh_part_f c) {
  return (fh_part_f)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
#elif FH_USE_AVX2
FH_INLINE fh_part_f fh_part_fma(fh_part_f a, fh_part_f b, fh_part_f c) {
  return (fh_part_f)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
#elif FH_USE_NEON
FH_INLINE fh_part_f fh_part_fma(fh_part_f a, fh_part_f b, fh_part_f c) {
  return (fh_part_f)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
#elif defined(__SSE2__) /* a part of the x86-64 ABI, so plain C has it too */
FH_INLINE __m128d fh_fma_odd(__m128d a, __m128d b, __m128d c) {
  const __m128d product = _mm_mul_pd(a, b), sum = _mm_add_pd(product, c), virtual = _mm_sub_pd(sum, product);
  const __m128d error = _mm_add_pd(_mm_sub_pd(product, _mm_sub_pd(sum, virtual)), _mm_sub_pd(c, virtual));
  /* All ones where the sum is not exact; false for the NaN of an infinite sum. */
  const __m128i inexact = _mm_castpd_si128(_mm_and_pd(_mm_cmpneq_pd(error, _mm_setzero_pd()), _mm_cmpord_pd(error, error)));
  /* Towards zero where the error points there, and the last bit set: one step from an even sum, none from an odd one. */
  const __m128i inwards = _mm_srli_epi64(_mm_and_si128(inexact, _mm_castpd_si128(_mm_xor_pd(error, sum))), 63);
  const __m128i bits = _mm_sub_epi64(_mm_castpd_si128(sum), inwards);
  return _mm_castsi128_pd(_mm_or_si128(bits, _mm_srli_epi64(inexact, 63)));
}
FH_INLINE fh_part_f fh_part_fma(fh_part_f a, fh_part_f b, fh_part_f c) {
  const __m128 x = (__m128)a, y = (__m128)b, z = (__m128)c;
  const __m128d low = fh_fma_odd(_mm_cvtps_pd(x), _mm_cvtps_pd(y), _mm_cvtps_pd(z));
  const __m128d high = fh_fma_odd(_mm_cvtps_pd(_mm_movehl_ps(x, x)), _mm_cvtps_pd(_mm_movehl_ps(y, y)), _mm_cvtps_pd(_mm_movehl_ps(z, z)));
  return (fh_part_f)_mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}
#else
FH_INLINE fh_part_f fh_part_fma(fh_part_f a, fh_part_f b, fh_part_f c) {
  return (fh_part_f){fh_fma_u(a[0], b[0], c[0]), fh_fma_u(a[1], b[1], c[1]), fh_fma_u(a[2], b[2], c[2]), fh_fma_u(a[3], b[3], c[3])};
}
#endif

FH_COMPARE_OPS(fh_part_lt, <, _CMP_LT_OQ)
FH_COMPARE_OPS(fh_part_le, <=, _CMP_LE_OQ)
FH_COMPARE_OPS(fh_part_gt, >, _CMP_GT_OQ)
FH_COMPARE_OPS(fh_part_ge, >=, _CMP_GE_OQ)
FH_COMPARE_OPS(fh_part_eq, ==, _CMP_EQ_OQ)

/* ---- 16 lanes ---- */
#define FH_FIELD_F(I) fh_part_f p##I;
#define FH_FIELD_I(I) fh_part_i p##I;
#define FH_FIELD_M(I) fh_part_m p##I;
typedef struct fh_vf {
  FH_EACH(FH_FIELD_F)
} fh_vf;
typedef struct fh_vi {
  FH_EACH(FH_FIELD_I)
} fh_vi;
typedef struct fh_vm {
  FH_EACH(FH_FIELD_M)
} fh_vm;

#define FH_DEFINE_1(R, NAME, A, STEP) \
  FH_INLINE R NAME(A a) {             \
    R r;                              \
    FH_EACH(STEP)                     \
    return r;                         \
  }
#define FH_DEFINE_2(R, NAME, A, B, STEP) \
  FH_INLINE R NAME(A a, B b) {           \
    R r;                                 \
    FH_EACH(STEP)                        \
    return r;                            \
  }
#define FH_DEFINE_3(R, NAME, A, B, C, STEP) \
  FH_INLINE R NAME(A a, B b, C c) {         \
    R r;                                    \
    FH_EACH(STEP)                           \
    return r;                               \
  }

/* x - 0 is x, -0 included, so that the compilers make one broadcast of it. */
#define FH_STEP_SPLAT(I) r.p##I = a - (fh_part_f){0};
#define FH_STEP_SPLAT_I(I) r.p##I = a + (fh_part_i){0};
FH_DEFINE_1(fh_vf, fh_splat, float, FH_STEP_SPLAT)
FH_DEFINE_1(fh_vi, fh_splat_i, int, FH_STEP_SPLAT_I)

#define FH_STEP_ADD(I) r.p##I = a.p##I + b.p##I;
#define FH_STEP_SUB(I) r.p##I = a.p##I - b.p##I;
#define FH_STEP_MUL(I) r.p##I = a.p##I * b.p##I;
#define FH_STEP_DIV(I) r.p##I = a.p##I / b.p##I;
#define FH_STEP_AND(I) r.p##I = a.p##I & b.p##I;
#define FH_STEP_OR(I) r.p##I = a.p##I | b.p##I;
#define FH_STEP_SHL(I) r.p##I = (fh_part_i)((fh_part_u)a.p##I << b);
#define FH_STEP_SAR(I) r.p##I = a.p##I >> b;
#define FH_STEP_ADD_I(I) r.p##I = (fh_part_i)((fh_part_u)a.p##I + (fh_part_u)b.p##I);
#define FH_STEP_SUB_I(I) r.p##I = (fh_part_i)((fh_part_u)a.p##I - (fh_part_u)b.p##I);
#define FH_STEP_FMA(I) r.p##I = fh_part_fma(a.p##I, b.p##I, c.p##I);
#define FH_STEP_MUL_I(I) r.p##I = (fh_part_i)((fh_part_u)a.p##I * (fh_part_u)b.p##I);
#define FH_STEP_MAX(I) r.p##I = fh_part_max(a.p##I, b.p##I);
#define FH_STEP_MIN(I) r.p##I = fh_part_min(a.p##I, b.p##I);
#define FH_STEP_SQRT(I) r.p##I = fh_part_sqrt(a.p##I);
#define FH_STEP_NEG(I) r.p##I = -a.p##I;
#define FH_STEP_ABS(I) r.p##I = (fh_part_f)((fh_part_i)a.p##I & 0x7fffffff);
#define FH_STEP_LT(I) r.p##I = fh_part_lt(a.p##I, b.p##I);
#define FH_STEP_LE(I) r.p##I = fh_part_le(a.p##I, b.p##I);
#define FH_STEP_GT(I) r.p##I = fh_part_gt(a.p##I, b.p##I);
#define FH_STEP_GE(I) r.p##I = fh_part_ge(a.p##I, b.p##I);
#define FH_STEP_EQ(I) r.p##I = fh_part_eq(a.p##I, b.p##I);
#define FH_STEP_AND_M(I) r.p##I = (fh_part_m)(a.p##I & b.p##I);
#define FH_STEP_OR_M(I) r.p##I = (fh_part_m)(a.p##I | b.p##I);
#define FH_STEP_NOT_M(I) r.p##I = (fh_part_m)~a.p##I;
#define FH_STEP_SELECT(I) r.p##I = fh_part_select(a.p##I, b.p##I, c.p##I);
#define FH_STEP_SELECT_I(I) r.p##I = fh_part_select_i(a.p##I, b.p##I, c.p##I);
#define FH_STEP_AS_I(I) r.p##I = (fh_part_i)a.p##I;
#define FH_STEP_AS_F(I) r.p##I = (fh_part_f)a.p##I;
#define FH_STEP_TO_F(I) r.p##I = __builtin_convertvector(a.p##I, fh_part_f);
#define FH_STEP_TRUNC_I(I) r.p##I = __builtin_convertvector(a.p##I, fh_part_i);

/* Integer lanes wrap. */
typedef uint32_t fh_part_u __attribute__((vector_size(4 * FH_PART)));

FH_DEFINE_2(fh_vf, fh_add, fh_vf, fh_vf, FH_STEP_ADD)
FH_DEFINE_2(fh_vf, fh_sub, fh_vf, fh_vf, FH_STEP_SUB)
FH_DEFINE_2(fh_vf, fh_mul, fh_vf, fh_vf, FH_STEP_MUL)
FH_DEFINE_2(fh_vf, fh_div, fh_vf, fh_vf, FH_STEP_DIV)
#if FH_USE_AVX512 || FH_USE_AVX2 || FH_USE_NEON
FH_DEFINE_3(fh_vf, fh_fma, fh_vf, fh_vf, fh_vf, FH_STEP_FMA)
#else /* one call is little beside what it does, and hundreds of copies take the compiler minutes */
FH_DEFINE_3(fh_vf, fh_fma_emulated, fh_vf, fh_vf, fh_vf, FH_STEP_FMA)
FH_OUTLINE fh_vf fh_fma(fh_vf a, fh_vf b, fh_vf c) { return fh_fma_emulated(a, b, c); }
#endif
FH_DEFINE_2(fh_vf, fh_min, fh_vf, fh_vf, FH_STEP_MIN)
FH_DEFINE_2(fh_vf, fh_max, fh_vf, fh_vf, FH_STEP_MAX)
FH_DEFINE_1(fh_vf, fh_sqrt, fh_vf, FH_STEP_SQRT)
FH_DEFINE_1(fh_vf, fh_neg, fh_vf, FH_STEP_NEG)
FH_DEFINE_1(fh_vf, fh_abs, fh_vf, FH_STEP_ABS)
FH_DEFINE_2(fh_vm, fh_lt, fh_vf, fh_vf, FH_STEP_LT)
FH_DEFINE_2(fh_vm, fh_le, fh_vf, fh_vf, FH_STEP_LE)
FH_DEFINE_2(fh_vm, fh_gt, fh_vf, fh_vf, FH_STEP_GT)
FH_DEFINE_2(fh_vm, fh_ge, fh_vf, fh_vf, FH_STEP_GE)
FH_DEFINE_2(fh_vm, fh_eq, fh_vf, fh_vf, FH_STEP_EQ)
FH_DEFINE_2(fh_vm, fh_and_m, fh_vm, fh_vm, FH_STEP_AND_M)
FH_DEFINE_2(fh_vm, fh_or_m, fh_vm, fh_vm, FH_STEP_OR_M)
FH_DEFINE_1(fh_vm, fh_not_m, fh_vm, FH_STEP_NOT_M)
FH_DEFINE_3(fh_vf, fh_select, fh_vm, fh_vf, fh_vf, FH_STEP_SELECT)
FH_DEFINE_3(fh_vi, fh_select_i, fh_vm, fh_vi, fh_vi, FH_STEP_SELECT_I)
FH_DEFINE_2(fh_vi, fh_add_i, fh_vi, fh_vi, FH_STEP_ADD_I)
FH_DEFINE_2(fh_vi, fh_sub_i, fh_vi, fh_vi, FH_STEP_SUB_I)
FH_DEFINE_2(fh_vi, fh_mul_i, fh_vi, fh_vi, FH_STEP_MUL_I)
FH_DEFINE_2(fh_vi, fh_and_i, fh_vi, fh_vi, FH_STEP_AND)
FH_DEFINE_2(fh_vi, fh_or_i, fh_vi, fh_vi, FH_STEP_OR)
FH_DEFINE_2(fh_vi, fh_shl_i, fh_vi, int, FH_STEP_SHL)
FH_DEFINE_2(fh_vi, fh_sar_i, fh_vi, int, FH_STEP_SAR)
FH_DEFINE_1(fh_vi, fh_as_i, fh_vf, FH_STEP_AS_I)
FH_DEFINE_1(fh_vf, fh_as_f, fh_vi, FH_STEP_AS_F)
FH_DEFINE_1(fh_vf, fh_to_f, fh_vi, FH_STEP_TO_F)
FH_DEFINE_1(fh_vi, fh_trunc_i, fh_vf, FH_STEP_TRUNC_I)

FH_INLINE float fh_add_u(float a, float b) { return a + b; }
FH_INLINE float fh_mul_u(float a, float b) { return a * b; }
FH_INLINE float fh_sqrt_u(float x) { return __builtin_sqrtf(x); }
FH_INLINE float fh_max_u(float a, float b) { return a > b ? a : b; }
FH_INLINE float fh_min_u(float a, float b) { return a < b ? a : b; }

FH_INLINE int fh_as_i_u(float x) {
  int32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

FH_INLINE bool fh_any(fh_vm m) {
#if FH_USE_AVX512
  return m.p0 != 0;
#elif FH_USE_AVX2
  return _mm256_movemask_ps((__m256)(m.p0 | m.p1)) != 0;
#elif FH_USE_SSE
  return _mm_movemask_ps((__m128)(m.p0 | m.p1 | m.p2 | m.p3)) != 0;
#elif FH_USE_NEON
  return vmaxvq_u32((uint32x4_t)(m.p0 | m.p1 | m.p2 | m.p3)) != 0;
#else
  const fh_part_m p = m.p0 | m.p1 | m.p2 | m.p3;
  return (p[0] | p[1] | p[2] | p[3]) != 0;
#endif
}

#if FH_USE_AVX512
/* One instruction, which takes n as a float and rounds once. */
#define FH_HAS_SCALE 1
FH_INLINE fh_vf fh_scale(fh_vf p, fh_vf n) { return (fh_vf){(fh_part_f)_mm512_scalef_ps((__m512)p.p0, (__m512)n.p0)}; }
#endif

/* ---- memory ---- */
#define FH_STEP_LOAD(I) __builtin_memcpy(&r.p##I, (const char *)p + sizeof r.p0 * (I), sizeof r.p0);
#define FH_STEP_STORE(I) __builtin_memcpy((char *)p + sizeof v.p0 * (I), &v.p##I, sizeof v.p0);

FH_INLINE fh_vf fh_load_packed(const void *p) {
  fh_vf r;
  FH_EACH(FH_STEP_LOAD)
  return r;
}
FH_INLINE fh_vi fh_load_packed_i(const void *p) {
  fh_vi r;
  FH_EACH(FH_STEP_LOAD)
  return r;
}
FH_INLINE void fh_store_packed(void *p, fh_vf v){FH_EACH(FH_STEP_STORE)} FH_INLINE
    void fh_store_packed_i(void *p, fh_vi v){FH_EACH(FH_STEP_STORE)}

FH_INLINE fh_vf fh_load(fh_f32_in p, long i, long s) {
  if (s == 1) return fh_load_packed(p + i);
  float lanes[FH_LANES];
  for (int l = 0; l < FH_LANES; l++) lanes[l] = p[(i + l) * s];
  return fh_load_packed(lanes);
}
FH_INLINE void fh_store(fh_f32_out p, long i, long s, fh_vf v) {
  if (s == 1) {
    fh_store_packed(p + i, v);
    return;
  }
  float lanes[FH_LANES];
  fh_store_packed(lanes, v);
  for (int l = 0; l < FH_LANES; l++) p[(i + l) * s] = lanes[l];
}
/* n - i, but none below 0 and at most all; without branches, because lengths that vary make them the dearest part. */
FH_INLINE int fh_lanes_left(long i, long n) {
  const long left = (n - i) & ~((n - i) >> 63), over = left - FH_LANES;
  return (int)(FH_LANES + (over & (over >> 63)));
}

/* From element 16 - n on: n times -1, then 0. */
static const int32_t fh_mask_table[2 * FH_LANES] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

FH_INLINE fh_vm fh_lane_below(long n) {
  const int count = fh_lanes_left(0, n);
#if FH_USE_AVX512
  return (fh_vm){fh_part_below(count)};
#else
  const fh_vi m = fh_load_packed_i(fh_mask_table + FH_LANES - count);
#define FH_STEP_MASK(I) r.p##I = m.p##I;
  fh_vm r;
  FH_EACH(FH_STEP_MASK)
  return r;
#endif
}

FH_INLINE fh_vf fh_load_part(fh_f32_in p, long i, long n, long s, float fill) {
  const int count = fh_lanes_left(i, n);
#if FH_USE_AVX512
  if (s == 1) return (fh_vf){(fh_part_f)_mm512_mask_loadu_ps(_mm512_set1_ps(fill), fh_part_below(count), (const void *)(p + i))};
#elif FH_USE_AVX2
  if (s == 1) {
    const fh_vm m = fh_lane_below(count);
    const float *from = (const float *)(const void *)(p + i);
    const fh_vf r = {(fh_part_f)_mm256_maskload_ps(from, (__m256i)m.p0), (fh_part_f)_mm256_maskload_ps(from + 8, (__m256i)m.p1)};
    return fh_select(m, r, fh_splat(fill));
  }
#endif
  float lanes[FH_LANES];
  fh_store_packed(lanes, fh_splat(fill));
  for (int l = 0; l < count; l++) lanes[l] = p[(i + l) * s];
  return fh_load_packed(lanes);
}
FH_INLINE void fh_store_part(fh_f32_out p, long i, long n, long s, fh_vf v) {
  const int count = fh_lanes_left(i, n);
#if FH_USE_AVX512
  if (s == 1) {
    _mm512_mask_storeu_ps((void *)(p + i), fh_part_below(count), (__m512)v.p0);
    return;
  }
#elif FH_USE_AVX2
  if (s == 1) {
    const fh_vm m = fh_lane_below(count);
    float *to = (float *)(void *)(p + i);
    _mm256_maskstore_ps(to, (__m256i)m.p0, (__m256)v.p0);
    _mm256_maskstore_ps(to + 8, (__m256i)m.p1, (__m256)v.p1);
    return;
  }
#endif
  float lanes[FH_LANES];
  fh_store_packed(lanes, v);
  for (int l = 0; l < count; l++) p[(i + l) * s] = lanes[l];
}

/* Lane by lane: the gather instructions of x86 are slower than their loads one by one on many CPUs, and never much faster. Places leave
 * their vector and elements enter theirs in registers: a vector that is stored and read back in another width costs twice the time.
 * Whether all lanes are within is one question. */
FH_INLINE bool fh_all_within(fh_vi v, long n) {
  const uint32_t end = n > INT32_MAX ? (uint32_t)INT32_MAX + 1 : (uint32_t)n;
#if FH_USE_AVX512
  return _mm512_cmpge_epu32_mask((__m512i)v.p0, _mm512_set1_epi32((int)end)) == 0;
#else
  typedef uint32_t part_u __attribute__((vector_size(4 * FH_PART)));
  const fh_vi ends = fh_splat_i((int32_t)end);
#define FH_STEP_WITHOUT(I) m.p##I = (fh_part_m)((part_u)v.p##I >= (part_u)ends.p##I);
  fh_vm m;
  FH_EACH(FH_STEP_WITHOUT)
  return !fh_any(m);
#endif
}
FH_OUTLINE fh_vf fh_gather_within(fh_f32_in p, fh_vi v, long n, long s, float fill) {
  int32_t index[FH_LANES];
  float lanes[FH_LANES];
  fh_store_packed_i(index, v);
  for (int l = 0; l < FH_LANES; l++) lanes[l] = (uint64_t)index[l] < (uint64_t)n ? p[index[l] * s] : fill;
  return fh_load_packed(lanes);
}
#if FH_USE_AVX512 || FH_USE_AVX2 || FH_USE_SSE
FH_INLINE __m128 fh_gather_4(fh_f32_in p, __m128i v, long s) {
  const uint64_t low = (uint64_t)_mm_cvtsi128_si64(v), high = (uint64_t)_mm_extract_epi64(v, 1);
  return _mm_setr_ps(p[(long)(uint32_t)low * s], p[(long)(low >> 32) * s], p[(long)(uint32_t)high * s], p[(long)(high >> 32) * s]);
}
#endif
FH_INLINE fh_part_f fh_part_gather(fh_f32_in p, fh_part_i v, long s) {
#if FH_USE_AVX512
  const __m512i w = (__m512i)v;
  __m512 r = _mm512_castps128_ps512(fh_gather_4(p, _mm512_castsi512_si128(w), s));
  r = _mm512_insertf32x4(r, fh_gather_4(p, _mm512_extracti32x4_epi32(w, 1), s), 1);
  r = _mm512_insertf32x4(r, fh_gather_4(p, _mm512_extracti32x4_epi32(w, 2), s), 2);
  return (fh_part_f)_mm512_insertf32x4(r, fh_gather_4(p, _mm512_extracti32x4_epi32(w, 3), s), 3);
#elif FH_USE_AVX2
  const __m256i w = (__m256i)v;
  return (fh_part_f)_mm256_set_m128(fh_gather_4(p, _mm256_extracti128_si256(w, 1), s), fh_gather_4(p, _mm256_castsi256_si128(w), s));
#elif FH_USE_SSE
  return (fh_part_f)fh_gather_4(p, (__m128i)v, s);
#else
  return (fh_part_f){p[v[0] * s], p[v[1] * s], p[v[2] * s], p[v[3] * s]};
#endif
}
#define FH_STEP_GATHER(I) r.p##I = fh_part_gather(p, v.p##I, s);
FH_INLINE fh_vf fh_gather(fh_f32_in p, fh_vi v, long n, long s, float fill) {
  if (!fh_all_within(v, n)) return fh_gather_within(p, v, n, s, fill);
  fh_vf r;
  FH_EACH(FH_STEP_GATHER)
  return r;
}
FH_INLINE void fh_lanes_meet(void) {}
FH_INLINE void fh_count_at(fh_i32_out p, fh_vi v, long n, int tables) {
  int32_t index[FH_LANES];
  fh_store_packed_i(index, v);
  for (int l = 0; l < FH_LANES; l++)
    if ((uint64_t)index[l] < (uint64_t)n) p[(l & (tables - 1)) * n + index[l]]++;
}

/* 16 bytes to 16 ints. */
typedef uint8_t fh_bytes16 __attribute__((vector_size(16)));
FH_INLINE fh_vi fh_widen_u8(fh_bytes16 b) {
#if FH_USE_AVX512
  return (fh_vi){(fh_part_i)_mm512_cvtepu8_epi32((__m128i)b)};
#elif FH_USE_AVX2
  const __m128i v = (__m128i)b;
  return (fh_vi){(fh_part_i)_mm256_cvtepu8_epi32(v), (fh_part_i)_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(v, v))};
#elif FH_USE_SSE
  const __m128i v = (__m128i)b;
  return (fh_vi){(fh_part_i)_mm_cvtepu8_epi32(v), (fh_part_i)_mm_cvtepu8_epi32(_mm_srli_si128(v, 4)),
                 (fh_part_i)_mm_cvtepu8_epi32(_mm_srli_si128(v, 8)), (fh_part_i)_mm_cvtepu8_epi32(_mm_srli_si128(v, 12))};
#elif FH_USE_NEON
  const uint16x8_t low = vmovl_u8(vget_low_u8((uint8x16_t)b)), high = vmovl_u8(vget_high_u8((uint8x16_t)b));
  return (fh_vi){(fh_part_i)vmovl_u16(vget_low_u16(low)), (fh_part_i)vmovl_u16(vget_high_u16(low)),
                 (fh_part_i)vmovl_u16(vget_low_u16(high)), (fh_part_i)vmovl_u16(vget_high_u16(high))};
#else
  int32_t lanes[FH_LANES];
  for (int l = 0; l < FH_LANES; l++) lanes[l] = b[l];
  return fh_load_packed_i(lanes);
#endif
}
FH_INLINE fh_vi fh_load_u8(fh_u8_in p, long i, long s) {
  fh_bytes16 b;
  if (s == 1) {
    __builtin_memcpy(&b, p + i, sizeof b);
    return fh_widen_u8(b);
  }
  int32_t lanes[FH_LANES];
  for (int l = 0; l < FH_LANES; l++) lanes[l] = p[(i + l) * s];
  return fh_load_packed_i(lanes);
}
FH_INLINE fh_vi fh_load_u8_part(fh_u8_in p, long i, long n, long s, int fill) {
  const int count = fh_lanes_left(i, n);
  int32_t lanes[FH_LANES];
  for (int l = 0; l < FH_LANES; l++) lanes[l] = fill;
  for (int l = 0; l < count; l++) lanes[l] = p[(i + l) * s];
  return fh_load_packed_i(lanes);
}

FH_INLINE fh_vi fh_load_i32(fh_i32_in p, long i, long s) { return fh_as_i(fh_load((fh_f32_in)p, i, s)); }
FH_INLINE fh_vi fh_load_i32_part(fh_i32_in p, long i, long n, long s, int fill) {
  float same_bits;
  __builtin_memcpy(&same_bits, &fill, sizeof fill);
  return fh_as_i(fh_load_part((fh_f32_in)p, i, n, s, same_bits));
}
FH_INLINE void fh_store_i32(fh_i32_out p, long i, long s, fh_vi v) { fh_store((fh_f32_out)p, i, s, fh_as_f(v)); }
FH_INLINE void fh_store_i32_part(fh_i32_out p, long i, long n, long s, fh_vi v) { fh_store_part((fh_f32_out)p, i, n, s, fh_as_f(v)); }

/* 16 bits in memory, one register at a time. */
typedef uint16_t fh_part_u16 __attribute__((vector_size(2 * FH_PART)));
#define FH_STEP_LOAD_U16(I)                                              \
  {                                                                      \
    fh_part_u16 in;                                                      \
    __builtin_memcpy(&in, (const char *)p + sizeof in * (I), sizeof in); \
    r.p##I = __builtin_convertvector(in, fh_part_i);                     \
  }
#define FH_STEP_STORE_U16(I)                                              \
  {                                                                       \
    const fh_part_u16 out = __builtin_convertvector(v.p##I, fh_part_u16); \
    __builtin_memcpy((char *)p + sizeof out * (I), &out, sizeof out);     \
  }
FH_INLINE fh_vi fh_load_packed_u16(const void *p) {
  fh_vi r;
  FH_EACH(FH_STEP_LOAD_U16)
  return r;
}
FH_INLINE void fh_store_packed_u16(void *p, fh_vi v) { FH_EACH(FH_STEP_STORE_U16) }

typedef uint8_t fh_part_u8 __attribute__((vector_size(FH_PART)));
#define FH_STEP_STORE_U8(I)                                             \
  {                                                                     \
    const fh_part_u8 out = __builtin_convertvector(v.p##I, fh_part_u8); \
    __builtin_memcpy((char *)p + sizeof out * (I), &out, sizeof out);   \
  }
FH_INLINE void fh_store_packed_u8(void *p, fh_vi v){FH_EACH(FH_STEP_STORE_U8)}

FH_INLINE fh_vi fh_load_u16(fh_u16_in p, long i, long s) {
  if (s == 1) return fh_load_packed_u16(p + i);
  int32_t lanes[FH_LANES];
  for (int l = 0; l < FH_LANES; l++) lanes[l] = p[(i + l) * s];
  return fh_load_packed_i(lanes);
}
FH_INLINE fh_vi fh_load_u16_part(fh_u16_in p, long i, long n, long s, int fill) {
  const int count = fh_lanes_left(i, n);
  int32_t lanes[FH_LANES];
  for (int l = 0; l < FH_LANES; l++) lanes[l] = fill;
  for (int l = 0; l < count; l++) lanes[l] = p[(i + l) * s];
  return fh_load_packed_i(lanes);
}
#define FH_DEFINE_NARROW_STORE(TYPE, ELEMENT)                                                 \
  FH_INLINE void fh_store_##TYPE##_part(fh_##TYPE##_out p, long i, long n, long s, fh_vi v) { \
    const int count = fh_lanes_left(i, n);                                                    \
    int32_t lanes[FH_LANES];                                                                  \
    fh_store_packed_i(lanes, v);                                                              \
    for (int l = 0; l < count; l++) p[(i + l) * s] = (ELEMENT)lanes[l];                       \
  }
FH_DEFINE_NARROW_STORE(u16, uint16_t)
FH_DEFINE_NARROW_STORE(u8, uint8_t)
FH_INLINE void fh_store_u16(fh_u16_out p, long i, long s, fh_vi v) {
  if (s == 1)
    fh_store_packed_u16(p + i, v);
  else
    fh_store_u16_part(p, i, i + FH_LANES, s, v);
}
FH_INLINE void fh_store_u8(fh_u8_out p, long i, long s, fh_vi v) {
  if (s == 1)
    fh_store_packed_u8(p + i, v);
  else
    fh_store_u8_part(p, i, i + FH_LANES, s, v);
}

/* Channel k of 16 interleaved pixels: bytes 3 l + k of three vectors. */
#if FH_USE_AVX512 || FH_USE_AVX2 || FH_USE_SSE
FH_INLINE fh_bytes16 fh_shuffle(fh_bytes16 v, fh_bytes16 order) { return (fh_bytes16)_mm_shuffle_epi8((__m128i)v, (__m128i)order); }
FH_INLINE void fh_load_u8x3(fh_u8_in p, long i, fh_vi *a, fh_vi *b, fh_vi *c) {
  enum { Z = 128 }; /* the shuffle gives 0 for it */
  fh_bytes16 u, v, w;
  __builtin_memcpy(&u, p + 3 * i, 16);
  __builtin_memcpy(&v, p + 3 * i + 16, 16);
  __builtin_memcpy(&w, p + 3 * i + 32, 16);
  *a = fh_widen_u8(fh_shuffle(u, (fh_bytes16){0, 3, 6, 9, 12, 15, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z}) |
                   fh_shuffle(v, (fh_bytes16){Z, Z, Z, Z, Z, Z, 2, 5, 8, 11, 14, Z, Z, Z, Z, Z}) |
                   fh_shuffle(w, (fh_bytes16){Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, 1, 4, 7, 10, 13}));
  *b = fh_widen_u8(fh_shuffle(u, (fh_bytes16){1, 4, 7, 10, 13, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z}) |
                   fh_shuffle(v, (fh_bytes16){Z, Z, Z, Z, Z, 0, 3, 6, 9, 12, 15, Z, Z, Z, Z, Z}) |
                   fh_shuffle(w, (fh_bytes16){Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, 2, 5, 8, 11, 14}));
  *c = fh_widen_u8(fh_shuffle(u, (fh_bytes16){2, 5, 8, 11, 14, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z}) |
                   fh_shuffle(v, (fh_bytes16){Z, Z, Z, Z, Z, 1, 4, 7, 10, 13, Z, Z, Z, Z, Z, Z}) |
                   fh_shuffle(w, (fh_bytes16){Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, 0, 3, 6, 9, 12, 15}));
}
#elif FH_USE_NEON
FH_INLINE void fh_load_u8x3(fh_u8_in p, long i, fh_vi *a, fh_vi *b, fh_vi *c) {
  const uint8x16x3_t v = vld3q_u8(p + 3 * i);
  *a = fh_widen_u8((fh_bytes16)v.val[0]);
  *b = fh_widen_u8((fh_bytes16)v.val[1]);
  *c = fh_widen_u8((fh_bytes16)v.val[2]);
}
#else
FH_INLINE void fh_load_u8x3(fh_u8_in p, long i, fh_vi *a, fh_vi *b, fh_vi *c) {
  *a = fh_load_u8(p, i, 3);
  *b = fh_load_u8(p + 1, i, 3);
  *c = fh_load_u8(p + 2, i, 3);
}
#endif

/* ---- sixteen rows at once ---- */
/* by NULL: times one */
FH_INLINE void fh_turn_rows(fh_f32_in p, long s, long rows, fh_f32_in by, long bs, fh_f32_out out, long step) {
#if FH_USE_AVX512
  __m512 v[16];
  for (int l = 0; l < 16; l++) v[l] = l < rows ? _mm512_loadu_ps((const void *)(p + l * s)) : _mm512_setzero_ps();
  fh_transpose_16x16(v);
  for (int e = 0; e < 16; e++) _mm512_storeu_ps((void *)(out + e * step), by ? _mm512_mul_ps(v[e], _mm512_set1_ps(by[e * bs])) : v[e]);
#elif FH_USE_AVX2
  for (int half = 0; half < 16; half += 8) {
    for (int e = 0; e < 16; e += 8) {
      __m256 v[8];
      for (int l = 0; l < 8; l++) v[l] = half + l < rows ? _mm256_loadu_ps((const void *)(p + (half + l) * s + e)) : _mm256_setzero_ps();
      fh_transpose_8x8(v);
      for (int k = 0; k < 8; k++)
        _mm256_storeu_ps((void *)(out + (e + k) * step + half), by ? _mm256_mul_ps(v[k], _mm256_set1_ps(by[(e + k) * bs])) : v[k]);
    }
  }
#else
  for (int e = 0; e < FH_LANES; e++) {
    float lanes[FH_LANES] = {0};
    for (int l = 0; l < FH_LANES && l < rows; l++) lanes[l] = by ? p[l * s + e] * by[e * bs] : p[l * s + e];
    fh_store_packed(out + e * step, fh_load_packed(lanes));
  }
#endif
}
FH_INLINE void fh_turn_in(fh_f32_in p, long s, long rows, fh_f32_out out, long step) { fh_turn_rows(p, s, rows, 0, 0, out, step); }
FH_INLINE void fh_turn_in_by(fh_f32_in p, long s, long rows, fh_f32_in by, long bs, fh_f32_out out, long step) {
  fh_turn_rows(p, s, rows, by, bs, out, step);
}
FH_INLINE void fh_turn_out(fh_f32_in in, long step, long rows, fh_f32_out p, long s) {
#if FH_USE_AVX512
  __m512 v[16];
  for (int e = 0; e < 16; e++) v[e] = _mm512_loadu_ps((const void *)(in + e * step));
  fh_transpose_16x16(v);
  for (int l = 0; l < 16; l++)
    if (l < rows) _mm512_storeu_ps((void *)(p + l * s), v[l]);
#elif FH_USE_AVX2
  for (int half = 0; half < 16; half += 8) {
    for (int e = 0; e < 16; e += 8) {
      __m256 v[8];
      for (int k = 0; k < 8; k++) v[k] = _mm256_loadu_ps((const void *)(in + (e + k) * step + half));
      fh_transpose_8x8(v);
      for (int l = 0; l < 8; l++)
        if (half + l < rows) _mm256_storeu_ps((void *)(p + (half + l) * s + e), v[l]);
    }
  }
#else
  for (int l = 0; l < FH_LANES && l < rows; l++)
    for (int e = 0; e < FH_LANES; e++) p[l * s + e] = in[e * step + l];
#endif
}

FH_INLINE float fh_get(fh_f32_in p, long i) { return p[i]; }
FH_INLINE void fh_put(fh_f32_out p, long i, float v) { p[i] = v; }
FH_INLINE int fh_get_u8(fh_u8_in p, long i) { return p[i]; }
FH_INLINE int fh_get_i8(fh_u8_in p, long i) { return (int8_t)p[i]; }
FH_INLINE float fh_get_bf16(fh_u16_in p, long i) {
  const uint32_t bits = (uint32_t)p[i] << 16;
  float f;
  __builtin_memcpy(&f, &bits, sizeof f);
  return f;
}
FH_INLINE int fh_get_i32(fh_i32_in p, long i) { return p[i]; }
FH_INLINE long fh_get_i64(fh_i64_in p, long i) { return p[i]; }
FH_INLINE void fh_put_i32(fh_i32_out p, long i, int v) { p[i] = v; }
FH_INLINE float fh_get_put(fh_f32_out p, long i) { return p[i]; }
FH_INLINE int fh_get_put_i32(fh_i32_out p, long i) { return p[i]; }
FH_INLINE void fh_increment(fh_i32_out p, long i) { p[i]++; }

/* ---- stores past the caches ---- */
#if FH_USE_AVX512 || FH_USE_AVX2 || FH_USE_SSE
FH_INLINE long fh_stream_head(fh_f32_out p) { /* NOLINT(readability-non-const-parameter): the type is the dialect's */
  const uintptr_t at = (uintptr_t)p;
  return at % sizeof(float) ? -1 : (long)((0 - at) % 64 / sizeof(float));
}
#if FH_USE_AVX512
#define FH_STEP_STREAM(I) _mm512_stream_ps((float *)(void *)(p + i) + FH_PART * (I), (__m512)v.p##I);
#elif FH_USE_AVX2
#define FH_STEP_STREAM(I) _mm256_stream_ps((float *)(void *)(p + i) + FH_PART * (I), (__m256)v.p##I);
#else
#define FH_STEP_STREAM(I) _mm_stream_ps((float *)(void *)(p + i) + FH_PART * (I), (__m128)v.p##I);
#endif
FH_INLINE void fh_stream_end(void) { _mm_sfence(); }
FH_INLINE void fh_store_stream(fh_f32_out p, long i, fh_vf v){FH_EACH(FH_STEP_STREAM)}
#else
FH_INLINE long fh_stream_head(fh_f32_out p) {
  (void)p;
  return -1;
}
FH_INLINE void fh_store_stream(fh_f32_out p, long i, fh_vf v) { fh_store(p, i, 1, v); }
FH_INLINE void fh_stream_end(void) {}
#endif

/* ---- the first lane ---- */
FH_INLINE int fh_first(fh_vm m) {
#if FH_USE_AVX512
  const unsigned bits = m.p0;
#elif FH_USE_AVX2
  const unsigned bits = (unsigned)_mm256_movemask_ps((__m256)m.p0) | (unsigned)_mm256_movemask_ps((__m256)m.p1) << 8;
#elif FH_USE_SSE
  const __m128i low = _mm_packs_epi32((__m128i)m.p0, (__m128i)m.p1), high = _mm_packs_epi32((__m128i)m.p2, (__m128i)m.p3);
  const unsigned bits = (unsigned)_mm_movemask_epi8(_mm_packs_epi16(low, high));
#else
  unsigned bits = 0;
#define FH_STEP_BITS(I) \
  for (int l = 0; l < FH_PART; l++) bits |= (unsigned)(m.p##I[l] & 1) << (FH_PART * (I) + l);
  FH_EACH(FH_STEP_BITS)
#endif
  return __builtin_ctz(bits | 0x10000u);
}

/* ---- reductions: the tree 8, 4, 2, 1 ---- */
#if FH_USE_AVX512
#define FH_DEFINE_FOLD(NAME, MM, SCALAR)                                                             \
  FH_INLINE float NAME(fh_vf v) {                                                                    \
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd((__m512)v.p0), 1)); \
    const __m256 e = _mm256_##MM##_ps(_mm512_castps512_ps256((__m512)v.p0), high);                   \
    const __m128 q = _mm_##MM##_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));          \
    const __m128 d = _mm_##MM##_ps(q, _mm_movehl_ps(q, q));                                          \
    return _mm_cvtss_f32(_mm_##MM##_ss(d, _mm_shuffle_ps(d, d, 1)));                                 \
  }
#elif FH_USE_AVX2
#define FH_DEFINE_FOLD(NAME, MM, SCALAR)                                                    \
  FH_INLINE float NAME(fh_vf v) {                                                           \
    const __m256 e = _mm256_##MM##_ps((__m256)v.p0, (__m256)v.p1);                          \
    const __m128 q = _mm_##MM##_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1)); \
    const __m128 d = _mm_##MM##_ps(q, _mm_movehl_ps(q, q));                                 \
    return _mm_cvtss_f32(_mm_##MM##_ss(d, _mm_shuffle_ps(d, d, 1)));                        \
  }
#elif FH_USE_SSE
#define FH_DEFINE_FOLD(NAME, MM, SCALAR)                                                                                  \
  FH_INLINE float NAME(fh_vf v) {                                                                                         \
    const __m128 q = _mm_##MM##_ps(_mm_##MM##_ps((__m128)v.p0, (__m128)v.p2), _mm_##MM##_ps((__m128)v.p1, (__m128)v.p3)); \
    const __m128 d = _mm_##MM##_ps(q, _mm_movehl_ps(q, q));                                                               \
    return _mm_cvtss_f32(_mm_##MM##_ss(d, _mm_shuffle_ps(d, d, 1)));                                                      \
  }
#else
FH_INLINE fh_part_f fh_part_add(fh_part_f a, fh_part_f b) { return a + b; }
#define FH_DEFINE_FOLD(NAME, MM, SCALAR)                                                  \
  FH_INLINE float NAME(fh_vf v) {                                                         \
    const fh_part_f q = fh_part_##MM(fh_part_##MM(v.p0, v.p2), fh_part_##MM(v.p1, v.p3)); \
    return SCALAR(SCALAR(q[0], q[2]), SCALAR(q[1], q[3]));                                \
  }
#endif
FH_DEFINE_FOLD(fh_sum_of, add, fh_add_u) FH_DEFINE_FOLD(fh_max_of, max, fh_max_u) FH_DEFINE_FOLD(fh_min_of, min, fh_min_u)

#include "kernels/dialect/entry_c.h"

/* NAME: FUNCTION of one lane after the other. */
#define FH_DEFINE_LANEWISE(NAME, FUNCTION)                                   \
  FH_INLINE void NAME(fh_vf x, fh_vf *first, fh_vf *second, fh_vi *whole) {  \
    float in[FH_LANES], a[FH_LANES], b[FH_LANES];                            \
    int32_t i[FH_LANES];                                                     \
    fh_store_packed(in, x);                                                  \
    for (int l = 0; l < FH_LANES; l++) FUNCTION(in[l], &a[l], &b[l], &i[l]); \
    *first = fh_load_packed(a);                                              \
    *second = fh_load_packed(b);                                             \
    *whole = fh_load_packed_i(i);                                            \
  }

#include "kernels/dialect/dialect.h"

#endif /* FOGHORN_KERNELS_DIALECT_PRELUDE_C_H_ */
