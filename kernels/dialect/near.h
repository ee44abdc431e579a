/* Elements by their numbers where 16 neighbours ask for what lies close together. SPDX-License-Identifier: Apache-2.0
 *
 * fh_gather_near(p, v, n): fh_gather with stride 1, for numbers in [0, n). Where the numbers of a vector are less than a few vectors apart,
 * these are loaded whole and permuted: resize from 224 to 448 pixels took 0.27 of the time that it took with a load for each lane (AVX-512,
 * Zen 4). Behind the n elements there must be FH_NEAR_SPARE more, which may be read. fh_gather_near_2: by two vectors of numbers that lie
 * side by side. */
#ifndef FOGHORN_KERNELS_DIALECT_NEAR_H_
#define FOGHORN_KERNELS_DIALECT_NEAR_H_

#define FH_NEAR_SPARE 128

#if FH_USE_AVX512 || FH_USE_AVX2
/* From where on: the lanes' numbers rise, but for those of one pixel's channels. */
FH_INLINE long fh_near_begin(int first) { return first > 4 ? (long)first - 4 : 0; }
#endif

#if FH_USE_AVX512
/* Elements p[at] where at is below 32, 64 and 128; the bits above choose. */
FH_INLINE __m512 fh_near_32(fh_f32_in p, __m512i at) {
  return _mm512_permutex2var_ps(_mm512_loadu_ps((const void *)p), at, _mm512_loadu_ps((const void *)(p + 16)));
}
FH_INLINE __m512 fh_near_64(fh_f32_in p, __m512i at) {
  return _mm512_mask_mov_ps(fh_near_32(p, at), _mm512_test_epi32_mask(at, _mm512_set1_epi32(32)), fh_near_32(p + 32, at));
}
FH_INLINE __m512 fh_near_128(fh_f32_in p, __m512i at) {
  return _mm512_mask_mov_ps(fh_near_64(p, at), _mm512_test_epi32_mask(at, _mm512_set1_epi32(64)), fh_near_64(p + 64, at));
}
FH_INLINE void fh_gather_near_2(fh_f32_in p, fh_vi v, fh_vi w, long n, fh_vf *a, fh_vf *b) {
  const long begin = fh_near_begin(v.p0[0]);
  const __m512i from = _mm512_set1_epi32((int)begin), at = _mm512_sub_epi32((__m512i)v.p0, from);
  const __m512i next = _mm512_sub_epi32((__m512i)w.p0, from), most = _mm512_max_epu32(at, next);
#define FH_NEAR_WITHIN(N)                                     \
  if (!_mm512_cmpge_epu32_mask(most, _mm512_set1_epi32(N))) { \
    *a = (fh_vf){(fh_part_f)fh_near_##N(p + begin, at)};      \
    *b = (fh_vf){(fh_part_f)fh_near_##N(p + begin, next)};    \
    return;                                                   \
  }
  if (begin < n) {
    FH_NEAR_WITHIN(32)
    FH_NEAR_WITHIN(64)
    FH_NEAR_WITHIN(128)
  }
#undef FH_NEAR_WITHIN
  *a = fh_gather(p, v, n, 1, 0.0f);
  *b = fh_gather(p, w, n, 1, 0.0f);
}

/* Bytes v and w of two lines of n >= FH_NEAR_SPARE bytes, none behind them being read: a table of 128 bytes is two vectors of words. */
#define FH_HAS_NEAR_BYTES 1
FH_INLINE fh_vi fh_near_bytes(fh_u8_in p, __m512i at) {
  const __m512i low = _mm512_loadu_si512((const void *)p), high = _mm512_loadu_si512((const void *)(p + 64));
  const __m512i words = _mm512_permutex2var_epi32(low, _mm512_srli_epi32(at, 2), high);
  const __m512i bits = _mm512_slli_epi32(_mm512_and_si512(at, _mm512_set1_epi32(3)), 3);
  return (fh_vi){(fh_part_i)_mm512_and_si512(_mm512_srlv_epi32(words, bits), _mm512_set1_epi32(255))};
}
FH_OUTLINE fh_vi fh_gather_bytes(fh_u8_in p, fh_vi v, long n) {
  int32_t index[FH_LANES], lanes[FH_LANES];
  fh_store_packed_i(index, v);
  for (int l = 0; l < FH_LANES; l++) lanes[l] = (uint64_t)index[l] < (uint64_t)n ? p[index[l]] : 0;
  return fh_load_packed_i(lanes);
}
typedef struct fh_near_2x2 {
  fh_vi av, aw, bv, bw;
} fh_near_2x2;
FH_INLINE fh_near_2x2 fh_gather_near_bytes(fh_u8_in a, fh_u8_in b, fh_vi v, fh_vi w, long n) {
  const long near = fh_near_begin(v.p0[0]), begin = near < n - FH_NEAR_SPARE ? near : n - FH_NEAR_SPARE;
  const __m512i from = _mm512_set1_epi32((int)begin), at = _mm512_sub_epi32((__m512i)v.p0, from);
  const __m512i next = _mm512_sub_epi32((__m512i)w.p0, from);
  if (_mm512_cmpge_epu32_mask(_mm512_max_epu32(at, next), _mm512_set1_epi32(FH_NEAR_SPARE)))
    return (fh_near_2x2){fh_gather_bytes(a, v, n), fh_gather_bytes(a, w, n), fh_gather_bytes(b, v, n), fh_gather_bytes(b, w, n)};
  return (fh_near_2x2){fh_near_bytes(a + begin, at), fh_near_bytes(a + begin, next), fh_near_bytes(b + begin, at),
                       fh_near_bytes(b + begin, next)};
}
#elif FH_USE_AVX2
FH_INLINE __m256 fh_near_16(fh_f32_in p, __m256i at) {
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps((const void *)p), at);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps((const void *)(p + 8)), at);
  return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(at, 28))); /* 8 is the bit that chooses */
}
FH_INLINE __m256 fh_near_32(fh_f32_in p, __m256i at) {
  const __m256 second = _mm256_castsi256_ps(_mm256_slli_epi32(at, 27)), low = fh_near_16(p, at);
  return _mm256_movemask_ps(second) ? _mm256_blendv_ps(low, fh_near_16(p + 16, at), second) : low;
}
FH_INLINE bool fh_near_parts(fh_f32_in p, fh_part_i v, fh_part_i w, long n, fh_part_f *a, fh_part_f *b) {
  const long begin = fh_near_begin(v[0]);
  const __m256i from = _mm256_set1_epi32((int)begin), at = _mm256_sub_epi32((__m256i)v, from), next = _mm256_sub_epi32((__m256i)w, from);
  const __m256i outside = _mm256_andnot_si256(_mm256_set1_epi32(31), _mm256_or_si256(at, next));
  if (begin >= n || !_mm256_testz_si256(outside, outside)) return false;
  *a = (fh_part_f)fh_near_32(p + begin, at);
  *b = (fh_part_f)fh_near_32(p + begin, next);
  return true;
}
FH_INLINE void fh_gather_near_2(fh_f32_in p, fh_vi v, fh_vi w, long n, fh_vf *a, fh_vf *b) {
  if (fh_near_parts(p, v.p0, w.p0, n, &a->p0, &b->p0) && fh_near_parts(p, v.p1, w.p1, n, &a->p1, &b->p1)) return;
  *a = fh_gather(p, v, n, 1, 0.0f);
  *b = fh_gather(p, w, n, 1, 0.0f);
}
#endif

#if FH_USE_AVX512 || FH_USE_AVX2
FH_INLINE fh_vf fh_gather_near(fh_f32_in p, fh_vi v, long n) {
  fh_vf a, same;
  fh_gather_near_2(p, v, v, n, &a, &same);
  return a;
}
#else
FH_INLINE fh_vf fh_gather_near(fh_f32_in p, fh_vi v, long n) { return fh_gather(p, v, n, 1, 0.0f); }
FH_INLINE void fh_gather_near_2(fh_f32_in p, fh_vi v, fh_vi w, long n, fh_vf *a, fh_vf *b) {
  *a = fh_gather(p, v, n, 1, 0.0f);
  *b = fh_gather(p, w, n, 1, 0.0f);
}
#endif

#endif /* FOGHORN_KERNELS_DIALECT_NEAR_H_ */
