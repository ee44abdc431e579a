/* The emulator of blocks: mbarriers, boxes of tensors and products of warpgroups, and the mistakes that it finds in them.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: sanitize=address */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/narrow.h"
#include "tests/fakes/block/prelude.h"

enum { ROWS = 64, COLS = 128, K = 64, THREADS = 256, GROUP = 128, SHARED = 32 << 10, A_BYTES = ROWS * 128, B_BYTES = COLS * 128 };

/* What the text below does wrong. */
typedef enum mistake {
  RIGHT,
  EARLY, /* multiplies before the boxes have arrived */
  NO_MBARRIER_FENCE,
  NO_MEETING, /* of the block behind the mbarrier's beginning */
  NO_GROUP_FENCE,
  NO_GROUP_WAIT,
  NO_COMMIT,
  SUMS_WRITTEN,   /* before the product has ended */
  BOX_TOO_SOON,   /* where a product reads */
  TOO_MANY_BYTES, /* are expected */
  TOO_FEW_BYTES,
  STORED,        /* an operand by a thread, without a fence */
  STORED_FENCED, /* with it */
  TWO_ARRIVALS,
  ONE_LEAVES,   /* of the warpgroup */
  LEFT_BEHIND,  /* a box when the block ends */
  WRONG_STRIDE, /* in a descriptor */
  ASKEW,        /* a box that begins between two patterns */
  RANK,         /* of the map */
} mistake;

FH_INLINE void bring(uchar *shared, fh_mbarrier *full, fh_map_list fh_maps, long how, long k) {
  const int bytes = A_BYTES + B_BYTES;
  fh_mbarrier_expect(full, how == TOO_MANY_BYTES ? bytes + 16 : how == TOO_FEW_BYTES ? bytes - 16 : bytes);
  if (how == TWO_ARRIVALS) fh_mbarrier_arrive(full);
  if (how == RANK) fh_tensor_copy2(shared, fh_tensor(0), full, (int)k, 0);
  fh_tensor_copy3(shared + (how == ASKEW ? 128 : 0), fh_tensor(0), full, (int)k, 0, 0);
  fh_tensor_copy3(shared + A_BYTES, fh_tensor(1), full, (int)k, 0, 0);
}

FH_INLINE void multiply(uchar *shared, fh_mbarrier *full, fh_map_list fh_maps, float *sum, long how) {
  const int odd = how == STORED || how == STORED_FENCED;
  const ulong a = fh_matrix(shared, 16, how == WRONG_STRIDE ? 2048 : 1024), b = fh_matrix(shared + A_BYTES, 16, 1024);
  if (how != EARLY) fh_mbarrier_wait(full, 0);
  if (odd && fh_thread() == GROUP) *(ushort *)shared = 0x3f80; /* 1: what is there already */
  if (odd && fh_thread() == GROUP) *(ushort *)(shared + 2) = 0x4000;
  if (how == STORED_FENCED) fh_async_fence();
  if (how == ONE_LEAVES && fh_thread() == 200) return;
  if (how != NO_GROUP_FENCE) fh_group_fence();
  for (int step = 0; step < K / 16; step++) fh_group_bf16_128(sum, a + 2 * (ulong)step, b + 2 * (ulong)step, step > 0, 0, 0);
  if (how != NO_COMMIT) fh_group_commit();
  if (how == SUMS_WRITTEN && fh_thread() == 130) sum[5] = 1;
  if (how == BOX_TOO_SOON && fh_thread() == GROUP) fh_tensor_copy3(shared, fh_tensor(0), full, 0, 0, 0);
  if (how != NO_GROUP_WAIT) fh_group_wait(0);
}

