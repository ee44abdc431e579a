/* An operating-system table with things in it that have nothing to do with the matter. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/crowded_os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct crowded {
  fh_os os;
  fh_os *inner;
} crowded;

static fh_os *inner(fh_os *os) { return ((crowded *)os)->inner; }

/* ---- what is added --------------------------------------------------------------------------------------------------- */

#define SATA "/sys/bus/pci/devices/0000:7f:00.0"
#define CARD "/sys/bus/pci/devices/0000:7f:00.1"

static const struct {
  const char *path, *text;
} files[] = {
    {SATA "/class", "0x010601\n"},
    {SATA "/vendor", "0x8086\n"},
    {SATA "/device", "0xa352\n"},
    {CARD "/class", "0x020000\n"},
    {CARD "/vendor", "0x15b3\n"},
    {CARD "/device", "0x1017\n"},
    {"/etc/OpenCL/vendors/zz-other.icd", "/opt/other/libothercl.so\n"},
    {"/opt/other/libothercl.so", ""},
};
enum { FILES = sizeof files / sizeof files[0] };

static const char *const folders[] = {SATA, CARD};
enum { FOLDERS = sizeof folders / sizeof folders[0] };

static const struct {
  const char *folder, *name;
} names[] = {
    {"/sys/bus/pci/devices", "0000:7f:00.0"},
    {"/sys/bus/pci/devices", "0000:7f:00.1"},
    {"/dev", "sda1"},
    {"/dev", "ttyS9"},
    {"/etc/OpenCL/vendors", "zz-other.icd"},
    {"/etc/OpenCL/vendors", "README"},
    {"/usr/lib", "libzz.so.1"},
    {"/usr/lib64", "libzz.so.1"},
    {"/usr/lib/x86_64-linux-gnu", "libzz.so.1"},
    {"/usr/lib/aarch64-linux-gnu", "libzz.so.1"},
};
enum { NAMES = sizeof names / sizeof names[0] };

static const struct {
  const char *name, *value;
} variables[] = {{"CUDA_MODULE_LOADING", "LAZY"}, {"POCL_CACHE_DIR", "/tmp/zz"}, {"GOMAXPROCS", "2"}, {"OMP_PLACES", "cores"}};
enum { VARIABLES = sizeof variables / sizeof variables[0] };

/* Lines added to files that are there: before the line that begins so, or at the end. */
static const struct {
  const char *path, *before, *lines;
} more[] = {
    {"/proc/self/mountinfo", NULL,
     "9001 1 259:9 / /mnt/data rw,relatime - ext4 /dev/sda1 rw\n9002 1 0:99 / /mnt/share rw,nodev - nfs4 server:/share rw\n"},
    {"/proc/devices", "Block devices:", "250 zzother\n"},
};
enum { MORE = sizeof more / sizeof more[0] };

static int file_index(const char *path) {
  for (int i = 0; i < FILES; i++)
    if (strcmp(files[i].path, path) == 0) return i;
  return -1;
}

static bool is_folder(const char *path) {
  for (int i = 0; i < FOLDERS; i++)
    if (strcmp(folders[i], path) == 0) return true;
  return false;
}

/* ---- the table --------------------------------------------------------------------------------------------------------- */

static void crowded_destroy(fh_os *os) {
  fh_os_destroy(inner(os));
  free(os);
}

static int crowded_stat(fh_os *os, const char *path, bool follow, fh_os_stat *out) {
  int index = file_index(path);
  if (index < 0 && !is_folder(path)) return inner(os)->api->stat(inner(os), path, follow, out);
  *out = (fh_os_stat){.mode = index < 0 ? S_IFDIR | 0755 : S_IFREG | 0644, .size = index < 0 ? 0 : (int64_t)strlen(files[index].text)};
  return 0;
}

static int crowded_try_open(fh_os *os, const char *path) { return inner(os)->api->try_open(inner(os), path); }

/* Puts the lines into a text that was read; without memory it stays as it was. */
static void put_lines(const char *before, const char *lines, char **text, size_t *size) {
  char *joined = NULL, *at = before ? strstr(*text, before) : NULL;
  size_t head = at ? (size_t)(at - *text) : *size;
  int length = asprintf(&joined, "%.*s%s%s", (int)head, *text, lines, at ? at : "");
  if (length < 0) return;
  free(*text);
  *text = joined;
  *size = (size_t)length;
}

static int crowded_read(fh_os *os, const char *path, size_t max, char **out, size_t *out_size) {
  int index = file_index(path);
  if (index >= 0) {
    *out = strdup(files[index].text);
    *out_size = strlen(files[index].text);
    return *out ? 0 : ENOMEM;
  }
  int error = inner(os)->api->read(inner(os), path, max, out, out_size);
  for (int i = 0; i < MORE; i++)
    if (!error && *out_size && strcmp(more[i].path, path) == 0) put_lines(more[i].before, more[i].lines, out, out_size);
  return error;
}

