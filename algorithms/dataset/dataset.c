/* Data files as a matrix. SPDX-License-Identifier: Apache-2.0 */
#include "algorithms/dataset/dataset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 1 << 14 };

static size_t number_size(fh_number number) {
  static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 8, 8, 2, 4, 8};
  return sizes[number];
}

static const char *number_name(fh_number number) {
  static const char *const names[] = {"u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f16", "f32", "f64"};
  return names[number];
}

/* ---- numbers ------------------------------------------------------------------------------------------ */

static uint64_t load_bits(const unsigned char *bytes, size_t size, bool big_endian) {
  uint64_t bits = 0;
  for (size_t i = 0; i < size; i++) bits = bits << 8 | bytes[big_endian ? i : size - 1 - i];
  return bits;
}

static float float_of_f16(uint16_t h) {
  int exponent = h >> 10 & 31, fraction = h & 1023;
  float magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                    : exponent     ? ldexpf((float)(1024 + fraction), exponent - 25)
                                   : ldexpf((float)fraction, -24);
  return h & 0x8000 ? -magnitude : magnitude;
}

static float float_of_bits(uint64_t bits, fh_number number) {
  switch (number) {
    case FH_NUM_U8:
      return (float)(uint8_t)bits;
    case FH_NUM_I8:
      return (float)(int8_t)bits;
    case FH_NUM_U16:
      return (float)(uint16_t)bits;
    case FH_NUM_I16:
      return (float)(int16_t)bits;
    case FH_NUM_U32:
      return (float)(uint32_t)bits;
    case FH_NUM_I32:
      return (float)(int32_t)bits;
    case FH_NUM_U64:
      return (float)bits;
    case FH_NUM_I64:
      return (float)(int64_t)bits;
    case FH_NUM_F16:
      return float_of_f16((uint16_t)bits);
    case FH_NUM_F32: {
      uint32_t word = (uint32_t)bits;
      float value;
      memcpy(&value, &word, sizeof value);
      return value;
    }
    case FH_NUM_F64: {
      double value;
      memcpy(&value, &bits, sizeof value);
      return (float)value;
    }
  }
  return NAN;
}

static void decode(const unsigned char *bytes, size_t count, const fh_array_header *header, float *out) {
  if (header->number == FH_NUM_U8) { /* images: worth a loop that vectorizes */
    for (size_t i = 0; i < count; i++) out[i] = (float)bytes[i];
    return;
  }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (header->number == FH_NUM_F32 && !header->big_endian) {
    memcpy(out, bytes, count * sizeof(float));
    return;
  }
#endif
  size_t size = number_size(header->number);
  for (size_t i = 0; i < count; i++) out[i] = float_of_bits(load_bits(bytes + i * size, size, header->big_endian), header->number);
}

/* ---- shape -------------------------------------------------------------------------------------------- */

static void describe(const fh_array_header *header, bool packed, char *out, size_t size) {
  int used = snprintf(out, size, "%s %s (", header->format, number_name(header->number));
  for (int i = 0; i < header->rank && used < (int)size; i++)
    used += snprintf(out + used, size - (size_t)used, "%s%llu", i ? ", " : "", (unsigned long long)header->extents[i]);
  if (used < (int)size) snprintf(out + used, size - (size_t)used, ")%s%s", header->fortran ? ", column-major" : "", packed ? ", gzip" : "");
}

/* n and d, with every product checked. */
static fh_status measure(const fh_byte_source *source, const fh_array_header *header, uint64_t max_bytes, fh_dataset *dataset) {
  uint64_t d = 1, n = header->extents[0], elements, bytes;
  bool overflow = false;
  for (int i = 1; i < header->rank; i++) overflow |= __builtin_mul_overflow(d, header->extents[i], &d);
  overflow |= __builtin_mul_overflow(n, d, &elements) || __builtin_mul_overflow(elements, 8, &bytes) || bytes > INT64_MAX;
  if (overflow || n > INT64_MAX || d > INT64_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: %s: more elements than any memory has", fh_byte_source_name(source), dataset->format);
  if (n == 0 || d == 0) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: %s: has no elements", fh_byte_source_name(source), dataset->format);
  if (elements * number_size(header->number) > fh_byte_source_bound(source))
    return FH_STATUS(FH_OUT_OF_RANGE, "%s: %s needs %llu bytes of data, more than the file can hold (truncated file, or a wrong header)",
                     fh_byte_source_name(source), dataset->format, (unsigned long long)(elements * number_size(header->number)));
  if (max_bytes && elements * sizeof(float) > max_bytes)
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: %s takes %.1f MiB as f32; the limit is %.1f MiB", fh_byte_source_name(source),
                     dataset->format, (double)elements * sizeof(float) / 1048576.0, (double)max_bytes / 1048576.0);
  dataset->n = (int64_t)n;
  dataset->d = (int64_t)d;
  return FH_OK;
}

