/* What of a recording is nobody else's business. SPDX-License-Identifier: Apache-2.0
 * Detection reads whole files of which it needs a part; only that part leaves the machine. */
#include "detect/snapshot_privacy.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "detect/gather.h"
#include "detect/parse.h"

/* What a file becomes, and how much of it was left out. */
typedef struct filtered {
  fh_text text;
  int left; /* options, lines or names left out */
} filtered;

static bool any_matches(const char *const *patterns, size_t count, const char *word) {
  for (size_t i = 0; i < count; i++)
    if (fnmatch(patterns[i], word, 0) == 0) return true;
  return false;
}
#define MATCHES(patterns, word) any_matches(patterns, sizeof(patterns) / sizeof((patterns)[0]), word)

/* ---- the kernel's command line ---------------------------------------------------------------------------------- */

/* Options that concern processors, devices, memory and confinement. Any other may be the name of a disk or host, or a password. */
static const char *const kernel_options[] = {
    "ro", "rw", "quiet", "debug", "nomodeset", "modeset", "*blacklist", "rd.driver.*",
    /* processors and memory */
    "clearcpuid", "nosm*", "nopti", "nox*", "noavx*", "noefi", "noapic", "nokaslr", "nohz*", "nospec*", "maxcpus", "nr_cpus", "isolcpus",
    "rcu_nocbs", "mitigations", "spectre_v2", "tsx", "mem", "memmap", "hugepages*", "default_hugepagesz", "transparent_hugepage", "numa*",
    "cma", "acpi*", "efi", "idle", "intel_pstate", "amd_pstate", "arm64.*", "preempt",
    /* devices */
    "iommu*", "intel_iommu", "amd_iommu", "arm-smmu*", "vfio*", "pci*", "nvidia*", "nouveau*", "amdgpu*", "radeon*", "i915*", "xe.*",
    "drm*", "video", "kvm*", "xen*", "hv_*",
    /* confinement */
    "cgroup*", "swapaccount", "systemd.unified_cgroup_hierarchy", "systemd.legacy_systemd_cgroup_controller", "lsm", "security", "apparmor",
    "selinux", "enforcing", "lockdown", "user_namespace*", "fips", "agent.*", "systemd.unit"};

static void filter_kernel_options(const char *bytes, size_t size, filtered *out) {
  for (size_t i = 0; i < size;) {
    size_t word = i;
    while (i < size && !isspace((unsigned char)bytes[i])) i++;
    char key[64];
    size_t key_size = 0;
    while (word + key_size < i && bytes[word + key_size] != '=' && key_size + 1 < sizeof key) {
      key[key_size] = bytes[word + key_size];
      key_size++;
    }
    key[key_size] = 0;
    bool keep = key_size && MATCHES(kernel_options, key);
    if (keep) {
      if (out->text.size) fh_text_add(&out->text, " ");
      fh_text_append(&out->text, bytes + word, i - word);
    } else if (i > word) {
      out->left++;
    }
    while (i < size && isspace((unsigned char)bytes[i])) i++;
  }
  fh_text_add(&out->text, "\n");
}

/* ---- mounts -------------------------------------------------------------------------------------------------------- */

/* Options of file systems that name no disk, host, user or folder. */
static const char *const mount_options[] = {
    "ro",       "rw",      "size=*",     "nr_inodes=*", "mode=*",   "uid=*",  "gid=*",       "hidepid=*",           "subset=*",
    "seclabel", "inode64", "ptmxmode=*", "newinstance", "fsuuid=*", "mpol=*", "allow_other", "default_permissions", "huge=*"};

static void add_mount_options(const char *options, size_t size, filtered *out) {
  size_t kept = 0;
  for (size_t i = 0; i <= size;) {
    size_t length = 0;
    char option[128];
    while (i + length < size && options[i + length] != ',') length++;
    size_t copied = length < sizeof option ? length : sizeof option - 1;
    memcpy(option, options + i, copied);
    option[copied] = 0;
    if (length < sizeof option && MATCHES(mount_options, option)) {
      fh_text_add(&out->text, "%s%s", kept++ ? "," : "", option);
    } else if (length) {
      out->left++;
    }
    i += length + 1;
  }
  if (!kept) fh_text_add(&out->text, "rw");
}

static bool names_a_host(const char *source, size_t size) {
  return size >= 2 && (memmem(source, size, ":/", 2) || memcmp(source, "//", 2) == 0 || memchr(source, '@', size));
}

typedef struct span {
  const char *at;
  size_t size;
} span;

