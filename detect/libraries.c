/* Libraries, found as the loader would find them, and fingerprinted. SPDX-License-Identifier: Apache-2.0
 * Nothing is loaded here. The folders glibc-hwcaps/x86-64-vN, for better processors, are searched as the loader does, in every folder
 * and in its cache. What is not modelled: RUNPATH of the program, which only it has. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "detect/gather.h"
#include "detect/parse.h"

enum { MACHINE_X86_64 = 62, MACHINE_AARCH64 = 183, MAX_DIRS = 64, MAX_CACHE = 32 * 1024 * 1024, MAX_ELSEWHERE = 64 };

static const char *const wanted[] = {
    "libcuda.so.1",         "libnvidia-ml.so.1",     "libnvidia-ptxjitcompiler.so.1",
    "libOpenCL.so.1",       "libnvidia-opencl.so.1", "libpocl.so.2",
    "libigdrcl.so",         "libamdocl64.so",        "libhsa-runtime64.so.1",
    "libamdhip64.so",       "libze_loader.so.1",     "libze_intel_gpu.so.1",
    "libze_intel_npu.so.1", "libze_intel_vpu.so.1",  "libamdhip64.so.7",
    "libamdhip64.so.6",     "libamdhip64.so.5",
};
enum { WANTED_COUNT = sizeof wanted / sizeof wanted[0] };

/* What the loader of this machine does, worked out once. */
typedef struct loader {
  int machine; /* e_machine; 0 unknown */
  const char *dirs[MAX_DIRS];
  int dir_count;
  bool hwcaps[MAX_DIRS]; /* it has a folder glibc-hwcaps */
  int most_level;        /* the highest x86-64-vN that the processor may use; 1: none of them, or not known */
  int before_cache;      /* the cache is asked after so many directories */
  char *cache;
  size_t cache_size;
  const char *cache_name; /* NULL: this loader has none */
} loader;

static void add_dir(fh_gather *g, loader *l, const char *dir, size_t size) {
  if (l->dir_count == MAX_DIRS) return;
  while (size > 1 && dir[size - 1] == '/') size--;
  /* an empty place in a list is the current directory, for the loader too */
  l->dirs[l->dir_count++] = size ? fh_arena_text_size(g->arena, dir, size) : ".";
}

static void add_dirs(fh_gather *g, loader *l, const char *list, const char *separators) {
  while (list && *list) {
    size_t size = strcspn(list, separators);
    add_dir(g, l, list, size);
    list += size;
    if (*list) list++;
  }
}

static bool is_directory(fh_gather *g, const char *path) {
  fh_os_stat st;
  return fh_path_stat(g, path, true, &st) == 0 && S_ISDIR(st.mode);
}

static void musl_dirs(fh_gather *g, loader *l) {
  const char *file = fh_arena_format(g->arena, "/etc/ld-musl-%s.path", g->facts->where.machine.value);
  const char *text = fh_read_text(g, file, FH_SMALL_FILE, NULL);
  add_dirs(g, l, text ? text : "/lib:/usr/local/lib:/usr/lib", ":\n");
}

/* The directories that a distribution built into its loader. */
static void default_dirs(fh_gather *g, loader *l) {
  const char *triplet = l->machine == MACHINE_AARCH64 ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  const char *multiarch = fh_arena_format(g->arena, "/usr/lib/%s", triplet);
  if (is_directory(g, multiarch) || is_directory(g, multiarch + strlen("/usr"))) {
    add_dirs(g, l, fh_arena_format(g->arena, "/lib/%s:%s", triplet, multiarch), ":");
  } else if (is_directory(g, "/usr/lib64") || is_directory(g, "/lib64")) {
    add_dirs(g, l, "/lib64:/usr/lib64", ":");
  }
  add_dirs(g, l, "/lib:/usr/lib", ":");
}

