/* What the NVIDIA kernel driver shows of itself. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Length of "550.54.14" at a position: digits and dots, at least one dot between digits. */
static size_t version_size(const char *text) {
  size_t size = 0;
  bool dot = false;
  while (is_digit(text[size]) || (text[size] == '.' && size && is_digit(text[size + 1]))) {
    dot = dot || text[size] == '.';
    size++;
  }
  return dot && size < 32 ? size : 0;
}

const char *fh_nvrm_parse(fh_facts_arena *arena, const char *text, bool *out_open) {
  const char *line;
  size_t size;
  *out_open = false;
  if (!fh_line_next(&text, &line, &size)) return "";
  line = fh_arena_text_size(arena, line, size);
  *out_open = strstr(line, "Open Kernel Module") != NULL;
  const char *at = strstr(line, "Kernel Module");
  for (at = at ? at + 13 : line; *at; at++) {
    bool starts_word = at == line || at[-1] == ' ' || at[-1] == '\t';
    size_t length = starts_word ? version_size(at) : 0;
    if (length) return fh_arena_text_size(arena, at, length);
  }
  return "";
}

static void read_version(fh_gather *g) {
  fh_facts_nvidia *n = &g->facts->nvidia;
  fh_fact_text version = fh_read_fact(g, "/proc/driver/nvidia/version", FH_SMALL_FILE);
  n->nvrm_version = (fh_fact_text){"", version.valid, version.source};
  if (version.valid == FH_VALID) {
    bool open;
    n->nvrm_version.value = fh_nvrm_parse(g->arena, version.value, &open);
    n->open_module = fh_fact_bool_of(open, version.source);
    if (!n->nvrm_version.value[0]) n->nvrm_version.valid = FH_UNKNOWN_FACT;
  }
  if (n->nvrm_version.valid == FH_VALID) return;
  fh_fact_text module = fh_read_fact(g, "/sys/module/nvidia/version", FH_SMALL_FILE);
  if (module.valid == FH_VALID && version_size(module.value)) n->nvrm_version = module;
}

static void read_module(fh_gather *g) {
  fh_facts *f = g->facts;
  fh_facts_nvidia *n = &f->nvidia;
  const char *sys = "/sys/module/nvidia";
  int by_number = fh_driver_major(f, "nvidia");
  if (by_number < 0) by_number = fh_driver_major(f, "nvidia-frontend");
  if (n->nvrm_version.valid == FH_VALID) {
    n->module_loaded = fh_fact_bool_of(true, n->nvrm_version.source);
  } else if (fh_path_exists(g, sys)) {
    n->module_loaded = fh_fact_bool_of(true, sys);
  } else if (by_number >= 0) {
    n->module_loaded = fh_fact_bool_of(true, "/proc/devices");
  } else if (f->nodes.proc_devices.valid == FH_VALID) {
    n->module_loaded = fh_fact_bool_of(false, "/proc/devices");
  }
  int uvm = fh_driver_major(f, "nvidia-uvm");
  if (uvm == -2) return;
  n->uvm_registered = fh_fact_bool_of(uvm >= 0, "/proc/devices");
  n->uvm_major = uvm >= 0 ? fh_fact_int_of(uvm, "/proc/devices") : (fh_fact_int){0, FH_ABSENT, "/proc/devices"};
}

/* "GPU UUID: GPU-6f9...": a driver that has not set the card up writes question marks in its place. */
static const char *uuid_of(fh_gather *g, const char *text) {
  size_t size;
  const char *value = text ? fh_key_value(text, "GPU UUID", ':', &size) : NULL;
  return value && !memchr(value, '?', size) ? fh_arena_text_size(g->arena, value, size) : "";
}

/* "information" of one card; text NULL: not readable. */
static fh_nvidia_listed listed_of(fh_gather *g, const char *pci, const char *text) {
  fh_nvidia_listed card = {.pci = pci, .uuid = uuid_of(g, text), .model = "", .minor = -1};
  size_t size;
  int64_t minor;
  const char *value = text ? fh_key_value(text, "Device Minor", ':', &size) : NULL;
  if (value && fh_take_i64(&value, &minor) && minor >= 0 && minor < 256) card.minor = (int)minor;
  value = text ? fh_key_value(text, "GPU Excluded", ':', &size) : NULL;
  card.excluded = value && size == 3 && memcmp(value, "Yes", 3) == 0;
  value = text ? fh_key_value(text, "Model", ':', &size) : NULL;
  if (value) card.model = fh_arena_text_size(g->arena, value, size);
  return card;
}

