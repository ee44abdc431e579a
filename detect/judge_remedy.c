/* Remedies that fit the platform. SPDX-License-Identifier: Apache-2.0
 * The lines of a cause are "KEYS: text"; the keys are explained in causes.def. */
#include <string.h>

#include "detect/arena.h"
#include "detect/judge.h"

static const char *const platform_keys[] = {
    [FH_PLATFORM_BARE] = "bare",
    [FH_PLATFORM_VM] = "vm",
    [FH_PLATFORM_DOCKER] = "docker",
    [FH_PLATFORM_PODMAN] = "podman",
    [FH_PLATFORM_KUBERNETES] = "kubernetes",
    [FH_PLATFORM_OCI] = "oci",
    [FH_PLATFORM_LXC] = "lxc",
    [FH_PLATFORM_APPTAINER] = "apptainer",
    [FH_PLATFORM_FLATPAK] = "flatpak",
    [FH_PLATFORM_SNAP] = "snap",
    [FH_PLATFORM_SYSTEMD_SERVICE] = "systemd",
    [FH_PLATFORM_GVISOR] = "gvisor",
    [FH_PLATFORM_KATA] = "kata",
    [FH_PLATFORM_WSL] = "wsl",
    [FH_PLATFORM_JETSON] = "jetson",
};

const char *fh_platform_key(fh_platform platform) {
  size_t count = sizeof(platform_keys) / sizeof(platform_keys[0]);
  return (size_t)platform < count && platform_keys[platform] ? platform_keys[platform] : "bare";
}

static bool key_in(const char *keys, size_t size, const char *key) {
  for (size_t at = 0; at < size;) {
    size_t length = 0;
    while (at + length < size && keys[at + length] != '|') length++;
    if (length == strlen(key) && strncmp(keys + at, key, length) == 0) return true;
    at += length + 1;
  }
  return false;
}

static bool line_has(const char *line, const char *key) { return key_in(line, strcspn(line, ":"), key); }

static void add_line(fh_judgement *judgement, fh_finding *finding, const char *line, const char *prefix) {
  size_t size = strcspn(line, "\n"), keys = strcspn(line, ":");
  if (keys >= size || finding->remedy_count == FH_MAX_REMEDIES) return;
  const char *text = line + keys + 1 + strspn(line + keys + 1, " ");
  finding->remedies[finding->remedy_count++] = fh_arena_format(judgement->arena, "%s%.*s", prefix, (int)(line + size - text), text);
}

static const char *next_line(const char *line) {
  line += strcspn(line, "\n");
  return line + (*line == '\n');
}

/* The lines that name this platform; returns how many. */
static int add_own(fh_judgement *judgement, fh_finding *finding, const char *key) {
  for (const char *line = finding->cause->remedy; *line; line = next_line(line))
    if (line_has(line, key)) add_line(judgement, finding, line, "");
  return finding->remedy_count;
}

/* The lines for everybody, in the order of the catalogue. */
static void add_general(fh_judgement *judgement, fh_finding *finding, bool own) {
  const char *host = judgement->facts->where.container ? "on the host: " : "";
  for (const char *line = finding->cause->remedy; *line; line = next_line(line)) {
    if (line_has(line, "any") || (!own && line_has(line, "else"))) add_line(judgement, finding, line, "");
    if (line_has(line, "host")) add_line(judgement, finding, line, host);
  }
}

void fh_judge_remedies(fh_judgement *judgement) {
  const fh_facts_where *where = &judgement->facts->where;
  for (int i = 0; i < judgement->finding_count; i++) {
    fh_finding *finding = &judgement->findings[i];
    int own = add_own(judgement, finding, fh_platform_key(where->platform));
    if (!own && where->container) own = add_own(judgement, finding, "container");
    add_general(judgement, finding, own > 0);
  }
}