/* ---- data --------------------------------------------------------------------------------------------- */

/* Column c of the matrix for the r-th row of the file in column-major order: the indices after the first run in the
 * opposite order in memory. */
static int64_t column_of(const fh_array_header *header, uint64_t r) {
  uint64_t column = 0;
  for (int i = 1; i < header->rank; i++) {
    column = column * header->extents[i] + r % header->extents[i];
    r /= header->extents[i];
  }
  return (int64_t)column;
}

/* Reads `count` numbers to out[0], out[stride], ... */
static fh_status read_numbers(fh_byte_source *source, const fh_array_header *header, int64_t count, int64_t stride, float *out) {
  unsigned char bytes[CHUNK_BYTES];
  float values[CHUNK_BYTES];
  size_t size = number_size(header->number);
  for (int64_t done = 0; done < count;) {
    int64_t step = count - done < (int64_t)(CHUNK_BYTES / size) ? count - done : (int64_t)(CHUNK_BYTES / size);
    FH_TRY(fh_byte_source_read(source, bytes, (size_t)step * size, "its data"));
    decode(bytes, (size_t)step, header, stride == 1 ? out + done : values);
    for (int64_t i = 0; stride != 1 && i < step; i++) out[(done + i) * stride] = values[i];
    done += step;
  }
  return FH_OK;
}

static fh_status read_matrix(fh_byte_source *source, const fh_array_header *header, fh_dataset *dataset) {
  if (!header->fortran || header->rank == 1) return read_numbers(source, header, dataset->n * dataset->d, 1, dataset->data);
  for (int64_t r = 0; r < dataset->d; r++)
    FH_TRY(read_numbers(source, header, dataset->n, dataset->d, dataset->data + column_of(header, (uint64_t)r)));
  return FH_OK;
}

static fh_status read_header(fh_byte_source *source, fh_array_header *header) {
  static const unsigned char npy[4] = {0x93, 'N', 'U', 'M'};
  unsigned char magic[4];
  FH_TRY(fh_byte_source_read(source, magic, sizeof magic, "the first four bytes, which tell the format"));
  if (memcmp(magic, npy, sizeof npy) == 0) return fh_npy_header(source, header);
  if (magic[0] == 0 && magic[1] == 0) return fh_idx_header(source, magic, header);
  return FH_STATUS(FH_INVALID_ARGUMENT, "%s: begins with %02x %02x %02x %02x: expected an IDX or NPY file, plain or gzip",
                   fh_byte_source_name(source), magic[0], magic[1], magic[2], magic[3]);
}

static fh_status read_all(fh_byte_source *source, uint64_t max_bytes, fh_dataset *dataset) {
  fh_array_header header;
  FH_TRY(read_header(source, &header));
  describe(&header, fh_byte_source_packed(source), dataset->format, sizeof dataset->format);
  FH_TRY(measure(source, &header, max_bytes, dataset));
  dataset->data = malloc((size_t)(dataset->n * dataset->d) * sizeof(float));
  if (!dataset->data)
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: no memory for %lld x %lld floats", fh_byte_source_name(source), (long long)dataset->n,
                     (long long)dataset->d);
  FH_TRY(read_matrix(source, &header, dataset));
  return fh_byte_source_expect_end(source);
}

static fh_status read_and_close(fh_byte_source *source, uint64_t max_bytes, fh_dataset *out_dataset) {
  fh_dataset dataset = {0};
  fh_status status = read_all(source, max_bytes, &dataset);
  fh_byte_source_close(source);
  if (status) {
    fh_dataset_free(&dataset);
    return status;
  }
  *out_dataset = dataset;
  return FH_OK;
}

fh_status fh_dataset_read(const char *path, uint64_t max_bytes, fh_dataset *out_dataset) {
  fh_byte_source *source = NULL;
  FH_TRY(fh_byte_source_open(path, &source));
  return read_and_close(source, max_bytes, out_dataset);
}

fh_status fh_dataset_parse(const void *bytes, size_t size, const char *name, uint64_t max_bytes, fh_dataset *out_dataset) {
  fh_byte_source *source = NULL;
  FH_TRY(fh_byte_source_memory(bytes, size, name, &source));
  return read_and_close(source, max_bytes, out_dataset);
}

void fh_dataset_free(fh_dataset *dataset) {
  if (!dataset) return;
  free(dataset->data);
  *dataset = (fh_dataset){0};
}
