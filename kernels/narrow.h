/* bf16 and f16 in plain C: what contracts and tests use beside the dialect's own conversions. SPDX-License-Identifier: Apache-2.0
 *
 * Widening is exact. Narrowing rounds to nearest, ties to even; what is too large becomes infinite, a NaN stays one. */
#ifndef FOGHORN_KERNELS_NARROW_H_
#define FOGHORN_KERNELS_NARROW_H_

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float fh_f32_from_bits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}
static inline uint32_t fh_bits_from_f32(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return bits;
}

static inline float fh_f32_from_bf16(uint16_t h) { return fh_f32_from_bits((uint32_t)h << 16); }

static inline uint16_t fh_bf16_from_f32(float f) {
  const uint32_t bits = fh_bits_from_f32(f), kept = bits >> 16, rest = bits & 0xffff;
  if (isnan(f)) return (uint16_t)(kept | 0x40);
  return (uint16_t)(kept + (rest > 0x8000 || (rest == 0x8000 && (kept & 1))));
}

/* By its bits, for oracles widen each factor of a product: the power of two moves the exponent to its place, for denormals too. */
static inline float fh_f32_from_f16(uint16_t h) {
  const uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
  const uint32_t finite = fh_bits_from_f32(fh_f32_from_bits(magnitude) * 0x1p112f);
  return fh_f32_from_bits((magnitude < 0x0f800000 ? finite : magnitude | 0x7f800000) | sign);
}

static inline uint16_t fh_f16_from_f32(float f) {
  const uint16_t sign = signbit(f) ? 0x8000 : 0;
  const float a = fabsf(f);
  if (isnan(f)) return (uint16_t)(sign | 0x7e00);
  if (a >= 65520.0f) return (uint16_t)(sign | 0x7c00);
  const int exponent = a < 0x1p-14f ? -14 : ilogbf(a);
  /* In units of the last place of the result, below 2048: a half is seen exactly. The sum carries into the exponent by itself. */
  const float units = ldexpf(a, 10 - exponent);
  const uint32_t whole = (uint32_t)units;
  const float rest = units - (float)whole;
  const uint32_t rounded = whole + (rest > 0.5f || (rest == 0.5f && (whole & 1)));
  return (uint16_t)(sign | (a < 0x1p-14f ? rounded : ((uint32_t)(exponent + 14) << 10) + rounded));
}

#endif /* FOGHORN_KERNELS_NARROW_H_ */