/* The level of x86-64 that the kernel's list of flags allows: each has all of those below it. */
static int level_of(const fh_facts_cpu *cpu) {
  static const char *const flags[][10] = {
      {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"},
      {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"},
      {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
  };
  int level = 1;
  if (cpu->flags.valid != FH_VALID) return level;
  for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++, level++)
    for (int k = 0; k < 10 && flags[i][k]; k++)
      if (!fh_word_in(cpu->flags.value, " ", flags[i][k])) return level;
  return level;
}

static void look_for_hwcaps(fh_gather *g, loader *l) {
  l->most_level = l->machine == MACHINE_X86_64 ? level_of(&g->facts->cpu) : 1;
  for (int i = 0; l->most_level > 1 && i < l->dir_count; i++)
    l->hwcaps[i] = is_directory(g, fh_arena_format(g->arena, "%s/glibc-hwcaps", l->dirs[i]));
}

static void loader_init(fh_gather *g, loader *l) {
  const fh_facts_where *w = &g->facts->where;
  *l = (loader){0};
  if (strcmp(w->machine.value, "x86_64") == 0) l->machine = MACHINE_X86_64;
  if (strcmp(w->machine.value, "aarch64") == 0) l->machine = MACHINE_AARCH64;
  add_dirs(g, l, fh_facts_env(g->facts, "LD_LIBRARY_PATH"), ":;");
  l->before_cache = l->dir_count;
  if (w->musl.valid == FH_VALID && w->musl.value) {
    musl_dirs(g, l);
    return;
  }
  l->cache_name = "/etc/ld.so.cache";
  if (g->os->api->read(g->os, l->cache_name, MAX_CACHE, &l->cache, &l->cache_size) == EFBIG) l->cache_size = 0;
  if (!l->cache) l->cache_size = 0;
  default_dirs(g, l);
  look_for_hwcaps(g, l);
}

static void loader_end(loader *l) { free(l->cache); }

/* ---- one library ------------------------------------------------------------------------------------------- */

/* The loader passes over files made for another processor, and stops at anything else that it can see. */
static bool made_for_another(const loader *l, const fh_os_elf *elf) {
  return elf->is_elf && l->machine && (elf->bits != 64 || elf->machine != l->machine);
}

static bool contains_dir(const char *path, const char *dir) { return strstr(path, dir) != NULL; }

/* "550.54.14" of libcuda.so.550.54.14; "" when the name ends in a bare SONAME number. */
static const char *version_of(const char *real_path) {
  const char *name = strrchr(real_path, '/');
  const char *suffix = name ? strstr(name, ".so.") : NULL;
  return suffix && strchr(suffix + 4, '.') ? suffix + 4 : "";
}

static void fingerprint(fh_gather *g, const char *path, fh_library *out) {
  char real[PATH_MAX];
  fh_os_stat st;
  out->valid = FH_VALID;
  out->path = path;
  out->real_path = g->os->api->realpath(g->os, path, real, sizeof real) == 0 ? fh_arena_text(g->arena, real) : path;
  out->size = fh_path_stat(g, path, true, &st) == 0 ? st.size : -1;
  out->own_mount = fh_mount_at(g->facts, out->real_path) != NULL || fh_mount_at(g->facts, path) != NULL;
  out->stub = contains_dir(path, "/stubs/") || contains_dir(out->real_path, "/stubs/");
  out->compat = contains_dir(path, "/compat/") || contains_dir(out->real_path, "/compat/");
  out->wsl = contains_dir(path, "/usr/lib/wsl/") || contains_dir(out->real_path, "/usr/lib/wsl/");
  out->version = version_of(out->real_path);
}

typedef struct search {
  fh_gather *g;
  const loader *l;
  fh_library *out;
  char searched[2048];
  size_t searched_size;
  const char *foreign; /* a file for another processor that was passed over */
  fh_os_elf foreign_elf;
} search;

static void note_place(search *s, const char *place) {
  int used = snprintf(s->searched + s->searched_size, sizeof s->searched - s->searched_size, "%s%s", s->searched_size ? ":" : "", place);
  if (used > 0 && s->searched_size + (size_t)used < sizeof s->searched) s->searched_size += (size_t)used;
  s->searched[s->searched_size] = 0;
  s->out->searched_count++;
}

/* True when the search ends at this file. */
static bool try_file(search *s, const char *path) {
  fh_os_stat st;
  if (fh_path_stat(s->g, path, true, &st) != 0 || S_ISDIR(st.mode)) return false;
  fh_os_elf elf = {0};
  s->g->os->api->elf(s->g->os, path, &elf);
  if (made_for_another(s->l, &elf)) {
    if (!s->foreign) {
      s->foreign = path;
      s->foreign_elf = elf;
    }
    return false;
  }
  s->out->elf = elf;
  fingerprint(s->g, path, s->out);
  return true;
}

static bool try_dirs(search *s, int first, int last) {
  for (int i = first; i < last; i++) {
    note_place(s, s->l->dirs[i]);
    for (int level = s->l->most_level; level > 1 && s->l->hwcaps[i]; level--)
      if (try_file(s, fh_arena_format(s->g->arena, "%s/glibc-hwcaps/x86-64-v%d/%s", s->l->dirs[i], level, s->out->name))) return true;
    if (try_file(s, fh_arena_format(s->g->arena, "%s/%s", s->l->dirs[i], s->out->name))) return true;
  }
  return false;
}

static bool try_cache(search *s, const char *cached) {
  if (!s->l->cache_name) return false;
  if (s->l->cache_size) note_place(s, s->l->cache_name);
  return cached && cached[0] == '/' && try_file(s, fh_arena_text(s->g->arena, cached));
}

static void find_with(fh_gather *g, const loader *l, const char *name, const char *cached, fh_library *out) {
  *out = (fh_library){.name = fh_arena_text(g->arena, name), .valid = FH_ABSENT, .path = "", .real_path = "", .size = -1, .version = ""};
  search s = {.g = g, .l = l, .out = out};
  bool found = try_dirs(&s, 0, l->before_cache) || try_cache(&s, cached) || try_dirs(&s, l->before_cache, l->dir_count);
  if (!found && s.foreign) {
    out->elf = s.foreign_elf;
    fingerprint(g, s.foreign, out);
  }
  out->searched = fh_arena_text(g->arena, s.searched);
}

void fh_library_find(fh_gather *g, const char *name, fh_library *out) {
  if (name[0] == '/') { /* a path: no search */
    *out = (fh_library){.name = fh_arena_text(g->arena, name), .valid = FH_ABSENT, .path = "", .real_path = "", .size = -1, .version = ""};
    out->searched = out->name;
    out->searched_count = 1;
    if (!fh_path_exists(g, name)) return;
    g->os->api->elf(g->os, name, &out->elf);
    fingerprint(g, out->name, out);
    return;
  }
  loader l;
  loader_init(g, &l);
  fh_ldcache_wish wish = {.name = name, .most_level = l.most_level};
  if (l.cache_size) fh_ldcache_find(l.cache, l.cache_size, l.machine, &wish, 1);
  find_with(g, &l, name, wish.path, out);
  loader_end(&l);
}

/* ---- other copies of libcuda --------------------------------------------------------------------------------- */

static bool is_cuda_name(const char *name) { return strncmp(name, "libcuda.so", 10) == 0 && (name[10] == 0 || name[10] == '.'); }

static void add_elsewhere(fh_gather *g, const char *path, const char *found) {
  fh_facts_libraries *all = &g->facts->libraries;
  if (all->elsewhere_count >= MAX_ELSEWHERE || strcmp(path, found) == 0) return;
  for (int i = 0; i < all->elsewhere_count; i++)
    if (strcmp(all->elsewhere[i], path) == 0) return;
  if (fh_path_stat(g, path, true, NULL) == ENOENT) { /* a link from a folder that was passed in without what it leads to */
    if (!all->dangling && fh_path_stat(g, path, false, NULL) == 0) all->dangling = path;
    return;
  }
  const char **slot = fh_arena_push(g->arena, &all->elsewhere, &all->elsewhere_count, sizeof *slot);
  if (slot) *slot = path;
}

/* Directories that often hold a libcuda which the loader does not see. */
static const char *const other_dirs[] = {
    "/usr/local/cuda/compat",
    "/usr/local/cuda/lib64",
    "/usr/local/cuda/lib64/stubs",
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    "/usr/lib/wsl/lib",
    "/run/opengl-driver/lib",
    "/.singularity.d/libs",
    "/home/kubernetes/bin/nvidia",
    "/home/kubernetes/bin/nvidia/lib64",
    "/usr/lib64",
    "/usr/lib/nvidia",
    "/usr/lib/aarch64-linux-gnu/tegra",
};

/* The system's own library directory has thousands of names: it is listed only where there is a reason. */
static bool cuda_is_likely(const fh_gather *g) {
  for (int i = 0; i < g->facts->pci.count; i++)
    if (g->facts->pci.devices[i].vendor == 0x10de) return true;
  return g->facts->libraries.libs[0].valid == FH_VALID || fh_facts_env(g->facts, "NVIDIA_VISIBLE_DEVICES");
}

static void list_cuda(fh_gather *g, const char *dir, const char *found) {
  int count;
  const char **names = fh_path_list(g, dir, &count, NULL);
  for (int i = 0; i < count; i++)
    if (is_cuda_name(names[i])) add_elsewhere(g, fh_arena_format(g->arena, "%s/%s", dir, names[i]), found);
}

static void look_elsewhere(fh_gather *g, const loader *l) {
  fh_facts *f = g->facts;
  const char *found = f->libraries.libs[0].path;
  for (int i = 0; i < f->mount_count; i++) {
    const char *name = strrchr(f->mounts[i].point, '/');
    if (name && is_cuda_name(name + 1)) add_elsewhere(g, f->mounts[i].point, found);
  }
  for (size_t i = 0; i < sizeof other_dirs / sizeof other_dirs[0]; i++) list_cuda(g, other_dirs[i], found);
  if (!cuda_is_likely(g)) return;
  for (int i = 0; i < l->dir_count; i++) list_cuda(g, l->dirs[i], found);
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

void fh_gather_libraries(fh_gather *g) {
  fh_facts_libraries *all = &g->facts->libraries;
  all->libs = fh_arena_alloc(g->arena, WANTED_COUNT, sizeof *all->libs);
  if (!all->libs) return;
  all->count = WANTED_COUNT;
  loader l;
  loader_init(g, &l);
  fh_ldcache_wish wishes[WANTED_COUNT];
  for (int i = 0; i < WANTED_COUNT; i++) wishes[i] = (fh_ldcache_wish){.name = wanted[i], .most_level = l.most_level};
  if (l.cache_size) fh_ldcache_find(l.cache, l.cache_size, l.machine, wishes, WANTED_COUNT);
  for (int i = 0; i < WANTED_COUNT; i++) find_with(g, &l, wanted[i], wishes[i].path, &all->libs[i]);
  look_elsewhere(g, &l);
  loader_end(&l);
}

const fh_library *fh_facts_library(const fh_facts *facts, const char *name) {
  static const fh_library unknown = {.name = "", .path = "", .real_path = "", .size = -1, .version = "", .searched = ""};
  for (int i = 0; i < facts->libraries.count; i++)
    if (strcmp(facts->libraries.libs[i].name, name) == 0) return &facts->libraries.libs[i];
  return &unknown;
}
