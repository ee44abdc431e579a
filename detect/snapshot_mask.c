/* Masking: the same thing gets the same mask everywhere, of the same length. SPDX-License-Identifier: Apache-2.0
 * What is recognized is recognized by its form, without knowing the file that it stands in, so that nothing is forgotten. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "detect/snapshot_privacy.h"

enum { UUID_SIZE = 36, UUID_PART_MIN = 1, MAX_SPAN = 80, NAME_MIN = 3 };

typedef enum mask_kind { UUID, UUID_PART, HEX_ID, IPV4, IPV6, USER, HOST, KIND_COUNT } mask_kind;

typedef struct entry {
  mask_kind kind;
  int number; /* among its kind, from 1 */
  size_t size;
  char text[MAX_SPAN]; /* lower case for UUIDs and ids, '-' for '_' */
  char mask[MAX_SPAN]; /* of UUIDs and their beginnings, when settled */
} entry;

struct fh_mask {
  entry *entries;
  size_t count, capacity;
  int counts[KIND_COUNT];
  bool settled;
};

/* ---- forms ------------------------------------------------------------------------------------------------------ */

static bool is_hex(char c) { return isxdigit((unsigned char)c) != 0; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.'; }

/* At a digit of an escape, \012: what looks like a number there is none. */
static bool in_escape(const char *bytes, size_t i) {
  if (i >= 1 && bytes[i - 1] == '\\') return true;
  if (!is_digit(bytes[i])) return false;
  return (i >= 2 && bytes[i - 2] == '\\' && is_digit(bytes[i - 1])) ||
         (i >= 3 && bytes[i - 3] == '\\' && is_digit(bytes[i - 2]) && is_digit(bytes[i - 1]));
}

/* Nothing before i continues what stands at i. An escape, \n or \012, does not. */
static bool begins(const char *bytes, size_t i, bool (*continues)(char c)) {
  if (i == 0 || !continues(bytes[i - 1])) return true;
  return (i >= 2 && bytes[i - 2] == '\\' && !is_digit(bytes[i - 1])) ||
         (i >= 4 && bytes[i - 4] == '\\' && is_digit(bytes[i - 3]) && is_digit(bytes[i - 2]) && is_digit(bytes[i - 1]));
}

static bool is_alnum(char c) { return isalnum((unsigned char)c) != 0; }

static size_t run(const char *bytes, size_t size, size_t i, bool (*is)(char c)) {
  size_t length = 0;
  while (i + length < size && is(bytes[i + length])) length++;
  return length;
}

/* The namespace of the firmware's own variables: the same on every machine. */
static const char efi_global[] = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/* 8-4-4-4-12 hexadecimal digits, parted by '-', or by '_' where the name of a unit could not hold a '-'. */
static size_t uuid_at(const char *bytes, size_t size, size_t i) {
  if (size - i < UUID_SIZE) return 0; /* anything may stand before it: "pod" ends in a hexadecimal digit */
  for (size_t k = 0; k < UUID_SIZE; k++) {
    bool dash = k == 8 || k == 13 || k == 18 || k == 23;
    char c = bytes[i + k];
    if (dash ? c != '-' && c != '_' : !is_hex(c)) return 0;
  }
  if (strncasecmp(bytes + i, efi_global, UUID_SIZE) == 0) return 0;
  return i + UUID_SIZE < size && is_hex(bytes[i + UUID_SIZE]) ? 0 : UUID_SIZE;
}

static bool is_uuid_part(char c) { return is_hex(c) || c == '-'; }

/* The beginning of a UUID behind "GPU-" or "MIG-": drivers take it for the whole. */
static size_t uuid_part_at(const char *bytes, size_t size, size_t i) {
  if (i < 4 || (memcmp(bytes + i - 4, "GPU-", 4) != 0 && memcmp(bytes + i - 4, "MIG-", 4) != 0)) return 0;
  size_t length = run(bytes, size, i, is_uuid_part);
  if (length < UUID_PART_MIN || length >= UUID_SIZE || (i + length < size && is_alnum(bytes[i + length]))) return 0;
  return length;
}

/* Ids of containers, images and machines. 16 digits are a mask of capabilities or an address, which say something. */
static size_t hex_id_at(const char *bytes, size_t size, size_t i) {
  if (!begins(bytes, i, is_alnum)) return 0;
  size_t length = run(bytes, size, i, is_hex);
  if ((length != 32 && length != 40 && length != 64) || (i + length < size && is_alnum(bytes[i + length]))) return 0;
  for (size_t k = 0; k < length; k++)
    if (bytes[i + k] != '0') return length;
  return 0; /* all zero: nobody's */
}

/* Not the version of a library (libcudart.so.11.0.2.1), nor this machine itself. */
static size_t ipv4_at(const char *bytes, size_t size, size_t i) {
  size_t length = 0;
  int first = 0;
  if (!begins(bytes, i, is_name)) return 0;
  for (int part = 0; part < 4; part++) {
    size_t digits = run(bytes, size, i + length, is_digit);
    int value = 0;
    if (digits == 0 || digits > 3) return 0;
    for (size_t k = 0; k < digits; k++) value = value * 10 + bytes[i + length + k] - '0';
    if (value > 255) return 0;
    if (part == 0) first = value;
    length += digits;
    if (part < 3 && (i + length >= size || bytes[i + length++] != '.')) return 0;
  }
  if (i + length < size && is_name(bytes[i + length]) && bytes[i + length] != '.') return 0;
  if (i + length + 1 < size && bytes[i + length] == '.' && is_digit(bytes[i + length + 1])) return 0;
  return first == 127 || first == 0 ? 0 : length;
}

static bool is_ipv6(char c) { return is_hex(c) || c == ':'; }

/* Eight groups, or fewer with "::": a PCI address (0000:01:00.0) has neither. */
static size_t ipv6_at(const char *bytes, size_t size, size_t i) {
  if (!begins(bytes, i, is_ipv6) || !begins(bytes, i, is_alnum)) return 0;
  size_t length = run(bytes, size, i, is_ipv6), group = 0;
  int colons = 0, doubles = 0, digits = 0;
  if (length < 6 || length > 39 || (i + length < size && is_name(bytes[i + length]))) return 0;
  for (size_t k = 0; k < length; k++) {
    bool colon = bytes[i + k] == ':';
    colons += colon;
    doubles += colon && k && bytes[i + k - 1] == ':';
    digits += !colon && is_digit(bytes[i + k]);
    group = colon ? 0 : group + 1;
    if (group > 4) return 0;
  }
  return digits && ((colons == 7 && doubles == 0) || (colons >= 2 && colons <= 7 && doubles == 1)) ? length : 0;
}

/* Folders that hold homes, and names below them that are nobody's. */
static size_t home_at(const char *bytes, size_t size, size_t i) {
  static const char *const homes[] = {"/home/", "/Users/"};
  bool home = false;
  for (size_t k = 0; k < 2; k++) home = home || (i >= 6 && memcmp(bytes + i - 6, homes[k], 6) == 0);
  size_t length = home ? run(bytes, size, i, is_name) : 0;
  if (length == 10 && memcmp(bytes + i, "kubernetes", 10) == 0) return 0; /* a folder of Google's node image */
  return length < MAX_SPAN ? length : 0;
}

/* ---- entries ------------------------------------------------------------------------------------------------------- */

static bool folds(mask_kind kind) { return kind == UUID || kind == UUID_PART || kind == HEX_ID || kind == IPV6; }

static void normalize(mask_kind kind, const char *bytes, size_t size, char out[MAX_SPAN]) {
  for (size_t i = 0; i < size; i++) {
    out[i] = folds(kind) ? (char)tolower((unsigned char)bytes[i]) : bytes[i];
    if (kind == UUID && out[i] == '_') out[i] = '-';
  }
  out[size] = 0;
}

static const entry *find_entry(const fh_mask *mask, mask_kind kind, const char *bytes, size_t size) {
  char text[MAX_SPAN];
  if (size >= MAX_SPAN) return NULL;
  normalize(kind, bytes, size, text);
  for (size_t i = 0; i < mask->count; i++) {
    const entry *e = &mask->entries[i];
    if (e->kind == kind && e->size == size && strcmp(e->text, text) == 0) return e;
  }
  return NULL;
}

static bool add_entry(fh_mask *mask, mask_kind kind, const char *bytes, size_t size) {
  if (size >= MAX_SPAN || find_entry(mask, kind, bytes, size)) return true;
  if (mask->count == mask->capacity) {
    size_t capacity = mask->capacity ? 2 * mask->capacity : 16;
    entry *entries = realloc(mask->entries, capacity * sizeof *entries);
    if (!entries) return false;
    mask->entries = entries;
    mask->capacity = capacity;
  }
  entry *e = &mask->entries[mask->count++];
  *e = (entry){.kind = kind, .number = ++mask->counts[kind], .size = size};
  mask->settled = false;
  normalize(kind, bytes, size, e->text);
  return true;
}

/* Words that are names of things as well as of people and machines: masking them would change what is meant. */
static bool is_common(const char *name) {
  static const char *const common[] = {
      "root",    "nobody", "user",    "users",  "home",      "lib",        "lib64",  "usr",    "bin",     "sbin",   "etc",
      "dev",     "proc",   "sys",     "opt",    "var",       "run",        "tmp",    "mnt",    "srv",     "data",   "local",
      "share",   "nvidia", "cuda",    "docker", "podman",    "kubernetes", "lxc",    "gpu",    "gpus",    "intel",  "amd",
      "linux",   "debian", "ubuntu",  "fedora", "localhost", "host",       "node",   "server", "system",  "kernel", "build",
      "src",     "work",   "unknown", "slurm",  "container", "cpu",        "memory", "device", "devices", "name",   "platform",
      "machine", "model",  "driver",  "vendor", "true",      "false",      "null",   "rocm",   "opencl"};
  for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
    if (strcmp(common[i], name) == 0) return true;
  return false;
}

/* A name that is known stands as a word of its own: a user's as a folder, a machine's anywhere. */
static const entry *name_at(const fh_mask *mask, const char *bytes, size_t size, size_t i) {
  if (!mask->counts[USER] && !mask->counts[HOST]) return NULL;
  if (!isalnum((unsigned char)bytes[i]) || in_escape(bytes, i) || !begins(bytes, i, is_name)) return NULL;
  size_t length = run(bytes, size, i, is_name);
  if (length < NAME_MIN || length >= MAX_SPAN) return NULL;
  for (size_t k = 0; k < mask->count; k++) {
    const entry *e = &mask->entries[k];
    if ((e->kind != USER && e->kind != HOST) || e->size != length || memcmp(e->text, bytes + i, length) != 0 || is_common(e->text))
      continue;
    if (e->kind == HOST || (i && bytes[i - 1] == '/')) return e;
  }
  return NULL;
}

/* ---- finding ------------------------------------------------------------------------------------------------------------ */

/* What stands at i by its form; 0: nothing. */
static size_t form_at(const char *bytes, size_t size, size_t i, mask_kind *out) {
  static const struct {
    size_t (*at)(const char *bytes, size_t size, size_t i);
    mask_kind kind;
  } forms[] = {{uuid_at, UUID}, {home_at, USER}, {uuid_part_at, UUID_PART}, {hex_id_at, HEX_ID}, {ipv4_at, IPV4}, {ipv6_at, IPV6}};
  for (size_t k = 0; k < sizeof forms / sizeof forms[0] && !in_escape(bytes, i); k++) {
    size_t length = forms[k].at(bytes, size, i);
    *out = forms[k].kind;
    if (length) return length;
  }
  return 0;
}

bool fh_mask_learn(fh_mask *mask, const char *bytes, size_t size) {
  for (size_t i = 0; i < size;) {
    mask_kind kind;
    size_t length = form_at(bytes, size, i, &kind);
    if (length && !add_entry(mask, kind, bytes + i, length)) return false;
    i += length ? length : 1;
  }
  return true;
}

/* ---- masks ---------------------------------------------------------------------------------------------------------------- */

/* The digits of the number, the lowest first, then zeros. */
static void write_digits(int number, char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) {
    bytes[i] = "0123456789abcdef"[number % 16];
    number /= 16;
  }
}

