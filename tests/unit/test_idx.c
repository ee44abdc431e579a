/* IDX files, plain and gzip, right and hostile. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/dataset_bytes.h"

#include <math.h>
#include <unistd.h>

static void idx_header(bytes *b, unsigned type, int rank, const uint32_t *extents) {
  const unsigned char magic[4] = {0, 0, (unsigned char)type, (unsigned char)rank};
  put(b, magic, 4);
  for (int i = 0; i < rank; i++) put_bits(b, extents[i], 4, true);
}

static uint64_t bits_of_double(double v) {
  uint64_t bits;
  memcpy(&bits, &v, 8);
  return bits;
}

static uint64_t bits_of_float(float v) {
  uint32_t bits;
  memcpy(&bits, &v, 4);
  return bits;
}

static void every_type(void **state) {
  (void)state;
  static const struct {
    unsigned type;
    size_t size;
    uint64_t bits;
    float want;
  } cases[] = {
      {0x08, 1, 200, 200},
      {0x09, 1, 0xfe, -2},
      {0x0b, 2, 0x8000, -32768},
      {0x0c, 4, 0xfffffff6, -10},
      {0x0d, 4, 0x40490fdb, 3.14159274f},
      {0x0e, 8, 0x3ff8000000000000, 1.5f},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bytes b = {.size = 0};
    idx_header(&b, cases[i].type, 2, (uint32_t[]){1, 2});
    put_bits(&b, 0, cases[i].size, true);
    put_bits(&b, cases[i].bits, cases[i].size, true);
    fh_dataset dataset = expect_read(&b);
    assert_int_equal(dataset.n, 1);
    assert_int_equal(dataset.d, 2);
    assert_true(dataset.data[0] == 0 && dataset.data[1] == cases[i].want);
    fh_dataset_free(&dataset);
  }
}

static void ranks(void **state) {
  (void)state;
  for (int rank = 1; rank <= FH_MAX_RANK; rank++) {
    bytes b = {.size = 0};
    uint32_t extents[FH_MAX_RANK];
    int64_t d = 1;
    for (int i = 0; i < rank; i++) extents[i] = i < 4 ? 2 + (uint32_t)i : 1;
    for (int i = 1; i < rank; i++) d *= extents[i];
    idx_header(&b, 0x08, rank, extents);
    for (int64_t i = 0; i < 2 * d; i++) put_bits(&b, (uint64_t)i & 255, 1, true);
    fh_dataset dataset = expect_read(&b);
    assert_int_equal(dataset.n, 2);
    assert_int_equal(dataset.d, d);
    for (int64_t i = 0; i < 2 * d; i++) assert_true(dataset.data[i] == (float)(i & 255));
    fh_dataset_free(&dataset);
  }
}

static void special_values(void **state) {
  (void)state;
  bytes b = {.size = 0};
  idx_header(&b, 0x0e, 1, (uint32_t[]){4});
  const double values[4] = {INFINITY, NAN, 1e300, -0.0};
  for (int i = 0; i < 4; i++) put_bits(&b, bits_of_double(values[i]), 8, true);
  fh_dataset dataset = expect_read(&b);
  assert_int_equal(dataset.d, 1);
  assert_true(isinf(dataset.data[0]) && isnan(dataset.data[1]) && isinf(dataset.data[2]));
  assert_true(dataset.data[3] == 0 && signbit(dataset.data[3]));
  fh_dataset_free(&dataset);

  bytes f = {.size = 0};
  idx_header(&f, 0x0d, 1, (uint32_t[]){1});
  put_bits(&f, bits_of_float(1e-42f), 4, true); /* a denormal survives */
  dataset = expect_read(&f);
  assert_true(dataset.data[0] == 1e-42f);
  fh_dataset_free(&dataset);
}

