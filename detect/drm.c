/* Render nodes: which GPU each belongs to, and the links that lead to them. SPDX-License-Identifier: Apache-2.0
 * /sys/class/drm is the kernel's list and no namespace hides it, so it also tells which nodes ought to be in /dev/dri. */
#include <string.h>
#include <strings.h>

#include "detect/gather.h"
#include "detect/parse.h"

enum { MAX_RENDERS = 64 };

static bool is_render(const char *name) {
  return strncmp(name, "renderD", 7) == 0 && name[7] && name[7 + strspn(name + 7, "0123456789")] == 0;
}

static int vendor_at(fh_gather *g, const char *pci, const char *device_dir) {
  for (int i = 0; i < g->facts->pci.count; i++)
    if (*pci && strcasecmp(g->facts->pci.devices[i].address, pci) == 0) return g->facts->pci.devices[i].vendor;
  fh_fact_text text = fh_read_fact(g, fh_arena_format(g->arena, "%s/vendor", device_dir), 64);
  uint64_t vendor;
  return text.valid == FH_VALID && fh_parse_hex(text.value, &vendor) && vendor <= 0xffff ? (int)vendor : -1;
}

static void read_render(fh_gather *g, const char *name) {
  fh_facts_drm *drm = &g->facts->drm;
  fh_render_node *node = fh_arena_push(g->arena, &drm->renders, &drm->count, sizeof *node);
  if (!node) return;
  const char *device = fh_arena_format(g->arena, "/sys/class/drm/%s/device", name);
  char link[512];
  node->path = fh_arena_format(g->arena, "/dev/dri/%s", name);
  node->pci = "";
  if (g->os->api->readlink(g->os, device, link, sizeof link) == 0) {
    const char *slash = strrchr(link, '/');
    node->pci = fh_arena_text(g->arena, slash ? slash + 1 : link);
  }
  node->vendor = vendor_at(g, node->pci, device);
}

/* Intel's runtime follows these links first and looks no further when there are any. */
static void read_by_path(fh_gather *g) {
  static const char folder[] = "/dev/dri/by-path";
  fh_facts_drm *drm = &g->facts->drm;
  int count, error;
  const char **names = fh_path_list(g, folder, &count, &error);
  drm->by_path = !error ? FH_VALID : fh_path_exists(g, folder) ? FH_UNKNOWN_FACT : FH_ABSENT;
  for (int i = 0; i < count && drm->links < MAX_RENDERS; i++) {
    size_t size = strlen(names[i]);
    if (size < 7 || strcmp(names[i] + size - 7, "-render") != 0) continue;
    const char *path = fh_arena_format(g->arena, "%s/%s", folder, names[i]);
    char link[512];
    drm->links++;
    if (fh_path_exists(g, path)) continue;
    if (drm->dangling++) continue;
    bool read = g->os->api->readlink(g->os, path, link, sizeof link) == 0;
    drm->dangling_link = read ? fh_arena_format(g->arena, "%s -> %s", path, link) : path;
  }
}

void fh_gather_drm(fh_gather *g) {
  int count, error;
  const char **names = fh_path_list(g, "/sys/class/drm", &count, &error);
  g->facts->drm.valid = error ? FH_UNKNOWN_FACT : FH_VALID;
  for (int i = 0; i < count && g->facts->drm.count < MAX_RENDERS; i++)
    if (is_render(names[i])) read_render(g, names[i]);
  read_by_path(g);
}
