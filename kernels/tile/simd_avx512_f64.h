/* The vector operations of the tile kernels on AVX-512 for doubles: what assign_simd.h needs, names as in simd_avx512.h.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Lanes of whole numbers are as wide as those of reals in a register and 32 bits wide in memory. */
#ifndef FOGHORN_KERNELS_TILE_SIMD_AVX512_F64_H_
#define FOGHORN_KERNELS_TILE_SIMD_AVX512_F64_H_

#include <immintrin.h>

#include "kernels/element.h"

enum { FH_LANES = 8, FH_TILE_ROWS = 14 };
#define FH_TILE_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13)

typedef __m512d fh_vf;
typedef __m512i fh_vi;
typedef __mmask8 fh_vm;

static inline fh_vf fh_v_zero(void) { return _mm512_setzero_pd(); }
static inline fh_vf fh_v_set1(double x) { return _mm512_set1_pd(x); }
static inline fh_vf fh_v_load(const void *p) { return _mm512_loadu_pd(p); }
static inline void fh_v_store(void *p, fh_vf v) { _mm512_storeu_pd(p, v); }
static inline fh_vf fh_v_fma(fh_vf a, fh_vf b, fh_vf c) { return _mm512_fmadd_pd(a, b, c); }
static inline fh_vf fh_v_fma_by(double x, fh_vf b, fh_vf c) { return fh_v_fma(fh_v_set1(x), b, c); }
static inline fh_vf fh_v_add(fh_vf a, fh_vf b) { return _mm512_add_pd(a, b); }
static inline fh_vf fh_v_sub(fh_vf a, fh_vf b) { return _mm512_sub_pd(a, b); }
static inline fh_vf fh_v_mul(fh_vf a, fh_vf b) { return _mm512_mul_pd(a, b); }
/* The second operand where either is NaN. */
static inline fh_vf fh_v_min(fh_vf a, fh_vf b) { return _mm512_min_pd(a, b); }
static inline fh_vf fh_v_max(fh_vf a, fh_vf b) { return _mm512_max_pd(a, b); }
/* False where either is NaN. */
static inline fh_vm fh_v_less(fh_vf a, fh_vf b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
static inline fh_vi fh_vi_set1(int32_t x) { return _mm512_set1_epi64(x); }
static inline void fh_vi_store(void *p, fh_vi v) { _mm256_storeu_si256(p, _mm512_cvtepi64_epi32(v)); }
static inline fh_vi fh_vi_select(fh_vm m, fh_vi yes, fh_vi no) { return _mm512_mask_mov_epi64(no, m, yes); }

/* The first `count` lanes, 0 <= count <= FH_LANES. */
static inline fh_vm fh_vm_first(int count) { return (fh_vm)((1u << count) - 1u); }
/* Lanes out of the mask are zero and their memory is not touched. */
static inline fh_vf fh_v_load_masked(const void *p, fh_vm m) { return _mm512_maskz_loadu_pd(m, p); }
static inline void fh_v_store_first(void *p, fh_vf v, int count) { _mm512_mask_storeu_pd(p, fh_vm_first(count), v); }

/* Lane i is the sum of the lanes of v[i]. */
static inline __attribute__((always_inline)) fh_vf fh_v_sum_each(const fh_vf v[static 8]) {
  __m512d two[4], four[2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++)
    two[i] = _mm512_add_pd(_mm512_unpacklo_pd(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_pd(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) /* quarters 0 2 of both, then 1 3 */
    four[i] = _mm512_add_pd(_mm512_shuffle_f64x2(two[2 * i], two[2 * i + 1], 0x88), _mm512_shuffle_f64x2(two[2 * i], two[2 * i + 1], 0xdd));
  return _mm512_add_pd(_mm512_shuffle_f64x2(four[0], four[1], 0x88), _mm512_shuffle_f64x2(four[0], four[1], 0xdd));
}

#include "kernels/tile/turn_avx_f64.h"

#endif /* FOGHORN_KERNELS_TILE_SIMD_AVX512_F64_H_ */
