/* What confines this process beyond its class of platform. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

/* ---- a container in a container --------------------------------------------------------------------------- */

static bool starts_with(const char *text, size_t size, const char *start) {
  return size >= strlen(start) && memcmp(text, start, strlen(start)) == 0;
}

static bool is_name(const char *text, size_t size, const char *name) { return size == strlen(name) && memcmp(text, name, size) == 0; }

/* How many engines, one inside another, made the groups on the way to ours. */
static int engines_on_path(const char *path, size_t size) {
  int engines = 0;
  bool pod = false; /* the engine below a kubelet is part of it */
  for (size_t at = 0; at < size;) {
    size_t length = 0;
    while (at + length < size && path[at + length] != '/') length++;
    const char *name = path + at;
    bool kubelet = starts_with(name, length, "kubepods");
    bool lxc = starts_with(name, length, "lxc.payload") || is_name(name, length, "lxc");
    bool engine = lxc || is_name(name, length, "docker") || starts_with(name, length, "docker-") || starts_with(name, length, "libpod-");
    if (kubelet && !pod) engines++;
    if (engine && !pod) engines++;
    pod = kubelet || (pod && !engine);
    at += length + 1;
  }
  return engines;
}

/* The files that an engine mounts into each container, where its own folder lies in a volume of another one. */
static bool lies_in_a_volume(const fh_mount *mount) {
  return mount && strstr(mount->root, "/volumes/") && strstr(mount->root, "/_data/containers/");
}

static void read_nested(fh_gather *g) {
  const fh_fact_text *groups = &g->facts->cgroup.self;
  fh_fact_bool *nested = &g->facts->sandbox.nested;
  const char *cursor = groups->value, *line;
  size_t size;
  if (groups->valid != FH_VALID || g->facts->mounts_valid != FH_VALID) return;
  *nested = fh_fact_bool_of(false, groups->source);
  while (fh_line_next(&cursor, &line, &size))
    if (engines_on_path(line, size) > 1) *nested = fh_fact_bool_of(true, groups->source);
  if (lies_in_a_volume(fh_mount_at(g->facts, "/etc/resolv.conf")) || lies_in_a_volume(fh_mount_at(g->facts, "/etc/hostname")))
    *nested = fh_fact_bool_of(true, "/proc/self/mountinfo");
}

/* A socket that was mounted in belongs to the engine outside. */
static void read_inner_engine(fh_gather *g) {
  static const char *const sockets[] = {"/run/docker.sock", "/var/run/docker.sock"};
  if (!g->facts->where.container || g->facts->mounts_valid != FH_VALID) return;
  for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++) {
    if (fh_mount_at(g->facts, sockets[i])) return;
    if (fh_path_exists(g, sockets[i])) g->facts->sandbox.inner_engine = fh_fact_bool_of(true, sockets[i]);
  }
}

/* Engines with root map whole ranges; without root the one id of the user who started it is mapped by itself. */
static void read_rootless(fh_gather *g) {
  static const char file[] = "/proc/self/uid_map";
  fh_fact_text map = fh_read_fact(g, file, FH_SMALL_FILE);
  const char *cursor = map.value, *line;
  size_t size;
  if (map.valid != FH_VALID) return;
  g->facts->sandbox.rootless = fh_fact_bool_of(false, file);
  while (fh_line_next(&cursor, &line, &size)) {
    const char *at = fh_arena_text_size(g->arena, line, size);
    int64_t inside, outside, count;
    if (fh_take_i64(&at, &inside) && fh_take_i64(&at, &outside) && fh_take_i64(&at, &count) && count == 1)
      g->facts->sandbox.rootless = fh_fact_bool_of(true, file);
  }
}

/* ---- an image being built -------------------------------------------------------------------------------------- */

