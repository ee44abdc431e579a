/* The short vectors of permute_simd.h, for code that is compiled for AVX2 or AVX-512. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_PERMUTE_SHORT_AVX_H_
#define FOGHORN_KERNELS_PERMUTE_SHORT_AVX_H_

#include "kernels/transpose.h"
#include "kernels/unaligned.h"

typedef __m256 eight;
typedef __m128 four;
static inline eight load_eight(const fh_f32_any *p) { return _mm256_loadu_ps((const void *)p); }
static inline void store_eight(fh_f32_any *p, eight v) { _mm256_storeu_ps((void *)p, v); }
static inline four load_four(const fh_f32_any *p) { return _mm_loadu_ps((const void *)p); }
static inline void store_four(fh_f32_any *p, four v) { _mm_storeu_ps((void *)p, v); }
static inline void turn_quad(four v[static 4]) { _MM_TRANSPOSE4_PS(v[0], v[1], v[2], v[3]); }
/* What was stored past the caches is there for whoever is told that this is done. */
static inline void end_stream(void) { _mm_sfence(); }

#endif /* FOGHORN_KERNELS_PERMUTE_SHORT_AVX_H_ */
