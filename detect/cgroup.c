/* Control groups: our own and every ancestor, v1, v2 and both at once. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "detect/gather.h"
#include "detect/parse.h"

enum { MAX_ENTRIES = 64, MAX_LOOKS = 20000 /* at files, for one search */ };

/* ---- parsers ----------------------------------------------------------------------------------------- */

void fh_cgroup_parse(fh_facts_arena *arena, const char *text, fh_cgroup_entry **out_entries, int *out_count) {
  const char *line;
  size_t size;
  *out_entries = NULL;
  *out_count = 0;
  while (*out_count < MAX_ENTRIES && fh_line_next(&text, &line, &size)) { /* id:controllers:path */
    const char *first = memchr(line, ':', size);
    const char *second = first ? memchr(first + 1, ':', size - (size_t)(first + 1 - line)) : NULL;
    if (!second || second + 1 >= line + size || second[1] != '/') continue;
    int64_t hierarchy;
    char number[16];
    size_t digits = (size_t)(first - line);
    if (digits == 0 || digits >= sizeof number) continue;
    memcpy(number, line, digits);
    number[digits] = 0;
    if (!fh_parse_i64(number, &hierarchy) || hierarchy < 0 || hierarchy > 1 << 20) continue;
    fh_cgroup_entry *e = fh_arena_push(arena, out_entries, out_count, sizeof *e);
    if (!e) return;
    e->hierarchy = (int)hierarchy;
    e->controllers = fh_arena_text_size(arena, first + 1, (size_t)(second - first - 1));
    e->path = fh_arena_text_size(arena, second + 1, size - (size_t)(second + 1 - line));
  }
}

bool fh_cpu_max_parse(const char *text, int64_t *out_quota, int64_t *out_period) {
  char quota[32], period[32];
  int fields = sscanf(text, "%31s %31s", quota, period);
  int64_t quota_us = -1, period_us = 100000; /* the kernel's default, when only the quota is told */
  if (fields < 1) return false;
  if (strcmp(quota, "max") != 0 && (!fh_parse_i64(quota, &quota_us) || quota_us <= 0)) return false;
  if (fields == 2 && (!fh_parse_i64(period, &period_us) || period_us <= 0)) return false;
  *out_quota = quota_us;
  *out_period = period_us;
  return true;
}

bool fh_limit_parse(const char *text, int64_t *out_limit) {
  char word[32];
  int64_t limit = -1;
  if (sscanf(text, "%31s", word) != 1) return false;
  if (strcmp(word, "max") != 0) {
    if (!fh_parse_i64(word, &limit)) {
      /* v1 writes numbers up to 2^64 for "none" */
      for (const char *c = word; *c; c++)
        if (*c < '0' || *c > '9') return false;
      limit = -1;
    } else if (limit < -1) {
      return false;
    }
  }
  *out_limit = limit >= (INT64_MAX & ~0xfffffLL) ? -1 : limit; /* 0x7ffffffffffff000 and its kin */
  return true;
}

/* ---- which directory ------------------------------------------------------------------------------------ */

typedef struct hierarchy {
  const char *version; /* "v1", "v2" */
  const char *dir;     /* our own cgroup */
  const char *top;     /* the mount point: the last ancestor that can be seen */
  const char *root;    /* of the mount */
} hierarchy;

/* The directory of a cgroup path below a mount, or the mount point when the path is not below it (a namespace hides it,
 * or a runtime has mounted the container's own directory). */
static const char *directory_of(fh_gather *g, const fh_mount *mount, const char *path) {
  const char *rest = path;
  bool rooted = strcmp(mount->root, "/") != 0;
  if (strncmp(path, "/..", 3) == 0) rest = "";
  if (rooted) rest = fh_path_below(path, mount->root) ? path + strlen(mount->root) : "";
  if (strcmp(rest, "/") == 0 || !*rest) return mount->point;
  const char *dir = fh_arena_format(g->arena, "%s%s%s", strcmp(mount->point, "/") == 0 ? "" : mount->point, *rest == '/' ? "" : "/", rest);
  return fh_path_exists(g, dir) ? dir : mount->point;
}