static span take_field(span *line) {
  size_t size = 0;
  while (line->size && *line->at == ' ') line->at++, line->size--;
  while (size < line->size && line->at[size] != ' ') size++;
  span field = {line->at, size};
  line->at += size;
  line->size -= size;
  return field;
}

/* "... - fstype source super_options": what stands behind the dash is told in part. */
static void filter_mount(span line, filtered *out) {
  const char *dash = memmem(line.at, line.size, " - ", 3);
  if (!dash) {
    out->left += line.size != 0;
    return;
  }
  fh_text_append(&out->text, line.at, (size_t)(dash + 3 - line.at));
  span rest = {dash + 3, line.size - (size_t)(dash + 3 - line.at)};
  span fstype = take_field(&rest), source = take_field(&rest), options = take_field(&rest);
  bool host = names_a_host(source.at, source.size);
  out->left += host;
  fh_text_append(&out->text, fstype.at, fstype.size);
  fh_text_add(&out->text, " ");
  fh_text_append(&out->text, host ? "remote" : source.at, host ? 6 : source.size);
  fh_text_add(&out->text, " ");
  if (fstype.size >= 6 && memcmp(fstype.at, "cgroup", 6) == 0) { /* the names of the controllers */
    fh_text_append(&out->text, options.at, options.size);
  } else {
    add_mount_options(options.at, options.size, out);
  }
  fh_text_add(&out->text, "\n");
}

static void filter_mounts(const char *bytes, size_t size, filtered *out) {
  for (size_t i = 0; i < size; i++) {
    size_t start = i;
    while (i < size && bytes[i] != '\n') i++;
    filter_mount((span){bytes + start, i - start}, out);
  }
}

/* ---- other files ------------------------------------------------------------------------------------------------------ */

/* "Linux version 6.8.0 (builder@host) (gcc ...)": the builder is somebody's name on a machine of theirs. */
static void filter_version(const char *bytes, size_t size, filtered *out) {
  for (size_t i = 0; i < size;) {
    size_t end = i;
    while (bytes[i] == '(' && end < size && !strchr(" )\n", bytes[end])) end++;
    if (end < size && bytes[end] == ')' && memchr(bytes + i, '@', end - i)) {
      fh_text_add(&out->text, "(left@out)");
      out->left++;
      i = end + 1;
    } else {
      fh_text_append(&out->text, bytes + i++, 1);
    }
  }
}

/* Of the environment of another process only what says which container manager started it. */
static void filter_environ(const char *bytes, size_t size, filtered *out) {
  for (size_t i = 0; i < size;) {
    size_t length = strnlen(bytes + i, size - i);
    bool keep = length >= 10 && memcmp(bytes + i, "container=", 10) == 0;
    if (keep) fh_text_append(&out->text, bytes + i, length);
    if (keep) fh_text_append(&out->text, "", 1);
    out->left += !keep && length;
    i += length + 1;
  }
}

/* Lines that begin with one of the words. */
static void filter_lines(const char *bytes, size_t size, const char *const *words, size_t count, bool keep, filtered *out) {
  for (size_t i = 0; i < size;) {
    size_t end = i, length;
    bool found = false;
    while (end < size && bytes[end] != '\n') end++;
    length = end - i + (end < size);
    for (size_t k = 0; k < count; k++)
      found = found || (length >= strlen(words[k]) && strncasecmp(bytes + i, words[k], strlen(words[k])) == 0);
    if (found == keep) fh_text_append(&out->text, bytes + i, length);
    out->left += found != keep;
    i = end + 1;
  }
}

static void filter_cpuinfo(const char *bytes, size_t size, filtered *out) {
  static const char *const serial[] = {"Serial"};
  filter_lines(bytes, size, serial, 1, false, out);
}

/* The rest are names of images and containers, and ids. */
static void filter_containerenv(const char *bytes, size_t size, filtered *out) {
  static const char *const engine[] = {"engine=", "rootless=", "graphRootMounted="};
  filter_lines(bytes, size, engine, 3, true, out);
}

/* "render:x:105:alice,bob" without its members. */
static void filter_group(const char *bytes, size_t size, filtered *out) {
  for (size_t i = 0; i < size; i++) {
    int colons = 0;
    for (; i < size && bytes[i] != '\n'; i++) {
      if (colons < 3) fh_text_append(&out->text, bytes + i, 1);
      if (colons == 3) out->left++;
      if (bytes[i] == ':' || colons == 3) colons++;
    }
    fh_text_add(&out->text, "\n");
  }
}

/* ---- packages ---------------------------------------------------------------------------------------------------------- */

