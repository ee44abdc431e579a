/* A folder that a test fills and that goes away with it. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_FOLDER_H_
#define FOGHORN_TESTS_FOLDER_H_

#include <stddef.h>

typedef struct folder {
  char path[256];
} folder;

/* All of these end the program with a message when they cannot do it. */
void folder_make(folder *f);
void folder_remove(folder *f);
/* Writes a file below the folder, making its directories. */
void folder_put(const folder *f, const char *name, const char *text);
void folder_put_bytes(const folder *f, const char *name, const void *bytes, size_t size);
void folder_mkdir(const folder *f, const char *name);
void folder_link(const folder *f, const char *name, const char *target);
/* "<path>/<name>": valid until the fourth call after this one. */
const char *folder_at(const folder *f, const char *name);

#endif /* FOGHORN_TESTS_FOLDER_H_ */