static int crowded_readlink(fh_os *os, const char *path, char *out, size_t size) {
  return inner(os)->api->readlink(inner(os), path, out, size);
}

static int crowded_realpath(fh_os *os, const char *path, char *out, size_t size) {
  if (file_index(path) < 0 && !is_folder(path)) return inner(os)->api->realpath(inner(os), path, out, size);
  return snprintf(out, size, "%s", path) < (int)size ? 0 : ENAMETOOLONG;
}

/* A driver of OpenCL matters where the loader is missing. */
static bool has_opencl_loader(fh_os *os) {
  fh_os_stat st;
  for (int i = 0; i < NAMES; i++) {
    char path[256];
    snprintf(path, sizeof path, "%s/libOpenCL.so.1", names[i].folder);
    if (inner(os)->api->stat(inner(os), path, true, &st) == 0) return true;
  }
  return false;
}

static bool is_added(fh_os *os, const char *folder, int i) {
  return strcmp(names[i].folder, folder) == 0 && (!strstr(names[i].name, ".icd") || has_opencl_loader(os));
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int crowded_list(fh_os *os, const char *path, char ***out_names, size_t *out_count) {
  int error = inner(os)->api->list(inner(os), path, out_names, out_count);
  if (error || *out_count == 0) return error;
  char **grown = realloc(*out_names, (*out_count + NAMES) * sizeof *grown);
  if (!grown) return 0;
  *out_names = grown;
  for (int i = 0; i < NAMES; i++)
    if (is_added(os, path, i) && (grown[*out_count] = strdup(names[i].name))) ++*out_count;
  qsort(grown, *out_count, sizeof *grown, by_name);
  return 0;
}

static int crowded_elf(fh_os *os, const char *path, fh_os_elf *out) {
  if (file_index(path) < 0) return inner(os)->api->elf(inner(os), path, out);
  fh_os_identity id = {0};
  inner(os)->api->identity(inner(os), &id);
  *out = (fh_os_elf){.is_elf = true, .bits = 64, .machine = strcmp(id.machine, "aarch64") == 0 ? 183 : 62};
  return 0;
}

static const char *crowded_getenv(fh_os *os, const char *name) {
  const char *value = inner(os)->api->getenv(inner(os), name);
  for (int i = 0; !value && i < VARIABLES; i++)
    if (strcmp(variables[i].name, name) == 0) return variables[i].value;
  return value;
}

static int crowded_identity(fh_os *os, fh_os_identity *out) { return inner(os)->api->identity(inner(os), out); }
static int crowded_affinity(fh_os *os, char *out_list, size_t size) { return inner(os)->api->affinity(inner(os), out_list, size); }
static int crowded_cpuid(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  return inner(os)->api->cpuid(inner(os), leaf, subleaf, out);
}
static int crowded_xgetbv(fh_os *os, uint64_t *out) { return inner(os)->api->xgetbv(inner(os), out); }
static int crowded_hwcap(fh_os *os, uint64_t *out_hwcap, uint64_t *out_hwcap2) {
  return inner(os)->api->hwcap(inner(os), out_hwcap, out_hwcap2);
}
static int crowded_ask_start(fh_os *os, const char *question, const char *const *changes, int *out_ticket) {
  return inner(os)->api->ask_start(inner(os), question, changes, out_ticket);
}
static int crowded_ask_collect(fh_os *os, int ticket, fh_os_answer *out) { return inner(os)->api->ask_collect(inner(os), ticket, out); }
static const char *crowded_ask_refused(fh_os *os) { return fh_os_refusal(inner(os)); }

static const fh_os_api crowded_api = {
    .destroy = crowded_destroy,
    .stat = crowded_stat,
    .try_open = crowded_try_open,
    .read = crowded_read,
    .readlink = crowded_readlink,
    .realpath = crowded_realpath,
    .list = crowded_list,
    .elf = crowded_elf,
    .getenv = crowded_getenv,
    .identity = crowded_identity,
    .affinity = crowded_affinity,
    .cpuid = crowded_cpuid,
    .xgetbv = crowded_xgetbv,
    .hwcap = crowded_hwcap,
    .ask_start = crowded_ask_start,
    .ask_refused = crowded_ask_refused,
    .ask_collect = crowded_ask_collect,
};

fh_os *fh_os_crowded(fh_os *take_os) {
  crowded *wrapper = malloc(sizeof(*wrapper));
  if (!wrapper) {
    fh_os_destroy(take_os);
    return NULL;
  }
  *wrapper = (crowded){.os = {.api = &crowded_api}, .inner = take_os};
  return &wrapper->os;
}
