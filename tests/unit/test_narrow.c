/* bf16 and f16: the dialect's conversions against plain C on every value, and plain C against the compiler's own where it has them.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 sanitize=address
 * FOGHORN_NARROW=long in the environment tries every float. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#define FH_DIALECT_ISA test
#define FH_DIALECT_SCALAR 1
#include "kernels/dialect/prelude_c.h"

#include "kernels/narrow.h"

static bool same_f32(float a, float b) { return fh_bits_from_f32(a) == fh_bits_from_f32(b) || (isnan(a) && isnan(b)); }

static void widening_is_exact(void **state) {
  (void)state;
  for (uint32_t first = 0; first < 65536; first += FH_LANES) {
    uint16_t halves[FH_LANES];
    float from_bf16[FH_LANES], from_f16[FH_LANES];
    for (uint32_t l = 0; l < FH_LANES; l++) halves[l] = (uint16_t)(first + l);
    fh_store_packed(from_bf16, fh_load_bf16(halves, 0, 1));
    fh_store_packed(from_f16, fh_load_f16(halves, 0, 1));
    for (int l = 0; l < FH_LANES; l++) {
      assert_true(same_f32(from_bf16[l], fh_f32_from_bf16(halves[l])));
      assert_true(same_f32(from_f16[l], fh_f32_from_f16(halves[l])));
      assert_true(same_f32(fh_get_bf16(halves, l), fh_f32_from_bf16(halves[l])));
      /* There and back again is the same, but for the payload of a NaN. */
      if (!isnan(from_bf16[l])) assert_int_equal(fh_bf16_from_f32(from_bf16[l]), halves[l]);
      if (!isnan(from_f16[l])) assert_int_equal(fh_f16_from_f32(from_f16[l]), halves[l]);
#if defined(__FLT16_MANT_DIG__)
      __extension__ _Float16 known;
      memcpy(&known, &halves[l], sizeof known);
      assert_true(same_f32(known, from_f16[l]));
#endif
    }
  }
}

static bool same_narrow(uint16_t a, uint16_t b, float (*widen)(uint16_t)) { return a == b || (isnan(widen(a)) && isnan(widen(b))); }

static void narrowing_rounds_to_even(void **state) {
  (void)state;
  const char *form = getenv("FOGHORN_NARROW");
  const uint64_t step = form && strcmp(form, "long") == 0 ? 1 : 641;
  for (uint64_t first = 0; first <= UINT32_MAX; first += step * FH_LANES) {
    float in[FH_LANES];
    uint16_t to_bf16[FH_LANES], to_f16[FH_LANES];
    for (uint64_t l = 0; l < FH_LANES; l++) in[l] = fh_f32_from_bits((uint32_t)(first + l * step));
    fh_store_bf16(to_bf16, 0, 1, fh_load(in, 0, 1));
    fh_store_f16(to_f16, 0, 1, fh_load(in, 0, 1));
    for (int l = 0; l < FH_LANES; l++) {
      if (!same_narrow(to_bf16[l], fh_bf16_from_f32(in[l]), fh_f32_from_bf16)) fail_msg("bf16 of %a is %04x", (double)in[l], to_bf16[l]);
      if (!same_narrow(to_f16[l], fh_f16_from_f32(in[l]), fh_f32_from_f16)) fail_msg("f16 of %a is %04x", (double)in[l], to_f16[l]);
#if defined(__FLT16_MANT_DIG__)
      __extension__ const _Float16 known = in[l];
      uint16_t bits;
      memcpy(&bits, &known, sizeof bits);
      assert_true(same_narrow(to_f16[l], bits, fh_f32_from_f16));
#endif
    }
  }
}

