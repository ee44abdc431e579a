/* Bytes from a file or from memory, unpacked when they are gzip. SPDX-License-Identifier: Apache-2.0
 *
 * Reads forward only and never more than it is asked for, so a compressed bomb costs what the reader wants and
 * not what it could become.
 */
#ifndef FOGHORN_ALGORITHMS_DATASET_BYTE_SOURCE_H_
#define FOGHORN_ALGORITHMS_DATASET_BYTE_SOURCE_H_

#include <foghorn/status.h>
#include <foghorn/types.h>

typedef struct fh_byte_source fh_byte_source;

/* Opens a file. NOT_FOUND, PERMISSION_DENIED or INVALID_ARGUMENT (a directory) name it. */
fh_status fh_byte_source_open(const char *path, fh_byte_source **out_source);
/* Reads borrowed memory; `name` is for messages. */
fh_status fh_byte_source_memory(const void *bytes, size_t size, const char *name, fh_byte_source **out_source);
void fh_byte_source_close(fh_byte_source *source);

/* Reads `size` bytes or fails: OUT_OF_RANGE when the data end early (`what` names the part that is missing),
 * DATA_LOSS when the gzip stream is damaged. */
fh_status fh_byte_source_read(fh_byte_source *source, void *out, size_t size, const char *what);
/* Fails with INVALID_ARGUMENT unless everything has been read. */
fh_status fh_byte_source_expect_end(fh_byte_source *source);

const char *fh_byte_source_name(const fh_byte_source *source);
bool fh_byte_source_packed(const fh_byte_source *source);
/* No more than this many bytes can ever come out; UINT64_MAX when the length is not known (a pipe). */
uint64_t fh_byte_source_bound(const fh_byte_source *source);

#endif /* FOGHORN_ALGORITHMS_DATASET_BYTE_SOURCE_H_ */