/* ---- the whole tree, seen from a namespace --------------------------------------------------------------- */

typedef struct search {
  fh_gather *g;
  const char *pid; /* ours */
  int looks_left;
} search;

static bool holds_us(const search *s, const char *dir) {
  const char *list = fh_read_text(s->g, fh_arena_format(s->g->arena, "%s/cgroup.procs", dir), FH_BIG_FILE, NULL);
  return list && fh_word_in(list, "\n", s->pid);
}

/* The directory that lists our process, so many levels below this one; NULL: not found. */
static const char *search_below(search *s, const char *dir, int levels) {
  int count = 0;
  if (levels == 0) return holds_us(s, dir) ? dir : NULL;
  const char **names = fh_path_list(s->g, dir, &count, NULL);
  for (int i = 0; i < count && s->looks_left > 0; i++) {
    fh_os_stat st;
    const char *path = fh_arena_format(s->g->arena, "%s/%s", dir, names[i]);
    s->looks_left--;
    const char *found = fh_path_stat(s->g, path, false, &st) == 0 && S_ISDIR(st.mode) ? search_below(s, path, levels - 1) : NULL;
    if (found) return found;
  }
  return NULL;
}

/* A mount whose root lies so many levels above the root of our namespace; 0: it does not. */
static int levels_above(const fh_mount *mount) {
  int levels = 0;
  for (const char *at = mount->root; strncmp(at, "/..", 3) == 0; at += 3) levels++;
  return levels;
}

/* Our path is told from the root of our namespace, and the names of the levels above are not told at all: only the lists of
 * processes give away which directory is ours. NULL: not found. */
static const char *directory_in_tree(fh_gather *g, const fh_mount *mount, const char *path) {
  char pid[32];
  if (g->os->api->readlink(g->os, "/proc/self", pid, sizeof pid) != 0) return NULL;
  int levels = levels_above(mount);
  for (const char *at = path; *at; at++) levels += at[0] == '/' && at[1];
  return search_below(&(search){g, pid, MAX_LOOKS}, mount->point, levels);
}

/* ---- which hierarchy --------------------------------------------------------------------------------------- */

static const fh_mount *v1_mount(const fh_facts *f, const char *controller) {
  for (int i = f->mount_count - 1; i >= 0; i--)
    if (strcmp(f->mounts[i].fstype, "cgroup") == 0 && fh_word_in(f->mounts[i].super_options, ",", controller)) return &f->mounts[i];
  return NULL;
}

static const fh_mount *v2_mount(const fh_facts *f) {
  for (int i = f->mount_count - 1; i >= 0; i--)
    if (strcmp(f->mounts[i].fstype, "cgroup2") == 0) return &f->mounts[i];
  return NULL;
}

typedef struct entries {
  fh_cgroup_entry *items;
  int count;
} entries;

static const fh_cgroup_entry *entry_of(const entries *all, const char *controller) {
  for (int i = 0; i < all->count; i++)
    if (fh_word_in(all->items[i].controllers, ",", controller)) return &all->items[i];
  return NULL;
}

static const fh_cgroup_entry *entry_v2(const entries *all) {
  for (int i = 0; i < all->count; i++)
    if (all->items[i].hierarchy == 0 && !all->items[i].controllers[0]) return &all->items[i];
  return NULL;
}

static bool v2_has(fh_gather *g, const fh_mount *mount, const char *controller) {
  const char *text = fh_read_text(g, fh_arena_format(g->arena, "%s/cgroup.controllers", mount->point), FH_SMALL_FILE, NULL);
  return text && fh_word_in(text, " \n", controller);
}