static void gzip_members(void **state) {
  (void)state;
  bytes plain = {.size = 0}, packed = {.size = 0};
  idx_header(&plain, 0x08, 2, (uint32_t[]){100, 30});
  for (int i = 0; i < 3000; i++) put_bits(&plain, (uint64_t)i * 7 & 255, 1, true);
  put_gzip(&packed, plain.data, 10); /* the first member ends inside the header */
  put_gzip(&packed, plain.data + 10, plain.size - 10);
  fh_dataset dataset = expect_read(&packed);
  assert_int_equal(dataset.n, 100);
  assert_non_null(strstr(dataset.format, "gzip"));
  for (int i = 0; i < 3000; i++) assert_true(dataset.data[i] == (float)(i * 7 & 255));
  fh_dataset_free(&dataset);

  for (size_t cut = 2; cut < packed.size; cut += 5) { /* cut anywhere: an error, never a wrong matrix */
    bytes short_one = packed;
    short_one.size = cut;
    fh_dataset got = {0};
    fh_status status = fh_dataset_parse(short_one.data, short_one.size, "cut", 0, &got);
    if (!status) {
      assert_true(cut > packed.size - 9); /* only the last checksum may be missing unnoticed */
      fh_dataset_free(&got);
    }
    fh_status_free(status);
  }
  packed.data[packed.size - 20] ^= 0x55;
  fh_dataset got = {0};
  fh_status status = fh_dataset_parse(packed.data, packed.size, "damaged", 0, &got);
  assert_int_not_equal(fh_status_code(status), FH_CODE_OK);
  fh_status_free(status);
}

static void hostile(void **state) {
  (void)state;
  bytes b = {.size = 0};
  expect_refused(&b, 0, FH_OUT_OF_RANGE, "truncated");
  idx_header(&b, 0x0a, 1, (uint32_t[]){1});
  expect_refused(&b, 0, FH_INVALID_ARGUMENT, "type byte 0x0a");
  b.size = 0;
  idx_header(&b, 0x08, 0, NULL);
  expect_refused(&b, 0, FH_INVALID_ARGUMENT, "rank 0");
  b.size = 0;
  put(&b, (const unsigned char[]){0, 0, 8, 200}, 4);
  expect_refused(&b, 0, FH_INVALID_ARGUMENT, "rank 200");
  b.size = 0;
  idx_header(&b, 0x08, 2, (uint32_t[]){5, 0});
  expect_refused(&b, 0, FH_INVALID_ARGUMENT, "no elements");
  b.size = 0;
  idx_header(&b, 0x08, 4, (uint32_t[]){0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff});
  expect_refused(&b, 0, FH_INVALID_ARGUMENT, "more elements");
  b.size = 0;
  idx_header(&b, 0x08, 2, (uint32_t[]){0xffffffff, 1000});
  expect_refused(&b, 0, FH_OUT_OF_RANGE, "than the file can hold");
  b.size = 0;
  idx_header(&b, 0x08, 1, (uint32_t[]){3});
  put(&b, "abc", 3);
  put(&b, "d", 1);
  expect_refused(&b, 0, FH_INVALID_ARGUMENT, "data go on after byte 11");
  b.size -= 1;
  expect_refused(&b, 11, FH_RESOURCE_EXHAUSTED, "limit");
  b.size = 0;
  put(&b, "PK\3\4", 4);
  expect_refused(&b, 0, FH_INVALID_ARGUMENT, "expected an IDX or NPY");
}

/* A small file that says it unpacks to gigabytes is refused before memory is asked for. */
static void gzip_bomb(void **state) {
  (void)state;
  static unsigned char zeros[1 << 20];
  bytes plain = {.size = 0}, packed = {.size = 0};
  idx_header(&plain, 0x08, 2, (uint32_t[]){1 << 16, 1 << 16});
  put_gzip(&packed, plain.data, plain.size);
  put_gzip(&packed, zeros, sizeof zeros);
  expect_refused(&packed, 0, FH_OUT_OF_RANGE, "than the file can hold");
  expect_refused(&packed, 1 << 20, FH_OUT_OF_RANGE, "than the file can hold");
}

static void files(void **state) {
  (void)state;
  char path[] = "/tmp/foghorn-idx-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  bytes b = {.size = 0};
  idx_header(&b, 0x08, 2, (uint32_t[]){3, 1});
  put(&b, "\1\2\3", 3);
  assert_int_equal(write(fd, b.data, b.size), (ssize_t)b.size);
  close(fd);
  fh_dataset dataset = {0};
  fh_status status = fh_dataset_read(path, 0, &dataset);
  assert_null(status);
  assert_string_equal(dataset.format, "IDX u8 (3, 1)");
  assert_true(dataset.data[2] == 3);
  fh_dataset_free(&dataset);
  unlink(path);

  status = fh_dataset_read(path, 0, &dataset);
  assert_int_equal(fh_status_code(status), FH_NOT_FOUND);
  assert_non_null(strstr(fh_status_message(status), path));
  fh_status_free(status);
  status = fh_dataset_read("/", 0, &dataset);
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  fh_status_free(status);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type), cmocka_unit_test(ranks),     cmocka_unit_test(special_values), cmocka_unit_test(gzip_members),
      cmocka_unit_test(hostile),    cmocka_unit_test(gzip_bomb), cmocka_unit_test(files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
