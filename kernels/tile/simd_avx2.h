/* The vector operations of the tile kernels on AVX2 and FMA; names as in simd_avx512.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_TILE_SIMD_AVX2_H_
#define FOGHORN_KERNELS_TILE_SIMD_AVX2_H_

#include <immintrin.h>

#include "kernels/transpose.h"
#include "kernels/unaligned.h"

enum { FH_LANES = 8, FH_TILE_ROWS = 6 };
#define FH_TILE_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
/* The same from one row on. */
#define FH_TILE_EACH_HEIGHT(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)

typedef __m256 fh_vf;
typedef __m256i fh_vi;
typedef __m256i fh_vm;

static inline fh_vf fh_v_zero(void) { return _mm256_setzero_ps(); }
static inline fh_vf fh_v_set1(float x) { return _mm256_set1_ps(x); }
static inline fh_vf fh_v_load(const void *p) { return _mm256_loadu_ps(p); }
static inline void fh_v_store(void *p, fh_vf v) { _mm256_storeu_ps(p, v); }
static inline fh_vf fh_v_fma(fh_vf a, fh_vf b, fh_vf c) { return _mm256_fmadd_ps(a, b, c); }
/* x b + c: some processors multiply by a single number without spreading it first. */
static inline fh_vf fh_v_fma_by(float x, fh_vf b, fh_vf c) { return fh_v_fma(fh_v_set1(x), b, c); }
static inline fh_vf fh_v_add(fh_vf a, fh_vf b) { return _mm256_add_ps(a, b); }
static inline fh_vf fh_v_sub(fh_vf a, fh_vf b) { return _mm256_sub_ps(a, b); }
static inline fh_vf fh_v_mul(fh_vf a, fh_vf b) { return _mm256_mul_ps(a, b); }
/* The second operand where either is NaN. */
static inline fh_vf fh_v_min(fh_vf a, fh_vf b) { return _mm256_min_ps(a, b); }
static inline fh_vf fh_v_max(fh_vf a, fh_vf b) { return _mm256_max_ps(a, b); }
/* False where either is NaN. */
static inline fh_vm fh_v_less(fh_vf a, fh_vf b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
static inline fh_vi fh_vi_set1(int32_t x) { return _mm256_set1_epi32(x); }
static inline void fh_vi_store(void *p, fh_vi v) { _mm256_storeu_si256(p, v); }
static inline fh_vi fh_vi_select(fh_vm m, fh_vi yes, fh_vi no) { return _mm256_blendv_epi8(no, yes, m); }

/* The first `count` lanes, 0 <= count <= FH_LANES. */
static inline fh_vm fh_vm_first(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
/* Lanes out of the mask are zero and their memory is not touched. */
static inline fh_vf fh_v_load_masked(const void *p, fh_vm m) { return _mm256_maskload_ps(p, m); }
/* Not vmaskmovps: as a store it is microcode on AMD. */
static inline void fh_v_store_first(void *p, fh_vf v, int count) {
  fh_f32_any *out = p;
  if (count >= FH_LANES) {
    _mm256_storeu_ps(p, v);
    return;
  }
  __m128 part = _mm256_castps256_ps128(v);
  if (count & 4) {
    _mm_storeu_ps((void *)out, part);
    part = _mm256_extractf128_ps(v, 1);
    out += 4;
  }
  if (count & 2) {
    _mm_storel_pi((void *)out, part);
    part = _mm_movehl_ps(part, part);
    out += 2;
  }
  if (count & 1) *out = _mm_cvtss_f32(part);
}

/* Half a vector: what is left of a row need not cost a whole one. */
enum { FH_HALF = FH_LANES / 2, FH_MASKED_LOAD = 1, FH_MASKED_STORE = 0 };
typedef __m128 fh_vh;
static inline fh_vh fh_h_zero(void) { return _mm_setzero_ps(); }
static inline fh_vh fh_h_fma_by(float x, fh_vh b, fh_vh c) { return _mm_fmadd_ps(_mm_set1_ps(x), b, c); }
static inline fh_vh fh_h_add(fh_vh a, fh_vh b) { return _mm_add_ps(a, b); }
static inline fh_vh fh_h_load_masked(const void *p, fh_vm m) { return _mm_maskload_ps(p, _mm256_castsi256_si128(m)); }
static inline void fh_h_store(void *p, fh_vh v) { _mm_storeu_ps(p, v); }
static inline void fh_h_store_first(void *p, fh_vh v, int count) { fh_v_store_first(p, _mm256_castps128_ps256(v), count); }

/* v[i] lane j <-> v[j] lane i */
static inline __attribute__((always_inline)) void fh_v_transpose(fh_vf v[static 8]) { fh_transpose_8x8(v); }

static inline uint32_t fh_vm_bits(fh_vm m) { return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(m)); }

/* Lane i is the sum of the lanes of v[i], in the order of the tree 4, 1, 2. */
static inline __attribute__((always_inline)) fh_vf fh_v_sum_each(const fh_vf v[static 8]) {
  __m256 two[4], four[2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++)
    two[i] = _mm256_add_ps(_mm256_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm256_unpackhi_ps(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++)
    four[i] = _mm256_add_ps(_mm256_shuffle_ps(two[2 * i], two[2 * i + 1], 0x44), _mm256_shuffle_ps(two[2 * i], two[2 * i + 1], 0xee));
  return _mm256_add_ps(_mm256_permute2f128_ps(four[0], four[1], 0x20), _mm256_permute2f128_ps(four[0], four[1], 0x31));
}

#include "kernels/tile/turn_avx.h"

#endif /* FOGHORN_KERNELS_TILE_SIMD_AVX2_H_ */