/* The hierarchy that has a controller: v1 where /proc/self/cgroup lists it, else v2. */
static bool find_hierarchy(fh_gather *g, const entries *all, const char *controller, hierarchy *out) {
  const fh_cgroup_entry *v1 = entry_of(all, controller), *v2 = entry_v2(all);
  const fh_mount *mount = v1 ? v1_mount(g->facts, controller) : v2 ? v2_mount(g->facts) : NULL;
  if (!mount || (!v1 && !v2_has(g, mount, controller))) return false;
  const char *path = v1 ? v1->path : v2->path;
  bool whole_tree = levels_above(mount) > 0 && !fh_path_below(path, mount->root);
  const char *dir = whole_tree ? directory_in_tree(g, mount, path) : directory_of(g, mount, path);
  *out = (hierarchy){.version = v1 ? "v1" : "v2", .dir = dir, .top = mount->point, .root = mount->root};
  return dir != NULL;
}

/* The directories from our own up to the mount point. */
static int ancestors(fh_gather *g, const hierarchy *h, const char **out, int max) {
  int count = 0;
  const char *dir = h->dir;
  while (count < max) {
    out[count++] = dir;
    const char *slash = strrchr(dir, '/');
    if (strcmp(dir, h->top) == 0 || !slash || slash == dir) break;
    dir = fh_arena_text_size(g->arena, dir, (size_t)(slash - dir));
    if (!fh_path_below(dir, h->top)) break;
  }
  return count;
}

/* ---- reading levels --------------------------------------------------------------------------------------- */

static const char *file_text(fh_gather *g, const char *dir, const char *file) {
  return fh_read_text(g, fh_arena_format(g->arena, "%s/%s", dir, file), FH_SMALL_FILE, NULL);
}

static int64_t file_limit(fh_gather *g, const char *dir, const char *file) {
  const char *text = file_text(g, dir, file);
  int64_t limit;
  return text && fh_limit_parse(text, &limit) ? limit : -1;
}

static int64_t stat_value(const char *text, const char *key) {
  size_t size;
  const char *value = text ? fh_key_value(text, key, ' ', &size) : NULL;
  char number[32];
  int64_t result;
  if (!value || size >= sizeof number) return -1;
  memcpy(number, value, size);
  number[size] = 0;
  return fh_parse_i64(number, &result) && result >= 0 ? result : -1;
}

static void read_cpu_level(fh_gather *g, const hierarchy *h, const char *dir, fh_cgroup_level *level) {
  if (h->version[1] == '2') {
    const char *text = file_text(g, dir, "cpu.max");
    if (text) fh_cpu_max_parse(text, &level->quota_us, &level->period_us);
    return;
  }
  int64_t quota = file_limit(g, dir, "cpu.cfs_quota_us"), period = file_limit(g, dir, "cpu.cfs_period_us");
  if (period > 0) level->period_us = period;
  if (period > 0 && quota > 0) level->quota_us = quota;
}

static int64_t least(int64_t a, int64_t b) {
  if (a < 0) return b;
  if (b < 0) return a;
  return a < b ? a : b;
}

static void read_memory_level(fh_gather *g, const hierarchy *h, const char *dir, fh_cgroup_level *level) {
  const bool v2 = h->version[1] == '2';
  const char *stat = file_text(g, dir, "memory.stat");
  level->memory_used = file_limit(g, dir, v2 ? "memory.current" : "memory.usage_in_bytes");
  level->memory_inactive_file = stat_value(stat, v2 ? "inactive_file" : "total_inactive_file");
  if (v2) {
    level->memory_limit = least(file_limit(g, dir, "memory.max"), file_limit(g, dir, "memory.high"));
  } else {
    /* hierarchical_memory_limit knows ancestors that a namespace or mount hides from us */
    int64_t hierarchical = stat_value(stat, "hierarchical_memory_limit");
    if (hierarchical >= (INT64_MAX & ~0xfffffLL)) hierarchical = -1;
    level->memory_limit = least(file_limit(g, dir, "memory.limit_in_bytes"), hierarchical);
  }
}

