/* f32 from and to bf16 and f16 on the one number of a thread: the bits of dialect.h, which says why they are right.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_BLOCK_NARROW_H_
#define FOGHORN_KERNELS_BLOCK_NARROW_H_

/* The low 16 bits of h. */
FH_INLINE float fh_widen_bf16(uint h) { return fh_as_float((int)(h << 16)); }

FH_INLINE uint fh_narrow_bf16(float x) {
  const uint bits = (uint)fh_as_int(x);
  return (x == x ? bits + 0x7fff + (bits >> 16 & 1) : bits | 0x400000) >> 16;
}

FH_INLINE float fh_widen_f16(uint h) {
  const uint magnitude = (h & 0x7fff) << 13, sign = (h & 0x8000) << 16;
  const float scaled = fh_mul_u(fh_as_float((int)magnitude), 0x1p112f);
  const uint finite = (uint)fh_as_int(scaled);
  return fh_as_float((int)((scaled < 65536.0f ? finite : magnitude | 0x7f800000) | sign));
}

FH_INLINE uint fh_narrow_f16(float x) {
  const uint bits = (uint)fh_as_int(x), a = bits & 0x7fffffff;
  const uint normal = (a + 0xfff - (112u << 23) + (a >> 13 & 1)) >> 13;
  const uint denormal = (uint)fh_as_int(fh_add_u(fh_as_float((int)a), 0.5f)) - 0x3f000000;
  const uint finite = a < 0x38800000 ? denormal : normal; /* 2^-14 */
  const uint special = x == x ? 0x7c00 : 0x7e00;
  return (a < 0x477ff000 ? finite : special) | (bits >> 16 & 0x8000); /* 65520 */
}

/* Four of them are eight bytes, the first in the lowest. */
FH_INLINE long fh_four_halves(uint a, uint b, uint c, uint d) { return (long)((ulong)(a | b << 16) | (ulong)(c | d << 16) << 32); }

#endif /* FOGHORN_KERNELS_BLOCK_NARROW_H_ */
