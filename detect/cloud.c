/* Clouds: whose virtual machine this is, and what was changed in it without anybody asking. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

static const char history[] = "/var/log/apt/history.log";

/* ---- the package manager's log --------------------------------------------------------------------------------------- */

/* One change in a list "name:arch (from, to), name:arch (version, automatic), ...". */
typedef struct entry {
  const char *name, *from, *to;
  size_t name_size, from_size, to_size;
} entry;

static bool next_entry(const char **cursor, const char *end, entry *out) {
  const char *name = *cursor, *open, *close;
  while (name < end && (*name == ' ' || *name == ',')) name++;
  if (name >= end || !(open = memchr(name, '(', (size_t)(end - name))) || !(close = memchr(open, ')', (size_t)(end - open)))) return false;
  const char *comma = memchr(open, ',', (size_t)(close - open)), *colon = memchr(name, ':', (size_t)(open - name));
  *out = (entry){.name = name, .name_size = (size_t)((colon ? colon : open) - name), .from = open + 1};
  while (out->name_size && name[out->name_size - 1] == ' ') out->name_size--;
  out->from_size = (size_t)((comma ? comma : close) - out->from);
  out->to = comma ? comma + 1 : close;
  while (out->to < close && *out->to == ' ') out->to++;
  out->to_size = (size_t)(close - out->to);
  *cursor = close + 1;
  return true;
}

static bool begins(const char *text, size_t size, const char *start) {
  size_t length = strlen(start);
  return size >= length && memcmp(text, start, length) == 0;
}

static bool is_driver(const entry *e) {
  static const char *const names[] = {"libnvidia-compute-", "nvidia-driver-", "nvidia-utils-", "nvidia-kernel-", "libcuda1"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (begins(e->name, e->name_size, names[i])) return true;
  return false;
}

/* The running kernel, newly installed. */
static bool is_kernel(const entry *e, const char *release) {
  static const char prefix[] = "linux-image-";
  size_t size = strlen(release);
  return begins(e->name, e->name_size, prefix) && e->name_size == sizeof prefix - 1 + size &&
         memcmp(e->name + sizeof prefix - 1, release, size) == 0;
}

/* One paragraph of the log. */
typedef struct paragraph {
  const char *when;
  size_t when_size;
  bool automatic;
} paragraph;

static void note(fh_gather *g, const paragraph *p, const entry *e, bool upgraded, fh_package_change *out) {
  out->when = fh_arena_text_size(g->arena, p->when, p->when_size);
  out->package = fh_arena_text_size(g->arena, e->name, e->name_size);
  out->from = upgraded ? fh_arena_text_size(g->arena, e->from, e->from_size) : "";
  out->to = upgraded ? fh_arena_text_size(g->arena, e->to, e->to_size) : fh_arena_text_size(g->arena, e->from, e->from_size);
  out->source = history;
}

static void read_changes(fh_gather *g, const paragraph *p, const char *list, const char *end, bool upgraded) {
  fh_facts_cloud *cloud = &g->facts->cloud;
  entry e;
  for (const char *at = list; p->automatic && next_entry(&at, end, &e);) {
    if (upgraded && is_driver(&e)) note(g, p, &e, true, &cloud->driver_change);
    if (!upgraded && is_kernel(&e, g->facts->where.kernel.value)) note(g, p, &e, false, &cloud->kernel_change);
  }
}

/* Paragraphs of "Start-Date:", "Commandline:", "Install:", "Upgrade:" lines, the newest last. */
static void read_history(fh_gather *g) {
  static const char date[] = "Start-Date: ", command[] = "Commandline: ", install[] = "Install: ", upgrade[] = "Upgrade: ";
  const char *text = fh_read_text(g, history, FH_BIG_FILE, NULL), *line;
  size_t size;
  paragraph p = {.when = ""};
  while (text && fh_line_next(&text, &line, &size)) {
    if (begins(line, size, date)) p = (paragraph){.when = line + sizeof date - 1, .when_size = size - (sizeof date - 1)};
    if (begins(line, size, command)) p.automatic = memmem(line, size, "unattended-upgrade", 18) != NULL;
    if (begins(line, size, install)) read_changes(g, &p, line + sizeof install - 1, line + size, false);
    if (begins(line, size, upgrade)) read_changes(g, &p, line + sizeof upgrade - 1, line + size, true);
  }
}

/* ---- when it could matter ---------------------------------------------------------------------------------------------- */

static bool driver_halves_differ(const fh_facts *f) {
  const fh_library *library = fh_facts_library(f, "libcuda.so.1");
  return f->nvidia.nvrm_version.valid == FH_VALID && library->valid == FH_VALID && library->version[0] &&
         strcmp(library->version, f->nvidia.nvrm_version.value) != 0;
}

static bool has_nvidia_gpu(const fh_facts *f) {
  for (int i = 0; i < f->pci.count; i++)
    if (f->pci.devices[i].vendor == 0x10de && f->pci.devices[i].is_gpu) return true;
  return false;
}

static bool module_missing(const fh_facts *f) {
  return has_nvidia_gpu(f) && f->nvidia.module_loaded.valid == FH_VALID && !f->nvidia.module_loaded.value;
}

void fh_gather_cloud(fh_gather *g) {
  fh_facts_cloud *cloud = &g->facts->cloud;
  cloud->vendor = fh_read_fact(g, "/sys/class/dmi/id/sys_vendor", 256);
  cloud->product = fh_read_fact(g, "/sys/class/dmi/id/product_name", 256);
  cloud->grid_daemon = fh_path_fact(g, "/usr/bin/nvidia-gridd");
  if (driver_halves_differ(g->facts) || module_missing(g->facts)) read_history(g);
}