typedef void (*read_level_fn)(fh_gather *g, const hierarchy *h, const char *dir, fh_cgroup_level *level);

static void read_pids_level(fh_gather *g, const hierarchy *h, const char *dir, fh_cgroup_level *level) {
  (void)h;
  level->pids_max = file_limit(g, dir, "pids.max");
  level->pids_current = file_limit(g, dir, "pids.current");
}

/* Level 0 is our own cgroup; levels of different hierarchies are merged by depth. */
static void read_levels(fh_gather *g, const hierarchy *h, read_level_fn read) {
  fh_facts_cgroup *c = &g->facts->cgroup;
  const char *dirs[FH_FACTS_MAX_CGROUP_LEVELS];
  int count = ancestors(g, h, dirs, FH_FACTS_MAX_CGROUP_LEVELS);
  for (int i = 0; i < count; i++) {
    fh_cgroup_level *level = &c->levels[i];
    if (i >= c->level_count) {
      *level = (fh_cgroup_level){.path = dirs[i],
                                 .quota_us = -1,
                                 .memory_limit = -1,
                                 .memory_used = -1,
                                 .memory_inactive_file = -1,
                                 .pids_max = -1,
                                 .pids_current = -1};
      c->level_count = i + 1;
    }
    read(g, h, dirs[i], level);
  }
}

/* ---- facts ---------------------------------------------------------------------------------------------------- */

static fh_cgroup_mode mode_of(const fh_facts *f, const entries *all) {
  bool v1 = false;
  for (int i = 0; i < all->count; i++) {
    const char *c = all->items[i].controllers;
    v1 = v1 || (all->items[i].hierarchy > 0 && *c && strncmp(c, "name=", 5) != 0);
  }
  bool v2 = entry_v2(all) != NULL && (!v1 || v2_mount(f) != NULL);
  if (v1) return v2 ? FH_CGROUP_HYBRID : FH_CGROUP_V1;
  return v2 ? FH_CGROUP_V2 : FH_CGROUP_NONE;
}

/* A cgroup namespace, or a mount of the container's own directory, hides the levels above. */
static fh_fact_bool ancestors_hidden(fh_gather *g, const hierarchy *h) {
  if (strcmp(h->root, "/") != 0) return fh_fact_bool_of(true, "/proc/self/mountinfo");
  if (h->version[1] == '2') { /* cgroup.type is in every cgroup but the real root */
    const char *type = fh_arena_format(g->arena, "%s/cgroup.type", h->top);
    if (fh_path_exists(g, type)) return fh_fact_bool_of(true, type);
  }
  return fh_in_namespace(g, "/proc/self/ns/cgroup");
}

/* What holds until a level sets a limit; unknown when there is no directory to look into. */
static fh_fact_int no_limit(fh_gather *g, const char *dir) {
  return (fh_fact_int){0, fh_path_exists(g, dir) ? FH_ABSENT : FH_UNKNOWN_FACT, dir};
}

static void read_cpu(fh_gather *g, const hierarchy *h) {
  fh_facts_cpu *cpu = &g->facts->cpu;
  fh_facts_cgroup *c = &g->facts->cgroup;
  c->cpu_controller = h->version;
  read_levels(g, h, read_cpu_level);
  cpu->quota_cpus = no_limit(g, h->dir);
  for (int i = 0; i < c->level_count; i++) {
    const fh_cgroup_level *l = &c->levels[i];
    if (l->quota_us <= 0 || l->period_us <= 0) continue;
    int64_t cpus = l->quota_us / l->period_us + (l->quota_us % l->period_us != 0);
    if (cpu->quota_cpus.valid == FH_VALID && cpus >= cpu->quota_cpus.value) continue;
    cpu->quota_cpus = fh_fact_int_of(cpus, l->path);
    cpu->quota_level = l->path;
    cpu->quota_from_ancestor = i > 0;
  }
  cpu->ancestors_hidden = ancestors_hidden(g, h);
  const char *stat = fh_arena_format(g->arena, "%s/cpu.stat", h->dir);
  int64_t throttled = stat_value(fh_read_text(g, stat, FH_SMALL_FILE, NULL), "nr_throttled");
  cpu->throttled = throttled >= 0 ? fh_fact_int_of(throttled, stat) : (fh_fact_int){0, FH_UNKNOWN_FACT, stat};
}

