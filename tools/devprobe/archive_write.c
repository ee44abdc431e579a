/* Writing an archive: POSIX ustar, compressed by zlib. SPDX-License-Identifier: Apache-2.0
 *
 * libarchive reads what others made; writing does without it, because a snapshot is taken where least is installed: the static devprobe and
 * images with nothing but libc have no libarchive, and what is written is one header of fixed fields per file. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "tools/devprobe/archive.h"

enum { BLOCK = 512, NAME_BYTES = 100, GZIP = 16, WINDOW = 15, MEMORY_LEVEL = 8 };

static const char folder[] = "snapshot/";
_Static_assert(sizeof folder - 1 + FH_MEMBER_NAME_MAX < NAME_BYTES, "the longest name fits its field of a tar header");

/* The header of POSIX.1-1988, ustar. */
typedef struct tar_header {
  char name[NAME_BYTES], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2], user[32],
      group[32], major[8], minor[8], prefix[155], rest[12];
} tar_header;
_Static_assert(sizeof(tar_header) == BLOCK, "a tar header is one block");

static void add_header(fh_text *tar, const fh_member *member) {
  tar_header h = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
  unsigned sum = 0;
  snprintf(h.name, sizeof h.name, "%s%s", folder, member->name);
  snprintf(h.mode, sizeof h.mode, "%07o", 0644U);
  snprintf(h.uid, sizeof h.uid, "%07o", 0U);
  snprintf(h.gid, sizeof h.gid, "%07o", 0U);
  snprintf(h.size, sizeof h.size, "%011zo", member->size);
  snprintf(h.mtime, sizeof h.mtime, "%011o", 0U);
  memset(h.checksum, ' ', sizeof h.checksum); /* as it is counted */
  for (size_t i = 0; i < sizeof h; i++) sum += ((const unsigned char *)&h)[i];
  snprintf(h.checksum, sizeof h.checksum, "%06o", sum);
  fh_text_append(tar, (const char *)&h, sizeof h);
}

static void add_padding(fh_text *tar, size_t size) {
  static const char zeros[2 * BLOCK];
  fh_text_append(tar, zeros, size);
}

static void add_tar(fh_text *tar, const fh_members *members) {
  for (size_t i = 0; i < members->count; i++) {
    const fh_member *m = &members->items[i];
    add_header(tar, m);
    fh_text_append(tar, m->bytes, m->size);
    add_padding(tar, (BLOCK - m->size % BLOCK) % BLOCK);
  }
  add_padding(tar, (size_t)2 * BLOCK); /* the end */
}

/* Compresses; false: no memory. */
static bool add_gzip(fh_text *out, const fh_text *tar) {
  unsigned char bytes[16 * 1024];
  z_stream z = {.next_in = (unsigned char *)tar->data, .avail_in = (unsigned)tar->size};
  if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, WINDOW + GZIP, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) return false;
  int result = Z_OK;
  while (result == Z_OK) {
    z.next_out = bytes;
    z.avail_out = sizeof bytes;
    result = deflate(&z, Z_FINISH);
    fh_text_append(out, (const char *)bytes, sizeof bytes - z.avail_out);
  }
  deflateEnd(&z);
  return result == Z_STREAM_END && !out->failed;
}

fh_status fh_archive_pack(const fh_members *members, fh_text *out_bytes) {
  fh_text tar = {0};
  add_tar(&tar, members);
  bool ok = !tar.failed && tar.size <= UINT32_MAX && add_gzip(out_bytes, &tar);
  fh_text_free(&tar);
  return ok ? FH_OK : FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for an archive");
}
