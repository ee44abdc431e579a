/* Frameworks installed for Python, and whether they were built for CUDA. SPDX-License-Identifier: Apache-2.0
 * A few directories are listed and a small file is read; no program is run. Looked at only where a GPU works: elsewhere it
 * explains nothing. */
#include <errno.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

enum { MAX_FRAMEWORKS = 16, MAX_FOLDERS = 16 };

/* ---- PyTorch: torch/version.py --------------------------------------------------------------------------------------- */

/* The value of "name = 'text'" or "name: Optional[str] = 'text'"; "" for None; NULL when there is no such line. */
static const char *python_value(fh_gather *g, const char *text, const char *name) {
  const char *line;
  size_t size, name_size = strlen(name);
  while (fh_line_next(&text, &line, &size)) {
    if (size <= name_size || strncmp(line, name, name_size) != 0 || !strchr(" :=", line[name_size])) continue;
    const char *equals = memchr(line, '=', size);
    if (!equals) continue;
    const char *value = equals + 1, *end = line + size;
    while (value < end && *value == ' ') value++;
    if (value == end || (*value != '\'' && *value != '"')) return "";
    const char *close = memchr(value + 1, *value, (size_t)(end - value - 1));
    return close ? fh_arena_text_size(g->arena, value + 1, (size_t)(close - value - 1)) : "";
  }
  return NULL;
}

static void add(fh_gather *g, fh_framework framework) {
  fh_facts_programs *p = &g->facts->programs;
  if (p->count == MAX_FRAMEWORKS) return;
  fh_framework *slot = fh_arena_push(g->arena, &p->frameworks, &p->count, sizeof *slot);
  if (slot) *slot = framework;
}

static void look_at_torch(fh_gather *g, const char *folder) {
  const char *file = fh_arena_format(g->arena, "%s/torch/version.py", folder);
  const char *text = fh_read_text(g, file, FH_SMALL_FILE, NULL);
  if (!text) return;
  const char *version = python_value(g, text, "__version__"), *cuda = python_value(g, text, "cuda"), *hip = python_value(g, text, "hip");
  fh_framework torch = {.name = "PyTorch", .folder = folder, .evidence = file, .version = version ? version : "", .cuda = cuda ? cuda : ""};
  if (cuda && *cuda) torch.build = FH_BUILD_CUDA;
  if (cuda && !*cuda) torch.build = hip && *hip ? FH_BUILD_OTHER : FH_BUILD_CPU;
  add(g, torch);
}

/* ---- the others: names of folders, NAME-VERSION.dist-info --------------------------------------------------------------- */

/* The version in "tensorflow-2.16.1.dist-info" for the package "tensorflow"; NULL: another package. */
static const char *version_of(fh_gather *g, const char *entry, const char *package) {
  static const char suffix[] = ".dist-info";
  size_t size = strlen(entry), name = strlen(package);
  if (size < name + sizeof suffix || strncmp(entry, package, name) != 0 || entry[name] != '-') return NULL;
  if (strcmp(entry + size - (sizeof suffix - 1), suffix) != 0) return NULL;
  return fh_arena_text_size(g->arena, entry + name + 1, size - name - sizeof suffix);
}

typedef struct listing {
  const char *folder;
  const char **names;
  int count;
} listing;

/* The version of an installed package; "" and NULL as above. *out_entry is its folder. */
static const char *installed(fh_gather *g, const listing *l, const char *package, const char **out_entry) {
  for (int i = 0; i < l->count; i++) {
    const char *version = version_of(g, l->names[i], package);
    if (!version) continue;
    *out_entry = fh_arena_format(g->arena, "%s/%s", l->folder, l->names[i]);
    return version;
  }
  return NULL;
}

static bool any_begins(const listing *l, const char *prefix) {
  for (int i = 0; i < l->count; i++)
    if (strncmp(l->names[i], prefix, strlen(prefix)) == 0) return true;
  return false;
}

