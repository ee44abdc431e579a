/* The vector operations of the tile kernels on AVX-512 (F, BW, DQ, VL). SPDX-License-Identifier: Apache-2.0
 *
 * simd_<isa>.h gives every ISA the same names: fh_vf (FH_LANES floats), fh_vi, fh_vm (a lane mask), and
 * FH_TILE_ROWS: accumulator rows of two vectors each that fit the register file.
 */
#ifndef FOGHORN_KERNELS_TILE_SIMD_AVX512_H_
#define FOGHORN_KERNELS_TILE_SIMD_AVX512_H_

#include <immintrin.h>

#include "kernels/transpose.h"
#include "kernels/unaligned.h"

enum { FH_LANES = 16, FH_TILE_ROWS = 14 };
#define FH_TILE_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13)
/* The same from one row on. */
#define FH_TILE_EACH_HEIGHT(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)

typedef __m512 fh_vf;
typedef __m512i fh_vi;
typedef __mmask16 fh_vm;

static inline fh_vf fh_v_zero(void) { return _mm512_setzero_ps(); }
static inline fh_vf fh_v_set1(float x) { return _mm512_set1_ps(x); }
static inline fh_vf fh_v_load(const void *p) { return _mm512_loadu_ps(p); }
static inline void fh_v_store(void *p, fh_vf v) { _mm512_storeu_ps(p, v); }
static inline fh_vf fh_v_fma(fh_vf a, fh_vf b, fh_vf c) { return _mm512_fmadd_ps(a, b, c); }
/* x b + c: some processors multiply by a single number without spreading it first. */
static inline fh_vf fh_v_fma_by(float x, fh_vf b, fh_vf c) { return fh_v_fma(fh_v_set1(x), b, c); }
static inline fh_vf fh_v_add(fh_vf a, fh_vf b) { return _mm512_add_ps(a, b); }
static inline fh_vf fh_v_sub(fh_vf a, fh_vf b) { return _mm512_sub_ps(a, b); }
static inline fh_vf fh_v_mul(fh_vf a, fh_vf b) { return _mm512_mul_ps(a, b); }
/* The second operand where either is NaN. */
static inline fh_vf fh_v_min(fh_vf a, fh_vf b) { return _mm512_min_ps(a, b); }
static inline fh_vf fh_v_max(fh_vf a, fh_vf b) { return _mm512_max_ps(a, b); }
/* False where either is NaN. */
static inline fh_vm fh_v_less(fh_vf a, fh_vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline fh_vi fh_vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
static inline void fh_vi_store(void *p, fh_vi v) { _mm512_storeu_si512(p, v); }
static inline fh_vi fh_vi_select(fh_vm m, fh_vi yes, fh_vi no) { return _mm512_mask_mov_epi32(no, m, yes); }

/* The first `count` lanes, 0 <= count <= FH_LANES. */
static inline fh_vm fh_vm_first(int count) { return (fh_vm)((1u << count) - 1u); }
/* Lanes out of the mask are zero and their memory is not touched. */
static inline fh_vf fh_v_load_masked(const void *p, fh_vm m) { return _mm512_maskz_loadu_ps(m, p); }
static inline void fh_v_store_first(void *p, fh_vf v, int count) { _mm512_mask_storeu_ps(p, fh_vm_first(count), v); }

/* Half a vector: what is left of a row need not cost a whole one. */
enum { FH_HALF = FH_LANES / 2, FH_MASKED_LOAD = 1, FH_MASKED_STORE = 1 };
typedef __m256 fh_vh;
static inline fh_vh fh_h_zero(void) { return _mm256_setzero_ps(); }
static inline fh_vh fh_h_fma_by(float x, fh_vh b, fh_vh c) { return _mm256_fmadd_ps(_mm256_set1_ps(x), b, c); }
static inline fh_vh fh_h_add(fh_vh a, fh_vh b) { return _mm256_add_ps(a, b); }
static inline fh_vh fh_h_load_masked(const void *p, fh_vm m) { return _mm256_maskz_loadu_ps((__mmask8)m, p); }
static inline void fh_h_store(void *p, fh_vh v) { _mm256_storeu_ps(p, v); }
static inline void fh_h_store_first(void *p, fh_vh v, int count) { _mm256_mask_storeu_ps(p, (__mmask8)fh_vm_first(count), v); }

/* v[i] lane j <-> v[j] lane i */
static inline __attribute__((always_inline)) void fh_v_transpose(fh_vf v[static 16]) { fh_transpose_16x16(v); }

static inline uint32_t fh_vm_bits(fh_vm m) { return m; }

/* Lane i is the sum of the lanes of v[i]. */
static inline __attribute__((always_inline)) fh_vf fh_v_sum_each(const fh_vf v[static 16]) {
  __m512 two[8], four[4], eight[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++)
    two[i] = _mm512_add_ps(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++)
    four[i] = _mm512_add_ps(_mm512_shuffle_ps(two[2 * i], two[2 * i + 1], 0x44), _mm512_shuffle_ps(two[2 * i], two[2 * i + 1], 0xee));
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) /* quarters 0 2 of both, then 1 3 */
    eight[i] =
        _mm512_add_ps(_mm512_shuffle_f32x4(four[2 * i], four[2 * i + 1], 0x88), _mm512_shuffle_f32x4(four[2 * i], four[2 * i + 1], 0xdd));
  return _mm512_add_ps(_mm512_shuffle_f32x4(eight[0], eight[1], 0x88), _mm512_shuffle_f32x4(eight[0], eight[1], 0xdd));
}

/* Turned loads work on eight lanes: half the shuffles that sixteen need. */
#include "kernels/tile/turn_avx.h"

#endif /* FOGHORN_KERNELS_TILE_SIMD_AVX512_H_ */
