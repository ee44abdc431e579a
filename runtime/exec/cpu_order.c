/* The order in which a pool's workers take CPUs. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/exec/cpu_order.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { NO_NODE = INT_MAX };

typedef struct place {
  int node, at, cpu; /* at: where it stood */
} place;

/* A number of a list of CPUs, and the sign behind it. False for anything else. */
static bool read_number(FILE *file, long *out, int *out_sign) {
  int sign = fgetc(file);
  if (sign < '0' || sign > '9') return false;
  for (*out = 0; sign >= '0' && sign <= '9'; sign = fgetc(file)) {
    if (*out > INT_MAX / 10 - 1) return false;
    *out = *out * 10 + (sign - '0');
  }
  *out_sign = sign;
  return true;
}

/* Ranges like 0-3,8,10-11: their CPUs are of this node. Reads up to the first thing that is none. */
static void mark_node(FILE *file, int node, place *places, int count) {
  long low, high;
  int sign = ',';
  while (sign == ',' && read_number(file, &low, &sign)) {
    high = low;
    if (sign == '-' && !read_number(file, &high, &sign)) return;
    for (int i = 0; i < count; i++)
      if (places[i].cpu >= low && places[i].cpu <= high) places[i].node = node;
  }
}

/* Nodes that have CPUs to tell of. */
static int mark_all(DIR *folder, const char *nodes, place *places, int count) {
  int found = 0;
  for (const struct dirent *entry; (entry = readdir(folder));) {
    char path[512], *end = NULL;
    if (entry->d_name[0] != 'n' || entry->d_name[1] != 'o' || entry->d_name[2] != 'd' || entry->d_name[3] != 'e') continue;
    errno = 0;
    const long node = strtol(entry->d_name + 4, &end, 10);
    if (errno || end == entry->d_name + 4 || *end || node < 0 || node >= NO_NODE) continue;
    if (snprintf(path, sizeof path, "%s/node%ld/cpulist", nodes, node) >= (int)sizeof path) continue;
    FILE *file = fopen(path, "re");
    if (!file) continue;
    mark_node(file, (int)node, places, count);
    fclose(file);
    found++;
  }
  return found;
}

static int by_node(const void *a, const void *b) {
  const place *p = a, *q = b;
  if (p->node != q->node) return p->node < q->node ? -1 : 1;
  return (p->at > q->at) - (p->at < q->at);
}

void fh_cpus_by_node(int *cpus, int count, const char *nodes) {
  if (count < 2) return;
  DIR *folder = opendir(nodes);
  place *places = folder ? malloc((size_t)count * sizeof *places) : NULL;
  for (int i = 0; places && i < count; i++) places[i] = (place){NO_NODE, i, cpus[i]};
  if (places && mark_all(folder, nodes, places, count) > 1) {
    qsort(places, (size_t)count, sizeof *places, by_node);
    for (int i = 0; i < count; i++) cpus[i] = places[i].cpu;
  }
  free(places);
  if (folder) closedir(folder);
}
