/* Builds data files in memory for the reader tests. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_UNIT_DATASET_BYTES_H_
#define FOGHORN_TESTS_UNIT_DATASET_BYTES_H_

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <setjmp.h>
/* cmocka wants stdarg, stddef, stdint and setjmp first */
#include <cmocka.h>

#include "algorithms/dataset/dataset.h"
#include "tests/support/expect.h"

typedef struct bytes {
  unsigned char data[1 << 14];
  size_t size;
} bytes;

static inline void put(bytes *b, const void *data, size_t size) {
  assert_true(b->size + size <= sizeof b->data);
  memcpy(b->data + b->size, data, size);
  b->size += size;
}

/* A number's bits in the given order. */
static inline void put_bits(bytes *b, uint64_t bits, size_t size, bool big_endian) {
  for (size_t i = 0; i < size; i++) {
    unsigned char byte = (unsigned char)(bits >> 8 * (big_endian ? size - 1 - i : i));
    put(b, &byte, 1);
  }
}

/* One or more gzip members are made by calling it again on the same target. */
static inline void put_gzip(bytes *b, const void *data, size_t size) {
  z_stream z = {0};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  z.next_in = (unsigned char *)(uintptr_t)data;
  z.avail_in = (unsigned)size;
  z.next_out = b->data + b->size;
  z.avail_out = (unsigned)(sizeof b->data - b->size);
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  b->size += z.total_out;
  deflateEnd(&z);
}

/* The reader must refuse with this code, and its message must hold `word`. */
static inline void expect_refused(const bytes *b, uint64_t max_bytes, fh_code code, const char *word) {
  fh_dataset dataset = {0};
  fh_status status = fh_dataset_parse(b->data, b->size, "test", max_bytes, &dataset);
  assert_null(dataset.data);
  fh_expect_fails(status, code, word);
}

static inline fh_dataset expect_read(const bytes *b) {
  fh_dataset dataset = {0};
  fh_status status = fh_dataset_parse(b->data, b->size, "test", 0, &dataset);
  if (status) fail_msg("expected to be read: %s", fh_status_message(status));
  return dataset;
}

#endif /* FOGHORN_TESTS_UNIT_DATASET_BYTES_H_ */