/* Packages that have to do with devices or the kernel; the others are the machine's business. */
static const char *const packages[] = {"*nvidia*",    "*cuda*", "linux-image-*", "linux-modules-*", "libc6",
                                       "*rocm*",      "*hsa*",  "*amdgpu*",      "intel-*",         "*opencl*",
                                       "level-zero*", "libze*", "mesa-*",        "pocl*",           "*firmware*"};

static bool is_package_of_devices(const char *name, size_t size) {
  char word[128];
  size_t length = 0;
  while (length < size && length + 1 < sizeof word && !strchr(": (", name[length])) length++;
  memcpy(word, name, length);
  word[length] = 0;
  return length && MATCHES(packages, word);
}

static size_t line_size(const char *bytes, size_t size) {
  const char *end = memchr(bytes, '\n', size);
  return end ? (size_t)(end - bytes) + 1 : size;
}

static bool starts(const char *bytes, size_t size, const char *word) {
  return size >= strlen(word) && memcmp(bytes, word, strlen(word)) == 0;
}

/* Of dpkg's list the names, states and versions of such packages. */
static void filter_packages(const char *bytes, size_t size, filtered *out) {
  static const char *const told[] = {"Package: ", "Status: ", "Version: ", "Architecture: "};
  bool keep = false;
  for (size_t i = 0, length; i < size; i += length) {
    length = line_size(bytes + i, size - i);
    if (starts(bytes + i, length, told[0])) {
      keep = is_package_of_devices(bytes + i + 9, length - 9);
      out->left += !keep;
    }
    bool wanted = length == 1;
    for (size_t k = 0; k < sizeof told / sizeof told[0]; k++) wanted = wanted || starts(bytes + i, length, told[k]);
    if (keep && wanted) fh_text_append(&out->text, bytes + i, length);
  }
}

/* "Upgrade: name:arch (from, to), ..." */
static void filter_changes(const char *line, size_t size, filtered *out) {
  const char *end = line + size, *at = memchr(line, ' ', size), *close;
  int kept = 0;
  if (!at) return;
  fh_text_append(&out->text, line, (size_t)(at - line));
  for (; at < end && (close = memchr(at, ')', (size_t)(end - at))); at = close + 1) {
    while (at < close && (*at == ' ' || *at == ',')) at++;
    bool keep = is_package_of_devices(at, (size_t)(close - at));
    out->left += !keep;
    if (!keep) continue;
    fh_text_add(&out->text, kept++ ? ", " : " ");
    fh_text_append(&out->text, at, (size_t)(close + 1 - at));
  }
  fh_text_add(&out->text, "\n");
}

/* Of apt's log when such packages changed, and whether somebody asked for it. */
static void filter_history(const char *bytes, size_t size, filtered *out) {
  static const char unattended[] = "unattended-upgrade";
  for (size_t i = 0, length; i < size; i += length) {
    length = line_size(bytes + i, size - i);
    const char *line = bytes + i;
    if (length == 1 || starts(line, length, "Start-Date: ") || starts(line, length, "End-Date: ")) {
      fh_text_append(&out->text, line, length);
    } else if (starts(line, length, "Install: ") || starts(line, length, "Upgrade: ")) {
      filter_changes(line, length, out);
    } else if (starts(line, length, "Commandline: ")) {
      fh_text_add(&out->text, "Commandline: %s\n", memmem(line, length, unattended, sizeof unattended - 1) ? unattended : "(left out)");
      out->left++;
    } else {
      out->left++;
    }
  }
}

static const struct {
  const char *path; /* a pattern */
  void (*filter)(const char *bytes, size_t size, filtered *out);
  const char *what; /* that was left out */
} file_filters[] = {
    {"/proc/cmdline", filter_kernel_options, "options that are not about processors, devices or confinement"},
    {"/proc/*/mountinfo", filter_mounts, "servers, folders and options behind mounts"},
    {"/proc/version", filter_version, "who built the kernel, and where"},
    {"/proc/*/environ", filter_environ, "variables of other processes"},
    {"/proc/cpuinfo", filter_cpuinfo, "serial numbers"},
    {"/run/.containerenv", filter_containerenv, "names and ids of the container and its image"},
    {"/etc/group", filter_group, "who is in the groups"},
    {"/var/lib/dpkg/status", filter_packages, "packages that have nothing to do with devices"},
    {"/var/log/apt/history.log", filter_history, "packages that have nothing to do with devices, commands and who gave them"},
};

