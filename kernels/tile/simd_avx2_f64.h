/* The vector operations of the tile kernels on AVX2 and FMA for doubles: what assign_simd.h needs, names as in simd_avx512.h.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Lanes of whole numbers are as wide as those of reals in a register and 32 bits wide in memory. */
#ifndef FOGHORN_KERNELS_TILE_SIMD_AVX2_F64_H_
#define FOGHORN_KERNELS_TILE_SIMD_AVX2_F64_H_

#include <immintrin.h>

#include "kernels/element.h"

enum { FH_LANES = 4, FH_TILE_ROWS = 6 };
#define FH_TILE_EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)

typedef __m256d fh_vf;
typedef __m256i fh_vi;
typedef __m256i fh_vm;

static inline fh_vf fh_v_zero(void) { return _mm256_setzero_pd(); }
static inline fh_vf fh_v_set1(double x) { return _mm256_set1_pd(x); }
static inline fh_vf fh_v_load(const void *p) { return _mm256_loadu_pd(p); }
static inline void fh_v_store(void *p, fh_vf v) { _mm256_storeu_pd(p, v); }
static inline fh_vf fh_v_fma(fh_vf a, fh_vf b, fh_vf c) { return _mm256_fmadd_pd(a, b, c); }
static inline fh_vf fh_v_fma_by(double x, fh_vf b, fh_vf c) { return fh_v_fma(fh_v_set1(x), b, c); }
static inline fh_vf fh_v_add(fh_vf a, fh_vf b) { return _mm256_add_pd(a, b); }
static inline fh_vf fh_v_sub(fh_vf a, fh_vf b) { return _mm256_sub_pd(a, b); }
static inline fh_vf fh_v_mul(fh_vf a, fh_vf b) { return _mm256_mul_pd(a, b); }
/* The second operand where either is NaN. */
static inline fh_vf fh_v_min(fh_vf a, fh_vf b) { return _mm256_min_pd(a, b); }
static inline fh_vf fh_v_max(fh_vf a, fh_vf b) { return _mm256_max_pd(a, b); }
/* False where either is NaN. */
static inline fh_vm fh_v_less(fh_vf a, fh_vf b) { return _mm256_castpd_si256(_mm256_cmp_pd(a, b, _CMP_LT_OQ)); }
static inline fh_vi fh_vi_set1(int32_t x) { return _mm256_set1_epi64x(x); }
static inline void fh_vi_store(void *p, fh_vi v) {
  const __m256i lower_halves = _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
  _mm_storeu_si128(p, _mm256_castsi256_si128(lower_halves));
}
static inline fh_vi fh_vi_select(fh_vm m, fh_vi yes, fh_vi no) { return _mm256_blendv_epi8(no, yes, m); }

/* The first `count` lanes, 0 <= count <= FH_LANES. */
static inline fh_vm fh_vm_first(int count) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3)); }
/* Lanes out of the mask are zero and their memory is not touched. */
static inline fh_vf fh_v_load_masked(const void *p, fh_vm m) { return _mm256_maskload_pd(p, m); }
/* Not vmaskmovpd: as a store it is microcode on AMD. */
static inline void fh_v_store_first(void *p, fh_vf v, int count) {
  fh_element_any *out = p;
  if (count >= FH_LANES) {
    _mm256_storeu_pd(p, v);
    return;
  }
  __m128d part = _mm256_castpd256_pd128(v);
  if (count & 2) {
    _mm_storeu_pd((void *)out, part);
    part = _mm256_extractf128_pd(v, 1);
    out += 2;
  }
  if (count & 1) *out = _mm_cvtsd_f64(part);
}

/* Lane i is the sum of the lanes of v[i]. */
static inline __attribute__((always_inline)) fh_vf fh_v_sum_each(const fh_vf v[static 4]) {
  const __m256d a = _mm256_add_pd(_mm256_unpacklo_pd(v[0], v[1]), _mm256_unpackhi_pd(v[0], v[1]));
  const __m256d b = _mm256_add_pd(_mm256_unpacklo_pd(v[2], v[3]), _mm256_unpackhi_pd(v[2], v[3]));
  return _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
}

#include "kernels/tile/turn_avx_f64.h"

#endif /* FOGHORN_KERNELS_TILE_SIMD_AVX2_F64_H_ */
