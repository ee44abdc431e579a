/* Bytes from a file or from memory, unpacked when they are gzip. SPDX-License-Identifier: Apache-2.0 */
#include "algorithms/dataset/byte_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { INPUT_BYTES = 1 << 16 };
/* The deflate format cannot unpack a byte into more than this many (zlib's technical notes: 1032:1). */
enum { DEFLATE_LIMIT = 1032 };

struct fh_byte_source {
  char *name;
  int fd;                      /* -1: memory */
  const unsigned char *memory; /* what is left of it */
  size_t memory_left;
  uint64_t packed_size; /* of the whole file; UINT64_MAX unknown */
  uint64_t delivered;
  unsigned char *input; /* read but not yet delivered: [position, filled) */
  size_t position, filled;
  bool gzip, inflating; /* inflating: z is initialised */
  bool member_done;     /* a gzip member ended; another may follow */
  z_stream z;
};

static fh_status source_new(const char *name, fh_byte_source **out) {
  fh_byte_source *source = calloc(1, sizeof *source);
  if (source) {
    source->fd = -1;
    source->name = strdup(name);
    source->input = malloc(INPUT_BYTES);
  }
  if (!source || !source->name || !source->input) {
    fh_byte_source_close(source);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: no memory for a read buffer of %d bytes", name, INPUT_BYTES);
  }
  *out = source;
  return FH_OK;
}

void fh_byte_source_close(fh_byte_source *source) {
  if (!source) return;
  if (source->inflating) inflateEnd(&source->z);
  if (source->fd >= 0) close(source->fd);
  free(source->name);
  free(source->input);
  free(source);
}

/* Fills the input buffer when it is empty. Nothing left in it afterwards means the end. */
static fh_status refill(fh_byte_source *source) {
  if (source->position < source->filled) return FH_OK;
  source->position = source->filled = 0;
  if (source->fd < 0) {
    size_t take = source->memory_left < INPUT_BYTES ? source->memory_left : INPUT_BYTES;
    if (take) memcpy(source->input, source->memory, take);
    source->memory += take;
    source->memory_left -= take;
    source->filled = take;
    return FH_OK;
  }
  ssize_t got;
  do got = read(source->fd, source->input, INPUT_BYTES);
  while (got < 0 && errno == EINTR);
  if (got < 0) return FH_STATUS(FH_UNKNOWN, "%s: reading failed: %s", source->name, strerror(errno));
  source->filled = (size_t)got;
  return FH_OK;
}

/* gzip is told by its magic: no format read here begins with it. */
static fh_status detect_gzip(fh_byte_source *source) {
  FH_TRY(refill(source));
  source->gzip = source->filled >= 2 && source->input[0] == 0x1f && source->input[1] == 0x8b;
  if (!source->gzip) return FH_OK;
  if (inflateInit2(&source->z, 15 + 16) != Z_OK)
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: zlib could not start (out of memory)", source->name);
  source->inflating = true;
  return FH_OK;
}

static fh_status finish_open(fh_byte_source *source, fh_byte_source **out_source) {
  fh_status status = detect_gzip(source);
  if (status) {
    fh_byte_source_close(source);
    return status;
  }
  *out_source = source;
  return FH_OK;
}

static fh_status open_error(const char *path, int error) {
  fh_code code = error == ENOENT || error == ENOTDIR ? FH_NOT_FOUND
                 : error == EACCES || error == EPERM ? FH_PERMISSION_DENIED
                                                     : FH_UNAVAILABLE;
  return FH_STATUS(code, "%s: cannot be opened: %s", path, strerror(error));
}

fh_status fh_byte_source_open(const char *path, fh_byte_source **out_source) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return open_error(path, errno);
  struct stat st;
  if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
    close(fd);
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: is a directory; expected a data file", path);
  }
  fh_byte_source *source = NULL;
  fh_status status = source_new(path, &source);
  if (status) {
    close(fd);
    return status;
  }
  source->fd = fd;
  source->packed_size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : UINT64_MAX;
  return finish_open(source, out_source);
}

fh_status fh_byte_source_memory(const void *bytes, size_t size, const char *name, fh_byte_source **out_source) {
  fh_byte_source *source = NULL;
  FH_TRY(source_new(name, &source));
  source->memory = bytes;
  source->memory_left = size;
  source->packed_size = size;
  return finish_open(source, out_source);
}

