/* matmul_bf16 for AVX-512 BF16. vdpbf16ps adds two products to each f32, one after the other. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tile/simd_avx512.h"

#include "kernels/matmul_bf16/matmul_bf16.h"

#define FH_ELEMENT 2
#include "kernels/tile/dot_avx512.h"

typedef __m512 dot_sum;
static inline dot_sum dot_zero(void) { return _mm512_setzero_ps(); }
static inline dot_sum dot_step(dot_sum sum, dot_words x, dot_weights w) { return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w); }
static inline fh_vf dot_result(dot_sum sum) { return sum; }
static inline void dot_store(void *p, dot_sum sum) { _mm512_storeu_ps(p, sum); }
static inline fh_vf dot_add(fh_vf a, fh_vf b) { return _mm512_add_ps(a, b); }

#define FH_DOT_ENTRY fh_matmul_bf16_avx512bf16
#define FH_DOT_SCRATCH fh_matmul_bf16_scratch_avx512bf16
#include "kernels/tile/dot_product.h"
