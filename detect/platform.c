/* Where this process runs: who it is, what confines it. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

/* ---- who ----------------------------------------------------------------------------------------------- */

static void read_status(fh_gather *g) {
  fh_facts_where *w = &g->facts->where;
  const char *path = "/proc/self/status", *text = fh_read_text(g, path, FH_SMALL_FILE, NULL), *value;
  size_t size;
  if (!text) return;
  if ((value = fh_key_value(text, "Seccomp", ':', &size)) && size == 1 && *value >= '0' && *value <= '9')
    w->seccomp = fh_fact_int_of(*value - '0', path);
  if ((value = fh_key_value(text, "NoNewPrivs", ':', &size)) && size == 1) w->no_new_privs = fh_fact_bool_of(*value == '1', path);
}

static void read_user_namespace(fh_gather *g) {
  fh_fact_text map = fh_read_fact(g, "/proc/self/uid_map", FH_SMALL_FILE);
  const char *at = map.value;
  int64_t inside, outside, count;
  if (map.valid != FH_VALID || !fh_take_i64(&at, &inside) || !fh_take_i64(&at, &outside) || !fh_take_i64(&at, &count)) return;
  bool whole = inside == 0 && outside == 0 && count == UINT32_MAX;
  g->facts->where.user_namespace = fh_fact_bool_of(!whole, map.source);
}

