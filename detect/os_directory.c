/* The operating-system table over a snapshot directory. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detect/elf.h"
#include "detect/os.h"
#include "detect/parse.h"
#include "detect/snapshot_recording.h"
#include "detect/snapshot_tree.h"
#include "runtime/base/json.h"

enum {
  MAX_CPUID = 256,
  MAX_TICKETS = 256,
  MAX_FILE = 64 * 1024 * 1024,
  MAX_META = 1024 * 1024,
  NAME_SIZE = 256,
  MAX_VISITS = 8 * FH_TREE_MAX_LAYERS
};

typedef struct cpuid_line {
  uint32_t leaf, subleaf;
  fh_os_cpuid value;
} cpuid_line;

typedef struct variable {
  char *name;
  char *value; /* NULL: unset, whatever the base says */
} variable;

typedef struct directory {
  fh_os os;
  fh_tree tree;
  int layers[FH_TREE_MAX_LAYERS]; /* the snapshot directories, newest first; as many as tree.count */
  json_t *meta[FH_TREE_MAX_LAYERS];
  int visits; /* of layers while opening; one that several are based on is visited several times */
  variable *variables;
  size_t variable_count;
  cpuid_line cpuid[MAX_CPUID];
  int cpuid_count;
  bool has_xcr0, has_hwcap;
  uint64_t xcr0, hwcap, hwcap2;
  char *tickets[MAX_TICKETS]; /* names of answers; NULL: free */
  char *refused;              /* why the last question was not asked on that machine; NULL: it was, or it is not known */
} directory;

static directory *self(fh_os *os) { return (directory *)os; }

/* ---- files -------------------------------------------------------------------------------------------- */

/* The whole of an open file, zero-terminated; closes it. EFBIG keeps the first max bytes. */
static int read_all(int fd, size_t max, char **out, size_t *out_size) {
  size_t size = 0, capacity = 4096;
  char *data = malloc(capacity + 1);
  int error = data ? 0 : ENOMEM;
  for (ssize_t got = 1; !error && got > 0 && size <= max;) {
    if (size == capacity) {
      char *more = realloc(data, capacity * 2 + 1);
      if (!more) {
        error = ENOMEM;
        break;
      }
      data = more;
      capacity *= 2;
    }
    got = read(fd, data + size, capacity - size);
    if (got > 0) size += (size_t)got;
    if (got < 0 && errno != EINTR) error = errno;
    if (got < 0 && errno == EINTR) got = 1;
  }
  close(fd);
  if (!error && size > max) {
    size = max;
    error = EFBIG;
  }
  if (error && error != EFBIG) {
    free(data);
    return error;
  }
  data[size] = 0;
  *out = data;
  if (out_size) *out_size = size;
  return error;
}

