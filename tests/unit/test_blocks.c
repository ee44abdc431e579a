/* The emulator of blocks of threads: what its operations do, and the mistakes that it finds. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/narrow.h"
#include "tests/fakes/block/prelude.h"

enum { THREADS = 64 };

static const char *run(const fake_block_entry *entry, void *out, unsigned shared_bytes) {
  const fh_slot slots[] = {{.p = out}, {.i = 7}};
  return fake_block_run(entry, slots, 1, (const unsigned[]){2, 1, 1}, THREADS, shared_bytes);
}

static void expect_wrong(const fake_block_entry *entry, const char *part) {
  int out[2 * THREADS] = {0};
  const char *wrong = run(entry, out, entry->shared_bytes ? 0 : 1024);
  assert_non_null(wrong);
  print_message("%s\n", wrong);
  if (!strstr(wrong, part)) fail_msg("expected \"%s\" in: %s", part, wrong);
}

/* ---- places and barriers ---------------------------------------------------------------------------------------------- */

#define reverse_PARAMS(P) P(OUT_I32, out) P(I64, add)
FH_BLOCK(reverse, THREADS, 4 * THREADS) {
  int *const shared = (int *)fh_shared;
  shared[fh_thread()] = fh_thread() + (int)(add * fh_block(0));
  fh_barrier();
  out[fh_block(0) * THREADS + fh_thread()] = shared[THREADS - 1 - fh_thread()];
}

static void test_barrier(void **state) {
  (void)state;
  int out[2 * THREADS];
  assert_null(run(&fake_block_reverse, out, 0));
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(out[i], THREADS - 1 - i);
    assert_int_equal(out[THREADS + i], THREADS - 1 - i + 7);
  }
}

#define lonely_PARAMS(P) P(OUT_I32, out)
FH_BLOCK(lonely, THREADS, 16) {
  if (fh_thread() == 5) return;
  fh_barrier();
  out[0] = 1;
}
#define divided_PARAMS(P) P(OUT_I32, out)
FH_BLOCK(divided, THREADS, 16) {
  if (fh_thread() < 32)
    fh_barrier();
  else
    fh_barrier(), out[0] = 1;
}
#define outside_PARAMS(P) P(OUT_I32, out)
FH_BLOCK(outside, THREADS, 256) { ((int *)fh_shared)[fh_thread() + 1] = out[0]; }
#define aside_PARAMS(P) P(OUT_I32, out)
FH_BLOCK(aside, THREADS, 256) { out[0] = (int)fh_load4(fh_shared + 8).x; }
#define aside_long_PARAMS(P) P(OUT_I32, out)
FH_BLOCK(aside_long, THREADS, 256) { fh_store_long(fh_shared + 4, out[0]); }

static void test_mistakes(void **state) {
  (void)state;
  expect_wrong(&fake_block_aside, "not on a boundary of 16");
  expect_wrong(&fake_block_aside_long, "not on a boundary of 8");
  expect_wrong(&fake_block_lonely, "for thread 5, which has ended");
  expect_wrong(&fake_block_outside, "outside of the 256 bytes");
  int out = 0;
  assert_non_null(strstr(fake_block_run(&fake_block_lonely, &(fh_slot){.p = &out}, 1, (const unsigned[]){1, 1, 1}, 96, 0), "96 threads"));
  assert_non_null(strstr(run(&fake_block_lonely, &out, 64), "has its own 16"));
  assert_null(run(&fake_block_reverse, (int[2 * THREADS]){0}, 0)); /* and the next is well again */
}

/* Two barriers of one line are one place. */
static void test_two_places(void **state) {
  (void)state;
  expect_wrong(&fake_block_divided, "for thread 32, which is at");
}

/* ---- copies ----------------------------------------------------------------------------------------------------------- */

static const int numbers[] __attribute__((aligned(16))) = {1, 2, 3, 4, 5, 6, 7, 8};

#define copies_PARAMS(P) P(OUT_I32, out) P(I64, wait)
FH_BLOCK_DYNAMIC(copies, THREADS) {
  int *const shared = (int *)fh_shared;
  if (fh_thread() == 0) {
    fh_copy_async16(shared, numbers, 16);
    fh_copy_commit();
    fh_copy_async16(shared + 4, numbers + 4, 8);
    fh_copy_async4(shared + 8, numbers, 4);
    fh_copy_commit();
    if (wait == 0) fh_copy_wait(0);
    if (wait == 1) fh_copy_wait(1);
  }
  fh_barrier();
  if (fh_thread() < 9) out[fh_thread()] = shared[fh_thread()];
}