static void read_cpuset(fh_gather *g, const hierarchy *h) {
  static const char *const files[] = {"cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"};
  fh_facts_cpu *cpu = &g->facts->cpu;
  const char *dirs[FH_FACTS_MAX_CGROUP_LEVELS];
  int levels = ancestors(g, h, dirs, FH_FACTS_MAX_CGROUP_LEVELS);
  g->facts->cgroup.cpuset_controller = h->version;
  for (int i = 0; i < levels; i++) { /* a cgroup without the controller obeys its parent's */
    for (size_t k = 0; k < sizeof files / sizeof files[0]; k++) {
      fh_fact_text list = fh_read_fact(g, fh_arena_format(g->arena, "%s/%s", dirs[i], files[k]), FH_SMALL_FILE);
      int count = list.valid == FH_VALID ? fh_cpulist_count(list.value) : 0;
      if (count <= 0) continue;
      cpu->cpuset = list;
      cpu->cpuset_count = fh_fact_int_of(count, list.source);
      return;
    }
  }
}

static void read_memory(fh_gather *g, const hierarchy *h) {
  fh_facts_memory *m = &g->facts->memory;
  const fh_facts_cgroup *c = &g->facts->cgroup;
  g->facts->cgroup.memory_controller = h->version;
  read_levels(g, h, read_memory_level);
  const char *dirs[FH_FACTS_MAX_CGROUP_LEVELS];
  int count = ancestors(g, h, dirs, FH_FACTS_MAX_CGROUP_LEVELS);
  m->limit = no_limit(g, h->dir);
  for (int i = 0; i < count && i < c->level_count; i++) {
    if (c->levels[i].memory_limit < 0 || (m->limit.valid == FH_VALID && c->levels[i].memory_limit >= m->limit.value)) continue;
    m->limit = fh_fact_int_of(c->levels[i].memory_limit, dirs[i]);
    m->limit_level = dirs[i];
  }
}

/* Which devices our v1 cgroup may open. */
static void read_device_rules(fh_gather *g, const hierarchy *h) {
  if (h->version[1] != '1') return;
  g->facts->cgroup.device_rules = fh_read_fact(g, fh_arena_format(g->arena, "%s/devices.list", h->dir), FH_SMALL_FILE);
}

void fh_gather_cgroup(fh_gather *g) {
  fh_facts *f = g->facts;
  f->cgroup.self = fh_read_fact(g, "/proc/self/cgroup", FH_SMALL_FILE);
  if (f->cgroup.self.valid != FH_VALID) return;
  entries all = {0};
  fh_cgroup_parse(g->arena, f->cgroup.self.value, &all.items, &all.count);
  f->cgroup.mode = mode_of(f, &all);
  hierarchy h;
  if (find_hierarchy(g, &all, "cpu", &h)) {
    read_cpu(g, &h);
  } else if (entry_v2(&all) && v2_mount(f)) { /* the controller may be in use above, where we cannot look */
    const fh_mount *mount = v2_mount(f);
    h = (hierarchy){.version = "v2", .dir = directory_of(g, mount, entry_v2(&all)->path), .top = mount->point, .root = mount->root};
    f->cpu.ancestors_hidden = ancestors_hidden(g, &h);
  }
  if (find_hierarchy(g, &all, "cpuset", &h)) read_cpuset(g, &h);
  if (find_hierarchy(g, &all, "memory", &h)) read_memory(g, &h);
  if (find_hierarchy(g, &all, "devices", &h)) read_device_rules(g, &h);
  if (find_hierarchy(g, &all, "pids", &h)) read_levels(g, &h, read_pids_level);
}