static bool is_uuid(const entry *e) { return e->kind == UUID || e->kind == UUID_PART; }

/* Which of the digits that follow this beginning, in the order in which they were learned, the entry has there. */
static int rank_of_digit(const fh_mask *mask, const entry *e, size_t at) {
  char seen[16];
  int count = 0;
  for (size_t i = 0; i < mask->count; i++) {
    const entry *other = &mask->entries[i];
    if (!is_uuid(other) || other->size <= at || memcmp(other->text, e->text, at) != 0) continue;
    if (memchr(seen, other->text[at], (size_t)count)) continue;
    if (other->text[at] == e->text[at]) return count;
    if (count < 16) seen[count++] = other->text[at];
  }
  return 0;
}

/* What two UUIDs have in common at their beginning their masks have in common, and no more: drivers take a beginning for the whole when
 * it is the beginning of one only. */
static void settle(fh_mask *mask) {
  for (size_t i = 0; i < mask->count; i++) {
    entry *e = &mask->entries[i];
    if (!is_uuid(e)) continue;
    for (size_t k = 0; k < e->size; k++) e->mask[k] = is_hex(e->text[k]) ? "123456789abcdef0"[rank_of_digit(mask, e, k)] : e->text[k];
  }
  mask->settled = true;
}

/* "user1xxx", cut to the length of what it stands for; the number is never cut while there is room for it. */
static void write_name(const char *prefix, int number, char *bytes, size_t size) {
  char digits[16];
  size_t digit_count = (size_t)snprintf(digits, sizeof digits, "%d", number), prefix_size = strlen(prefix);
  if (digit_count > size) digit_count = size;
  if (prefix_size > size - digit_count) prefix_size = size - digit_count;
  for (size_t i = 0; i < size; i++) bytes[i] = i < prefix_size ? prefix[i] : i < prefix_size + digit_count ? digits[i - prefix_size] : 'x';
}