#define one_product_PARAMS(P) P(OUT, c) P(I64, how) P(I64, k)
FH_BLOCK_TENSORS(one_product, THREADS) {
  fh_mbarrier *const full = (fh_mbarrier *)(fh_shared + A_BYTES + B_BYTES);
  float sum[COLS / 2] = {0};
  if (fh_thread() == 0) {
    fh_mbarrier_init(full, 1);
    if (how != NO_MBARRIER_FENCE) fh_mbarrier_fence();
  }
  if (how != NO_MEETING) fh_barrier();
  if (fh_thread() == 0) bring(fh_shared, full, fh_maps, how, k);
  if (how == LEFT_BEHIND || fh_thread() < GROUP) return;
  multiply(fh_shared, full, fh_maps, sum, how);
  const int t = fh_thread() - GROUP;
  for (int i = 0; i < COLS / 2; i++) c[(t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8) * COLS + i / 4 * 8 + t % 4 * 2 + i % 2] = sum[i];
}

/* ---- its data: small whole numbers, so that sums are exact; a(0, 0) = 1 and a(0, 1) = 2 ------------------------------------- */
static uint16_t a[ROWS][K], b[COLS][K]; /* b turned: a column in a row */
static float got[ROWS][COLS];

static void fill(void) {
  for (int i = 0; i < ROWS; i++)
    for (int l = 0; l < K; l++) a[i][l] = fh_bf16_from_f32((float)((i * 5 + l * 7) % 11 - 5));
  for (int j = 0; j < COLS; j++)
    for (int l = 0; l < K; l++) b[j][l] = fh_bf16_from_f32((float)((j * 3 + l * 2) % 13 - 6));
  a[0][0] = fh_bf16_from_f32(1);
  a[0][1] = fh_bf16_from_f32(2);
}

static fake_tensor_map map_of(const void *base, uint64_t lines) {
  return (fake_tensor_map){.map = {.rank = 3,
                                   .dtype = FH_BF16,
                                   .swizzle = 128,
                                   .extent = {K, lines, 1},
                                   .stride = {2, (uint64_t)2 * K, (uint64_t)2 * K * lines},
                                   .box = {64, (uint32_t)lines, 1}},
                           .base = base};
}

static const char *run(mistake how, int64_t first) {
  const fake_tensor_map maps[] = {map_of(a, ROWS), map_of(b, COLS)};
  const fh_slot slots[] = {{.p = (void *)got}, {.i = how}, {.i = first}, {.cp = (const void *)&maps[0]}, {.cp = (const void *)&maps[1]}};
  memset(got, 0xff, sizeof got);
  return fake_block_run(&fake_block_one_product, slots, 1, (const unsigned[]){1, 1, 1}, THREADS, SHARED);
}

/* The sums of k from `first` on. */
static bool is_right(int first) {
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLS; j++) {
      float sum = 0;
      for (int l = first; l < K; l++) sum += fh_f32_from_bf16(a[i][l]) * fh_f32_from_bf16(b[j][l]);
      if (!(got[i][j] == sum)) return false;
    }
  return true;
}

static void test_product(void **state) {
  (void)state;
  fill();
  const char *wrong = run(RIGHT, 0);
  if (wrong) fail_msg("%s", wrong);
  assert_true(is_right(0));
  assert_null(run(RIGHT, 40)); /* zeros past the extent */
  assert_true(is_right(40));
  assert_null(run(STORED_FENCED, 0));
  assert_true(is_right(0));
}

static void expect(mistake how, const char *part) {
  const char *wrong = run(how, 0);
  if (!wrong || !strstr(wrong, part)) fail_msg("mistake %d: expected \"%s\" in: %s", (int)how, part, wrong ? wrong : "(nothing)");
  print_message("%s\n", wrong);
}

static void test_mistakes_of_copies(void **state) {
  (void)state;
  fill();
  expect(EARLY, "has not arrived");
  expect(NO_MBARRIER_FENCE, "without a fence");
  expect(NO_MEETING, "before the block has met");
  expect(TOO_MANY_BYTES, "for an mbarrier, which nothing ends");
  expect(TOO_FEW_BYTES, "for an mbarrier, which nothing ends");
  expect(TWO_ARRIVALS, "that has all its 1");
  expect(LEFT_BEHIND, "ends while boxes");
  expect(ASKEW, "boundary of 1024");
  expect(RANK, "rank 3 is used with 2");
}