/* Takes plain bytes out of the input buffer. *out_got 0: the end. */
static fh_status read_plain(fh_byte_source *source, unsigned char *out, size_t size, size_t *out_got) {
  FH_TRY(refill(source));
  size_t left = source->filled - source->position;
  *out_got = left < size ? left : size;
  memcpy(out, source->input + source->position, *out_got);
  source->position += *out_got;
  return FH_OK;
}

/* gzip files may be several members after one another. */
static fh_status next_member(fh_byte_source *source, bool *out_end) {
  FH_TRY(refill(source));
  *out_end = source->position == source->filled;
  if (*out_end) return FH_OK;
  if (inflateReset(&source->z) != Z_OK) return FH_STATUS(FH_INTERNAL, "%s: zlib refused to go on", source->name);
  source->member_done = false;
  return FH_OK;
}

/* One step of unpacking. *out_got 0 and no error: the end, or nothing came out of this step (*out_end tells). */
static fh_status inflate_step(fh_byte_source *source, unsigned char *out, size_t size, size_t *out_got, bool *out_end) {
  *out_got = 0;
  if (source->member_done) {
    FH_TRY(next_member(source, out_end));
    if (*out_end) return FH_OK;
  }
  FH_TRY(refill(source));
  if (source->position == source->filled)
    return FH_STATUS(FH_OUT_OF_RANGE, "%s: the gzip stream ends in the middle (truncated file)", source->name);
  source->z.next_in = source->input + source->position;
  source->z.avail_in = (unsigned)(source->filled - source->position);
  source->z.next_out = out;
  source->z.avail_out = (unsigned)(size < INPUT_BYTES ? size : INPUT_BYTES);
  unsigned asked = source->z.avail_out;
  int code = inflate(&source->z, Z_NO_FLUSH);
  source->position = source->filled - source->z.avail_in;
  *out_got = asked - source->z.avail_out;
  if (code == Z_STREAM_END) {
    source->member_done = true;
  } else if (code == Z_MEM_ERROR) {
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: zlib ran out of memory", source->name);
  } else if (code != Z_OK && code != Z_BUF_ERROR) {
    return FH_STATUS(FH_DATA_LOSS, "%s: damaged gzip data after %llu unpacked bytes: %s", source->name,
                     (unsigned long long)(source->delivered + *out_got), source->z.msg ? source->z.msg : "bad header");
  }
  return FH_OK;
}

static fh_status read_gzip(fh_byte_source *source, unsigned char *out, size_t size, size_t *out_got) {
  bool end = false;
  do FH_TRY(inflate_step(source, out, size, out_got, &end));
  while (!*out_got && !end);
  return FH_OK;
}

static fh_status read_some(fh_byte_source *source, unsigned char *out, size_t size, size_t *out_got) {
  FH_TRY(source->gzip ? read_gzip(source, out, size, out_got) : read_plain(source, out, size, out_got));
  source->delivered += *out_got;
  return FH_OK;
}

fh_status fh_byte_source_read(fh_byte_source *source, void *out, size_t size, const char *what) {
  unsigned char *to = out;
  for (size_t done = 0; done < size;) {
    size_t got = 0;
    FH_TRY(read_some(source, to + done, size - done, &got));
    if (!got)
      return FH_STATUS(FH_OUT_OF_RANGE, "%s: ends after %llu bytes, in the middle of %s (truncated file)", source->name,
                       (unsigned long long)source->delivered, what);
    done += got;
  }
  return FH_OK;
}

fh_status fh_byte_source_expect_end(fh_byte_source *source) {
  unsigned char extra;
  size_t got = 0;
  uint64_t before = source->delivered;
  FH_TRY(read_some(source, &extra, 1, &got));
  if (got)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: data go on after byte %llu, where its header says they end", source->name,
                     (unsigned long long)before);
  return FH_OK;
}

const char *fh_byte_source_name(const fh_byte_source *source) { return source->name; }
bool fh_byte_source_packed(const fh_byte_source *source) { return source->gzip; }

uint64_t fh_byte_source_bound(const fh_byte_source *source) {
  if (!source->gzip) return source->packed_size;
  return source->packed_size > UINT64_MAX / DEFLATE_LIMIT ? UINT64_MAX : source->packed_size * DEFLATE_LIMIT;
}
