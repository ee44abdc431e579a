/* Container engines of this machine, and what they need to pass a GPU in. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/gather.h"

enum { MAX_CDI_FILES = 32, MAX_CDI_BYTES = 1024 * 1024 };

/* The first that is here; else unknown as soon as one is. */
static fh_fact_bool first_of(fh_gather *g, const char *const *paths, size_t count) {
  fh_fact_bool first = {0};
  for (size_t i = 0; i < count; i++) {
    fh_fact_bool fact = fh_path_fact(g, paths[i]);
    if (fact.value) return fact;
    if (i == 0 || fact.valid == FH_UNKNOWN_FACT) first = fact;
  }
  return first;
}
#define FIRST_OF(g, paths) first_of(g, paths, sizeof paths / sizeof paths[0])

static void read_engines(fh_gather *g) {
  static const char *const docker[] = {"/run/docker.sock", "/var/run/docker.sock", "/usr/bin/dockerd"};
  static const char *const snap[] = {"/snap/docker/current", "/var/snap/docker/current"};
  static const char *const podman[] = {"/usr/bin/podman", "/usr/local/bin/podman"};
  static const char *const toolkit[] = {
      "/usr/bin/nvidia-ctk",           "/usr/bin/nvidia-container-runtime-hook", "/usr/bin/nvidia-container-toolkit",
      "/usr/bin/nvidia-container-cli", "/usr/local/nvidia/toolkit/nvidia-ctk",  /* by the GPU operator */
      "/usr/local/bin/nvidia-ctk",     "/run/current-system/sw/bin/nvidia-ctk", /* NixOS */
  };
  fh_facts_engines *engines = &g->facts->engines;
  engines->docker = FIRST_OF(g, docker);
  engines->docker_snap = FIRST_OF(g, snap);
  engines->podman = FIRST_OF(g, podman);
  engines->toolkit = FIRST_OF(g, toolkit);
}

/* The version at the end of "libcuda.so.550.54.14" in a CDI file; "" none. */
static const char *library_version(fh_gather *g, const char *text) {
  static const char name[] = "libcuda.so.";
  for (const char *at = text; (at = strstr(at, name));) {
    at += sizeof name - 1;
    size_t size = strspn(at, "0123456789.");
    while (size && at[size - 1] == '.') size--;
    if (memchr(at, '.', size)) return fh_arena_text_size(g->arena, at, size);
  }
  return "";
}

/* Of several files the one that names another driver than the running one is told. */
static void read_cdi_file(fh_gather *g, const char *path) {
  fh_facts *f = g->facts;
  fh_facts_engines *engines = &f->engines;
  const char *text = fh_read_text(g, path, MAX_CDI_BYTES, NULL);
  if (!text) engines->cdi.valid = engines->cdi.value ? FH_VALID : FH_UNKNOWN_FACT;
  if (!text || !strstr(text, "nvidia.com/gpu")) return;
  const char *version = library_version(g, text);
  bool differs = *version && f->nvidia.nvrm_version.valid == FH_VALID && strcmp(version, f->nvidia.nvrm_version.value) != 0;
  if (engines->cdi.value && !differs) return;
  engines->cdi = fh_fact_bool_of(true, path);
  engines->cdi_version = (fh_fact_text){version, *version ? FH_VALID : FH_UNKNOWN_FACT, path};
}

static void read_cdi(fh_gather *g) {
  static const char *const dirs[] = {"/etc/cdi", "/var/run/cdi"};
  fh_fact_bool *cdi = &g->facts->engines.cdi;
  *cdi = fh_fact_bool_of(false, "/etc/cdi, /var/run/cdi");
  for (size_t d = 0; d < sizeof dirs / sizeof dirs[0]; d++) {
    int count, error;
    const char **names = fh_path_list(g, dirs[d], &count, &error);
    if (error && error != ENOENT && error != ENOTDIR && !cdi->value) cdi->valid = FH_UNKNOWN_FACT;
    for (int i = 0; i < count && i < MAX_CDI_FILES; i++)
      if (strstr(names[i], ".yaml") || strstr(names[i], ".json")) read_cdi_file(g, fh_arena_format(g->arena, "%s/%s", dirs[d], names[i]));
  }
}

/* Inside a container these files would be the image's, and say nothing about the machine. */
void fh_gather_engines(fh_gather *g) {
  const fh_facts_where *where = &g->facts->where;
  g->facts->engines.cdi_version = (fh_fact_text){"", FH_UNKNOWN_FACT, ""};
  if (where->container && where->platform != FH_PLATFORM_LXC) return;
  read_engines(g);
  if (g->facts->nvidia.nvrm_version.valid == FH_VALID) read_cdi(g);
}
