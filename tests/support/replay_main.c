/* Feeds files to a fuzz target, so that its corpus is a regression test under every compiler: each file
 * as it is, then every beginning of it, because a cut-off input is what parsers trip over most.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOT_RUN = 77, ALL_BEGINNINGS_BELOW = 4096, BEGINNINGS_OF_LARGE = 1024 };

/* The bytes are copied into a block of exactly their size, so that reading past the end is seen. */
static bool feed(const uint8_t *bytes, size_t size) {
  uint8_t *exact = malloc(size ? size : 1);
  if (!exact) return false;
  if (size) memcpy(exact, bytes, size);
  LLVMFuzzerTestOneInput(exact, size);
  free(exact);
  return true;
}

static bool feed_with_beginnings(const uint8_t *bytes, size_t size) {
  size_t step = size < ALL_BEGINNINGS_BELOW ? 1 : size / BEGINNINGS_OF_LARGE;
  for (size_t length = 0; length < size; length += step) {
    if (!feed(bytes, length)) return false;
  }
  return feed(bytes, size);
}

static bool replay_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    return false;
  }
  struct stat st;
  bool ok = fstat(fileno(file), &st) == 0;
  uint8_t *bytes = ok ? malloc((size_t)st.st_size + 1) : NULL;
  ok = bytes && fread(bytes, 1, (size_t)st.st_size, file) == (size_t)st.st_size;
  fclose(file);
  if (ok) {
    printf("replay: %s\n", path);
    fflush(stdout); /* names the culprit when the next line never comes */
    ok = feed_with_beginnings(bytes, (size_t)st.st_size);
  } else {
    fprintf(stderr, "replay: %s: cannot be read\n", path);
  }
  free(bytes);
  return ok;
}

/* Returns how many files were fed, or -1 after a failure. */
static int replay_folder(const char *path) {
  DIR *folder = opendir(path);
  if (!folder) return 0;
  int fed = 0;
  for (struct dirent *entry; fed >= 0 && (entry = readdir(folder));) {
    if (entry->d_name[0] == '.') continue;
    char name[4096];
    int length = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    fed = length < (int)sizeof name && replay_file(name) ? fed + 1 : -1;
  }
  closedir(folder);
  return fed;
}

int main(int argc, char **argv) {
  int fed = 0;
  for (int i = 1; i < argc; ++i) {
    int here = replay_folder(argv[i]);
    if (here < 0) return 1;
    fed += here;
  }
  if (fed == 0) {
    printf("NOT RUN: no corpus in %s\n", argc > 1 ? argv[1] : "(no folder given)");
    return NOT_RUN;
  }
  printf("replay: %d files\n", fed);
  return 0;
}
