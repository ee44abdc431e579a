/* Remedies that fit the platform. SPDX-License-Identifier: Apache-2.0
 * The lines of a cause are "KEYS: text"; the keys are explained in detect/causes/all.def. */
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
    [FH_PLATFORM_NSPAWN] = "nspawn",
    [FH_PLATFORM_BUBBLEWRAP] = "bubblewrap",
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

static const char *next_line(const char *line) {
  line += strcspn(line, "\n");
  return line + (*line == '\n');
}

static int add_line(const char *line, bool on_host, fh_remedy *out, int count) {
  size_t size = strcspn(line, "\n"), keys = strcspn(line, ":");
  if (keys >= size || count == FH_MAX_REMEDIES) return count;
  const char *text = line + keys + 1 + strspn(line + keys + 1, " ");
  out[count] = (fh_remedy){.text = text, .size = (int)(line + size - text), .on_host = on_host};
  return count + 1;
}

/* The lines that name the key; returns how many. */
static int add_own(const fh_cause *cause, const char *key, fh_remedy *out) {
  int count = 0;
  for (const char *line = cause->remedy; *line; line = next_line(line))
    if (line_has(line, key)) count = add_line(line, false, out, count);
  return count;
}

/* Own lines first, then those for everybody, in the order of the catalogue. */
int fh_cause_remedies(const fh_cause *cause, fh_platform platform, bool container, fh_remedy out[FH_MAX_REMEDIES]) {
  int own = add_own(cause, fh_platform_key(platform), out);
  if (!own && container) own = add_own(cause, "container", out);
  int count = own;
  for (const char *line = cause->remedy; *line; line = next_line(line)) {
    if (line_has(line, "any") || (!own && line_has(line, "else"))) count = add_line(line, false, out, count);
    if (line_has(line, "host")) count = add_line(line, container, out, count);
  }
  return count;
}

void fh_judge_remedies(fh_judgement *judgement) {
  const fh_facts_where *where = &judgement->facts->where;
  for (int i = 0; i < judgement->finding_count; i++) {
    fh_finding *finding = &judgement->findings[i];
    fh_remedy remedies[FH_MAX_REMEDIES];
    finding->remedy_count = fh_cause_remedies(finding->cause, where->platform, where->container, remedies);
    for (int r = 0; r < finding->remedy_count; r++)
      finding->remedies[r] =
          fh_arena_format(judgement->arena, "%s%.*s", remedies[r].on_host ? "on the host: " : "", remedies[r].size, remedies[r].text);
  }
}
