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

/* The log being read. */
typedef struct reader {
  fh_facts_arena *arena;
  const char *release; /* of the running kernel */
  const char *when;    /* of this paragraph */
  size_t when_size;
  bool automatic;
  fh_package_change *driver, *kernel;
} reader;

static void note(const reader *r, const entry *e, bool upgraded, fh_package_change *out) {
  out->when = fh_arena_text_size(r->arena, r->when, r->when_size);
  out->package = fh_arena_text_size(r->arena, e->name, e->name_size);
  out->from = upgraded ? fh_arena_text_size(r->arena, e->from, e->from_size) : "";
  out->to = upgraded ? fh_arena_text_size(r->arena, e->to, e->to_size) : fh_arena_text_size(r->arena, e->from, e->from_size);
  out->source = history;
}

static void read_changes(const reader *r, const char *list, const char *end, bool upgraded) {
  entry e;
  for (const char *at = list; r->automatic && next_entry(&at, end, &e);) {
    if (upgraded && is_driver(&e)) note(r, &e, true, r->driver);
    if (!upgraded && is_kernel(&e, r->release)) note(r, &e, false, r->kernel);
  }
}

void fh_apt_history_parse(fh_facts_arena *arena, const char *text, const char *release, fh_package_change *out_driver,
                          fh_package_change *out_kernel) {
  static const char date[] = "Start-Date: ", command[] = "Commandline: ", install[] = "Install: ", upgrade[] = "Upgrade: ";
  const char *line;
  size_t size;
  reader r = {.arena = arena, .release = release, .when = "", .driver = out_driver, .kernel = out_kernel};
  while (fh_line_next(&text, &line, &size)) {
    if (begins(line, size, date)) {
      r.when = line + sizeof date - 1;
      r.when_size = size - (sizeof date - 1);
      r.automatic = false;
    }
    if (begins(line, size, command)) r.automatic = memmem(line, size, "unattended-upgrade", 18) != NULL;
    if (begins(line, size, install)) read_changes(&r, line + sizeof install - 1, line + size, false);
    if (begins(line, size, upgrade)) read_changes(&r, line + sizeof upgrade - 1, line + size, true);
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
  if (!driver_halves_differ(g->facts) && !module_missing(g->facts)) return;
  const char *text = fh_read_text(g, history, FH_BIG_FILE, NULL);
  if (text) fh_apt_history_parse(g->arena, text, g->facts->where.kernel.value, &cloud->driver_change, &cloud->kernel_change);
}
