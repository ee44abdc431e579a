/* Packages, cores, caches and NUMA nodes as the kernel lists them: what hwloc tells the other devprobe.
 * SPDX-License-Identifier: Apache-2.0
 * Of the CPUs that this process may use. What the kernel does not tell is left out, so it stays unknown. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detect/answer.h"
#include "detect/parse.h"

/* Where a CPU lies. */
typedef struct place {
  int64_t package, core;
} place;

static bool read_text(const char *path, char *out, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd >= 0 ? read(fd, out, size - 1) : -1;
  if (fd >= 0) close(fd);
  out[length > 0 ? length : 0] = 0;
  return length > 0;
}

static bool read_number(const char *path, int64_t *out) {
  char text[64];
  return read_text(path, text, sizeof text) && fh_parse_i64(text, out);
}

static bool read_place(int cpu, place *out) {
  char path[96];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
  if (!read_number(path, &out->package)) return false;
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
  return read_number(path, &out->core);
}

static int by_place(const void *a, const void *b) {
  const place *x = a, *y = b;
  if (x->package != y->package) return x->package < y->package ? -1 : 1;
  return x->core < y->core ? -1 : x->core > y->core;
}

/* Places of all CPUs that we may use; 0 unless the kernel tells each of them. */
static int read_places(const cpu_set_t *set, size_t bytes, place *places) {
  int count = 0;
  for (int cpu = 0; cpu < FH_CPULIST_MAX; cpu++)
    if (CPU_ISSET_S((size_t)cpu, bytes, set) && !read_place(cpu, &places[count++])) return 0;
  qsort(places, (size_t)count, sizeof *places, by_place);
  return count;
}

static void set_places(json_t *line) {
  const size_t bytes = CPU_ALLOC_SIZE(FH_CPULIST_MAX);
  cpu_set_t *set = CPU_ALLOC(FH_CPULIST_MAX);
  place *places = calloc(FH_CPULIST_MAX, sizeof *places);
  if (set) CPU_ZERO_S(bytes, set);
  int count = set && places && sched_getaffinity(0, bytes, set) == 0 ? read_places(set, bytes, places) : 0;
  int packages = 0, cores = 0;
  for (int i = 0; i < count; i++) {
    packages += i == 0 || places[i].package != places[i - 1].package;
    cores += i == 0 || by_place(&places[i], &places[i - 1]) != 0;
  }
  if (count) {
    json_object_set_new(line, "packages", json_integer(packages));
    json_object_set_new(line, "cores", json_integer(cores));
    json_object_set_new(line, "pus", json_integer(count));
  }
  free(places);
  CPU_FREE(set);
}

static void set_numa_nodes(json_t *line) {
  char list[4096];
  int count = read_text("/sys/devices/system/node/has_memory", list, sizeof list) ? fh_cpulist_count(list) : 0;
  if (count > 0) json_object_set_new(line, "numa_nodes", json_integer(count));
}

/* One cache of the first CPU. */
static void set_cache(json_t *line, int index) {
  static const char *const names[] = {"l1d", "l2", "l3"};
  char path[96], type[32], size[32];
  int64_t level = 0, kibibytes = 0;
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", index);
  if (!read_number(path, &level) || level < 1 || level > 3) return;
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", index);
  if (!read_text(path, type, sizeof type) || strncmp(type, "Instruction", 11) == 0) return;
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
  if (!read_text(path, size, sizeof size)) return;
  size[strcspn(size, "K\n")] = 0; /* the kernel writes whole KiB, "1024K" */
  if (fh_parse_i64(size, &kibibytes) && kibibytes > 0 && kibibytes < INT64_MAX / 1024)
    json_object_set_new(line, names[level - 1], json_integer(kibibytes * 1024));
}

void fh_answer_topology(const char *none) {
  (void)none;
  enum { MAX_CACHES = 16 };
  json_t *line = json_object();
  if (!line) return;
  set_places(line);
  set_numa_nodes(line);
  for (int i = 0; i < MAX_CACHES; i++) set_cache(line, i);
  fh_answer_say(line);
}
