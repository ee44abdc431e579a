/* The file tree of a snapshot. SPDX-License-Identifier: Apache-2.0 */
#include "detect/snapshot_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LINKS = 40, MAX_DEPTH = 64, MAX_NAMES = 1 << 20 };

static const char side_suffix[] = ".stat";
enum { SUFFIX_SIZE = sizeof side_suffix - 1 };

/* ---- the names in a layer -------------------------------------------------------------------------- */

/* Most layers hold a few files: whether a name is there at all is answered without asking the kernel. */
struct fh_tree_names {
  char **places; /* paths below the root, "/dev/kfd.stat"; by their hash, NULL: empty */
  size_t count, capacity;
  bool incomplete; /* something could not be listed: then every name may be there */
};

static size_t hash_of(const char *text, size_t size) {
  uint64_t hash = 14695981039346656037u; /* FNV-1a */
  for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
  return (size_t)hash;
}

/* The place of a path, or the empty one where it would be. There is always an empty one. */
static size_t place_in(char *const *places, size_t capacity, const char *path, size_t size) {
  size_t at = hash_of(path, size) & (capacity - 1);
  while (places[at] && (strncmp(places[at], path, size) != 0 || places[at][size])) at = (at + 1) & (capacity - 1);
  return at;
}

static bool names_grow(struct fh_tree_names *n) {
  size_t capacity = n->capacity ? 2 * n->capacity : 256;
  char **places = capacity <= MAX_NAMES ? calloc(capacity, sizeof *places) : NULL;
  if (!places) return false;
  for (size_t i = 0; i < n->capacity; i++)
    if (n->places[i]) places[place_in(places, capacity, n->places[i], strlen(n->places[i]))] = n->places[i];
  free(n->places);
  n->places = places;
  n->capacity = capacity;
  return true;
}

static void names_put(struct fh_tree_names *n, const char *path) {
  if (n->incomplete) return;
  char *copy = 2 * n->count < n->capacity || names_grow(n) ? strdup(path) : NULL;
  if (!copy) {
    n->incomplete = true;
    return;
  }
  n->places[place_in(n->places, n->capacity, copy, strlen(copy))] = copy;
  n->count++;
}

/* False: there is no such name. */
static bool names_may_have(const struct fh_tree_names *n, const char *path, size_t size) {
  if (!n || n->incomplete) return true;
  return n->capacity && n->places[place_in(n->places, n->capacity, path, size)];
}

void fh_tree_names_free(struct fh_tree_names *n) {
  for (size_t i = 0; n && i < n->capacity; i++) free(n->places[i]);
  if (n) free(n->places);
  free(n);
}

/* ---- one layer ------------------------------------------------------------------------------------ */

static int read_side(int dir, const char *file, fh_side *out, char *problem, size_t problem_size) {
  int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return ENOENT;
  char text[FH_SIDE_MAX_BYTES + 1];
  struct stat st;
  ssize_t size = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < FH_SIDE_MAX_BYTES ? read(fd, text, sizeof text - 1) : -1;
  close(fd);
  if (size < 0) return ENOENT;
  text[size] = 0;
  return fh_side_parse(text, out, problem, problem_size);
}

static int side_of(int dir, const char *name, fh_side *out) {
  char file[NAME_MAX + SUFFIX_SIZE + 1], problem[128];
  if ((size_t)snprintf(file, sizeof file, "%s%s", name, side_suffix) >= sizeof file) return ENOENT;
  return read_side(dir, file, out, problem, sizeof problem);
}

static char type_of(mode_t mode) {
  if (S_ISDIR(mode)) return 'd';
  if (S_ISLNK(mode)) return 'l';
  if (S_ISCHR(mode)) return 'c';
  if (S_ISBLK(mode)) return 'b';
  return 'f';
}

typedef enum presence { MISSING, HIDDEN, PRESENT } presence;