static void read_building(fh_gather *g) {
  const fh_facts *f = g->facts;
  fh_fact_bool *building = &g->facts->sandbox.building;
  if (f->cgroup.self.valid != FH_VALID || f->mounts_valid != FH_VALID) return;
  *building = fh_fact_bool_of(false, f->cgroup.self.source);
  if (!f->where.container) return;
  if (strstr(f->cgroup.self.value, "buildkit")) *building = fh_fact_bool_of(true, f->cgroup.self.source);
  for (int i = 0; i < f->mount_count; i++)
    if (strstr(f->mounts[i].root, "buildkit/executor") || strstr(f->mounts[i].root, "/buildah"))
      *building = fh_fact_bool_of(true, "/proc/self/mountinfo");
  if (fh_path_exists(g, "/kaniko/executor")) *building = fh_fact_bool_of(true, "/kaniko/executor");
}

/* ---- the machine underneath --------------------------------------------------------------------------------------- */

static void read_virtual_machine(fh_gather *g) {
  static const char table[] = "/sys/firmware/acpi/tables/FACP"; /* its maker's name; only root may read it */
  const fh_facts *f = g->facts;
  fh_facts_sandbox *sandbox = &g->facts->sandbox;
  const fh_fact_text *cmdline = &f->cpu.kernel_cmdline, *kernel = &f->where.kernel;
  if (fh_file_has(g, table, "FIRECK")) {
    sandbox->firecracker = fh_fact_bool_of(true, table);
  } else if (cmdline->valid == FH_VALID) {
    bool bare_bones = fh_word_in(cmdline->value, " ", "pci=off") && strstr(cmdline->value, "virtio_mmio.device=");
    sandbox->firecracker = fh_fact_bool_of(bare_bones, cmdline->source);
  }
  if (f->where.platform == FH_PLATFORM_VM && sandbox->firecracker.value) g->facts->where.platform_name = "Firecracker virtual machine";
  if (kernel->valid == FH_VALID) sandbox->docker_desktop = fh_fact_bool_of(strstr(kernel->value, "linuxkit") != NULL, kernel->source);
}

/* ---- security modules and grants -------------------------------------------------------------------------------------- */

static void read_label(fh_gather *g) {
  fh_facts_sandbox *sandbox = &g->facts->sandbox;
  static const char file[] = "/proc/self/attr/current";
  int error;
  sandbox->label = fh_read_fact(g, file, FH_SMALL_FILE);
  if (sandbox->label.valid == FH_UNKNOWN_FACT && !fh_read_text(g, file, FH_SMALL_FILE, &error) && error == EINVAL)
    sandbox->label.valid = FH_ABSENT; /* a kernel without such a module */
  fh_fact_int enforce = fh_read_int(g, "/sys/fs/selinux/enforce");
  if (enforce.valid == FH_VALID) sandbox->selinux_enforcing = fh_fact_bool_of(enforce.value != 0, enforce.source);
}

/* Each GPU that a Kubernetes device plugin grants may be a file of this name. */
static void read_device_files(fh_gather *g) {
  static const char dir[] = "/var/run/nvidia-container-devices";
  int count, error;
  const char **names = fh_path_list(g, dir, &count, &error);
  g->facts->sandbox.device_files = (fh_fact_int){0, error == ENOENT || error == ENOTDIR ? FH_ABSENT : FH_UNKNOWN_FACT, dir};
  if (error) return;
  for (int i = 0; i < count; i++)
    if (strcmp(names[i], "all") == 0) return; /* as many as there are */
  g->facts->sandbox.device_files = fh_fact_int_of(count, dir);
}

void fh_gather_sandbox(fh_gather *g) {
  g->facts->sandbox.flatpak = (fh_fact_text){"", FH_UNKNOWN_FACT, ""};
  read_label(g);
  read_rootless(g);
  read_nested(g);
  read_inner_engine(g);
  read_building(g);
  read_virtual_machine(g);
  read_device_files(g);
  if (g->facts->where.platform == FH_PLATFORM_FLATPAK) g->facts->sandbox.flatpak = fh_read_fact(g, "/.flatpak-info", FH_SMALL_FILE);
}
