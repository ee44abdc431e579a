/* The header of an IDX file (the format of the MNIST family). SPDX-License-Identifier: Apache-2.0
 * Two zero bytes, a type byte, a rank byte, then that many extents as big-endian 32-bit numbers. */
#include "algorithms/dataset/dataset.h"

static bool number_of(unsigned char type, fh_number *out) {
  switch (type) {
    case 0x08:
      *out = FH_NUM_U8;
      return true;
    case 0x09:
      *out = FH_NUM_I8;
      return true;
    case 0x0b:
      *out = FH_NUM_I16;
      return true;
    case 0x0c:
      *out = FH_NUM_I32;
      return true;
    case 0x0d:
      *out = FH_NUM_F32;
      return true;
    case 0x0e:
      *out = FH_NUM_F64;
      return true;
    default:
      return false;
  }
}

fh_status fh_idx_header(fh_byte_source *source, const unsigned char magic[4], fh_array_header *out_header) {
  fh_array_header header = {.format = "IDX", .big_endian = true, .rank = magic[3]};
  if (!number_of(magic[2], &header.number))
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: IDX type byte 0x%02x: expected 08 (u8), 09 (i8), 0b (i16), 0c (i32), 0d (f32) or 0e (f64)",
                     fh_byte_source_name(source), magic[2]);
  if (header.rank < 1 || header.rank > FH_MAX_RANK)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: IDX rank %d: expected 1 to %d", fh_byte_source_name(source), header.rank, FH_MAX_RANK);
  for (int i = 0; i < header.rank; i++) {
    unsigned char b[4];
    FH_TRY(fh_byte_source_read(source, b, sizeof b, "the IDX header"));
    header.extents[i] = (uint64_t)b[0] << 24 | (uint64_t)b[1] << 16 | (uint64_t)b[2] << 8 | b[3];
  }
  *out_header = header;
  return FH_OK;
}