static void write_mask(const entry *e, char *bytes) {
  static const char *const prefixes[KIND_COUNT] = {[IPV4] = "ip", [IPV6] = "ip6-", [USER] = "user", [HOST] = "host"};
  if (prefixes[e->kind]) {
    write_name(prefixes[e->kind], e->number, bytes, e->size);
  } else if (is_uuid(e)) {
    for (size_t i = 0; i < e->size; i++)
      if (is_hex(bytes[i])) bytes[i] = e->mask[i]; /* the dashes stay as they are */
  } else {
    write_digits(e->number, bytes, e->size);
  }
}

void fh_mask_apply(fh_mask *mask, char *bytes, size_t size) {
  if (!mask->settled) settle(mask);
  for (size_t i = 0; i < size;) {
    mask_kind kind;
    size_t length = form_at(bytes, size, i, &kind);
    const entry *e = length ? find_entry(mask, kind, bytes + i, length) : name_at(mask, bytes, size, i);
    if (e) write_mask(e, bytes + i);
    i += e ? e->size : length ? length : 1;
  }
}

/* ---- recordings --------------------------------------------------------------------------------------------------------------- */

static bool learn_text(fh_mask *mask, const char *text) { return fh_mask_learn(mask, text, strlen(text)); }

static const char *masked(fh_mask *mask, fh_recording *r, const char *bytes, size_t size) {
  char *copy = fh_arena_alloc(r->arena, size + 1, 1);
  if (!copy) return "";
  if (size) memcpy(copy, bytes, size);
  fh_mask_apply(mask, copy, size);
  return copy;
}

