/* NPY files of every version, order and type, right and hostile. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/dataset_bytes.h"

#include <math.h>

static void npy_header(bytes *b, int major, const char *dictionary) {
  const unsigned char start[8] = {0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)major, 0};
  put(b, start, 8);
  put_bits(b, strlen(dictionary), major == 1 ? 2 : 4, false);
  put(b, dictionary, strlen(dictionary));
}

static void every_type(void **state) {
  (void)state;
  static const struct {
    const char *descr;
    size_t size;
    uint64_t bits;
    float want;
  } cases[] = {
      {"|u1", 1, 255, 255},
      {"|i1", 1, 0x80, -128},
      {"|b1", 1, 1, 1},
      {"<u2", 2, 65535, 65535},
      {">i2", 2, 0xfffe, -2},
      {"<u4", 4, 4000000000u, 4e9f},
      {"<i4", 4, 0x80000000, -2147483648.0f},
      {">i8", 8, (uint64_t)-3, -3},
      {"<u8", 8, UINT64_MAX, 18446744073709551616.0f},
      {"<f2", 2, 0x3c00, 1},
      {">f2", 2, 0xc248, -3.140625f},
      {"<f2", 2, 0x0001, 5.9604645e-8f},
      {"<f4", 4, 0x40490fdb, 3.14159274f},
      {">f4", 4, 0xc0000000, -2},
      {"<f8", 8, 0x3ff8000000000000, 1.5f},
      {">f8", 8, 0xbfe0000000000000, -0.5f},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char dictionary[128];
    snprintf(dictionary, sizeof dictionary, "{'descr': '%s', 'fortran_order': False, 'shape': (2, 1), }   \n", cases[i].descr);
    bytes b = {.size = 0};
    npy_header(&b, 1, dictionary);
    put_bits(&b, 0, cases[i].size, cases[i].descr[0] == '>');
    put_bits(&b, cases[i].bits, cases[i].size, cases[i].descr[0] == '>');
    fh_dataset dataset = expect_read(&b);
    assert_int_equal(dataset.n, 2);
    if (dataset.data[1] != cases[i].want) fail_msg("%s: %g is not %g", cases[i].descr, (double)dataset.data[1], (double)cases[i].want);
    fh_dataset_free(&dataset);
  }
}

static void half_specials(void **state) {
  (void)state;
  bytes b = {.size = 0};
  npy_header(&b, 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (3,)}");
  put_bits(&b, 0x7c00, 2, false);
  put_bits(&b, 0x7e00, 2, false);
  put_bits(&b, 0x8000, 2, false);
  fh_dataset dataset = expect_read(&b);
  assert_true(isinf(dataset.data[0]) && isnan(dataset.data[1]) && dataset.data[2] == 0 && signbit(dataset.data[2]));
  fh_dataset_free(&dataset);
}

static void versions_and_spelling(void **state) {
  (void)state;
  static const char *const spellings[] = {
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
      "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}\n",
      "  { 'fortran_order' : False , 'descr' : '<f4' , 'shape' : ( 2L , 3L , ) }  ",
  };
  for (int major = 1; major <= 3; major++) {
    for (size_t s = 0; s < sizeof spellings / sizeof spellings[0]; s++) {
      bytes b = {.size = 0};
      npy_header(&b, major, spellings[s]);
      for (int i = 0; i < 6; i++) put_bits(&b, 0x3f800000, 4, false);
      fh_dataset dataset = expect_read(&b);
      assert_int_equal(dataset.n, 2);
      assert_int_equal(dataset.d, 3);
      assert_true(dataset.data[5] == 1);
      fh_dataset_free(&dataset);
    }
  }
}

/* Column-major (2, 3, 4): the row of the matrix is the same as from a row-major file. */
static void fortran_order(void **state) {
  (void)state;
  bytes b = {.size = 0};
  npy_header(&b, 1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4), }");
  for (uint64_t k = 0; k < 4; k++)
    for (uint64_t j = 0; j < 3; j++)
      for (uint64_t i = 0; i < 2; i++) put_bits(&b, i * 12 + j * 4 + k, 1, false);
  fh_dataset dataset = expect_read(&b);
  assert_int_equal(dataset.n, 2);
  assert_int_equal(dataset.d, 12);
  for (int i = 0; i < 24; i++) assert_true(dataset.data[i] == (float)i);
  fh_dataset_free(&dataset);
}

static void refused_header(int major, const char *dictionary, fh_code code, const char *word) {
  bytes b = {.size = 0};
  npy_header(&b, major, dictionary);
  expect_refused(&b, 0, code, word);
}

static void hostile(void **state) {
  (void)state;
  const fh_code bad = FH_INVALID_ARGUMENT;
  refused_header(4, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", bad, "version 4.0");
  refused_header(1, "", bad, "dictionary");
  refused_header(1, "{", bad, "dictionary");
  refused_header(1, "{'descr'", bad, "dictionary");
  refused_header(1, "{'descr': '<f4', 'shape': (2,)}", bad, "dictionary");
  refused_header(1, "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", bad, "dictionary");
  refused_header(1, "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,)}", bad, "dictionary");
  refused_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,-1)}", bad, "dictionary");
  refused_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", bad, "dictionary");
  refused_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} import os", bad, "dictionary");
  refused_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", bad, "rank 0");
  refused_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", bad, "rank 9");
  refused_header(1, "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", bad, "pickles");
  refused_header(1, "{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}", bad, "'<c8'");
  refused_header(1, "{'descr': '=f4', 'fortran_order': False, 'shape': (2,)}", bad, "'=f4'");
  refused_header(1, "{'descr': 'f4', 'fortran_order': False, 'shape': (2,)}", bad, "'f4'");
  refused_header(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", bad, "record array");
  refused_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4)}", bad, "no elements");
  refused_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", bad, "more elements");
  refused_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000)}", FH_OUT_OF_RANGE, "than the file can hold");
  bytes b = {.size = 0};
  put(&b, "\x93NUMPX\1\0", 8);
  expect_refused(&b, 0, bad, "magic is damaged");
  b.size = 0;
  put(&b, "\x93NUMPY\2\0\xff\xff\xff\xff", 12);
  expect_refused(&b, 0, bad, "header of 4294967295 bytes");
}

/* Cut after every byte: always an error, never a crash. */
static void truncated(void **state) {
  (void)state;
  bytes whole = {.size = 0};
  npy_header(&whole, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }");
  for (int i = 0; i < 4; i++) put_bits(&whole, 0, 8, false);
  for (size_t size = 0; size < whole.size; size++) {
    fh_dataset dataset = {0};
    fh_status status = fh_dataset_parse(whole.data, size, "cut", 0, &dataset);
    assert_int_equal(fh_status_code(status), FH_OUT_OF_RANGE);
    fh_status_free(status);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),    cmocka_unit_test(half_specials), cmocka_unit_test(versions_and_spelling),
      cmocka_unit_test(fortran_order), cmocka_unit_test(hostile),       cmocka_unit_test(truncated),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