static void read_gpus(fh_gather *g) {
  fh_facts_nvidia *n = &g->facts->nvidia;
  const char *dir = "/proc/driver/nvidia/gpus";
  int count, error;
  const char **names = fh_path_list(g, dir, &count, &error);
  if (error) {
    n->gpus_listed = (fh_fact_int){0, error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT, dir};
    return;
  }
  n->gpus_listed = fh_fact_int_of(count, dir);
  n->listed = fh_arena_alloc(g->arena, (size_t)count, sizeof *n->listed);
  bool unread = false;
  for (int i = 0; n->listed && i < count; i++) {
    const char *file = fh_arena_format(g->arena, "%s/%s/information", dir, names[i]);
    const char *text = fh_read_text(g, file, FH_SMALL_FILE, NULL);
    fh_nvidia_listed *card = &n->listed[n->listed_count++];
    *card = listed_of(g, names[i], text);
    unread = unread || !text;
    if (card->excluded) n->gpu_excluded = fh_fact_bool_of(true, file);
  }
  if (n->gpu_excluded.valid != FH_VALID && !unread) n->gpu_excluded = fh_fact_bool_of(false, dir);
}

/* ---- slices (MIG) -------------------------------------------------------------------------------------------------- */

enum { MOST_CARDS = 16, MOST_INSTANCES = 16 };

/* "DeviceFileMinor: 21" of an access file; -1: not told. */
static int access_minor(fh_gather *g, const char *dir) {
  const char *text = fh_read_text(g, fh_arena_format(g->arena, "%s/access", dir), 256, NULL);
  size_t size;
  int64_t minor;
  const char *value = text ? fh_key_value(text, "DeviceFileMinor", ':', &size) : NULL;
  return value && fh_take_i64(&value, &minor) && minor >= 0 && minor < 1 << 20 ? (int)minor : -1;
}

static void look_at_capability(fh_gather *g, int minor) {
  if (minor >= 0) fh_gather_node(g, fh_arena_format(g->arena, "/dev/nvidia-caps/nvidia-cap%d", minor));
}

static void read_instance(fh_gather *g, const char *dir) {
  fh_facts_nvidia *n = &g->facts->nvidia;
  int count, instance = access_minor(g, dir);
  const char **names = fh_path_list(g, dir, &count, NULL);
  for (int i = 0; i < count && i < MOST_INSTANCES; i++) {
    if (strncmp(names[i], "ci", 2) != 0 || !is_digit(names[i][2])) continue;
    fh_nvidia_slice *slice = fh_arena_push(g->arena, &n->slices, &n->slice_count, sizeof *slice);
    if (!slice) return;
    slice->path = fh_arena_format(g->arena, "%s/%s", dir, names[i]);
    slice->instance_minor = instance;
    slice->slice_minor = access_minor(g, slice->path);
    look_at_capability(g, slice->instance_minor);
    look_at_capability(g, slice->slice_minor);
  }
}

static void read_slices(fh_gather *g) {
  static const char dir[] = "/proc/driver/nvidia/capabilities";
  int count, instances;
  const char **cards = fh_path_list(g, dir, &count, NULL);
  for (int i = 0; i < count && i < MOST_CARDS; i++) {
    if (strncmp(cards[i], "gpu", 3) != 0) continue;
    const char *mig = fh_arena_format(g->arena, "%s/%s/mig", dir, cards[i]);
    const char **names = fh_path_list(g, mig, &instances, NULL);
    for (int k = 0; k < instances && k < MOST_INSTANCES; k++)
      if (strncmp(names[k], "gi", 2) == 0 && is_digit(names[k][2])) read_instance(g, fh_arena_format(g->arena, "%s/%s", mig, names[k]));
  }
}

static void count_nodes(fh_facts *f) {
  for (int i = 0; i < f->nodes.count; i++) {
    const fh_node *node = &f->nodes.nodes[i];
    if (strncmp(node->path, "/dev/nvidia", 11) != 0 || !is_digit(node->path[11]) || node->valid != FH_VALID) continue;
    f->nvidia.nodes_present++;
    f->nvidia.nodes_open += node->open_errno == 0 && node->is_char;
  }
}

void fh_gather_nvidia(fh_gather *g) {
  read_version(g);
  read_module(g);
  read_gpus(g);
  read_slices(g);
  count_nodes(g->facts);
}