bool fh_mask_recording(fh_mask *mask, fh_recording *recording) {
  for (int i = 0; i < recording->count; i++) {
    const fh_note *note = &recording->notes[i];
    if (!learn_text(mask, note->key) || !learn_text(mask, note->result) || (note->bytes && !fh_mask_learn(mask, note->bytes, note->size)))
      return false;
  }
  for (int i = 0; i < recording->count; i++) {
    fh_note *note = &recording->notes[i];
    note->key = masked(mask, recording, note->key, strlen(note->key));
    note->result = masked(mask, recording, note->result, strlen(note->result));
    if (note->bytes) note->bytes = masked(mask, recording, note->bytes, note->size);
  }
  fh_recording_sort(recording); /* by the new keys */
  return !fh_arena_failed(recording->arena);
}

fh_mask *fh_mask_create(const char *host, const char *user) {
  fh_mask *mask = calloc(1, sizeof *mask);
  bool ok = mask && (!host || strlen(host) < NAME_MIN || is_common(host) || add_entry(mask, HOST, host, strlen(host)));
  ok = ok && (!user || strlen(user) < NAME_MIN || is_common(user) || add_entry(mask, USER, user, strlen(user)));
  if (ok) return mask;
  fh_mask_destroy(mask);
  return NULL;
}

void fh_mask_destroy(fh_mask *mask) {
  if (mask) free(mask->entries);
  free(mask);
}

void fh_mask_describe(const fh_mask *mask, fh_text *out) {
  static const char *const names[KIND_COUNT][2] = {[UUID] = {"UUID", "UUIDs"},
                                                   [UUID_PART] = {"beginning of a UUID", "beginnings of UUIDs"},
                                                   [HEX_ID] = {"long id", "long ids"},
                                                   [IPV4] = {"IPv4 address", "IPv4 addresses"},
                                                   [IPV6] = {"IPv6 address", "IPv6 addresses"},
                                                   [USER] = {"user name", "user names"},
                                                   [HOST] = {"host name", "host names"}};
  bool any = false;
  for (int i = 0; i < KIND_COUNT; i++) {
    if (!mask->counts[i]) continue;
    fh_text_add(out, "%s%d %s", any ? ", " : "", mask->counts[i], names[i][mask->counts[i] != 1]);
    any = true;
  }
  if (!any) fh_text_add(out, "nothing");
}