/* Files that are identities, addresses or secrets as a whole, or may be. */
static const char *const never[] = {"/etc/machine-id",
                                    "/var/lib/dbus/machine-id",
                                    "*/hostname",
                                    "*/nodename",
                                    "/etc/hosts",
                                    "/etc/resolv.conf",
                                    "/etc/passwd*",
                                    "/etc/shadow*",
                                    "/etc/gshadow*",
                                    "*/secrets/*",
                                    "*/.ssh/*",
                                    "*/.aws/*",
                                    "*/.docker/*",
                                    "*/.kube/*",
                                    "*serial*",
                                    "*/boot_id",
                                    "*asset_tag",
                                    "*_uuid",
                                    "/proc/[0-9s]*/cmdline",
                                    "*.pem",
                                    "*.key",
                                    "*token*",
                                    "*password*",
                                    "*credential*"};

/* ---- notes ------------------------------------------------------------------------------------------------------------- */

typedef struct protector {
  fh_recording *recording;
  fh_text *left;
  int variables, files, names, secrets;
} protector;

static void leave_out(fh_note *note) {
  note->error = ENODATA;
  note->bytes = NULL;
  note->size = 0;
  note->result = "";
}

static void set_bytes(protector *p, fh_note *note, const char *bytes, size_t size) {
  char *copy = fh_arena_alloc(p->recording->arena, size + 1, 1);
  if (copy && size) memcpy(copy, bytes, size);
  note->bytes = copy;
  note->size = copy ? size : 0;
}

static void filter_file(protector *p, fh_note *note) {
  if (MATCHES(never, note->key)) {
    p->files++;
    fh_text_add(p->left, "%s: the whole file\n", note->key);
    leave_out(note);
    return;
  }
  for (size_t i = 0; i < sizeof file_filters / sizeof file_filters[0]; i++) {
    if (fnmatch(file_filters[i].path, note->key, 0) != 0) continue;
    filtered out = {0};
    file_filters[i].filter(note->bytes, note->size, &out);
    if (out.left && note->order == 0) fh_text_add(p->left, "%s: %s (%d)\n", note->key, file_filters[i].what, out.left);
    if (out.left) set_bytes(p, note, out.text.data ? out.text.data : "", out.text.failed ? 0 : out.text.size);
    if (out.text.failed) leave_out(note);
    fh_text_free(&out.text);
    return;
  }
}

/* Folders of the system, whose names say nothing of people; of its libraries only some say something of devices. */
static const char *const system_folders[] = {"/dev*", "/proc*", "/sys*", "/etc*",  "/run*",  "/usr*",
                                             "/lib*", "/boot*", "/opt*", "/snap*", "/var/*", "/.singularity.d*"};
static const char *const library_folders[] = {
    "/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/lib/*-linux-gnu", "/usr/lib/*-linux-gnu"};
static const char *const device_names[] = {"*.so*",   "*.icd",   "*.json",      "*.y*ml",       "*.conf", "cuda*", "rocm*",
                                           "nvidia*", "oneapi*", "intel*",      "amd*",         "hip*",   "stubs", "python*",
                                           "torch*",  "jax*",    "tensorflow*", "onnxruntime*", "cupy*",  "compat"};

static void filter_names(protector *p, fh_note *note) {
  if (MATCHES(system_folders, note->key) && !MATCHES(library_folders, note->key)) return;
  fh_text kept = {0};
  char name[256];
  const char *cursor = note->result;
  bool wrong = false;
  while (fh_word_take(&cursor, name, sizeof name, &wrong)) {
    if (MATCHES(device_names, name)) {
      fh_word_add(&kept, name, strlen(name));
    } else {
      p->names++;
    }
  }
  if (kept.failed) leave_out(note);
  if (!kept.failed) note->result = fh_arena_text(p->recording->arena, kept.data ? kept.data : "");
  fh_text_free(&kept);
}

static void blank_secrets(protector *p, fh_note *note) {
  char *copy = malloc(note->size + 1);
  if (!copy) {
    leave_out(note);
    return;
  }
  memcpy(copy, note->bytes, note->size);
  int found = fh_secrets_blank(copy, note->size);
  if (found) set_bytes(p, note, copy, note->size);
  p->secrets += found;
  free(copy);
}

static void protect_note(protector *p, fh_note *note) {
  if (note->call == FH_CALL_ENV && note->bytes && !fh_environment_is_allowed(note->key)) {
    p->variables++;
    leave_out(note);
  }
  if (note->call == FH_CALL_READ && note->bytes) filter_file(p, note);
  if (note->call == FH_CALL_LIST && !note->error) filter_names(p, note);
  if (note->bytes && strcmp(note->key, "/etc/ld.so.cache") != 0) blank_secrets(p, note);
}