/* Nothing is there before it was waited for. */
static void test_copies(void **state) {
  (void)state;
  static const int want[3][9] = {{1, 2, 3, 4, 5, 6, 0, 0, 1}, {1, 2, 3, 4, -1, -1, -1, -1, -1}, {-1, -1, -1, -1, -1, -1, -1, -1, -1}};
  for (int wait = 0; wait < 3; wait++) {
    int out[9];
    const fh_slot slots[] = {{.p = out}, {.i = wait}};
    assert_null(fake_block_run(&fake_block_copies, slots, 1, (const unsigned[]){1, 1, 1}, THREADS, 64));
    assert_memory_equal(out, want[wait], sizeof out);
  }
}

#define misplaced_PARAMS(P) P(OUT_I32, out)
FH_BLOCK(misplaced, THREADS, 64) { fh_copy_async16(fh_shared + 8, numbers, (int)(16 + 0 * out[0])); }
#define beyond_PARAMS(P) P(OUT_I32, out)
FH_BLOCK(beyond, THREADS, 64) { fh_copy_async16(fh_shared + 64, numbers, (int)(16 + 0 * out[0])); }

static void test_wrong_copies(void **state) {
  (void)state;
  expect_wrong(&fake_block_misplaced, "boundary");
  expect_wrong(&fake_block_beyond, "outside of shared memory");
}

/* ---- warps ------------------------------------------------------------------------------------------------------------- */

#define shuffles_PARAMS(P) P(OUT_I32, out)
FH_BLOCK(shuffles, THREADS, 16) {
  int sum = fh_thread();
  for (int mask = 16; mask; mask /= 2) sum += fh_shuffle_xor_i(sum, mask);
  out[fh_thread()] = sum;
}
#define missing_lane_PARAMS(P) P(OUT_I32, out)
FH_BLOCK(missing_lane, THREADS, 16) {
  if (fh_thread() != 40) out[0] = fh_shuffle_xor_i(1, 1);
}

static void test_shuffles(void **state) {
  (void)state;
  int out[THREADS];
  assert_null(run(&fake_block_shuffles, out, 0));
  for (int i = 0; i < THREADS; i++) assert_int_equal(out[i], i < 32 ? 31 * 16 : 31 * 16 + 32 * 32);
  expect_wrong(&fake_block_missing_lane, "for thread 40, which has ended");
}

/* A 16 x 16 and B 16 x 8 of small whole numbers as bf16, loaded as matrices, B by rows and so turned: the product is exact. */
static float element_a(int row, int col) { return (float)((row * 3 + col * 5) % 17 - 8); }
static float element_b(int row, int col) { return (float)((row * 7 + col * 2) % 13 - 6); }

#define product_PARAMS(P) P(OUT, out)
FH_BLOCK(product, THREADS, 16 * 16 * 2 + 16 * 8 * 2) {
  ushort *const a = (ushort *)fh_shared, *const b = a + 256;
  if (fh_thread() == 0) {
    for (int i = 0; i < 256; i++) a[i] = fh_bf16_from_f32(element_a(i / 16, i % 16));
    for (int i = 0; i < 128; i++) b[i] = fh_bf16_from_f32(element_b(i / 8, i % 8));
  }
  fh_barrier();
  const int lane = fh_thread() % 32;
  uint of_a[4], of_b[4];
  float d[4] = {100, 100, 100, 100};
  fh_load_matrices(of_a, a + lane % 16 * 16 + lane / 16 * 8);
  fh_load_matrices_turned(of_b, b + lane % 16 * 8);
  fh_mma_bf16(d, of_a, of_b);
  for (int i = 0; i < 4; i++) out[(lane / 4 + 8 * (i / 2)) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

static void test_product(void **state) {
  (void)state;
  float out[16 * 8];
  assert_null(run(&fake_block_product, out, 0));
  /* Rows of A lie 32 bytes apart, every fourth in the same banks: 4 of 8 in each of 4 matrices. Those of B lie side by side. 2 warps, 2
   * blocks. */
  assert_int_equal(fake_block_conflicts(), 4 * 4 * 4);
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 8; j++) {
      float want = 100;
      for (int l = 0; l < 16; l++) want += element_a(i, l) * element_b(l, j);
      assert_true(out[i * 8 + j] == want);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_barrier), cmocka_unit_test(test_mistakes),     cmocka_unit_test(test_two_places),
      cmocka_unit_test(test_copies),  cmocka_unit_test(test_wrong_copies), cmocka_unit_test(test_shuffles),
      cmocka_unit_test(test_product),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
