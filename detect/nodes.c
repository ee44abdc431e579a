/* Device nodes: what stat and open say, and what they ought to say. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "detect/gather.h"
#include "detect/parse.h"

enum { MAX_LISTED = 64, CAP_DAC_OVERRIDE_BIT = 1, OVERFLOW_ID = 65534 };

/* ---- /proc/devices ------------------------------------------------------------------------------------ */

void fh_gather_node_numbers(fh_gather *g) { g->facts->nodes.proc_devices = fh_read_fact(g, "/proc/devices", FH_SMALL_FILE); }

int fh_driver_major(const fh_facts *facts, const char *driver) {
  const fh_fact_text *devices = &facts->nodes.proc_devices;
  if (devices->valid != FH_VALID) return -2;
  const char *cursor = devices->value, *line;
  size_t size;
  while (fh_line_next(&cursor, &line, &size)) {
    char text[128];
    const char *name = text;
    int64_t major;
    if (size >= sizeof text) continue;
    memcpy(text, line, size);
    text[size] = 0;
    if (strncmp(text, "Block devices", 13) == 0) break;
    if (!fh_take_i64(&name, &major) || major < 0 || major > INT_MAX) continue;
    name += strspn(name, " \t");
    if (strcmp(name, driver) == 0) return (int)major;
  }
  return -1;
}

/* Names that drivers register under, newest first; any of them will do. */
static const struct {
  const char *node; /* path, or its start when it ends with a '*' */
  const char *drivers[4];
} owners[] = {
    {"/dev/nvidia-uvm*", {"nvidia-uvm"}},
    {"/dev/nvidia-caps-imex-channels/*", {"nvidia-caps-imex-channels"}},
    {"/dev/nvidia-caps/*", {"nvidia-caps"}},
    {"/dev/nvidia-nvswitch*", {"nvidia-nvswitch"}},
    {"/dev/nvidia-modeset", {"nvidia-modeset", "nvidia", "nvidia-frontend"}},
    {"/dev/nvidiactl", {"nvidiactl", "nvidia", "nvidia-frontend"}},
    {"/dev/nvidia*", {"nvidia", "nvidia-frontend"}},
    {"/dev/dri/*", {"drm"}},
    {"/dev/accel/*", {"accel"}},
    {"/dev/kfd", {"kfd"}},
    {"/dev/dxg", {"misc"}},
    {"/dev/nvmap", {"misc"}},
    {"/dev/null", {"mem"}},
};

static bool path_matches(const char *path, const char *pattern) {
  size_t size = strlen(pattern);
  return pattern[size - 1] == '*' ? strncmp(path, pattern, size - 1) == 0 : strcmp(path, pattern) == 0;
}

static int expected_major(const fh_facts *f, const char *path) {
  for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++) {
    if (!path_matches(path, owners[i].node)) continue;
    int major = -2;
    for (int k = 0; k < 4 && owners[i].drivers[k]; k++) {
      major = fh_driver_major(f, owners[i].drivers[k]);
      if (major != -1) return major;
    }
    return major;
  }
  return -2;
}

/* ---- one node ------------------------------------------------------------------------------------------- */

/* Would the permission bits let us read and write? */
static bool dac_allows(const fh_facts_where *w, const fh_os_stat *st) {
  if (!w->id_valid) return true;
  bool mapped = !(w->user_namespace.valid == FH_VALID && w->user_namespace.value && (st->uid == OVERFLOW_ID || st->gid == OVERFLOW_ID));
  if (mapped && (w->id.cap_effective >> CAP_DAC_OVERRIDE_BIT & 1)) return true;
  if (w->id.uid == st->uid) return (st->mode & 0600) == 0600;
  bool member = w->id.gid == st->gid;
  for (int i = 0; i < w->id.gid_count; i++) member = member || w->id.gids[i] == st->gid;
  return member ? (st->mode & 0060) == 0060 : (st->mode & 0006) == 0006;
}