void fh_recording_protect(fh_recording *recording, fh_text *out_left) {
  protector p = {.recording = recording, .left = out_left};
  for (int i = 0; i < recording->count; i++) protect_note(&p, &recording->notes[i]);
  if (p.variables) fh_text_add(out_left, "environment: variables that are not on detection's list (%d)\n", p.variables);
  if (p.names) fh_text_add(out_left, "folders: names of files that are not about devices (%d)\n", p.names);
  if (p.secrets) fh_text_add(out_left, "everywhere: what looks like a secret, overwritten with x (%d)\n", p.secrets);
}

/* ---- secrets ------------------------------------------------------------------------------------------------------------- */

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-'; }
static bool ends_value(char c) { return isspace((unsigned char)c) || !c || strchr("\"',;&", c); }

static int blank(char *bytes, size_t from, size_t to) {
  bool any = false;
  for (size_t i = from; i < to; i++) any = any || bytes[i] != 'x';
  memset(bytes + from, 'x', to - from);
  return any;
}

/* "password = value", "API_TOKEN=value", "\"secret\": \"value\"" at i. Past the end of what was looked at in *end. */
static int blank_named(char *bytes, size_t size, size_t i, size_t *end) {
  static const char *const names[] = {"password", "passwd",     "passphrase",  "secret",     "token",        "api_key",
                                      "apikey",   "access_key", "private_key", "credential", "authorization"};
  size_t length = 0;
  for (size_t k = 0; k < sizeof names / sizeof names[0] && !length; k++)
    if (size - i > strlen(names[k]) && strncasecmp(bytes + i, names[k], strlen(names[k])) == 0) length = strlen(names[k]);
  if (!length) return 0;
  size_t at = i + length;
  while (at < size && is_word(bytes[at])) at++;
  while (at < size && strchr("\"' ", bytes[at]) && bytes[at]) at++;
  if (at >= size || (bytes[at] != '=' && bytes[at] != ':')) return 0;
  at++;
  while (at < size && bytes[at] && strchr("\"' ", bytes[at])) at++;
  size_t from = at;
  while (at < size && !ends_value(bytes[at])) at++;
  *end = at;
  return at - from >= 3 ? blank(bytes, from, at) : 0;
}

/* "scheme://user:password@host" */
static int blank_user_of_url(char *bytes, size_t size, size_t i, size_t *end) {
  if (size - i < 3 || memcmp(bytes + i, "://", 3) != 0) return 0;
  size_t at = i + 3;
  while (at < size && !ends_value(bytes[at]) && bytes[at] != '/' && bytes[at] != '@') at++;
  if (at == size || bytes[at] != '@') return 0;
  *end = at;
  return blank(bytes, i + 3, at);
}

/* Keys that are known by how they begin. */
static int blank_shaped(char *bytes, size_t size, size_t i, size_t *end) {
  static const char *const starts[] = {"AKIA", "ASIA", "ghp_",  "gho_",  "ghs_", "github_pat_", "glpat-",
                                       "hf_",  "sk-",  "xoxb-", "xoxp-", "eyJ",  "nvapi-"};
  if (i && is_word(bytes[i - 1])) return 0;
  for (size_t k = 0; k < sizeof starts / sizeof starts[0]; k++) {
    size_t length = strlen(starts[k]), at = i + length;
    if (size - i < length || memcmp(bytes + i, starts[k], length) != 0) continue;
    while (at < size && (is_word(bytes[at]) || bytes[at] == '.')) at++;
    if (at - i < length + 16) continue;
    *end = at;
    return blank(bytes, i, at);
  }
  return 0;
}

static int blank_key_block(char *bytes, size_t size, size_t i, size_t *end) {
  static const char begin[] = "-----BEGIN ", finish[] = "-----END ";
  if (size - i < sizeof begin || memcmp(bytes + i, begin, sizeof begin - 1) != 0) return 0;
  const char *last = memmem(bytes + i, size - i, finish, sizeof finish - 1);
  *end = last ? (size_t)(last - bytes) : size;
  return blank(bytes, i + sizeof begin - 1, *end);
}

int fh_secrets_blank(char *bytes, size_t size) {
  static int (*const finders[])(char *bytes, size_t size, size_t i, size_t *end) = {blank_named, blank_user_of_url, blank_shaped,
                                                                                    blank_key_block};
  int found = 0;
  for (size_t i = 0; i < size;) {
    size_t end = i;
    for (size_t k = 0; k < sizeof finders / sizeof finders[0] && end == i; k++) found += finders[k](bytes, size, i, &end);
    i = end > i ? end : i + 1;
  }
  return found;
}
