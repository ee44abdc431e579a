/* Data files as a matrix: IDX and NPY, plain or gzip. SPDX-License-Identifier: Apache-2.0
 *
 * This room is the door between files and algorithms: an algorithm takes views, this gives the rows to view.
 * Nothing here trusts a size: what a header declares is checked against the limit, against overflow and against
 * what the file could possibly hold before memory is asked for.
 */
#ifndef FOGHORN_ALGORITHMS_DATASET_DATASET_H_
#define FOGHORN_ALGORITHMS_DATASET_DATASET_H_

#include <foghorn/status.h>
#include <foghorn/types.h>

#include "algorithms/dataset/byte_source.h"

/* Rows of f32. Every number of the file is converted to the nearest float: integers beyond 2^24 and doubles lose
 * digits, doubles beyond 3.4e38 become infinite. */
typedef struct fh_dataset {
  float *data;     /* n x d, row-major */
  int64_t n, d;    /* the first extent, and the product of the others (1 when there are none) */
  char format[96]; /* "IDX u8 (60000, 28, 28), gzip" */
} fh_dataset;

/* Reads a file. max_bytes limits the memory of the matrix; 0: no limit. Errors name the file:
 * NOT_FOUND, PERMISSION_DENIED; INVALID_ARGUMENT (neither IDX nor NPY, a type or rank that cannot be rows of
 * numbers, data after the end); OUT_OF_RANGE (truncated); DATA_LOSS (damaged gzip); RESOURCE_EXHAUSTED (over the limit). */
fh_status fh_dataset_read(const char *path, uint64_t max_bytes, fh_dataset *out_dataset);
/* The same from memory. */
fh_status fh_dataset_parse(const void *bytes, size_t size, const char *name, uint64_t max_bytes, fh_dataset *out_dataset);
void fh_dataset_free(fh_dataset *dataset);

/* ---- between the readers --------------------------------------------------------------------------- */

typedef enum fh_number {
  FH_NUM_U8,
  FH_NUM_I8,
  FH_NUM_U16,
  FH_NUM_I16,
  FH_NUM_U32,
  FH_NUM_I32,
  FH_NUM_U64,
  FH_NUM_I64,
  FH_NUM_F16,
  FH_NUM_F32,
  FH_NUM_F64
} fh_number;

/* What a header says. */
typedef struct fh_array_header {
  const char *format; /* "IDX" */
  fh_number number;
  bool big_endian;
  bool fortran; /* the first index moves fastest */
  int rank;     /* 1 to FH_MAX_RANK */
  uint64_t extents[FH_MAX_RANK];
} fh_array_header;

/* Each reads a header whose first four bytes have been read already (NPY's say no more than that it is one). */
fh_status fh_idx_header(fh_byte_source *source, const unsigned char magic[4], fh_array_header *out_header);
fh_status fh_npy_header(fh_byte_source *source, fh_array_header *out_header);

#endif /* FOGHORN_ALGORITHMS_DATASET_DATASET_H_ */
