/* matmul_bf16 for AVX2 and FMA: a word is split into two f32. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx2.h"

#include "kernels/matmul_bf16/matmul_bf16.h"

#define FH_ELEMENT 2
#define FH_DOT_VECTORS 2 /* 8 sums, 4 registers of B, 2 of A */
#include "kernels/tile/dot_avx2.h"

typedef struct dot_pair {
  __m256 first, second;
} dot_words, dot_weights;
typedef __m256 dot_sum;

static inline dot_words dot_spread(fh_vf raw) {
  return (dot_words){_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(raw), 16)),
                     _mm256_and_ps(raw, _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000)))};
}
static inline dot_words dot_broadcast(int32_t word) { return dot_spread(_mm256_castsi256_ps(_mm256_set1_epi32(word))); }
static inline dot_weights dot_split(fh_vf raw) { return dot_spread(raw); }
static inline dot_sum dot_zero(void) { return _mm256_setzero_ps(); }
static inline dot_sum dot_step(dot_sum sum, dot_words x, dot_weights w) {
  return _mm256_fmadd_ps(x.second, w.second, _mm256_fmadd_ps(x.first, w.first, sum));
}
static inline fh_vf dot_result(dot_sum sum) { return sum; }
static inline void dot_store(void *p, dot_sum sum) { fh_v_store(p, sum); }
static inline fh_vf dot_add(fh_vf a, fh_vf b) { return _mm256_add_ps(a, b); }

#define FH_DOT_ENTRY fh_matmul_bf16_avx2
#define FH_DOT_SCRATCH fh_matmul_bf16_scratch_avx2
#include "kernels/tile/dot_product.h"
