/* matmul_i8 for AVX2. vpmaddubsw would saturate in 16 bits, so bytes become 16-bit numbers first: vpmaddwd sums two products
 * in 32 bits. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx2.h"

#include "kernels/matmul_i8/matmul_i8.h"

#define FH_ELEMENT 1
#define FH_DOT_VECTORS 1 /* 8 sums, 2 registers of B, one of A */
#include "kernels/tile/dot_avx2.h"

/* Eight words as 16-bit numbers: the first four, the last four. A sum has two halves for each of them. */
typedef struct dot_pair {
  __m256i low, high;
} dot_words, dot_weights, dot_sum;

static inline dot_words dot_broadcast(int32_t word) {
  const __m256i wide = _mm256_unpacklo_epi8(_mm256_set1_epi32(word), _mm256_setzero_si256());
  return (dot_words){wide, wide};
}
static inline dot_words dot_spread(fh_vf raw) {
  const __m256i bytes = _mm256_castps_si256(raw);
  return (dot_words){_mm256_cvtepu8_epi16(_mm256_castsi256_si128(bytes)), _mm256_cvtepu8_epi16(_mm256_extracti128_si256(bytes, 1))};
}
static inline dot_weights dot_split(fh_vf raw) {
  const __m256i bytes = _mm256_castps_si256(raw);
  return (dot_weights){_mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes)), _mm256_cvtepi8_epi16(_mm256_extracti128_si256(bytes, 1))};
}
static inline dot_sum dot_zero(void) { return (dot_sum){_mm256_setzero_si256(), _mm256_setzero_si256()}; }
static inline dot_sum dot_step(dot_sum sum, dot_words x, dot_weights w) {
  return (dot_sum){_mm256_add_epi32(sum.low, _mm256_madd_epi16(x.low, w.low)),
                   _mm256_add_epi32(sum.high, _mm256_madd_epi16(x.high, w.high))};
}
/* Horizontal additions work within 128 bits: words 0 1 4 5 and 2 3 6 7. */
static inline fh_vf dot_result(dot_sum sum) {
  return _mm256_castsi256_ps(_mm256_permute4x64_epi64(_mm256_hadd_epi32(sum.low, sum.high), 0xd8));
}
static inline void dot_store(void *p, dot_sum sum) { fh_v_store(p, dot_result(sum)); }
static inline fh_vf dot_add(fh_vf a, fh_vf b) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}

#define FH_DOT_ENTRY fh_matmul_i8_avx2
#define FH_DOT_SCRATCH fh_matmul_i8_scratch_avx2
#include "kernels/tile/dot_product.h"