static void test_mistakes_of_products(void **state) {
  (void)state;
  fill();
  expect(NO_GROUP_FENCE, "since its last fence");
  expect(NO_GROUP_WAIT, "ends while products");
  expect(NO_COMMIT, "ends while products");
  expect(SUMS_WRITTEN, "written before the product");
  expect(BOX_TOO_SOON, "changed before the product had ended");
  expect(ONE_LEAVES, "for its warpgroup, which nothing ends");
  a[0][1] = 0;
  expect(STORED, "no fence tells");
  fill();
  assert_null(run(WRONG_STRIDE, 0));
  assert_false(is_right(0));
}

/* ---- plain memory, without a map -------------------------------------------------------------------------------------------- */

enum { FLOATS = 32, WAITING = 128 };
typedef enum plain_mistake { PLAIN_RIGHT, PLAIN_EARLY, PLAIN_UNFENCED, PLAIN_FROM, PLAIN_TO, PLAIN_PART, PLAIN_OUTSIDE } plain_mistake;

#define plain_copy_PARAMS(P) P(IN, from) P(OUT, to) P(I64, how)
FH_BLOCK_DYNAMIC(plain_copy, WAITING) {
  fh_mbarrier *const full = (fh_mbarrier *)(fh_shared + 1024);
  const int bytes = how == PLAIN_PART ? FLOATS * 4 - 8 : FLOATS * 4;
  if (fh_thread() == 0) {
    fh_mbarrier_init(full, 1);
    if (how != PLAIN_UNFENCED) fh_mbarrier_fence();
  }
  fh_barrier();
  if (fh_thread() == 0) {
    fh_mbarrier_expect(full, bytes);
    fh_bulk_copy(fh_shared + (how == PLAIN_TO        ? 8
                              : how == PLAIN_OUTSIDE ? 2000
                                                     : 0),
                 (fh_u8_in)from + (how == PLAIN_FROM ? 4 : 0), full, bytes);
  }
  if (how != PLAIN_EARLY) fh_mbarrier_wait(full, 0);
  if (fh_thread() < FLOATS) to[fh_thread()] = ((float *)fh_shared)[fh_thread()];
  if (how == PLAIN_EARLY) fh_mbarrier_wait(full, 0);
}

static const char *run_plain(plain_mistake how, float *to) {
  static _Alignas(16) float from[FLOATS + 4];
  for (int i = 0; i < FLOATS + 4; i++) from[i] = (float)i;
  const fh_slot slots[] = {{.p = from}, {.p = to}, {.i = how}};
  return fake_block_run(&fake_block_plain_copy, slots, 1, (const unsigned[]){1, 1, 1}, WAITING, 2048);
}

static void test_plain_copies(void **state) {
  (void)state;
  static const char *const said[] = {[PLAIN_UNFENCED] = "without a fence",
                                     [PLAIN_FROM] = "expected a multiple of 16",
                                     [PLAIN_TO] = "expected a multiple of 16",
                                     [PLAIN_PART] = "expected a multiple of 16",
                                     [PLAIN_OUTSIDE] = "outside of shared memory"};
  float to[FLOATS];
  assert_null(run_plain(PLAIN_RIGHT, to));
  for (int i = 0; i < FLOATS; i++) assert_true(to[i] == (float)i);
  assert_null(run_plain(PLAIN_EARLY, to));
  for (int i = 0; i < FLOATS; i++) assert_true(to[i] != to[i]); /* NaN */
  for (plain_mistake how = PLAIN_UNFENCED; how <= PLAIN_OUTSIDE; how++) {
    const char *wrong = run_plain(how, to);
    if (!wrong || !strstr(wrong, said[how]))
      fail_msg("mistake %d: expected \"%s\" in: %s", (int)how, said[how], wrong ? wrong : "(nothing)");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_product),
      cmocka_unit_test(test_plain_copies),
      cmocka_unit_test(test_mistakes_of_copies),
      cmocka_unit_test(test_mistakes_of_products),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
