/* matmul_i8 for AVX-512 VNNI. vpdpbusd sums four products of u8 and s8 in 32 bits and does not saturate.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx512.h"

#include "kernels/matmul_i8/matmul_i8.h"

#define FH_ELEMENT 1
#include "kernels/tile/dot_avx512.h"

typedef __m512i dot_sum;
static inline dot_sum dot_zero(void) { return _mm512_setzero_si512(); }
static inline dot_sum dot_step(dot_sum sum, dot_words x, dot_weights w) { return _mm512_dpbusd_epi32(sum, x, w); }
static inline fh_vf dot_result(dot_sum sum) { return _mm512_castsi512_ps(sum); }
static inline void dot_store(void *p, dot_sum sum) { _mm512_storeu_si512(p, sum); }
static inline fh_vf dot_add(fh_vf a, fh_vf b) {
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}

#define FH_DOT_ENTRY fh_matmul_i8_avx512vnni
#define FH_DOT_SCRATCH fh_matmul_i8_scratch_avx512vnni
#include "kernels/tile/dot_product.h"
