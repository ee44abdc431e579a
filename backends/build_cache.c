/* Built kernels on disk. SPDX-License-Identifier: Apache-2.0 */
#include "backends/build_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/cache_file.h"
#include "runtime/base/text.h"

enum { MAX_FILE_BYTES = 256 << 20, MAX_KEY_BYTES = 8192, VERSION = 1 };

typedef struct header {
  char magic[8];
  uint32_t version, key_bytes;
  uint64_t binary_bytes, checksum; /* of key and binary */
} header;

static const char MAGIC[8] = "FHBUILD";

uint64_t fh_build_hash(uint64_t hash, const void *data, size_t bytes) {
  const unsigned char *at = data;
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
  return hash;
}

char *fh_build_cache_path(const char *folder, const char *kind, const char *key) {
  fh_text path = {0};
  fh_text_add(&path, "%s/%s-%016" PRIx64 ".bin", folder, kind, fh_build_hash(FH_HASH_START, key, strlen(key)));
  return fh_text_take(&path);
}

/* NULL, or why the bytes are not a build for this key. A driver may want what it is given aligned: the binary moves to the front. */
static const char *parse(char *bytes, size_t size, const char *key, fh_build_cache_file *out) {
  header h;
  if (size < sizeof h) return "it is cut short";
  memcpy(&h, bytes, sizeof h);
  size_t rest = size - sizeof h, key_bytes = strlen(key);
  if (memcmp(h.magic, MAGIC, sizeof MAGIC) != 0 || h.version != VERSION) return "it is no program of this version";
  if (h.key_bytes > rest || h.binary_bytes != rest - h.key_bytes || h.binary_bytes == 0) return "its sizes do not add up";
  if (fh_build_hash(FH_HASH_START, bytes + sizeof h, rest) != h.checksum) return "its checksum is wrong";
  if (h.key_bytes != key_bytes || memcmp(bytes + sizeof h, key, key_bytes) != 0) return "it was made for another driver";
  out->binary = memmove(bytes, bytes + sizeof h + key_bytes, (size_t)h.binary_bytes);
  out->binary_bytes = (size_t)h.binary_bytes;
  return NULL;
}

/* A built kernel is code: it is taken only from a file that nobody else could have written. */
const char *fh_build_cache_read(const char *path, const char *key, fh_build_cache_file *out_file) {
  size_t size;
  *out_file = (fh_build_cache_file){0};
  const char *why = fh_cache_file_read(path, MAX_FILE_BYTES, &out_file->bytes, &size);
  if (why || !out_file->bytes) return why;
  why = parse(out_file->bytes, size, key, out_file);
  if (!why) return NULL;
  free(out_file->bytes);
  *out_file = (fh_build_cache_file){0};
  return why;
}

const char *fh_build_cache_write(const char *path, const char *key, const void *binary, size_t bytes) {
  if (strlen(key) > MAX_KEY_BYTES) return "its key is too long";
  if (bytes == 0) return "the driver gives no binary";
  if (bytes > MAX_FILE_BYTES - sizeof(header) - MAX_KEY_BYTES) return "the binary is too large";
  header h = {.version = VERSION, .key_bytes = (uint32_t)strlen(key), .binary_bytes = bytes};
  memcpy(h.magic, MAGIC, sizeof MAGIC);
  h.checksum = fh_build_hash(fh_build_hash(FH_HASH_START, key, h.key_bytes), binary, bytes);
  return fh_cache_file_write(path, (const fh_cache_part[]){{&h, sizeof h}, {key, h.key_bytes}, {binary, bytes}}, 3);
}