typedef struct walk {
  const struct fh_tree_names *names;
  char path[PATH_MAX + SUFFIX_SIZE]; /* of what is looked at */
  size_t size;
  int dir;     /* the directory reached, or -1 below a directory that only a side file names */
  bool opaque; /* a side file said type=d on the way: nothing of older layers shows here */
} walk;

/* Looks at one name of a directory of a layer. */
static presence look(walk *w, const char *name, fh_tree_node *out) {
  size_t length = strlen(name);
  bool fits = w->size + 1 + length + SUFFIX_SIZE < sizeof w->path;
  if (fits) {
    w->path[w->size++] = '/';
    memcpy(w->path + w->size, name, length);
    w->size += length;
    memcpy(w->path + w->size, side_suffix, sizeof side_suffix);
  }
  bool side = w->dir >= 0 && (!fits || names_may_have(w->names, w->path, w->size + SUFFIX_SIZE));
  bool file = w->dir >= 0 && (!fits || names_may_have(w->names, w->path, w->size));
  out->has_side = side && side_of(w->dir, name, &out->side) == 0;
  if (!out->has_side) out->side = (fh_side){0};
  out->has_file = file && fstatat(w->dir, name, &out->st, AT_SYMLINK_NOFOLLOW) == 0;
  if (out->side.type == 'a') return HIDDEN;
  if (!out->has_side && !out->has_file) return w->opaque ? HIDDEN : MISSING;
  out->type = out->side.type ? out->side.type : out->has_file ? type_of(out->st.st_mode) : 'f';
  if (out->side.type == 'd') w->opaque = true;
  return PRESENT;
}

