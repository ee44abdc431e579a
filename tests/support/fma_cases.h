/* fh_fma against the C library's fmaf, for the instruction set that this file is compiled for. SPDX-License-Identifier: Apache-2.0
 *
 * Included by one program for each way in which the dialect does without the instruction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#define FH_DIALECT_ISA test
#include "kernels/dialect/prelude_c.h"
#include "kernels/narrow.h"

static uint64_t random_bits(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

typedef struct batch {
  float a[FH_LANES], b[FH_LANES], c[FH_LANES];
  int count;
} batch;

static bool same(float got, float want) { return (isnan(got) && isnan(want)) || fh_bits_from_f32(got) == fh_bits_from_f32(want); }

static void check(batch *t) {
  float got[FH_LANES];
  fh_store_packed(got, fh_fma(fh_load_packed(t->a), fh_load_packed(t->b), fh_load_packed(t->c)));
  for (int l = 0; l < t->count; l++) {
    const float want = fmaf(t->a[l], t->b[l], t->c[l]), one = fh_fma_u(t->a[l], t->b[l], t->c[l]);
    if (!same(got[l], want) || !same(one, want))
      fail_msg("fma(%a, %a, %a) is %a in lanes, %a alone, expected %a", (double)t->a[l], (double)t->b[l], (double)t->c[l], (double)got[l],
               (double)one, (double)want);
  }
  t->count = 0;
}

static void add(batch *t, float a, float b, float c) {
  t->a[t->count] = a;
  t->b[t->count] = b;
  t->c[t->count] = c;
  if (++t->count == FH_LANES) check(t);
}

/* Sums a hair beside the middle of two floats, where rounding to double first gives the middle itself, and then the wrong float: at
 * every size from overflow to the smallest subnormals. */
static void traps_of_double_rounding(void **state) {
  (void)state;
  batch t = {0};
  int trapped = 0;
  for (int scale = -150; scale <= 127; scale++) {
    for (int i = -3; i <= 3; i++) {
      for (int j = -3; j <= 3; j++) {
        for (int place = 20; place <= 26; place++) {
          for (int odd = 0; odd < 4; odd++) {
            const float a = 1.0f + (float)i * 0x1p-23f, b = ldexpf(1.0f + (float)j * 0x1p-23f, scale - place);
            const float c = ldexpf(1.0f + (float)(odd & 1) * 0x1p-23f, scale) * (odd & 2 ? -1.0f : 1.0f);
            add(&t, a, b, c);
            trapped += !same((float)((double)a * (double)b + (double)c), fmaf(a, b, c));
          }
        }
      }
    }
  }
  check(&t);
  print_message("%d of them go wrong when rounded twice\n", trapped);
  assert_true(trapped > 100);
}

static void special_values(void **state) {
  (void)state;
  static const uint32_t values[] = {0,          0x80000000, 1,          0x80000001, 0x007fffff, 0x00800000, 0x3f800000, 0xbf800000,
                                    0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x33800000, 0x4b800000, 0x00800001};
  const int count = (int)(sizeof values / sizeof *values);
  batch t = {0};
  for (int i = 0; i < count * count * count; i++)
    add(&t, fh_f32_from_bits(values[i % count]), fh_f32_from_bits(values[i / count % count]), fh_f32_from_bits(values[i / count / count]));
  check(&t);
}

static void random_values(void **state) {
  (void)state;
  uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
  batch t = {0};
  for (int i = 0; i < 2000000; i++) {
    const uint64_t r = random_bits(&seed), s = random_bits(&seed);
    float a = fh_f32_from_bits((uint32_t)r), b = fh_f32_from_bits((uint32_t)(r >> 32)), c = fh_f32_from_bits((uint32_t)s);
    if (i & 1) c = a * b * (1.0f + (float)((int32_t)(s >> 32)) * 0x1p-34f) * (i & 2 ? 1.0f : -1.0f); /* near cancellation */
    if (i & 4) a = fh_f32_from_bits(fh_bits_from_f32(a) & 0xfff80000u); /* few bits: sums that are exact, or ties */
    add(&t, a, b, c);
  }
  check(&t);
}

int main(void) {
#if FH_USE_SSE
  if (!__builtin_cpu_supports("sse4.2")) {
    print_message("NOT RUN: this processor has no SSE4.2\n");
    return 77;
  }
#endif
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(traps_of_double_rounding),
      cmocka_unit_test(special_values),
      cmocka_unit_test(random_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
