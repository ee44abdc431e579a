/* Files of a cache folder: read only when nobody else could have written them, written whole or not at all.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What returns words returns NULL on success, and else why not: for a message, valid until the thread's next call of strerror. */
#ifndef FOGHORN_BASE_CACHE_FILE_H_
#define FOGHORN_BASE_CACHE_FILE_H_

#include <stdbool.h>
#include <stddef.h>

/* The folder: FOGHORN_CACHE_DIR, else the user's own for such things. False with "" in out: there is none, or it is switched off. */
bool fh_cache_folder(char *out, size_t size);

/* The bytes, followed by a zero that is not counted; caller frees. *out NULL with success: there is no such file. Refused are links, what
 * is no regular file, files of another user or that others may write, and more than `most` bytes. */
const char *fh_cache_file_read(const char *path, size_t most, char **out, size_t *out_size);

typedef struct fh_cache_part {
  const void *bytes;
  size_t size;
} fh_cache_part;

/* Writes the parts one after another under another name, then renames: a reader never sees half of one. Makes the folders that lead
 * to it, for this user alone. */
const char *fh_cache_file_write(const char *path, const fh_cache_part *parts, int part_count);
/* Could it be written now? Makes the folders too. */
const char *fh_cache_file_writable(const char *path);

#endif /* FOGHORN_BASE_CACHE_FILE_H_ */