static void step(walk *w, const char *name, const fh_tree_node *node) {
  int next = node->has_file && S_ISDIR(node->st.st_mode) ? openat(w->dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
  if (w->dir >= 0) close(w->dir);
  w->dir = next;
}

/* Splits the next component off a path without dots; false at the end. */
static bool next_name(const char **path, char *out, size_t size) {
  while (**path == '/') (*path)++;
  size_t length = strcspn(*path, "/");
  if (length == 0 || length >= size) return false;
  memcpy(out, *path, length);
  out[length] = 0;
  *path += length;
  return true;
}

/* Looks up a canonical path in one layer. On PRESENT *out_dir is the directory that holds it (caller closes). */
static presence find_in_layer(const fh_tree *tree, int layer, const char *path, fh_tree_node *out, int *out_dir, bool *out_opaque) {
  int root = tree->roots[layer];
  *out_dir = -1;
  *out_opaque = false;
  if (root < 0) return MISSING;
  walk w;
  w.names = tree->names[layer];
  w.size = 0;
  w.opaque = false;
  w.dir = fcntl(root, F_DUPFD_CLOEXEC, 3);
  if (w.dir < 0) return MISSING;
  char name[NAME_MAX + 1];
  presence found = PRESENT;
  out->type = 'd';
  out->has_side = false;
  out->side = (fh_side){0};
  out->has_file = fstat(root, &out->st) == 0;
  for (const char *rest = path; found == PRESENT && next_name(&rest, name, sizeof name);) {
    found = look(&w, name, out);
    if (found != PRESENT || !rest[strspn(rest, "/")]) break;
    if (out->type != 'd') found = HIDDEN; /* this layer has no directory here, and covers the older one's */
    if (found == PRESENT) step(&w, name, out);
  }
  *out_opaque = w.opaque;
  if (found == PRESENT) {
    *out_dir = w.dir;
  } else if (w.dir >= 0) {
    close(w.dir);
  }
  return found;
}

/* ---- all layers ------------------------------------------------------------------------------------ */

static int find_in_layers(const fh_tree *tree, const char *path, fh_tree_node *out) {
  for (int i = 0; i < tree->count; i++) {
    int dir;
    bool opaque;
    presence found = find_in_layer(tree, i, path, out, &dir, &opaque);
    if (dir >= 0) close(dir);
    if (found == HIDDEN) return ENOENT;
    if (found == MISSING) continue;
    out->layer = i;
    return (size_t)snprintf(out->path, sizeof out->path, "%s", path) < sizeof out->path ? 0 : ENAMETOOLONG;
  }
  return ENOENT;
}

/* Every path goes through the same few folders, so what was found is kept: by the hash of its path, the newest in each place. */
enum { REMEMBERED = 512 };

typedef struct remembered {
  char *path; /* NULL: empty */
  int error;
  fh_tree_node *node; /* when there was none */
} remembered;

struct fh_tree_memory {
  remembered places[REMEMBERED];
};

static void forget(remembered *place) {
  free(place->path);
  free(place->node);
  *place = (remembered){0};
}

static remembered *place_of(struct fh_tree_memory *memory, const char *path) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (const char *c = path; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
  return &memory->places[hash % REMEMBERED];
}

static void remember(remembered *place, const char *path, int error, const fh_tree_node *node) {
  forget(place);
  place->error = error;
  place->path = strdup(path);
  if (place->path && !error && (place->node = malloc(sizeof *node))) *place->node = *node;
  if (!place->path || (!error && !place->node)) forget(place);
}

static int find(const fh_tree *tree, const char *path, fh_tree_node *out) {
  remembered *place = tree->memory ? place_of(tree->memory, path) : NULL;
  if (place && place->path && strcmp(place->path, path) == 0) {
    if (!place->error) *out = *place->node;
    return place->error;
  }
  int error = find_in_layers(tree, path, out);
  if (place) remember(place, path, error, out);
  return error;
}

void fh_tree_remember(fh_tree *tree) { tree->memory = calloc(1, sizeof *tree->memory); }

void fh_tree_forget(fh_tree *tree) {
  for (int i = 0; tree->memory && i < REMEMBERED; i++) forget(&tree->memory->places[i]);
  free(tree->memory);
  tree->memory = NULL;
}

static const char *base_name(const char *path) { return strrchr(path, '/') + 1; }

/* The directory that holds a node, in the node's layer; -1: a side file alone names it. */
static int parent_of(const fh_tree *tree, const fh_tree_node *node) {
  fh_tree_node scratch;
  int dir;
  bool opaque;
  find_in_layer(tree, node->layer, node->path, &scratch, &dir, &opaque);
  return dir;
}

int fh_tree_target(const fh_tree *tree, const fh_tree_node *node, char *out, size_t size) {
  if (node->type != 'l') return EINVAL;
  if (node->side.link[0]) return (size_t)snprintf(out, size, "%s", node->side.link) < size ? 0 : ENAMETOOLONG;
  int dir = parent_of(tree, node);
  ssize_t length = dir >= 0 ? readlinkat(dir, base_name(node->path), out, size) : -1;
  int error = length < 0 ? EIO : (size_t)length >= size ? ENAMETOOLONG : 0;
  if (dir >= 0) close(dir);
  if (!error) out[length] = 0;
  return error;
}

static void go_up(char *path) {
  char *slash = strrchr(path, '/');
  if (slash) *slash = 0;
}

/* Replaces what is left of the path by target/rest. */
static int splice_path(char *rest, size_t size, const char *target, const char *tail) {
  char joined[2 * PATH_MAX];
  int length = snprintf(joined, sizeof joined, "%s/%s", target, tail);
  if (length < 0 || (size_t)length >= size) return ENAMETOOLONG;
  memcpy(rest, joined, (size_t)length + 1);
  return 0;
}

int fh_tree_resolve(const fh_tree *tree, const char *path, bool follow_last, fh_tree_node *out) {
  char rest[PATH_MAX], at[PATH_MAX] = "", name[NAME_MAX + 1], target[PATH_MAX];
  if (path[0] != '/') return EINVAL;
  if ((size_t)snprintf(rest, sizeof rest, "%s", path) >= sizeof rest) return ENAMETOOLONG;
  const char *cursor = rest;
  int error = find(tree, "/", out);
  for (int links = 0; !error;) {
    if (!cursor[strspn(cursor, "/")]) return 0;
    if (!next_name(&cursor, name, sizeof name)) return ENAMETOOLONG;
    if (out->type != 'd') return ENOTDIR;
    if (strcmp(name, ".") == 0) continue;
    if (strcmp(name, "..") == 0) {
      go_up(at);
      error = find(tree, *at ? at : "/", out);
      continue;
    }
    size_t before = strlen(at);
    if (before + strlen(name) + 2 > sizeof at) return ENAMETOOLONG;
    at[before] = '/';
    memcpy(at + before + 1, name, strlen(name) + 1);
    error = find(tree, at, out);
    bool last = !cursor[strspn(cursor, "/")];
    if (error || out->type != 'l' || (last && !follow_last)) continue;
    if (++links > MAX_LINKS) return ELOOP;
    error = fh_tree_target(tree, out, target, sizeof target);
    if (error) break;
    at[target[0] == '/' ? 0 : before] = 0;
    error = splice_path(rest, sizeof rest, target, cursor);
    cursor = rest;
    if (!error) error = find(tree, *at ? at : "/", out);
  }
  return error;
}

int fh_tree_open(const fh_tree *tree, const fh_tree_node *node) {
  if (!node->has_file || !S_ISREG(node->st.st_mode)) {
    errno = node->type == 'd' ? EISDIR : ENODATA;
    return -1;
  }
  int dir = parent_of(tree, node);
  if (dir < 0) {
    errno = ENODATA;
    return -1;
  }
  int fd = openat(dir, base_name(node->path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  int error = errno;
  close(dir);
  errno = error;
  return fd;
}

/* ---- listing ---------------------------------------------------------------------------------------- */

typedef struct names {
  char **items;
  size_t count, capacity;
} names;

static void names_free(names *list) {
  for (size_t i = 0; i < list->count; i++) free(list->items[i]);
  free(list->items);
  *list = (names){0};
}

static bool names_add(names *list, const char *name, size_t size) {
  if (list->count == list->capacity) {
    size_t capacity = list->capacity ? list->capacity * 2 : 32;
    char **items = capacity <= MAX_NAMES ? realloc(list->items, capacity * sizeof *items) : NULL;
    if (!items) return false;
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->count] = strndup(name, size);
  return list->items[list->count] && ++list->count;
}

static bool names_has(const names *list, const char *name) {
  for (size_t i = 0; i < list->count; i++)
    if (strcmp(list->items[i], name) == 0) return true;
  return false;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void sort_unique(names *list) {
  if (list->count == 0) return;
  qsort(list->items, list->count, sizeof *list->items, by_name);
  size_t kept = 1;
  for (size_t i = 1; i < list->count; i++) {
    if (strcmp(list->items[i], list->items[kept - 1]) == 0) {
      free(list->items[i]);
    } else {
      list->items[kept++] = list->items[i];
    }
  }
  list->count = kept;
}

/* Adds the names of one layer's directory. What a newer layer took away (gone) is left out. */
static bool list_layer(int dir_path, names *list, names *gone) {
  int fd = openat(dir_path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  if (!dir) {
    if (fd >= 0) close(fd);
    return true;
  }
  names gone_here = {0};
  bool ok = true;
  for (struct dirent *entry; ok && (entry = readdir(dir));) {
    const char *name = entry->d_name;
    size_t size = strlen(name);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
    fh_side side;
    char problem[128];
    bool is_side = size > SUFFIX_SIZE && strcmp(name + size - SUFFIX_SIZE, side_suffix) == 0 &&
                   read_side(fd, name, &side, problem, sizeof problem) == 0;
    if (is_side) size -= SUFFIX_SIZE;
    char plain[NAME_MAX + 1];
    memcpy(plain, name, size);
    plain[size] = 0;
    if (is_side && side.type == 'a') {
      ok = names_add(&gone_here, plain, size);
    } else if (!names_has(gone, plain)) {
      ok = names_add(list, plain, size);
    }
  }
  closedir(dir);
  for (size_t i = 0; ok && i < gone_here.count; i++) ok = names_add(gone, gone_here.items[i], strlen(gone_here.items[i]));
  names_free(&gone_here);
  return ok;
}

int fh_tree_list(const fh_tree *tree, const fh_tree_node *node, char ***out_names, size_t *out_count) {
  if (node->type != 'd') return ENOTDIR;
  names list = {0}, gone = {0};
  bool ok = true;
  for (int i = node->layer; ok && i < tree->count; i++) {
    fh_tree_node here;
    int parent;
    bool opaque;
    presence found = find_in_layer(tree, i, node->path, &here, &parent, &opaque);
    if (found == PRESENT && here.type == 'd' && parent >= 0 && here.has_file) {
      const char *name = node->path[1] ? base_name(node->path) : ".";
      int dir = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (dir >= 0) {
        ok = list_layer(dir, &list, &gone);
        close(dir);
      }
    }
    if (parent >= 0) close(parent);
    if (found == HIDDEN || opaque || (found == PRESENT && here.type != 'd')) break;
  }
  names_free(&gone);
  if (!ok) {
    names_free(&list);
    return ENOMEM;
  }
  sort_unique(&list);
  *out_names = list.items;
  *out_count = list.count;
  return 0;
}

/* ---- checking ---------------------------------------------------------------------------------------- */

typedef struct check {
  struct fh_tree_names *names;
  char path[PATH_MAX];
  char *problem;
  size_t problem_size;
} check;

static int check_directory(check *c, int fd, size_t length, int depth);

/* One entry of a directory, whose path ends at `length`. */
static int check_entry(check *c, int fd, const char *name, size_t length, int depth) {
  size_t size = strlen(name);
  fh_side side;
  char why[128];
  if (size > SUFFIX_SIZE && strcmp(name + size - SUFFIX_SIZE, side_suffix) == 0 && read_side(fd, name, &side, why, sizeof why) == EINVAL) {
    snprintf(c->problem, c->problem_size, "%s: %s", name, why);
    return EINVAL;
  }
  if (length + 1 + size >= sizeof c->path) {
    c->names->incomplete = true;
    return 0;
  }
  c->path[length] = '/';
  memcpy(c->path + length + 1, name, size + 1);
  names_put(c->names, c->path);
  struct stat st;
  if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) return 0;
  int child = depth < MAX_DEPTH ? openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
  if (child < 0) c->names->incomplete = true;
  return child < 0 ? 0 : check_directory(c, child, length + 1 + size, depth + 1);
}

/* Takes the open directory. */
static int check_directory(check *c, int fd, size_t length, int depth) {
  DIR *dir = fdopendir(fd);
  if (!dir) {
    close(fd);
    c->names->incomplete = true;
    return 0;
  }
  int error = 0;
  for (struct dirent *entry; !error && (entry = readdir(dir));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) error = check_entry(c, fd, entry->d_name, length, depth);
  closedir(dir);
  return error;
}

int fh_tree_check(int root, struct fh_tree_names **out_names, char *problem, size_t problem_size) {
  *out_names = NULL;
  if (root < 0) return 0;
  int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check *c = fd >= 0 ? calloc(1, sizeof *c) : NULL;
  if (c) c->names = calloc(1, sizeof *c->names);
  if (!c || !c->names) { /* then names are asked for, one by one */
    if (fd >= 0) close(fd);
    free(c);
    return fd >= 0 ? ENOMEM : 0;
  }
  c->problem = problem;
  c->problem_size = problem_size;
  int error = check_directory(c, fd, 0, 0);
  if (error)
    fh_tree_names_free(c->names);
  else
    *out_names = c->names;
  free(c);
  return error;
}