static void look_at_others(fh_gather *g, const listing *l) {
  const char *entry = "";
  const char *version = installed(g, l, "tensorflow_cpu", &entry);
  if (version) {
    add(g, (fh_framework){
               .name = "TensorFlow", .folder = l->folder, .evidence = entry, .version = version, .cuda = "", .build = FH_BUILD_CPU});
  } else if ((version = installed(g, l, "tensorflow", &entry))) {
    bool x86 = strcmp(g->facts->where.machine.value, "x86_64") == 0; /* the same name is built without CUDA for others */
    fh_framework tensorflow = {.name = "TensorFlow", .folder = l->folder, .evidence = entry, .version = version, .cuda = ""};
    tensorflow.build = x86 ? FH_BUILD_CUDA : FH_BUILD_UNKNOWN;
    add(g, tensorflow);
  }
  version = installed(g, l, "onnxruntime", &entry);
  if (version && !any_begins(l, "onnxruntime_"))
    add(g, (fh_framework){
               .name = "ONNX Runtime", .folder = l->folder, .evidence = entry, .version = version, .cuda = "", .build = FH_BUILD_CPU});
  version = installed(g, l, "jaxlib", &entry);
  if (version) {
    bool gpu = any_begins(l, "jax_cuda") || strstr(version, "cuda") || any_begins(l, "jax_rocm");
    fh_framework jax = {.name = "JAX", .folder = l->folder, .evidence = entry, .version = version, .cuda = ""};
    jax.build = gpu ? FH_BUILD_CUDA : FH_BUILD_CPU;
    add(g, jax);
  }
}

/* ---- cuDNN, which TensorFlow loads by itself ----------------------------------------------------------------------------- */

/* ABSENT: neither where the loader looks nor beside the frameworks. */
static fh_validity look_for_cudnn(fh_gather *g) {
  static const char *const names[] = {"libcudnn.so.9", "libcudnn.so.8"};
  const fh_facts_programs *p = &g->facts->programs;
  for (int i = 0; i < p->count; i++)
    if (fh_path_stat(g, fh_arena_format(g->arena, "%s/nvidia/cudnn/lib", p->frameworks[i].folder), true, NULL) != ENOENT) return FH_VALID;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    fh_library library;
    fh_library_find(g, names[i], &library);
    if (library.valid != FH_ABSENT) return library.valid;
  }
  return FH_ABSENT;
}

/* ---- where Python keeps its packages --------------------------------------------------------------------------------------- */

static void look_in(fh_gather *g, const char *folder) {
  listing l = {.folder = folder};
  int error;
  l.names = fh_path_list(g, folder, &l.count, &error);
  if (error) return;
  look_at_torch(g, folder);
  look_at_others(g, &l);
}

/* prefix/lib/python3.N/site-packages and dist-packages, for every N that is here. */
static void look_below(fh_gather *g, const char *prefix, int *budget) {
  int count;
  const char *lib = fh_arena_format(g->arena, "%s/lib", prefix);
  const char **names = fh_path_list(g, lib, &count, NULL);
  for (int i = 0; i < count && *budget > 0; i++) {
    if (strncmp(names[i], "python3", 7) != 0) continue;
    (*budget)--;
    look_in(g, fh_arena_format(g->arena, "%s/%s/site-packages", lib, names[i]));
    look_in(g, fh_arena_format(g->arena, "%s/%s/dist-packages", lib, names[i]));
  }
}

static bool any_gpu_works(const fh_cuda_answer *a) {
  for (int i = 0; i < a->device_count; i++)
    if (a->devices[i].usable) return true;
  return false;
}

void fh_gather_programs(fh_gather *g) {
  static const char *const variables[] = {"VIRTUAL_ENV", "CONDA_PREFIX"};
  static const char *const prefixes[] = {"/usr/local", "/usr", "/opt/conda", "/opt/venv", "/venv", "/app/.venv"};
  int budget = MAX_FOLDERS;
  if (!any_gpu_works(&g->facts->nvidia.cuda)) return;
  for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
    const char *prefix = fh_facts_env(g->facts, variables[i]);
    if (prefix && prefix[0] == '/') look_below(g, prefix, &budget);
  }
  for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) look_below(g, prefixes[i], &budget);
  if (g->facts->programs.count) g->facts->programs.cudnn = look_for_cudnn(g);
}