static void read_loaders(fh_gather *g) {
  static const struct {
    const char *machine, *glibc, *musl;
  } loaders[] = {{"x86_64", "/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"},
                 {"aarch64", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1"}};
  fh_facts_where *w = &g->facts->where;
  for (size_t i = 0; i < sizeof loaders / sizeof loaders[0]; i++) {
    if (strcmp(w->machine.value, loaders[i].machine) != 0) continue;
    char real[256] = "";
    bool here = fh_path_exists(g, loaders[i].glibc);
    bool gcompat = here && g->os->api->realpath(g->os, loaders[i].glibc, real, sizeof real) == 0 && strstr(real, "/libgcompat.so");
    bool glibc = here && !gcompat;
    w->gcompat = fh_fact_bool_of(gcompat, loaders[i].glibc);
    w->glibc = fh_fact_bool_of(glibc, loaders[i].glibc);
    w->musl = fh_fact_bool_of(!glibc && fh_path_exists(g, loaders[i].musl), loaders[i].musl);
  }
}

void fh_gather_identity(fh_gather *g) {
  fh_facts_where *w = &g->facts->where;
  w->id_valid = g->os->api->identity(g->os, &w->id) == 0;
  if (w->id_valid) {
    w->kernel = fh_fact_text_of(fh_arena_text(g->arena, w->id.release), "uname");
    w->machine = fh_fact_text_of(fh_arena_text(g->arena, w->id.machine), "uname");
  }
  read_status(g);
  read_user_namespace(g);
  w->gid_map = fh_read_fact(g, "/proc/self/gid_map", FH_SMALL_FILE);
  w->overflow_gid = fh_read_int(g, "/proc/sys/kernel/overflowgid");
  read_loaders(g);
}

/* ---- where --------------------------------------------------------------------------------------------- */

typedef struct marks {
  fh_gather *g;
  const char *version; /* /proc/version */
  const char *cgroup;  /* /proc/self/cgroup */
} marks;

static const char *env_mark(const marks *m, const char *name) {
  const char *value = fh_facts_env(m->g->facts, name);
  return value && *value ? fh_arena_format(m->g->arena, "environment variable %s", name) : NULL;
}

static const char *env_is(const marks *m, const char *name, const char *value) {
  const char *have = fh_facts_env(m->g->facts, name);
  return have && strcmp(have, value) == 0 ? fh_arena_format(m->g->arena, "environment variable %s=%s", name, value) : NULL;
}

static const char *path_mark(const marks *m, const char *path) {
  fh_os_stat st;
  int error = fh_path_stat(m->g, path, true, &st);
  if (error && error != ENOENT && error != ENOTDIR) m->g->facts->where.platform_unsure = true;
  return error ? NULL : path;
}

static const char *text_has(const char *text, const char *part, const char *source) { return strstr(text, part) ? source : NULL; }

static const char *cgroup_has(const marks *m, const char *part) { return text_has(m->cgroup, part, "/proc/self/cgroup"); }

static const char *file_has(const marks *m, const char *path, const char *part) { return fh_file_has(m->g, path, part) ? path : NULL; }

static const char *mount_type(const marks *m, const char *fstype, const char *source) {
  for (int i = 0; i < m->g->facts->mount_count; i++) {
    const fh_mount *mount = &m->g->facts->mounts[i];
    if ((!fstype || strcmp(mount->fstype, fstype) == 0) && (!source || strcmp(mount->source, source) == 0)) return "/proc/self/mountinfo";
  }
  return NULL;
}

/* The first mark that is there. */
#define FIRST(...) first_mark((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
static const char *first_mark(const char *const *list, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (list[i]) return list[i];
  return NULL;
}

static const char *is_gvisor(const marks *m) {
  const fh_fact_text *cmdline = &m->g->facts->cpu.kernel_cmdline;
  return FIRST(text_has(m->version, "gVisor", "/proc/version"), text_has(m->version, "-gvisor", "/proc/version"),
               text_has(m->version, "Sun Jan 10 15:06:54 PST 2016", "/proc/version"),
               text_has(m->g->facts->where.kernel.value, "-gvisor", "uname"), text_has(cmdline->value, "-gvisor", "/proc/cmdline"));
}

static const char *is_wsl(const marks *m) {
  return FIRST(text_has(m->version, "microsoft", "/proc/version"), text_has(m->version, "Microsoft", "/proc/version"),
               path_mark(m, "/dev/dxg"), env_mark(m, "WSL_DISTRO_NAME"));
}

static const char *is_jetson(const marks *m) {
  return FIRST(path_mark(m, "/etc/nv_tegra_release"), file_has(m, "/proc/device-tree/compatible", "nvidia,tegra"),
               file_has(m, "/sys/devices/soc0/family", "Tegra"));
}

static const char *is_kata(const marks *m) {
  return FIRST(text_has(m->version, "kata", "/proc/version"),
               text_has(m->g->facts->cpu.kernel_cmdline.value, "kata-containers", "/proc/cmdline"), mount_type(m, NULL, "kataShared"));
}

static const char *is_lxc(const marks *m) {
  return FIRST(env_is(m, "container", "lxc"), path_mark(m, "/dev/.lxc"), path_mark(m, "/dev/lxd"), mount_type(m, "fuse.lxcfs", NULL),
               cgroup_has(m, "/lxc.payload"), cgroup_has(m, "/lxc/"), file_has(m, "/proc/1/environ", "container=lxc"));
}

static const char *is_apptainer(const marks *m) {
  return FIRST(env_mark(m, "APPTAINER_CONTAINER"), env_mark(m, "SINGULARITY_CONTAINER"), env_mark(m, "APPTAINER_NAME"),
               env_mark(m, "SINGULARITY_NAME"), path_mark(m, "/.singularity.d"));
}

static const char *is_kubernetes(const marks *m) {
  return FIRST(env_mark(m, "KUBERNETES_SERVICE_HOST"), path_mark(m, "/var/run/secrets/kubernetes.io"), cgroup_has(m, "kubepods"));
}

static const char *is_podman(const marks *m) {
  return FIRST(path_mark(m, "/run/.containerenv"), env_is(m, "container", "podman"), cgroup_has(m, "libpod"));
}

static const char *is_docker(const marks *m) {
  return FIRST(path_mark(m, "/.dockerenv"), cgroup_has(m, "/docker/"), cgroup_has(m, "/docker-"));
}

static const char *is_flatpak(const marks *m) { return FIRST(path_mark(m, "/.flatpak-info"), env_mark(m, "FLATPAK_ID")); }

static const char *is_snap(const marks *m) {
  return m->g->facts->environment.count && fh_facts_env(m->g->facts, "SNAP_NAME") ? env_mark(m, "SNAP") : NULL;
}

static const char *is_nspawn(const marks *m) {
  return FIRST(env_is(m, "container", "systemd-nspawn"), file_has(m, "/run/systemd/container", "systemd-nspawn"),
               file_has(m, "/proc/1/environ", "container=systemd-nspawn"));
}

/* Its root is a folder of a file system in memory that it made for the purpose. */
static const char *is_bubblewrap(const marks *m) {
  const fh_mount *root = fh_mount_at(m->g->facts, "/");
  return root && strcmp(root->fstype, "tmpfs") == 0 && strcmp(root->root, "/newroot") == 0 ? "/proc/self/mountinfo" : NULL;
}

static const char *is_oci(const marks *m) {
  return FIRST(env_is(m, "container", "oci"), cgroup_has(m, "cri-containerd"), cgroup_has(m, "/crio-"), cgroup_has(m, "buildkit/"),
               env_mark(m, "container"), file_has(m, "/proc/1/environ", "container="));
}

/* A container without any mark of its engine. */
static const char *is_in_namespace(const marks *m) {
  static const char *const links[] = {"/proc/self/ns/pid", "/proc/self/ns/cgroup"};
  for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
    if (fh_in_namespace(m->g, links[i]).value) return links[i];
  return NULL;
}

/* The deepest unit of this process is a service, of the system or of a user's own manager; the manager itself is none. */
static bool in_service(const char *cgroup) {
  size_t size = strcspn(cgroup, "\n");
  static const char suffix[] = ".service";
  for (const char *at = cgroup; (at = memmem(at, (size_t)(cgroup + size - at), suffix, sizeof suffix - 1)); at++) {
    const char *name = at, *rest = at + sizeof suffix - 1;
    while (name > cgroup && name[-1] != '/') name--;
    bool manager = strncmp(name, "user@", 5) == 0;
    bool scope = memmem(rest, (size_t)(cgroup + size - rest), ".scope", 6) != NULL;
    if (!manager && !scope && (rest == cgroup + size || *rest == '/')) return true;
  }
  return false;
}

static const char *is_service(const marks *m) {
  for (const char *line = m->cgroup; *line; line += strcspn(line, "\n"), line += *line == '\n')
    if (in_service(line)) return env_mark(m, "INVOCATION_ID");
  return NULL;
}

static const char *is_vm(const marks *m) {
  const fh_fact_bool *h = &m->g->facts->where.hypervisor;
  return h->valid == FH_VALID && h->value ? h->source : NULL;
}

/* In order of evaluation: the first that applies decides what is normal here. */
static const struct {
  fh_platform platform;
  const char *name;
  bool container;
  const char *(*mark)(const marks *m);
} classes[] = {
    {FH_PLATFORM_GVISOR, "gVisor sandbox", true, is_gvisor},
    {FH_PLATFORM_WSL, "Windows Subsystem for Linux", false, is_wsl},
    {FH_PLATFORM_JETSON, "NVIDIA Jetson", false, is_jetson},
    {FH_PLATFORM_KATA, "Kata container", true, is_kata},
    {FH_PLATFORM_LXC, "LXC container", true, is_lxc},
    {FH_PLATFORM_APPTAINER, "Apptainer container", true, is_apptainer},
    {FH_PLATFORM_KUBERNETES, "Kubernetes pod", true, is_kubernetes},
    {FH_PLATFORM_PODMAN, "Podman container", true, is_podman},
    {FH_PLATFORM_DOCKER, "Docker container", true, is_docker},
    {FH_PLATFORM_FLATPAK, "Flatpak sandbox", true, is_flatpak},
    {FH_PLATFORM_SNAP, "snap sandbox", true, is_snap},
    {FH_PLATFORM_NSPAWN, "systemd-nspawn container", true, is_nspawn},
    {FH_PLATFORM_OCI, "container", true, is_oci},
    {FH_PLATFORM_SYSTEMD_SERVICE, "systemd service", false, is_service},
    {FH_PLATFORM_BUBBLEWRAP, "bubblewrap sandbox", true, is_bubblewrap},
    {FH_PLATFORM_OCI, "container", true, is_in_namespace},
    {FH_PLATFORM_VM, "virtual machine", false, is_vm},
};

/* A container on WSL or on a Jetson is still a container. */
static bool any_container_mark(const marks *m) {
  return is_kubernetes(m) || is_podman(m) || is_docker(m) || is_apptainer(m) || is_lxc(m) || is_oci(m);
}

void fh_gather_platform(fh_gather *g) {
  fh_facts_where *w = &g->facts->where;
  fh_fact_text version = fh_read_fact(g, "/proc/version", FH_SMALL_FILE);
  marks m = {.g = g, .version = version.value, .cgroup = g->facts->cgroup.self.value};
  w->platform_unsure =
      version.valid == FH_UNKNOWN_FACT || g->facts->cgroup.self.valid == FH_UNKNOWN_FACT || g->facts->mounts_valid == FH_UNKNOWN_FACT;
  w->platform = FH_PLATFORM_BARE;
  w->platform_name = "bare machine";
  w->platform_source = "no mark of a container, sandbox or hypervisor";
  for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
    const char *mark = classes[i].mark(&m);
    if (!mark) continue;
    w->platform = classes[i].platform;
    w->platform_name = classes[i].name;
    w->platform_source = mark;
    w->container =
        classes[i].container || ((w->platform == FH_PLATFORM_WSL || w->platform == FH_PLATFORM_JETSON) && any_container_mark(&m));
    return;
  }
}