void fh_gather_node(fh_gather *g, const char *path) {
  fh_facts_nodes *all = &g->facts->nodes;
  for (int i = 0; i < all->count; i++)
    if (strcmp(all->nodes[i].path, path) == 0) return;
  fh_node *n = fh_arena_push(g->arena, &all->nodes, &all->count, sizeof *n);
  if (!n) return;
  n->path = fh_arena_text(g->arena, path);
  n->expected_major = expected_major(g->facts, path);
  n->stat_errno = fh_path_stat(g, path, true, &n->st);
  if (n->stat_errno) {
    n->valid = n->stat_errno == ENOENT || n->stat_errno == ENOTDIR ? FH_ABSENT : FH_UNKNOWN_FACT;
    n->open_errno = n->stat_errno;
    return;
  }
  n->valid = FH_VALID;
  n->is_char = S_ISCHR(n->st.mode);
  n->dac_allows = dac_allows(&g->facts->where, &n->st);
  n->mount = fh_mount_of(g->facts, path);
  n->nodev = fh_mount_has_option(n->mount, "nodev");
  n->own_mount = n->mount && strcmp(n->mount->point, path) == 0;
  n->open_errno = g->os->api->try_open(g->os, path);
}

/* ---- all of them ------------------------------------------------------------------------------------------ */

static bool all_digits(const char *text) { return *text && text[strspn(text, "0123456789")] == 0; }
static bool any_name(const char *name) { return *name != 0; }
static bool is_accel(const char *name) { return strncmp(name, "accel", 5) == 0 && all_digits(name + 5); }
static bool is_render(const char *name) { return strncmp(name, "renderD", 7) == 0 && all_digits(name + 7); }
static bool is_host1x(const char *name) { return strncmp(name, "nvhost-", 7) == 0 && strstr(name, "gpu"); } /* of the GPU, not of cameras */
static bool is_verbs(const char *name) { return strncmp(name, "uverbs", 6) == 0; }
static bool is_nvidia_number(const char *name) { return strncmp(name, "nvidia", 6) == 0 && all_digits(name + 6); }

static void look_at_listed(fh_gather *g, const char *dir, bool (*wanted)(const char *name)) {
  int count, seen = 0;
  const char **names = fh_path_list(g, dir, &count, NULL);
  for (int i = 0; i < count && seen < MAX_LISTED; i++) {
    if (!wanted(names[i])) continue;
    fh_gather_node(g, fh_arena_format(g->arena, "%s/%s", dir, names[i]));
    seen++;
  }
}

void fh_gather_nodes(fh_gather *g) {
  static const char *const always[] = {
      "/dev/null", /* the control: when even this is refused, the device cgroup is not about GPUs */
      "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools",   "/dev/nvidia-modeset",
      "/dev/nvidia0",   "/dev/dxg",        "/dev/nvidia-nvswitchctl", "/dev/nvmap",
      "/dev/kfd",
  };
  for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) fh_gather_node(g, always[i]);
  look_at_listed(g, "/dev", is_nvidia_number);
  look_at_listed(g, "/dev/nvidia-caps", any_name);
  look_at_listed(g, "/dev/nvidia-caps-imex-channels", any_name);
  look_at_listed(g, "/dev/dri", is_render);
  look_at_listed(g, "/dev/accel", is_accel);
  for (int i = 0; i < g->facts->drm.count; i++) fh_gather_node(g, g->facts->drm.renders[i].path); /* those that should be here, too */
  look_at_listed(g, "/dev/infiniband", is_verbs);
  if (g->facts->where.platform == FH_PLATFORM_JETSON) {
    look_at_listed(g, "/dev", is_host1x);
    look_at_listed(g, "/dev/nvgpu/igpu0", any_name);
  }
}

const fh_node *fh_facts_node(const fh_facts *facts, const char *path) {
  static const fh_node unknown = {.path = "", .valid = FH_UNKNOWN_FACT, .expected_major = -2, .dac_allows = true};
  for (int i = 0; i < facts->nodes.count; i++)
    if (strcmp(facts->nodes.nodes[i].path, path) == 0) return &facts->nodes.nodes[i];
  return &unknown;
}
