/* Built kernels on disk, for backends whose drivers compile. SPDX-License-Identifier: Apache-2.0
 *
 * One file per build: <folder>/<kind>-<hash of its key>.bin, made of a header, the key and the binary. The key is all that the binary
 * depends on (device and driver with versions, options, kernel, hash of the text); it is compared in full, so a hash collision is a miss
 * and not a wrong kernel. A file that is not ours to trust, or is cut short or changed, is left out with a reason. Files appear by
 * rename, so a reader never sees half of one.
 */
#ifndef FOGHORN_BACKENDS_BUILD_CACHE_H_
#define FOGHORN_BACKENDS_BUILD_CACHE_H_

#include <stddef.h>
#include <stdint.h>

typedef struct fh_build_cache_file {
  char *bytes;         /* of the whole file; caller frees. NULL: there is no such file */
  const void *binary;  /* within bytes, aligned as malloc does */
  size_t binary_bytes; /* > 0 */
} fh_build_cache_file;

/* Where the build of a key lies; caller frees. NULL without memory. `kind` names the backend. */
char *fh_build_cache_path(const char *folder, const char *kind, const char *key);

/* NULL with the file, or without one when there is none; else why it is not used: words that live as long as those of strerror. */
const char *fh_build_cache_read(const char *path, const char *key, fh_build_cache_file *out_file);

/* NULL, or why the binary could not be kept. */
const char *fh_build_cache_write(const char *path, const char *key, const void *binary, size_t bytes);

/* FNV-1a of bytes, on from an earlier value; FH_HASH_START to begin with. */
#define FH_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t fh_build_hash(uint64_t hash, const void *data, size_t bytes);

#endif /* FOGHORN_BACKENDS_BUILD_CACHE_H_ */
