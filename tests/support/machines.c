/* The golden machines, for tests. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/machines.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_MACHINES = 2048 };

static void give_up(const char *what, const char *name, fh_status status) {
  printf("FAILED: %s %s: %s\n", what, name, fh_status_message(status));
  fh_status_free(status);
  exit(1);
}

static const char *folder(void) {
  static char path[PATH_MAX];
  const char *source = getenv("FH_SOURCE_DIR");
  snprintf(path, sizeof(path), "%s/tests/machines", source ? source : ".");
  return path;
}

const char *fh_machine_path(const char *name) {
  static char path[PATH_MAX * 2];
  snprintf(path, sizeof(path), "%s/%s", folder(), name);
  return path;
}

static int has_expectation(const struct dirent *entry) {
  char path[PATH_MAX * 2];
  snprintf(path, sizeof(path), "%s/%s/expect.json", folder(), entry->d_name);
  return entry->d_name[0] != '.' && access(path, R_OK) == 0;
}

const char *const *fh_machines(int *out_count) {
  static const char *names[MAX_MACHINES];
  struct dirent **entries = NULL;
  int count = scandir(folder(), &entries, has_expectation, alphasort);
  if (count <= 0 || count > MAX_MACHINES) {
    printf("FAILED: %s: found %d machines (FH_SOURCE_DIR says where the sources are)\n", folder(), count);
    exit(1);
  }
  for (int i = 0; i < count; i++) {
    free((void *)names[i]);
    names[i] = strdup(entries[i]->d_name);
    free(entries[i]);
    if (!names[i]) exit(1);
  }
  free(entries);
  *out_count = count;
  return names;
}

fh_os *fh_machine_os(const char *name) {
  fh_os *os = NULL;
  fh_status status = fh_os_directory(fh_machine_path(name), &os);
  if (status) give_up("opening", name, status);
  return os;
}

fh_judged fh_judge_os(fh_os *take_os, const char *expect) {
  fh_judged judged = {0};
  fh_status status = fh_facts_gather(take_os, FH_GATHER_ALL, &judged.facts);
  if (!status) status = fh_judge(judged.facts, expect, &judged.judgement);
  if (status) give_up("judging", "a machine", status);
  fh_os_destroy(take_os);
  return judged;
}

void fh_judged_free(fh_judged *judged) {
  fh_judgement_destroy(judged->judgement);
  fh_facts_destroy(judged->facts);
  *judged = (fh_judged){0};
}