/* The values at which something changes: ties, the largest, the least, what overflows. */
static void narrowing_at_the_ends(void **state) {
  (void)state;
  static const struct {
    float in;
    uint16_t bf16, f16;
  } known[] = {
      {1.0f, 0x3f80, 0x3c00},
      {-0.0f, 0x8000, 0x8000},
      {0x1.01p0f, 0x3f80, 0x3c04},
      {0x1.03p0f, 0x3f82, 0x3c0c},
      {0x1.002p0f, 0x3f80, 0x3c00},
      {0x1.006p0f, 0x3f80, 0x3c02},
      {65504.0f, 0x4780, 0x7bff},
      {65519.996f, 0x4780, 0x7bff},
      {65520.0f, 0x4780, 0x7c00},
      {0x1p-24f, 0x3380, 0x0001},
      {0x1p-25f, 0x3300, 0x0000},
      {0x1.8p-24f, 0x33c0, 0x0002},
      {0x1.fffffep127f, 0x7f80, 0x7c00},
      {0x1p-133f, 0x0001, 0x0000},
      {0x1p-134f, 0x0000, 0x0000},
      {0x1.8p-133f, 0x0002, 0x0000},
      {-INFINITY, 0xff80, 0xfc00},
      {0x1.ff8p-15f, 0x3880, 0x03ff},
      {0x1.ffcp-15f, 0x3880, 0x0400},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    uint16_t bf16, f16;
    fh_store_bf16_part(&bf16, 0, 1, 1, fh_splat(known[i].in));
    fh_store_f16_part(&f16, 0, 1, 1, fh_splat(known[i].in));
    if (bf16 != known[i].bf16 || f16 != known[i].f16) fail_msg("%a gives %04x and %04x", (double)known[i].in, bf16, f16);
  }
  /* A NaN whose payload is all in the bits that are cut off stays a NaN. */
  assert_true(isnan(fh_f32_from_bf16(fh_bf16_from_f32(fh_f32_from_bits(0x7f800001)))));
  uint16_t bf16;
  fh_store_bf16_part(&bf16, 0, 1, 1, fh_as_f(fh_splat_i(0x7f800001)));
  assert_true(isnan(fh_f32_from_bf16(bf16)));
}

/* Loads and stores of integers: sign, low bits, parts, strides. */
static void integers_pass_whole(void **state) {
  (void)state;
  uint8_t bytes[48], out8[48];
  uint16_t out16[48];
  int32_t words[48], out32[48], got[FH_LANES];
  for (int i = 0; i < 48; i++) {
    bytes[i] = (uint8_t)(i * 37 + 100);
    words[i] = (int32_t)((uint32_t)i * 0x9e3779b9u);
  }
  fh_store_packed_i(got, fh_load_i8(bytes, 0, 3));
  for (int l = 0; l < FH_LANES; l++) assert_int_equal(got[l], (int8_t)bytes[3 * l]);
  fh_store_packed_i(got, fh_load_i8_part(bytes, 16, 19, 2, 200));
  for (int l = 0; l < FH_LANES; l++) assert_int_equal(got[l], l < 3 ? (int8_t)bytes[32 + 2 * l] : (int8_t)200);
  for (long s = 1; s <= 3; s += 2) {
    const long n = s == 1 ? 16 : 15;
    memset(out8, 0xee, sizeof out8);
    memset(out16, 0xee, sizeof out16);
    memset(out32, 0xee, sizeof out32);
    const fh_vi v = fh_load_i32_part(words, 0, n, s, -7);
    fh_store_packed_i(got, v);
    for (int l = 0; l < FH_LANES; l++) assert_int_equal(got[l], l < n ? words[l * s] : -7);
    fh_store_u8_part(out8, 0, n, s, v);
    fh_store_u16_part(out16, 0, n, s, v);
    fh_store_i32_part(out32, 0, n, s, v);
    for (int i = 0; i < 48; i++) {
      const bool written = i % s == 0 && i / s < n;
      assert_int_equal(out8[i], written ? (uint8_t)words[i] : 0xee);
      assert_int_equal(out16[i], written ? (uint16_t)words[i] : 0xeeee);
      assert_int_equal(out32[i], written ? words[i] : (int32_t)0xeeeeeeee);
    }
  }
  fh_store_packed_i(got, fh_mul_i(fh_splat_i(INT32_MAX), fh_splat_i(3)));
  assert_int_equal(got[5], (int32_t)0x7ffffffd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(widening_is_exact),
      cmocka_unit_test(narrowing_rounds_to_even),
      cmocka_unit_test(narrowing_at_the_ends),
      cmocka_unit_test(integers_pass_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
