/* An operating-system table that does not see everything. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/blind_os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct blind {
  fh_os os;
  fh_os *inner;
  fh_blindness how;
} blind;

static blind *self(fh_os *os) { return (blind *)os; }
static fh_os *inner(fh_os *os) { return self(os)->inner; }

/* Libraries are never hidden by an error: what we cannot read the loader cannot read either, so that is no blind spot. */
static bool hidden(fh_os *os, const char *name) {
  if (self(os)->how.error != ENOENT && strstr(name, "/lib")) return false;
  uint64_t hash = 0xcbf29ce484222325u ^ (self(os)->how.seed * 0x9e3779b97f4a7c15u);
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
  hash = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9u;
  return (hash >> 32) % 1000 < self(os)->how.per_thousand;
}

static int error_of(fh_os *os) { return self(os)->how.error; }

static void blind_destroy(fh_os *os) {
  fh_os_destroy(inner(os));
  free(os);
}
static int blind_stat(fh_os *os, const char *path, bool follow, fh_os_stat *out) {
  return hidden(os, path) ? error_of(os) : inner(os)->api->stat(inner(os), path, follow, out);
}
static int blind_try_open(fh_os *os, const char *path) {
  return hidden(os, path) ? error_of(os) : inner(os)->api->try_open(inner(os), path);
}
static int blind_read(fh_os *os, const char *path, size_t max, char **out, size_t *out_size) {
  return hidden(os, path) ? error_of(os) : inner(os)->api->read(inner(os), path, max, out, out_size);
}
static int blind_readlink(fh_os *os, const char *path, char *out, size_t size) {
  return hidden(os, path) ? error_of(os) : inner(os)->api->readlink(inner(os), path, out, size);
}
static int blind_realpath(fh_os *os, const char *path, char *out, size_t size) {
  return hidden(os, path) ? error_of(os) : inner(os)->api->realpath(inner(os), path, out, size);
}
static int blind_list(fh_os *os, const char *path, char ***out_names, size_t *out_count) {
  return hidden(os, path) ? error_of(os) : inner(os)->api->list(inner(os), path, out_names, out_count);
}
static int blind_elf(fh_os *os, const char *path, fh_os_elf *out) {
  return hidden(os, path) ? error_of(os) : inner(os)->api->elf(inner(os), path, out);
}
static const char *blind_getenv(fh_os *os, const char *name) { return inner(os)->api->getenv(inner(os), name); }
static int blind_identity(fh_os *os, fh_os_identity *out) {
  return hidden(os, "identity") ? ENOSYS : inner(os)->api->identity(inner(os), out);
}
static int blind_affinity(fh_os *os, char *out_list, size_t size) {
  return hidden(os, "affinity") ? ENOSYS : inner(os)->api->affinity(inner(os), out_list, size);
}
/* XGETBV cannot be unknown while CPUID is known: an error of it means that the system has it switched off. */
static int blind_cpuid(fh_os *os, uint32_t leaf, uint32_t subleaf, fh_os_cpuid *out) {
  return hidden(os, "cpuid") ? ENOSYS : inner(os)->api->cpuid(inner(os), leaf, subleaf, out);
}
static int blind_xgetbv(fh_os *os, uint64_t *out) { return hidden(os, "cpuid") ? ENOSYS : inner(os)->api->xgetbv(inner(os), out); }
static int blind_hwcap(fh_os *os, uint64_t *out_hwcap, uint64_t *out_hwcap2) {
  return hidden(os, "cpuid") ? ENOSYS : inner(os)->api->hwcap(inner(os), out_hwcap, out_hwcap2);
}
static const char *blind_ask_refused(fh_os *os) { return fh_os_refusal(inner(os)); }
static int blind_ask_start(fh_os *os, const char *question, const char *const *changes, int *out_ticket) {
  return hidden(os, changes ? changes[0] : question) ? ENOENT : inner(os)->api->ask_start(inner(os), question, changes, out_ticket);
}
static int blind_ask_collect(fh_os *os, int ticket, fh_os_answer *out) { return inner(os)->api->ask_collect(inner(os), ticket, out); }

static const fh_os_api blind_api = {
    .destroy = blind_destroy,
    .stat = blind_stat,
    .try_open = blind_try_open,
    .read = blind_read,
    .readlink = blind_readlink,
    .realpath = blind_realpath,
    .list = blind_list,
    .elf = blind_elf,
    .getenv = blind_getenv,
    .identity = blind_identity,
    .affinity = blind_affinity,
    .cpuid = blind_cpuid,
    .xgetbv = blind_xgetbv,
    .hwcap = blind_hwcap,
    .ask_start = blind_ask_start,
    .ask_refused = blind_ask_refused,
    .ask_collect = blind_ask_collect,
};

fh_os *fh_os_blind(fh_os *take_os, fh_blindness blindness) {
  blind *wrapper = malloc(sizeof(*wrapper));
  if (!wrapper) {
    fh_os_destroy(take_os);
    return NULL;
  }
  *wrapper = (blind){.os = {.api = &blind_api}, .inner = take_os, .how = blindness};
  return &wrapper->os;
}