/* A file of the newest layer that has it, beside fs/. NULL: none has. */
static char *read_beside(const directory *d, const char *name, size_t *out_size) {
  for (int i = 0; i < d->tree.count; i++) {
    int fd = openat(d->layers[i], name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char *text = NULL;
    if (fd < 0) continue;
    int error = read_all(fd, MAX_META, &text, out_size);
    if (!error) return text;
    if (error == EFBIG) free(text);
    return NULL;
  }
  return NULL;
}

static int directory_stat(fh_os *os, const char *path, bool follow, fh_os_stat *out) {
  fh_tree_node node;
  int error = fh_tree_resolve(&self(os)->tree, path, follow, &node);
  if (error) return error;
  if (node.side.stat_errno) return node.side.stat_errno;
  const fh_side *side = &node.side;
  static const struct {
    char type;
    mode_t format, permissions;
  } kinds[] = {{'f', S_IFREG, 0644}, {'d', S_IFDIR, 0755}, {'l', S_IFLNK, 0777}, {'c', S_IFCHR, 0600}, {'b', S_IFBLK, 0600}};
  *out = (fh_os_stat){
      .uid = side->uid, .gid = side->gid, .rdev_major = side->rdev_major, .rdev_minor = side->rdev_minor, .mtime = side->mtime};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (kinds[i].type == node.type) out->mode = kinds[i].format | (side->has_mode ? side->mode : kinds[i].permissions);
  out->size = side->has_size ? side->size : node.has_file && node.type == 'f' ? (int64_t)node.st.st_size : 0;
  return 0;
}

static int directory_try_open(fh_os *os, const char *path) {
  fh_tree_node node;
  int error = fh_tree_resolve(&self(os)->tree, path, true, &node);
  if (error) return error;
  if (node.side.open_errno) return node.side.open_errno;
  return node.type == 'd' ? EISDIR : 0;
}

static int directory_read(fh_os *os, const char *path, size_t max, char **out, size_t *out_size) {
  fh_tree_node node;
  int error = fh_tree_resolve(&self(os)->tree, path, true, &node);
  if (error) return error;
  if (node.side.open_errno) return node.side.open_errno;
  if (!node.has_file && node.type == 'f' && node.side.has_size && node.side.size == 0) {
    *out = calloc(1, 1);
    if (out_size) *out_size = 0;
    return *out ? 0 : ENOMEM;
  }
  int fd = fh_tree_open(&self(os)->tree, &node);
  return fd < 0 ? errno : read_all(fd, max < MAX_FILE ? max : MAX_FILE, out, out_size);
}

static int directory_readlink(fh_os *os, const char *path, char *out, size_t size) {
  fh_tree_node node;
  int error = fh_tree_resolve(&self(os)->tree, path, false, &node);
  return error ? error : fh_tree_target(&self(os)->tree, &node, out, size);
}

static int directory_realpath(fh_os *os, const char *path, char *out, size_t size) {
  fh_tree_node node;
  int error = fh_tree_resolve(&self(os)->tree, path, true, &node);
  if (error) return error;
  return (size_t)snprintf(out, size, "%s", node.path) < size ? 0 : ENAMETOOLONG;
}

static int directory_list(fh_os *os, const char *path, char ***out_names, size_t *out_count) {
  fh_tree_node node;
  int error = fh_tree_resolve(&self(os)->tree, path, true, &node);
  if (error) return error;
  if (node.side.open_errno) return node.side.open_errno;
  return fh_tree_list(&self(os)->tree, &node, out_names, out_count);
}

static int directory_elf(fh_os *os, const char *path, fh_os_elf *out) {
  fh_tree_node node;
  int error = fh_tree_resolve(&self(os)->tree, path, true, &node);
  if (error) return error;
  *out = (fh_os_elf){0};
  if (node.side.has_elf) {
    *out = node.side.elf;
    return 0;
  }
  if (node.side.has_size && node.side.size == 0) return 0;
  int fd = fh_tree_open(&self(os)->tree, &node);
  if (fd < 0) return errno;
  fh_elf_parse_fd(fd, out);
  close(fd);
  return 0;
}

/* ---- identity, environment, processor -------------------------------------------------------------------- */

/* A member of snapshot.json, of the newest layer that has it. */
static const json_t *meta_get(const directory *d, const char *key) {
  for (int i = 0; i < d->tree.count; i++) {
    const json_t *value = json_object_get(d->meta[i], key);
    if (value) return value;
  }
  return NULL;
}

static const char *directory_getenv(fh_os *os, const char *name) {
  const directory *d = self(os);
  for (size_t i = d->variable_count; i-- > 0;)
    if (strcmp(d->variables[i].name, name) == 0) return d->variables[i].value;
  return NULL;
}

static int directory_identity(fh_os *os, fh_os_identity *out) {
  const directory *d = self(os);
  const json_t *uid = meta_get(d, "uid"), *gid = meta_get(d, "gid"), *gids = meta_get(d, "gids");
  const char *caps = json_string_value(meta_get(d, "cap_effective"));
  const char *machine = json_string_value(meta_get(d, "machine")), *release = json_string_value(meta_get(d, "release"));
  if (!json_is_integer(uid) || !machine) return ENOENT;
  *out = (fh_os_identity){.uid = (unsigned)json_integer_value(uid), .gid = (unsigned)json_integer_value(gid)};
  for (size_t i = 0; i < json_array_size(gids) && out->gid_count < (int)(sizeof out->gids / sizeof out->gids[0]); i++)
    out->gids[out->gid_count++] = (unsigned)json_integer_value(json_array_get(gids, i));
  if (caps) fh_parse_hex(caps, &out->cap_effective);
  snprintf(out->machine, sizeof out->machine, "%s", machine);
  snprintf(out->release, sizeof out->release, "%s", release ? release : "");
  return 0;
}

static int directory_affinity(fh_os *os, char *out_list, size_t size) {
  const char *list = json_string_value(meta_get(self(os), "affinity"));
  if (!list) return ENOENT;
  return (size_t)snprintf(out_list, size, "%s", list) < size ? 0 : ENAMETOOLONG;
}

static int directory_cpuid(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  const directory *d = self(os);
  if (d->cpuid_count == 0) return ENOSYS;
  *out = (fh_os_cpuid){0}; /* as a processor answers a leaf that it lacks */
  for (int i = 0; i < d->cpuid_count; i++)
    if (d->cpuid[i].leaf == leaf && d->cpuid[i].subleaf == subleaf) *out = d->cpuid[i].value;
  return 0;
}

static int directory_xgetbv(fh_os *os, uint64_t *out) {
  if (!self(os)->has_xcr0) return ENOSYS;
  *out = self(os)->xcr0;
  return 0;
}

static int directory_hwcap(fh_os *os, uint64_t *out_hwcap, uint64_t *out_hwcap2) {
  if (!self(os)->has_hwcap) return ENOSYS;
  *out_hwcap = self(os)->hwcap;
  *out_hwcap2 = self(os)->hwcap2;
  return 0;
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

/* "cuda" -> "cuda", "opencl:/etc/OpenCL/vendors/x.icd" -> "opencl-x.icd"; a changed question gets "-no-NAME" or
 * "-set-NAME" for each change. False when the name would not fit or would leave the folder. */
static bool answer_name(const char *question, const char *const *changes, char *out, size_t size) {
  const char *colon = strchr(question, ':'), *slash = strrchr(question, '/');
  int used = colon ? snprintf(out, size, "%.*s-%s", (int)(colon - question), question, slash ? slash + 1 : colon + 1)
                   : snprintf(out, size, "%s", question);
  for (int i = 0; changes && changes[i] && used >= 0 && (size_t)used < size; i++) {
    bool sets = strchr(changes[i], '=') != NULL;
    used += snprintf(out + used, size - (size_t)used, "-%s-%.*s", sets ? "set" : "no", (int)strcspn(changes[i], "="), changes[i]);
  }
  return used > 0 && (size_t)used < size && !strchr(out, '/') && out[0] != '.';
}

static bool holds_part_of_answer(int layer, const char *name) {
  static const char *const parts[] = {"json", "meta", "unasked"};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    char file[NAME_SIZE + 32];
    snprintf(file, sizeof file, "answers/%s.%s", name, parts[i]);
    if (faccessat(layer, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0) return true;
  }
  return false;
}

/* The recorded file of an answer; NULL when the newest layer that speaks of it says that there is none. */
static char *read_answer(const directory *d, const char *name, const char *suffix) {
  char file[NAME_SIZE + 32], absent[NAME_SIZE + 32];
  snprintf(file, sizeof file, "answers/%s%s", name, suffix);
  snprintf(absent, sizeof absent, "answers/%s.absent", name);
  for (int i = 0; i < d->tree.count; i++) {
    if (faccessat(d->layers[i], absent, F_OK, AT_SYMLINK_NOFOLLOW) == 0) return NULL;
    int fd = openat(d->layers[i], file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
      /* The files of one answer are one record: do not mix those of two layers. */
      if (holds_part_of_answer(d->layers[i], name)) return NULL;
      continue;
    }
    char *text = NULL;
    int error = read_all(fd, MAX_META, &text, NULL);
    if (!error) return text;
    if (error == EFBIG) free(text);
    return NULL;
  }
  return NULL;
}

static int directory_ask_start(fh_os *os, const char *question, const char *const *changes, int *out_ticket) {
  directory *d = self(os);
  char name[NAME_SIZE];
  if (!answer_name(question, changes, name, sizeof name)) return EINVAL;
  char *json = read_answer(d, name, ".json"), *meta = json ? NULL : read_answer(d, name, ".meta");
  bool recorded = json || meta;
  free(json);
  free(meta);
  free(d->refused);
  d->refused = recorded ? NULL : read_answer(d, name, ".unasked");
  if (d->refused) d->refused[strcspn(d->refused, "\n")] = 0;
  if (!recorded) return d->refused ? ENOTSUP : ENOENT;
  for (int i = 0; i < MAX_TICKETS; i++) {
    if (d->tickets[i]) continue;
    d->tickets[i] = strdup(name);
    *out_ticket = i;
    return d->tickets[i] ? 0 : ENOMEM;
  }
  return EAGAIN;
}

static const char *directory_ask_refused(fh_os *os) { return self(os)->refused; }

static int directory_ask_collect(fh_os *os, int ticket, fh_os_answer *out) {
  directory *d = self(os);
  if (ticket < 0 || ticket >= MAX_TICKETS || !d->tickets[ticket]) return EINVAL;
  *out = (fh_os_answer){0};
  char *meta = read_answer(d, d->tickets[ticket], ".meta");
  if (meta && !fh_words_to_answer(meta, out)) *out = (fh_os_answer){.exit_code = -1};
  free(meta);
  out->json = read_answer(d, d->tickets[ticket], ".json");
  if (!out->json) out->json = calloc(1, 1);
  free(d->tickets[ticket]);
  d->tickets[ticket] = NULL;
  return out->json ? 0 : ENOMEM;
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

static void directory_destroy(fh_os *os) {
  directory *d = self(os);
  fh_tree_forget(&d->tree);
  for (int i = 0; i < d->tree.count; i++) {
    fh_tree_names_free(d->tree.names[i]);
    if (d->tree.roots[i] >= 0) close(d->tree.roots[i]);
    close(d->layers[i]);
    json_decref(d->meta[i]);
  }
  for (size_t i = 0; i < d->variable_count; i++) {
    free(d->variables[i].name);
    free(d->variables[i].value);
  }
  free(d->variables);
  for (int i = 0; i < MAX_TICKETS; i++) free(d->tickets[i]);
  free(d->refused);
  free(d);
}

static const fh_os_api directory_api = {
    .destroy = directory_destroy,
    .stat = directory_stat,
    .try_open = directory_try_open,
    .read = directory_read,
    .readlink = directory_readlink,
    .realpath = directory_realpath,
    .list = directory_list,
    .elf = directory_elf,
    .getenv = directory_getenv,
    .identity = directory_identity,
    .affinity = directory_affinity,
    .cpuid = directory_cpuid,
    .xgetbv = directory_xgetbv,
    .hwcap = directory_hwcap,
    .ask_start = directory_ask_start,
    .ask_collect = directory_ask_collect,
    .ask_refused = directory_ask_refused,
};

/* Reads snapshot.json of a layer: every member is checked, so that a typing error is not a missing fact. */
static fh_status load_meta(int layer, const char *path, json_t **out) {
  static const struct {
    const char *key;
    json_type type;
  } members[] = {
      {"schema", JSON_STRING}, {"machine", JSON_STRING},       {"release", JSON_STRING},  {"uid", JSON_INTEGER}, {"gid", JSON_INTEGER},
      {"gids", JSON_ARRAY},    {"cap_effective", JSON_STRING}, {"affinity", JSON_STRING}, {"base", JSON_STRING}, {"comment", JSON_STRING},
  };
  int fd = openat(layer, "snapshot.json", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: not a snapshot directory: snapshot.json: %s", path, strerror(errno));
  char *text = NULL;
  size_t size = 0;
  int error = read_all(fd, MAX_META, &text, &size);
  json_error_t where;
  json_t *meta = error ? NULL : json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
  if (!error || error == EFBIG) free(text);
  if (error) return FH_STATUS(FH_INVALID_ARGUMENT, "%s/snapshot.json: cannot be read: %s", path, strerror(error));
  if (!meta) return FH_STATUS(FH_INVALID_ARGUMENT, "%s/snapshot.json: line %d: %s", path, where.line, where.text);
  *out = meta;
  const char *schema = json_string_value(json_object_get(meta, "schema"));
  if (!schema || strcmp(schema, "foghorn.snapshot/1") != 0)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "%s/snapshot.json: schema is %s, expected foghorn.snapshot/1 (or /2, a recording, which is no base of another)", path,
                     schema ? schema : "missing");
  const char *key;
  json_t *value;
  json_object_foreach(meta, key, value) {
    bool known = false;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
      known = known || (strcmp(members[i].key, key) == 0 && json_typeof(value) == members[i].type);
    known = known || (strcmp(key, "base") == 0 && json_is_array(value));
    if (!known) return FH_STATUS(FH_INVALID_ARGUMENT, "%s/snapshot.json: member '%s' is unknown or of the wrong type", path, key);
  }
  return FH_OK;
}

static bool same_directory(int a, int b) {
  struct stat x, y;
  return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Reads what a layer brings with it; takes the open directory. */
static fh_status load_layer(directory *d, int take_layer, const char *name) {
  if (d->tree.count == FH_TREE_MAX_LAYERS) {
    close(take_layer);
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: more than %d snapshots are based on each other", name, FH_TREE_MAX_LAYERS);
  }
  int i = d->tree.count++;
  d->layers[i] = take_layer;
  d->tree.roots[i] = openat(take_layer, "fs", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  FH_TRY(load_meta(take_layer, name, &d->meta[i]));
  char problem[512];
  int error = fh_tree_check(d->tree.roots[i], &d->tree.names[i], problem, sizeof problem);
  if (error == ENOMEM) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the snapshot %s", name);
  if (error)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "%s/fs: side file %s\nKeys: type rdev mode uid gid size mtime open stat elf machine soname interp glibc link", name,
                     problem);
  return FH_OK;
}

/* A layer that several are based on lies below all of them: it goes to the end. */
static void move_to_end(directory *d, int i) {
  int layer = d->layers[i], root = d->tree.roots[i], last = d->tree.count - 1;
  struct fh_tree_names *names = d->tree.names[i];
  json_t *meta = d->meta[i];
  for (; i < last; i++) {
    d->layers[i] = d->layers[i + 1];
    d->tree.roots[i] = d->tree.roots[i + 1];
    d->tree.names[i] = d->tree.names[i + 1];
    d->meta[i] = d->meta[i + 1];
  }
  d->layers[last] = layer;
  d->tree.roots[last] = root;
  d->tree.names[last] = names;
  d->meta[last] = meta;
}

/* The layers on the way from the newest to the one being added: coming back to one of them would never end. */
typedef struct way {
  const struct way *before;
  int layer;
  const char *name;
} way;

static fh_status add_layer(directory *d, int take_layer, const char *name, const way *before);

static fh_status add_base(directory *d, const way *from, const json_t *value) {
  const char *base = json_string_value(value);
  if (!base || strncmp(base, "../", 3) != 0 || !base[3] || strchr(base + 3, '/') || strcmp(base + 3, "..") == 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s/snapshot.json: base is '%s', expected a folder beside this one: '../NAME'", from->name,
                     base ? base : "no text");
  int layer = openat(from->layer, base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (layer < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "%s/snapshot.json: base '%s': %s", from->name, base, strerror(errno));
  return add_layer(d, layer, base, from);
}

static fh_status add_layer(directory *d, int take_layer, const char *name, const way *before) {
  for (const way *w = before; w; w = w->before) {
    if (!same_directory(take_layer, w->layer)) continue;
    close(take_layer);
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: its chain of bases comes back to %s", before->name, name);
  }
  if (++d->visits > MAX_VISITS) {
    close(take_layer);
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: more than %d bases in all", name, MAX_VISITS);
  }
  int known = 0;
  while (known < d->tree.count && !same_directory(take_layer, d->layers[known])) known++;
  if (known < d->tree.count) {
    close(take_layer);
    move_to_end(d, known);
  } else {
    FH_TRY(load_layer(d, take_layer, name));
  }
  int last = d->tree.count - 1;
  const json_t *meta = d->meta[last], *base = json_object_get(meta, "base");
  way here = {.before = before, .layer = d->layers[last], .name = name};
  if (json_is_string(base)) return add_base(d, &here, base);
  for (size_t i = 0; i < json_array_size(base); i++) FH_TRY(add_base(d, &here, json_array_get(base, i)));
  return FH_OK;
}

/* Opens a snapshot and everything it is based on, newest first. */
static fh_status add_layers(directory *d, const char *path) {
  int layer = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (layer < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: cannot be opened as a snapshot directory: %s", path, strerror(errno));
  return add_layer(d, layer, path, NULL);
}

/* env of one layer: NAME=value, or -NAME to unset what the base has. */
static fh_status load_environment(directory *d, int layer) {
  int fd = openat(layer, "env", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return FH_OK;
  char *text = NULL;
  int error = read_all(fd, MAX_META, &text, NULL);
  if (error == EFBIG) free(text);
  if (error) return FH_STATUS(FH_INVALID_ARGUMENT, "env: %s", strerror(error));
  const char *cursor = text, *line;
  size_t size;
  fh_status status = FH_OK;
  while (!status && fh_line_next(&cursor, &line, &size)) {
    if (size == 0) continue;
    bool unset = line[0] == '-';
    const char *equals = memchr(line, '=', size);
    if (unset == (equals != NULL) || line == equals) {
      status = FH_STATUS(FH_INVALID_ARGUMENT, "env: '%.*s': expected NAME=value or -NAME", (int)(size < 60 ? size : 60), line);
      break;
    }
    variable *more = realloc(d->variables, (d->variable_count + 1) * sizeof *more);
    if (more) {
      d->variables = more;
      variable *v = &more[d->variable_count++];
      v->name = unset ? strndup(line + 1, size - 1) : strndup(line, (size_t)(equals - line));
      v->value = unset ? NULL : strndup(equals + 1, size - (size_t)(equals - line) - 1);
    }
    const variable *last = d->variables ? &d->variables[d->variable_count - 1] : NULL;
    if (!more || !last->name || (!unset && !last->value))
      status = FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the snapshot's environment");
  }
  free(text);
  return status;
}

static bool load_cpuid_line(directory *d, char *line) {
  char *words[7], *rest = NULL;
  int count = 0;
  for (char *word = strtok_r(line, " \t\r", &rest); word && count < 7; word = strtok_r(NULL, " \t\r", &rest)) words[count++] = word;
  if (count == 0 || words[0][0] == '#') return true;
  if (strcmp(words[0], "xcr0") == 0 && count == 2) return d->has_xcr0 = fh_parse_hex(words[1], &d->xcr0);
  if (strcmp(words[0], "hwcap") == 0 && count == 3)
    return d->has_hwcap = fh_parse_hex(words[1], &d->hwcap) && fh_parse_hex(words[2], &d->hwcap2);
  uint64_t value[6];
  if (count != 6 || d->cpuid_count == MAX_CPUID) return false;
  for (int i = 0; i < 6; i++)
    if (!fh_parse_hex(words[i], &value[i]) || value[i] > UINT32_MAX) return false;
  d->cpuid[d->cpuid_count++] = (cpuid_line){
      .leaf = (uint32_t)value[0],
      .subleaf = (uint32_t)value[1],
      .value = {(uint32_t)value[2], (uint32_t)value[3], (uint32_t)value[4], (uint32_t)value[5]},
  };
  return true;
}

static fh_status load_cpuid(directory *d) {
  char *text = read_beside(d, "cpuid", NULL), *rest = NULL;
  fh_status status = FH_OK;
  int number = 0;
  for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line && !status; line = strtok_r(NULL, "\n", &rest)) {
    number++;
    if (!load_cpuid_line(d, line))
      status = FH_STATUS(FH_INVALID_ARGUMENT, "cpuid: line %d: expected 'leaf subleaf eax ebx ecx edx', 'xcr0 X' or 'hwcap X X', in hex",
                         number);
  }
  free(text);
  return status;
}

/* ---- recordings ------------------------------------------------------------------------------------------------- */

/* The schema of a directory's snapshot.json; what is wrong with it is told when it is read as what it is taken for. */
static bool is_recording(int layer) {
  int fd = openat(layer, "snapshot.json", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  char *text = NULL;
  size_t size = 0;
  int error = fd < 0 ? errno : read_all(fd, MAX_META, &text, &size);
  json_t *meta = error ? NULL : json_loadb(text, size, 0, NULL);
  if (!error || error == EFBIG) free(text);
  const char *schema = json_string_value(json_object_get(meta, "schema"));
  bool recording = schema && strcmp(schema, FH_RECORDING_SCHEMA) == 0;
  json_decref(meta);
  return recording;
}

static fh_status open_recording(int layer, const char *path, fh_os **out_os) {
  fh_members members;
  fh_recording *recording;
  FH_TRY(fh_members_read_directory(layer, path, &members));
  FH_TRY(fh_recording_read(&members, path, &recording));
  return fh_os_replay(recording, out_os);
}

fh_status fh_os_directory(const char *path, fh_os **out_os) {
  *out_os = NULL;
  int top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool recording = top >= 0 && is_recording(top);
  fh_status recorded = recording ? open_recording(top, path, out_os) : FH_OK;
  if (top >= 0) close(top);
  if (recording) return recorded;
  directory *d = calloc(1, sizeof *d);
  if (!d) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the snapshot %s", path);
  d->os.api = &directory_api;
  fh_status status = add_layers(d, path);
  if (!status) fh_tree_remember(&d->tree);
  for (int i = d->tree.count - 1; i >= 0 && !status; i--) status = load_environment(d, d->layers[i]);
  if (!status) status = load_cpuid(d);
  if (status) {
    directory_destroy(&d->os);
    return status;
  }
  *out_os = &d->os;
  return FH_OK;
}
